"""What an upstream's refusal teaches: to ask in another protocol, with fewer fields, or without the usage of a stream.

After a refusal that taught something, the request is made once more. learned_quirks.py reads which fields are refused.
"""

from __future__ import annotations

import logging
import re
from typing import Any, NamedTuple

from gateway.credentials.minted import Minted
from gateway.flow import learned_quirks, outcomes, scrub, vectors
from gateway.flow.client_request import ClientRequest
from gateway.flow.learned_quirks import Quirk
from gateway.flow.own_words import OwnWords
from gateway.flow.ports import Ports
from gateway.routing.router import Route
from operate.logs.fields import fields
from translate.envelopes import bridge
from translate.errors import ApiError

log = logging.getLogger("gateway")

_OF_A_KEY = re.compile(r"\b(?:token|credential|jwt|api[ _-]?key)s?\b", re.I)


class Taught(NamedTuple):
    """What a refusal has taught, and its words."""

    route: Route
    quirks: list[Quirk]
    words: str


def speaks_otherwise(request: ClientRequest, route: Route, ports: Ports, status: int, body: bytes) -> bool:
    """Returns whether the upstream is asked in another protocol from now on: it has no endpoint for this one, but
    speaks another."""
    if request.task or not outcomes.says_no_endpoint(status, body, route) or b"model" in body.lower():
        return False
    if not ports.router.lacks(route):
        return False
    log.warning("request %s: upstream '%s' has no endpoint for %s (%s answered %d): it is asked in %s from now on; "
                "[upstream %s] protocol should name what it speaks", request.key, route.upstream.name, route.protocol,
                route.url.partition("?")[0], status, " or ".join(route.upstream.spoken), route.upstream.name,
                extra=fields(request_id=request.key, upstream=route.upstream.name, status=status))  # fmt: skip
    return True


def refuses_usage(request: ClientRequest, route: Route, ports: Ports, error: ApiError, body: bytes) -> bool:
    """Returns whether the upstream refused the wish for usage that only the proxy has added. The request may go there
    once more without it."""
    words = (b"stream_options", b"include_usage")
    refused = error.status in (400, 422) and any(word in body and word not in request.body for word in words)
    if not refused or not ports.learns:
        return False
    if not ports.quirks.of_client(request.client).learn(route.upstream.name, route.model, learned_quirks.NO_USAGE):
        return False
    log.warning("request %s: upstream '%s', model '%s' answered %d to stream_options: for a day, the usage of its "
                "streams is not asked for", request.key, route.upstream.name, route.model, error.status,
                extra=_facts(request, route, error))  # fmt: skip
    return True


def refuses_key(route: Route, error: ApiError, minted: Minted) -> bool:
    """Returns whether the upstream refused a key that was good before, and another one can be made. AWS says so with a
    403, and so do others (Databricks: "Invalid Token"), who have further reasons for it."""
    forbids = error.status == 403 and (minted.aws is not None or _OF_A_KEY.search(error.message) is not None)
    refused = error.status == 401 or forbids
    return refused and route.mint is not None and route.mint.refused(minted)


def refused_fields(
    request: ClientRequest, route: Route, ports: Ports, error: ApiError, body: bytes, *, again: bool = False
) -> Taught | None:
    """Returns the fields that the upstream does not take. The request may go there once more without them. again: the
    same words have come before."""
    if not ports.learns or not request.body:
        return None
    if vectors.refused(request, error):
        new = ports.quirks.of_client(request.client).learn(route.upstream.name, route.model, vectors.AS_LISTS)
        return _taught(request, route, error, [vectors.AS_LISTS]) if new else None
    if route.envelope is not None and (taught := _bridged(request, route, ports, error)) is not None:
        return taught
    if route.verbatim:
        return None
    data = request.parsed()
    if request.previous is not None:
        data = request.previous.crossing(data, request.body, route.upstream.name, route.protocol)
    session = request.session.claude_code
    quirks = ports.quirks.of_client(request.client)
    found = learned_quirks.learned(request.protocol, route, data, quirks, error, body, session)
    if not found:
        known = not again and learned_quirks.met_meanwhile(route, data, quirks, error, body)
        return Taught(route, [], error.message) if known else None
    return _taught(request, route, error, found)


def _bridged(request: ClientRequest, route: Route, ports: Ports, error: ApiError) -> Taught | None:
    """Returns what a cloud does not take of Messages besides what its table says. Words from the request are not
    believed."""
    said = error.message[: learned_quirks.MAX_READ]
    if error.status not in (400, 422) or not (names := bridge.refused(said)):
        return None
    own = OwnWords(request.body)
    if any(own.holds(words) for words in (said, "Extra inputs are not permitted", "invalid beta flag")):
        return None
    quirks = ports.quirks.of_client(request.client)
    new = [each for each in map(Quirk, names) if quirks.learn(route.upstream.name, route.model, each)]
    if not new:
        return None
    return _taught(request, route, error, new)


def _taught(request: ClientRequest, route: Route, error: ApiError, new: list[Quirk]) -> Taught:
    log.warning("request %s: upstream '%s', model '%s' answered %d (%s): from now on, for a day, %s", request.key,
                route.upstream.name, route.model, error.status, scrub.line(error, request.body),
                "; ".join(map(str, new)), extra=_facts(request, route, error))  # fmt: skip
    return Taught(route, new, error.message)


def _facts(request: ClientRequest, route: Route, error: ApiError) -> dict[str, Any]:
    return fields(request_id=request.key, upstream=route.upstream.name, model=route.model, status=error.status)
