"""The paths of one response, /v1/responses/{id}: to get it, its input items, to cancel it, and to delete it.

The response is in the response store, or an upstream keeps it: the one that it came from, if that is still known, else
the first one that speaks Responses. A client cannot find the response of another client. With ?stream=true the response
comes as events; for one in the response store, they are made from it (translate/responses/replay.py).
"""

from __future__ import annotations

import asyncio
import logging
import re
from http.client import responses as REASONS
from typing import Any
from urllib.parse import parse_qs

from tornado.iostream import StreamClosedError

from gateway.flow import charges
from gateway.http import header_rules
from gateway.pages.handlers import Handler
from gateway.pages.upstream_query import Asking, Reply, Sink
from gateway.routing.upstreams import LiveUpstream
from gateway.runtime import Service
from gateway.stored import store_sync
from gateway.stored.previous_response import owner_of
from gateway.stored.store import Entry
from translate import dialects
from translate.failures.errors import ApiError, BadRequest
from translate.json import wire
from translate.responses import replay
from translate.responses.dialect import RESPONSES

log = logging.getLogger("proxy")

# An id becomes a part of an upstream's URL, so it must not be "..".
ID = re.compile(r"[A-Za-z0-9_:-][A-Za-z0-9_.:=-]{0,999}")
SERVED = {("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")}  # (method, after the id)
PAGE, MAX_PAGE = 20, 100  # input items on a page: by default, and at most


class StoredResponse(Handler):
    """GET and DELETE /v1/responses/{id}, GET .../input_items, POST .../cancel: one stored response."""

    asking: asyncio.Task[Reply] | None = None

    async def ask(self, id: str, part: str | None) -> None:
        """part: what follows the id in the path: None, "/input_items" or "/cancel"."""
        method = self.request.method or ""
        if (method, part or "") not in SERVED or dialects.at(self.request.path):
            error = ApiError("invalid_request", f"{method} {self.request.path[:200]} is not served here", 405)
            self.refuse(error, RESPONSES)
            return
        self.asking = asyncio.ensure_future(self._reply(method, id, part or ""))
        self.service.in_flight.asks(self.asking)
        try:
            reply = await self.asking
        except ApiError as error:
            self.refuse(error, RESPONSES)
        except (asyncio.CancelledError, StreamClosedError):
            log.debug("%s %s: the client left", method, self.request.path)
        else:
            if not reply.streamed:
                self.begin(reply)
            self.finish(reply.body)

    get = head = post = put = patch = delete = ask

    async def _reply(self, method: str, id: str, part: str) -> Reply:
        """The reply: from the response store, else of the upstream that keeps the response. Raises ApiError."""
        if not ID.fullmatch(id):
            raise ApiError("not_found", "this is not a valid id of a response")
        service, headers, query = self.service, self.request.headers, self.request.query
        owner = owner_of(self.client, headers)
        if lacking := store_sync.unknown(service.worker_rpc, service.response_store, [owner], [id]):
            await store_sync.fetch(service.worker_rpc, service.response_store, owner, lacking)
        entry = service.response_store.find(owner, id)
        if entry is not None and entry.body:
            if method != "DELETE":
                return _from_memory(entry, part, _asked(query))
            service.response_store.delete(owner, id)
            await store_sync.forget(service.worker_rpc, service.response_store, owner, id)
            if service.response_store.noted(id) is None:  # else an upstream keeps it too, as with a websocket's turn
                return _json({"id": id, "object": "response", "deleted": True})
        await charges.question(self.client, service.ports)
        follows = method == "GET" and not part and _asked(query).get("stream") == "true"
        upstream = _keeper(service, owner, id)
        owned = service.response_store.noted(id)
        key = upstream.key_number(owned.key) if owned is not None else 0
        asking = Asking(service, upstream, Sink(self.begin, self.more) if follows else None, key)
        return await asking.ask(method, f"responses/{id}{part}", query, headers)

    def begin(self, reply: Reply) -> None:
        self.set_status(reply.status, REASONS.get(reply.status, "Unknown"))
        for line in reply.head.decode("latin-1").split("\r\n")[:-1]:
            name, _, value = line.partition(": ")
            self.set_header(name, value)

    async def more(self, data: bytes) -> None:
        """Sends a piece of a stream, and waits until the client has read it."""
        self.write(data)
        await self.flush()

    def on_connection_close(self) -> None:
        if self.asking is not None:
            self.asking.cancel()


def _asked(query: str) -> dict[str, str]:
    return {key: values[-1] for key, values in parse_qs(query).items()}


def _from_memory(entry: Entry, part: str, asked: dict[str, str]) -> Reply:
    if part == "/input_items":
        return _json(_page(entry.input_items(), asked))
    if part == "/cancel":
        raise BadRequest(
            f"response '{entry.id}' is complete; only a response that runs in the background can be cancelled"
        )
    if asked.get("stream") == "true":
        return _replayed(entry.response(), asked.get("starting_after", ""))
    return _json(entry.response())


def _replayed(response: dict[str, Any], after: str) -> Reply:
    """The events after the number `after`. The last event always comes, because it has the whole response, and a client
    that counted the original events may have a higher number."""
    if after and not (after.isascii() and after.isdigit() and len(after) < 10):
        raise BadRequest("starting_after: must be the number of an event", "starting_after")
    seen = int(after) if after else -1
    said = replay.events(response)
    left = said[seen + 1 :] or [wire.dumps(wire.loads(said[-1]) | {"sequence_number": seen + 1})]
    lines = (b"event: %b\ndata: %b\n\n" % (wire.loads(data)["type"].encode(), data) for data in left)
    return Reply(200, header_rules.EVENT_STREAM, b"".join(lines))


def _page(items: list[Any], asked: dict[str, str]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for number, item in enumerate(items):
        if isinstance(item, dict):  # clients page by ids, so an item without one gets one
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


def _keeper(service: Service, owner: str, id: str) -> LiveUpstream:
    """The upstream that may have a response. Raises ApiError (404)."""
    owned = service.response_store.noted(id)
    speaking = {
        name: upstream
        for name, upstream in service.router.upstreams.items()
        # With rebuild, the store keeps them.
        if RESPONSES.name in upstream.settings.protocol and not upstream.settings.rebuild
    }
    if not speaking:
        raise _unknown(id, ", and no upstream that is on speaks Responses")
    if service.response_store.is_anothers(id, owner):
        raise _unknown(id, "")
    if owned is not None and owned.upstream in speaking:
        return speaking[owned.upstream]
    return next(iter(speaking.values()))


def _unknown(id: str, why: str) -> ApiError:
    limits = "[responses] in settings.ini limits how many are kept, and for how long"
    return ApiError("not_found", f"the proxy has no response '{id}' ({limits}){why}", code="response_not_found")


def _json(value: dict[str, Any]) -> Reply:
    return Reply(200, header_rules.JSON_HEAD, wire.dumps(value))
