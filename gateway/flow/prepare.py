"""What an attempt sends: the client's request as its upstream takes it, and what will read the reply."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from gateway.flow import compaction, envelope, learned_quirks, scrub, upstream_request, usage_chunk
from gateway.flow.client_request import ClientRequest
from gateway.flow.learned_quirks import Lesson
from gateway.flow.passthrough import Verbatim
from gateway.flow.ports import Front, Ports
from gateway.flow.usage_chunk import UsageChunk
from gateway.http import query_string, session_headers
from gateway.routing.router import Route
from operate.logs.fields import fields
from translate.dialect import Reply
from translate.errors import ApiError
from translate.pair import Crossing
from translate.target import Asked

log = logging.getLogger("gateway")


@dataclass(slots=True)
class Outgoing:
    """lines: header lines. asked: of a turn that may take further requests, how its reply is read."""

    url: str
    lines: list[str]
    body: bytes
    reply: Reply
    dropped: list[str] = field(default_factory=list)
    cache_marks: int = 0
    asks_usage: bool = False
    estimated: tuple[int, int] = (0, 0)
    asked: Asked | None = None


def outgoing(request: ClientRequest, route: Route, ports: Ports, front: Front | None) -> Outgoing:
    """Raises ApiError."""
    verbatim = route.verbatim or request.task == "count"
    url = route.peer.side(request.protocol, request.task) if request.task and verbatim else route.url
    if route.home:
        url = query_string.onward(url, request.query, route.peer.settings.query)
    lines = upstream_request.header_lines(route, request.headers, route.home, ports.access.open, ports.hops)
    if verbatim:
        if front is not None:
            front.passes(request)
        return _as_it_is(request, route, ports, url, lines)
    return _translated(request, route, ports, url, lines)


def _as_it_is(request: ClientRequest, route: Route, ports: Ports, url: str, lines: list[str]) -> Outgoing:
    renamed = route.model != request.asked_model
    body = envelope.with_model(request.body, request.envelope, route.model) if renamed else request.body
    unasked = None
    if _asks_usage(request, route, ports) and (wished := usage_chunk.wished(body)) is not None:
        body, unasked = wished, UsageChunk()
    reply = Verbatim(request.protocol, request.asked_model if renamed else "", unasked)
    body, dropped = upstream_request.verbatim(body, route, ports.strict)
    estimated = 0, 0
    if request.protocol not in route.peer.counts and not request.task and request.dialect.counting is not None:
        estimated = ports.counting.watched(request, route)
    return Outgoing(url, lines, body, reply, dropped, 0, unasked is not None, estimated)


def _asks_usage(request: ClientRequest, route: Route, ports: Ports) -> bool:
    """Whether the usage of a Chat stream is wanted though its client need not want it: where it costs money, or
    counts against a bound."""
    up = route.peer.settings
    if not request.dialect.wishes_usage or request.task or not request.streams or not up.stream_options:
        return False
    if up.ask_usage == "false" or learned_quirks.NO_USAGE in ports.lessons.of(up.name, route.model):
        return False
    bounds = ports.quota_of(request.client), route.peer.quota
    return (
        up.ask_usage == "true"
        or any(bound is not None and bound.counts_tokens for bound in bounds)
        or ports.priced(up.name, route.model)
    )


def _translated(request: ClientRequest, route: Route, ports: Ports, url: str, lines: list[str]) -> Outgoing:
    data, previous = request.parsed(), request.previous
    if previous is not None:
        request.data = data = previous.crossing(data, request.body, route.peer.name, route.protocol)
    if request.task and previous is not None:  # to compact: that is no response to be asked for again
        previous.over()
        request.envelope.stream = False
        data = compaction.asking(data)
    tokens, estimated = ports.counting.seed(route, data, len(request.body))
    session = session_headers.session_of(request.headers)
    encoded = learned_quirks.crossed(request.protocol, route, data, ports.lessons, ports.strict, session, tokens)
    options = data.get("stream_options")
    asked = Asked(
        model=request.asked_model,
        key=request.key.removeprefix("req_"),
        created=int(ports.unix()),
        clock=_seconds,
        echo=request.dialect.echo(data) | (previous.echo if previous is not None else {}),
        input_tokens=tokens,
        tool_names=encoded.tool_names,
        custom=encoded.custom,
        namespaces=encoded.namespaces,
        answer_tool=encoded.answer_tool,
        compacts=encoded.compacts,
        answers=encoded.answers,
        tool_changes=encoded.tool_changes,
        forms=encoded.forms,
        search=encoded.search,
        pauses=encoded.pauses,
        reshaped=encoded.reshaped,
        functions=encoded.functions,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        policy=route.target.policy,
    )
    reply = Crossing(request.protocol, route.protocol, asked)
    if previous is not None:
        previous.follow(reply)
    goes_on = encoded.search is not None or encoded.pauses or encoded.answers
    return Outgoing(
        url, lines, encoded.json(), reply, encoded.dropped, encoded.cache_marks, False, estimated,
        asked if goes_on else None,
    )  # fmt: skip


def _seconds() -> int:
    return int(time.time())


# ------------------------------------------------------------------------------------- what a 400 teaches


def learns_of_fields(
    request: ClientRequest, route: Route, ports: Ports, error: ApiError, body: bytes
) -> list[Lesson]:
    """Fields that the upstream does not take: it may go there once more, without them."""
    if not ports.learns or not request.body or route.verbatim:
        return []
    data = request.parsed()
    if request.previous is not None:
        data = request.previous.crossing(data, request.body, route.peer.name, route.protocol)
    session = session_headers.session_of(request.headers)
    new = learned_quirks.learned(request.protocol, route, data, ports.lessons, error, body, session)
    if new:
        log.warning("request %s: upstream '%s', model '%s' answered %d (%s): from now on, for a day, %s", request.key,
                    route.peer.name, route.model, error.status, scrub.line(error, request.body),
                    "; ".join(map(str, new)), extra=_facts(request, route, error))  # fmt: skip
    return new


def learns_of_usage(request: ClientRequest, route: Route, ports: Ports, error: ApiError, body: bytes) -> bool:
    """It refuses what only we have asked for: it may go there once more as its client said it."""
    words = (b"stream_options", b"include_usage")
    refused = error.status in (400, 422) and any(word in body and word not in request.body for word in words)
    if not refused or not ports.learns:
        return False
    if not ports.lessons.learn(route.peer.name, route.model, learned_quirks.NO_USAGE):
        return False
    log.warning("request %s: upstream '%s', model '%s' answered %d to stream_options: for a day, the usage of its "
                "streams is not asked for", request.key, route.peer.name, route.model, error.status,
                extra=_facts(request, route, error))  # fmt: skip
    return True


def _facts(request: ClientRequest, route: Route, error: ApiError) -> dict[str, Any]:
    return fields(request_id=request.key, upstream=route.peer.name, model=route.model, status=error.status)
