"""The shared store of a single worker: dicts in its memory, limited in number and bytes.

Expired entries are dropped when they are asked for and, a few at a time, with every new entry. If there are too many,
the oldest ones are dropped first.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from gateway.limits import gcra
from gateway.limits.gcra import Level
from gateway.shared.store import MOST_TOTALS, NOTHING, Away, Cell, Change, News, Row, Slots, Taken, then_taken

T = TypeVar("T")

MAX_ENTRIES = 100_000  # of each kind
MAX_BYTES = 256 << 20  # of all values
SWEPT = 2  # so many expired entries are dropped with each new one


class MemoryStore:
    """clock: seconds that never go back."""

    kind = "memory"

    def __init__(self, clock: Callable[[], float] = time.monotonic, max_bytes: int = MAX_BYTES) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._bytes = 0
        self._values: OrderedDict[str, tuple[bytes, float]] = OrderedDict()  # -> (value, expires)
        self._levels: OrderedDict[str, Level] = OrderedDict()
        self._sums: OrderedDict[str, tuple[dict[str, float], float]] = OrderedDict()
        self._totals: OrderedDict[str, tuple[dict[str, Row], float]] = OrderedDict()  # -> (rows, expires)
        self._slots: OrderedDict[str, dict[str, tuple[int, int, float]]] = OrderedDict()  # -> (granted, wanted, until)
        self._feeds: dict[str, OrderedDict[str, tuple[int, bytes, float]]] = {}  # -> (version, value, expires)
        self._version = 0

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._values)} values, {self._bytes} bytes>"

    # ------------------------------------------------------------------------------------------- values

    def get(self, key: str) -> asyncio.Future[bytes | None]:
        return _done(self._value(key))

    def put(self, key: str, value: bytes, ttl_s: float, *, absent: bool = False) -> asyncio.Future[bool]:
        if absent and self._value(key) is not None:
            return _done(False)
        self._drop(key)
        self._sweep()
        self._values[key] = value, self._clock() + ttl_s
        self._bytes += len(value)
        while len(self._values) > MAX_ENTRIES or self._bytes > self._max_bytes:
            self._drop(next(iter(self._values)))
        return _done(True)

    def extend(self, key: str, value: bytes, ttl_s: float) -> asyncio.Future[bool]:
        if self._value(key) != value:
            return _done(False)
        self._values[key] = value, self._clock() + ttl_s
        return _done(True)

    def delete(self, key: str, value: bytes | None = None) -> asyncio.Future[bool]:
        found = self._value(key)
        if found is None or value not in (None, found):
            return _done(False)
        self._drop(key)
        return _done(True)

    def _value(self, key: str) -> bytes | None:
        value, expires = self._values.get(key, (None, 0.0))
        if value is not None and expires <= self._clock():
            self._drop(key)
            return None
        return value

    def _drop(self, key: str) -> None:
        if (found := self._values.pop(key, None)) is not None:
            self._bytes -= len(found[0])

    def _sweep(self) -> None:
        now = self._clock()
        for _ in range(min(SWEPT, len(self._values))):
            key = next(iter(self._values))
            if self._values[key][1] > now:
                return
            self._drop(key)

    # -------------------------------------------------------------------------------------------- counts

    def take(
        self,
        cells: Sequence[Cell],
        then: Callable[[Taken], T] = then_taken,
        otherwise: Callable[[Away], T] | None = None,
    ) -> asyncio.Future[T]:
        now = self._clock()
        levels = [self._level(cell, now) for cell in cells]
        pairs = list(zip(levels, cells, strict=True))
        wait_s = max((gcra.wait_for(level, cell.per_minute, cell.units, now) for level, cell in pairs), default=0.0)
        if wait_s > 0:
            return _done(then(Taken(wait_s, from_now(levels, now))))
        return _done(then(self._charged(pairs, now, leases=has_more(pairs, now))))

    def charge(self, cells: Sequence[Cell]) -> asyncio.Future[Taken]:
        now = self._clock()
        return _done(self._charged([(self._level(cell, now), cell) for cell in cells], now))

    def _charged(self, pairs: Sequence[tuple[Level, Cell]], now: float, *, leases: bool = False) -> Taken:
        levels = charged(pairs, now, leases=leases)
        for level, (_, cell) in zip(levels, pairs, strict=True):
            self._levels.pop(cell.key, None)
            self._levels[cell.key] = level
        while len(self._levels) > MAX_ENTRIES or (self._levels and next(iter(self._levels.values())).full <= now):
            self._levels.popitem(last=False)
        return Taken(0.0, from_now(levels, now), leases)

    def _level(self, cell: Cell, now: float) -> Level:
        level = self._levels.get(cell.key)
        if level is None:
            level = Level(*(each + now for each in cell.level))
            if level.full > now:  # the level is remembered, charged or not
                self._levels[cell.key] = level
        return level

    def add(
        self, key: str, amounts: Mapping[str, float], ttl_s: float, *, at_least: Mapping[str, float] = NOTHING
    ) -> asyncio.Future[dict[str, float]]:
        sums, expires = self._sums.pop(key, ({}, 0.0))
        if expires <= self._clock():
            sums = {}
        for name, least in at_least.items():
            sums[name] = max(least, sums.get(name, least))
        for name, amount in amounts.items():
            sums[name] = sums.get(name, 0.0) + amount
        if sums:
            self._sums[key] = sums, self._clock() + ttl_s if amounts or at_least else expires
        while len(self._sums) > MAX_ENTRIES:
            self._sums.popitem(last=False)
        return _done(dict(sums))

    def raise_totals(self, key: str, rows: Mapping[str, Row], ttl_s: float) -> asyncio.Future[int]:
        known, expires = self._totals.pop(key, ({}, 0.0))
        if expires <= self._clock():
            known, expires = {}, 0.0
        for name, row in rows.items():
            if known[name][0] < row[0] if name in known else len(known) < MOST_TOTALS:
                known[name] = row
        self._totals[key] = known, max(expires, self._clock() + ttl_s)
        while len(self._totals) > MAX_ENTRIES:
            self._totals.popitem(last=False)
        return _done(len(known))

    def totals(self, key: str) -> asyncio.Future[dict[str, Row]]:
        rows, expires = self._totals.get(key, ({}, 0.0))
        return _done(dict(rows) if expires > self._clock() else {})

    def slots(self, key: str, holder: str, wanted: int, limit: int, ttl_s: float) -> asyncio.Future[Slots]:
        now = self._clock()
        held = {who: each for who, each in self._slots.pop(key, {}).items() if each[2] > now and who != holder}
        granted = max(0, min(wanted, limit - sum(each[0] for each in held.values())))
        lacking = sum(max(0, each[1] - each[0]) for each in held.values())
        if wanted:
            held[holder] = granted, wanted, now + ttl_s
        if held:
            self._slots[key] = held
        while len(self._slots) > MAX_ENTRIES:
            self._slots.popitem(last=False)
        return _done(Slots(granted, lacking))

    # --------------------------------------------------------------------------------------------- feeds

    def publish(self, topic: str, key: str, value: bytes, ttl_s: float) -> asyncio.Future[int]:
        feed = self._feeds.setdefault(topic, OrderedDict())
        feed.pop(key, None)
        self._version += 1
        feed[key] = self._version, value, self._clock() + ttl_s
        while len(feed) > MAX_ENTRIES:
            feed.popitem(last=False)
        return _done(self._version)

    def news(self, topic: str, since: int = 0) -> asyncio.Future[News]:
        feed, now = self._feeds.get(topic, OrderedDict()), self._clock()
        for key in [key for key, (_, _, expires) in feed.items() if expires <= now]:
            del feed[key]
        since = 0 if since > self._version else since
        changes = [
            Change(key, value, expires - now)
            for key, (version, value, expires) in feed.items()
            if version > since and (value or since)
        ]
        return _done(News(self._version, changes))

    def close(self) -> None:
        for kind in (self._values, self._levels, self._sums, self._totals, self._slots, self._feeds):
            kind.clear()
        self._bytes = 0


def has_more(pairs: Sequence[tuple[Level, Cell]], now: float) -> bool:
    """Whether all cells have what is asked for beyond the request."""
    is_asked = any(cell.more for _, cell in pairs)
    return is_asked and all(gcra.has(level, cell.per_minute, cell.units + cell.more, now) for level, cell in pairs)


def charged(pairs: Sequence[tuple[Level, Cell]], now: float, *, leases: bool) -> list[Level]:
    return [
        gcra.charged(level, cell.per_minute, cell.units + cell.more * leases, now, cell.pause_s)
        for level, cell in pairs
    ]


def from_now(levels: Sequence[Level], now: float) -> tuple[Level, ...]:
    """The levels as Taken tells them, in seconds from now."""
    return tuple(Level(level.full - now, level.opens - now) for level in levels)


def _done(value: T) -> asyncio.Future[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future
