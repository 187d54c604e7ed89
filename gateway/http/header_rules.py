"""Makes header lines: of a client's request for an upstream, and of a reply for the client.

header_names.py decides which names are passed on. Values are cleaned, since they come from upstreams and clients. A
reply of an upstream reaches the client as JSON or as an event stream and, if a browser shows it, as a document without
any rights: the page of an upstream must not run at the address of the proxy's own pages.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from gateway.http import header_names
from gateway.limits import rate_limit
from translate import late
from translate.failures.errors import whole_seconds

SHIELD = b"X-Content-Type-Options: nosniff\r\nContent-Security-Policy: sandbox\r\n"

JSON_HEAD = b"Content-Type: application/json\r\n" + SHIELD


def stream(content_type: str) -> bytes:
    """The headers of every stream: reverse proxies must not cache it, compress it (and so delay it), or wait for its
    end."""
    kind = b"Content-Type: %b\r\n" % content_type.encode()
    return kind + b"Cache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\n" + SHIELD


EVENT_STREAM = stream("text/event-stream; charset=utf-8")

# Statuses after which a retry is of no use. Some clients retry a 401 for minutes.
_FOR_GOOD = frozenset((401, 403, 408, 508))

_NOT_IN_A_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


def upstream(
    headers: Iterable[tuple[str, str]],
    connection: str,
    own: dict[str, str],
    passthrough: str,
    own_key: bool = False,
    let_through: tuple[str, ...] = (),
) -> list[str]:
    """The header lines for an upstream. headers: the client's. connection: its Connection header, which names further
    hop-by-hop headers. own: the upstream's own headers (names in lower case), which take precedence. The other
    arguments are those of header_names.goes."""
    named = {word.strip().lower() for word in connection.split(",")} if connection else ()
    lines = []
    for name, value in headers:
        low = name.lower()
        if low not in own and low not in named and header_names.goes(low, passthrough, own_key, let_through):
            lines.append(f"{name}: {value}")
    lines += [f"{name}: {value}" for name, value in own.items() if value]
    return lines


def back(
    headers: Sequence[tuple[str, str]],
    *,
    same: bool,
    let_through: tuple[str, ...] = (),
    own: Collection[str] = (),
) -> bytes:
    """The header lines for a client from those of an upstream (names in lower case), without Content-Type and
    Cache-Control. The upstream's id of the request is sent as request-id, whatever its name was. own: names of headers
    that the proxy says itself."""
    out = b""
    named = None
    for name, value in headers:
        if name in own or not header_names.comes_back(name, same, let_through):
            continue
        if named is None:
            named = {word.strip().lower() for key, words in headers if key == "connection" for word in words.split(",")}
        if name in named or (name == "retry-after" and not (value := _their_retry_after(value))):
            continue
        out += line(name, value)
    return out + line("request-id", their_id(headers))


def _their_retry_after(value: str) -> str:
    """An upstream's Retry-After in whole seconds, rounded up: clients do not read fractions, and not all read dates.
    "" if it is not valid."""
    if value.isdecimal() and value.isascii():
        return value
    seconds = rate_limit.asked_wait((("retry-after", value),), time.time())
    return str(math.ceil(seconds)) if seconds is not None else ""


def of_reply(upstreams: Iterable[tuple[str, str]], key: str, upstream_name: str, dropped: list[str]) -> bytes:
    """The proxy's own lines of a reply: the upstream, the dropped fields, and the ids of the request. x-request-id is
    always the proxy's id; request-id is the upstream's, or the proxy's if the upstream has sent none."""
    own = line("X-Proxy-Upstream", upstream_name)
    if dropped:
        own += line("X-Proxy-Dropped", ", ".join(dropped)[:2000])
    if not their_id(upstreams):
        own += line("request-id", key)
    return own + b"x-request-id: %b\r\n" % key.encode()


def their_id(of_reply: Iterable[tuple[str, str]]) -> str:
    """The upstream's own id of a request, for questions to its operator; "" if there is none."""
    found = ""
    for name, value in of_reply:
        if name == "request-id":
            return value[:200]
        if name == "x-request-id" and not found:
            found = value[:200]
    return found


def of_timing(attempts: int, queue_s: float, upstream_s: float, overhead_s: float) -> bytes:
    """The lines with the times up to the first byte of a reply, in milliseconds, as in Server-Timing."""
    queue, upstream, own = queue_s * 1e3, upstream_s * 1e3, overhead_s * 1e3
    return (
        b"X-Proxy-Attempts: %d\r\nX-Proxy-Overhead-Ms: %.2f\r\n"
        b"Server-Timing: queue;dur=%.2f, upstream;dur=%.2f, proxy;dur=%.2f\r\n"
    ) % (attempts, own, queue, upstream, own)


def of_refusal(status: int, key: str, upstream_name: str, retry_after_s: float | None) -> bytes:
    """The lines of an error of the proxy itself. upstream_name: the upstream that was asked last, or ""."""
    own = b"request-id: %b\r\nx-request-id: %b\r\n" % (key.encode(), key.encode())
    own += line("X-Proxy-Upstream", upstream_name)
    if retry_after_s is not None:
        own += retry_after(retry_after_s)
    if status in _FOR_GOOD:
        own += b"x-should-retry: false\r\n"
    return own


def retry_after(wait_s: float) -> bytes:
    return b"Retry-After: %d\r\n" % whole_seconds(wait_s)


def lines(headers: Mapping[str, str]) -> bytes:
    return b"".join(line(name, value) for name, value in headers.items())


def content_type(kind: str) -> bytes:
    """The lines for the type of a reply (event stream or JSON) by the upstream's Content-Type."""
    return EVENT_STREAM if "event-stream" in kind.lower() else JSON_HEAD


def line(name: str, value: str) -> bytes:
    """A header line with CRLF; b"" for an empty value. Characters that no header may have become "?", because values
    come from upstreams and clients (as names of fields), and a line break would begin another header."""
    if not value:
        return b""
    return f"{name}: {_NOT_IN_A_VALUE.sub('?', value)}\r\n".encode("latin-1", "replace")


def media(kind: str) -> bytes:
    """Returns the lines for the type of what passes unread: sound, pictures and data keep theirs. A type that a browser
    would show as a page, or run as a script, becomes plain bytes."""
    return line("Content-Type", kind if _HARMLESS.match(kind) else "application/octet-stream") + SHIELD


_HARMLESS = late.pattern(
    r"(?:audio/[\w.+-]+|video/[\w.+-]+|image/(?:png|jpe?g|gif|webp|avif|bmp)|text/(?:plain|csv)|application/(?:json|jsonl"
    r"|x-jsonl|x-ndjson|octet-stream|pdf|zip|gzip))\s*(?:;|$)",
    re.I,
)


def find(headers: Iterable[tuple[str, str]], wanted: str) -> str:
    """The first value of a header (name in lower case); "" if there is none."""
    for name, value in headers:
        if name == wanted:
            return value
    return ""
