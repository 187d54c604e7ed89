"""Cached contents of the Gemini API, /v1beta/cachedContents: made and kept by the upstream to which their model leads.

All clients share an upstream's keys, so that they are their client's only by what is noted here, as with batches: where
there are several clients, none can find, list, change or delete those of another. What is cached costs money and is in
none of the sums, and no hook sees it: clients with such bounds send their contents in each request.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from gateway.batches import passed
from gateway.batches.whole_request import WholeReply, WholeRequest
from gateway.flow.client_request import ClientRequest
from gateway.pages.upstream_query import Asking
from gateway.routing.upstreams import LiveUpstream
from gateway.runtime import Service
from translate.failures.errors import ApiError, BadRequest
from translate.gemini.dialect import CACHED_INSTEAD, GEMINI
from translate.json import top_level, wire
from translate.json.json_fields import objects_of

PATH = re.compile(r"/v1(?:beta|alpha)?/(cachedContents(?:/[A-Za-z0-9_-]{1,200})?)")
_METHODS = {False: ("POST", "GET"), True: ("GET", "PATCH", "DELETE")}  # of all of them or a new one, of one


def served(service: Service, path: str) -> bool:
    return PATH.fullmatch(path) is not None and any(True for _ in _keepers(service))


def _keepers(service: Service) -> Iterator[LiveUpstream]:
    """The upstreams that speak the Gemini API itself: Vertex has other addresses for it."""
    for upstream in service.router.upstreams.values():
        own = upstream.settings
        if GEMINI.name in own.protocol and not own.paths and not service.router.is_demo(upstream.name):
            yield upstream


async def answer(service: Service, request: ClientRequest, asked: WholeRequest) -> WholeReply:
    """Raises ApiError."""
    found = PATH.fullmatch(asked.path)
    assert found is not None
    name, body = found[1], asked.body if asked.method in ("POST", "PATCH") else None
    is_one = "/" in name
    if asked.method not in _METHODS[is_one]:
        allowed = ", ".join(_METHODS[is_one])
        raise ApiError("invalid_request", f"{asked.method} {asked.path}: only {allowed} are served here", 405)
    if asked.method == "POST":
        upstream, key, body = _maker(service, request, asked)
    else:
        upstream, key = await _keeper(service, asked, name if is_one else "")
    reply = await Asking(service, upstream, None, key, GEMINI.name, body).ask(
        asked.method, name, asked.query, asked.headers
    )
    said = reply.body
    if reply.status < 300 and asked.method == "POST":
        made = passed.object_of(said).get("name")
        if isinstance(made, str):
            service.response_store.went(made, asked.owner, upstream.name, upstream.key_names[key])
    elif reply.status < 300 and not is_one:
        said = await _of_owner(service, asked, said)
    return WholeReply(said, reply.status, upstream=upstream.name)


def _maker(service: Service, request: ClientRequest, asked: WholeRequest) -> tuple[LiveUpstream, int, bytes]:
    """Where new contents are made: (upstream, its key, the body in its words). Raises ApiError."""
    if passed.is_counted(service, request.client):
        raise ApiError("permission", f"the proxy cannot count the cost of cached contents: {CACHED_INSTEAD}")
    said = passed.object_of(asked.body).get("model")
    if not isinstance(said, str) or not said:
        raise BadRequest("model: the name of a model is expected, such as models/gemini-3-pro", "model")
    model = said.rpartition("models/")[2]
    routes = service.router.routes(model, GEMINI.name)
    if (rules := service.rules.get(request.client)) is not None:
        routes = rules.permitted(routes, model)
    first = routes[0]
    if not first.home or first.upstream not in _keepers(service):
        raise ApiError("not_found", f"upstream '{first.upstream.name}' of {said} caches nothing: {CACHED_INSTEAD}")
    body, _ = top_level.taken(asked.body, ("model",), b'"model":' + wire.dumps(f"models/{first.model}"))
    return first.upstream, first.upstream.first_key(time.monotonic()), body


async def _keeper(service: Service, asked: WholeRequest, name: str) -> tuple[LiveUpstream, int]:
    """The upstream that has these contents, "" = the one to list them. Raises ApiError (404)."""
    keepers = {upstream.name: upstream for upstream in _keepers(service)}
    owned = await passed.noted(service, name) if name else None
    if name and ((owned is None and service.response_store.shared) or (owned and owned.owner != asked.owner)):
        raise ApiError("not_found", f"no '{name}' of this client is known")
    if owned is not None and owned.upstream in keepers:
        upstream = keepers[owned.upstream]
        return upstream, upstream.key_number(owned.key)
    first = next(iter(keepers.values()))
    return first, first.first_key(time.monotonic())


async def _of_owner(service: Service, asked: WholeRequest, body: bytes) -> bytes:
    """A list less what is not known to be this client's. Where there is one client, all is."""
    if not service.response_store.shared:
        return body
    said = passed.object_of(body)
    rows = {str(row.get("name")): row for row in objects_of(said, "cachedContents")}
    owned = await passed.all_noted(service, list(rows))
    kept = [row for name, row in rows.items() if name in owned and owned[name].owner == asked.owner]
    return wire.dumps(said | {"cachedContents": kept})
