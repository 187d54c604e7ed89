"""Which headers cross the proxy, each way.

Towards an upstream of the client's own protocol every end-to-end header goes along as it came (all
`anthropic-*` values are open lists), except the client's credentials, which are replaced, and what belongs
to one connection or one hop. A translated request takes only what means the same in both protocols.
Back to the client go the headers that clients act on: rate limits, retry-after, request ids.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable

from gateway.http import forwarded
from gateway.limits import rate_limit

# RFC 9110 section 7.6.1, and what HTTP/1.1 software treats alike.
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade", "http2-settings")
)  # fmt: skip

_NOT_UPSTREAM = HOP_BY_HOP | frozenset(
    ("host", "content-length", "content-encoding", "accept-encoding", "expect", "authorization", "x-api-key",
     "api-key", "cookie", "origin", "referer", "priority", "x-proxy-hops")
) | forwarded.NAMES  # fmt: skip

_NOT_BACK = HOP_BY_HOP | frozenset(
    ("content-length", "content-type", "cache-control", "set-cookie", "server", "alt-svc", "via", "vary",
     "strict-transport-security", "x-accel-buffering", "x-proxy-dropped", "x-proxy-upstream", "x-proxy-attempts",
     "x-proxy-overhead-ms")
)  # fmt: skip

EVENT_STREAM = (
    b"Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache, no-transform\r\n"
    b"X-Accel-Buffering: no\r\n"
)
"""Of every stream: reverse proxies must neither keep it, nor compress it (and so gather it), nor wait for its end."""

# Some clients retry a 401 for minutes; a line that was too slow will be so again, and a loop is there to stay.
_FOR_GOOD = frozenset((401, 403, 408, 508))

_NOT_IN_A_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

# Of a translated request: what is about the caller or the trace, not about the body's protocol.
_CROSSING = ("user-agent", "traceparent", "tracestate", "x-client-request-id")

_BACK_CROSSING = ("retry-after", "retry-after-ms", "x-should-retry", "request-id", "x-request-id", "cf-ray")


def upstream(headers: Iterable[tuple[str, str]], connection: str, own: dict[str, str], same: bool) -> list[str]:
    """Header lines for the upstream. headers: the client's. connection: its Connection header, whose words name
    further hop-by-hop ones. own: the upstream's (lower-case names), which win. same: same protocol."""
    named = {word.strip().lower() for word in connection.split(",")} if connection else ()
    lines = []
    for name, value in headers:
        low = name.lower()
        if low in own or low in _NOT_UPSTREAM or low in named or low.startswith(forwarded.PREFIX):
            continue
        if same or low in _CROSSING:
            lines.append(f"{name}: {value}")
    lines += [f"{name}: {value}" for name, value in own.items() if value]
    return lines


def back(headers: Iterable[tuple[str, str]], same: bool) -> bytes:
    """Header lines for the client, of the upstream's (lower-case names); Content-Type and
    Cache-Control are the relay's."""
    out = []
    for name, value in headers:
        if name in _NOT_BACK or name.startswith("access-control-"):
            continue
        if name == "retry-after" and not (value := _whole_seconds(value)):
            continue
        if same or name in _BACK_CROSSING or "ratelimit" in name:
            out.append(f"{name}: {value}\r\n")
    return "".join(out).encode("latin-1", "replace")


def _whole_seconds(value: str) -> str:
    """A retry-after in seconds, rounded up, as clients read it: they know neither fractions nor, all of them, dates.
    "" for what is neither a time nor a date."""
    if value.isdecimal() and value.isascii():
        return value
    seconds = rate_limit.asked_wait((("retry-after", value),), time.time())
    return str(math.ceil(seconds)) if seconds is not None else ""


def of_reply(
    upstreams: Iterable[tuple[str, str]], key: str, upstream_name: str, dropped: list[str]
) -> bytes:
    """Our own lines of a reply: who gave it, which fields did not cross, and an id where the upstream gave none, under
    the name that each family of clients reads."""
    own = line("X-Proxy-Upstream", upstream_name)
    if dropped:
        own += line("X-Proxy-Dropped", ", ".join(dropped)[:2000])
    theirs = {name for name, _ in upstreams}
    for wanted in ("request-id", "x-request-id"):
        if wanted not in theirs:
            own += b"%b: req_%b\r\n" % (wanted.encode(), key.encode())
    return own


def of_timing(tries: int, queue_s: float, upstream_s: float, overhead_s: float) -> bytes:
    """What the reply took, up to its first byte: in milliseconds, as Server-Timing has them."""
    queue, upstream, own = queue_s * 1e3, upstream_s * 1e3, overhead_s * 1e3
    return (
        b"X-Proxy-Attempts: %d\r\nX-Proxy-Overhead-Ms: %.2f\r\n"
        b"Server-Timing: queue;dur=%.2f, upstream;dur=%.2f, proxy;dur=%.2f\r\n"
    ) % (tries, own, queue, upstream, own)


def of_refusal(status: int, key: str, upstream_name: str, retry_after_s: float | None) -> bytes:
    """The lines of an error of the proxy's own. upstream_name: the one asked last, or ""."""
    own = b"request-id: req_%b\r\nx-request-id: req_%b\r\n" % (key.encode(), key.encode())
    own += line("X-Proxy-Upstream", upstream_name)
    if retry_after_s is not None:
        own += b"Retry-After: %d\r\n" % max(1, math.ceil(retry_after_s))
    if status in _FOR_GOOD:
        own += b"x-should-retry: false\r\n"
    return own


def content_type(kind: str) -> bytes:
    """The line of an upstream's own Content-Type; with what belongs to it where that is a stream of events."""
    own = line("Content-Type", kind)
    return own + EVENT_STREAM.partition(b"\r\n")[2] if "event-stream" in kind.lower() else own


def line(name: str, value: str) -> bytes:
    """A header line with its CRLF; nothing for an empty value. What no header may hold becomes "?": values come from
    upstreams and even from clients (the names of their fields), and a line break in one would begin another header."""
    if not value:
        return b""
    return f"{name}: {_NOT_IN_A_VALUE.sub('?', value)}\r\n".encode("latin-1", "replace")


def find(headers: Iterable[tuple[str, str]], wanted: str) -> str:
    """The first value of a header (lower-case name), or ""."""
    for name, value in headers:
        if name == wanted:
            return value
    return ""
