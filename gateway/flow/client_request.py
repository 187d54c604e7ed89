"""What the client asks: its headers, its body as it comes in, and what is read from them, each once and when it is
needed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any
from typing import Protocol as Interface
from urllib.parse import parse_qsl

from tornado.httputil import HTTPHeaders

from gateway.cache.question import Question
from gateway.flow import outline, upstream_request
from gateway.flow.crossed import Crossed
from gateway.flow.info import Info, Standing
from gateway.flow.outline import Outline
from gateway.flow.timing import Clock
from gateway.flow.trace import Trace
from gateway.http import body_decoding, json_bounds, session_headers
from gateway.http.auth import Access
from gateway.http.header_lines import fact
from gateway.http.response_writer import Writer
from gateway.limits.body_memory import BodyMemory
from gateway.limits.shape import SHAPE, Shape
from gateway.routing import request_facts
from gateway.stored.previous_response import PreviousResponse
from gateway.stored.threads import Thread
from operate.owner_store import Owned
from translate.counting import tokens
from translate.dialect import Dialect
from translate.endpoint import Endpoint, Framed
from translate.failures.errors import ApiError, BadRequest
from translate.json import top_level, wire
from translate.target import Protocol

MOST_PICTURES = 10**9  # of which a number is taken seriously
LARGE = 1 << 20
"""Bytes. Reading a larger body takes as long as many usual requests, so it is done in a thread beside the loop."""


class ClientRequest:
    """One request of a client.

    task: "" if a model's reply is asked for, else "count", "compact", or the name of an endpoint that is untranslated
    (see Endpoint). front: for a client that has no HTTP connection. in_path: the model's name, if the address has
    it; then the address also says whether the reply streams. asked_model, streams: what the address or the body says.
    span: where the model's name stands in the body. framed: the form of the stream, None for server-sent events.
    previous: what the request builds on, for Responses and for requests with a thread. keeper: where the upstream keeps
    a file that the request names, if that is known. refusal: why the request is
    refused, if that is known before all of the body is here. size: the bytes of the body that have come. pictures: how
    many are asked for, where any are. charged: the tokens that its client's quota was charged. terms: what it asks
    for that its price depends on, of a client with a budget. tags, trace: for its
    record. cached: its question to the response cache, None = no question. address: of the other side of the
    connection. alone: the reply, if no model needs to be asked.
    """

    __slots__ = (
        "_held", "_limit", "_memory", "_parts", "_sized", "_unpacker", "address", "alone", "asked_model", "body",
        "cached", "charged", "client", "crossed", "data", "dialect", "endpoint", "framed", "front", "headers",
        "in_path", "keeper", "key", "left", "pictures", "previous", "protocol", "query", "refusal", "session", "shape",
        "size", "span", "streams", "tags", "task", "terms", "trace",
    )  # fmt: skip

    def __init__(
        self, dialect: Dialect, endpoint: Endpoint, key: str, memory: BodyMemory, limit: int,
        front: Front | None = None, shape: Shape = SHAPE, model: str = "",
    ) -> None:  # fmt: skip
        self.dialect = dialect
        self.protocol: Protocol = dialect.name
        self.endpoint = endpoint
        self.task = endpoint.task
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
        self.keeper: Owned | None = None
        self.refusal: ApiError | None = None
        self.size = 0
        self.pictures = 1
        self.charged = 0
        self.terms: tuple[str, ...] = ()
        self.trace: Trace | None = None
        self.tags: Mapping[str, str] = NO_TAGS
        self.cached: Question | None = None
        self._limit = limit
        self.shape = shape
        self._memory = memory
        self._held = 0  # bytes that are counted in the memory for all bodies
        self._parts: list[bytes] | None = []  # of the body; None = further ones are not kept
        self._sized: tuple[int, int] | None = None
        self._unpacker: body_decoding.Unpacker | None = None

    def __repr__(self) -> str:
        return f"<ClientRequest {self.key} {self.protocol} {self.task} {self.asked_model} {self.size} bytes>"

    def standing(self, state: str, at: tuple[str, str], clock: Clock, attempts: int, written: int) -> Standing:
        """Returns how the request stands. at: the upstream's name, and the model's name there."""
        waits_s = clock.asking_s if state == "ASKING" else 0.0
        return Standing(
            self.key, self.client, self.address, self.protocol, self.task, self.asked_model, self.streams, state, *at,
            clock.age_s, waits_s, attempts, self.size, written, self.session.name, self.session.agent,
        )  # fmt: skip

    # ----------------------------------------------------------------------------------- on its way in

    def begins(self, query: str, headers: HTTPHeaders, access: Access) -> None:
        """Takes the head. Raises ApiError if the client may not come in, the encoding is not known, or the body would
        be too large."""
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
            body_decoding.check_length(headers, self._limit)

    def comes(self, chunk: bytes) -> None:
        """Takes a piece of the body. If the request is refused, the rest is still read, so that the client gets to read
        why."""
        if self._parts is None or self.refusal is not None:
            return
        self.size += len(chunk)
        try:
            if self.size > self._limit:
                raise body_decoding.too_large(self._limit)
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
        """Takes the end of the body. form: the body need not be JSON. Raises ApiError."""
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
        if other is not None and not other.usual.match(self.body) and other.has in self.body:
            if not top_level.has_key(self.body, other.lacks):
                self.endpoint = other.endpoint
                self.framed = self.endpoint.framed({}) if self.endpoint.framed is not None else None
        if self.endpoint.unsealed is not None or self.endpoint.opened is not None:
            json_bounds.check(self.body, self.shape.values)  # both read the body, unlike what only passes through
        if self.endpoint.unsealed is not None:
            self._unseal()
        if self.endpoint.opened is not None:
            self._open()

    def _unseal(self) -> None:
        """Turns a cloud's request into one like any other: its address holds what the protocol has in the body, and its
        body holds what the protocol has in headers. Raises ApiError."""
        assert self.endpoint.unsealed is not None
        model, self.in_path = outline.name(self.in_path) if self.in_path else "", ""
        found = self.endpoint.unsealed(self.body, model, self.endpoint.streams)
        self.hold(max(0, len(found.body) - len(self.body)))
        self.body = found.body
        self.headers = self.headers.copy()
        for name, value in found.headers.items():
            if not value.isprintable() or not value.isascii():
                raise BadRequest(f"{name.lower()}: not the value of a header")
            self.headers[name] = value

    def _open(self) -> None:
        """Turns another form of the protocol, which has an address of its own, into the protocol's own body. Raises
        ApiError."""
        assert self.endpoint.opened is not None
        given = self.parsed()
        said, self.left = self.endpoint.opened(given)
        self.alone = self.endpoint.alone(given) if self.endpoint.alone is not None else None
        self.data, self.body = None, wire.dumps(said)
        body_decoding.check_size(len(self.body), self._limit)
        self.hold(len(self.body))

    def hold(self, size: int) -> None:
        """Counts more bytes of memory. Raises ApiError (503) where there is no room."""
        self._memory.hold(size)
        self._held += size

    def let_go(self) -> None:
        """Drops the body, which is not needed any more, while the stream may go on for minutes. What still comes is not
        kept."""
        self.body = b""
        self.data = self.crossed = self._parts = None
        if self._held:
            self._memory.let_go(self._held)
            self._held = 0

    def waits(self) -> None:
        """Drops what can be made again from the body. What is large is kept: it was made beside the loop."""
        if len(self.body) < LARGE:
            self.data = self.crossed = None

    @property
    def is_over(self) -> bool:
        """Whether the body is not needed any more, or was refused."""
        return self._parts is None and not self.body

    # ----------------------------------------------------------------------------------- read off it

    def parsed(self) -> dict[str, Any]:
        """Returns the body as an object. Raises BadRequest.

        The object takes many times the body's bytes, and only the bytes are counted. So `data` is dropped when the
        request is sent or waits, and a retry parses again.
        """
        data = self.data
        if data is None:
            data = outline.parse(self.body, self.shape.values, sliced=len(self.body) >= LARGE)
            self.shape.check(data, len(self.body))
            if self.in_path:
                data |= {"model": self.in_path, "stream": self.streams}
            self.data = data
        return data

    def extend(self) -> None:
        """Puts the earlier conversation before a request that builds on its reply, if the conversation is kept here.
        Raises ApiError."""
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
            body_decoding.check_size(len(self.body), self._limit, " with what it builds on")
            self.hold(len(self.body))

    def replace(self, body: bytes) -> None:
        """Takes another body, as if the client had sent it. Raises ApiError."""
        body_decoding.check_size(len(body), self._limit)
        self.hold(len(body))
        self.body, self.data, self._sized = body, None, None
        self.read_outline()

    def read_outline(self) -> None:
        """Reads the model's name and whether the reply streams. Raises BadRequest for a body that is no JSON object
        with a `model`, unless the address names the model."""
        if self.in_path:
            self.asked_model, self.streams = outline.name(self.in_path), self.endpoint.streams is True
        else:
            self.asked_model, self.streams, self.span = outline.read(self.body, self.endpoint.usual_model)
        if self.endpoint.untranslated and self.task.startswith("images/"):
            self.pictures = self._asked_pictures()

    def _asked_pictures(self) -> int:
        """Honest clients do not write a letter as an escape, nor the name of this field in many places. Raises
        BadRequest."""
        found = top_level.numbers(self.body, (b'"n"',), 1)
        if found is None or b"\\u006" in self.body:
            asked = self.parsed().get("n")
            found = [min(asked, MOST_PICTURES)] if isinstance(asked, int) else []
        return max([1, *found])

    def body_for(self, model: str) -> bytes:
        """Returns the same bytes with only the model's name replaced."""
        if self.in_path:
            return self.dialect.inner_model(self.body, self.asked_model, model)
        return outline.with_model(self.body, Outline(self.asked_model, self.streams, self.span), model)

    def facts(self) -> request_facts.Facts:
        """Returns what conditions in [models] may ask about. It is called only if there are conditions. Raises
        BadRequest."""
        return request_facts.facts(self.headers, self.parsed(), self.tokens_of_text_and_media()[0], self.asked_model)

    def info(self, attempt: int) -> Info:
        """Returns what observers may read. attempt: its number, 0 if nothing is ever sent."""
        return Info(self.key, self.protocol, self.task, self.client, self.asked_model, attempt, self.session.name,
                    self.body, self.data)  # fmt: skip

    def size_in_tokens(self) -> int:
        """Returns a rough count of all the input, for quotas."""
        return sum(self.tokens_of_text_and_media())

    def tokens_of_text_and_media(self) -> tuple[int, int]:
        """Returns both, roughly. Base64 counts as media and not as text, and only a parse tells them apart."""
        if self._sized is None:  # kept, as it is asked for once more when the body is gone
            self._sized = tokens.of_size(len(self.body)), 0
            if tokens.has_media(self.body):
                with contextlib.suppress(BadRequest):  # the upstream will refuse the body
                    self._sized = tokens.measured(self.parsed(), len(self.body))
        return self._sized


class Front(Interface):
    """What is special about a client that has no HTTP connection, such as a turn of a websocket."""

    is_here: bool
    """The body came with the head, so that no timeout runs for it."""

    def writer(self, key: str) -> Writer: ...

    def checked(self, headers: HTTPHeaders, access: Access) -> str:
        """Returns the name of the client. Raises ApiError if it may not come in."""

    def previous(self, request: ClientRequest) -> PreviousResponse: ...

    def answers(self, request: ClientRequest) -> bytes | None:
        """Returns the stream for a request for which no upstream is asked, None for others. Raises ApiError."""

    def passes(self, request: ClientRequest) -> None:
        """The request is about to pass through as it is."""

    def over(self) -> None:
        """The request is over: all is written."""


NO_TAGS: Mapping[str, str] = {}
_NONE = HTTPHeaders()  # before the head has been read
