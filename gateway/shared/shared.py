"""The shared store of this process: which of the three it is, whether it is away, and since when.

While it is away, requests go on with what their worker knows. That is counted, logged once for each outage, and shown;
the store comes back by itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

from gateway.shared.memory_store import MemoryStore
from gateway.shared.patience import PATIENCE_S
from gateway.shared.store import Store
from operate.logs.fields import fields

log = logging.getLogger("proxy")

START_S = 1.0  # the start waits so long for a server


class Server(Interface):
    """A store that is reached over the network."""

    def start(self) -> None: ...

    async def wait(self, seconds: float) -> None: ...


class Shared:
    """The store and its state. store: for the parts that share something. several: other processes share it. away: why
    it cannot be used, "" = it can. members: how many workers share it, as far as is known. fallbacks: how many
    decisions were made without it."""

    def __init__(
        self, url: str, prefix: str, file: Path | None, patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """url: of a Redis or Valkey server. file: for the workers of a host, None = this is the only worker.
        patience_s: the longest that a request waits for the store."""
        self._clock = clock
        self._began_at = clock()
        self._is_out = self._stopped = False
        self.away = ""
        self.outages = 0
        self.fallbacks = 0
        self.members = 1
        self.store: Store
        self._server: Server | None = None
        if url:
            from gateway.shared.redis_store import RedisStore  # as no other proxy needs it

            self.store = self._server = RedisStore(url, prefix, self._changed, patience_s)
            self.away = "it has not answered yet"
        elif file is not None:
            from gateway.shared.sqlite_store import SqliteStore

            self.store = SqliteStore(file, self._changed, patience_s)
        else:
            self.store = MemoryStore()

    def __repr__(self) -> str:
        return f"<Shared {self.store!r}{f' away: {self.away}' * bool(self.away)}>"

    @property
    def several(self) -> bool:
        return self.store.kind != "memory"

    async def start(self) -> None:
        if self._server is not None:
            self._server.start()
            await self._server.wait(START_S)

    def stop(self) -> None:
        self._stopped = True
        self.store.close()

    def state(self) -> dict[str, Any]:
        """For pages."""
        away_s = round(self._clock() - self._began_at, 1) if self.away else 0.0
        return {
            "store": self.store.kind,
            "members": self.members,
            "away": self.away,
            "away_s": away_s,
            "outages": self.outages,
            "fallbacks": self.fallbacks,
        }

    def _changed(self, why: str) -> None:
        if self._stopped:
            return
        if why and not self._is_out:
            self._is_out, self._began_at = True, self._clock()
            self.outages += 1
            log.warning("the shared store (%s) is away: %s. Requests go on, with what each worker knows itself",
                        self.store.kind, why, extra=fields(event="shared store", state="away", why=why))  # fmt: skip
        elif self._is_out and not why:
            self._is_out, away_s = False, self._clock() - self._began_at
            log.warning("the shared store (%s) is back after %.1f s", self.store.kind, away_s,
                        extra=fields(event="shared store", state="back"))  # fmt: skip
        self.away = why
