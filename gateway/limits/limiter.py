"""What a limit must offer to the Lease (flow/lease.py) and to the quotas of clients, wherever it counts.

A `Limiter` may answer at once, as those in memory do, or later: then `take` returns something to be awaited. So a
limiter that counts in a server of its own is one file with this interface. Its callers handle both answers, and pay for
the second only if it comes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from msgspec import Struct

log = logging.getLogger("gateway")

T = TypeVar("T")

MINE = "requests_per_minute or tokens_per_minute"


class Wait(Struct, frozen=True):
    """Not now. seconds: until it is worth asking again. why: the name of the limit."""

    seconds: float
    why: str


class Left(Struct, frozen=True):
    """What is left of a limit. unit: "requests" or "tokens". most: in a minute. full_in_s: until all of them are there
    again."""

    unit: str
    most: int
    left: int
    full_in_s: float


class Limiter(Protocol):
    """A limit of requests and tokens a minute, for a client or an upstream."""

    @property
    def counts_tokens(self) -> bool: ...

    @property
    def tokens_per_minute(self) -> int:
        """The limit of tokens; 0 = none."""

    def take(self, tokens: int, now: float) -> float | Awaitable[float]:
        """Returns 0.0 and charges the request, or returns how many seconds it must wait and charges nothing."""

    def owe(self) -> Awaitable[None] | None:
        """Charges one more request, which cannot wait. Its tokens are counted when they are known."""

    def give_back(self, tokens: int) -> Awaitable[None] | None:
        """Gives back what a request was charged that was not sent."""

    def correct(self, tokens: int) -> Awaitable[None] | None:
        """Charges so many tokens more than before (negative: fewer), as the request has really taken them."""

    def left(self, now: float) -> list[Left]:
        """Returns what is left of each limit, as far as it is known here."""


_RUNNING: set[asyncio.Future[Any]] = set()  # the event loop alone does not keep them alive


def finish(told: Awaitable[None] | None) -> None:
    """Lets an answer of a limiter arrive for which nobody waits."""
    if told is not None:
        when(told, _is_told)


def _is_told(arrived: asyncio.Future[None]) -> None:
    if not arrived.cancelled() and (why := arrived.exception()) is not None:
        log.error("a limiter failed, and counts something wrong now", exc_info=why)


def when(answer: Awaitable[T], then: Callable[[asyncio.Future[T]], None]) -> asyncio.Future[T]:
    """Calls `then` when the answer is there. The returned future may be cancelled."""
    asked = asyncio.ensure_future(answer)
    _RUNNING.add(asked)
    asked.add_done_callback(_RUNNING.discard)
    asked.add_done_callback(then)
    return asked
