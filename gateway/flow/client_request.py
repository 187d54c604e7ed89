"""What the client asks: its headers, its body as it comes in, and what is read off them, each once and when needed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any
from typing import Protocol as Interface
from urllib.parse import parse_qsl

from tornado.httputil import HTTPHeaders

from gateway.cache.question import Question
from gateway.flow import envelope, upstream_request
from gateway.flow.crossed import Crossed
from gateway.flow.envelope import Envelope
from gateway.flow.info import Info, Standing
from gateway.flow.timing import Clock
from gateway.flow.trace import Trace
from gateway.http import body_decoding, body_size, json_bounds, session_headers
from gateway.http.auth import Access
from gateway.http.header_lines import fact
from gateway.http.response_writer import Writer
from gateway.limits.body_memory import BodyMemory
from gateway.limits.shape import SHAPE, Shape
from gateway.routing import request_facts
from gateway.stored.previous_response import PreviousResponse
from gateway.stored.threads import Thread
from translate import tokens, top_level, wire
from translate.dialect import Dialect, Endpoint, Framed
from translate.errors import ApiError, BadRequest
from translate.target import Protocol

LARGE = 1 << 20
"""Bytes of a body: to read a larger one takes as long as many usual requests, so that it is done beside the loop."""


class ClientRequest:
    """task: "" where a reply of a model is asked for, else "count", "compact", or the name of an endpoint that is
    relayed as it is (see Endpoint). front: of a client that is no HTTP connection. in_path: the model's name, where
    the address says it, which then says whether the reply streams, too. asked_model, streams: as address or body
    say; span: where the model's name stands in the body. framed: the form of the stream, None for server-sent
    events. previous: what it builds on, of a request in Responses or one with a thread. refusal: why it is refused,
    known before all of it is here. size: bytes that have come. charged: tokens, of its client's quota. tags, trace:
    for its record. cached: what it asks of the response cache, None = nothing. address: of the other side of its
    connection. alone: the reply where no model is asked for anything."""

    __slots__ = (
        "_held", "_limit", "_memory", "_parts", "_sized", "_unpacker", "address", "alone", "asked_model", "body",
        "cached", "charged", "client", "crossed", "data", "dialect", "endpoint", "framed", "front", "headers",
        "in_path", "key", "left", "previous", "protocol", "query", "refusal", "relayed", "session", "shape", "size",
        "span", "streams", "tags", "task", "trace",
    )  # fmt: skip

    def __init__(
        self, dialect: Dialect, endpoint: Endpoint, key: str, memory: BodyMemory, limit: int,
        front: Front | None = None, shape: Shape = SHAPE, model: str = "",
    ) -> None:  # fmt: skip
        self.dialect = dialect
        self.protocol: Protocol = dialect.name
        self.endpoint = endpoint
        self.task = endpoint.task
        self.relayed = endpoint.relayed
        self.in_path = model
        self.key = key
        self.front = front
        self.query = ""
        self.headers = _NONE
        self.session = session_headers.NONE
        self.address = ""
        self.client = ""
        self.asked_model = ""
        self.streams = False
        self.span: tuple[int, int] | None = None
        self.framed: Framed | None = None
        self.left: list[str] = []
        self.alone: bytes | None = None
        self.body = b""
        self.data: dict[str, Any] | None = None
        self.crossed: Crossed | None = None
        self.previous: PreviousResponse | Thread | None = None
        self.refusal: ApiError | None = None
        self.size = 0
        self.charged = 0
        self.trace: Trace | None = None
        self.tags: Mapping[str, str] = NO_TAGS
        self.cached: Question | None = None
        self._limit = limit
        self.shape = shape
        self._memory = memory
        self._held = 0  # bytes that count against the memory of all
        self._parts: list[bytes] | None = []  # None = what comes is not kept
        self._sized: tuple[int, int] | None = None
        self._unpacker: body_decoding.Unpacker | None = None

    def __repr__(self) -> str:
        return f"<ClientRequest {self.key} {self.protocol} {self.task} {self.asked_model} {self.size} bytes>"

    def standing(self, state: str, at: tuple[str, str], clock: Clock, attempts: int, written: int) -> Standing:
        """at: the upstream, and its name of the model."""
        waits_s = clock.asking_s if state == "ASKING" else 0.0
        return Standing(
            self.key, self.client, self.address, self.protocol, self.task, self.asked_model, self.streams, state, *at,
            clock.age_s, waits_s, attempts, self.size, written, self.session.name, self.session.agent,
        )  # fmt: skip

    # ----------------------------------------------------------------------------------- on its way in

    def begins(self, query: str, headers: HTTPHeaders, access: Access) -> None:
        """Its head is here. Raises ApiError for who may not come in, an encoding that nobody reads, or a body that
        would be too large."""
        self.query = query
        self.headers = headers
        self.session = fact(headers, session_headers.read)
        if self.endpoint.framed is not None:
            self.framed = self.endpoint.framed(dict(parse_qsl(query)))
        self.client = access.check(headers) if self.front is None else self.front.checked(headers, access)
        if access.open and self.front is None:
            fact(headers, upstream_request.check_asked)
        if "Content-Encoding" in headers:
            self._unpacker = body_decoding.unpacker(headers["Content-Encoding"], self._limit)
        if "Expect" in headers:
            body_size.check_length(headers, self._limit)

    def comes(self, chunk: bytes) -> None:
        """Of a request that is refused the rest is read all the same, so that the client gets to read why."""
        if self._parts is None or self.refusal is not None:
            return
        self.size += len(chunk)
        try:
            if self.size > self._limit:
                raise body_size.too_large(self._limit)
            if self._unpacker is None:
                self.hold(len(chunk))
                self._parts.append(chunk)
            else:
                pieces = self._unpacker.feed(chunk)
                self.hold(sum(map(len, pieces)))
                self._parts += pieces
        except ApiError as refusal:
            self.refusal = refusal
            self.let_go()

    def ends(self, *, form: bool = False) -> None:
        """All of it is here. form: it need not be JSON. Raises ApiError."""
        if self.refusal is not None:
            raise self.refusal
        if self._unpacker is not None:
            self._unpacker.end()
            self._unpacker = None
        parts, self._parts = self._parts or [], None
        self.body = parts[0] if len(parts) == 1 else b"".join(parts)
        if not form and "json" not in self.headers.get("Content-Type", "json"):
            upstream_request.check_type(self.headers, self.body)
        other = self.endpoint.other
        if other is not None and other.has in self.body and not top_level.has_key(self.body, other.lacks):
            self.endpoint = other.endpoint
            self.framed = self.endpoint.framed({}) if self.endpoint.framed is not None else None
        if self.endpoint.unsealed is not None or self.endpoint.opened is not None:
            json_bounds.check(self.body, self.shape.values)  # they read it; what passes as it is nobody reads
        if self.endpoint.unsealed is not None:
            self._unseal()
        if self.endpoint.opened is not None:
            self._open()

    def _unseal(self) -> None:
        """Its address holds what the protocol has in the body, and its body what are headers there: from here on it is
        a request like any other. Raises ApiError."""
        assert self.endpoint.unsealed is not None
        model, self.in_path = envelope.name(self.in_path) if self.in_path else "", ""
        found = self.endpoint.unsealed(self.body, model, self.endpoint.streams)
        self.hold(max(0, len(found.body) - len(self.body)))
        self.body = found.body
        self.headers = self.headers.copy()
        for name, value in found.headers.items():
            if not value.isprintable() or not value.isascii():
                raise BadRequest(f"{name.lower()}: not the value of a header")
            self.headers[name] = value

    def _open(self) -> None:
        """Its address has another form of the protocol: from here on the body is the protocol's. Raises ApiError."""
        assert self.endpoint.opened is not None
        given = self.parsed()
        said, self.left = self.endpoint.opened(given)
        self.alone = self.endpoint.alone(given) if self.endpoint.alone is not None else None
        self.data, self.body = None, wire.dumps(said)
        body_size.check_size(len(self.body), self._limit)
        self.hold(len(self.body))

    def hold(self, size: int) -> None:
        """So many bytes more of memory. Raises ApiError (503)."""
        self._memory.hold(size)
        self._held += size

    def let_go(self) -> None:
        """The body is not needed any more; a stream may go on for minutes. What still comes is not kept."""
        self.body = b""
        self.data = self.crossed = self._parts = None
        if self._held:
            self._memory.let_go(self._held)
            self._held = 0

    @property
    def is_over(self) -> bool:
        """Its body is not needed any more, or has been refused."""
        return self._parts is None and not self.body

    # ----------------------------------------------------------------------------------- read off it

    def parsed(self) -> dict[str, Any]:
        """The body. It takes many times its bytes, which are all that is counted: so `data` goes as soon as the request
        is sent, or waits, and a retry parses again. Raises BadRequest."""
        data = self.data
        if data is None:
            self.data = data = envelope.parse(self.body, self.shape.values, sliced=len(self.body) >= LARGE)
            self.shape.check(data, len(self.body))
            if self.in_path:
                data |= {"model": self.in_path, "stream": self.streams}
        return data

    def extend(self) -> None:
        """It builds on an earlier reply: what led to that one goes first, if it is kept here. Raises ApiError."""
        previous = self.previous
        if previous is None or not previous.builds_on(self.body):
            return
        said = self.parsed()
        data = previous.extended(said)
        if data is None and isinstance(previous, PreviousResponse):
            self.body = previous.plain(self.body, said)
        if data is not None:
            self.data = data
            self.body = wire.dumps(data)
            body_size.check_size(len(self.body), self._limit, " with what it builds on")
            self.hold(len(self.body))

    def replace(self, body: bytes) -> None:
        """Another body stands in its place, as if the client had sent it. Raises ApiError."""
        body_size.check_size(len(body), self._limit)
        self.hold(len(body))
        self.body, self.data, self._sized = body, None, None
        self.read_envelope()

    def read_envelope(self) -> None:
        """Raises BadRequest where there is no JSON object with a `model`, unless the address names it."""
        if self.in_path:
            self.asked_model, self.streams = envelope.name(self.in_path), self.endpoint.streams is True
        else:
            self.asked_model, self.streams, self.span = envelope.read(self.body, self.endpoint.usual_model)

    def body_for(self, model: str) -> bytes:
        """The same bytes with only the model's name replaced."""
        if self.in_path:
            return self.body
        return envelope.with_model(self.body, Envelope(self.asked_model, self.streams, self.span), model)

    def facts(self) -> request_facts.Facts:
        """What conditions in [models] may ask about; made only where there are some. Raises BadRequest."""
        return request_facts.facts(self.headers, self.parsed(), self.tokens_of_text_and_media()[0], self.asked_model)

    def info(self, attempt: int) -> Info:
        """What observers may read of it. attempt: its number, 0 where nothing is ever sent."""
        return Info(self.key, self.protocol, self.task, self.client, self.asked_model, attempt, self.session.name,
                    self.body, self.data)  # fmt: skip

    def size_in_tokens(self) -> int:
        """A rough count of all its input, for quotas."""
        return sum(self.tokens_of_text_and_media())

    def tokens_of_text_and_media(self) -> tuple[int, int]:
        """Roughly. Base64 is no text, and only a parse tells the one from the other."""
        if self._sized is None:  # asked once more when the body is gone
            self._sized = tokens.of_size(len(self.body)), 0
            if tokens.has_media(self.body):
                with contextlib.suppress(BadRequest):  # the upstream says so
                    self._sized = tokens.measured(self.parsed(), len(self.body))
        return self._sized


class Front(Interface):
    """What is special about a client that is no HTTP connection: a turn of a websocket."""

    is_here: bool
    """Its body came with its head, so that no clock runs for it."""

    def writer(self, key: str) -> Writer: ...

    def checked(self, headers: HTTPHeaders, access: Access) -> str:
        """The name of the client, who may come in. Raises ApiError."""

    def previous(self, request: ClientRequest) -> PreviousResponse: ...

    def answers(self, request: ClientRequest) -> bytes | None:
        """The stream of a request for which no upstream is asked. Raises ApiError."""

    def passes(self, request: ClientRequest) -> None:
        """It is about to go on as it is."""

    def over(self) -> None:
        """All is said."""


NO_TAGS: Mapping[str, str] = {}
_NONE = HTTPHeaders()  # of a request whose head has not been read
