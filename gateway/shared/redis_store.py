"""The shared store of a fleet: a Redis or Valkey server.

It is looked for in the background, from the start and after each loss, with pauses that grow up to two seconds; as long
as it is not there every question fails at once. Values have a connection of their own, so that a large one never stands
before a request that asks for its quota.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from gateway.limits.gcra import Level
from gateway.shared import redis_scripts as scripts
from gateway.shared.patience import PATIENCE_S, fail
from gateway.shared.redis_link import Link
from gateway.shared.redis_scripts import ROOM, call
from gateway.shared.redis_wire import Wire, packed
from gateway.shared.store import (
    MOST_TOTALS,
    NOTHING,
    Away,
    Cell,
    Change,
    News,
    Row,
    Slots,
    Taken,
    patiently,
    then_taken,
)

log = logging.getLogger("gateway")

T = TypeVar("T")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
FULL_S = 0.5  # between two tries to write to a server that is full
BEAT_S = 20.0  # an idle connection is used so often
MAX_CHANGES = 10_000  # of a feed
MOST_TOLD, KIND_CHARS = 20, 60  # kinds of odd answers that are told, and what tells one from another
_NAMES = re.compile(r"\d+|f_[0-9a-f]{40}")


class RedisConnection:
    """One connection, made again whenever it is lost. on_change: is told when it comes and goes. away: why it is not
    there, or nothing can be written on it; what the server has can still be read then. answers_s: how long the server
    took for an answer when the connection was new."""

    def __init__(
        self, link: Link, patience_s: float, on_change: Callable[[], None], scripts: Sequence[str] = scripts.ALL
    ) -> None:
        """scripts: those that are run on it."""
        self._link = link
        self._scripts = scripts
        self._room = call(ROOM, [link.key.encode() + b"room"], [])
        self._patience_s = patience_s
        self.away: str | None = None  # it is tried for the first time
        self.answers_s = 0.0
        self._told: set[str] = set()
        self._on_change = on_change
        self._wire: Wire | None = None
        self._task: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._write_again: asyncio.TimerHandle | None = None
        self.ready = asyncio.Event()

    def __repr__(self) -> str:
        return f"<RedisConnection {self._wire!r}>"

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._keep())

    def send(
        self, command: bytes, read: Callable[[Any], T], otherwise: Callable[[Away], T] | None = None
    ) -> asyncio.Future[T]:
        """As Wire.send."""
        if self._wire is None:
            answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            fail(answer, Away("there is no connection"), otherwise)
            return answer
        return self._wire.send(command, read, otherwise)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._stops_to_write()
        if self._wire is not None:
            self._wire.close()

    def _changed(self, why: str) -> None:
        self.away = why
        self._on_change()

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            wire = Wire(asyncio.get_running_loop(), self._patience_s, self._on_lost, self._on_full, self._on_odd)
            try:
                await self._link.connect(wire)
                self._lost.clear()
                await self._prepared(wire)
            except Away as why:
                wire.close()
                self._changed(str(why))
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE_S, pause * 2)
                continue
            pause = FIRST_PAUSE_S
            self._wire = wire
            self.ready.set()
            if self._write_again is None:
                self._changed("")
            await self._holds()

    async def _holds(self) -> None:
        """Until it is lost. Servers, and routers before them, close what is idle, or forget it without a word. The
        command is one that the store needs anyway: a user who lacks the right to another would seem an outage."""
        while not self._lost.is_set():
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._lost.wait()
            except TimeoutError:
                self.send(self._room, _same)

    async def _prepared(self, wire: Wire) -> None:
        """It has the scripts, and is one to which they may write: not a replica, which would be found out by the next
        request, and by every one after it. Raises Away."""
        has = [*self._scripts, ROOM]
        try:
            sent = [wire.send(packed(b"SCRIPT", b"LOAD", each.encode()), _same) for each in has]
            await asyncio.gather(*map(patiently, sent))
            began = time.monotonic()
            await patiently(wire.send(self._room, _same))
            self.answers_s = time.monotonic() - began
        except Away as why:
            if self._write_again is None:  # else it is full, and can be read
                raise Away(self._link.explained(why)) from why

    def _on_lost(self, wire: Wire, why: str) -> None:
        self._lost.set()
        if wire is self._wire:
            self._wire = None
            self.ready.clear()
            self._stops_to_write()
            self._changed(why)

    def _on_full(self, why: str) -> None:
        """Others ask for nothing while it is away, so that only a write of its own tells when there is room again."""
        if self._write_again is None:
            self._changed(why)
            self._write_again = asyncio.get_running_loop().call_later(FULL_S, self._writes)

    def _on_odd(self, why: str) -> None:
        """It is no outage, since other questions are answered; but each worker counts alone what this one was about.
        While the connection is prepared it is one, and told as that."""
        kind = _NAMES.sub("", why)[:KIND_CHARS]
        if self._wire is not None and kind not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(kind)
            log.warning(
                "the shared store (redis) refuses a question: %s. Requests go on, with what each worker knows itself. "
                "Has another program written under [shared] prefix, or is the server older than Redis 5?", why,
            )  # fmt: skip

    def _writes(self) -> None:
        self._write_again = None
        self.send(self._room, lambda said: self._changed(""))

    def _stops_to_write(self) -> None:
        if self._write_again is not None:
            self._write_again.cancel()
            self._write_again = None


class RedisStore:
    """on_change: is called with "" when the server is there, and with the reason when it is not."""

    kind = "redis"

    def __init__(
        self, url: str, prefix: str, on_change: Callable[[str], None] = lambda why: None,
        patience_s: float = PATIENCE_S,
    ) -> None:  # fmt: skip
        """prefix: of all keys. Who shares it shares the state. patience_s: how long a question waits for its answer."""
        prefix = prefix.replace("{", "").replace("}", "")  # they would make it another hash tag
        self._prefix = f"{{{prefix}}}:".encode()
        self._link = Link(url, self._prefix.decode())
        self._on_change = on_change
        self._patience_s = patience_s
        self._is_told_slow = False
        self._counts = RedisConnection(self._link, patience_s, self._changed)
        self._values = RedisConnection(self._link, patience_s, self._changed)

    def __repr__(self) -> str:
        return f"<RedisStore {self._counts!r}>"

    def _changed(self) -> None:
        if self._counts.away is None or self._values.away is None:
            return
        why = self._counts.away or self._values.away
        self._on_change(why)
        if not why and self._counts.answers_s > self._patience_s and not self._is_told_slow:
            self._is_told_slow = True
            log.warning(
                "the shared store took %.0f ms for an answer, and [shared] patience is %.0f ms: requests go on before "
                "they have its answers. A higher patience lets them wait; a nearer server makes it short",
                1000 * self._counts.answers_s, 1000 * self._patience_s,
            )  # fmt: skip

    def start(self) -> None:
        self._counts.start()
        self._values.start()

    async def wait(self, seconds: float) -> None:
        """Until it is there, or so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._counts.ready.wait()
                await self._values.ready.wait()
        except TimeoutError:
            return

    def line(self, scripts: Sequence[str], patience_s: float, on_change: Callable[[], None]) -> RedisConnection:
        """A further connection, for callers for which no request waits."""
        return RedisConnection(self._link, patience_s, on_change, scripts)

    def close(self) -> None:
        self._counts.close()
        self._values.close()

    # ------------------------------------------------------------------------------------------- values

    def get(self, key: str) -> asyncio.Future[bytes | None]:
        return self._values.send(packed(b"GET", self.key(key)), _same)

    def put(self, key: str, value: bytes, ttl_s: float, *, absent: bool = False) -> asyncio.Future[bool]:
        more = (b"NX",) if absent else ()
        return self._values.send(packed(b"SET", self.key(key), value, b"PX", _ms(ttl_s), *more), _is_some)

    def extend(self, key: str, value: bytes, ttl_s: float) -> asyncio.Future[bool]:
        return self._run(self._values, scripts.EXTEND, [key], [value, _ms(ttl_s)], bool)

    def delete(self, key: str, value: bytes | None = None) -> asyncio.Future[bool]:
        if value is None:
            return self._values.send(packed(b"DEL", self.key(key)), bool)
        return self._run(self._values, scripts.DELETE, [key], [value], bool)

    # -------------------------------------------------------------------------------------------- counts

    def take(
        self,
        cells: Sequence[Cell],
        then: Callable[[Taken], T] = then_taken,
        otherwise: Callable[[Away], T] | None = None,
    ) -> asyncio.Future[T]:
        return self._bound(b"take", cells, lambda said: then(_taken(said)), otherwise)

    def charge(self, cells: Sequence[Cell]) -> asyncio.Future[Taken]:
        return self._bound(b"charge", cells, _taken)

    def _bound(
        self, how: bytes, cells: Sequence[Cell], read: Callable[[Any], T],
        otherwise: Callable[[Away], T] | None = None,
    ) -> asyncio.Future[T]:  # fmt: skip
        words = [
            b"%.9g %.9g %.9g %.6f %.6f %.9g" % (cell.per_minute, cell.units, cell.pause_s, *cell.level, cell.more)
            for cell in cells
        ]
        keys = [cell.key for cell in cells]
        return self._run(self._counts, scripts.BOUND, keys, [how, *words], read, otherwise)

    def add(
        self, key: str, amounts: Mapping[str, float], ttl_s: float, *, at_least: Mapping[str, float] = NOTHING
    ) -> asyncio.Future[dict[str, float]]:
        words = [_ms(ttl_s), b"%d" % len(at_least)]
        for name, amount in (*at_least.items(), *amounts.items()):
            words += [name.encode(), b"%.12g" % amount]
        return self._run(self._counts, scripts.ADD, [key], words, _sums)

    def raise_totals(self, key: str, rows: Mapping[str, Row], ttl_s: float) -> asyncio.Future[int]:
        words = [_ms(ttl_s), b"%d" % MOST_TOTALS]
        for name, row in rows.items():
            words += [name.encode("utf-8", "surrogatepass"), b" ".join(b"%.17g" % number for number in row)]
        return self._run(self._values, scripts.RAISE_TOTALS, [key], words, int)

    def totals(self, key: str) -> asyncio.Future[dict[str, Row]]:
        return self._values.send(packed(b"HGETALL", self.key(key)), _rows)

    def slots(self, key: str, holder: str, wanted: int, limit: int, ttl_s: float) -> asyncio.Future[Slots]:
        words = [holder.encode(), b"%d" % wanted, b"%d" % limit, _ms(ttl_s)]
        return self._run(self._counts, scripts.SLOTS, [key], words, lambda said: Slots(*said))

    # --------------------------------------------------------------------------------------------- feeds

    def publish(self, topic: str, key: str, value: bytes, ttl_s: float) -> asyncio.Future[int]:
        words = [key.encode("utf-8", "surrogatepass"), value, _ms(ttl_s), b"%d" % MAX_CHANGES]
        return self._run(self._values, scripts.PUBLISH, _feed(topic), words, int)

    def news(self, topic: str, since: int = 0) -> asyncio.Future[News]:
        return self._run(self._values, scripts.NEWS, _feed(topic), [b"%d" % since], _news)

    # ------------------------------------------------------------------------------------------- inside

    def key(self, key: str) -> bytes:
        """Its name on the server."""
        return self._prefix + key.encode("utf-8", "surrogatepass")

    def _run(
        self, line: RedisConnection, script: str, keys: Sequence[str], words: Sequence[bytes], read: Callable[[Any], T],
        otherwise: Callable[[Away], T] | None = None,
    ) -> asyncio.Future[T]:  # fmt: skip
        return line.send(scripts.call(script, [*map(self.key, keys)], words), read, otherwise)


def _feed(topic: str) -> list[str]:
    return [f"feed:{topic}{part}" for part in ("", ":versions", ":expiries", ":version")]


def _ms(seconds: float) -> bytes:
    return b"%d" % max(1, round(seconds * 1000))


def _same(said: Any) -> bytes | None:
    found: bytes | None = said
    return found


def _is_some(said: Any) -> bool:
    return said is not None


def _taken(said: Any) -> Taken:
    numbers = [float(word) for word in said.split()]
    return Taken(numbers[0], tuple(map(Level, numbers[2::2], numbers[3::2])), numbers[1] > 0)


def _sums(said: Any) -> dict[str, float]:
    return {name.decode(): float(amount) for name, amount in zip(said[::2], said[1::2], strict=True)}


def _rows(said: Any) -> dict[str, Row]:
    pairs = zip(said[::2], said[1::2], strict=True)
    return {name.decode("utf-8", "surrogatepass"): tuple(map(float, row.split())) for name, row in pairs}


def _news(said: Any) -> News:
    rows = zip(said[1::3], said[2::3], said[3::3], strict=True)
    changes = [Change(key.decode("utf-8", "surrogatepass"), value, float(left)) for key, value, left in rows]
    return News(said[0], changes)
