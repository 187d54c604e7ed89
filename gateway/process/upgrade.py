"""SIGUSR2 in a process without workers: another one takes over (operate/handover.py), and this one drains."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

from operate.handover import Successor, why_not
from operate.logs.fields import fields

log = logging.getLogger("proxy")

EVERY_S = 1.0  # a look whether it takes too long


class Upgrade:
    """begin() at each signal. address: of the settings, as Successor takes it."""

    def __init__(self, sockets: Sequence[socket.socket], address: str) -> None:
        self._sockets = list(sockets)
        self._address = address
        self._successor: Successor | None = None

    def __repr__(self) -> str:
        return f"<Upgrade {self._successor!r}>"

    def begin(self, replaced: Callable[[], None]) -> None:
        """replaced: called once the other process serves, never if it does not come to that."""
        if self._successor is not None:
            return
        why = why_not()
        try:
            self._successor = None if why else Successor(self._sockets, self._address)
        except OSError as error:
            why = str(error)
        if self._successor is None:
            log.error("no upgrade: %s", why)
            return
        pid = self._successor.pid
        log.info("process %d is to take over", pid, extra=fields(event="upgrade", pid=pid))
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
            log.error("no upgrade: %s", why)
            return
        log.warning("process %d serves; this one ends when it has finished what it has", successor.pid,
                    extra=fields(event="upgraded", pid=successor.pid))  # fmt: skip
        replaced()
