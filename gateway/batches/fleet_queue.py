"""The queue of a fleet: batches and their files are in the server of the shared store, for all hosts.

Any worker claims requests, for a lease that it renews; if a worker is no longer heard of, others claim its requests. An
answer is sent to the server in the turn of the loop in which it came. All workers together have as many requests on
their way as [batches] concurrent says, and each worker has a part of these. Nothing outlives its batch by more than
[batches] keep_days. What is kept is as durable as the server: one that writes nothing to disk forgets batches when it
restarts.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from gateway.batches import fleet_scripts as scripts
from gateway.batches.queue import Progress
from gateway.shared.redis_scripts import call
from gateway.shared.redis_store import RedisStore
from gateway.shared.redis_wire import packed
from gateway.shared.store import Away, digest
from operate.batch_store import WAITING, Batch, File, Outcome, Result, Work
from translate.failures.errors import ApiError
from translate.json import wire

log = logging.getLogger("proxy")

T = TypeVar("T")

LEASE_S = 10.0
WORKER_S = 5.0  # for so long after its last claim a worker has a part
CONNECT_S = 1.0  # the longest wait for the connection
PATIENCE_S = 5.0  # the longest wait for an answer
PIECE_ROWS, PIECE_BYTES = 500, 4 << 20  # the most in one command
READ_ROWS = 50  # whose results may be large
HALF_S = 3600.0  # a batch that was not written to its end is dropped after this


class FleetQueue:
    """The queue. keep_s: how long ended batches and files are kept. tells: whether tend() reports on the batches."""

    def __init__(
        self, store: RedisStore, keep_s: float, *, tells: bool = True, lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._tells = tells
        self._base = store.key("batches")
        self._files = store.key("files")
        self.keep_s = keep_s
        self._lease_s = lease_s
        self._clock = clock
        self._me = secrets.token_hex(6).encode()
        self._here_since = clock()
        self._is_started = self._is_looked_at = False
        self._line = store.line(scripts.ALL, PATIENCE_S, self._changed)

    def __repr__(self) -> str:
        return f"<FleetQueue {self._line!r}>"

    @property
    def trouble(self) -> str:
        """Its server's is told as that of the shared store."""
        return ""

    def _changed(self) -> None:
        """While the server was away nobody could renew a lease: for a while nothing is taken over."""
        if self._line.away == "":
            self._here_since = self._clock()

    def close(self) -> None:
        self._line.close()

    # ------------------------------------------------------------------------------------------- batches

    async def add(self, batch: Batch, requests: Sequence[tuple[str, bytes]]) -> None:
        if not self._is_looked_at:
            self._is_looked_at = True
            await self._look_at_server()
        ttl = _ms(batch.expires - batch.created + self.keep_s)
        id, half = batch.id.encode(), _ms(HALF_S)
        fields = [word for name in Batch._fields if name not in ("id", "total") for word in _field(name, batch)]
        await self._ask(packed(b"HSET", self._key(id), *fields))
        await self._ask(packed(b"PEXPIRE", self._key(id), half))
        numbered = ((_number(nth), _row(WAITING, name, request)) for nth, (name, request) in enumerate(requests))
        for piece in _pieces(numbered):
            waiting = [word for nth, _ in piece for word in (b"0", nth)]
            await self._ask(packed(b"HSET", self._key(id, b":rows"), *(word for row in piece for word in row)))
            await self._ask(packed(b"ZADD", self._key(id, b":waiting"), *waiting))
            for part in (b":rows", b":waiting"):
                await self._ask(packed(b"PEXPIRE", self._key(id, part), half))
        words = [id, b"%d" % batch.total, ttl, b"%.6f" % batch.created]
        await self._run(scripts.OPEN, words, self._of(batch.form, batch.owner))

    async def get(self, id: str) -> Batch | None:
        return _batch(id, await self._ask(packed(b"HGETALL", self._key(id.encode()))))

    async def listed(self, form: str, owner: str) -> list[Batch]:
        return await self._listed(self._of(form, owner), self.get)

    async def counts(self, id: str) -> dict[Outcome, int]:
        said = _fields(await self._ask(packed(b"HGETALL", self._key(id.encode()))))
        if b"total" not in said:
            return {}
        waiting = {WAITING: left} if (left := int(said[b"total"]) - int(said[b"done"])) else {}
        return waiting | {name[2:].decode(): int(many) for name, many in said.items() if name[:2] == b"n:"}

    async def results(self, id: str, after: int, most: int) -> list[Result]:
        key = self._key(id.encode())
        total, rest = await self._ask(packed(b"HMGET", key, b"total", b"rest"))
        numbers = range(after + 1, min(after + 1 + min(most, READ_ROWS), int(total or 0)))
        if not numbers:
            return []
        rows = await self._ask(packed(b"HMGET", key + b":rows", *map(_number, numbers)))
        return [_result(nth, row, (rest or b"").decode()) for nth, row in zip(numbers, rows, strict=True) if row]

    async def cancel(self, id: str, at: float) -> None:
        await self._run(scripts.CANCEL, [id.encode(), b"%.3f" % at])

    async def delete(self, id: str) -> None:
        batch = await self.get(id)
        if batch is not None:
            await self._run(scripts.DELETE, [id.encode()], self._of(batch.form, batch.owner))

    # --------------------------------------------------------------------------------- for who runs them

    async def claim(self, running: int, most: int) -> Work | None:
        await self._there()
        takes_over = self._clock() - self._here_since > self._lease_s
        words = [self._me, b"%d" % running, b"%d" % most, _ms(self._lease_s), b"%d" % takes_over, _ms(WORKER_S)]
        said = await self._run(scripts.CLAIM, words)
        if not said:
            return None
        id, nth, row, tries = said
        _, name, request = row.split(b"\n", 2)
        return Work(id.decode(), int(nth), wire.loads(name), request, int(tries))

    async def keep(self, works: Sequence[Work]) -> None:
        await self._run(scripts.KEEP, [self._me, _ms(self._lease_s), *map(_member, works)])

    def answered(self, work: Work, outcome: Outcome, result: bytes) -> Awaitable[bool]:
        words = [work.batch.encode(), _number(work.nth), _row(outcome, work.name, result), outcome.encode()]
        return self._was_first(work, self._line.send(call(scripts.ANSWERED, [self._base], words), int))

    async def _was_first(self, work: Work, sent: asyncio.Future[int]) -> bool:
        said = await _checked(sent)
        if said < 0:
            log.warning("the result of request %d of batch %s is lost: the shared store has forgotten the batch",
                        work.nth, work.batch)  # fmt: skip
        return said > 0

    async def postpone(self, work: Work, wait_s: float) -> None:
        tries = work.tries + 1 if wait_s else work.tries
        words = [self._me, work.batch.encode(), _number(work.nth), b"%.3f" % wait_s, b"%d" % tries]
        await self._run(scripts.POSTPONE, words)

    async def tend(self, keep_s: float) -> list[Progress]:
        self.keep_s = keep_s
        if not self._tells:
            return []
        return [
            {"id": id.decode(), "client": client.decode(), "form": form.decode(), "total": int(total),
             "done": int(done), "running": running, "errored": int(errored), "created": float(created)}
            for id, client, form, total, done, errored, created, running in await self._run(scripts.TEND, [])
        ]  # fmt: skip

    async def leave(self) -> None:
        await self._ask(packed(b"ZREM", self._key(b"workers"), self._me))

    # --------------------------------------------------------------------------------------------- files

    async def add_file(self, file: File, content: bytes) -> None:
        id, ttl = file.id.encode(), _ms(self.keep_s)
        key, pieces = self._file(id), self._file(id, b":content")
        for at in range(0, len(content), PIECE_BYTES):
            await self._ask(packed(b"RPUSH", pieces, content[at : at + PIECE_BYTES]))
            await self._ask(packed(b"PEXPIRE", pieces, ttl if at + PIECE_BYTES >= len(content) else _ms(HALF_S)))
        owned = self._owned(file.owner)
        await self._ask(packed(b"SET", key, wire.dumps(list(file)), b"PX", ttl))
        await self._ask(packed(b"ZADD", owned, b"%.6f" % file.created, id))
        await self._ask(packed(b"PEXPIRE", owned, ttl))

    async def files(self, owner: str) -> list[File]:
        return await self._listed(self._owned(owner), self.one_file)

    async def one_file(self, id: str) -> File | None:
        said = await self._ask(packed(b"GET", self._file(id.encode())))
        return File(*wire.loads(said)) if said is not None else None

    async def content(self, id: str) -> bytes:
        found = bytearray()
        key, nth = self._file(id.encode(), b":content"), 0
        while piece := await self._ask(packed(b"LINDEX", key, b"%d" % nth)):
            found += piece
            nth += 1
        return bytes(found)

    async def delete_file(self, id: str) -> None:
        file = await self.one_file(id)
        if file is not None:
            await self._ask(packed(b"DEL", self._file(id.encode()), self._file(id.encode(), b":content")))
            await self._ask(packed(b"ZREM", self._owned(file.owner), id.encode()))

    # -------------------------------------------------------------------------------------------- inside

    async def _look_at_server(self) -> None:
        """Warns where it is not made for what has to last, if it may be asked."""
        try:
            said = await self._ask(packed(b"INFO"))
        except ApiError:
            return
        about = dict(line.partition(":")[::2] for line in said.decode("utf-8", "replace").splitlines())
        if about.get("aof_enabled") == "0":
            log.warning("the server of [shared] url may forget batches when it is restarted: switch its appendonly on, "
                        "or set [batches] queue = host")  # fmt: skip
        if (policy := about.get("maxmemory_policy", "noeviction")) != "noeviction":
            log.warning("the server of [shared] url throws batches away when its memory is full (maxmemory-policy %s): "
                        "make it noeviction, or set [batches] queue = host", policy)  # fmt: skip

    async def _listed(self, key: bytes, get: Callable[[str], Awaitable[T | None]]) -> list[T]:
        """The latest first. What has expired leaves the list."""
        ids = [id.decode() for id in await self._ask(packed(b"ZREVRANGE", key, b"0", b"-1"))]
        found = await asyncio.gather(*map(get, ids))
        gone = [id.encode() for id, each in zip(ids, found, strict=True) if each is None]
        if gone:
            await self._ask(packed(b"ZREM", key, *gone))
        return [each for each in found if each is not None]

    def _key(self, id: bytes, part: bytes = b"") -> bytes:
        return b"%b:%b%b" % (self._base, id, part)

    def _of(self, form: str, owner: str) -> bytes:
        return self._key(b"of:" + digest(form, owner).encode())

    def _file(self, id: bytes, part: bytes = b"") -> bytes:
        return b"%b:%b%b" % (self._files, id, part)

    def _owned(self, owner: str) -> bytes:
        return self._file(b"of:" + digest(owner).encode())

    async def _run(self, script: str, words: Sequence[bytes], *keys: bytes) -> Any:
        return await self._ask(call(script, [self._base, *keys], words))

    async def _ask(self, command: bytes) -> Any:
        await self._there()
        return await _checked(self._line.send(command, _same))

    async def _there(self) -> None:
        """Raises ApiError where the server is away."""
        if not self._is_started:
            self._is_started = True
            self._line.start()
        if not self._line.ready.is_set():
            try:
                async with asyncio.timeout(CONNECT_S):
                    await self._line.ready.wait()
            except TimeoutError:
                raise _away(self._line.away or "it does not answer") from None


def _same(said: Any) -> Any:
    return said


async def _checked(sent: asyncio.Future[T]) -> T:
    try:
        return await sent
    except Away as why:
        raise _away(str(why)) from None


def _away(why: str) -> ApiError:
    log.info("batches: the shared store is away: %s", why)
    return ApiError("overloaded", "batches are in the shared store, which is away; try again in a moment", 503,
                    retry_after=1)  # fmt: skip


def _pieces(rows: Iterable[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    piece: list[tuple[bytes, bytes]] = []
    size = 0
    for row in rows:
        if piece and (len(piece) == PIECE_ROWS or size + len(row[1]) > PIECE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(row)
        size += len(row[1])
    if piece:
        yield piece


def _number(nth: int) -> bytes:
    return b"%08d" % nth


def _member(work: Work) -> bytes:
    return b"%b %08d" % (work.batch.encode(), work.nth)


def _row(outcome: Outcome, name: str, data: bytes) -> bytes:
    return b"%b\n%b\n%b" % (outcome.encode(), wire.dumps(name), data)


def _result(nth: int, row: bytes, rest: Outcome) -> Result:
    """rest: of what has no result."""
    outcome, name, data = row.split(b"\n", 2)
    own = outcome.decode()
    return Result(nth, wire.loads(name), own or rest, b"" if own in ("", rest) else data)


def _field(name: str, batch: Batch) -> tuple[bytes, bytes]:
    value = getattr(batch, name)
    return name.encode(), b"" if value is None else str(value).encode("utf-8", "surrogatepass")


def _fields(said: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(said[::2], said[1::2], strict=True))


def _batch(id: str, said: list[bytes]) -> Batch | None:
    fields = {name.decode(): value.decode("utf-8", "surrogatepass") for name, value in _fields(said).items()}
    if "total" not in fields:  # it is not written to its end
        return None

    def time_of(name: str) -> float | None:
        return float(fields[name]) if fields[name] else None

    return Batch(
        id, fields["form"], fields["owner"], fields["client"], float(fields["created"]), float(fields["expires"]),
        time_of("cancelled"), time_of("ended"), int(fields["total"]), fields["about"],
    )  # fmt: skip


def _ms(seconds: float) -> bytes:
    return b"%d" % max(1, round(seconds * 1000))
