"""What the client asks: its headers, its body as it comes in, and what is read off them, each once and when needed."""

from __future__ import annotations

import contextlib
from typing import Any

from tornado.httputil import HTTPHeaders

from gateway.flow import envelope, upstream_request
from gateway.flow.envelope import Envelope
from gateway.flow.info import Info
from gateway.http import body_decoding
from gateway.http.session_headers import session_in
from gateway.limits.body_memory import BodyMemory
from gateway.routing import request_facts
from gateway.stored.previous_response import Recall
from gateway.stored.threads import Thread
from translate import dialects, tokens, wire
from translate.errors import ApiError, BadRequest
from translate.target import Protocol


class ClientRequest:
    """task: "count" or "compact" where it is no reply of a model that is asked for (see Endpoint).
    previous: what it builds on, of a request in Responses or one with a thread. refusal: why it is refused, known
    before all of it is here."""

    __slots__ = (
        "_held", "_is_over", "_limit", "_memory", "_parts", "_sized", "_unpacker", "asked_model", "body", "client",
        "data", "dialect", "envelope", "headers", "key", "previous", "protocol", "query", "refusal", "size", "task",
    )  # fmt: skip

    def __init__(
        self, protocol: Protocol, task: str, key: str, query: str, headers: HTTPHeaders, memory: BodyMemory, limit: int
    ) -> None:
        self.protocol: Protocol = protocol
        self.dialect = dialects.of(protocol)
        self.task = task
        self.key = key
        self.query = query
        self.headers = headers
        self.client = ""
        self.asked_model = ""
        self.body = b""
        self.data: dict[str, Any] | None = None
        self.envelope = _NONE
        self.previous: Recall | Thread | None = None
        self.refusal: ApiError | None = None
        self.size = 0  # bytes that have come
        self._limit = limit
        self._memory = memory
        self._held = 0  # bytes that count against the memory of all
        self._is_over = False
        self._parts: list[bytes] = []
        self._sized: tuple[int, int] | None = None
        self._unpacker: body_decoding.Unpacker | None = None

    def __repr__(self) -> str:
        return f"<ClientRequest {self.key} {self.protocol} {self.task} {self.asked_model} {self.size} bytes>"

    # ----------------------------------------------------------------------------------- on its way in

    def begins(self) -> None:
        """Its head is here. Raises ApiError for an encoding that nobody reads, or a body that would be too large."""
        self._unpacker = body_decoding.unpacker(self.headers.get("Content-Encoding"), self._limit)
        if "Expect" in self.headers:
            upstream_request.check_length(self.headers, self._limit)

    def comes(self, chunk: bytes) -> None:
        """Of a request that is refused the rest is read all the same, so that the client gets to read why."""
        if self.refusal is not None or self._is_over:
            return
        self.size += len(chunk)
        try:
            upstream_request.check_size(self.size, self._limit)
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

    def ends(self) -> None:
        """All of it is here. Raises ApiError."""
        if self.refusal is not None:
            raise self.refusal
        if self._unpacker is not None:
            self._unpacker.end()
            self._unpacker = None
        parts, self._parts = self._parts, []
        self.body = parts[0] if len(parts) == 1 else b"".join(parts)
        upstream_request.check_type(self.headers, self.body)

    def over(self) -> None:
        """The request has ended, perhaps before all of it is here: what still comes is not kept."""
        self._is_over = True
        self.let_go()

    def hold(self, size: int) -> None:
        """So many bytes more of memory. Raises ApiError (503)."""
        self._memory.hold(size)
        self._held += size

    def let_go(self) -> None:
        """The body is not needed any more; a stream may go on for minutes."""
        self.body = b""
        self.data = None
        self._parts = []
        self._memory.let_go(self._held)
        self._held = 0

    # ----------------------------------------------------------------------------------- read off it

    @property
    def streams(self) -> bool:
        return self.envelope.stream

    def parsed(self) -> dict[str, Any]:
        """The body. Raises BadRequest."""
        if self.data is None:
            self.data = envelope.parse(self.body)
        return self.data

    def forget_parsed(self) -> None:
        """What is parsed takes many times its bytes, which are all that is counted: it goes as soon as the request is
        sent, or waits. A retry parses again."""
        self.data = None

    def extend(self) -> None:
        """It builds on an earlier reply: what led to that one goes first, if it is kept here. Raises ApiError."""
        previous = self.previous
        if previous is None or not previous.builds_on(self.body):
            return
        said = self.parsed()
        data = previous.extended(said)
        if data is None and isinstance(previous, Recall):
            self.body = previous.plain(self.body, said)
        if data is not None:
            self.data = data
            self.body = wire.dumps(data)
            upstream_request.check_size(len(self.body), self._limit, " with what it builds on")
            self.hold(len(self.body))

    def read_envelope(self) -> None:
        """Raises BadRequest where there is no JSON object with a `model`."""
        self.envelope = envelope.read(self.body)
        self.asked_model = self.envelope.model

    def facts(self) -> request_facts.Facts:
        """What conditions in [models] may ask about; made only where there are some. Raises BadRequest."""
        return request_facts.facts(self.headers, self.parsed(), self.tokens_of_text_and_media()[0], self.asked_model)

    def info(self, attempt: int) -> Info:
        """What observers may read of it. attempt: its number, 0 where nothing is ever sent."""
        return Info(self.key, self.protocol, self.task, self.client, self.asked_model, attempt,
                    session_in(self.headers), self.body, self.data)  # fmt: skip

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


_NONE = Envelope("", False, None)  # of a request whose body has not been read
