"""Where a request stands in a trace (W3C Trace Context): its own span, and one for each of its attempts.

The client may name the trace in `traceparent`; then its decision whether the trace is recorded is kept. Each attempt
tells its upstream its own span, so that what the upstream records hangs below it. Nothing is sent from here: the
observer of traces gets these objects with the record of the request (console/telemetry.py).
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping

from msgspec import Struct, field

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_SAMPLED = 1


class Span(Struct):
    """An attempt. Times are in seconds since 1970; ended: 0.0 = not yet. status: of the upstream's reply, 0 = none.
    error: its kind, "" = the attempt was answered."""

    id: int
    upstream: str
    protocol: str
    model: str
    url: str
    began: float
    ended: float = 0.0
    status: int = 0
    error: str = ""

    def ends(self, status: int, error: str) -> None:
        if not self.ended:
            self.ended = time.time()
            self.status, self.error = status, error


class Trace(Struct):
    """The trace of a request. id: of the trace. span: of the request. parent: the client's span, 0 = none. state: the
    client's tracestate."""

    id: int
    span: int
    parent: int
    sampled: bool
    began: float
    state: str = ""
    attempts: list[Span] = field(default_factory=list)

    def attempt(self, upstream: str, protocol: str, model: str, url: str) -> Span:
        span = Span(random.getrandbits(64) or 1, upstream, protocol, model, url, time.time())
        self.attempts.append(span)
        return span

    def told(self, lines: list[str], span: Span) -> list[str]:
        """Returns the header lines of an attempt, with its span."""
        own = f"traceparent: 00-{self.id:032x}-{span.id:016x}-{int(self.sampled):02x}"
        return [*(line for line in lines if not line.lower().startswith("traceparent:")), own]


class Tracing:
    """Begins traces. share: which part of the traces that no client has decided about is recorded, from 0 to 1. sent,
    dropped: how many spans since the start."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.sent = self.dropped = 0

    def __repr__(self) -> str:
        return f"<Tracing of {self.share:.0%}, {self.sent} spans sent, {self.dropped} dropped>"

    def begins(self, headers: Mapping[str, str]) -> Trace:
        found = _PARENT.fullmatch(headers.get("traceparent", "").strip())
        own = random.getrandbits(64) or 1
        if found is not None and (id := int(found[1], 16)) and (parent := int(found[2], 16)):
            sampled = bool(int(found[3], 16) & _SAMPLED)
            return Trace(id, own, parent, sampled, time.time(), headers.get("tracestate", "")[:512])
        id = random.getrandbits(128) or 1
        return Trace(id, own, 0, (id & (1 << 64) - 1) < self.share * 2**64, time.time())
