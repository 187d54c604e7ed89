"""The observer that sums up finished requests for the usage store, and writes the sums once a second.

A request costs one look-up in a dict and one addition. A thread writes the file of the store, so that no request waits
for a slow disk. If the file cannot be written (the disk is full, or another process keeps it locked), the sums stay in
memory until it can; this is logged once, and again when it works.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from operate.usage_store import Key, Sum, UsageStore

log = logging.getLogger("proxy")

EVERY_S = 1.0
MOST_KEYS = 20_000  # how many sums may wait; beyond it, sessions and agents are added together
DAY_S = 86_400


class Books:
    """Sums up requests. finished() is the observer. start() needs a running loop; stop() writes the sums that wait."""

    def __init__(self, store: UsageStore | None, keep_days: int, clock: Callable[[], float] = time.time) -> None:
        """store: None = no sums are kept."""
        self._store, self._keep_days, self._clock = store, keep_days, clock
        self._waiting: dict[Key, Sum] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._fails = False
        self._forgotten_on = ""

    def __repr__(self) -> str:
        return f"<Books in {self._store!r}: {len(self._waiting)} sums wait>"

    def adopt(self, store: UsageStore | None, keep_days: int) -> None:
        """Takes over changed settings. The sums that wait go to the new store."""
        if (store and store.file) != (self._store and self._store.file):
            self._store = store
        self._keep_days = keep_days

    def finished(self, record: dict[str, Any]) -> None:
        if self._store is None or record["gen_ai.operation.name"] == "count_tokens":
            return
        key = Key(
            self._day(record["time"]), record["client"], record["upstream_model"], record["upstream"],
            record["session"], record["agent"],
        )  # fmt: skip
        if len(self._waiting) >= MOST_KEYS and key not in self._waiting:
            key = key._replace(session="", agent="")
        self._waiting[key] = self._waiting.get(key, Sum()).plus(self._sum(record))

    def start(self) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "books")
        self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._tick)

    def stop(self) -> None:
        """Writes the sums that wait, at once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._thread is not None:
            self._thread.shutdown(wait=True)
            self._thread = None
        if self._waiting and self._store is not None:
            try:
                self._write(self._store, self._waiting)
            except (sqlite3.Error, OSError) as error:
                log.error("the last %d sums of usage could not be written and are lost: %s", len(self._waiting), error)
            self._waiting = {}

    # ------------------------------------------------------------------------------------------------- inside

    @staticmethod
    def _sum(record: dict[str, Any]) -> Sum:
        failed = int(record["status"] >= 400 or "error.type" in record)
        prompt = record["gen_ai.usage.input_tokens"]
        if prompt is None:
            return Sum(1, failed)
        read = record["gen_ai.usage.cache_read.input_tokens"] or 0
        written = record["gen_ai.usage.cache_creation.input_tokens"] or 0
        output = record["gen_ai.usage.output_tokens"] or 0
        uncached = max(0, prompt - read - written)
        usd = record["proxy.cost_usd"]
        return Sum(1, failed, uncached, read, written, output, usd or 0.0, int(usd is None))

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(EVERY_S, self._tick)
        if self._store is None or self._thread is None or (self._writing is not None and not self._writing.done()):
            return
        if self._waiting:
            sums, self._waiting = self._waiting, {}
            self._writing = loop.run_in_executor(self._thread, self._write, self._store, sums)
            self._writing.add_done_callback(lambda done: self._written(done, sums))

    def _write(self, store: UsageStore, sums: dict[Key, Sum]) -> None:
        try:
            store.add(sums)
            today = self._day(self._clock())
            if today != self._forgotten_on:
                store.forget(self._day(self._clock() - self._keep_days * DAY_S))
                self._forgotten_on = today
        except (sqlite3.Error, OSError) as error:
            if not self._fails:
                log.error("the sums of usage cannot be written to %s (%s) and wait in memory", store.file, error)
            self._fails = True
            raise
        if self._fails:
            log.warning("the sums of usage are written to %s again", store.file)
        self._fails = False

    def _written(self, done: asyncio.Future[None], sums: dict[Key, Sum]) -> None:
        if done.cancelled() or done.exception() is None:
            return
        for key, value in sums.items():  # they wait for the next attempt
            self._waiting[key] = self._waiting.get(key, Sum()).plus(value)

    @staticmethod
    def _day(at: float) -> str:
        return time.strftime("%Y-%m-%d", time.gmtime(at))
