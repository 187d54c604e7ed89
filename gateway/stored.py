"""Responses by their id: asked for again, their input, cancelled, deleted. From the memory, else of an upstream.

Which upstream: the one that the response came from, where it passed through this proxy not too long ago, else the
first that speaks Responses. An id that was given to one client is not found by another.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from tornado.httputil import HTTPHeaders

from gateway import attempt, headers, outbound
from gateway.memory import Entry
from gateway.recall import owner_of
from gateway.routes import Peer, Route
from translate import errors, wire
from translate.errors import ApiError, BadRequest
from upstream.client import Request
from upstream.failure import Failure

if TYPE_CHECKING:
    from gateway.service import Service

ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}")  # it becomes part of an upstream's URL
SERVED = {("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")}  # (method, after the id)
MAX_REPLY = 64 * 1024 * 1024  # bytes of an upstream's reply
PAGE, MAX_PAGE = 20, 100  # input items at once


class Reply(NamedTuple):
    """head: lines for the client, each ended by CRLF."""

    status: int
    head: bytes
    body: bytes


async def ask(
    service: Service, client: str, client_headers: HTTPHeaders, method: str, id: str, part: str, query: str
) -> Reply:
    """part: "", "/input_items" or "/cancel". Raises ApiError."""
    if not ID.fullmatch(id):
        raise ApiError("not_found", "that is not the id of a response")
    owner = owner_of(client, client_headers)
    entry = service.memory.find(owner, id)
    if entry is not None and entry.body:
        if method == "DELETE":
            service.memory.delete(owner, id)
            return _json({"id": id, "object": "response", "deleted": True})
        return _json(_from_memory(entry, part, query))
    peer = _keeper(service, owner, id)
    return await _Asking(service, peer).reply(method, f"responses/{id}{part}", query, client_headers)


def _from_memory(entry: Entry, part: str, query: str) -> dict[str, Any]:
    if part == "/input_items":
        return _page(entry.input_items(), query)
    if part == "/cancel":
        raise BadRequest(f"response '{entry.id}' is complete; only one that runs in the background can be cancelled")
    if parse_qs(query).get("stream", ["false"])[-1] == "true":
        raise BadRequest("stream: a response that is complete is kept here whole; leave stream out", "stream")
    return entry.response()


def _page(items: list[Any], query: str) -> dict[str, Any]:
    asked = {key: values[-1] for key, values in parse_qs(query).items()}
    rows: list[dict[str, Any]] = []
    for number, item in enumerate(items):
        if isinstance(item, dict):  # clients page by ids, and need not have given any
            rows.append({"type": "message"} | item | {"id": str(item.get("id") or f"item_{number}")})
    if asked.get("order", "desc") != "asc":
        rows.reverse()
    ids = [row["id"] for row in rows]
    if (after := asked.get("after")) in ids:
        rows = rows[ids.index(after) + 1 :]
    limit = asked.get("limit", "")
    size = min(MAX_PAGE, int(limit)) if limit.isascii() and limit.isdigit() and 0 < len(limit) < 6 else PAGE
    page = rows[: max(1, size)]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(rows) > len(page),
    }


def _keeper(service: Service, owner: str, id: str) -> Peer:
    """The upstream that may have it. Raises ApiError (404)."""
    place = service.memory.place(id)
    speaking = {name: peer for name, peer in service.router.peers.items() if "responses" in peer.settings.protocol}
    if place is not None and place[0] != owner:
        raise _unknown(id, "")
    if place is not None and place[1] in speaking:
        return speaking[place[1]]
    if not speaking:
        raise _unknown(id, ", and no upstream that is on speaks responses")
    return next(iter(speaking.values()))


def _unknown(id: str, why: str) -> ApiError:
    bounds = "[responses] in settings.ini bounds how many and how long"
    return ApiError("not_found", f"no response '{id}' is kept here ({bounds}){why}", code="response_not_found")


class _Asking:
    """One exchange with an upstream, its reply gathered whole: these are no model's work, and small."""

    def __init__(self, service: Service, peer: Peer) -> None:
        self._service = service
        self._peer = peer
        self._ended: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()
        self._parts: list[bytes] = []
        self._size = 0
        self._status = 0
        self._headers: list[tuple[str, str]] = []

    async def reply(self, method: str, endpoint: str, query: str, client: HTTPHeaders) -> Reply:
        peer, service = self._peer, self._service
        lines = outbound.header_lines(Route(peer, "responses", ""), client, True, service.access.open)
        url = peer.settings.url(endpoint) + (f"?{query}" if query else "")
        request = Request(method, url, lines, None, peer.whole_timeouts, peer.settings.verify_tls)
        try:
            exchange = service.client.send(request, self)
        except ValueError as why:
            raise BadRequest(f"a header or the query string cannot be sent on: {why}") from None
        try:
            failure = await self._ended
        finally:
            exchange.cancel()
        if failure is not None:
            raise attempt.as_error(failure, peer.name)
        if 300 <= self._status < 400:
            raise errors.BadReply(f"upstream '{peer.name}' answered {self._status}; is base_url right?")
        kind = headers.line("Content-Type", headers.find(self._headers, "content-type"))
        head = kind + headers.back(self._headers, True) + headers.line("X-Proxy-Upstream", peer.name)
        body = b"".join(self._parts)
        return Reply(self._status, head, service.masked(body) if self._status >= 400 else body)

    def on_head(self, status: int, up_headers: list[tuple[str, str]]) -> None:
        self._status = status
        self._headers = up_headers

    def on_data(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= MAX_REPLY:
            self._parts.append(chunk)
        elif not self._ended.done():
            self._ended.set_exception(errors.BadReply(f"the upstream's reply is over {MAX_REPLY >> 20} MB"))

    def on_end(self, failure: Failure | None) -> None:
        if not self._ended.done():
            self._ended.set_result(failure)


def _json(value: dict[str, Any]) -> Reply:
    return Reply(200, b"Content-Type: application/json\r\n", wire.dumps(value))
