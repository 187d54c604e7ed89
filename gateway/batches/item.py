"""One request of a batch as a client of its own: it takes the way of every request, and nobody waits at a connection.

So it has the limits, the rules, the failover, the translation and the record of any other request of its client. What
it is answered is gathered here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tornado.httputil import HTTPHeaders, RequestStartLine

from gateway.flow.client_request import ClientRequest
from gateway.flow.flow import Flow
from gateway.http.auth import Access
from gateway.http.response_writer import nothing
from gateway.runtime import Service
from gateway.stored.previous_response import Recall
from translate.dialect import Dialect, Endpoint


class Call(NamedTuple):
    """What a request of a batch is as a request of its own."""

    dialect: Dialect
    endpoint: Endpoint
    query: str
    headers: HTTPHeaders
    body: bytes


class Answered(NamedTuple):
    """status: 0 = there is none. retry_after_s: as the reply said."""

    status: int
    body: bytes
    key: str
    retry_after_s: float = 0.0


class Gathering:
    """The response writer of a request that has no client. A batch's requests are not streamed."""

    __slots__ = ("body", "head", "more", "on_drained", "on_full", "on_left", "on_over", "status", "written")

    kept: bytearray | None = None
    left = False

    def __init__(self, on_over: Callable[[], None]) -> None:
        self.more = b""
        self.status = self.written = 0
        self.head = self.body = b""
        self.on_over = on_over
        self.on_full = self.on_drained = self.on_left = nothing

    def whole(self, status: int, head: bytes, body: bytes) -> None:
        if not self.status:
            self.status, self.head, self.body, self.written = status, head, body, len(body)

    def start(self, status: int, head: bytes) -> None:
        self.status, self.head = status, head

    def write(self, data: bytes) -> None:
        self.body += data
        self.written += len(data)

    def end(self) -> None:
        return None

    def watch(self, on_left: Callable[[], None]) -> None:
        self.on_left = on_left

    def leaves(self) -> None:
        self.on_left()

    def hang_up(self) -> None:
        self.on_left()

    def last(self) -> None:
        return None

    def abort(self) -> None:
        self.status = 0

    def when_sent(self, then: Callable[[bool], None]) -> None:
        then(True)

    def over(self) -> None:
        on_over, self.on_over = self.on_over, nothing
        self.on_left = nothing
        on_over()


class Nowhere:
    """The connection of a client that has none."""

    context = stream = None


class Item:
    """Runs one request; it is the Front of its Flow. on_answer is called once."""

    is_here = True

    def __init__(self, service: Service, client: str, owner: str, on_answer: Callable[[Answered], None]) -> None:
        self._service = service
        self._client = client
        self._owner = owner
        self._on_answer = on_answer
        self._writer: Gathering | None = None
        self._key = ""

    def __repr__(self) -> str:
        return f"<Item {self._key} of {self._client}>"

    def run(self, call: Call) -> None:
        nowhere: Any = Nowhere()
        flow = Flow(self._service.ports, nowhere, call.dialect, call.endpoint, front=self)
        target = f"{call.endpoint.path}?{call.query}" if call.query else call.endpoint.path
        flow.headers_received(RequestStartLine("POST", target, "HTTP/1.1"), call.headers)
        flow.data_received(call.body)
        flow.finish()

    def writer(self, key: str) -> Gathering:
        self._key = key
        self._writer = Gathering(self._over)
        return self._writer

    def _over(self) -> None:
        writer = self._writer
        if writer is not None:
            self._on_answer(Answered(writer.status, writer.body, self._key, _retry_after(writer.head)))

    # ------------------------------------------------------------------------------------- asked by its Flow

    def checked(self, headers: HTTPHeaders, access: Access) -> str:
        access.still(self._client)
        return self._client

    def previous(self, request: ClientRequest) -> Recall:
        return Recall(self._service.memory, self._owner)

    def answers(self, request: ClientRequest) -> bytes | None:
        return None

    def passes(self, request: ClientRequest) -> None:
        return None

    def over(self) -> None:
        return None


def _retry_after(head: bytes) -> float:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"retry-after" and value.strip().isdigit():
            return float(value)
    return 0.0
