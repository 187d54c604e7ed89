"""A websocket of OpenAI Responses: each `response.create` of the client is a turn, which is handled like a POST.

A Turn gives a Flow what it needs; its reply goes out as frames (writer.py). A Session runs its turns one after the
other and keeps their responses as long as it lasts, stored or not, so that a turn needs only what is new
(previous_response_id). A turn with generate = false is a warm-up: its input is kept, and no upstream gets it. Source:
https://platform.openai.com/docs/guides/websocket-mode
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.httputil import HTTPHeaders, RequestStartLine
from tornado.iostream import IOStream, StreamClosedError
from tornado.websocket import WebSocketHandler

from gateway.flow import outline
from gateway.flow.client_request import ClientRequest
from gateway.flow.flow import Flow
from gateway.flow.states import State
from gateway.http.auth import Access
from gateway.limits.rate_limit import MessageRate
from gateway.runtime import Service
from gateway.stored.previous_response import PreviousResponse, owner_of
from gateway.websocket.writer import FrameWriter, error_event, frame
from translate.conversation import Start, Stop, Usage
from translate.failures.errors import ApiError, BadRequest
from translate.json import wire
from translate.responses import items
from translate.responses.dialect import RESPONSES
from translate.responses.encode_stream import Encoder
from translate.target import Asked

MAX_WAITING = 8  # how many turns a client may send before the present one is over
GOING_AWAY = 1001  # RFC 6455, section 7.4.1
_START = RequestStartLine("POST", "/v1/responses", "HTTP/1.1")
_OF_THE_SOCKET = ("sec-websocket-", "openai-beta", "accept", "content-")


class Session:
    """One websocket, which is the connection of its flows. last: it ends after the present turn."""

    def __init__(self, service: Service, socket: WebSocketHandler, headers: HTTPHeaders) -> None:
        assert socket.ws_connection is not None and socket.ws_connection.stream is not None
        self.service = service
        self.key = f"websocket {service.next_key().removeprefix('req_')}"
        self.stream: IOStream = socket.ws_connection.stream
        self.last = service.in_flight.stage != "serving"
        self.context = socket.request  # as of any connection: it has the other side's address
        self._socket = socket
        self._compressor = getattr(socket.ws_connection, "_compressor", None)
        self._headers = _for_turns(headers)
        self._waiting: deque[Turn] = deque()
        self._turn: Turn | None = None
        self._on_close: Callable[[], None] | None = None
        self._rate = MessageRate(service.settings.limits.websocket_messages)
        # Tornado reads a frame as a whole, so its buffer must have room for the largest message and a part of the next.
        self.stream.max_buffer_size = service.max_body_bytes + (1 << 20)
        self.stream.set_nodelay(True)
        service.in_flight.sessions.add(self)

    def __repr__(self) -> str:
        return f"<Session {self.key} {self._turn!r}, {len(self._waiting)} waiting{', last' * self.last}>"

    # ------------------------------------------------------------------------------- what the client sends

    def message(self, text: str | bytes) -> Awaitable[None] | None:
        """Handles a message. Its result must be awaited before the next message is read, so that a client that does not
        read its errors cannot cause more."""
        try:
            if isinstance(text, bytes):
                raise BadRequest("this is a binary message; send JSON in a text message")
            self._rate.came(time.monotonic())
            data = outline.parse(text.encode("utf-8", "surrogatepass"), self.service.shape.values)
            self.service.shape.check(data, len(text))
            kind = data.get("type")
            if kind != "response.create":
                raise BadRequest(f"type: '{str(kind)[:100]}' is not supported here; send response.create", "type")
            if data.get("background"):
                raise BadRequest(
                    "background: it is not supported over a websocket; use POST /v1/responses", "background"
                )
            if len(self._waiting) >= MAX_WAITING:
                raise ApiError(
                    "rate_limit",
                    f"{MAX_WAITING} turns already wait on this websocket; wait for a reply before you send another",
                )
        except ApiError as error:
            return self.refuse(error)
        turn = Turn(self.service, self, data)
        turn.flow.headers_received(_START, self._headers)
        turn.flow.data_received(wire.dumps(turn.data))
        self._waiting.append(turn)
        self._next()
        turn.data = {}  # the flow has the body; do not keep it twice while the turn waits
        return None

    async def refuse(self, error: ApiError) -> None:
        with contextlib.suppress(StreamClosedError):
            await self.stream.write(self.frame(error_event(error)))

    def _next(self) -> None:
        while self._turn is None and self._waiting:
            turn = self._waiting.popleft()
            if turn.flow.state is State.RECEIVING:  # otherwise it has ended already, because the proxy shuts down
                self._turn = turn
                turn.flow.finish()
        if self._turn is None and self.last:
            self._socket.close(GOING_AWAY)

    def turn_over(self, turn: Turn) -> None:
        if turn is self._turn:
            self._turn = self._on_close = None
            asyncio.get_running_loop().call_soon(self._next)

    # -------------------------------------------------------------------------------------- its two ends

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Sets what is called when the client leaves during a turn."""
        self._on_close = callback

    def frame(self, data: bytes) -> bytes:
        return frame(data, self._compressor)

    def closed(self) -> None:
        """Ends the session of a websocket that is closed."""
        self.service.in_flight.sessions.discard(self)
        for turn in self._waiting:
            turn.flow.on_connection_close()
        self._waiting.clear()
        if self._on_close is not None:
            self._on_close()
        self.service.response_store.forget(self.key)

    def drain(self) -> None:
        """Ends the session after the present turn, because the proxy shuts down."""
        self.last = True
        self._next()

    def hang_up(self) -> None:
        """Ends the websocket at once, without the closing handshake."""
        self._socket.close(GOING_AWAY)
        self.stream.close()


class Turn:
    """One response.create; it is the Front of its Flow. data: its fields, in the form of a POST's body."""

    is_here = True  # before its head comes; it may only have to wait for the turn before it

    __slots__ = ("_generate", "_stream_id", "_session", "_writer", "data", "flow", "service")

    def __init__(self, service: Service, session: Session, data: dict[str, Any]) -> None:
        self.service = service
        self._session = session
        self._generate = data.get("generate") is not False
        stream_id = data.get("stream_id")
        self._stream_id = stream_id if isinstance(stream_id, str) else ""
        own = ("type", "generate", "stream_id", "background")
        self.data = {key: value for key, value in data.items() if key not in own} | {"stream": True}
        self._writer: FrameWriter | None = None
        self.flow = Flow(service.ports, session, RESPONSES, RESPONSES.endpoints[0], front=self)

    def __repr__(self) -> str:
        return f"<Turn {self.flow!r}>"

    def writer(self, key: str) -> FrameWriter:
        self._writer = FrameWriter(self._session, self._stream_id, self.service.observers.to_copy(key))
        return self._writer

    def checked(self, headers: HTTPHeaders, access: Access) -> str:
        return access.check(headers)

    def previous(self, request: ClientRequest) -> PreviousResponse:
        request.data = self.data or None
        owner = owner_of(request.client, request.headers)
        own = PreviousResponse(self.service.response_store, owner, self._session.key)
        if self._writer is not None:
            self._writer.previous = own
        return own

    def answers(self, request: ClientRequest) -> bytes | None:
        if self._generate:
            return None
        data, previous = request.parsed(), request.previous
        assert isinstance(previous, PreviousResponse)
        previous.refuse_warm_up(data)
        previous.note(data)
        key, echo = request.key.removeprefix("req_"), items.echo(data) | previous.echo
        asked = Asked(model=request.asked_model, key=key, created=int(time.time()), echo=echo)
        return Encoder(asked).emit([Start(), Stop("end", Usage())])

    def passes(self, request: ClientRequest) -> None:
        data, previous = request.parsed(), request.previous
        assert isinstance(previous, PreviousResponse)
        previous.note(data)
        if previous.extends and data.get("store") is False:
            # The upstream has not stored the reasoning, so an item without its encrypted content is of no use to it.
            data["input"] = [item for item in data["input"] if not _is_hollow(item)]
            request.body = wire.dumps(data)
            request.read_outline()

    def over(self) -> None:
        self._session.turn_over(self)


def _is_hollow(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "reasoning" and not item.get("encrypted_content")


def _for_turns(headers: HTTPHeaders) -> HTTPHeaders:
    """The headers of the upgrade without those about the websocket."""
    own = HTTPHeaders()
    for name, value in headers.get_all():
        if not name.lower().startswith(_OF_THE_SOCKET):
            own.add(name, value)
    own.add("Accept", "text/event-stream")
    return own
