"""Makes the records of finished requests, a few at a time, and hands each to whoever watches.

Code that runs once for each request finds the CPU's caches full of everything else; the same work for a few requests in
a row costs a third. So what is over waits here for a moment. Whoever looks at the numbers has the rest made first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gateway.observe import record as records
from operate.logs.journal import Journal
from translate.errors import ApiError

if TYPE_CHECKING:
    from gateway.flow.relay import Relay

log = logging.getLogger("proxy")

SOON_S = 0.05
AT_ONCE = 16  # records in a row: less than a millisecond, in which no stream goes on

Watcher = Callable[[dict[str, Any]], None]


class Recorder:
    """watchers: given each record, after the journal; none of them may change it."""

    def __init__(self, journal: Journal) -> None:
        self.watchers: list[Watcher] = []
        self._journal = journal
        self._over: list[tuple[Relay, ApiError | None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Recorder {len(self._over)} waiting, {len(self.watchers)} watchers>"

    def over(self, relay: Relay, error: ApiError | None) -> None:
        """The client has its last byte, or has left."""
        if not self.watchers and not self._journal.wants(error is not None):
            return
        relay.clock.sent()
        self._over.append((relay, error))
        if len(self._over) >= AT_ONCE:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SOON_S, self.flush)

    def flush(self) -> None:
        """Makes those that wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._over = self._over, []
        made = [one for relay, error in waiting if (one := _made(relay, error)) is not None]
        wants = self._journal.wants
        for record in made:
            if wants("error.type" in record):
                self._journal.finished(record)
        for watcher in self.watchers:  # one after the other, each for all: see above
            for record in made:
                try:
                    watcher(record)
                except Exception:  # who only looks on must not cost the others their record
                    log.exception("a record was not taken: request %s", record["request_id"])


def _made(relay: Relay, error: ApiError | None) -> dict[str, Any] | None:
    try:
        return records.record(relay, error)
    except Exception:  # odd values in a reply may cost the record of it, never more
        log.exception("no record of request %s", relay.key)
        return None
