"""What the Lease (flow/lease.py) and the quotas of clients need of a bound, wherever that one counts.

A `Limiter` may answer at once, as those in memory do, or later: then `take` gives something to be awaited. So one that
counts in a server of its own is one file with this interface; whoever asks has a way for both answers, and pays for the
second only where it comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol, TypeVar

log = logging.getLogger("gateway")

T = TypeVar("T")

MINE = "requests_per_minute or tokens_per_minute"


class Wait(NamedTuple):
    """Not now: seconds until it is worth another question, and the name of the bound."""

    seconds: float
    why: str


class Left(NamedTuple):
    """unit: "requests" or "tokens". most: a minute. full_in_s: until all of them are there again."""

    unit: str
    most: int
    left: int
    full_in_s: float


class Limiter(Protocol):
    """Requests and tokens a minute, of a client or an upstream."""

    @property
    def counts_tokens(self) -> bool: ...

    @property
    def tokens_per_minute(self) -> int:
        """0 = no bound."""

    def take(self, tokens: int, now: float) -> float | Awaitable[float]:
        """0.0: the request may go, and is charged. Else the seconds until it may, and nothing is charged."""

    def owe(self) -> Awaitable[None] | None:
        """One request more, which cannot wait; its tokens are counted when they are known."""

    def give_back(self, tokens: int) -> Awaitable[None] | None:
        """A request that was charged did not go."""

    def correct(self, tokens: int) -> Awaitable[None] | None:
        """The request took so many tokens more than it was charged (negative: fewer)."""

    def left(self, now: float) -> list[Left]:
        """What is left of each bound, as far as it is known here."""


_RUNNING: set[asyncio.Future[Any]] = set()  # a loop alone does not keep them


def finish(told: Awaitable[None] | None) -> None:
    """Lets what a limiter was told arrive; nobody waits for that."""
    if told is not None:
        when(told, _is_told)


def _is_told(arrived: asyncio.Future[None]) -> None:
    if not arrived.cancelled() and (why := arrived.exception()) is not None:
        log.error("a limiter failed, and counts something wrong now", exc_info=why)


def when(answer: Awaitable[T], then: Callable[[asyncio.Future[T]], None]) -> asyncio.Future[T]:
    """Calls `then` once the answer is there; the future may be cancelled."""
    asked = asyncio.ensure_future(answer)
    _RUNNING.add(asked)
    asked.add_done_callback(_RUNNING.discard)
    asked.add_done_callback(then)
    return asked
