"""Tells observers of requests. It knows none of them: they subscribe where the process is put together (console/mount).

There are two events. `sent(info, body)` comes as an attempt leaves for its upstream; `finished(record)` once the client
has its last byte or has left. Code that runs once for each request finds the CPU's caches full of everything else; the
same work for a few requests in a row costs a third. So the records are made and told a few at a time. Whoever looks at
the numbers has the rest made first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from gateway.flow.info import Info

log = logging.getLogger("proxy")

SOON_S = 0.05
AT_ONCE = 16  # records in a row: less than a millisecond, in which no stream goes on

Record = dict[str, Any]
OnSent = Callable[[Info, bytes], None]
OnFinished = Callable[[Record], None]


class Observers:
    """on_sent, on_finished: who is told, in this order. None of them may change what it is given."""

    def __init__(self) -> None:
        self.on_sent: list[OnSent] = []
        self.on_finished: list[OnFinished] = []
        self._over: list[tuple[str, Callable[[], Record]]] = []
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Observers: {len(self.on_sent)} of what is sent, {len(self.on_finished)} of what is finished>"

    def sent(self, info: Info, body: bytes) -> None:
        """Tells of an attempt. `body` is what goes upstream."""
        for tell in self.on_sent:
            try:
                tell(info, body)
            except Exception:  # who only looks on must not cost a request
                log.exception("an observer was not told of request %s", info.key)

    def over(self, key: str, make: Callable[[], Record]) -> None:
        """The request has ended; `make` makes its record."""
        if not self.on_finished:
            return
        self._over.append((key, make))
        if len(self._over) >= AT_ONCE:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SOON_S, self.flush)

    def flush(self) -> None:
        """Makes the records that wait, and tells them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._over = self._over, []
        made = [record for key, make in waiting if (record := _made(key, make)) is not None]
        for tell in self.on_finished:  # one after the other, each of all: see above
            for record in made:
                try:
                    tell(record)
                except Exception:  # who only looks on must not cost the others their record
                    log.exception("an observer did not take the record of request %s", record["request_id"])


def _made(key: str, make: Callable[[], Record]) -> Record | None:
    try:
        return make()
    except Exception:  # odd values in a reply may cost the record of it, never more
        log.exception("no record of request %s", key)
        return None
