"""Header lines, each way: the client's for an upstream, an upstream's and our own for the client.

Which names cross stands in header_names.py. Values are made fit for a header, since they come from upstreams and even
from clients. Whatever an upstream says reaches the client as JSON or as a stream of events, and as a document that may
do nothing, should a browser show it: an upstream's page must not run where this proxy's own pages are.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Sequence

from gateway.http import header_names
from gateway.limits import rate_limit

SHIELD = b"X-Content-Type-Options: nosniff\r\nContent-Security-Policy: sandbox\r\n"

JSON_HEAD = b"Content-Type: application/json\r\n" + SHIELD

EVENT_STREAM = (
    b"Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache, no-transform\r\n"
    b"X-Accel-Buffering: no\r\n"
) + SHIELD
"""Of every stream: reverse proxies must neither keep it, nor compress it (and so gather it), nor wait for its end."""

# Some clients retry a 401 for minutes; a line that was too slow will be so again, and a loop is there to stay.
_FOR_GOOD = frozenset((401, 403, 408, 508))

_NOT_IN_A_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


def upstream(
    headers: Iterable[tuple[str, str]],
    connection: str,
    own: dict[str, str],
    lane: str,
    own_key: bool = False,
    let_through: tuple[str, ...] = (),
) -> list[str]:
    """Header lines for the upstream. headers: the client's. connection: its Connection header, whose words name
    further hop-by-hop ones. own: the upstream's (lower-case names), which win. The others: see header_names.goes."""
    named = {word.strip().lower() for word in connection.split(",")} if connection else ()
    lines = []
    for name, value in headers:
        low = name.lower()
        if low not in own and low not in named and header_names.goes(low, lane, own_key, let_through):
            lines.append(f"{name}: {value}")
    lines += [f"{name}: {value}" for name, value in own.items() if value]
    return lines


def back(headers: Sequence[tuple[str, str]], same: bool, let_through: tuple[str, ...] = ()) -> bytes:
    """Header lines for the client, of the upstream's (lower-case names); Content-Type and
    Cache-Control are the relay's. The upstream's id of the request comes as request-id, whatever it called it."""
    out = b""
    named = None
    for name, value in headers:
        if not header_names.comes_back(name, same, let_through):
            continue
        if named is None:
            named = {word.strip().lower() for key, words in headers if key == "connection" for word in words.split(",")}
        if name in named or (name == "retry-after" and not (value := _whole_seconds(value))):
            continue
        out += line(name, value)
    return out + line("request-id", their_id(headers))


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
    """Our own lines of a reply: who gave it, which fields did not cross, and the request's ids. x-request-id is always
    the proxy's own; request-id is the upstream's, or the proxy's where the upstream tells none."""
    own = line("X-Proxy-Upstream", upstream_name)
    if dropped:
        own += line("X-Proxy-Dropped", ", ".join(dropped)[:2000])
    if not their_id(upstreams):
        own += line("request-id", key)
    return own + b"x-request-id: %b\r\n" % key.encode()


def their_id(of_reply: Iterable[tuple[str, str]]) -> str:
    """Returns the upstream's own id of a request, by which its makers can be asked about it, or ""."""
    found = ""
    for name, value in of_reply:
        if name == "request-id":
            return value[:200]
        if name == "x-request-id" and not found:
            found = value[:200]
    return found


def of_timing(tries: int, queue_s: float, upstream_s: float, overhead_s: float) -> bytes:
    """What the reply took, up to its first byte: in milliseconds, as Server-Timing has them."""
    queue, upstream, own = queue_s * 1e3, upstream_s * 1e3, overhead_s * 1e3
    return (
        b"X-Proxy-Attempts: %d\r\nX-Proxy-Overhead-Ms: %.2f\r\n"
        b"Server-Timing: queue;dur=%.2f, upstream;dur=%.2f, proxy;dur=%.2f\r\n"
    ) % (tries, own, queue, upstream, own)


def of_refusal(status: int, key: str, upstream_name: str, retry_after_s: float | None) -> bytes:
    """The lines of an error of the proxy's own. upstream_name: the one asked last, or ""."""
    own = b"request-id: %b\r\nx-request-id: %b\r\n" % (key.encode(), key.encode())
    own += line("X-Proxy-Upstream", upstream_name)
    if retry_after_s is not None:
        own += b"Retry-After: %d\r\n" % max(1, math.ceil(retry_after_s))
    if status in _FOR_GOOD:
        own += b"x-should-retry: false\r\n"
    return own


def content_type(kind: str) -> bytes:
    """The lines of a reply's kind, for a Content-Type of an upstream's: a stream of events, or JSON."""
    return EVENT_STREAM if "event-stream" in kind.lower() else JSON_HEAD


def line(name: str, value: str) -> bytes:
    """A header line with its CRLF; nothing for an empty value. What no header may hold becomes "?": values come from
    upstreams and even from clients (the names of their fields), and a line break in one would begin another header."""
    if not value:
        return b""
    return f"{name}: {_NOT_IN_A_VALUE.sub('?', value)}\r\n".encode("latin-1", "replace")


def find(headers: Iterable[tuple[str, str]], wanted: str) -> str:
    """Returns the first value of a header (a lower-case name), or ""."""
    for name, value in headers:
        if name == wanted:
            return value
    return ""
