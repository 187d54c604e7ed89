"""The URL table's machinery: which object takes a request.

Hot endpoints get a Relay straight from the parsed head; everything else goes to a small Tornado application.
A path that is neither is answered 404 in the dialect of who asks, with a word on what was probably meant.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import unquote

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.web import Application, RequestHandler

from gateway import listing
from gateway.relay import Relay
from gateway.service import Service
from translate import errors, wire
from translate.errors import ApiError
from translate.target import Protocol

log = logging.getLogger("proxy")

# path -> (protocol, is it count_tokens): POST only
HOT: dict[str, tuple[Protocol, bool]] = {
    "/v1/messages": ("messages", False),
    "/v1/messages/count_tokens": ("messages", True),
    "/v1/chat/completions": ("chat", False),
    "/v1/responses": ("responses", False),
}


class Door(HTTPServerConnectionDelegate):
    """Given to Tornado's HTTPServer as its callback."""

    def __init__(self, service: Service) -> None:
        self.service = service
        args = {"service": service}
        self.application = Application(
            [
                (r"/v1/models/?", Models, args),
                (r"/v1/models/(.+)", OneModel, args),
                (r"/(?:healthz|api/hello)?", Alive, args),
                (r".*", Elsewhere, args),
            ],
            log_function=lambda handler: None,
        )

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        return Entrance(self, server_conn, request_conn)


class Entrance(HTTPMessageDelegate):
    """Waits for the head of a request, then steps aside."""

    __slots__ = ("_conn", "_door", "_server_conn", "_to")

    def __init__(self, door: Door, server_conn: object, conn: HTTPConnection) -> None:
        self._door = door
        self._server_conn = server_conn
        self._conn = conn
        self._to: HTTPMessageDelegate | None = None

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> Any:
        hot = HOT.get(start_line[1].partition("?")[0]) if start_line[0] == "POST" else None
        if hot is not None:
            assert isinstance(self._conn, HTTP1Connection)
            self._to = Relay(self._door.service, self._conn, *hot)
        else:
            self._to = self._door.application.start_request(self._server_conn, self._conn)
        return self._to.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Any:
        assert self._to is not None
        return self._to.data_received(chunk)

    def finish(self) -> None:
        assert self._to is not None
        self._to.finish()

    def on_connection_close(self) -> None:
        if self._to is not None:
            self._to.on_connection_close()


# ------------------------------------------------------------------------------------------ the cold ones


class Handler(RequestHandler):
    """open: no key is asked for."""

    open = False

    def initialize(self, service: Service) -> None:
        self.service = service

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Content-Type", "application/json")

    def compute_etag(self) -> str | None:
        return None

    def prepare(self) -> None:
        if not self.open:
            try:
                self.service.access.check(self.request.headers)
            except ApiError as error:
                self.refuse(error)

    @property
    def protocol(self) -> Protocol:
        return "messages" if listing.asks_anthropic(self.request.headers) else "chat"

    def refuse(self, error: ApiError, protocol: Protocol | None = None) -> None:
        said = protocol or self.protocol
        key = self.service.next_key()
        self.set_status(errors.status_for(said, error))
        self.set_header("request-id", f"req_{key}")
        self.finish(errors.body(said, error, f"req_{key}"))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = ApiError(errors.kind_of(status_code), f"{self._reason}: {self.request.method}", status_code)
        if status_code >= 500:
            error.message = "internal error of the proxy, see its log"
        self.refuse(error)


class Models(Handler):
    """GET /v1/models"""

    async def get(self) -> None:
        models = await self.service.listing.models()
        self.finish(listing.page(models, self.request.query, listing.asks_anthropic(self.request.headers)))


class OneModel(Handler):
    """GET /v1/models/{id}; an id may hold slashes."""

    async def get(self, id: str) -> None:
        models = await self.service.listing.models()
        anthropic = listing.asks_anthropic(self.request.headers)
        try:
            self.finish(listing.one(models, unquote(id), self.service.router, anthropic))
        except ApiError as error:
            self.refuse(error)


class Alive(Handler):
    """GET/HEAD /, /healthz, /api/hello: that the process answers; nothing that a stranger should not know."""

    open = True

    def get(self) -> None:
        self.finish(wire.dumps({"status": "ok", "service": "anthropic-proxy"}))

    def head(self) -> None:
        self.finish()


class Elsewhere(Handler):
    """Every other path or method."""

    open = True

    async def get(self) -> None:
        self.answer()

    head = post = put = patch = delete = options = get  # type: ignore[assignment]

    def answer(self) -> None:
        path, method = self.request.path, self.request.method
        if path == "/v1/responses" and "upgrade" in self.request.headers.get("Connection", "").lower():
            self.set_header("Connection", "close")
            error = ApiError("invalid_request", "no websocket here: POST /v1/responses instead", 426)
            self.refuse(error, "responses")
        elif path in HOT:
            self.set_header("Allow", "POST")
            error = ApiError("invalid_request", f"{method} {path}: only POST is served here", 405)
            self.refuse(error, HOT[path][0])
        elif path.startswith("/v1/v1/"):
            message = f"{path}: the base URL ends in /v1 and your client adds one too; leave it out of the base URL"
            self.refuse(ApiError("not_found", message))
        else:
            served = ", ".join([*HOT, "/v1/models"])
            self.refuse(ApiError("not_found", f"{method} {path[:200]} is not served here; there is {served}"))
