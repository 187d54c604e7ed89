"""One reply for several requests: the response writer of a request whose reply others may get, too.

It stands between a Flow and its client's ResponseWriter. The upstream's stream is kept from its beginning, and each
reader goes through it at its own pace. A late reader gets what was sent before, and then the rest as it comes. A slow
reader delays nobody, until it is so far behind that what waits for it takes more memory than is allowed; then the
upstream waits. The client whose request was sent may leave like any other: its Flow is told of that only when the last
reader has left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol as Interface

from gateway.cache.question import Question, Source
from gateway.flow.client_request import ClientRequest
from gateway.http.response_writer import Writer, nothing
from translate.conversation import Usage
from translate.failures.errors import ApiError

PIECE_BYTES = 64 * 1024  # the most that a late reader gets at once

Reply = tuple[int, bytes, bytes]
"""A whole one: (status, header lines less those of timing, body)."""


class Sharer(Interface):
    """The Sharing of a Flow (gateway/flow/sharing.py)."""

    @property
    def writer(self) -> Writer: ...

    @property
    def request(self) -> ClientRequest: ...

    def source(self) -> Source | None:
        """Returns where its reply comes from, as soon as there is one."""

    def unframed(self) -> bytes | None:
        """Returns its reply in the form of its protocol, for a client that gets it in another form."""

    def shared(self, status: int, head: bytes, body: bytes, error: ApiError | None) -> None:
        """Another request for the same has this answer."""

    def shares_stream(self, source: Source) -> None:
        """The shared stream begins. What comes is written to this request's writer."""

    def shared_ends(self, error: ApiError | None, *, aborted: bool) -> None:
        """The writer has had the last byte of the shared stream."""


class Reader:
    """A reader of the stream. nth: the index of the part that comes next. at: how many bytes it has had. full: its
    client is behind. joined: the request that joined, None = the reader is the client whose request was sent."""

    __slots__ = ("_broadcast", "_writer", "at", "done", "full", "joined", "nth", "started")

    def __init__(self, broadcast: Broadcast, writer: Writer, joined: Sharer | None = None) -> None:
        self._broadcast = broadcast
        self._writer = writer
        self.joined = joined
        self.nth = self.at = 0
        self.full = self.done = False
        self.started = joined is None
        writer.on_full, writer.on_drained = self._is_full, self._is_drained

    def __repr__(self) -> str:
        return f"<Reader at {self.at}{' full' * self.full}>"

    def begins(self) -> None:
        self.goes_on()
        self._broadcast.balance()

    def goes_on(self) -> None:
        """Writes parts as long as there are some and the client takes them."""
        broadcast = self._broadcast
        if not self.started:
            source = broadcast.source
            if source is None or self.joined is None:
                return
            self.started = True
            self.joined.shares_stream(source)
        while not self.full and not self.done and self.at < broadcast.size:
            piece, parts = broadcast.piece(self.nth)
            self.nth += parts
            self.at += len(piece)
            self._writer.write(piece)
        if broadcast.ended and self.at >= broadcast.size and not self.done:
            self.done = True
            broadcast.reaches_end(self)

    def leaves(self) -> None:
        self.done = True
        self.joined = None
        self._broadcast.without(self)

    def took(self) -> tuple[Source | None, Usage | None, float | None]:
        broadcast = self._broadcast
        return broadcast.source, broadcast.usage, broadcast.usd

    def _is_full(self) -> None:
        self.full = True
        self._broadcast.balance()

    def _is_drained(self) -> None:
        self.full = False
        self.goes_on()
        self._broadcast.balance()


class Broadcast:
    """The shared reply. key: what is asked. own: the writer of the client whose request was sent. gone: that client has
    left. joinable: the stream is still here from its beginning. size: bytes of the stream so far. most: how many of
    them may wait here. ended: no more comes."""

    may_wait = False  # who joins is told where the stream comes from

    __slots__ = (
        "_flow", "_full", "_gone_parts", "_most", "_own_reader", "_parts", "_pings", "_readers", "_sent", "aborted",
        "ended", "error", "gone", "joinable", "key", "on_drained", "on_full", "on_left", "own", "routes", "size",
        "source", "usage", "usd", "written",
    )  # fmt: skip

    def __init__(self, flow: Sharer, question: Question, most: int, pings: tuple[bytes, ...]) -> None:
        self._flow: Sharer | None = flow
        self._most = most
        self._pings = pings
        self._gone_parts = 0  # how many were dropped
        self._parts: list[bytes] = []
        self._full = False
        self._sent: Callable[[bool], None] | None = None
        self.key = question.key
        self.routes = question.routes
        self.own = flow.writer
        self.gone = self.ended = self.aborted = False
        self.joinable = True
        self.size = self.written = 0
        self.source: Source | None = None
        self.error: ApiError | None = None
        self.usage: Usage | None = None
        self.usd: float | None = None
        self.on_full: Callable[[], None] = nothing
        self.on_drained: Callable[[], None] = nothing
        self.on_left = self.own.on_left
        self.own.on_left = self._own_client_left
        self._own_reader = Reader(self, self.own)
        self._readers = [self._own_reader]

    def __repr__(self) -> str:
        return f"<Broadcast of {self.size} bytes to {len(self._readers)}>"

    # ----------------------------------------------------------------------------------------- who reads it

    def joins(self, flow: Sharer, question: Question) -> None:
        """Adds a request, which reads from the beginning as soon as it says so (`begins`)."""
        question.place = reader = Reader(self, flow.writer, flow)
        self._readers.append(reader)

    def without(self, reader: Reader) -> None:
        """Removes a reader that has left. With the last one, nobody is left for whom the upstream works."""
        if reader in self._readers:
            self._readers.remove(reader)
        if not self._readers and not self.ended:
            self.on_left()
        else:
            self._trim()
            self.balance()

    def piece(self, nth: int) -> tuple[bytes, int]:
        """Returns (what comes from that part on, how many parts these are), not more at once than a client may be
        behind."""
        parts, at = self._parts, nth - self._gone_parts
        size, end = len(parts[at]), at + 1
        while end < len(parts) and size + len(parts[end]) <= PIECE_BYTES:
            size += len(parts[end])
            end += 1
        return (parts[at] if end == at + 1 else b"".join(parts[at:end])), end - at

    def reaches_end(self, reader: Reader) -> None:
        if reader.joined is not None:
            self._readers.remove(reader)
            reader.joined.shared_ends(self.error, aborted=self.aborted)
            return
        self.own.end()
        if self._sent is not None:
            then, self._sent = self._sent, None
            self.own.when_sent(then)

    def balance(self) -> None:
        """Lets the upstream wait while nobody reads on, or while too much waits for the slowest reader."""
        full = bool(self._readers) and (
            all(reader.full for reader in self._readers)
            or self.size - min(reader.at for reader in self._readers) > self._most
        )
        if full != self._full:
            self._full = full
            if full:
                self.on_full()
            else:
                self.on_drained()

    def _trim(self) -> None:
        """Drops what nobody needs any more of a reply that is too large to be joined or kept."""
        if self.joinable or not self._readers:
            return
        needless = min(reader.nth for reader in self._readers) - self._gone_parts
        del self._parts[:needless]
        self._gone_parts += needless

    def outgrows(self) -> None:
        """The reply takes too much memory to be kept from its beginning."""
        self.joinable = False
        self._trim()

    # -------------------------------------------------------------------------- what the Flow has it written

    def start(self, status: int, head: bytes) -> None:
        if self._flow is not None:
            self.source = self._flow.source()
        if not self.gone:
            self.own.start(status, head)

    def write(self, data: bytes) -> None:
        if not data:
            return
        self._parts.append(data)
        self.size += len(data)
        self.written = self.size
        for reader in tuple(self._readers):
            reader.goes_on()
        if self.size > self._most and self.joinable:
            self.outgrows()
        elif not self.joinable:
            self._trim()
        if len(self._readers) > 1 or self._full:
            self.balance()

    write_last = sign = write

    def end(self) -> None:
        """Ends the reply: for the client whose request was sent, at once; for the others, when it is known how it ended
        (settle)."""
        self.ended = True
        self._own_reader.goes_on()

    def whole(self, status: int, head: bytes, body: bytes) -> None:
        self.ended = self._own_reader.done = True
        self.written = len(body)
        if not self.gone:
            self.own.whole(status, head, body)

    def abort(self) -> None:
        self.ended = self.aborted = self._own_reader.done = True
        self.own.abort()

    def cut_off(self) -> bool:
        if self._own_reader.done:
            return self.own.cut_off()
        self.abort()
        return True

    def settle(
        self, source: Source | None, reply: Reply | None, error: ApiError | None, usage: Usage | None, usd: float | None
    ) -> None:
        """All is written. Requests that wait for a whole reply get it, and readers of a stream get the rest."""
        self.ended = True
        streamed, self.source = self.source is not None, source
        self.error, self.usage, self.usd = error, usage, usd
        flow = self._flow
        for reader in [each for each in self._readers if each.joined is not None]:
            joined = reader.joined
            if streamed:
                reader.goes_on()
            elif joined is not None and reply is not None and flow is not None:
                status, head, body = reply
                own, theirs = flow.request.key.encode(), joined.request.key.encode()
                body = body.replace(own, theirs) if error is not None else body
                joined.shared(status, head.replace(own, theirs), body, error)
            elif joined is not None:
                joined.shared_ends(error, aborted=True)

    def body(self) -> bytes:
        """Returns all of the stream, without the signs of life that the proxy has added."""
        return b"".join(part for part in self._parts if part not in self._pings)

    # --------------------------------------------------------------------------------------- its own client

    @property
    def more(self) -> bytes:
        return self.own.more

    @more.setter
    def more(self, lines: bytes) -> None:
        self.own.more = lines

    @property
    def kept(self) -> bytearray | None:
        return self.own.kept

    @property
    def left(self) -> bool:
        return not self.gone and self.own.left

    @property
    def all_sent(self) -> bool:
        return self._own_reader.at >= self.size and self.own.all_sent

    def watch(self, on_left: Callable[[], None]) -> None:
        self.on_left = on_left

    def leaves(self) -> None:
        self.own.leaves()

    def hang_up(self) -> None:
        self.own.hang_up()

    def _own_client_left(self) -> None:
        self.gone = True
        if self._sent is not None:
            then, self._sent = self._sent, None
            self._own_reader.leaves()
            then(False)
        elif not self.ended:
            self._own_reader.leaves()

    def last(self) -> None:
        self.own.last()

    def when_sent(self, then: Callable[[bool], None]) -> None:
        if self.gone:
            then(False)
        elif self._own_reader.done:
            self.own.when_sent(then)
        else:
            self._sent = then

    def over(self) -> None:
        """The request is over, but its readers go on. Nothing is left in a reference cycle."""
        self.own.over()
        self._flow = None
        if self._own_reader in self._readers:
            self._readers.remove(self._own_reader)
        del self._own_reader
        self.on_full = self.on_drained = self.on_left = nothing
