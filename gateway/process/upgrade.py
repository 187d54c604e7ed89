"""Upgrade in place of a process without workers, at SIGUSR2: another process takes over, and this one drains."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

from operate.handover import Successor, why_not
from operate.logs.fields import fields

log = logging.getLogger("proxy")

EVERY_S = 1.0  # the time between two checks whether the new process takes too long


class Upgrade:
    """Handles the signals. address: hosts and port of the settings, for the Successor."""

    def __init__(self, sockets: Sequence[socket.socket], address: str) -> None:
        self._sockets = list(sockets)
        self._address = address
        self._successor: Successor | None = None

    def __repr__(self) -> str:
        return f"<Upgrade {self._successor!r}>"

    def begin(self, replaced: Callable[[], None]) -> None:
        """Starts the new process, unless one is starting already. replaced: called when the new process serves; never
        if it fails."""
        if self._successor is not None:
            return
        why = why_not()
        try:
            self._successor = None if why else Successor(self._sockets, self._address)
        except OSError as error:
            why = str(error)
        if self._successor is None:
            log.error("the upgrade is not possible: %s", why)
            return
        pid = self._successor.pid
        log.info("process %d starts, and is to take over", pid, extra=fields(event="upgrade", pid=pid))
        asyncio.get_running_loop().add_reader(self._successor.waiting, self._look, self._successor, replaced)
        self._look_again(self._successor, replaced)

    def _look_again(self, successor: Successor, replaced: Callable[[], None]) -> None:
        if self._successor is successor:
            self._look(successor, replaced)
            asyncio.get_running_loop().call_later(EVERY_S, self._look_again, successor, replaced)

    def _look(self, successor: Successor, replaced: Callable[[], None]) -> None:
        if self._successor is not successor:
            return
        waiting = successor.waiting
        why = successor.verdict()
        if why is None:
            return
        asyncio.get_running_loop().remove_reader(waiting)
        self._successor = None
        if why:
            log.error("the upgrade has failed: %s", why)
            return
        log.warning("process %d serves now; this one ends when its requests are finished", successor.pid,
                    extra=fields(event="upgraded", pid=successor.pid))  # fmt: skip
        replaced()
