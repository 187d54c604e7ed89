"""Which headers cross the proxy, each way.

Towards an upstream of the client's own protocol every end-to-end header goes along as it came (all
`anthropic-*` values are open lists), except the client's credentials, which are replaced, and what belongs
to one connection or one hop. A translated request takes only what means the same in both protocols.
Back to the client go the headers that clients act on: rate limits, retry-after, request ids.
"""

from __future__ import annotations

from collections.abc import Iterable

# RFC 9110 section 7.6.1, and what HTTP/1.1 software treats alike.
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade", "http2-settings")
)  # fmt: skip

_NOT_UPSTREAM = HOP_BY_HOP | frozenset(
    ("host", "content-length", "content-encoding", "accept-encoding", "expect", "authorization", "x-api-key",
     "api-key", "cookie", "origin", "referer", "forwarded", "via", "x-forwarded-for", "x-forwarded-host",
     "x-forwarded-proto", "x-real-ip", "priority")
)  # fmt: skip

_NOT_BACK = HOP_BY_HOP | frozenset(
    ("content-length", "content-type", "cache-control", "set-cookie", "server", "alt-svc", "via",
     "strict-transport-security", "x-proxy-dropped", "x-proxy-upstream")
)  # fmt: skip

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
        if low in own or low in _NOT_UPSTREAM or low in named:
            continue
        if same or low in _CROSSING:
            lines.append(f"{name}: {value}")
    lines += [f"{name}: {value}" for name, value in own.items()]
    return lines


def back(headers: Iterable[tuple[str, str]], same: bool) -> bytes:
    """Header lines for the client, of the upstream's (lower-case names); Content-Type and
    Cache-Control are the relay's."""
    out = []
    for name, value in headers:
        if name in _NOT_BACK:
            continue
        if same or name in _BACK_CROSSING or "ratelimit" in name:
            out.append(f"{name}: {value}\r\n")
    return "".join(out).encode("latin-1", "replace")


def find(headers: Iterable[tuple[str, str]], wanted: str) -> str:
    """The first value of a header (lower-case name), or ""."""
    for name, value in headers:
        if name == wanted:
            return value
    return ""
