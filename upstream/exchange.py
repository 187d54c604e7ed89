"""One request on its way, and the libcurl handle that carries it.

libcurl calls a `Handle`, which only notes what came (lines of the head, pieces of the body) and puts its
`Exchange` on the client's `ready` list.  Once libcurl has returned, the client walks that list, and each
exchange tells its `Sink`.  So a sink never runs inside libcurl: it may pause, cancel and send at will, and
what one loop turn brought is one chunk.  A handle outlives its exchange, and keeps its options.
"""

from __future__ import annotations

import logging
import re
from typing import Protocol

import pycurl

from upstream.failure import Failure, host_of
from upstream.request import Nobody, Request, Sink, parse_head
from upstream.way import Way

log = logging.getLogger("upstream")

WRITEFUNC_PAUSE: int = pycurl.WRITEFUNC_PAUSE
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110, 9.2.2: may be sent twice
TURN_BYTES = 64 * 1024  # of one body that one loop turn may bring: what a sink that pauses must have room for
NO_GOAWAY = 1 << 31  # above every stream
_OPENED = re.compile(rb"\[(\d+)\] OPENED stream")
_GOAWAY = re.compile(rb"received GOAWAY.*last_stream=(\d+)")
ABORT = -1  # any number but the length makes libcurl end the transfer with a write error


_NOBODY = Nobody()


class Owner(Protocol):
    """The client, as an exchange needs it."""

    def now(self) -> float:
        """Returns the loop's time, in seconds."""

    def let_go(self, exchange: Exchange) -> None:
        """It is cancelled: the connection is closed, and nobody is told."""

    def unpause(self, curl: pycurl.Curl) -> None:
        """libcurl reads on."""

    def recycle(self, exchange: Exchange) -> None:
        """The exchange has told its end; its handle can be used again."""

    def exhausted(self, exchange: Exchange, age: float) -> Failure:
        """Says of an exchange that it got no connection in `age` seconds."""


class Exchange:
    """One request in flight.

    reused, connect_ms, first_byte_ms and status are plain attributes, still there after the end: reused and
    connect_ms (0.0 on a reused connection) are known from the end on, the other two from the head on.
    """

    __slots__ = (
        "_added",
        "_client",
        "_ended",
        "_failure",
        "_handle",
        "_head",
        "_head_bytes",
        "_held",
        "_paused",
        "_placed",
        "_queued",
        "_sent_bytes",
        "_sink",
        "_told",
        "_touched",
        "connect_ms",
        "first_byte_ms",
        "request",
        "reused",
        "sent_at",
        "started",
        "status",
    )

    def __init__(self, client: Owner, handle: Handle, request: Request, sink: Sink, now: float) -> None:
        self.request = request
        self.started = now  # loop.time(), seconds
        self.sent_at = now  # when libcurl last took something of the body
        self.status = 0  # of the final reply; 0 until its head is whole
        self.reused = False
        self.connect_ms = 0.0
        self.first_byte_ms = 0.0
        self._client = client
        self._handle: Handle | None = handle
        self._sink: Sink | None = sink
        self._head: list[bytes] = []
        self._head_bytes = 0
        self._touched = now  # when the upstream last gave us something, or we last began to listen again
        self._sent_bytes = 0  # of the body, taken by libcurl
        self._added = False  # libcurl has it; before, its address is looked up
        self._placed = False  # on a connection, of which the making may still go on (known late, see `overdue`)
        self._told = False  # the sink has the head
        self._queued = False  # on the client's ready list
        self._paused = False  # the sink asked for a rest
        self._held = False  # libcurl keeps a piece back for us, and has stopped reading the socket
        self._ended = False  # libcurl is done with it; only the sink has not been told yet
        self._failure: Failure | None = None

    def __repr__(self) -> str:
        phase = "cancelled or done"
        if self._sink is not None:
            phase = (
                "ended" if self._ended else "waiting" if not self.status else "paused" if self._paused else "reading"
            )
        return f"<Exchange {self.request.method} {host_of(self.request.url)} {phase} status={self.status}>"

    @property
    def connection(self) -> str:
        """"new" or "reused"; "" while it has none. A question to libcurl as long as it is on its way."""
        if self._handle is None or self._ended:
            return "new" if self.connect_ms else "reused" if self.reused else ""
        if not self.status:
            return ""
        return "new" if self._handle.curl.getinfo(pycurl.NUM_CONNECTS) else "reused"

    @property
    def is_sent(self) -> bool:
        """Tells whether libcurl has taken all of the request's body."""
        return not self.request.body or self._sent_bytes >= len(self.request.body)

    def pause(self) -> None:
        """Stop reading.  What this turn already brought, and one more libcurl buffer, stay in memory."""
        self._paused = True

    def resume(self) -> None:
        """Read on.  Data that libcurl held back comes in a later call of on_data, not inside this one."""
        if not self._paused:
            return
        self._paused = False
        self._touched = self._client.now()
        if self._held:
            self._read_on()

    def cancel(self) -> None:
        """Let go at once, in whatever phase: the connection is closed, no sink call follows.  Idempotent."""
        if self._sink is not None:
            self._sink = None
            self._client.let_go(self)

    def ignore(self) -> None:
        """Read to the end for the connection's sake, which then can be used again; nobody is told any more."""
        if self._sink is not None:
            self._sink = _NOBODY
            self.resume()

    def _read_on(self) -> None:
        self._held = False
        if self._handle is not None and not self._ended:
            self._client.unpause(self._handle.curl)

    def deliver(self, now: float) -> None:
        """Tell the sink what has come since the last time.  (The client's; not to be called from a sink.)"""
        self._queued = False
        self._touched = now
        sink = self._sink
        if sink is None:
            return
        try:
            if self.status and not self._told:
                self._told = True
                self.first_byte_ms = (now - self.started) * 1000
                lines, self._head = self._head, []
                sink.on_head(self.status, parse_head(lines))
            handle = self._handle  # None after a cancel in on_head
            if handle is not None and handle.parts:
                parts = handle.parts
                chunk = parts[0] if len(parts) == 1 else b"".join(parts)
                parts.clear()
                handle.room = TURN_BYTES
                sink.on_data(chunk)
                if self._held and not self._paused:
                    self._read_on()
        except Exception:
            # The fault is the caller's, but the loop and the pool belong to everybody.
            log.exception("a sink failed; %r is cancelled", self)
            self.cancel()
        if self._ended and self._sink is not None:
            sink, self._sink = self._sink, None
            try:
                sink.on_end(self._failure)
            except Exception:
                log.exception("a sink failed in on_end; %r", self)
            self._client.recycle(self)

    def overdue(self, now: float) -> Failure | None:
        """Returns the timeout that has run out by `now`, if one has."""
        limits = self.request.timeouts
        age = now - self.started
        if limits.total and age >= limits.total:
            return self._late("total_timeout", f"the reply was not complete after {limits.total:g} s")
        if self.status:
            if limits.idle and not self._paused and now - self._touched >= limits.idle:
                return self._late("idle_timeout", f"no byte for {limits.idle:g} s")
            return None
        if not self._added and limits.connect and age >= limits.connect:
            words = f"{host_of(self.request.url)}: name not resolved within {limits.connect:g} s"
            return Failure("connect_timeout", words, True, pycurl.E_OPERATION_TIMEDOUT)
        if limits.first_byte and age >= limits.first_byte:
            if self._waits_for_connection():
                return self._client.exhausted(self, age)
            return self._late("first_byte_timeout", f"no reply within {limits.first_byte:g} s")
        # As a rule libcurl's own connect timeout comes first, here too; the margin leaves it the first word.
        if limits.connect and age >= limits.connect + 0.5 and self._waits_for_connection():
            return self._client.exhausted(self, age)
        return None

    def _late(self, kind: str, words: str) -> Failure:
        return Failure(kind, f"{host_of(self.request.url)}: {words}")

    def _waits_for_connection(self) -> bool:
        if not self._placed and self._added and self._handle is not None:
            self._placed = self._handle.curl.getinfo(pycurl.CONN_ID) >= 0
        return not self._placed


class Handle:
    """A pooled libcurl handle: the options it keeps from one request to the next, and libcurl's callbacks."""

    __slots__ = (
        "connect",
        "curl",
        "exchange",
        "headers",
        "last_stream",
        "parts",
        "pool",
        "ready",
        "refused",
        "room",
        "shape",
        "size",
        "stream",
        "url",
        "way",
    )

    def __init__(self, curl: pycurl.Curl, ready: list[Exchange], way: Way) -> None:
        self.curl = curl
        self.way = way  # by which all its requests go
        self.ready = ready
        self.parts: list[bytes] = []  # of the body, since the sink was last told
        self.room = TURN_BYTES
        self.exchange: Exchange | None = None
        self.pool: object = None  # the settings that its options were set by
        self.url = ""
        self.headers: list[str] | None = None
        self.shape: tuple[str, bool, bool] | None = None
        self.size = -1
        self.connect = -1.0
        # HTTP/2: our stream's number, whether it was refused, and the last that a GOAWAY leaves alive, if one came.
        self.stream, self.refused, self.last_stream = 0, False, NO_GOAWAY
        curl.setopt(pycurl.HEADERFUNCTION, self.header)
        curl.setopt(pycurl.WRITEFUNCTION, self.write)
        curl.setopt(pycurl.READFUNCTION, self.read)

    def __repr__(self) -> str:
        return f"<Handle {host_of(self.url)} exchange={self.exchange!r}>"

    def prepare(self, request: Request) -> None:
        """Set what differs from the last request.  ValueError: a header or the URL cannot be sent."""
        curl, body = self.curl, request.body
        self.stream, self.refused, self.last_stream = 0, False, NO_GOAWAY
        if request.url != self.url:
            curl.setopt(pycurl.URL, request.url)
            self.url = request.url
        if request.headers != self.headers:
            self._set_headers(request.headers)
        # An empty body has nothing to rewind, so `read` cannot stop a second sending; a new connection does.
        fresh = request.fresh or (not body and request.method not in IDEMPOTENT)
        shape = (request.method, body is not None, fresh)
        if shape != self.shape:
            self._set_method(*shape)
            self.shape = shape
        if body is not None and len(body) != self.size:
            self.size = len(body)
            curl.setopt(pycurl.POSTFIELDSIZE_LARGE, self.size)
        if request.timeouts.connect != self.connect:
            self.connect = request.timeouts.connect
            # 0 would mean libcurl's default, 300 s
            curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(self.connect * 1000)) if self.connect else 2_000_000_000)

    def hurry(self, spent_s: float) -> None:
        """Leaves less time to connect, since so much was spent on the address."""
        if self.connect:
            left_s = max(0.001, self.connect - spent_s)
            self.curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(left_s * 1000)))
            self.connect = left_s

    def _set_headers(self, headers: list[str]) -> None:
        text = "".join(headers)
        if "\n" in text or "\r" in text:
            raise ValueError("a header line holds a line break")
        lines: list[str] | list[bytes] = [*headers, "Expect:"]
        if not text.isascii():
            lines = [line.encode("latin-1") for line in (*headers, "Expect:")]
        self.curl.setopt(pycurl.HTTPHEADER, lines)
        self.headers = headers.copy()

    def _set_method(self, method: str, body: bool, fresh: bool) -> None:
        curl = self.curl
        if body:
            curl.setopt(pycurl.POST, 1)
        elif method == "HEAD":
            curl.setopt(pycurl.NOBODY, 1)
        else:
            curl.setopt(pycurl.HTTPGET, 1)
        if method == ("POST" if body else "HEAD" if method == "HEAD" else "GET"):
            curl.unsetopt(pycurl.CUSTOMREQUEST)
        else:
            curl.setopt(pycurl.CUSTOMREQUEST, method)
        curl.setopt(pycurl.FRESH_CONNECT, 1 if fresh else 0)

    # ---- called by libcurl

    def listen(self) -> None:
        """HTTP/2 only: to libcurl's remarks, the one place where it tells a refused stream from a lost connection."""
        self.curl.setopt(pycurl.VERBOSE, 1)
        self.curl.setopt(pycurl.DEBUGFUNCTION, self.remark)

    def remark(self, kind: int, text: bytes) -> None:
        """DEBUGFUNCTION. A GOAWAY is told to one of the handles that share its connection."""
        if kind != pycurl.INFOTYPE_TEXT:
            return
        if b"refused by server" in text:
            self.refused = True
        elif found := _OPENED.search(text):
            self.stream = int(found[1])
        elif found := _GOAWAY.search(text):
            self.last_stream = int(found[1])

    def header(self, line: bytes) -> int | None:
        """HEADERFUNCTION: one line of a head, or of the trailers after a chunked body."""
        x = self.exchange
        if x is None:
            return ABORT
        request = x.request
        x._head_bytes += len(line)
        if x._head_bytes > request.max_head_bytes or len(line) > request.max_line_bytes:
            x._failure = Failure(
                "too_large",
                f"{host_of(request.url)}: reply head over {request.max_head_bytes} bytes,"
                f" or a line of it over {request.max_line_bytes}",
            )
            return ABORT
        if x.status:
            return None  # a trailer
        head = x._head
        head.append(line)
        if len(line) <= 2:  # the empty line: this head is whole
            status = int(head[0].split(None, 2)[1])
            if status < 200:
                head.clear()  # interim: 100, 102, 103
                return None
            x.status = status
            if not x._queued:
                x._queued = True
                self.ready.append(x)
        return None

    def write(self, chunk: bytes) -> int | None:
        """WRITEFUNCTION: a piece of the body, at most 16 KiB; of a chunked one, one chunk (so: one event)."""
        parts = self.parts
        if parts and self.room > 0:  # not the first of this turn: nothing can have changed since
            parts.append(chunk)
            self.room -= len(chunk)
            return None
        x = self.exchange
        if x is None:
            return ABORT
        if x._paused or self.room <= 0:
            x._held = True
            return WRITEFUNC_PAUSE
        parts.append(chunk)
        self.room -= len(chunk)
        if not x._queued:
            x._queued = True
            self.ready.append(x)
        return None

    def read(self, size: int) -> bytes:
        """READFUNCTION: the next piece of the request's body.

        Why not POSTFIELDS: with it, libcurl sends a POST again, unasked, if a reused connection dies with no
        byte of reply, and the upstream may have worked on both. A body that comes from a callback cannot be
        rewound (no SEEKFUNCTION is set), so libcurl gives up with error 65 and the retry policy decides.
        """
        x = self.exchange
        body = x.request.body if x is not None else None
        if x is None or body is None:
            return b""
        start = x._sent_bytes
        x._sent_bytes = start + size
        x.sent_at = x._client.now()
        return body if not start and size >= len(body) else body[start : start + size]
