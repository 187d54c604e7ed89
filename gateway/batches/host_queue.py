"""The queue of one host: a SQLite file (operate/batch_store.py), and a thread that reads and writes it.

Of the processes that share the file, the one that has its lock runs the requests. What it has claimed is only in its
memory: if it is killed, it loses the lock, and the next process claims all requests without a result.
"""

from __future__ import annotations

import asyncio
import fcntl
import heapq
import itertools
import logging
import math
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gateway.batches.queue import Progress
from operate import sqlite_file
from operate.batch_store import (
    CANCELED,
    ERRORED,
    EXPIRED,
    WAITING,
    Batch,
    BatchStore,
    File,
    Outcome,
    Result,
    Work,
)
from translate.failures.errors import ApiError

log = logging.getLogger("proxy")

T = TypeVar("T")

CLEAN_EVERY_S = 3600.0
QUIET_S = 10.0  # after so long without a failure, the file counts as good again


class HostQueue:
    """The queue. unix: returns the present time. trouble: why the file cannot be used at the moment."""

    def __init__(self, file: Path, unix: Callable[[], float] = time.time) -> None:
        self.file = file
        self._unix = unix
        self._store, self._quick = BatchStore(file), BatchStore(file, quick=True)
        self._thread: ThreadPoolExecutor | None = None
        self._lock: int | None = None
        self._batches: dict[str, Batch] = {}  # those that have not ended
        self._seen: dict[str, int] = {}  # the last number of each batch that was taken from the file
        self._ready: deque[Work] = deque()
        self._later: list[tuple[float, int, Work]] = []  # (when by the monotonic clock, a number, the request)
        self._numbers = itertools.count()
        self._claimed: set[tuple[str, int]] = set()
        self._cleaned = -math.inf  # by the monotonic clock, too: that of the day may be set back by hours
        self.trouble = ""
        self._failed = 0.0

    def __repr__(self) -> str:
        return f"<HostQueue {self.file}>"

    async def _do(self, what: Callable[..., T], *args: object) -> T:
        """Runs a method of the store. Raises ApiError (503) if the file cannot be used."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "batches")
        try:
            done = await asyncio.get_running_loop().run_in_executor(self._thread, what, *args)
        except sqlite_file.errors() as error:
            self._tell(sqlite_file.told(error))
            raise ApiError("api", "the proxy's file of batches cannot be used, see its log", 503) from None
        self._tell("")
        return done

    def _tell(self, trouble: str) -> None:
        """Reports when trouble begins, and when it is over, although the file is looked at every second. A full disk
        can still be read, so that trouble is over only after nothing has failed for a while."""
        now = self._unix()
        if trouble:
            self._failed = now
        elif not self.trouble or 0 <= now - self._failed < QUIET_S:
            return
        if trouble and not self.trouble:
            log.error("batches wait, and none is taken: their file %s cannot be used: %s", self.file, trouble)
        elif not trouble:
            log.warning("the file of batches %s can be used again", self.file)
        self.trouble = trouble

    def close(self) -> None:
        if self._thread is not None:
            self._thread.submit(self._store.close)
            self._thread.shutdown(wait=True)
            self._thread = None
        self._quick.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # ------------------------------------------------------------------------------------------- batches

    async def add(self, batch: Batch, requests: Sequence[tuple[str, bytes]]) -> None:
        await self._do(self._store.add, batch, requests)

    async def get(self, id: str) -> Batch | None:
        return await self._do(self._store.get, id)

    async def listed(self, form: str, owner: str) -> list[Batch]:
        return await self._do(self._store.listed, form, owner)

    async def counts(self, id: str) -> dict[Outcome, int]:
        return await self._do(self._store.counts, id)

    async def results(self, id: str, after: int, most: int) -> list[Result]:
        return await self._do(self._store.results, id, after, most)

    async def cancel(self, id: str, at: float) -> None:
        await self._do(self._store.cancel, id, at)

    async def delete(self, id: str) -> None:
        await self._do(self._store.delete, id)

    # --------------------------------------------------------------------------------- for who runs them

    async def claim(self, running: int, most: int) -> Work | None:
        if running >= most or not self._may_run():
            return None
        if self._later and self._later[0][0] <= time.monotonic():
            work = heapq.heappop(self._later)[2]
        elif self._ready or await self._refill(most):
            work = self._ready.popleft()
        else:
            return None
        self._claimed.add((work.batch, work.nth))
        return work

    def _may_run(self) -> bool:
        """Returns whether this process has the lock. A process that is killed loses it."""
        if self._lock is None:
            if not self._store.exists:
                return False
            lock = os.open(f"{self.file}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                return False
            self._lock = lock
        return self._store.exists

    async def _refill(self, most: int) -> bool:
        """Takes a few requests of each batch, so that a small batch need not wait for a large one."""
        for id in list(self._batches):
            after = self._seen.get(id, -1)
            if after >= self._batches[id].total:
                continue
            works = await self._do(self._store.waiting, id, after, most)
            self._seen[id] = works[-1].nth if works else self._batches[id].total
            self._ready += works
        return bool(self._ready)

    async def keep(self, works: Sequence[Work]) -> None:
        return None  # the lock says it

    def answered(self, work: Work, outcome: Outcome, result: bytes) -> Awaitable[bool]:
        """Writes a result, at once if the file is free. A thread would be some milliseconds later, and if the process
        were killed in these, the answer would be paid for and lost."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        try:
            done.set_result(self._quick.answered(work.batch, work.nth, outcome, result))
        except sqlite_file.errors() as error:
            log.info("the result of request %d of batch %s has to wait: %s", work.nth, work.batch, error)
            return self._answered(work, outcome, result)
        self._claimed.discard((work.batch, work.nth))
        return done

    async def _answered(self, work: Work, outcome: Outcome, result: bytes) -> bool:
        is_first = await self._do(self._store.answered, work.batch, work.nth, outcome, result)
        self._claimed.discard((work.batch, work.nth))
        return is_first

    async def postpone(self, work: Work, wait_s: float) -> None:
        self._claimed.discard((work.batch, work.nth))
        later = work._replace(tries=work.tries + 1)
        heapq.heappush(self._later, (time.monotonic() + wait_s, next(self._numbers), later))

    async def tend(self, keep_s: float) -> list[Progress]:
        if not self._may_run():
            return []
        now, found = self._unix(), await self._do(self._store.open_batches)
        self._batches = {batch.id: batch for batch in found}
        told = [each for batch in found if (each := await self._progress(batch, now)) is not None]
        await self._do(self._store.tidy)
        if time.monotonic() - self._cleaned > CLEAN_EVERY_S:
            self._cleaned = time.monotonic()
            await self._do(self._store.forget, now - keep_s, now)
        return told

    async def _progress(self, batch: Batch, now: float) -> Progress | None:
        """None: it has ended now."""
        if batch.cancelled is not None or batch.expires <= now:
            await self._give_up(batch, CANCELED if batch.cancelled is not None else EXPIRED)
        counts = await self._do(self._store.counts, batch.id)
        if not counts.get(WAITING):
            await self._do(self._store.end, batch.id, now)
            self._batches.pop(batch.id, None)
            self._seen.pop(batch.id, None)
            log.info("batch %s has ended: %s", batch.id, counts)
            return None
        running = sum(id == batch.id for id, _ in self._claimed)
        return {"id": batch.id, "client": batch.client, "form": batch.form, "total": batch.total,
                "done": batch.total - counts.get(WAITING, 0), "running": running,
                "errored": counts.get(ERRORED, 0), "created": batch.created}  # fmt: skip

    async def _give_up(self, batch: Batch, outcome: Outcome) -> None:
        self._ready = deque(work for work in self._ready if work.batch != batch.id)
        self._later = [each for each in self._later if each[2].batch != batch.id]
        heapq.heapify(self._later)
        claimed = [nth for id, nth in self._claimed if id == batch.id]
        self._seen[batch.id] = batch.total
        await self._do(self._store.give_up, batch.id, claimed, outcome)

    async def leave(self) -> None:
        return None  # others get the lock when this process ends

    # --------------------------------------------------------------------------------------------- files

    async def add_file(self, file: File, content: bytes) -> None:
        await self._do(self._store.add_file, file, content)

    async def files(self, owner: str) -> list[File]:
        return await self._do(self._store.files, owner)

    async def one_file(self, id: str) -> File | None:
        return await self._do(self._store.one_file, id)

    async def content(self, id: str) -> bytes:
        return await self._do(self._store.content, id)

    async def delete_file(self, id: str) -> None:
        await self._do(self._store.delete_file, id)
