"""Runs the requests of batches: a few at a time, none while other requests wait, and each until it has its result.

One process of a host does it, the one that has the lock. What it holds is only what is on its way: the rest is in the
file, from which a process that is started again goes on. Refusals that say "not now" (429, 503, 529) are no results;
the request is sent again later, with an Idempotency-Key that stays the same, as long as its batch has not expired.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import heapq
import itertools
import logging
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable

from gateway.batches.desk import Desk
from gateway.batches.forms import FORMS
from gateway.batches.gathering import Answered
from gateway.batches.item import Item
from gateway.runtime import Service
from operate.batch_store import CANCELED, ERRORED, EXPIRED, WAITING, Batch, BatchStore, Work
from translate.errors import ApiError

log = logging.getLogger("proxy")

LOOK_S = 1.0  # between two looks for batches that others have taken, or cancelled
YIELD_S = 0.05  # after which it is seen whether others still wait
AGAIN_S = (1.0, 60.0)  # the wait before a request is sent again: doubled each time, up to the second
NOT_NOW = (429, 503, 529)
CLEAN_EVERY_S = 3600.0
DAY_S = 86400.0


class Runner:
    """start() and stop() need a running loop."""

    def __init__(self, service: Service, desk: Desk, unix: Callable[[], float] = time.time) -> None:
        self._service = service
        self._desk = desk
        self._unix = unix
        self._batches: dict[str, Batch] = {}
        self._seen: dict[str, int] = {}  # the last number of each batch that was taken from the file
        self._ready: deque[Work] = deque()
        self._later: list[tuple[float, int, Work, int]] = []  # (when, a number, the request, how often it was sent)
        self._numbers = itertools.count()
        self._running: set[tuple[str, int]] = set()
        self._saving: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._looked = self._cleaned = 0.0
        self.again_s = AGAIN_S
        self._stopping = False
        self._lock: int | None = None
        self._quick: BatchStore | None = None

    def __repr__(self) -> str:
        return f"<Runner {len(self._batches)} batches, {len(self._running)} running>"

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    def drain(self) -> None:
        """Nothing more is begun."""
        self._stopping = True
        self._desk.news.set()

    async def stop(self) -> None:
        """What has been answered is written; what has not is sent again after the next start."""
        self.drain()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._saving:
            await asyncio.wait(self._saving)
        if self._quick is not None:
            self._quick.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self._desk.stop()

    # ------------------------------------------------------------------------------------------ what is next

    async def _run(self) -> None:
        while not self._stopping:
            wait_s = LOOK_S
            try:
                wait_s = await self._turn()
            except ApiError:
                pass  # the file cannot be used, which is logged; it is tried again
            except Exception:
                log.exception("an error in the proxy: batches could not be looked after")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._desk.news.wait(), wait_s)
            self._desk.news.clear()

    async def _turn(self) -> float:
        """Returns the seconds until the next one, where nothing comes before."""
        store, now = self._desk.store, self._unix()
        if store is None or not store.exists or not self._has_lock(store):
            return LOOK_S
        if now - self._looked >= LOOK_S or self._desk.stale or not self._batches:
            self._desk.stale = False
            await self._look(store, now)
        while self._later and self._later[0][0] <= now:
            _, _, work, tries = heapq.heappop(self._later)
            self._begin(work, tries)
        most = self._desk.settings.concurrent
        while len(self._running) < most:
            if self._service.admission.waiting:
                return YIELD_S
            if not self._ready and not await self._refill(store, most):
                break
            self._begin(self._ready.popleft(), 0)
        soonest = self._later[0][0] - now if self._later else LOOK_S
        return max(0.0, min(LOOK_S, soonest))

    def _has_lock(self, store: BatchStore) -> bool:
        """Of all processes that share the file, the one that has its lock runs the batches. A process that is killed
        has it no longer."""
        if self._lock is None:
            lock = os.open(f"{store.file}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                return False
            self._lock = lock
        return True

    async def _look(self, store: BatchStore, now: float) -> None:
        """At all batches that have not ended: there may be new ones, and some may be over."""
        found = await self._desk.do(store.open_batches)
        self._looked = now
        self._batches = {batch.id: batch for batch in found}
        progress = []
        for batch in found:
            counts = await self._desk.do(store.counts, batch.id)
            if batch.cancelled is not None or batch.expires <= now:
                await self._give_up(store, batch, CANCELED if batch.cancelled is not None else EXPIRED)
                counts = await self._desk.do(store.counts, batch.id)
            if not counts.get(WAITING):
                await self._desk.do(store.end, batch.id, now)
                self._batches.pop(batch.id, None)
                self._seen.pop(batch.id, None)
                log.info("batch %s has ended: %s", batch.id, counts)
                continue
            running = sum(id == batch.id for id, _ in self._running)
            progress.append({"id": batch.id, "client": batch.client, "form": batch.form, "total": batch.total,
                             "done": batch.total - counts.get(WAITING, 0), "running": running,
                             "errored": counts.get(ERRORED, 0), "created": batch.created})  # fmt: skip
        self._desk.progress = progress
        await self._desk.do(store.tidy)
        if now - self._cleaned > CLEAN_EVERY_S:
            self._cleaned = now
            await self._desk.do(store.forget, now - self._desk.settings.keep_days * DAY_S, now)

    async def _give_up(self, store: BatchStore, batch: Batch, outcome: str) -> None:
        self._ready = deque(work for work in self._ready if work.batch != batch.id)
        self._later = [each for each in self._later if each[2].batch != batch.id]
        heapq.heapify(self._later)
        on_their_way = [nth for id, nth in self._running if id == batch.id]
        self._seen[batch.id] = batch.total
        await self._desk.do(store.give_up, batch.id, on_their_way, outcome)

    async def _refill(self, store: BatchStore, most: int) -> bool:
        """A few requests of each batch, so that a small one need not wait for a large one."""
        for id in list(self._batches):
            after = self._seen.get(id, -1)
            if after >= self._batches[id].total:
                continue
            works = await self._desk.do(store.waiting, id, after, most)
            self._seen[id] = works[-1].nth if works else self._batches[id].total
            self._ready += works
        return bool(self._ready)

    # ------------------------------------------------------------------------------------------- one request

    def _begin(self, work: Work, tries: int) -> None:
        batch = self._batches.get(work.batch)
        if batch is None:
            return
        self._running.add((work.batch, work.nth))
        try:
            call = FORMS[batch.form].call(batch, work)
            item = Item(self._service, batch.client, batch.owner, lambda said: self._over(batch, work, tries, said))
            item.run(call)
        except Exception:
            log.exception("an error in the proxy: request %d of batch %s could not be sent", work.nth, work.batch)
            self._over(batch, work, tries, Answered(500, b"", ""))

    def _over(self, batch: Batch, work: Work, tries: int, said: Answered) -> None:
        """It has its answer, or none."""
        if self._stopping and said.status != 200:
            self._running.discard((work.batch, work.nth))
            return  # it is sent again after the next start
        if said.status in NOT_NOW and batch.expires > self._unix() and batch.cancelled is None:
            first, longest = self.again_s
            wait_s = max(said.retry_after_s, min(longest, first * 2 ** min(tries, 10)))
            self._running.discard((work.batch, work.nth))
            heapq.heappush(self._later, (self._unix() + wait_s, next(self._numbers), work, tries + 1))
            self._desk.news.set()
            return
        outcome, result = FORMS[batch.form].result(work, said)
        if self._is_saved(batch, work, outcome, result):
            self._saved(work, outcome)
            return
        saving = asyncio.ensure_future(self._save(batch, work, outcome, result))
        self._saving.add(saving)
        saving.add_done_callback(self._saving.discard)

    def _is_saved(self, batch: Batch, work: Work, outcome: str, result: bytes) -> bool:
        """At once, if the file is free. A thread would be some milliseconds later, and whoever kills the process in
        these has paid for the answer and not got it."""
        store = self._desk.store
        if store is None:
            return False
        if self._quick is None or self._quick.file != store.file:
            self._quick = BatchStore(store.file, quick=True)
        try:
            self._quick.answered(batch.id, work.nth, outcome, result)
        except (sqlite3.Error, OSError) as error:
            log.info("the result of request %d of batch %s has to wait: %s", work.nth, batch.id, error)
            return False
        return True

    async def _save(self, batch: Batch, work: Work, outcome: str, result: bytes) -> None:
        """It stays among those that run until its result is on disk."""
        while (store := self._desk.store) is not None:
            try:
                await self._desk.do(store.answered, batch.id, work.nth, outcome, result)
                break
            except ApiError:
                if self._stopping:
                    return
                await asyncio.sleep(LOOK_S)
        self._saved(work, outcome)

    def _saved(self, work: Work, outcome: str) -> None:
        self._desk.told[outcome] = self._desk.told.get(outcome, 0) + 1
        self._running.discard((work.batch, work.nth))
        if not self._ready and not self._running:
            self._looked = 0.0  # it may have been the last
        self._desk.news.set()
