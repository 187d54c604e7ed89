"""A request about batches or files, read whole, and what it is answered."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

from msgspec import Struct
from tornado.httputil import HTTPHeaders

from gateway.batches.desk import Desk
from gateway.batches.queue import Queue
from gateway.http import json_bounds
from operate.batch_store import Batch
from translate.failures.errors import ApiError, BadRequest
from translate.json import sliced_json, wire

MARK = "px"
"""Begins the rest of every id that the proxy gives: an upstream's never does."""
BYTES = "bytes"
"""Where a batch's `about` has how large its requests are."""
MAX_VALUES = 2_000_000  # of JSON, in a batch
LARGE = 1 << 16  # bytes of one that is read beside the loop


FORMS = ("messages", "openai")
"""The APIs of batches."""


class WholeRequest(Struct, frozen=True):
    """client: its name; owner: whose what it makes is. origin: where it reaches the proxy, perhaps under a path."""

    desk: Desk
    client: str
    owner: str
    method: str
    path: str
    query: str
    headers: HTTPHeaders
    body: bytes
    origin: str
    now: float

    @property
    def queue(self) -> Queue:
        if self.desk.queue is None:
            raise ApiError("not_found", "no upstream has batches, and the proxy runs none ([batches] file)")
        return self.desk.queue

    @contextlib.asynccontextmanager
    async def room(self, what: str, size: int) -> AsyncIterator[Queue]:
        """Where a file or a batch of so many bytes is put. what: "files" or "batches". Raises BadRequest where the
        client keeps as much as it may."""
        queue, own = self.queue, self.desk.settings
        async with self.desk.adding:
            files = await queue.files(self.owner)
            batches = [batch for form in FORMS for batch in await queue.listed(form, self.owner)]
            most = own.client_files if what == "files" else own.client_batches
            if most and len(files if what == "files" else batches) >= most:
                raise _full(f"{most} {what}", f"client_{what}")
            kept = sum(file.size for file in files) + sum(wire.loads(batch.about).get(BYTES, 0) for batch in batches)
            if own.client_mb and kept + size > own.client_mb << 20:
                raise _full(f"{own.client_mb} MB of files and batches", "client_mb")
            yield queue

    def parameter(self, name: str) -> str:
        return parse_qs(self.query, max_num_fields=50).get(name, [""])[0]

    def limit(self, usual: int, most: int) -> int:
        said = self.parameter("limit") or str(usual)
        if not (said.isascii() and said.isdigit() and 1 <= int(said[:9]) <= most):
            raise BadRequest(f"limit: not a number from 1 to {most}", "limit")
        return int(said)


def _full(kept: str, setting: str) -> BadRequest:
    return BadRequest(f"this client keeps {kept}, the most that it may ([batches] {setting} of the proxy)")


async def beside(read: Callable[[bytes], Any], body: bytes) -> Any:
    """What is read of a body, which may be large. Raises ApiError."""
    json_bounds.check(body, MAX_VALUES)
    return await asyncio.to_thread(read, body) if len(body) > LARGE else read(body)


def loads(body: bytes) -> Any:
    """Raises BadRequest."""
    try:
        return sliced_json.loads(body) if len(body) > LARGE else wire.loads(body)
    except ValueError:
        raise BadRequest("the body is no JSON") from None


class WholeReply(Struct, frozen=True):
    """The reply. pieces: of a large one, as they are read, in place of the body. upstream: whose answer it is."""

    body: bytes = b""
    status: int = 200
    kind: str = "application/json"
    pieces: AsyncIterator[bytes] | None = None
    upstream: str = ""


def json(what: dict[str, Any]) -> WholeReply:
    return WholeReply(wire.dumps(what))


def new_id(kind: str) -> str:
    return f"{kind}{MARK}{secrets.token_hex(12)}"


def id_and_part(of: re.Pattern[str], path: str) -> tuple[str, str] | None:
    """Of a path whose form has both as its groups, "" where they are not there; None for other paths."""
    found = of.fullmatch(path)
    return (found[1] or "", (found[2] or "").removeprefix("/")) if found is not None else None


def is_ours(id: str, kind: str) -> bool:
    return id.startswith(kind + MARK)


def kept_headers(headers: HTTPHeaders, prefix: str) -> dict[str, str]:
    """The headers that each request of a batch is sent with; never a key."""
    return {name: value for name, value in headers.get_all() if name.lower().startswith(prefix)}


class Row(Struct, frozen=True):
    """A batch in a list. batch: one that the proxy runs; shown: as an upstream shows it."""

    id: str
    created: float
    batch: Batch | None = None
    shown: dict[str, Any] = {}


Others = Callable[[], Awaitable[Sequence[Row] | None]]
"""Reads a client's batches at upstreams -> None where no upstream runs any. Raises ApiError."""


async def in_order(asked: WholeRequest, form: str, read_others: Others) -> list[Row]:
    """The client's batches, the latest first. Raises ApiError."""
    others = await read_others()
    own: list[Row] = []
    if asked.desk.queue is not None or others is None:
        own = [Row(batch.id, batch.created, batch) for batch in await asked.queue.listed(form, asked.owner)]
    return sorted([*own, *others], key=lambda row: row.created, reverse=True) if others else own


def page(rows: list[Any], limit: int, after: str, before: str = "") -> tuple[list[Any], bool]:
    """(rows, whether there are more). rows: the latest first, each with an id."""
    ids = [row.id for row in rows]
    if before and before in ids:
        rows = rows[: ids.index(before)]
        return rows[-limit:], len(rows) > limit
    if after and after in ids:
        rows = rows[ids.index(after) + 1 :]
    return rows[:limit], len(rows) > limit
