"""What all who have to do with batches share: the file, the thread that reads and writes it, and what operators see."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from operate.batch_store import BatchStore
from operate.settings.load import BatchSettings
from translate.errors import ApiError

log = logging.getLogger("proxy")

T = TypeVar("T")


class Desk:
    """store: None = the proxy runs no batches. news: something has changed, for whoever runs them. told: results since
    the start, by outcome; progress: of each batch that has not ended."""

    def __init__(self) -> None:
        self.store: BatchStore | None = None
        self.settings = BatchSettings()
        self._thread: ThreadPoolExecutor | None = None
        self.news = asyncio.Event()
        self.stale = False
        self.told: dict[str, int] = {}
        self.progress: list[dict[str, Any]] = []

    def __repr__(self) -> str:
        return f"<Desk {self.store!r}>"

    def adopt(self, settings: BatchSettings, store: BatchStore | None) -> None:
        self.settings = settings
        if (store and store.file) != (self.store and self.store.file):
            if self.store is not None and self._thread is not None:
                self._thread.submit(self.store.close)
            self.store = store

    def looks_anew(self) -> None:
        """A batch has changed: whoever runs them looks at all of them at once."""
        self.stale = True
        self.news.set()

    async def do(self, what: Callable[..., T], *args: Any) -> T:
        """Runs a method of the store. Raises ApiError (503) where the file is no good."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "batches")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, what, *args)
        except (sqlite3.Error, OSError) as error:
            log.error("the file of batches (%r) cannot be used: %s", self.store, error)
            raise ApiError("api", "the proxy's file of batches cannot be used, see its log", 503) from None

    def stop(self) -> None:
        if self._thread is not None:
            if self.store is not None:
                self._thread.submit(self.store.close)
            self._thread.shutdown(wait=True)
            self._thread = None
