"""One request in flight (`Exchange`), and the libcurl handle that carries it (`Handle`).

libcurl calls the methods of a `Handle`, which only record what has arrived (lines of the head, pieces of the body) and
put its `Exchange` on the client's `ready` list. When libcurl has returned, the client goes through that list, and each
exchange calls its `Sink`. So a sink never runs inside of libcurl: it may pause, cancel and send, and everything that
one turn of the loop has brought is one chunk. A handle is used for many exchanges, one after the other.
"""

from __future__ import annotations

import logging
from typing import Protocol

import pycurl

from upstream import packed
from upstream.failure import WANTS_PASSWORD, Failure, host_of
from upstream.http2 import Stream
from upstream.pool import Pool
from upstream.prepared import PreparedCurl
from upstream.request import Body, Lingering, Nobody, Request, Sink, nobody_reads, parse_head
from upstream.way import Way

log = logging.getLogger("upstream")

WRITEFUNC_PAUSE: int = pycurl.WRITEFUNC_PAUSE
READFUNC_PAUSE: int = pycurl.READFUNC_PAUSE
TURN_BYTES = 64 * 1024  # the most bytes of one body in one turn of the loop; a sink that pauses must hold them
PIECE_BYTES = 16  # what each piece counts besides its own bytes: of an upstream that sends them one by one
MUCH_BYTES = 8 * 1024  # from here on a sink's time is looked at
MUCH_S = 0.004  # the time that a sink may take in one turn; if it takes more, the next turn brings less
ABORT = -1  # any number except the length makes libcurl end the transfer with a write error

NOBODY = Nobody()
_IDLY = (nobody_reads, NOBODY.on_data)  # so reads a sink that waits for nothing but the end


class Owner(Protocol):
    """What an exchange needs of its client."""

    def now(self) -> float:
        """Returns the time of the event loop in seconds."""

    def fail(self, exchange: Exchange, failure: Failure) -> None:
        """Ends an exchange with a failure, closes its connection, and calls its sink."""

    def let_go(self, exchange: Exchange) -> None:
        """Ends a cancelled exchange and closes its connection, without a call to its sink."""

    def unpause(self, curl: pycurl.Curl) -> None:
        """Lets libcurl read on."""

    def again(self, exchange: Exchange) -> None:
        """Lets the next turn of the loop deliver what the exchange has."""

    def recycle(self, exchange: Exchange) -> None:
        """Takes the handle back when the sink has got the end of the exchange."""


class Exchange:
    """One request in flight.

    status and first_byte_ms are known from the head of the reply on; reused and connect_ms (0.0 on a reused connection)
    are known from the end on. All of them stay after the end.
    """

    __slots__ = (
        "_client", "_ended", "_failure", "_handle", "_head", "_head_bytes", "_head_delivered", "_held_back", "_placed",
        "_queued", "_sent_bytes", "_sink", "_waits", "added", "connect_ms", "ended_well", "first_byte_ms", "paused",
        "request", "reused", "sent_at", "started", "status", "touched",
    )  # fmt: skip

    def __init__(self, client: Owner, handle: Handle, request: Request, sink: Sink, now: float) -> None:
        self.request = request
        self.started = now  # loop.time(), seconds
        self.sent_at = now  # when libcurl last took a part of the request's body
        self.status = 0  # of the final reply; 0 until its head is complete
        self.ended_well = False  # all of the reply is here, though the sink may not have all of it yet
        self.reused = False
        self.connect_ms = 0.0
        self.first_byte_ms = 0.0
        self.touched = now  # when the upstream last sent something, or reading was last resumed
        self.added = False  # whether libcurl has it; before that, its address is looked up
        self.paused = False  # whether the sink has paused it
        self._client = client
        self._handle: Handle | None = handle
        self._sink: Sink | None = sink
        self._head: list[bytes] = []
        self._head_bytes = 0
        self._sent_bytes = 0  # how much of the request's body libcurl has taken
        self._placed = False  # whether it has a connection, which may still be opening; `overdue` finds it out late
        self._head_delivered = False  # whether the sink has got the head
        self._queued = False  # whether it is on the client's ready list
        self._held_back = False  # whether libcurl keeps a piece of the body, and has stopped reading the socket
        self._ended = False  # whether libcurl has finished it; the sink may not have got the end yet
        self._failure: Failure | None = None
        self._waits = False  # whether libcurl waits for more of the request's body

    def __repr__(self) -> str:
        phase = "cancelled or done"
        if self._sink is not None:
            phase = "ended" if self._ended else "waiting" if not self.status else "paused" if self.paused else "reading"
        return f"<Exchange {self.request.method} {host_of(self.request.url)} {phase} status={self.status}>"

    @property
    def connection(self) -> str:
        """The kind of its connection: "new", "reused", or "" if it has none yet."""
        if self._handle is None or self._ended:
            return "new" if self.connect_ms else "reused" if self.reused else ""
        if not self.status:
            return ""
        return "new" if self._handle.curl.getinfo(pycurl.NUM_CONNECTS) else "reused"

    @property
    def is_sent(self) -> bool:
        """Whether libcurl has taken all of the request's body."""
        body = self.request.body
        if body is None or isinstance(body, bytes):
            return not body or self._sent_bytes >= len(body)
        return body.is_read

    def send_on(self) -> None:
        """There is more of a body that had nothing to read."""
        if self._waits and self._handle is not None and not self._ended:
            self._waits = False
            self._client.unpause(self._handle.curl)

    def pause(self) -> None:
        """Stops reading. What this turn has brought, and one more buffer of libcurl, stay in memory."""
        self.paused = True

    def resume(self) -> None:
        """Reads on. Data that libcurl has kept comes in a later call of on_data, not inside of this call."""
        if not self.paused:
            return
        self.paused = False
        self.touched = self._client.now()
        if self._handle is not None and self._handle.parts and not self._queued:
            self._client.again(self)
        if self._held_back:
            self._read_on()

    def cancel(self) -> None:
        """Ends the exchange at once and closes its connection; the sink gets no more calls. It may be called twice."""
        if self._sink is not None:
            self._sink = None
            self._client.let_go(self)

    def ignore(self) -> None:
        """Reads the reply to its end so that the connection can be used again; the sink gets no more calls."""
        if self._sink is not None:
            self._sink = NOBODY
            self.resume()

    def lingers_s(self, now: float) -> float:
        """For how long its sink has waited for nothing but the end of the reply; 0.0 where it reads, or where nobody
        has asked before."""
        sink = self._sink
        if isinstance(sink, Lingering):
            return now - sink.since
        if sink is not None and (last := packed.behind(sink)).on_data in _IDLY:
            self._sink = Lingering(last, now)
        return 0.0

    def _read_on(self) -> None:
        self._held_back = False
        if self._handle is not None and not self._ended:
            self._client.unpause(self._handle.curl)

    def deliver(self, now: float) -> None:
        """Calls the sink with what has arrived since the last call, and at once with the end, for which nothing waits
        any more. Only the client calls this, never a sink."""
        self.give_head(now)
        self.give_data(now)
        if self._handle is not None:
            self._handle.parts.clear()  # what is unpacked in later turns
        self.give_end()

    def give_head(self, now: float) -> None:
        """The first of three steps; each does nothing where there is nothing. The client takes each step for all
        exchanges that have something: the CPU still knows its code then, which is an eighth of a short stream."""
        sink = self._sink
        if self._head_delivered or not self.status or sink is None:
            return
        self._head_delivered = True
        self.first_byte_ms = (now - self.started) * 1000
        lines, self._head = self._head, []
        headers = parse_head(lines)
        try:
            if "content-encoding" in dict(headers):
                self._sink = sink = packed.reader(sink, headers, host_of(self.request.url), self._comes_again)
            sink.on_head(self.status, headers)
        except Exception as error:
            self._is_broken(error)

    def give_data(self, now: float) -> None:
        self._queued = False
        self.touched = now
        handle, sink = self._handle, self._sink  # None after a cancel
        if handle is None or sink is None or not handle.parts:
            return
        parts = handle.parts
        chunk = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        handle.room = TURN_BYTES
        try:
            if len(chunk) < MUCH_BYTES:
                sink.on_data(chunk)
            else:
                self._give_much(sink, chunk, handle)
            if self._held_back and not self.paused:
                self._read_on()
        except Exception as error:
            self._is_broken(error)

    def _comes_again(self) -> None:
        """What is unpacked is more than one turn may bring. Until the rest is given, libcurl keeps what comes, and the
        end waits."""
        handle = self._handle
        if handle is None:
            return
        handle.parts.append(b"")
        handle.room = 0
        self.ended_well = False  # until the sink has all, nothing is the last
        if not self.paused:
            self._client.again(self)

    def _give_much(self, sink: Sink, chunk: bytes, handle: Handle) -> None:
        """Tiny events take a reader a hundred times as long as one large event of as many bytes, and meanwhile all
        others wait."""
        before = self._client.now()
        sink.on_data(chunk)
        took = self._client.now() - before
        if took > MUCH_S * len(chunk) / TURN_BYTES:
            handle.room = min(handle.room, max(1, int(len(chunk) * MUCH_S / took)))

    def give_end(self) -> None:
        if self._ended and self._sink is not None and not (self._handle is not None and self._handle.parts):
            sink, self._sink = self._sink, None
            try:
                sink.on_end(self._failure)
            except Exception:
                log.exception("an error in the proxy: the sink of %r failed in on_end", self)
            self._client.recycle(self)

    def _is_broken(self, error: Exception) -> None:
        """The reply cannot be read, or the caller has an error. That must not stop the loop and the pool, which serve
        other requests too."""
        if isinstance(error, packed.Unreadable):
            self._spoils(Failure("protocol", f"{host_of(self.request.url)}: {error}"))
        else:
            log.error("an error in the proxy: the sink of %r failed; the exchange is cancelled", self, exc_info=error)
            self.cancel()

    def _spoils(self, failure: Failure) -> None:
        """Fails the exchange: what has come is of no use, though libcurl accepted it."""
        self.ended_well = False
        if self._ended:
            self._failure = failure
        else:
            self._client.fail(self, failure)

    def waits_for_connection(self) -> bool:
        """Whether libcurl has found no connection for it yet."""
        if not self._placed and self.added and self._handle is not None:
            self._placed = self._handle.curl.getinfo(pycurl.CONN_ID) >= 0
        return not self._placed


class Handle(PreparedCurl):
    """A pooled libcurl handle with libcurl's callbacks."""

    __slots__ = ("exchange", "most_head", "parts", "pool", "ready", "room", "stream", "way")

    def __init__(self, curl: pycurl.Curl, ready: list[Exchange], way: Way, pool: Pool) -> None:
        super().__init__(curl)
        self.most_head = pool.max_head_bytes  # of a reply
        self.way = way  # the Way of all its requests
        self.ready = ready
        self.parts: list[bytes] = []  # pieces of the body that the sink has not got yet
        self.room = TURN_BYTES
        self.exchange: Exchange | None = None
        self.pool = pool  # the settings that its options were made from
        self.stream = Stream()
        if pool.http2:
            self.stream.listen(curl)
        curl.setopt(pycurl.HEADERFUNCTION, self.header)
        curl.setopt(pycurl.WRITEFUNCTION, self.write)
        curl.setopt(pycurl.READFUNCTION, self.read)

    def __repr__(self) -> str:
        return f"<Handle {host_of(self.url)} exchange={self.exchange!r}>"

    # ---- called by libcurl

    def header(self, line: bytes) -> int | None:
        """HEADERFUNCTION: one line of a head, or of the trailers after a chunked body."""
        x = self.exchange
        if x is None:
            return ABORT
        size, most = len(line), self.most_head
        x._head_bytes = held = x._head_bytes + size
        if held > most or size > most >> 2:
            x._failure = Failure(
                "too_large",
                f"{host_of(x.request.url)}: the head of the reply has more than {most} bytes, or a line of more than"
                f" {most >> 2}",
            )
            return ABORT
        if x.status:
            return None  # a trailer
        head = x._head
        head.append(line)
        if size <= 2:  # the empty line: this head is complete
            status = int(head[0].split(None, 2)[1])
            if status < 200:
                return self._interim(x, status)
            if status == 407 and self._speaks_to_proxy(x.request.url):
                return self._at_proxy(x)
            x.status = status
            if not x._queued:
                x._queued = True
                self.ready.append(x)
        return None

    def _speaks_to_proxy(self, url: str) -> bool:
        """Whether a proxy reads the heads, as it does without TLS. (libcurl may not be asked in the middle of its
        work.)"""
        proxy = self.pool.proxy if self.way.proxy is None else self.way.proxy
        return bool(proxy) and not proxy.startswith("socks") and url.startswith("http:")

    @staticmethod
    def _at_proxy(x: Exchange) -> int:
        """The upstream has not even seen the request."""
        x._failure = Failure("connect", f"{host_of(x.request.url)}: {WANTS_PASSWORD}", replayable=True)
        return ABORT

    @staticmethod
    def _interim(x: Exchange, status: int) -> int | None:
        """A head before the reply's own: 100, 102 or 103. After a 101, which nobody has asked for, no other would
        come."""
        if status == 101:
            words = f"{host_of(x.request.url)}: it answered 101 Switching Protocols, which nobody has asked for"
            x._failure = Failure("protocol", words)
            return ABORT
        x._head.clear()
        return None

    def write(self, chunk: bytes) -> int | None:
        """WRITEFUNCTION: a piece of the body, at most 16 KiB. Of a chunked body it is one chunk, as a rule one
        event."""
        parts = self.parts
        if parts and self.room > 0:  # not the first piece of this turn: nothing can have changed since the first
            parts.append(chunk)
            self.room -= len(chunk) + PIECE_BYTES
            return None
        x = self.exchange
        if x is None:
            return ABORT
        if x.paused or self.room <= 0:
            x._held_back = True
            return WRITEFUNC_PAUSE
        parts.append(chunk)
        self.room -= len(chunk) + PIECE_BYTES
        if not x._queued:
            x._queued = True
            self.ready.append(x)
        return None

    def read(self, size: int) -> bytes | int:
        """READFUNCTION: the next piece of the request's body.

        With POSTFIELDS instead, libcurl would send a POST again by itself when a reused connection is lost before any
        byte of reply, and the upstream may have worked on both. A body from a callback cannot be rewound (there is no
        SEEKFUNCTION), so that libcurl gives up with error 65, and the retry policy decides.
        """
        x = self.exchange
        body = x.request.body if x is not None else None
        if x is None or body is None:
            return b""
        if not isinstance(body, bytes):
            return self._read_on(x, body, size)
        start = x._sent_bytes
        x._sent_bytes = start + size
        x.sent_at = x._client.now()
        return body if not start and size >= len(body) else body[start : start + size]

    def _read_on(self, x: Exchange, body: Body, size: int) -> bytes | int:
        piece = body.read(size)
        if piece is None:
            x._waits = True
            return READFUNC_PAUSE
        x._sent_bytes += len(piece)
        x.sent_at = x._client.now()
        return piece
