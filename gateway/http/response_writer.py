"""The response writer: the only part that writes to a client's connection.

It writes heads and chunks as bytes below Tornado's HTTP1Connection. If nothing waits for the client, they go to the
kernel at once, because a future for each write, and the turn of the loop in which Tornado handles it, cost twice as
much as everything else that the gateway does for a delta. Bytes that the kernel does not take go to the stream. The
connection's own `finish` ends every reply, so that Tornado handles keep-alive, closing and HTTP/1.0. Backpressure: when
more than `high_water` bytes wait for a slow client, `on_full` is called, and `on_drained` when they are gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import Callable
from http.client import responses as REASONS
from typing import Protocol

from tornado.http1connection import HTTP1Connection
from tornado.iostream import IOStream, StreamClosedError

from gateway.http.tls_stream import write_no_more

_LEFT = getattr(select, "POLLRDHUP", select.POLLHUP)  # outside of Linux, the second says that, too
LINGER_S = 30.0  # how long a client may go on sending after its reply


class Writer(Protocol):
    """What a request needs of its response writer: a ResponseWriter, or what stands between the two."""

    more: bytes
    written: int
    on_full: Callable[[], None]
    on_drained: Callable[[], None]
    on_left: Callable[[], None]

    @property
    def kept(self) -> bytearray | None: ...

    @property
    def may_wait(self) -> bool:
        """Whether the head of a stream may go out long before its first bytes."""

    @property
    def left(self) -> bool: ...

    @property
    def all_sent(self) -> bool:
        """Whether the client, which may have left since, was sent all that was written."""

    def whole(self, status: int, head: bytes, body: bytes) -> None: ...

    def start(self, status: int, head: bytes) -> None: ...

    def write(self, data: bytes) -> None: ...

    def write_last(self, data: bytes) -> None: ...

    def sign(self, data: bytes) -> None:
        """Writes a sign of life."""

    def end(self) -> None: ...

    def watch(self, on_left: Callable[[], None]) -> None: ...

    def leaves(self) -> None: ...

    def hang_up(self) -> None: ...

    def over(self) -> None: ...

    def last(self) -> None: ...

    def when_sent(self, then: Callable[[bool], None]) -> None: ...

    def abort(self) -> None: ...

    def cut_off(self) -> bool:
        """Breaks off a reply of which all is said, if its client has not got all of it. Returns whether it did."""


class ResponseWriter:
    """The reply to one request. state: "open" (nothing is sent) -> "streaming" -> "done". If the client has left,
    writes do nothing."""

    __slots__ = (
        "_chunked", "_conn", "_full", "_head", "_lost", "_stream", "_together", "_waiting", "more", "on_drained",
        "on_full", "on_left", "state", "written",
    )  # fmt: skip

    high_water = 64 * 1024  # bytes, for all replies of this process
    kept: bytearray | None = None  # the beginning of the body, in subclasses that copy it

    def __init__(self, conn: HTTP1Connection) -> None:
        self._conn = conn
        self._stream: IOStream = conn.stream
        self._chunked = True
        self._head = b""  # the head of a stream, until there is something to write after it
        self._together = False  # what is written is sent with the end, which comes at once
        self._waiting = 0
        self._full = False
        self._lost = False  # some of the reply met a client that had left
        self.state = "open"
        self.written = 0
        self.more = b""  # header lines of every reply to this client
        self.on_full: Callable[[], None] = nothing
        self.on_drained: Callable[[], None] = nothing
        self.on_left: Callable[[], None] = nothing

    def __repr__(self) -> str:
        return f"<ResponseWriter {self.state} {self.written} bytes, {self._waiting} waiting>"

    @property
    def closed(self) -> bool:
        return self._stream._closed

    @property
    def may_wait(self) -> bool:
        return not self.closed

    @property
    def left(self) -> bool:
        """Whether the client has closed its side. Tornado notices this itself, unless the client has sent more than its
        request (the next one, or a stray line), because then it does not read on."""
        if self.closed:
            return True
        asked = select.poll()
        asked.register(self._stream.fileno(), _LEFT)
        return bool(asked.poll(0))

    @property
    def all_sent(self) -> bool:
        return not self._lost and self._stream._total_write_done_index == self._stream._total_write_index

    def whole(self, status: int, head: bytes, body: bytes) -> None:
        """Writes a complete reply. `head` holds header lines, each ended by CRLF."""
        if self.state != "open":
            return
        self.state = "done"
        self._lost = self._stream._closed
        if self._lost:
            return
        length = b"" if status == 204 else b"Content-Length: %d\r\n" % len(body)
        out = _status_line(status) + head + self.more + length + self._connection_line() + b"\r\n"
        self.written = len(body)
        self._finish(out + body)

    def start(self, status: int, head: bytes) -> None:
        """Begins a streamed reply. Its head leaves with the first write."""
        if self.state != "open" or self._stream._closed:
            return
        self.state = "streaming"
        request = self._conn._request_start_line
        self._chunked = request is None or request.version != "HTTP/1.0"
        head += self.more
        if self._chunked:
            kind = b"Transfer-Encoding: chunked\r\n" + self._connection_line()
        else:  # without chunks, the end of the connection is the end of the body
            self._conn._disconnect_on_finish = True
            kind = b"Connection: close\r\n"
        self._head = _status_line(status) + head + kind + b"\r\n"

    def write(self, data: bytes) -> None:
        """Writes more of a streamed reply's body."""
        if self.state != "streaming" or not data:
            return
        size = len(data)
        self.written += size
        if self._chunked:
            data = b"%b%x\r\n%b\r\n" % (self._head, size, data)
        elif self._head:
            data = self._head + data
        if self._together:
            self._head = data
            return
        self._head = b""
        if self._stream._closed:
            self._lost = True
            return
        if rest := self._at_once(data):
            self._queue(rest)
        else:
            self._waiting = 0

    def sign(self, data: bytes) -> None:
        self.write(data)

    def write_last(self, data: bytes) -> None:
        """Writes the last part; end() follows at once. Both become one write, and the client wakes up once."""
        self._together = True
        self.write(data)

    def end(self) -> None:
        """Ends a streamed reply whose body is complete."""
        if self.state == "streaming":
            self.state = "done"
            self._lost = self._stream._closed
            self._stream.looks = True  # type: ignore[attr-defined]  # a ClientStream
            if not self._lost:
                self._finish(self._head + (b"0\r\n\r\n" if self._chunked else b""))

    def watch(self, on_left: Callable[[], None]) -> None:
        """Calls `on_left` when the client leaves, at once if it has."""
        self.on_left = on_left
        self._conn.set_close_callback(self.leaves)
        if self._stream._closed:  # too early for that callback
            self.leaves()

    def leaves(self) -> None:
        """The client has left."""
        self.on_left()

    def hang_up(self) -> None:
        """Closes the connection, because the client has closed its side."""
        self.leaves()
        self.abort()

    def over(self) -> None:
        """The request is over: nobody is told any more, and this keeps nothing alive."""
        self._conn.set_close_callback(None)
        self.on_full = self.on_drained = self.on_left = nothing

    def last(self) -> None:
        """Ends the connection after this reply, and says so to the client. If the head of the reply is sent, it can no
        longer be said, and the client may send its next request as soon as it has the end: then the connection stays,
        and the next reply says it."""
        if self.state == "open":
            self._conn._disconnect_on_finish = True

    def when_sent(self, then: Callable[[bool], None]) -> None:
        """Calls `then` when no bytes wait any more: with True, or with False if the client left before it had all."""
        if self._stream._closed or not self._stream._write_futures:
            then(not self._lost)
            return
        self._stream.write(b"").add_done_callback(lambda sent: then(sent.exception() is None))

    def abort(self) -> None:
        """Breaks off, so that the client sees that the body is not complete."""
        if self._together and self._head and not self._stream._closed:  # the end did not come after all
            self._at_once(self._head)
        self.state = "done"
        self._conn.close()

    def cut_off(self) -> bool:
        """What the kernel has taken is on its way, and a close could only take it back: the client may be sending the
        rest of its request, or the next one already."""
        if self._stream._closed or not self._stream._write_futures:
            return False
        self._lost = True
        self.abort()
        return True

    def _queue(self, data: bytes) -> None:
        """Sends bytes; those that the kernel does not take now wait in the stream."""
        stream = self._stream
        written = stream.write(data)
        if not stream.writing():
            self._waiting = 0
            return
        self._waiting += len(data)
        if self._waiting > self.high_water and not self._full:
            self._full = True
            written.add_done_callback(self._drained)
            self.on_full()

    def _at_once(self, data: bytes) -> bytes:
        """Gives the kernel what it takes just now, and returns the rest: all of it where something waits already."""
        stream = self._stream
        if stream._write_futures:
            return data
        try:
            sent = stream.write_to_fd(memoryview(data))
        except OSError:  # the kernel has no room; or the client has left, which the stream finds out, and closes
            return data
        return data[sent:] if sent < len(data) else b""

    def _drained(self, written: object) -> None:
        exception = getattr(written, "exception", nothing)()
        self._full = False
        self._waiting = 0
        if exception is None:
            self.on_drained()
        elif not isinstance(exception, StreamClosedError):
            raise exception

    def _finish(self, data: bytes) -> None:
        conn = self._conn
        if conn._read_finished:
            rest = self._at_once(data)
            if rest or self._stream._write_futures:  # Tornado ends it after this; else it may close at once
                conn.write(rest)
                self._lost = self._stream._closed
            conn.finish()
            return
        # The request still comes in. A close with unread bytes would discard the reply on its way (RFC 9112, section
        # 9.6). So only the sending side is closed, and the client may go on sending for a while; that is read and
        # dropped.
        conn._disconnect_on_finish = conn._write_finished = True
        self._stream.write(data).add_done_callback(self._linger)

    def _linger(self, written: object) -> None:
        getattr(written, "exception", nothing)()  # the client may have gone
        if not self._stream._closed:
            with contextlib.suppress(OSError):
                write_no_more(self._stream)
            asyncio.get_running_loop().call_later(LINGER_S, self._conn.close)

    def _connection_line(self) -> bytes:
        """The Connection header, which tells the client whether another request may follow. None may after a reply that
        begins before its request has ended (_finish)."""
        conn = self._conn
        if conn._disconnect_on_finish or not conn._read_finished:
            conn._disconnect_on_finish = True
            return b"Connection: close\r\n"
        request = conn._request_start_line
        return b"Connection: Keep-Alive\r\n" if request is not None and request.version == "HTTP/1.0" else b""


def _status_line(status: int) -> bytes:
    line = _STATUS_LINES.get(status)
    if line is None:
        line = _STATUS_LINES[status] = b"HTTP/1.1 %d %b\r\n" % (status, REASONS.get(status, "Unknown").encode())
    return line


_STATUS_LINES: dict[int, bytes] = {529: b"HTTP/1.1 529 Site is overloaded\r\n"}


def nothing() -> None:
    return None
