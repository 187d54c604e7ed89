"""What becomes of an input: bytes that change, JSON whose values do, streams whose events are cut, lost and mixed.

Every mutation is drawn from the random.Random that is given, and from nothing else.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

LARGEST = 20_000  # bytes of an input: what grows worse than linear shows long before
LONGEST_COPY = 1_000
ODD_BYTES = (b"\x00", b"\r", b"\n", b"\r\n", b"\r\r\n", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'"', b"\\",
             b"\\u00", b"\\ud800", b"{", b"}", b"[", b"]", b":", b",", b"data:", b"event:", b"\n\n", b";", b"=", b"%",
             b"$", b"#", b"\t", b" ", b"-1", b"1e999", b"NaN", b"9" * 40, b"chunked")  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 2**64, 1e308, 0.5, "", " ", "x", "null", "[DONE]", "\x00",
    "\ud800", "a\u2028b", "<think>", "</think>", "{", '{"a":', "data:image/png;base64,AAAA", "data:,", "https://a.example/x",
    "~sealed.x",
    [], {}, [None], [[]], [{}], {"type": "x"}, [{"type": "text", "text": "x"}], {"": ""}, ["x", 1], {"$ref": "#"},
    {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, {"anyOf": [{}]}, {"type": ["string", None]},
    {"enum": []}, {"pattern": "(a+)+$"}, {"required": [1]}, {"properties": []}, {"type": "object", "properties": None},
)  # fmt: skip

Bytes = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def raw(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Bytes that mean nothing in particular."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at = rng.randrange(len(out) + 1)
        until = min(len(out), at + rng.choice((1, 1, 2, 5, 20, 200)))
        way = rng.randrange(6)
        if way == 0 and out:
            out[at % len(out)] = rng.randrange(256)
        elif way == 1:
            out[at:at] = rng.choice(ODD_BYTES) * rng.choice((1, 1, 1, 2, 3, 50))
        elif way == 2:
            del out[at:until]
        elif way == 3:
            out[at:at] = out[at:until] * rng.choice((1, 2, 40))
        elif way == 4:
            other = rng.choice(others) if others else b""
            start = rng.randrange(len(other) + 1)
            out[at:until] = other[start : start + 300]
        else:
            del out[at:]
    return bytes(out[:LARGEST])


def structured(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """JSON that is still JSON, mostly."""
    if rng.random() < 0.1:
        return raw(rng, data, others)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return raw(rng, data, others)
    other = _parsed(rng.choice(others)) if others else None
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        value = _changed(rng, value, other)
    try:
        text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    except RecursionError:
        return raw(rng, data, others)
    return text.encode("utf-8", "surrogatepass")[:LARGEST]


def streamed(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A stream of events: each is JSON that changes, or goes, comes twice, or stands elsewhere."""
    if rng.random() < 0.15:
        return raw(rng, data, others)
    events = data.split(b"\n\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(events))
        way = rng.randrange(7)
        if way == 0:
            del events[at]
        elif way == 1:
            events.insert(rng.randrange(len(events) + 1), events[at])
        elif way == 2:
            events[at:at] = rng.choice(others).split(b"\n\n")[-3:] if others else []
        elif way == 3:
            del events[at:]
        else:
            events[at] = _changed_event(rng, events[at], others)
        events = events or [b""]
    end = rng.choice((b"\n\n", b"\n\n", b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n"))
    return end.join(events)[:LARGEST]


def _changed_event(rng: random.Random, event: bytes, others: Sequence[bytes]) -> bytes:
    before, mark, text = event.partition(b"data: ")
    return before + mark + structured(rng, text, ()) if mark else raw(rng, event, others)


def _changed(rng: random.Random, value: Any, other: Any) -> Any:
    """The value with something else in one place."""
    places = list(_places(value))
    if not places:
        return _copy(rng.choice(ODD_VALUES))  # a copy: it is changed in its turn
    holder, key = rng.choice(places)
    way = rng.randrange(8)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, list):
        holder[key:key] = [_copy(holder[key]) for _ in range(rng.choice((1, 2, 30)))]
    elif way == 1:
        holder[rng.choice(("", "type", "x", "content", "model", "\x00", "id", "$ref"))] = holder.pop(key)
    elif way == 2:
        source, at = rng.choice(places)
        found = source[at] if (at in source if isinstance(source, dict) else at < len(source)) else None
        holder[key] = _copy(found)
    elif way == 3 and other is not None and (theirs := list(_places(other))):
        source, at = rng.choice(theirs)
        holder[key] = _copy(source[at])
    elif way == 4:
        deep: Any = _copy(rng.choice(ODD_VALUES))
        for _ in range(rng.choice((1, 3, 30, 300))):
            deep = [deep] if rng.random() < 0.5 else {str(key): deep}
        holder[key] = deep
    elif way == 5 and isinstance(holder[key], str):
        holder[key] = raw(rng, holder[key].encode("utf-8", "replace"), ()).decode("utf-8", "replace")
    else:
        holder[key] = _copy(rng.choice(ODD_VALUES))
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(holder, key) of everything inside. Not by recursion: it may be deep."""
    open_ones = [value]
    while open_ones:
        each = open_ones.pop()
        items = each.items() if isinstance(each, dict) else enumerate(each) if isinstance(each, list) else ()
        for key, inner in items:
            yield each, key
            open_ones.append(inner)


def _copy(value: Any) -> Any:
    """None for what is long, or deeper than JSON writers go: what is copied again and again would fill the memory."""
    try:
        text = json.dumps(value)
    except RecursionError:
        return None
    return json.loads(text) if len(text) < LONGEST_COPY else None


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
