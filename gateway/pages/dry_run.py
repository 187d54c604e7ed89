"""The dry run, POST /debug/translate: shows the request that would be sent to an upstream, and does not send it.

The body is a client's request. ?from= names its protocol (by default it is guessed from the fields), ?to= that of the
upstream (by default the route's). The answer has the original and the translated request, what would be dropped and
why, and a curl command for it, with $API_KEY in place of the key. Only admins may use it, or, without any [client],
only this machine, because the answer shows where requests go.
"""

from __future__ import annotations

import logging
import shlex
from typing import Any
from urllib.parse import parse_qs

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from gateway.flow import outline, sealing, upstream_request
from gateway.http import body_decoding, header_rules
from gateway.refusals import learned_quirks
from gateway.routing import protocol_choice
from gateway.routing.router import Route
from gateway.runtime import Service
from gateway.stored import threads
from operate.settings.list_types import is_secret_header
from translate import dialects
from translate.failures.errors import ApiError, BadRequest
from translate.json import wire
from translate.target import Protocol

log = logging.getLogger("gateway")

PATH = "/debug/translate"

_JSON_HEAD = header_rules.JSON_HEAD + b"Cache-Control: no-store\r\n"


class DryRun(HTTPMessageDelegate):
    """One dry run: it is refused at the head of its request, or answered at the end."""

    __slots__ = ("_answer", "_conn", "_headers", "_parts", "_query", "_refusal", "_service", "_size",
                 "_unpacker")  # fmt: skip

    def __init__(self, service: Service, conn: HTTP1Connection) -> None:
        self._service = service
        self._conn = conn
        self._answer = service.answer(conn)
        self._refusal: ApiError | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._unpacker: body_decoding.Unpacker | None = None

    def __repr__(self) -> str:
        return f"<DryRun {self._size} bytes, {self._refusal!r}>"

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        self._query = str(start_line[1]).partition("?")[2]
        self._headers = headers
        self._answer.more = self._service.access.origins.lines(headers)
        try:
            self._service.access.check_admin(headers, str(getattr(self._conn.context, "remote_ip", "")))
            if self._service.access.open:
                upstream_request.check_asked(headers)
            if self._service.in_flight.stage != "serving":
                raise ApiError("overloaded", "the proxy is shutting down", 503, retry_after=1)
            self._unpacker = body_decoding.unpacker(headers.get("Content-Encoding"), self._service.max_body_bytes)
        except ApiError as refusal:
            self._refusal = refusal

    def data_received(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._refusal is None:
            try:
                body_decoding.check_size(self._size, self._service.max_body_bytes)
                self._parts += self._unpacker.feed(chunk) if self._unpacker is not None else [chunk]
            except ApiError as refusal:
                self._refusal = refusal
                self._parts = []

    def finish(self) -> None:
        client = next(dialects.every()).name
        try:
            if self._refusal is not None:
                raise self._refusal
            if self._unpacker is not None:
                self._unpacker.end()
            body = b"".join(self._parts)
            upstream_request.check_type(self._headers, body)
            data = outline.parse(body, self._service.shape.values)
            self._service.shape.check(data, len(body))
            asked = {key: values[-1] for key, values in parse_qs(self._query).items()}
            client = _protocol(asked, "from") or guess(data, self._headers)
            shown = dry_run(self._service, client, data, _protocol(asked, "to"))
            self._answer.whole(200, _JSON_HEAD, self._service.masked(wire.dumps(shown)))
        except ApiError as error:
            says = dialects.of(client).errors
            said = self._service.masked(says.body(error, ""))
            self._answer.whole(says.status(error), _JSON_HEAD + body_decoding.told(error), said)
        except Exception:
            log.exception("an error in the proxy: %s failed: %r", PATH, self)
            fault = ApiError("api", "there was an internal error in the proxy; its log has the details")
            self._answer.whole(500, _JSON_HEAD, dialects.of(client).errors.body(fault, ""))

    def on_connection_close(self) -> None:
        self._parts = []


def dry_run(service: Service, client: Protocol, data: dict[str, Any], to: Protocol | None) -> dict[str, Any]:
    """The body of the answer. Raises ApiError if the request itself would be refused."""
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("model: Field required", "model")
    route = _route(service, client, model, to)
    chosen = route.of(wire.dumps(data))
    route = chosen if to in (None, chosen.protocol) else route
    upstream = route.upstream.name
    if route.verbatim:
        raw, dropped = upstream_request.verbatim(wire.dumps(data | {"model": route.model}), route, service.strict)
        translated = wire.loads(raw)
    else:
        asked = threads.without(data) if dialects.of(client).thread_mark and service.response_store.holds else data
        encoded = learned_quirks.crossed(client, route, asked, service.quirks, service.strict)
        translated, dropped = encoded.body, encoded.dropped
    if route.envelope is not None:
        sealed = sealing.seal(route.envelope, "", [])
        raw, left = sealed.body(wire.dumps(translated))
        translated, dropped = wire.loads(raw), [*dropped, *left]
    spoken = route.upstream.spoken_for(route.model)
    return {
        "from": client,
        "to": route.protocol,
        "because": "the query has ?to=" if to else protocol_choice.why(client, spoken, route.protocol),
        "upstream": upstream,
        "original": data,
        "translated": translated,
        "dropped": {field: _why(client, route.protocol, field) for field in dropped},
        "learned": list(map(str, service.quirks.of(upstream, route.model))) if not route.verbatim else [],
        "curl": curl(route, wire.dumps_text(translated)),
    }


def _route(service: Service, client: Protocol, model: str, to: Protocol | None) -> Route:
    """The first route that speaks `to`; if none does, the upstream of the first route as if it spoke it."""
    routes = service.router.routes(model, client)
    if to is None:
        return routes[0]
    speaks = [route for route in routes if to in route.upstream.settings.protocol]
    route = speaks[0] if speaks else routes[0]
    return route if route.protocol == to else Route(route.upstream, to, route.model, client)


def _why(client: Protocol, upstream: Protocol, field: str) -> str:
    if client == upstream:
        return "the settings of the upstream drop it, or it is thinking that this upstream has not signed"
    known = dialects.of(client).words.ledger.why(upstream, field)
    return known or "this upstream does not take it, or its protocol has no such field"


def curl(route: Route, body: str) -> str:
    """A command for a shell. Its secret headers take their value from $API_KEY."""
    words = ["curl", "-sS", shlex.quote(route.url)]
    hidden = {
        header.name.lower() for header in route.upstream.settings.headers
        if not header.public and not is_secret_header(header.name)
    }  # fmt: skip
    for name, value in route.upstream.headers_with(0)[route.protocol].items():
        if name in hidden:
            words.append(f'-H "{name}: ${name.upper().replace("-", "_")}"')
        elif is_secret_header(name):
            scheme = "Bearer " if value.startswith("Bearer ") else ""
            words.append(f'-H "{name}: {scheme}$API_KEY"')
        elif name != "accept-encoding":
            words.append("-H " + shlex.quote(f"{name}: {value}"))
    return " ".join([*words, "--data-binary", shlex.quote(body)])


def guess(data: dict[str, Any], headers: HTTPHeaders) -> Protocol:
    """The protocol of a request, by its fields and headers. A short request may be Messages or Chat; then it is Chat,
    unless a header says otherwise."""
    return dialects.guessed(data, headers).name


def _protocol(asked: dict[str, str], key: str) -> Protocol | None:
    given = asked.get(key)
    if given is None:
        return None
    if given in dialects.names():
        return given
    raise BadRequest(f"{key}: {given[:50]!r} is not one of {', '.join(dialects.names())}", key)
