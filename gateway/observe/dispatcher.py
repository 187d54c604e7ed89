"""Calls the observers of requests. It imports none of them; they subscribe in console/mount.py.

There are two events. `sent(info, body)` comes when an attempt is sent to its upstream, and `finished(record)` when the
client has the last byte or has left. Records are made and passed on for a few requests at a time: this costs a third of
the same work for each request alone, for which the CPU's caches are full of other things. Whoever shows numbers calls
flush() first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from gateway.flow.info import Info
from gateway.flow.trace import Trace

log = logging.getLogger("proxy")

SOON_S = 0.05
AT_ONCE = 16  # how many records are made in a row; it takes less than a millisecond, in which no stream goes on

Record = dict[str, Any]
OnSent = Callable[[Info, bytes], None]
OnFinished = Callable[[Record], None]


class Observers:
    """The observers. on_sent, on_finished: the functions that are called, in this order. on_traced: gets the trace of a
    request with its record. They must not change their arguments."""

    def __init__(self) -> None:
        self.on_sent: list[OnSent] = []
        self.on_finished: list[OnFinished] = []
        self.on_traced: Callable[[Trace, Record], None] | None = None
        self._over: list[tuple[str, Callable[[], Record], Trace | None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Observers: {len(self.on_sent)} of what is sent, {len(self.on_finished)} of what is finished>"

    def sent(self, info: Info, body: bytes) -> None:
        """Reports an attempt. body: what the upstream gets."""
        for tell in self.on_sent:
            try:
                tell(info, body)
            except Exception:  # an error in an observer must not harm a request
                log.exception("an error in the proxy: an observer failed when request %s was sent", info.key)

    def over(self, key: str, make: Callable[[], Record], trace: Trace | None = None) -> None:
        """Reports a request that has ended. make: makes its record."""
        if not self.on_finished:
            return
        self._over.append((key, make, trace))
        if len(self._over) >= AT_ONCE:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SOON_S, self.flush)

    def flush(self) -> None:
        """Makes the records that wait, and passes them to the observers."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._over = self._over, []
        made = []
        for key, make, trace in waiting:
            if (record := _made(key, make)) is not None:
                made.append(record)
                if trace is not None and self.on_traced is not None:
                    self.on_traced(trace, record)
        for tell in self.on_finished:  # each observer gets all records in a row, see above
            for record in made:
                try:
                    tell(record)
                except Exception:  # an error in an observer must not harm the others
                    log.exception("an error in the proxy: an observer failed with the record of request %s",
                                  record["request_id"])  # fmt: skip


def _made(key: str, make: Callable[[], Record]) -> Record | None:
    try:
        return make()
    except Exception:  # odd values in a reply must not harm more than its record
        log.exception("an error in the proxy: request %s has no record", key)
        return None
