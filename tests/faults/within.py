"""Faults within a reply that began well: 200, and then nonsense, too much, too little, or silence.

All of it may have been worked on, so nothing is tried again; but for a stream that begins with an error, which is a
status that came late. What passes through unread may reach a client of the same protocol as it is; a stream that
breaks off gets an error event all the same.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.faults.before import always
from tests.faults.fault import Asked, Fault, Script, good
from tests.support import faulty
from tests.support.script import Answer, End, Framing, Item, drip

_SSE = {"Content-Type": "text/event-stream"}
_JSON = {"Content-Type": "application/json"}
_HTML = b"<!DOCTYPE html><html><head><title>Welcome to nginx!</title></head><body>hello</body></html>"
_LONG = b'data: {"type": "x", "x": "' + b"y" * 1_000_000  # and so on
_BOMB = gzip.compress(bytes(64 << 20), 9)  # 64 MB in 64 KB


def either(stream: Callable[[Asked], bytes | Sequence[Item]], whole: Callable[[Asked], bytes | Sequence[Item]],
           end: End = "keep", short: int = 0, framing: Framing = "chunked") -> Script:  # fmt: skip
    """One body for a stream, another for a whole reply; a whole one is framed by its length."""

    def answer(asked: Asked) -> Answer:
        if asked.stream:
            return Answer(200, dict(_SSE), stream(asked), end=end, framing="length" if short else framing, short=short)
        is_eof = framing == "eof"
        missing = 0 if is_eof else short or (99 if end != "keep" else 0)
        return Answer(200, dict(_JSON), whole(asked), end=end, short=missing, framing="eof" if is_eof else "length")

    return answer


def begun(asked: Asked) -> list[Item]:
    return list(asked.good.begun)


def half(asked: Asked) -> bytes:
    """Of a whole reply; it does not end with a brace."""
    return asked.good.body[: len(asked.good.body) * 2 // 3].rstrip(b"}")


def broken_chunk(data: bytes) -> Script:
    """The first events, or half a body, and then this in place of the next chunk."""

    def answer(asked: Asked) -> Answer:
        kind, first = (b"text/event-stream", b"".join(asked.good.begun))
        if not asked.stream:
            kind, first = (b"application/json", half(asked))
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind
        return Answer(head=False, body=[head + b"%x\r\n%b\r\n" % (len(first), first), 0.02, data], end="close")

    return answer


def error_first(status: int) -> Script:
    def whole(asked: Asked) -> Answer:
        return Answer.json(faulty.error(asked.protocol, status, "upstream's words"))

    def answer(asked: Asked) -> Answer:
        if not asked.stream:
            return whole(asked)
        return Answer.sse(faulty.error_event(asked.protocol, status, "upstream's words"))

    return answer


def error_later(asked: Asked) -> Sequence[Item]:
    return [*begun(asked), faulty.error_event(asked.protocol, 529, "upstream's words")]


def empty_start(asked: Asked) -> Sequence[Item]:
    """The events before the first words, and then the error."""
    return [*asked.good.begun[:-1], 0.05, faulty.error_event(asked.protocol, 529, "upstream's words")]


def wrong_type(kind: str) -> Script:
    def answer(asked: Asked) -> Answer:
        out = good(asked)
        out.headers["Content-Type"] = kind
        return out

    return answer


def other(asked: Asked) -> faulty.Good:
    """A right answer in the next protocol."""
    protocols = faulty.PROTOCOLS
    at = (protocols.index(asked.protocol) + 1) % len(protocols)
    return faulty.Good(protocols[at], asked.mark)


def zipped(whole: Callable[[Asked], bytes]) -> Script:
    def answer(asked: Asked) -> Answer:
        out = good(asked)
        out.headers["Content-Encoding"] = "gzip"
        out.body = whole(asked)
        return out

    return answer


def all_of(asked: Asked) -> bytes:
    return b"".join(asked.good.events) if asked.stream else asked.good.body


def carriage_returns(asked: Asked) -> list[Item]:
    """What the standard allows and few do: CRLF, comments, no blank after the colon, and a cut within a CRLF."""
    text = b": hello\n\n" + b"".join(asked.good.events).replace(b"data: ", b"data:")
    text = text.replace(b"\n", b"\r\n")
    at = text.index(b"\r\n\r\n", len(text) // 2) + 3
    return [text[:at], 0.05, text[at:]]


def not_closed(asked: Asked) -> Answer:
    """A whole reply, and a connection that is promised to close (or, chunked, to say its end) and does not."""
    out = replace(good(asked), end="hang")
    out.headers["Connection"] = "close"
    return out


def not_utf8(data: bytes) -> bytes:
    return data.replace(b" is", b" \xff\xfe\xc3")


EMPTY = [
    Fault(
        name="200, an HTML page",
        answer=always(Answer(200, {"Content-Type": "text/html"}, _HTML)),
        stream="502",
        elsewhere=True,
    ),
    Fault(
        name="200, an empty body",
        answer=either(lambda _: b"", lambda _: b"", framing="length"),
        stream="502",
        tries=3,
    ),
    Fault(
        name="200, comments and no event",
        answer=either(lambda _: b": processing\n\n", lambda _: b"\n\n"),
        stream="502",
        tries=3,
    ),
    Fault(name="200, {}", answer=lambda _: Answer.json({}), stream="502", tries=3),
    Fault(name="200, null", answer=lambda _: Answer.json(None), stream="502"),
    Fault(name="truncated JSON", answer=lambda asked: Answer(200, dict(_JSON), half(asked)), stream="502"),
    Fault(
        name="head, then silence",
        answer=either(lambda _: b"", lambda _: b"", "hang", 999),
        stream="504",
        ends_by=("first_byte", "idle", "request"),
    ),
    Fault(name="head, then closed", answer=either(lambda _: b"", lambda _: b"", "close", 999), stream="502"),
]

BROKEN = [
    Fault(name="truncated chunk", answer=broken_chunk(b"400\r\ndata: {"), stream="cut", whole="502"),
    Fault(name="bad chunk size", answer=broken_chunk(b"zebra\r\n"), stream="cut", whole="502"),
    Fault(name="too long a Content-Length", answer=either(begun, half, "close", 99), stream="cut", whole="502"),
    Fault(name="reset mid-reply", answer=either(lambda a: [*begun(a), 0.05], lambda a: [half(a), 0.05], "reset"),
          stream="cut", whole="502"),
    Fault(name="closed mid-reply", answer=either(begun, half, "close"), stream="cut", whole="502"),
    Fault(name="closed mid-event", stream="cut", whole="502",
          answer=either(lambda a: [*begun(a), a.good.rest[0][:-9]], half, "close", framing="eof")),
    Fault(name="stall mid-reply", answer=either(begun, half, "hang"), stream="cut", whole="504",
          ends_by=("idle", "request")),
    Fault(name="whole, but never closed", stream="ok", answer=not_closed, ends_by=("idle",)),
    Fault(name="slow drip", stream="ok", ends_by=("idle",), answer=either(
        lambda a: drip(b"".join(a.good.events), 12, 0.15), lambda a: drip(a.good.body, 12, 0.15))),
]  # fmt: skip

NONSENSE = [
    Fault(name="overloaded error first", answer=error_first(529), stream="529", tries=3),
    # Nothing that a client could use has come: as good as first.
    Fault(name="error after an empty start", answer=lambda a: Answer.sse(empty_start(a)), stream="529",
          home_stream="raw", tries=3),
    Fault(name="invalid request error first", answer=error_first(400), stream="400"),
    Fault(name="error event later", answer=either(error_later, half), stream="cut", home_stream="raw",
          whole="502"),
    Fault(name="no end of the stream", answer=either(begun, half), stream="cut", whole="502"),
    Fault(name="garbage from the start", stream="502", home_stream="cut",
          answer=either(lambda _: b"data: {zebra\n\ndata: }}}\n\n\0\1\2\n\n", lambda _: b"zebra\0\1\2")),
    Fault(name="garbage later", stream="cut", whole="502",
          answer=either(lambda a: [*begun(a), b"data: {zebra\n\n"], lambda a: half(a) + b"\0}}zebra")),
    Fault(name="a line of 50 MB", heavy=True, stream="502|504", home_stream="cut", answer=either(
        lambda _: [_LONG, *([b"y" * 1_000_000] * 49)], lambda _: [_LONG, *([b"y" * 1_000_000] * 49)])),
    Fault(name="gzip, not asked for", answer=zipped(lambda a: gzip.compress(all_of(a))), stream="ok"),
    Fault(name="gzip bomb", answer=zipped(lambda _: _BOMB), stream="502"),
    Fault(name="type text/plain", answer=wrong_type("text/plain"), stream="ok"),
    Fault(name="type text/html", answer=wrong_type("text/html; charset=latin-1"), stream="ok"),
    Fault(name="type and body at odds", stream="ok", answer=lambda a: wrong_type(
        "application/json" if a.stream else "text/event-stream")(a), whole="ok"),
    Fault(name="JSON in place of a stream", answer=lambda a: Answer.json(a.good.whole), stream="ok"),
    Fault(name="a stream in place of JSON", answer=lambda a: Answer.sse(a.good.events), stream="ok"),
    Fault(name="the end said twice", stream="ok", home_stream="raw", whole="502", home_whole="raw",
          answer=either(lambda a: [*a.good.events, *a.good.last], lambda a: a.good.body * 2)),
    Fault(name="more after the end", stream="ok", home_stream="raw", whole="ok", answer=either(
        lambda a: [*a.good.events, 0.02, *a.good.rest], lambda a: a.good.body + b"\n \n")),
    Fault(name="invalid UTF-8", stream="cut|ok", home_stream="raw", whole="502|ok", home_whole="raw", answer=either(
        lambda a: [not_utf8(event) for event in a.good.events], lambda a: not_utf8(a.good.body))),
    Fault(name="another protocol", stream="502", home_stream="cut|raw", home_whole="raw", answer=either(
        lambda a: other(a).events, lambda a: other(a).body)),
    Fault(name="CRLF, comments, odd cuts", stream="ok", home_stream="ok",
          answer=either(carriage_returns, lambda a: b"\r\n\t " + a.good.body + b"\r\n")),
]  # fmt: skip
