"""What a reply says that it took: the one place that knows where each protocol says it.

Each protocol's own `usage.py` reads its counters; here is where they stand: in a whole body, in one event of a stream,
in the bytes of a stream that passes through. What comes in several pieces is merged: Messages tells the prompt at the
start and the output at the end, others repeat growing numbers, and nothing is ever added but by `added`, which sums up
the rounds of one answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from translate import sse, wire
from translate.chat import usage as chat
from translate.conversation import Usage
from translate.messages import usage as messages
from translate.responses import usage as responses
from translate.target import Protocol

MAX_EVENTS = 8  # of the latest that speak of usage, how many are read: servers that repeat it do so in every event
MAX_OBJECT_BYTES = 4096  # of a usage object that stands in an event whose beginning is lost
MAX_PARSED_BYTES = 256 * 1024  # of a whole body; a larger one is searched from its end

_NAME = b'"usage"'
_OBJECT = re.compile(rb"\s*:\s*\{")
# Unlike ujson it can stop at the end of an object. NaN, which some servers say, is no JSON and would spoil the log.
_DECODER = json.JSONDecoder(parse_constant=lambda _: None)

_READ: dict[Protocol, Callable[[dict[str, Any], Usage | None], Usage | None]] = {
    "messages": messages.of_event,
    "chat": chat.of_chunk,
    "responses": responses.of_event,
}
_READ_OBJECT: dict[Protocol, Callable[[Any, Usage | None], Usage | None]] = {
    "messages": messages.read_usage,
    "chat": chat.read_usage,
    "responses": responses.read_usage,
}


def of(protocol: Protocol, said: Any, before: Usage | None = None) -> Usage | None:
    """After one event of a stream, or a whole body, decoded. before: what was known until then."""
    return _READ[protocol](said, before) if isinstance(said, dict) else before


def in_body(protocol: Protocol, raw: bytes) -> Usage | None:
    """What a whole reply says, None where it says nothing."""
    if _NAME not in raw:
        return None
    if len(raw) > MAX_PARSED_BYTES:
        return _in_pieces(protocol, raw, None)
    try:
        return of(protocol, wire.loads(raw))
    except ValueError:
        return _in_pieces(protocol, raw, None)


def in_stream(protocol: Protocol, raw: bytes, before: Usage | None = None) -> Usage | None:
    """After some of a stream's bytes. The first event of them may lack its beginning, the last one its end."""
    if _NAME not in raw:
        return before
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    telling = [event for event in raw.split(b"\n\n") if _NAME in event][-MAX_EVENTS:]
    for event in telling:
        try:
            before = of(protocol, wire.loads(sse.fields(event.lstrip(b"\n"))[1]), before)
        except ValueError:
            if protocol != "messages":  # there it is something of a tool's: what tells the usage is never that long
                before = _in_pieces(protocol, event, before)
    return before


def billed(usage: Usage | None) -> Usage | None:
    """As it is paid for, which is not always what clients are told."""
    return chat.billed(usage) if usage is not None and "chat" in usage.ext else usage


def added(one: Usage | None, other: Usage | None) -> Usage | None:
    """The usage of two rounds of one answer. What has no counter of its own is the later round's."""
    if one is None or other is None:
        return one or other
    return Usage(
        input=one.input + other.input,
        cache_read=one.cache_read + other.cache_read,
        cache_write=one.cache_write + other.cache_write,
        cache_write_1h=one.cache_write_1h + other.cache_write_1h,
        output=one.output + other.output,
        reasoning=one.reasoning + other.reasoning,
        ext=one.ext | other.ext,
    )


def _in_pieces(protocol: Protocol, raw: bytes, before: Usage | None) -> Usage | None:
    """After the last usage object in a piece of JSON. In a text the word's quotes would be escaped."""
    end = len(raw)
    for _ in range(MAX_EVENTS):
        at = raw.rfind(_NAME, 0, end)
        if at < 0:
            break
        end = at
        if found := _OBJECT.match(raw, at + len(_NAME)):
            text = raw[found.end() - 1 : found.end() + MAX_OBJECT_BYTES].decode("utf-8", "replace")
            try:
                said = _DECODER.raw_decode(text)[0]
            except (ValueError, RecursionError):
                continue
            return _READ_OBJECT[protocol](said, before)
    return before
