"""What comes back for a relayed request: libcurl's sink for one attempt.

An error is gathered. JSON is gathered, too, because it tells the usage; it is large only if it has pictures. Everything
else, such as speech, events or the contents of a file, goes to the client as it comes, as fast as the client reads.
"""

from __future__ import annotations

import asyncio

from gateway.flow.lease import Lease
from gateway.flow.ports import Ports
from gateway.http import header_rules
from gateway.http.response_writer import Writer
from gateway.passing.clean_lines import CleanLines
from translate.conversation import Usage
from translate.counting import usage
from translate.responses.dialect import RESPONSES
from upstream.exchange import Exchange
from upstream.failure import Failure

TAIL_BYTES = 16 * 1024  # of a stream of events, whose last event may tell the usage
_READER = usage.UsageReader(
    lambda event, before: RESPONSES.usage.of_object(event.get("usage"), before) if event.get("usage") else before,
    RESPONSES.usage.of_object,
)


class Coming:
    """The reply. status, headers: of its head. streams: its body goes to the client as it comes. failure: why it is not
    whole. cut: there is more of an error, or of JSON, than was gathered. ttfb_ms: 0.0 = no head has come."""

    def __init__(self, ports: Ports, lease: Lease, began: float, *, raw: bool) -> None:
        """raw: pass JSON on, too, without gathering it."""
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.streams = False
        self.failure: Failure | None = None
        self.cut = False
        self.ttfb_ms = 0.0
        self.exchange: Exchange | None = None
        self.head = asyncio.Event()
        self.over = asyncio.Event()
        self.writer: Writer | None = None  # set once the head has gone to the client
        self._ports = ports
        self._lease = lease
        self._began = began
        self._raw = raw
        self._parts: list[bytes] = []
        self._size = 0
        self._tail = b""  # of a stream of events
        self._lines: CleanLines | None = None  # of a stream of events

    def __repr__(self) -> str:
        return f"<Coming {self.status} {self._size} bytes>"

    @property
    def kind(self) -> str:
        return header_rules.find(self.headers, "content-type")

    @property
    def is_page(self) -> bool:
        """Whether it is a page for people, such as a login. No model answers with one."""
        return not self._raw and "text/html" in self.kind.lower()

    @property
    def _is_gathered(self) -> bool:
        """Whether it is JSON, or nothing where a sound is due. Nothing may be the text of silence."""
        kind = self.kind.lower()
        is_nothing = self.status == 204 or header_rules.find(self.headers, "content-length") == "0"
        return "json" in kind or (is_nothing and "text/" not in kind)

    def on_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        ports, place = self._ports, self._lease.route.place
        self.status, now = status, ports.now()
        self.headers = headers = self._lease.route.upstream.secrets.headers(headers)
        self.ttfb_ms = (now - self._began) * 1e3
        if status < 300 and place.resets_at and self._lease.route.model:  # a file is of no model, and within no limit
            place.works(self._began)
        place.headroom.learn(headers, now, ports.unix())
        if status < 300 and place.key.bad_until:
            place.key.works()
        self._lease.heard(status, None)
        self.streams = 200 <= status < 300 and (self._raw or not (self._is_gathered or self.is_page))
        if self.has_events and not self._raw:
            self._lines = CleanLines(self._lease.route.upstream.secrets)
        self.head.set()

    def on_data(self, chunk: bytes) -> None:
        self._size += len(chunk)
        self._parts.append(chunk)
        if self.streams:
            if self.writer is not None:
                self._pass()
            return
        most = self._ports.gathered
        if self._size > (most.reply_bytes if self.status < 300 else most.error_bytes) and self.exchange is not None:
            self.cut = True
            self.exchange.cancel()
            self.over.set()

    def on_end(self, failure: Failure | None) -> None:
        if failure is not None and self.status >= 400:  # the status says more than the failure that cut its body
            self.cut, failure = True, None
        self.failure = failure
        self.head.set()
        self.over.set()
        if self.writer is not None:
            self._pass()

    def goes_to(self, writer: Writer) -> None:
        """Sends to the client what has come, and what will come."""
        self.writer = writer
        if self.exchange is not None:
            writer.on_full, writer.on_drained = self.exchange.pause, self.exchange.resume
        self._pass()

    def _pass(self) -> None:
        assert self.writer is not None
        for part in self._parts:
            if said := self._lines.feed(part) if self._lines is not None else part:
                self.writer.write(said)
        if self._lines is not None and self.over.is_set() and self.failure is None and (said := self._lines.rest()):
            self.writer.write(said)
        last = b"".join(self._parts)[-TAIL_BYTES:] if "event-stream" in self.kind else b""
        self._tail = (self._tail + last)[-TAIL_BYTES:]
        self._parts.clear()

    @property
    def has_events(self) -> bool:
        """Whether a stream of events has begun, perhaps without an event yet."""
        return self.streams and "event-stream" in self.kind

    def body(self) -> bytes:
        """Returns all that was gathered, without the upstream's own secrets."""
        whole, secrets = b"".join(self._parts), self._lease.route.upstream.secrets
        return secrets.clean_reply(whole) if self.status < 300 else self._ports.masked(secrets.clean(whole))

    def used(self, body: bytes) -> Usage | None:
        """Returns the usage. body: what was gathered."""
        if self._tail:
            return usage.in_stream(_READER, self._tail)
        return usage.in_body(_READER, body)
