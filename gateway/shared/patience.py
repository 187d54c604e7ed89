"""Limits how long a caller waits for a shared store.

Answers come in the order of the questions. One timer serves all that wait, since a timer for each would cost as much as
the question. While the oldest question is overdue, `is_late` says so, and nobody need ask more.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable
from typing import Any

from gateway.shared.store import Away, Late

PATIENCE_S = 0.05
LOST_S = 1.0
MOST_WAITING = 10_000

Read = Callable[[Any], Any]
Otherwise = Callable[[Away], Any] | None
"""Makes the answer of what went wrong; None = the answer is that."""


class Patience:
    """The questions that wait. seconds: how long each one waits. on_silence: is called if nothing was answered for
    LOST_S."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, on_silence: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._late = 0  # how many of the first ones were told that no answer came in time
        self._on_silence = on_silence
        self._waiting: collections.deque[tuple[asyncio.Future[Any], Read, Otherwise, float]] = collections.deque()
        self._heard_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Patience {len(self._waiting)} wait>"

    @property
    def is_late(self) -> bool:
        waiting = self._waiting
        return bool(waiting) and (len(waiting) >= MOST_WAITING or self._loop.time() - waiting[0][3] > self._seconds)

    @property
    def nobody_waits(self) -> bool:
        return not self._waiting

    def waits(self, answer: asyncio.Future[Any], read: Read, otherwise: Otherwise = None) -> None:
        """Adds a question. read: makes the result of what comes."""
        self._waiting.append((answer, read, otherwise, self._loop.time()))
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def heard(self) -> tuple[asyncio.Future[Any], Read, Otherwise] | None:
        """Returns the question whose answer comes next; None = nobody has asked."""
        if not self._waiting:
            return None
        self._heard_at = self._loop.time()
        answer, read, otherwise, _ = self._waiting.popleft()
        self._late = max(0, self._late - 1)
        return answer, read, otherwise

    def over(self, why: str) -> None:
        """Nothing more will come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting, self._late = self._waiting, collections.deque(), 0
        for answer, _, otherwise, _ in waiting:
            fail(answer, Away(why), otherwise)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._late < len(self._waiting) and now - self._waiting[self._late][3] >= self._seconds:
            answer, read, otherwise, since = self._waiting[self._late]
            if not answer.done():
                arrives: asyncio.Future[Any] = self._loop.create_future()
                self._waiting[self._late] = arrives, read, None, since
                fail(answer, Late(arrives), otherwise)
            self._late += 1
        if not self._waiting:
            return
        self._timer = self._loop.call_later(self._seconds / 2, self._look)
        if now - max(self._waiting[0][3], self._heard_at) > max(LOST_S, self._seconds):
            self._on_silence()


def fail(answer: asyncio.Future[Any], why: Away, otherwise: Otherwise = None) -> None:
    if answer.done():
        return
    if otherwise is not None:
        answer.set_result(otherwise(why))
    else:
        answer.set_exception(why)
        answer.exception()  # otherwise asyncio would complain if nobody waits for it
