"""What an attempt sends: the client's request as its upstream takes it, and what will read the reply."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct, field

from gateway.flow import compaction, sealing, upstream_request, vectors
from gateway.flow.client_request import LARGE, ClientRequest
from gateway.flow.crossed import NOTHING, Crossed, Estimated
from gateway.flow.ports import Ports
from gateway.flow.sealing import Seal
from gateway.http import query_string
from gateway.passing import usage_chunk
from gateway.passing.clean_lines import CleanEvents
from gateway.passing.passthrough import Passthrough
from gateway.passing.reframed import Reframed
from gateway.passing.usage_chunk import UsageChunk
from gateway.refusals import learned_quirks, strip_fields
from gateway.routing.router import Route
from translate.dialect import Reply
from translate.json import sliced_json
from translate.pair import Crossing
from translate.target import Asked


class Outgoing(Struct):
    """An upstream request, and what reads its reply.

    lines: header lines. asked: how the reply is read, for a turn that may take further requests. seal: how the body was
    put into the upstream's envelope. events: takes the upstream's secrets out of events that are translated.
    """

    url: str
    lines: list[str]
    body: bytes
    reply: Reply
    dropped: list[str] = field(default_factory=list)
    cache_marks: int = 0
    asks_usage: bool = False
    estimated: Estimated = NOTHING
    asked: Asked | None = None
    seal: Seal | None = None
    events: CleanEvents | None = None


def outgoing(request: ClientRequest, route: Route, ports: Ports, *, verbatim: bool) -> Outgoing:
    """Makes the upstream request. verbatim: neither the request nor the reply is translated. Raises ApiError."""
    url = route.stream_url if request.streams else route.url
    if request.task and verbatim:
        url = route.upstream.side(request.protocol, request.task, route.model)
    if route.home and request.query and route.envelope is None:
        url = query_string.onward(url, request.query, route.upstream.settings.query)
    lines = upstream_request.header_lines(
        route, request.headers, same=route.home, open_door=ports.access.open, own_hops=ports.hops
    )
    if verbatim:
        if request.front is not None:
            request.front.passes(request)
        made = _as_it_is(request, route, ports, url, lines)
    else:
        made = _translated(request, route, ports, url, lines)
    if route.envelope is not None:
        _wrap(made, request, route, ports, request.task if verbatim else "")
    if request.framed is not None and not request.task:  # a count may be shared with clients that want another form
        made.reply = Reframed(made.reply, request.framed, kept_bytes(request, ports), ports.now)
    if request.left:
        made.dropped[:0] = request.left
    return made


def _wrap(made: Outgoing, request: ClientRequest, route: Route, ports: Ports, task: str) -> None:
    """Puts the request into the upstream's envelope. Raises BadRequest if something does not fit and nothing may be
    left out."""
    assert route.envelope is not None
    quirks = ports.quirks.of_client(request.client).of(route.upstream.name, route.model)
    learned = [quirk.field for quirk in quirks if not quirk.instead and not quirk.beside]
    made.seal = seal = sealing.seal(route.envelope, task, made.lines, learned)
    made.lines = seal.lines
    made.body, left = seal.body(made.body)
    made.dropped += upstream_request.may_be_left_out(seal.left + left, route, ports.strict)


def _as_it_is(request: ClientRequest, route: Route, ports: Ports, url: str, lines: list[str]) -> Outgoing:
    renamed = route.model != request.asked_model
    body = request.body_for(route.model) if renamed else request.body
    unasked = None
    if _asks_usage(request, route, ports) and (wished := usage_chunk.wished(body)) is not None:
        body, unasked = wished, UsageChunk()
    echo = request.asked_model if renamed else ""
    left: list[str] = []
    if renamed and not request.task and learned_quirks.is_another(request.asked_model, route):
        body, left = learned_quirks.fitted(body, route, ports.quirks.of_client(request.client))
        lines = strip_fields.lines_left(lines, left) if left else lines
    if request.task == vectors.TASK and vectors.wanted(request):
        reply: Passthrough = vectors.Packing(request.protocol, echo)
        if vectors.AS_LISTS in ports.quirks.of_client(request.client).of(route.upstream.name, route.model):
            body = vectors.unpacked(body)
    elif (made := request.dialect.made_files) is not None and not request.task and request.body.rfind(made.tool) >= 0:
        from gateway.flow import made_files  # as few requests need it

        reply = made_files.NotingFiles(request, echo, unasked, made, made_files.noting(request, route, ports))
    else:
        reply = Passthrough(request.protocol, echo, unasked, judges=not request.task)
    body, dropped = upstream_request.verbatim(body, route, ports.strict)
    if left:
        dropped += upstream_request.may_be_left_out(left, route, ports.strict)
    estimated = NOTHING
    if request.protocol not in route.upstream.counts and not request.task and request.dialect.counting is not None:
        estimated = ports.counting.watched(request, route)
    return Outgoing(url, lines, body, reply, dropped, 0, unasked is not None, estimated)


def kept_bytes(request: ClientRequest, ports: Ports) -> int:
    """Returns how long a reply may be so that it is kept in the protocol's own form: for the cache, or for hooks."""
    if ports.hooks is not None and ports.hooks.see_reply(request):
        return ports.gathered.reply_bytes
    if ports.cache is None or request.cached is None or not request.cached.stores:
        return 0
    return ports.cache.most_bytes


def _asks_usage(request: ClientRequest, route: Route, ports: Ports) -> bool:
    """Returns whether a Chat stream is asked for its usage though the client does not ask: if the usage costs money, or
    counts against a limit."""
    up = route.upstream.settings
    if not request.dialect.wishes_usage or request.task or not request.streams or not up.stream_options:
        return False
    quirks = ports.quirks.of_client(request.client)
    if up.ask_usage == "false" or learned_quirks.NO_USAGE in quirks.of(up.name, route.model):
        return False
    bounds = ports.quota_of(request.client), route.upstream.quota
    return (
        up.ask_usage == "true"
        or any(bound is not None and bound.counts_tokens for bound in bounds)
        or ports.price_of(up.name, route.model) is not None
    )


def crossed(request: ClientRequest, route: Route, ports: Ports) -> Callable[[], Crossed]:
    """Returns the function that translates the request for the route's upstream; it may be called in a thread. Both
    raise ApiError."""
    data, previous = request.parsed(), request.previous
    if previous is not None:
        request.data = data = previous.crossing(data, request.body, route.upstream.name, route.protocol)
    if request.task and previous is not None:  # a summary is no response that could be asked for again
        previous.over()
        request.streams = False
        data = compaction.asking(data)
    raw, session = request.body, request.session.claude_code
    quirks = ports.quirks.of_client(request.client)

    def make() -> Crossed:
        tokens, estimated = ports.counting.seed(route, data, raw)
        encoded = learned_quirks.crossed(request.protocol, route, data, quirks, ports.strict, session, tokens)
        if ports.counting.exact is not None:
            estimated = ports.counting.expects(route, encoded.body, estimated)
        body = sliced_json.dumps(encoded.body) if len(raw) >= LARGE else encoded.json()
        return Crossed(route, data, encoded, body, tokens, estimated)

    return make


def _translated(request: ClientRequest, route: Route, ports: Ports, url: str, lines: list[str]) -> Outgoing:
    made, request.crossed = request.crossed, None
    if made is None or made.route is not route:
        made = crossed(request, route, ports)()
    data, encoded, tokens, previous = made.data, made.encoded, made.tokens, request.previous
    options = data.get("stream_options")
    asked = Asked(
        model=request.asked_model,
        key=request.key.removeprefix("req_"),
        created=int(ports.unix()),
        clock=seconds,
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
        free_text=encoded.free_text,
        offered=encoded.offered,
        headers=request.headers,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        policy=route.target.policy,
        left=encoded.dropped,
    )
    events = CleanEvents(route.upstream.secrets)
    reply = Crossing(request.protocol, route.protocol, asked, events)
    if previous is not None:
        previous.follow(reply)
    goes_on = encoded.search is not None or encoded.pauses or encoded.answers
    return Outgoing(
        url, lines, made.body, reply, encoded.dropped, encoded.cache_marks, False, made.estimated,
        asked if goes_on else None, None, events,
    )  # fmt: skip


def seconds() -> int:
    return int(time.time())
