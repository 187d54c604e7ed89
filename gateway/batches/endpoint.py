"""The requests about batches, and about files if no upstream has any: read whole, and answered by whoever has the
batch.

A batch that the proxy runs itself has an id that shows it; every other batch is an upstream's (passed.py). A
BatchesRequest is Tornado's delegate for such a request. Its body may be large, so it counts in the memory of all
bodies, and it is taken only from clients that may come in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from gateway.batches import cached_contents, messages_batches, openai_batches, passed, passed_lists
from gateway.batches.whole_request import WholeReply, WholeRequest
from gateway.flow import charges, upstream_request
from gateway.flow.client_request import ClientRequest
from gateway.flow.info import Standing
from gateway.flow.states import State
from gateway.flow.timing import Clock
from gateway.http import forwarded, header_rules
from gateway.http.response_writer import ResponseWriter, Writer
from gateway.relay import files
from gateway.runtime import Service
from gateway.stored.previous_response import owner_of
from translate import dialects
from translate.dialect import Dialect
from translate.endpoint import Endpoint
from translate.failures.errors import ApiError
from translate.gemini.dialect import GEMINI
from translate.messages.dialect import MESSAGES

log = logging.getLogger("gateway")

_CHAT = dialects.of("chat")
SLOWEST = 16 * 1024  # bytes: for each so many that have come, a body may take a second more


def asked(service: Service, method: str, target: str, headers: HTTPHeaders) -> Dialect | None:
    """The protocol of a request that is for here; None for every other one."""
    path = target.partition("?")[0]
    if method != "OPTIONS" and cached_contents.served(service, path):
        return GEMINI
    if not path.startswith("/v1/") or method == "OPTIONS":
        return None
    if messages_batches.read(path) is not None:
        return MESSAGES
    found = openai_batches.read(path)
    if found is None:
        return None
    if path.startswith(openai_batches.PATH) or openai_batches.is_ours(found[0]):
        return _CHAT
    # Files are an upstream's, if one has any for such a client (relay/files.py).
    alone = not found[0] and files.dialect_of(headers) is _CHAT and not files.any_for(_CHAT, service.ports)
    return _CHAT if alone and service.batches.queue is not None else None


class BatchesRequest(HTTPMessageDelegate):
    """One request. request, writer, streaming: as of every request in flight."""

    def __init__(self, service: Service, conn: HTTP1Connection, dialect: Dialect) -> None:
        ports = service.ports
        self._service = service
        self._clock = Clock(ports.now)
        self._ends: ApiError | None = None
        self._key = ports.next_key()
        self._target = self._method = ""
        self._read = False
        self._task: asyncio.Task[None] | None = None
        self._drained = asyncio.Event()
        endpoint = Endpoint("batches", "/v1/batches", "batches")
        most = max(ports.max_body_bytes, service.settings.limits.upload_mb << 20)
        self.writer: Writer = ResponseWriter(conn)
        self.request = ClientRequest(dialect, endpoint, self._key, ports.body_memory, most, shape=ports.shape)
        self.request.address = str(getattr(conn.context, "remote_ip", ""))
        self.streaming = False

    def __repr__(self) -> str:
        return f"<BatchesRequest {self._method} {self._target[:200]}>"

    # --------------------------------------------------------------------------------- what the client sends

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        assert isinstance(start_line, RequestStartLine)
        self._method, self._target = start_line[0], start_line[1]
        ports = self._service.ports
        if "Origin" in headers:
            self.writer.more = ports.access.origins.lines(headers)
        try:
            self.request.headers = headers
            ports.in_flight.begins(self)
            self.request.begins(self._target.partition("?")[2], headers, ports.access)
        except ApiError as error:
            self._refuse(error)
            self._over()

    def data_received(self, chunk: bytes) -> None:
        self.request.comes(chunk)

    def finish(self) -> None:
        self._read = True
        if self.writer.written or self._task is not None or self._is_over:
            return
        self.writer.watch(self._client_left)
        self._task = asyncio.ensure_future(self._answer())
        self._task.add_done_callback(self._answered)

    def on_connection_close(self) -> None:
        self._client_left()

    def _client_left(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:
            self._over()

    def shut_down(self) -> None:
        self.stop(ApiError("overloaded", "the proxy is shutting down", 503, retry_after=1))

    def stop(self, why: ApiError) -> None:
        """Ends the request by the proxy's own will."""
        if self._task is None:  # its body still comes in
            self._refuse(why)
            self._over()
        elif not self._task.done():
            self._ends = why
            self._task.cancel()

    def standing(self) -> Standing:
        state = State.STREAMING if self.streaming else State.ASKING if self._read else State.RECEIVING
        return self.request.standing(state.name, ("", ""), self._clock, 0, self.writer.written)

    def tick(self, seconds: float, patience_s: float) -> None:
        ports = self._service.ports
        if self.writer.left:
            self.writer.hang_up()
        elif not self._read and ports.now() - self._clock.began > ports.body_timeout_s + self.request.size / SLOWEST:
            self._refuse(upstream_request.too_slow(ports.body_timeout_s))
            self._over()

    # ------------------------------------------------------------------------------------------- the answer

    async def _answer(self) -> None:
        try:
            self.request.ends(form=True)
            await charges.question(self.request.client, self._service.ports)
            asked = self._asked()
            said = await self._said(asked)
            await self._send(said)
        except ApiError as error:
            self._refuse(error)

    def _asked(self) -> WholeRequest:
        request, service = self.request, self._service
        path, _, query = self._target.partition("?")
        origin = forwarded.public_url(request.headers, own_scheme=service.settings.server.scheme)
        return WholeRequest(
            service.batches, request.client, owner_of(request.client, request.headers), self._method, path, query,
            request.headers, request.body, origin, time.time(),
        )  # fmt: skip

    async def _said(self, asked: WholeRequest) -> WholeReply:
        """Raises ApiError."""
        if self.request.dialect is GEMINI:
            return await cached_contents.answer(self._service, self.request, asked)
        api: Any = messages_batches if self.request.dialect is MESSAGES else openai_batches
        found = api.read(asked.path)
        assert found is not None
        id, _ = found
        if id and not api.is_ours(id):
            return await passed.about(self._service, self.request, asked, id)
        is_batches = not asked.path.startswith(openai_batches.FILES)
        if not id and asked.method == "GET" and is_batches:
            listed: WholeReply = await api.listed(asked, partial(passed_lists.rows, self._service, self.request, asked))
            return listed
        if not id and asked.method == "POST" and is_batches:
            if (said := await passed.created(self._service, self.request, asked)) is not None:
                return said
        ours: WholeReply = await api.answer(asked)
        return ours

    async def _send(self, said: WholeReply) -> None:
        head = header_rules.JSON_HEAD.replace(b"application/json", said.kind.encode(), 1)
        head += header_rules.of_reply((), self._key, said.upstream, [])
        if said.pieces is None:
            self.writer.whole(said.status, head, said.body)
            return
        writer, self._drained = self.writer, asyncio.Event()
        self._drained.set()
        writer.on_full, writer.on_drained = self._drained.clear, self._drained.set
        self.streaming = True
        writer.start(said.status, head)
        async for piece in said.pieces:
            writer.write(piece)
            await self._drained.wait()
        writer.end()

    def _answered(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            if self._ends is not None and not self.streaming:
                self._refuse(self._ends)
            else:
                self.writer.abort()
        elif (error := task.exception()) is not None:
            log.error("request %s failed inside the proxy: %r", self._key, self, exc_info=error)
            if self.streaming:
                self.writer.abort()
            self._refuse(ApiError("api", f"internal error of the proxy, see its log (request {self._key})"))
        self._over()

    def _refuse(self, error: ApiError) -> None:
        words = self.request.dialect.errors
        status = words.status(error)
        head = header_rules.JSON_HEAD + header_rules.of_refusal(status, self._key, "", error.retry_after)
        self.writer.whole(status, head, self._service.masked(words.body(error, self._key)))

    @property
    def _is_over(self) -> bool:
        return self not in self._service.flows

    def _over(self) -> None:
        self.request.let_go()
        self._service.ports.in_flight.ends(self)
        self.writer.over()
