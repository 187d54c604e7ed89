"""What a client got, in a word: the right answer, an honest error, a stream that says it was cut, or something bad.

Streams are judged by the grammar checkers of tests/support. Where a reply passed through unread the upstream's own
nonsense may be in it, word for word; but its end must be an error event or the upstream's own.
"""

from __future__ import annotations

import json
import re

from conformance import grammar
from tests.support.faulty import Good, Protocol, error_of, events_of, text_of

_DOUBT = re.compile("\N{REPLACEMENT CHARACTER}+")  # stands for what was no UTF-8
_STOP = re.compile(rb"event: content_block_stop\ndata: [^\n]*\Z")
_WHOLE = {"messages": ("type", "message"), "chat": ("object", "chat.completion"), "responses": ("object", "response")}


def outcome(
    protocol: Protocol, stream: bool, status: int, kind: str, body: bytes, mark: str, upstream: bytes | None
) -> str:
    """See fault.py. kind: the Content-Type. upstream: its bytes, where it speaks the same protocol."""
    want = Good(protocol, mark).text
    if status >= 400:
        return _error(protocol, status, body, upstream)
    if status != 200:
        return f"bad: status {status}"
    if stream and "event-stream" in kind:
        return _stream(protocol, body, want, upstream)
    try:
        text = text_of(protocol, body, False)
        key, value = _WHOLE[protocol]
        right = text == want and json.loads(body).get(key) == value
    except (ValueError, LookupError, TypeError, AttributeError):
        right = False
    if right and not stream:
        return "ok"
    if upstream is not None and body == upstream:
        return "raw"
    return f"bad: 200 {kind} {body[:100]!r}"


def _error(protocol: Protocol, status: int, body: bytes, upstream: bytes | None) -> str:
    try:
        message = error_of(protocol, json.loads(body))
    except ValueError:
        message = ""
    if message:
        return str(status)
    return "raw" if upstream is not None and body == upstream else f"bad: {status} {body[:100]!r}"


def _stream(protocol: Protocol, body: bytes, want: str, upstream: bytes | None) -> str:
    home = upstream is not None
    problems = _grammar(protocol, body, home)
    events = events_of(body)
    failed = bool(events) and bool(error_of(protocol, events[-1])) and body.endswith(b"\n\n")
    text = text_of(protocol, body, True)
    if not re.match(_DOUBT.sub(".*", re.escape(text)), want):
        problems.append(f"another's words: {text[:80]!r}")
    if upstream is not None and body == upstream:
        return "ok" if text == want and not (problems and _is_plain(upstream)) else "raw"
    if failed and (not problems or upstream is not None and _begins(body, upstream)):
        return "cut"
    if problems:
        return f"bad: {problems[0]}"
    whole = text == want or re.fullmatch(_DOUBT.sub(".*", re.escape(text)), want)
    return "ok" if whole else f"bad: it ends well, and says {text[:60]!r}"


def _is_plain(upstream: bytes) -> bool:
    """The checkers know one way to frame where the standard allows more, and cannot judge the others."""
    return b"\r" not in upstream


def _begins(body: bytes, upstream: bytes) -> bool:
    """All but the error, and the stop of a block before it, is the upstream's, but for blank lines that keep the two
    apart."""
    before = _STOP.sub(b"", body.rstrip(b"\n").rpartition(b"\n\n")[0]).rstrip(b"\n")
    return upstream.startswith(before) or before.startswith(upstream.rstrip(b"\n"))


def _grammar(protocol: Protocol, body: bytes, home: bool) -> list[str]:
    if protocol == "messages":
        return grammar.check_messages(body, house=not home)
    if protocol == "chat":
        return grammar.check_chat(body, house=not home)
    return grammar.check_responses(body)
