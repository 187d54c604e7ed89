"""Batches that an upstream runs: made there if all of their requests may go there, and asked for there afterwards.

All clients share an upstream's keys, so a batch belongs to a client only because that is noted here, as with files and
responses. Names of models become those of the upstream, and the address of results that of this proxy.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any

from gateway.batches import file_of_requests, messages_batches, openai_batches
from gateway.batches.whole_request import WholeReply, WholeRequest
from gateway.flow.client_request import ClientRequest
from gateway.limits.budget import Bounds
from gateway.pages.upstream_query import Asking
from gateway.routing import client_rules, request_facts
from gateway.routing.upstreams import LiveUpstream
from gateway.runtime import Service
from gateway.stored import references
from gateway.stored.store import ANYONE
from operate.owner_store import Owned
from translate.counting import tokens
from translate.failures.errors import ApiError
from translate.json import wire
from translate.messages.dialect import MESSAGES


async def created(service: Service, request: ClientRequest, asked: WholeRequest) -> WholeReply | None:
    """Makes the batch at an upstream. Returns None if the proxy must run it itself. Raises ApiError."""
    counted = is_counted(service, request.client)
    if request.dialect is MESSAGES:
        found = None if counted else _of_messages(service, request, asked)
        if found is None:
            return None
        upstream, body = found
        named = references.named(object_of(body)) if references.may_be_in(body) else []
        if service.response_store.shared:
            await _are_its_own(service, asked, named)
        key = await _key_with(service, upstream, named)
    else:
        owned = await _owned_file(service, asked)
        if owned is None:
            return None
        _may_send_unread(service, request.client, owned.upstream, counted=counted)
        upstream, body = service.router.upstreams[owned.upstream], asked.body
        key = upstream.key_number(owned.key)
        if service.response_store.shared:
            file_id = str(object_of(asked.body).get("input_file_id"))
            await _are_its_own(service, asked, await file_of_requests.names(service, asked, upstream, owned, file_id))
    said = await ask(service, request, asked, upstream, key, asked.query, body)
    if said.status < 300 and isinstance(id := object_of(said.body).get("id"), str):
        service.response_store.went(id, asked.owner, upstream.name, upstream.key_names[key])
    return said


def is_counted(service: Service, client: str) -> bool:
    """Returns whether each request must be looked at: by hooks, or because the client's tokens or money are limited.
    What an upstream runs as a batch is in none of the sums."""
    if service.settings.hooks:
        return True
    found = next((each for each in service.settings.clients if each.name == client), None)
    return found is not None and bool(found.tokens_per_minute or any(getattr(found, name) for name in Bounds._fields))


def _may_send_unread(service: Service, client: str, upstream: str, *, counted: bool) -> None:
    """Raises ApiError if the client may not send a file that nobody here reads: its lines may name any model of the
    upstream."""
    if service.settings.hooks:
        raise ApiError(
            "permission",
            f"the proxy's hooks cannot see the requests of a batch that upstream '{upstream}' runs from a file of its "
            "own; send them one by one",
        )
    rules = service.rules.get(client)
    if counted or (rules is not None and (rules.models or not rules.allow(upstream))):
        raise ApiError(
            "permission",
            f"client '{client}' has limits or rules in settings.ini, which cannot hold for a batch that upstream "
            f"'{upstream}' runs from a file of its own; send the requests one by one",
        )


async def about(service: Service, request: ClientRequest, asked: WholeRequest, id: str) -> WholeReply:
    """Answers a request about an upstream's batch. Raises ApiError (404) for a batch of another client."""
    owned = await noted(service, id)
    if (owned is None and service.response_store.shared) or (owned is not None and owned.owner != asked.owner):
        raise ApiError("not_found", f"no batch '{id}' of this client is known")
    upstreams = service.router.upstreams
    if owned is not None and owned.upstream in upstreams:
        upstream = upstreams[owned.upstream]
        key = upstream.key_number(owned.key)
    else:
        having = [upstream for upstream in upstreams.values() if has_batches(upstream, request.dialect.name)]
        if len(having) != 1:
            raise ApiError("not_found", f"no upstream is known to have batch '{id}'")
        upstream, key = having[0], 0  # by whose key it was made is not known
    said = await ask(service, request, asked, upstream, key, asked.query, b"" if asked.method == "POST" else None)
    _note_results(service, asked, upstream, key, said)
    return said


def _note_results(service: Service, asked: WholeRequest, upstream: LiveUpstream, key: int, said: WholeReply) -> None:
    """Notes that the files that a batch has made belong to its client."""
    if said.status < 300:
        for name in ("output_file_id", "error_file_id"):
            if isinstance(id := object_of(said.body).get(name), str) and service.response_store.noted(id) is None:
                service.response_store.went(id, asked.owner, upstream.name, upstream.key_names[key])


def has_batches(upstream: LiveUpstream, protocol: str) -> bool:
    return upstream.settings.has_batches and protocol in upstream.settings.protocol


def _of_messages(service: Service, request: ClientRequest, asked: WholeRequest) -> tuple[LiveUpstream, bytes] | None:
    """Returns the one upstream to which all requests of the batch may go, and the batch in its words."""
    if not any(has_batches(upstream, MESSAGES.name) for upstream in service.router.upstreams.values()):
        return None
    requests = messages_batches.requests_of(asked.body)
    rules = service.rules.get(request.client)
    upstream: LiveUpstream | None = None
    for _, params in requests:
        model = params["model"]
        size = tokens.of_size(len(wire.dumps(params)))
        facts = functools.partial(request_facts.facts, asked.headers, params, size, model)
        routes = service.router.routes(model, MESSAGES.name, facts)
        if rules is not None:
            routes = rules.permitted(routes, model, client_rules.further_models(params))
        first = routes[0]
        if not (first.home and has_batches(first.upstream, MESSAGES.name)) or upstream not in (None, first.upstream):
            return None
        upstream = first.upstream
        params["model"] = first.model
    assert upstream is not None
    rows = [{"custom_id": name, "params": params} for name, params in requests]
    return upstream, wire.dumps({"requests": rows})


async def _are_its_own(service: Service, asked: WholeRequest, ids: Sequence[str]) -> None:
    """Raises ApiError (404) for what another client has made, as for a request alone."""
    for id in ids:
        owned = await noted(service, id)
        if owned is None or owned.owner not in (asked.owner, ANYONE):
            raise references.unknown(id)


async def _key_with(service: Service, upstream: LiveUpstream, named: Sequence[str]) -> int:
    """Returns the number of the key that has the files which a batch names."""
    for id in named:
        if (owned := await noted(service, id)) is not None and owned.upstream == upstream.name:
            return upstream.key_number(owned.key)
    return upstream.first_key(time.monotonic())


async def _owned_file(service: Service, asked: WholeRequest) -> Owned | None:
    """Returns where the file with a batch's requests is, if an upstream has it. Raises ApiError (404)."""
    file_id = str(object_of(asked.body).get("input_file_id"))
    if openai_batches.is_ours(file_id):
        return None
    owned = await noted(service, file_id)
    if owned is not None and owned.owner == asked.owner and owned.upstream in service.router.upstreams:
        return owned
    return None


async def noted(service: Service, id: str) -> Owned | None:
    return (await all_noted(service, [id])).get(id)


async def all_noted(service: Service, ids: Sequence[str]) -> dict[str, Owned]:
    """Of these ids those whose owner is known."""
    store = service.response_store
    found = {id: owned for id in ids if (owned := store.noted(id)) is not None}
    return found | await store.owners.find([id for id in ids if id not in found])


def object_of(body: bytes) -> dict[str, Any]:
    try:
        said = wire.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


async def ask(
    service: Service, request: ClientRequest, asked: WholeRequest, upstream: LiveUpstream, key: int, query: str,
    body: bytes | None = None,
) -> WholeReply:  # fmt: skip
    """Sends what is asked to an upstream, with a query of its own. Raises ApiError."""
    reply = await Asking(service, upstream, None, key, request.protocol, body).ask(
        asked.method, asked.path.removeprefix("/v1/").removesuffix("/"), query, asked.headers
    )
    out = reply.body
    if asked.path.endswith("/results") and reply.status < 300:
        return WholeReply(out, reply.status, "application/x-jsonl", upstream=upstream.name)
    if b'"results_url"' in out and reply.status < 300:
        out = wire.dumps(messages_batches.with_our_address(object_of(out), asked))
    return WholeReply(out, reply.status, upstream=upstream.name)
