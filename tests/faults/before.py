"""Faults before a reply begins: no connection, no head, or a head that says no.

None of it has been worked on where the upstream could not be reached or its status says so, and that is tried again;
a connection that breaks under a request that has left is not, unless it was a kept one that died without a byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.faults.fault import Asked, Fault, Script, good
from tests.support import faulty
from tests.support.script import Answer

_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


def raw(data: bytes) -> Script:
    """Exactly these bytes, then the connection is closed."""
    return lambda _: Answer(head=False, body=[data], end="close")


def always(answer: Answer) -> Script:
    return lambda _: answer


def status(code: int, headers: Mapping[str, str] | None = None, message: str = "upstream's words") -> Script:
    """An error in the upstream's own protocol."""
    return lambda asked: Answer.json(faulty.error(asked.protocol, code, message), code, headers=dict(headers or {}))


def then_good(first: Script, times: int = 1) -> Script:
    return lambda asked: first(asked) if asked.nth < times else good(asked)


def interim(asked: Asked) -> Answer:
    """100 and 103 before the reply, in writes of their own."""
    body = b"".join(asked.good.events) if asked.stream else asked.good.body
    kind = b"text/event-stream" if asked.stream else b"application/json"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    return Answer(head=False, body=[b"HTTP/1.1 100 Continue\r\n\r\n", 0.02, hints, 0.02, head + body], end="close")


def dies_reused(asked: Asked) -> Answer:
    return Answer(head=False, end="close") if asked.reused else good(asked)


def dies_twice(_: Asked) -> Answer:
    return Answer(head=False, end="close")


def half_a_head_on_reuse(asked: Asked) -> Answer:
    return raw(b"HTTP/1.1 200 OK\r\nContent-")(asked) if asked.reused else good(asked)


CONNECTION = [
    Fault(name="refused", place="refused", stream="502", tries=3),
    Fault(name="DNS failure", place="dns", stream="502", tries=3),
    Fault(name="connect hangs", place="deaf", stream="504", tries=3, ends_by=("connect",)),
    Fault(name="TLS: certificate not trusted", place="untrusted", stream="502", elsewhere=True),
    Fault(name="TLS: handshake hangs", place="mute", stream="504", tries=3, ends_by=("connect",)),
    Fault(name="TLS: handshake breaks", place="rude", stream="502", tries=3),
    Fault(name="closed before headers", answer=always(Answer(head=False, end="close")), stream="502"),
    Fault(name="reset before headers", answer=always(Answer.drop()), stream="502"),
    Fault(name="kept connection dies", answer=dies_reused, stream="ok", tries=2, elsewhere=False, warm=True),
    Fault(name="kept one dies, new one too", answer=dies_twice, stream="502", tries=2, elsewhere=False, warm=True),
    Fault(name="kept one dies in the head", answer=half_a_head_on_reuse, stream="502", warm=True),
    Fault(name="half the headers", answer=raw(b"HTTP/1.1 200 OK\r\nContent-Type: app"), stream="502"),
    Fault(name="not HTTP at all", answer=raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), stream="502"),
    Fault(name="endless headers", answer=raw(b"HTTP/1.1 200 OK\r\n" + (b"x-a: " + b"y" * 900 + b"\r\n") * 300),
          stream="502"),
    Fault(name="silence, no headers", answer=always(Answer.silence()), stream="504",
          ends_by=("first_byte", "request")),
    Fault(name="100 and 103 first", answer=interim, stream="ok"),
]  # fmt: skip

STATUSES = [
    Fault(name="204", answer=always(Answer(204, framing="eof", end="close")), stream="502", tries=3),
    Fault(name="301", answer=always(Answer(301, {"Location": "https://example.com/v1"})), stream="502",
          elsewhere=True),
    *(
        Fault(name=str(code), answer=status(code), stream=str(code), tries=tries, elsewhere=elsewhere)
        for code, tries, elsewhere in [
            (400, 1, False), (401, 1, True), (403, 1, True), (404, 1, True), (408, 3, True), (409, 3, True),
            (413, 1, False), (422, 1, False), (425, 3, True), (429, 3, True), (500, 1, False), (501, 1, False),
            (503, 3, True), (504, 3, True), (520, 3, True), (522, 3, True), (529, 3, True), (530, 3, True),
        ]
    ),
    Fault(name="502, an HTML page", answer=always(Answer(502, {"Content-Type": "text/html"}, _HTML)), stream="502",
          tries=3),
    Fault(name="400, the prompt is too long", answer=status(400, message="prompt is too long: 300000 tokens > 200000"),
          stream="400", elsewhere=True),
    Fault(name="429, Retry-After: 1", answer=status(429, {"Retry-After": "1"}), stream="429", tries=3, waits=2.0,
          retry_after="1"),
    Fault(name="429, retry-after-ms: 50", answer=status(429, {"retry-after-ms": "50"}), stream="429", tries=3,
          waits=0.1),
    Fault(name="429, Retry-After: 30", answer=status(429, {"Retry-After": "30"}), stream="429", elsewhere=True,
          retry_after="30"),
    Fault(name="429, Retry-After: 99999", answer=status(429, {"Retry-After": "99999"}), stream="429", elsewhere=True,
          retry_after="99999"),
    Fault(name="429, Retry-After: -1", answer=status(429, {"Retry-After": "-1"}), stream="429", tries=3),
    Fault(name="429, Retry-After: banana", answer=status(429, {"Retry-After": "banana"}), stream="429", tries=3),
    Fault(name="429, Retry-After: long ago", stream="429", tries=3,
          answer=status(429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})),
    Fault(name="529, x-should-retry: false", answer=status(529, {"x-should-retry": "false"}), stream="529",
          elsewhere=True),
    Fault(name="once 429, then well", answer=then_good(status(429)), stream="ok", tries=2, elsewhere=True),
    Fault(name="once 529, Retry-After: 1", answer=then_good(status(529, {"Retry-After": "1"})), stream="ok", tries=2),
    Fault(name="twice 503, then well", answer=then_good(status(503), 2), stream="ok", tries=3),
    Fault(name="error body cut off", stream="500", answer=lambda asked: Answer(
        500, {"Content-Type": "application/json"}, json.dumps(faulty.error(asked.protocol, 500, "no")).encode()[:-9],
        end="close", short=9)),
]  # fmt: skip
