"""What an upstream sends back, as it comes: libcurl's sink for one exchange.

First its head, and what that says of the endpoint is noted. Then a stream, whose pieces go to the reader at once; or a
body, whole reply or error, which is gathered until its end. Which of the two it is shows by the first byte.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Protocol

from gateway.flow import outcomes
from gateway.flow.lease import Lease
from gateway.flow.ports import Ports, Timer
from gateway.flow.timing import Clock
from translate.failures import errors
from upstream.exchange import Exchange
from upstream.failure import Failure

ERROR_S = 10.0  # how long the body of an error may take
GOOD = (201, 203)  # they count as 200: some frameworks answer each POST with 201, and clients' libraries accept that
_ERROR_OBJECT = re.compile(rb'\s*\{\s*"(?:error"\s*:\s*[{"]|type"\s*:\s*"error")')


class Reader(Protocol):
    """The reader of the reply: the attempt."""

    def on_stream(self, chunk: bytes) -> None:
        """Takes a piece of a stream. To have the next piece go elsewhere, it sets `on_data`."""

    def on_over(self, failure: Failure | None) -> None:
        """Nothing more comes. failure: why the reply is not whole, None = it is."""

    def on_fault(self, error: Exception) -> None:
        """The reply cannot be used."""


class Incoming:
    """The reply to one request upstream, as it comes in.

    reader: None if nobody reads it any more. mode: "" (no head yet) -> "undecided" -> streaming | collecting. own_key:
    the client's own key was used. counts: tokens are counted, which has limits of its own. sent_at, ttfb_ms: 0.0 = not
    yet. exchange: None once it is over. connection: see Exchange; known once it is over. cut: only the beginning of an
    error was read.
    """

    __slots__ = (
        "_clock", "_lease", "_parts", "_ports", "_size", "_too_late", "connection", "counts", "cut", "exchange",
        "headers", "mode", "on_data", "own_key", "reader", "sent_at", "status", "streams", "ttfb_ms",
    )  # fmt: skip

    def __init__(
        self, reader: Reader, ports: Ports, lease: Lease, clock: Clock, *, streams: bool, own_key: bool,
        counts: bool = False, ttfb_ms: float = 0.0,
    ) -> None:  # fmt: skip
        self.reader: Reader | None = reader
        self._ports = ports
        self._lease = lease
        self._clock = clock
        self.streams = streams
        self.own_key = own_key
        self.counts = counts
        self.exchange: Exchange | None = None
        self.connection = ""
        self.sent_at = 0.0
        self.ttfb_ms = ttfb_ms
        self.mode = ""
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.on_data: Callable[[bytes], None] = self._look
        self.cut = False
        self._parts: list[bytes] = []
        self._size = 0
        self._too_late: Timer | None = None

    def __repr__(self) -> str:
        return f"<Incoming {self.mode or 'nothing'} {self.status}>"

    # -------------------------------------------------------------------------------------- libcurl's sink

    def on_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        now, lease = self._ports.now(), self._lease
        place = lease.route.place
        self.ttfb_ms = self.ttfb_ms or (now - self._clock.began) * 1e3
        self.status = status = 200 if status in GOOD else status
        self.headers = headers = lease.route.upstream.secrets.headers(headers)
        if not self.own_key:
            if status == 200 and (place.headroom.resets_at or place.key.plan.resets_at) and not self.counts:
                place.works(self.sent_at)
            place.headroom.learn(headers, now, self._ports.unix())
            if status == 200 and place.key.bad_until:
                place.key.works()
        first_byte_ms = (now - self.sent_at) * 1e3 if self.streams else None
        if status == 200 and first_byte_ms is not None:
            place.first_byte(first_byte_ms, now)
        lease.heard(status, first_byte_ms)
        self.mode = "undecided" if status == 200 and self.streams else "collecting"
        if status >= 400:
            self._too_late = self._ports.call_later(ERROR_S, self._enough)

    def _look(self, chunk: bytes) -> None:
        """Takes the first bytes, which show what the body is."""
        if self.mode == "undecided":
            # By its first byte, not its Content-Type: servers answer errors as JSON under text/event-stream, and
            # gzip ("\x1f") that nobody asked for.
            begins = chunk.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
            self.mode = "collecting" if begins in (b"{", b"<", b"[", b"\x1f") else "streaming"
        if self.reader is not None:
            self.on_data = self.reader.on_stream if self.mode == "streaming" else self._collect
            self.on_data(chunk)

    def _collect(self, chunk: bytes) -> None:
        self._clock.came = self._ports.now()
        self._parts.append(chunk)
        self._size += len(chunk)
        most = self._ports.gathered
        if self._size > most.error_bytes and (self.status != 200 or _ERROR_OBJECT.match(self._parts[0])):
            self._enough()
        elif self._size > most.reply_bytes and self.reader is not None:
            self.reader.on_fault(errors.BadReply(f"the upstream's reply is over {most.reply_bytes >> 20} MB"
                                                 " ([limits] reply_mb)"))  # fmt: skip

    def _enough(self) -> None:
        """Stops reading an error that is long enough, or takes too long: the part that has come counts."""
        if self.exchange is None:
            return
        self.exchange.cancel()
        self.cut = True
        if self.status == 200:
            self.status = errors.parse(500, b"".join(self._parts)).status
        self.on_end(None)

    def on_end(self, failure: Failure | None) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            self.connection = exchange.connection
        self._stop_timer()
        if failure is not None and self.status >= 400:  # the status says more than the failure that cut its body
            self.cut, failure = True, None
        if self.reader is not None:
            self.reader.on_over(failure)

    # ----------------------------------------------------------------------------------- what was gathered

    def body(self) -> bytes:
        """Returns all that came, without a byte order mark, which readers of JSON need not know, and without the
        upstream's own secrets: many servers repeat the key that they refuse."""
        whole, secrets = b"".join(self._parts).removeprefix(codecs.BOM_UTF8), self._lease.route.upstream.secrets
        whole = secrets.clean_reply(whole) if self.status == 200 else self._ports.masked(secrets.clean(whole))
        self._parts = [whole]
        return whole

    @property
    def refusal(self) -> bytes:
        """The body of an error, once it was read; else nothing."""
        return b"".join(self._parts) if self.status >= 400 else b""

    @property
    def says_no_endpoint(self) -> bool:
        """Whether the refusal says that the upstream has no endpoint for what is asked."""
        return outcomes.says_no_endpoint(self.status, self.refusal, self._lease.route)

    # ------------------------------------------------------------------------------------------- its end

    def outrun(self) -> None:
        """Another attempt was quicker. The time that this one had taken by then counts, or else the statistics would
        know only quick replies."""
        if self.sent_at and not self.status:
            now = self._ports.now()
            self._lease.route.place.first_byte((now - self.sent_at) * 1e3, now)

    def successor(self, reader: Reader) -> Incoming:
        """Makes the sink for the next request of the same turn, to which the reader's attention goes. The client waits
        since the first one."""
        return Incoming(
            reader, self._ports, self._lease, self._clock, streams=self.streams, own_key=self.own_key,
            ttfb_ms=self.ttfb_ms,
        )  # fmt: skip

    def cancel(self) -> None:
        """Ends the exchange at once, in whatever phase it is."""
        self._stop_timer()
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.cancel()
            self.connection = exchange.connection

    def _stop_timer(self) -> None:
        if self._too_late is not None:
            self._too_late.cancel()
            self._too_late = None
