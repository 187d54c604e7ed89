"""Which client got which response, on disk: what the memory of responses forgets after a restart, or after many others.

What comes is gathered, and written by a thread a moment later; what is asked for is read by the same thread, so that a
slow disk holds nobody up. If the file cannot be written, new entries wait in memory, and one line of the log says so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from operate import sqlite_file
from operate.owner_store import Owned, OwnerStore

log = logging.getLogger("gateway")

SOON_S = 0.1  # in which further ones may come
AGAIN_S = 5.0  # after a write that failed
MOST_WAITING = 50_000  # that a disk does not take; the oldest of them are forgotten
CLEAN_EVERY_S = 3600.0
DAY_S = 86400.0


class Owners:
    """note() and find() on a running loop; stop() writes what is left."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._store: OwnerStore | None = None
        self._days = 30
        self._waiting: dict[str, Owned] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._fails = False
        self._cleaned = 0.0  # when

    def __repr__(self) -> str:
        return f"<Owners in {self._store!r}: {len(self._waiting)} wait>"

    @property
    def remembers(self) -> bool:
        return self._store is not None

    def adopt(self, store: OwnerStore | None, days: int) -> None:
        """store: None = nothing is on disk."""
        if (store and store.file) != (self._store and self._store.file):
            self._store = store
        self._days = days

    def note(self, id: str, owned: Owned) -> None:
        if self._store is None:
            return
        self._waiting[id] = owned
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SOON_S, self._write_soon)

    async def find(self, ids: Sequence[str]) -> dict[str, Owned]:
        """The known ones of these ids. If the file cannot be read, none is known, and they belong to nobody."""
        found = {id: self._waiting[id] for id in ids if id in self._waiting}
        lacking = [id for id in ids if id not in found]
        if not lacking or self._store is None:
            return found
        try:
            loop = asyncio.get_running_loop()
            return found | await loop.run_in_executor(self._own_thread(), self._store.find, lacking)
        except sqlite_file.errors() as error:
            self._failed(error)
            return found

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._thread is not None:
            self._thread.shutdown(wait=True)
            self._thread = None
        if self._waiting and self._store is not None:
            self._write(self._store, self._waiting)

    # ------------------------------------------------------------------------------------------------ inside

    def _own_thread(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "owners")
        return self._thread

    def _write_soon(self) -> None:
        self._timer = None
        if self._store is None or not self._waiting:
            return
        owned = dict(self._waiting)  # they are asked for here until they are on disk
        loop = asyncio.get_running_loop()
        writing = loop.run_in_executor(self._own_thread(), self._write, self._store, owned)
        writing.add_done_callback(lambda done: self._written(done, owned))

    def _written(self, done: asyncio.Future[bool], owned: dict[str, Owned]) -> None:
        if done.cancelled():
            return
        good = done.result()
        if good:
            for id, each in owned.items():
                if self._waiting.get(id) is each:
                    del self._waiting[id]
        if self._waiting and self._timer is None and self._thread is not None:
            self._timer = asyncio.get_running_loop().call_later(SOON_S if good else AGAIN_S, self._write_soon)

    def _write(self, store: OwnerStore, owned: dict[str, Owned]) -> bool:
        """Returns whether they are on disk now."""
        now = self._clock()
        try:
            store.add(owned, now)
            if now - self._cleaned > CLEAN_EVERY_S:
                store.forget(now - self._days * DAY_S)
                self._cleaned = now
        except sqlite_file.errors() as error:
            self._failed(error)
            return False
        if self._fails:
            log.warning("who owns which response is written to %s again", store.file)
        self._fails = False
        return True

    def _failed(self, error: Exception) -> None:
        if not self._fails and self._store is not None:
            log.error("who owns which response cannot be written to or read from %s: %s; a client may not find its own "
                      "responses after a restart", self._store.file, sqlite_file.told(error))  # fmt: skip
        self._fails = True
