"""The table of paths: which object handles a request.

The endpoints of models get a Flow as soon as the head of a request is parsed. Everything else goes to a small Tornado
application. Any other path gets a 404 in the client's dialect, with a hint at what was probably meant.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
from collections.abc import Awaitable, Sequence
from http.client import responses as REASONS
from typing import Any, cast
from urllib.parse import parse_qs, unquote

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import StreamClosedError
from tornado.routing import Matcher, Rule
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler, WebSocketProtocol, _WebSocketParams

from gateway.batches import endpoint as batches
from gateway.flow import upstream_request
from gateway.flow.flow import Flow
from gateway.http import origins, query_key
from gateway.http.header_rules import JSON_HEAD, of_refusal
from gateway.http.idle_connections import Connection, Idle
from gateway.http.response_writer import ResponseWriter
from gateway.pages import codex, dry_run, model_list, ollama, picker, status, stored_responses
from gateway.pages.dry_run import DryRun
from gateway.pages.handlers import Handler, Shown
from gateway.pages.health import Alive, Ready
from gateway.pages.upstream_query import Reply, Sink
from gateway.relay import relay
from gateway.relay.relay import Relay
from gateway.runtime import Service
from gateway.websocket.arriving import Arriving, Counted
from gateway.websocket.session import Session
from operate.logs.journal import Journal
from operate.settings.load import Settings
from translate import dialects, wire
from translate.codex import catalogue
from translate.dialect import Dialect
from translate.errors import ApiError
from translate.responses.dialect import RESPONSES

log = logging.getLogger("proxy")

Row = tuple[str, type[Handler], dict[str, Any]]
"""One row of the table: (pattern of the path, handler, its arguments)."""


OPERATORS = re.compile(r"/(healthz|health/.*|api/hello|readyz|metrics|dashboard.*|debug/(upstreams|quirks))?")
"""Paths that are served in reserved places too, when there are as many connections as there may be."""

PACKED_PIECE = 512  # how many bytes of a compressed body are decompressed in one turn of the loop


class Door(HTTPServerConnectionDelegate):
    """The callback of Tornado's HTTPServer: it begins every request. rows: further rows of the table."""

    def __init__(self, service: Service, rows: Sequence[Row] = ()) -> None:
        self.service = service
        self.idle = Idle()
        status.serve(service)
        args = {"service": service}
        self.application = Application(
            [
                Rule(AskingBefore(), Preflight, args),
                (r"/v1/models/?", Models, args),
                (r"/v1/models/(.+)", OneModel, args),
                *_listings(service),
                (r"/api/tags", ollama.Tags, args),
                (r"/api/ps", ollama.Running, args),
                (r"/api/version", ollama.Version, args),
                (r"/v1/responses/([^/]+)(/input_items|/cancel)?", Stored, args),
                (r"/debug/quirks", Learned, args),
                (status.PATH, Standing, args),
                (r"/(?:healthz|health/live(?:li)?ness|api/hello)?", Alive, args),
                (r"/(?:readyz|health/readiness)", Ready, args),
                *rows,
                Rule(Upgrading(service), Socket, args),
                (r".*", Elsewhere, args),
            ],
            log_function=functools.partial(log_request, service.journal),
        )
        self.adopt(service.settings)

    def adopt(self, settings: Settings) -> None:
        """Takes over changed settings, for websockets that open from now on."""
        self.application.settings |= {
            "websocket_max_message_size": settings.server.max_body_bytes,
            "websocket_ping_interval": settings.server.idle_timeout,
        }

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        connection = cast(Connection, server_conn)  # Tornado's type is object; its HTTP server passes one of these
        self.idle.waits(connection)
        return Entrance(self, connection, request_conn)


def _listings(service: Service) -> list[Row]:
    """The rows of the lists of models that have addresses of their own."""
    rows: list[Row] = []
    for dialect in dialects.every():
        for path in dialect.models.paths:
            args = {"service": service, "own": dialect}
            rows += [(f"{path}/?", Models, args), (f"{path}/(.+)", OneModel, args)]
    return rows


class Entrance(HTTPMessageDelegate):
    """Waits for the head of a request, and passes the rest on to the object that handles it. A body for any other path
    than a model's endpoint is read and dropped, because its sender may not even have a key."""

    __slots__ = ("_conn", "_door", "_hot", "_packed", "_server_conn", "_timer", "_to")

    def __init__(self, door: Door, server_conn: Connection, conn: HTTPConnection) -> None:
        self._door = door
        self._server_conn = server_conn
        self._conn = conn
        self._to: HTTPMessageDelegate | None = None
        self._hot: HTTPMessageDelegate | None = None  # the handler, if it takes a body
        self._packed = False
        self._timer: asyncio.TimerHandle | None = None

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> Any:
        assert isinstance(start_line, RequestStartLine)
        self._packed = "Content-Encoding" in headers
        if "key=" in start_line[1] and (of := dialects.keyed(start_line[1].partition("?")[0])) is not None:
            target = query_key.moved(start_line[1], headers, of.http.query_key, of.http.auth[0])
            start_line = start_line._replace(path=target)
        path = start_line[1].partition("?")[0] if start_line[0] == "POST" else ""
        hot = dialects.at(path) if path else None
        batch = batches.asked(self._door.service, start_line[0], start_line[1], headers) if hot is None else None
        relayed = relay.asked(start_line[0], start_line[1], headers) if hot is None and batch is None else None
        assert isinstance(self._conn, HTTP1Connection)
        self._door.idle.ends(self._server_conn)
        if self._server_conn.turned_away is not None and not OPERATORS.fullmatch(start_line[1].partition("?")[0]):
            self._server_conn.turned_away()
            self._refuse(_full(), start_line[1], headers)
            return None
        if hot is None and relayed is None and batch is None and _has_body(headers):  # those have a clock of their own
            patience = self._door.service.settings.server.body_timeout
            self._timer = asyncio.get_running_loop().call_later(
                patience, self._too_slow, patience, start_line[1], headers
            )
        if path == dry_run.PATH:
            self._to = self._hot = DryRun(self._door.service, self._conn)
        elif path == ollama.SHOW:
            self._to = self._hot = ollama.Show(self._door.service, self._conn)
        elif hot is not None:
            self._to = self._hot = Flow(
                self._door.service.ports, self._conn, hot.dialect, hot.endpoint, model=hot.model
            )
        elif batch is not None:
            self._to = self._hot = batches.Call(self._door.service, self._conn, batch)
        elif relayed is not None:
            self._to = self._hot = Relay(self._door.service, self._conn, *relayed)
            self._packed = self._packed and "form-data" not in headers.get("Content-Type", "")
        else:
            headers.pop("Content-Type", None)  # otherwise Tornado parses a form in the body that is missing, and fails
            self._to = self._door.application.start_request(self._server_conn, self._conn)
        return self._to.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Any:
        if self._hot is None:
            return None
        return self._in_turns(self._hot, chunk) if self._packed else self._hot.data_received(chunk)

    async def _in_turns(self, to: HTTPMessageDelegate, chunk: bytes) -> None:
        """Passes a compressed body on in pieces, so that other requests get their turns: some hundred bytes of it may
        become a megabyte."""
        for at in range(0, len(chunk), PACKED_PIECE):
            to.data_received(chunk[at : at + PACKED_PIECE])
            await asyncio.sleep(0)

    def finish(self) -> None:
        self._stop_timer()
        if self._to is not None:
            self._to.finish()

    def _too_slow(self, within_s: float, target: str, headers: HTTPHeaders) -> None:
        """Refuses a request whose body did not arrive in time, and that has no Flow."""
        self._timer = None
        error = upstream_request.too_slow(within_s)
        log.info("%s", error.message)
        self._refuse(error, target, headers)

    def malformed(self, error: ApiError, target: str, headers: HTTPHeaders) -> None:
        """It is not HTTP/1.1, or not as strictly as it has to be (gateway/http/connection.py)."""
        self._door.idle.ends(self._server_conn)
        log.info("%s", error.message)
        self._refuse(error, target, headers)

    def _refuse(self, error: ApiError, target: str, headers: HTTPHeaders) -> None:
        """Answers with an error, and ends the connection."""
        assert isinstance(self._conn, HTTP1Connection)
        answer = ResponseWriter(self._conn)
        answer.last()
        answer.more = self._door.service.access.origins.lines(headers)
        key = self._door.service.next_key()
        head = JSON_HEAD + of_refusal(error.status, key, "", error.retry_after)
        place = dialects.at(target.partition("?")[0])
        dialect = place.dialect if place is not None else dialects.asking(headers, target)
        answer.whole(error.status, head, dialect.errors.body(error, key))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def on_connection_close(self) -> None:
        self._stop_timer()
        if self._to is not None:
            self._to.on_connection_close()


def _full() -> ApiError:
    message = "the proxy has no place for a further connection ([server] max_connections)"
    return ApiError("overloaded", message, 503, retry_after=1)


# ------------------------------------------------------------------------------------ paths without a Flow


def log_request(journal: Journal, handler: RequestHandler) -> None:
    """Writes a line to api_requests.json, except for probes and polls of the dashboard that succeed: they come every
    few seconds and are of no interest."""
    silent = getattr(handler, "open", False) or getattr(handler, "polled", False)
    if journal.api_requests and (handler.get_status() >= 400 or not silent):
        request = handler.request
        journal.request(
            request.method, request.path, handler.get_status(), request.request_time() * 1e3,
            getattr(handler, "client", ""), getattr(handler, "key", ""),
        )  # fmt: skip


class Listed(Handler):
    """What is told of models. own: the dialect of the address, None where the client's headers tell it."""

    own: Dialect | None = None

    def initialize(self, service: Service, own: Dialect | None = None) -> None:
        super().initialize(service)
        self.own = own

    @property
    def dialect(self) -> Dialect:
        return self.own or super().dialect

    @property
    def for_codex(self) -> bool:
        asked = parse_qs(self.request.query, keep_blank_values=True)
        return self.own is None and catalogue.asks(asked, self.request.headers.get("User-Agent", ""))


class Models(Listed):
    """GET /v1/models: the list of models."""

    async def get(self) -> None:
        models = await self.service.listing.models(self.request.headers)
        if (rules := self.service.rules.get(self.client)) is not None:
            models = [model for model in models if rules.allow(model.upstream, model.id)]
        if self.for_codex:
            self.finish(await codex.page(models, self.service.settings.server.codex_instructions))
            return
        if picker.is_for(self.request.headers):
            models = [picker.listed(model) for model in models]
        self.finish(model_list.page(models, self.request.query, self.dialect))


class OneModel(Listed):
    """GET /v1/models/{id}: one model. An id may have slashes."""

    async def get(self, id: str) -> None:
        if (place := dialects.at(self.request.path)) is not None:
            self.set_header("Allow", "POST")
            error = ApiError("invalid_request", f"GET {self.request.path[:200]}: only POST is served here", 405)
            self.refuse(error, place.dialect)
            return
        models = await self.service.listing.models(self.request.headers)
        try:
            if (rules := self.service.rules.get(self.client)) is not None:
                rules.permitted(self.service.router.routes(unquote(id), self.dialect.name), unquote(id))
            model = model_list.one(models, unquote(id), self.service.router, self.dialect)
            if self.for_codex:
                said = await codex.page([model], self.service.settings.server.codex_instructions)
            else:
                said = wire.dumps(self.dialect.models.row(model))
            self.finish(self.service.masked(said))
        except ApiError as error:
            self.refuse(error)


class Stored(Handler):
    """GET and DELETE /v1/responses/{id}, GET .../input_items, POST .../cancel: one stored response."""

    asking: asyncio.Task[Reply] | None = None

    async def ask(self, id: str, part: str | None) -> None:
        method = self.request.method or ""
        if (method, part or "") not in stored_responses.SERVED or dialects.at(self.request.path):
            error = ApiError("invalid_request", f"{method} {self.request.path[:200]} is not served here", 405)
            self.refuse(error, RESPONSES)
            return
        sink = Sink(self.begin, self.more)
        asked = stored_responses.ask(
            self.service, self.client, self.request.headers, method, id, part or "", self.request.query, sink
        )
        self.asking = asyncio.ensure_future(asked)
        self.service.askings.add(self.asking)
        self.asking.add_done_callback(self.service.askings.discard)
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

    def begin(self, reply: Reply) -> None:
        self.set_status(reply.status, REASONS.get(reply.status, "Unknown"))
        for line in reply.head.decode("latin-1").split("\r\n")[:-1]:
            name, _, value = line.partition(": ")
            self.set_header(name, value)

    async def more(self, data: bytes) -> None:
        self.write(data)
        await self.flush()

    get = head = post = put = patch = delete = ask

    def on_connection_close(self) -> None:
        if self.asking is not None:
            self.asking.cancel()


class Learned(Shown):
    """GET /debug/quirks: the learned quirks of upstreams, and how often each field was dropped."""

    async def shown(self) -> dict[str, Any]:
        return {"learned": self.service.quirks.all(), "dropped": dict(self.service.dropped.most_common())}


class Standing(Shown):
    """GET /debug/upstreams: which upstreams answer, how quickly, and how busy they are."""

    async def shown(self) -> dict[str, Any]:
        return await status.of_all(self.service)


class AskingBefore(Matcher):
    """Matches the preflight request (OPTIONS) of a browser, on any path."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        return {} if origins.asks_before(request.method, request.headers) else None


class Preflight(Handler):
    """Answers a preflight request, which needs no key."""

    open = True

    def options(self) -> None:
        try:
            for name, value in self.service.access.origins.preflight(self.request.headers):
                self.set_header(name, value)
        except ApiError as error:
            self.refuse(error)
            return
        self.clear_header("Content-Type")
        self.set_status(204)
        self.finish()


class Upgrading(Matcher):
    """Matches GET /v1/responses with an upgrade to a websocket, if websockets are served."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        if not self._service.websockets:
            return None
        return {} if request.method == "GET" and request.path == "/v1/responses" and wants_upgrade(request) else None


class Socket(Handler, WebSocketHandler):
    """A websocket, from its upgrade to its end. Access is checked as for every request, also for web pages."""

    session: Session | None = None
    arriving: Arriving | None = None

    def prepare(self) -> None:
        try:
            self.client = self.service.access.check(self.request.headers)
            if self.service.stage != "serving":
                raise ApiError("overloaded", "the proxy is shutting down", 503, retry_after=1)
        except ApiError as error:
            self.refuse(error, RESPONSES)

    def check_origin(self, origin: str) -> bool:
        return True  # `prepare` has checked it

    def get_websocket_protocol(self) -> WebSocketProtocol | None:
        if self.request.headers.get("Sec-WebSocket-Version") != "13":  # Tornado answers which version it takes
            return None
        self.arriving = Arriving(self.service)
        params = _WebSocketParams(
            ping_interval=self.ping_interval,
            ping_timeout=self.ping_timeout,
            max_message_size=self.max_message_size,
            compression_options=self.get_compression_options(),
        )
        return Counted(self, params, self.arriving, self.too_much)

    async def too_much(self, error: ApiError) -> None:
        """Of what messages may take together: this one was not kept."""
        if self.session is not None:
            await self.session.refuse(error)

    def get_compression_options(self) -> dict[str, Any]:
        return {"compression_level": 1, "mem_level": 5}  # a higher level saves little on small events

    def open(self, *args: str, **kwargs: str) -> None:  # type: ignore[override]  # Tornado's hook; ours is a flag
        self.session = Session(self.service, self, self.request.headers)

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        return self.session.message(message) if self.session is not None else None

    def on_close(self) -> None:
        if self.arriving is not None:
            self.arriving.over()
        if self.session is not None:
            self.session.closed()


class Elsewhere(Handler):
    """Answers every other path or method with an error that says what is served."""

    open = True

    async def get(self) -> None:
        self.answer()

    head = post = put = patch = delete = options = get

    def answer(self) -> None:
        path, method = self.request.path, self.request.method
        if path == "/v1/responses" and wants_upgrade(self.request):
            self.set_header("Connection", "close")
            message = "websockets are off ([server] websockets, [responses] store_entries): use POST /v1/responses"
            error = ApiError("invalid_request", message, 426)
            self.refuse(error, RESPONSES)
        elif (place := dialects.at(path)) is not None:
            self.set_header("Allow", "POST")
            error = ApiError("invalid_request", f"{method} {path}: only POST is served here", 405)
            self.refuse(error, place.dialect)
        elif path.startswith("/v1/v1/"):
            message = f"{path}: your client adds /v1 to a base URL that ends in /v1; remove it from the base URL"
            self.refuse(ApiError("not_found", message))
        else:
            served = ", ".join([*dialects.addresses(), "/v1/models"])
            self.refuse(ApiError("not_found", f"{method} {path[:200]} is not served here; what is served: {served}"))


def _has_body(headers: HTTPHeaders) -> bool:
    return headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers


def wants_upgrade(request: HTTPServerRequest) -> bool:
    return "upgrade" in request.headers.get("Connection", "").lower()
