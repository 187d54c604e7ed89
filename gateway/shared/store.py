"""The shared store: what the workers of a host, or of a fleet, know together.

There is one interface and three stores behind it: the memory of a single worker (memory_store.py), a SQLite file for
the workers of a host (sqlite_store.py), and a Redis or Valkey server for a fleet (redis_store.py). Every method is
atomic, takes one round trip, and may be called from the loop only. What it gives is to be awaited: it is there at once
in memory, and what several requests ask in one turn of the loop goes as one message to Redis. Every entry has a time
to live, so that nothing grows for ever. Any method may raise Away.

Keys are words with colons, such as "cache:3f2a..."; the store puts its prefix before them. Whatever is secret, or names
a secret, is hashed by its owner before it comes here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar

from gateway.limits.gcra import Level

T = TypeVar("T")

NOTHING: Mapping[str, float] = MappingProxyType({})
MOST_TOTALS = 50_000  # rows of a key
LONGER_S = 3.0  # how much longer than usual a caller waits for which no request waits

Row = tuple[float, ...]
"""Numbers that only grow, the first of them with every change of the others."""


class Away(ConnectionError):
    """The store cannot be reached, or did not answer in time."""


class Late(Away):
    """The store did not answer in time. arrives: what it says later, or Away."""

    def __init__(self, arrives: asyncio.Future[Any]) -> None:
        super().__init__("the store did not answer in time")
        self.arrives = arrives


async def patiently(asked: asyncio.Future[T]) -> T:
    """Waits for the store for longer than usual, since no request waits here, but not for ever: a disk may hang, and
    the start and the end of a worker wait here. Raises Away."""
    try:
        return await asked
    except Late as late:
        try:
            async with asyncio.timeout(LONGER_S):
                answer: T = await late.arrives
                return answer
        except TimeoutError:
            raise Away(f"the store did not answer within {LONGER_S:g} s") from None


class Cell(NamedTuple):
    """What is asked of one limit. per_minute: what it lets through. units: for this request. pause_s: see gcra.py.
    level: what the asker knows of it, in seconds from now; a store that does not know the limit, for instance
    because it began anew, goes on from there. more: units for later requests, which are charged, too, if all cells
    have them."""

    key: str
    per_minute: float
    units: float
    pause_s: float = 0.0
    level: Level = Level()
    more: float = 0.0


class Taken(NamedTuple):
    """The answer. wait_s: 0.0 = all cells are charged; otherwise none is. levels: of each cell, in seconds from now.
    leased: the units for later requests are charged, too."""

    wait_s: float
    levels: tuple[Level, ...]
    leased: bool = False


def then_taken(taken: Taken) -> Any:
    return taken


class Change(NamedTuple):
    """An entry of a feed. left_s: for how long it holds."""

    key: str
    value: bytes
    left_s: float


class News(NamedTuple):
    """What is new in a feed. version: to be used in the next question. If it is lower than the one that was asked with,
    the store began anew: then the changes are all that it has."""

    version: int
    changes: list[Change]


class Slots(NamedTuple):
    """The answer about slots. granted: how many the holder has now. lacking: how many the others want and have not
    got."""

    granted: int
    lacking: int


class Store(Protocol):
    """kind: "memory", "sqlite" or "redis"."""

    @property
    def kind(self) -> str: ...

    # ------------------------------------------------------------------------------------------- values

    def get(self, key: str) -> asyncio.Future[bytes | None]: ...

    def put(self, key: str, value: bytes, ttl_s: float, *, absent: bool = False) -> asyncio.Future[bool]:
        """absent: only where there is none; False = there is one. So a lease is taken, its value naming the holder."""

    def extend(self, key: str, value: bytes, ttl_s: float) -> asyncio.Future[bool]:
        """The entry lives on for ttl_s, if it still has this value; False = it has not."""

    def delete(self, key: str, value: bytes | None = None) -> asyncio.Future[bool]:
        """value: only if it has this one. False = there was none."""

    # -------------------------------------------------------------------------------------------- counts

    def take(
        self, cells: Sequence[Cell], then: Callable[[Taken], Any] = then_taken,
        otherwise: Callable[[Away], Any] | None = None,
    ) -> asyncio.Future[Any]:  # fmt: skip
        """Charges all cells, or none if one of them has to wait. then: makes the answer of that, and otherwise: of what
        went wrong. This is what a request waits for: a future of its own, with a callback, would cost a turn of the
        loop more."""

    def charge(self, cells: Sequence[Cell]) -> asyncio.Future[Taken]:
        """Charges all cells, whatever they hold. Negative units are given back."""

    def add(
        self, key: str, amounts: Mapping[str, float], ttl_s: float, *, at_least: Mapping[str, float] = NOTHING
    ) -> asyncio.Future[dict[str, float]]:
        """Adds to named sums, and gives all sums of the key. With no amounts it only reads them. at_least: the sums
        that are less become that first."""

    def raise_totals(self, key: str, rows: Mapping[str, Row], ttl_s: float) -> asyncio.Future[int]:
        """Puts named rows where there is none, or one with a lower first number. So a caller that got no answer sends
        the same again, and late messages do no harm. A new row beyond MOST_TOTALS is left out. Gives how many there
        are."""

    def totals(self, key: str) -> asyncio.Future[dict[str, Row]]: ...

    def slots(self, key: str, holder: str, wanted: int, limit: int, ttl_s: float) -> asyncio.Future[Slots]:
        """Of `limit` slots the holder gets as many as it wants, or as the others have left. It has them until ttl_s
        are over, or until it asks again; 0 gives all back."""

    # --------------------------------------------------------------------------------------------- feeds

    def publish(self, topic: str, key: str, value: bytes, ttl_s: float) -> asyncio.Future[int]:
        """Puts an entry into a feed, in place of the one with its key. b"" takes it back: followers see the change, and
        then it is gone. Gives the feed's version."""

    def news(self, topic: str, since: int = 0) -> asyncio.Future[News]:
        """The entries of a feed that have changed since that version, in order; from 0 on, all that hold."""

    # ------------------------------------------------------------------------------------------- its life

    def close(self) -> None: ...


def digest(*words: str | bytes) -> str:
    """A key for what must not be read in the store, such as an id or a client's key."""
    hashed = hashlib.blake2b(digest_size=16)
    for word in words:
        data = word.encode("utf-8", "surrogatepass") if isinstance(word, str) else word
        hashed.update(len(data).to_bytes(4, "big") + data)
    return hashed.hexdigest()
