"""The built-in upstream: a small HTTP server on a loopback port of its own, which answers offline.

The proxy reaches it through libcurl like any upstream, so that it can be used to try the whole proxy. It speaks
Anthropic Messages, OpenAI Chat Completions and OpenAI Responses. Its models demo-* show errors: delays, refusals, cut
or broken streams. answer.py makes the answers; messages.py, chat.py and responses.py write them in each protocol; this
file has the sockets and the timing.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
from collections import OrderedDict
from types import ModuleType
from typing import Any

import ujson
from tornado.http1connection import HTTP1Connection
from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from demo import chat, messages, responses
from demo.answer import MODELS, Answer, Ask, BadRequest, answer, dumps
from demo.door import Door, Server

FAULT_DELTAS = 3  # demo-cut and demo-error break after this many deltas
CUT_PAUSE_S = 0.05  # the time for the text before a reset to arrive
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST instead of FIN
# model -> (status, message, headers)
REFUSALS: dict[str, tuple[int, str, dict[str, str]]] = {
    "demo-429": (429, "Rate limited: demo-429 always is.", {"retry-after": "1"}),
    "demo-529": (529, "Overloaded: demo-529 always is.", {}),
    "demo-500": (500, "Internal server error: demo-500 always has one.", {}),
}


class Demo:
    """The server. `token` is the key that requests must bring, as a Bearer token or x-api-key.

    `slow_first_byte_s` and `slow_event_s` are demo-slow's pace, `long_events` the length of demo-long.
    """

    def __init__(
        self,
        token: str,
        *,
        slow_first_byte_s: float = 2.0,
        slow_event_s: float = 0.2,
        long_events: int = 5_000,
    ) -> None:
        if not token:
            raise ValueError("the demo upstream needs a token: without one, every user of this machine could use it")
        self.token = token.encode()
        self.slow_first_byte_s = slow_first_byte_s
        self.slow_event_s = slow_event_s
        self.long_events = long_events
        self.base_url = ""
        self._server: Server | None = None
        self.running: set[asyncio.Future[None]] = set()  # one for each request in flight

    def __repr__(self) -> str:
        return f"<Demo {self.base_url or 'stopped'} running={len(self.running)}>"

    def start(self) -> str:
        """Listens on a free port of 127.0.0.1 and returns "http://127.0.0.1:PORT". It needs a running event loop."""
        if self._server:
            return self.base_url
        routes: list[Any] = [
            (r"/v1/messages", _Generate, {"demo": self, "wire": messages}),
            (r"/v1/messages/count_tokens", _CountTokens, {"demo": self, "wire": messages}),
            (r"/v1/chat/completions", _Generate, {"demo": self, "wire": chat}),
            (r"/v1/responses", _Generate, {"demo": self, "wire": responses}),
            (r"/v1/models(?:/([^/]+))?", _Models, {"demo": self, "wire": None}),
        ]
        application = Application(
            routes,
            default_handler_class=_Handler,
            default_handler_args={"demo": self, "wire": None},
            log_function=_no_access_log,
        )
        sockets = bind_sockets(0, "127.0.0.1")
        strangers: OrderedDict[IOStream, None] = OrderedDict()
        self._server = Server(Door(application, self.token, strangers))
        self._server.strangers = strangers
        self._server.add_sockets(sockets)
        self.base_url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        return self.base_url

    async def stop(self) -> None:
        """Closes the port and every connection, and waits until no request is in flight."""
        server, self._server, self.base_url = self._server, None, ""
        if server is None:
            return
        server.stop()
        await server.close_all_connections()
        if self.running:
            await asyncio.wait(self.running)


def _no_access_log(handler: RequestHandler) -> None:
    """Logs nothing, because the proxy logs each request already."""


class _Handler(RequestHandler):
    """The base class of all endpoints: the key, the dialect of errors, the end of a request. By itself it answers
    404."""

    def initialize(self, demo: Demo, wire: ModuleType | None) -> None:
        self.demo = demo
        anthropic = self.request.path.startswith("/v1/messages") or "anthropic-version" in self.request.headers
        self.wire: ModuleType = wire or (messages if anthropic else chat)
        self.dialect = messages if self.wire is messages else chat
        self.key = hashlib.sha256(self.request.body).hexdigest()[:20]
        self.set_header("request-id" if self.dialect is messages else "x-request-id", f"req_demo{self.key}")
        self.gone = asyncio.Event()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        demo.running.add(self.done)

    def __repr__(self) -> str:
        return f"<demo {self.request.method} {self.request.path} gone={self.gone.is_set()}>"

    def set_default_headers(self) -> None:
        self.clear_header("Server")

    def io(self) -> IOStream:
        """The client's connection, below HTTP."""
        assert isinstance(self.request.connection, HTTP1Connection)
        return self.request.connection.stream

    def compute_etag(self) -> str | None:
        return None  # no model server sends one, and a hash of the answer is of no use

    def prepare(self) -> None:
        self.io().set_nodelay(True)
        if type(self) is _Handler:
            self.refuse(404, f"Not found: {self.request.method} {self.request.path}")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.refuse(status_code, "Method not allowed" if status_code == 405 else "Internal server error")

    def refuse(
        self, status: int, message: str, param: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """Answers with an error in the client's dialect."""
        self.set_status(status)
        for name, value in (headers or {}).items():
            self.set_header(name, value)
        self.reply(self.dialect.error(status, message, param, self.key))

    def reply(self, body: dict[str, Any]) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(dumps(body))

    def on_connection_close(self) -> None:
        self.gone.set()

    def on_finish(self) -> None:  # called for every request, also when the client has left
        self.demo.running.discard(self.done)
        self.done.set_result(None)

    def body(self) -> dict[str, Any]:
        """The request's JSON object. Raises BadRequest."""
        try:
            body = ujson.loads(self.request.body)
        except ValueError as error:
            raise BadRequest(f"The request body is not valid JSON: {error}") from None
        if not isinstance(body, dict):
            raise BadRequest("The request body must be a JSON object")
        return body

    async def pause(self, seconds: float) -> None:
        """Sleeps; raises StreamClosedError at once if the client leaves."""
        try:
            await asyncio.wait_for(self.gone.wait(), seconds)
        except TimeoutError:
            return
        raise StreamClosedError


class _Generate(_Handler):
    """POST /v1/messages, /v1/chat/completions and /v1/responses: the demo's answer."""

    async def post(self) -> None:
        try:
            ask: Ask = self.wire.read(self.body(), self.key)
            if refusal := REFUSALS.get(ask.model):
                return self.refuse(refusal[0], refusal[1], headers=refusal[2])
            said = answer(ask, self.demo.long_events)
        except BadRequest as error:
            return self.refuse(400, error.message, error.param)
        try:
            if ask.model == "demo-slow":
                await self.pause(self.demo.slow_first_byte_s)
            await (self._stream(ask, said) if ask.stream else self._whole(ask, said))
        except StreamClosedError:
            self.gone.set()  # the client has left, or demo-cut has closed the connection

    async def _whole(self, ask: Ask, said: Answer) -> None:
        if ask.model == "demo-error":
            return self.refuse(500, "The model broke down: demo-error always does.")
        body = self.wire.whole(ask, said)
        if ask.model != "demo-cut":
            return self.reply(body)
        data = dumps(body).encode()
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Length", str(len(data)))
        self.write(data[: len(data) // 2])
        await self.flush()
        await self._cut()

    async def _stream(self, ask: Ask, said: Answer) -> None:
        """Sends frame by frame, each of them flushed before the next, so that a slow reader slows it down."""
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        stream = self.wire.Stream(ask, said)
        gap_s = self.demo.slow_event_s if ask.model == "demo-slow" else 0.0
        faulty = ask.model in ("demo-cut", "demo-error")
        deltas = 0
        for is_delta, frame in stream.frames():
            # An answer that is too short for FAULT_DELTAS breaks at the end of its first part.
            if faulty and (deltas == FAULT_DELTAS or (deltas and not is_delta)):
                return await self._fail(ask, stream)
            if gap_s and deltas:
                await self.pause(gap_s)
            deltas += is_delta
            self.write(frame)
            await self.flush()

    async def _fail(self, ask: Ask, stream: Any) -> None:
        if ask.model == "demo-cut":
            await self._cut()
        else:
            self.write(stream.failure())
            await self.flush()

    async def _cut(self) -> None:
        """Closes the connection with a TCP reset, like a server that dies."""
        await self.pause(CUT_PAUSE_S)
        stream = self.io()
        if stream.socket is not None:
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        stream.close()


class _CountTokens(_Handler):
    """POST /v1/messages/count_tokens: the count that the reply's usage will show as input_tokens."""

    def post(self) -> None:
        try:
            ask = messages.read(self.body(), self.key, counting=True)
        except BadRequest as error:
            return self.refuse(400, error.message, error.param)
        self.reply({"input_tokens": ask.input_tokens})


class _Models(_Handler):
    """GET /v1/models and /v1/models/{id}: in Anthropic's form if the request has an anthropic-version."""

    def get(self, name: str | None) -> None:
        if name is None:
            self.reply(self.dialect.models())
        elif name in MODELS:
            self.reply(self.dialect.model(name))
        else:
            self.refuse(404, f"The model '{name}' does not exist; there is {', '.join(MODELS)}.")
