"""A request about batches or files, read whole, and what it is answered."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from tornado.httputil import HTTPHeaders

from gateway.batches.desk import Desk
from gateway.batches.queue import Queue
from translate import wire
from translate.errors import ApiError, BadRequest

MARK = "px"
"""Begins the rest of every id that the proxy gives: an upstream's never does."""


class Asked(NamedTuple):
    """client: its name; owner: whose what it makes is. origin: where it reaches the proxy."""

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

    def parameter(self, name: str) -> str:
        return parse_qs(self.query, max_num_fields=50).get(name, [""])[0]

    def limit(self, usual: int, most: int) -> int:
        said = self.parameter("limit") or str(usual)
        if not (said.isascii() and said.isdigit() and 1 <= int(said[:9]) <= most):
            raise BadRequest(f"limit: not a number from 1 to {most}", "limit")
        return int(said)


class Said(NamedTuple):
    """The reply. pieces: of a large one, as they are read, in place of the body. upstream: whose answer it is."""

    body: bytes = b""
    status: int = 200
    kind: str = "application/json"
    pieces: AsyncIterator[bytes] | None = None
    upstream: str = ""


def json(what: dict[str, Any]) -> Said:
    return Said(wire.dumps(what))


def new_id(kind: str) -> str:
    return f"{kind}{MARK}{secrets.token_hex(12)}"


def is_ours(id: str, kind: str) -> bool:
    return id.startswith(kind + MARK)


def kept_headers(headers: HTTPHeaders, prefix: str) -> dict[str, str]:
    """Those that a batch's requests are sent with; never a key."""
    return {name: value for name, value in headers.get_all() if name.lower().startswith(prefix)}


def page(rows: list[Any], limit: int, after: str, before: str = "") -> tuple[list[Any], bool]:
    """(rows, whether there are more). rows: the latest first, each with an id."""
    ids = [row.id for row in rows]
    if before and before in ids:
        rows = rows[: ids.index(before)]
        return rows[-limit:], len(rows) > limit
    if after and after in ids:
        rows = rows[ids.index(after) + 1 :]
    return rows[:limit], len(rows) > limit
