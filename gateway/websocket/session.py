"""A websocket of Responses: the client sends `response.create`, and each such turn walks the way of a POST.

A Turn is a Relay whose answer goes out as frames (writer.py); a Session runs its turns one after the other and
remembers their responses for as long as it lasts, stored or not, so that a turn need only bring what is new
(previous_response_id). A turn with generate = false only warms up: what it brings is remembered, and no upstream is
asked. https://platform.openai.com/docs/guides/websocket-mode
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tornado.httputil import HTTPHeaders, RequestStartLine
from tornado.iostream import IOStream, StreamClosedError
from tornado.websocket import WebSocketHandler

from gateway.flow import envelope
from gateway.flow.attempt import Try
from gateway.flow.relay import Relay
from gateway.http.response_writer import Answer
from gateway.routing.router import Route
from gateway.stored.previous_response import Recall, owner_of
from gateway.websocket.writer import Frames, error_event, frame
from translate import wire
from translate.conversation import Start, Stop, Usage
from translate.errors import ApiError, BadRequest
from translate.responses import items
from translate.responses.dialect import RESPONSES
from translate.responses.encode_stream import Encoder
from translate.target import Asked

if TYPE_CHECKING:
    from gateway.runtime import Service

MAX_WAITING = 8  # turns that a client may send ahead
GOING_AWAY = 1001  # RFC 6455, section 7.4.1
_START = RequestStartLine("POST", "/v1/responses", "HTTP/1.1")
_OF_THE_SOCKET = ("sec-websocket-", "openai-beta", "accept", "content-")


class Session:
    """One websocket. It is what a Relay takes for its connection. last: it ends with the turn that is on."""

    def __init__(self, service: Service, socket: WebSocketHandler, headers: HTTPHeaders) -> None:
        assert socket.ws_connection is not None and socket.ws_connection.stream is not None
        self.service = service
        self.key = f"websocket {service.next_key()}"
        self.stream: IOStream = socket.ws_connection.stream
        self.last = service.stage != "serving"
        self._socket = socket
        self._compressor = getattr(socket.ws_connection, "_compressor", None)
        self._headers = _for_turns(headers)
        self._waiting: deque[Turn] = deque()
        self._turn: Turn | None = None
        self._on_close: Callable[[], None] | None = None
        # Tornado reads a frame as a whole: its buffer must have room for the largest message, and some of the next.
        self.stream.max_buffer_size = service.max_body_bytes + (1 << 20)
        self.stream.set_nodelay(True)
        service.sessions.add(self)

    def __repr__(self) -> str:
        return f"<Session {self.key} {self._turn!r}, {len(self._waiting)} waiting{', last' * self.last}>"

    # ------------------------------------------------------------------------------- what the client sends

    def message(self, text: str | bytes) -> Awaitable[None] | None:
        """What it returns is to be waited for before the next is read: who does not read errors makes no more."""
        try:
            if isinstance(text, bytes):
                raise BadRequest("a binary message; only text is understood here")
            data = envelope.parse(text.encode("utf-8", "surrogatepass"))
            kind = data.get("type")
            if kind != "response.create":
                raise BadRequest(f"type: '{str(kind)[:100]}' is not understood here, only response.create", "type")
            if data.get("background"):
                raise BadRequest("background: not over a websocket; POST /v1/responses instead", "background")
            if len(self._waiting) >= MAX_WAITING:
                raise ApiError("rate_limit", f"{MAX_WAITING} turns are waiting already on this websocket")
        except ApiError as error:
            return self._refuse(error)
        turn = Turn(self.service, self, data)
        turn.headers_received(_START, self._headers)
        turn.data_received(wire.dumps(turn.data))
        self._waiting.append(turn)
        self._next()
        return None

    async def _refuse(self, error: ApiError) -> None:
        with contextlib.suppress(StreamClosedError):
            await self.stream.write(self.frame(error_event(error)))

    def _next(self) -> None:
        while self._turn is None and self._waiting:
            turn = self._waiting.popleft()
            if turn.state == "reading":  # else it was ended already: the proxy shuts down
                self._turn = turn
                turn.finish()
        if self._turn is None and self.last:
            self._socket.close(GOING_AWAY)

    def turn_over(self, turn: Turn) -> None:
        if turn is self._turn:
            self._turn = self._on_close = None
            asyncio.get_running_loop().call_soon(self._next)

    # -------------------------------------------------------------------------------------- its two ends

    def set_close_callback(self, callback: Callable[[], None]) -> None:
        """A turn's: to be told when the client leaves."""
        self._on_close = callback

    def frame(self, data: bytes) -> bytes:
        return frame(data, self._compressor)

    def closed(self) -> None:
        """The websocket is."""
        self.service.sessions.discard(self)
        for turn in self._waiting:
            turn.on_connection_close()
        self._waiting.clear()
        if self._on_close is not None:
            self._on_close()
        self.service.memory.forget(self.key)

    def drain(self) -> None:
        """The proxy shuts down: ends once no turn is on."""
        self.last = True
        self._next()

    def hang_up(self) -> None:
        """At once, without waiting for the client's word."""
        self._socket.close(GOING_AWAY)
        self.stream.close()


class Turn(Relay):
    """One response.create. data: its fields, as the body of a POST has them."""

    __slots__ = ("_generate", "_lane", "_session")

    def __init__(self, service: Service, session: Session, data: dict[str, Any]) -> None:
        super().__init__(service, session, RESPONSES.name)  # type: ignore[arg-type]  # it has what a Relay needs of one
        self._session = session
        self._generate = data.get("generate") is not False
        lane = data.get("stream_id")
        self._lane = lane if isinstance(lane, str) else ""
        own = ("type", "generate", "stream_id", "background")
        self.data = {key: value for key, value in data.items() if key not in own} | {"stream": True}

    def new_answer(self) -> Answer:
        return Frames(self._session, self, self._lane, self.service.to_copy(self.key))

    def new_recall(self) -> Recall:
        return Recall(self.service.memory, owner_of(self.client, self.headers), self._session.key)

    def start(self, routes: list[Route]) -> None:
        if self._generate:
            super().start(routes)
            return
        assert self.data is not None and isinstance(self.recall, Recall)
        self.recall.refuse_warm_up(self.data)
        self.recall.note(self.data)
        echo = items.echo(self.data)
        encoder = Encoder(Asked(model=self.asked_model, key=self.key, created=int(time.time()), echo=echo))
        self.status = 200
        self.answer.start(200, b"")
        self.answer.write(encoder.emit([Start(), Stop("end", Usage())]))
        self.stream_done()

    def verbatim_for(self, new: Try) -> bytes:
        assert self.data is not None and isinstance(self.recall, Recall)
        self.recall.note(self.data)
        if self.recall.extends and self.data.get("store") is False:
            # What the upstream has not stored it cannot look up: thinking must be whole in its item, or be left out.
            self.data["input"] = [item for item in self.data["input"] if not _is_hollow(item)]
            self.body = wire.dumps(self.data)
            self.envelope = envelope.read(self.body)
        return super().verbatim_for(new)

    def look(self) -> None:
        if self.state != "reading":  # that is a wait for the turn before; its body is there
            super().look()

    def _over(self, error: ApiError | None) -> None:
        super()._over(error)
        self._session.turn_over(self)


def _is_hollow(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "reasoning" and not item.get("encrypted_content")


def _for_turns(headers: HTTPHeaders) -> HTTPHeaders:
    """The upgrade's headers, less those that are about the websocket."""
    own = HTTPHeaders()
    for name, value in headers.get_all():
        if not name.lower().startswith(_OF_THE_SOCKET):
            own.add(name, value)
    own.add("Accept", "text/event-stream")
    return own
