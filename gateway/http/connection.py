"""A client's connection: Tornado's, with a reader of requests of its own, the rules of framing.py, and an error for
every refusal.

Tornado answers a bad head or chunk with an empty 400, and closes without an answer if a line has no end
(client_stream.py). Here Delegate.malformed is called instead, so that the client gets an error that it can read. What
the client still sends is then read and dropped for a while, because a close with unread bytes would discard the error
on its way (RFC 9112, section 9.6).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable
from typing import Protocol

from tornado.concurrent import Future
from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.httputil import (
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError

from gateway.http import framing
from gateway.http.last_head import LastHead
from translate.failures.errors import ApiError

log = logging.getLogger("proxy")

DROPPING_S = 2.0
PIECE = 65536
AT_ONCE = 256 * 1024  # bytes of a body that are read before others have their turn


class Delegate(Protocol):
    """What Door.start_request returns (gateway/endpoints.py), besides being Tornado's HTTPMessageDelegate."""

    def malformed(self, error: ApiError, target: str, headers: HTTPHeaders) -> None:
        """Called when nothing more can be read from a connection. target, headers: as far as they are known."""


class _Malformed(Exception):
    """A request that is not valid HTTP. error: for the client."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.message)
        self.error = error


class ClientConnection(HTTP1Connection):
    """One request of a connection, and its reply. heads: reads the connection's heads. only_one: the connection ends
    with it."""

    _head = b""  # the head that was refused
    only_one = False

    # Tornado sets each of these for each request, which takes half the time of beginning one.
    is_client = False
    _write_finished = _read_finished = _disconnect_on_finish = _chunking_output = False
    _request_start_line = _response_start_line = _request_headers = None
    _expected_content_remaining = _pending_write = None
    _write_callback = _write_future = _close_callback = None

    def __init__(self, stream: IOStream, params: HTTP1ConnectionParameters, context: object, heads: LastHead) -> None:
        self.stream = stream
        self.params = params
        self.context = context
        self.no_keep_alive = params.no_keep_alive
        self._max_body_size = params.max_body_size if params.max_body_size is not None else stream.max_buffer_size
        self._body_timeout = params.body_timeout
        self._finish_future = Future()
        self._clear_callbacks()
        self.heads = heads

    async def serve(self, delegate: HTTPMessageDelegate) -> bool:
        """Reads the request, and waits for the end of its reply. Returns whether another request may follow."""
        try:
            return await self._serve(delegate)
        except _Malformed as why:
            error = why.error
        except UnsatisfiableReadError:
            error = self._too_long()
        if not self._write_finished:  # otherwise the client has its last reply already
            told: Delegate = delegate  # type: ignore[assignment]  # the delegate is an Entrance
            told.malformed(error, *self._asked())
        await drop(self.stream, DROPPING_S)
        return False

    async def _serve(self, delegate: HTTPMessageDelegate) -> bool:
        """Tornado's own reader is one for clients and servers, in five coroutines and some futures: a twentieth of what
        a usual request costs. This is what it does for servers. Raises _Malformed, UnsatisfiableReadError."""
        stream, is_open = self.stream, False
        try:
            head = await stream.read_head(self.params.max_header_size)  # type: ignore[attr-defined]  # a ClientStream
            line, headers = self._read_head(head)
            self._disconnect_on_finish = not self._can_keep_alive(line, headers)
            is_open = True
            if (turn := delegate.headers_received(line, headers)) is not None:
                await turn
            if self.stream is None:  # it is a websocket now
                is_open = False
                return False
            if "Expect" in headers and headers["Expect"] == "100-continue" and not self._write_finished:
                stream.write(b"HTTP/1.1 100 (Continue)\r\n\r\n")
            if "Transfer-Encoding" in headers:
                await self._read_chunked_body(delegate)
            elif length := int(headers.get("Content-Length", "0")):
                if stream._read_buffer_size >= length:  # it came with its head, as most do
                    body = stream._consume(length)
                    if not self._write_finished and (turn := delegate.data_received(body)) is not None:
                        await turn
                else:
                    await self._read_sized_body(delegate, length)
            self._read_finished = True
            if not self._write_finished:
                delegate.finish()
            is_open = False
            if not self._finish_future.done() and not stream.closed():
                stream.set_close_callback(self._on_connection_close)
                await self._finish_future
            return self.stream is not None
        finally:
            if is_open:
                delegate.on_connection_close()
            self._clear_callbacks()

    def _clear_callbacks(self) -> None:
        """Tornado's own looks whether it has to listen for a close now, three times a request; without a callback it
        has not."""
        self._write_callback = self._write_future = self._close_callback = None
        if self.stream is not None:
            self.stream._close_callback = None
            self.stream.let_pass = False  # type: ignore[attr-defined]  # a ClientStream, which Tornado calls IOStream

    def _read_head(self, head: bytes) -> tuple[RequestStartLine, HTTPHeaders]:
        try:
            line, headers = self.heads.read(head)
        except ApiError as error:
            self._head = head
            raise _Malformed(error) from None
        self._request_start_line, self._request_headers = line, headers
        return line, headers

    async def _read_sized_body(self, delegate: HTTPMessageDelegate, left: int) -> None:
        at_once = AT_ONCE
        while left:
            piece = await self.stream.read_bytes(min(self.params.chunk_size, left), partial=True)
            left -= len(piece)
            if not self._write_finished and (turn := delegate.data_received(piece)) is not None:
                await turn
            at_once -= len(piece)
            if at_once <= 0:  # otherwise all that has come would be read without a pause
                at_once = AT_ONCE
                await asyncio.sleep(0)

    async def _read_chunked_body(self, delegate: HTTPMessageDelegate) -> None:
        try:
            await super()._read_chunked_body(delegate)
        except HTTPInputError:
            raise _Malformed(_no_chunk()) from None

    def _can_keep_alive(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> bool:
        connection = headers.get("Connection", "")
        if self.only_one:
            return False
        if not connection:
            return start_line.version != "HTTP/1.0"
        return framing.keeps_alive(connection, start_line.version)

    def _asked(self) -> tuple[str, HTTPHeaders]:
        line, headers = self._request_start_line, self._request_headers
        return framing.roughly(self._head) if line is None or headers is None else (line.path, headers)

    def _too_long(self) -> ApiError:
        if self._request_start_line is not None:
            return _no_chunk()
        self._head = bytes(self.stream._read_buffer[:PIECE])
        most = self.params.max_header_size
        return ApiError("invalid_request", f"the request's head is longer than {most} bytes", 431)


class Connection(HTTP1ServerConnection):
    """A connection, with its requests one after the other. turned_away: set if the connection has a reserved place, for
    one request of an operator; it is called when another request comes, which is refused."""

    turned_away: Callable[[], None] | None = None

    async def _server_request_loop(self, delegate: HTTPServerConnectionDelegate) -> None:
        heads = LastHead(functools.partial(_port, self.stream))
        try:
            while True:
                conn = ClientConnection(self.stream, self.params, self.context, heads)
                conn.only_one = self.turned_away is not None
                if not await conn.serve(delegate.start_request(self, conn)):
                    return
                if self.stream._read_buffer_size:  # the next request is here already, but others have their turn first
                    await asyncio.sleep(0)
        except (StreamClosedError, asyncio.CancelledError):
            pass
        except Exception:
            log.exception("an error in the proxy: a client's connection failed")
            self.stream.close()
        finally:
            delegate.on_close(self)


def _port(stream: IOStream) -> int:
    """To which port a client has connected; 0 where that is a Unix socket, or the connection is gone."""
    own = stream.socket.getsockname() if stream.socket is not None else ""
    return own[1] if isinstance(own, tuple) else 0


async def drop(stream: IOStream, within_s: float) -> None:
    """Reads and drops data until the other side closes, for `within_s` seconds at most, then closes."""
    with contextlib.suppress(StreamClosedError, TimeoutError):
        async with asyncio.timeout(within_s):
            while True:
                await stream.read_bytes(PIECE, partial=True)
    stream.close()


def _no_chunk() -> ApiError:
    return ApiError("invalid_request", "the request's body is not valid for Transfer-Encoding: chunked: a chunk is its "
                    "size in hex digits, CRLF, so many bytes and CRLF, and trailers are not allowed", 400)  # fmt: skip
