"""Runs the requests of batches: a few at a time, none while other requests wait, and each until it has its result.

It holds only what is on its way; the rest is in the queue, from which another process can go on. Refusals that say "not
now" (429, 503, 529) are no results: the request is sent again later, with the same Idempotency-Key, as long as its
batch has not expired.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from gateway.batches import messages_batches, openai_batches
from gateway.batches.desk import Desk
from gateway.batches.gathering import Answered
from gateway.batches.item import Item
from gateway.batches.own_request import Call
from gateway.batches.queue import KEEP_S, Queue
from gateway.runtime import Service
from operate.batch_store import Batch, Outcome, Work
from translate.failures.errors import ApiError
from translate.messages.dialect import MESSAGES

log = logging.getLogger("proxy")

LOOK_S = 1.0  # between two looks for batches that others have made, or cancelled
YIELD_S = 0.05  # after this it is checked whether others still wait
AGAIN_S = (1.0, 60.0)  # the wait before a request is sent again: at first, and at most (it doubles)
NOT_NOW = (429, 503, 529)
DAY_S = 86400.0
MOST_KNOWN = 100  # batches whose fields are remembered

Key = tuple[str, int]


class BatchApi(Protocol):
    """How the requests of an API's batches are made, and their results told."""

    def call(self, batch: Batch, work: Work) -> Call: ...

    def result(self, work: Work, said: Answered) -> tuple[str, bytes]:
        """(outcome, result)."""


FORMS: dict[str, BatchApi] = {MESSAGES.name: messages_batches, openai_batches.FORM: openai_batches}
"""The APIs, by the name that a batch has for its own."""


class Runner:
    """Call start() and stop() on a running loop."""

    def __init__(self, service: Service, desk: Desk, unix: Callable[[], float] = time.time) -> None:
        self._service = service
        self._desk = desk
        self._unix = unix
        self._batches: dict[str, Batch] = {}
        self._running: dict[Key, tuple[Queue, Work]] = {}
        self._saving: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._looked = self._kept = 0.0
        self.again_s = AGAIN_S
        self._stopping = self._is_over = False

    def __repr__(self) -> str:
        return f"<Runner: {len(self._running)} running>"

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    def drain(self) -> None:
        """Begins nothing more."""
        self._stopping = True

    async def stop(self) -> None:
        """Writes what has been answered; the rest is for others, or for the next start."""
        self.drain()
        self._is_over = True
        self._desk.news.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=LOOK_S)  # a request that it claims at this moment is given back
            self._task.cancel()
        if self._saving:
            await asyncio.wait(self._saving)
        if self._desk.queue is not None:
            with contextlib.suppress(ApiError):
                await self._desk.queue.leave()
        self._desk.stop()

    # ------------------------------------------------------------------------------------------ what is next

    async def _run(self) -> None:
        while not self._is_over:
            wait_s = LOOK_S
            try:
                wait_s = await self._turn()
            except ApiError:
                pass  # the queue cannot be used, which is logged; it is tried again
            except Exception:
                log.exception("an error in the proxy: batches could not be looked after")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._desk.news.wait()
            self._desk.news.clear()

    async def _turn(self) -> float:
        """Returns the seconds until the next one, where nothing comes before."""
        queue, now = self._desk.queue, self._unix()
        if queue is None:
            return LOOK_S
        if self._running and now - self._kept >= KEEP_S:
            self._kept = now
            await queue.keep([work for of, work in self._running.values() if of is queue])
        if self._stopping:
            return LOOK_S
        if now - self._looked >= LOOK_S or self._desk.stale:
            self._desk.stale, self._looked = False, now
            self._desk.progress = await queue.tend(self._desk.settings.keep_days * DAY_S)
        while not self._service.admission.waiting:
            work = await queue.claim(len(self._running), self._desk.settings.concurrent)
            if work is None:
                return LOOK_S
            await self._begin(queue, work)
        return YIELD_S

    # ------------------------------------------------------------------------------------------- one request

    async def _begin(self, queue: Queue, work: Work) -> None:
        key = work.batch, work.nth
        self._running[key] = queue, work
        batch = None
        try:
            batch = await self._batch(queue, work.batch)
        finally:
            if batch is None or self._stopping:
                self._later(self._postpone(queue, work, 0))
        if batch is None or self._stopping:
            return
        try:
            call = FORMS[batch.form].call(batch, work)
            item = Item(self._service, batch.client, batch.owner, functools.partial(self._over, batch, work))
            item.run(call)
        except Exception:
            log.exception("an error in the proxy: request %d of batch %s could not be sent", work.nth, work.batch)
            self._over(batch, work, Answered(500, b"", ""))

    async def _batch(self, queue: Queue, id: str) -> Batch | None:
        found = self._batches.get(id) or await queue.get(id)
        if found is not None:
            self._batches[id] = found
        while len(self._batches) > MOST_KNOWN:
            del self._batches[next(iter(self._batches))]
        return found

    def _over(self, batch: Batch, work: Work, said: Answered) -> None:
        """The request has its answer, or none."""
        queue, _ = self._running[work.batch, work.nth]
        if said.status == 200 or not (self._stopping or self._is_for_later(batch, said)):
            outcome, result = FORMS[batch.form].result(work, said)
            sent = queue.answered(work, outcome, result)  # before anything else: who kills the process has paid for it
            self._later(self._save(queue, work, outcome, result, sent))
            return
        first, longest = self.again_s
        wait_s = 0.0 if self._stopping else max(said.retry_after_s, min(longest, first * 2 ** min(work.tries, 10)))
        self._later(self._postpone(queue, work, wait_s))

    def _is_for_later(self, batch: Batch, said: Answered) -> bool:
        return said.status in NOT_NOW and batch.expires > self._unix()

    def _later(self, what: Coroutine[Any, Any, None]) -> None:
        saving = asyncio.ensure_future(what)
        self._saving.add(saving)
        saving.add_done_callback(self._saving.discard)

    async def _save(
        self, queue: Queue, work: Work, outcome: Outcome, result: bytes, sent: Awaitable[bool]
    ) -> None:  # fmt: skip
        """Counts the request as running until its result is stored."""
        while True:
            try:
                is_first = await sent
                break
            except ApiError:
                if self._stopping:
                    return
                await asyncio.sleep(LOOK_S)
            sent = queue.answered(work, outcome, result)
        if is_first:
            self._desk.told[outcome] = self._desk.told.get(outcome, 0) + 1
        self._ended(work)

    async def _postpone(self, queue: Queue, work: Work, wait_s: float) -> None:
        while True:
            try:
                await queue.postpone(work, wait_s)
                break
            except ApiError:
                if self._stopping:
                    return
                await asyncio.sleep(LOOK_S)
        asyncio.get_running_loop().call_later(wait_s, self._desk.news.set)
        self._ended(work)

    def _ended(self, work: Work) -> None:
        self._running.pop((work.batch, work.nth), None)
        if not self._running:
            self._looked = 0.0  # it may have been the last request of its batch
        self._desk.news.set()
