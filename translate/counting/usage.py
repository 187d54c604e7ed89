"""The tokens that a reply took: the one place that knows where each protocol tells them.

Each protocol's own `usage.py` reads its counters; here is where they stand: in a whole body, in one event of a stream,
in the bytes of a stream that passes through. What comes in several pieces is merged: Messages tells the prompt at the
start and the output at the end, others repeat growing numbers. Nothing is added up, except by `added`: the rounds of
one answer.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from translate.conversation import Usage
from translate.json import wire
from translate.streams import sse

MAX_EVENTS = 8  # so many of the latest events with usage are read: servers that repeat it do so in every event
MAX_OBJECT_BYTES = 4096  # a usage object has no more, where the beginning of its event is lost
MAX_PARSED_BYTES = 256 * 1024  # a larger body is searched from its end
MAX_TERM = 32  # letters of a word that the price depends on

_OBJECT = re.compile(rb"\s*:\s*\{")
_TIER = re.compile(rb'"service_tier"\s*:\s*"([a-z_]{1,32})"')
# Unlike ujson it can stop at the end of an object. NaN, which some servers say, is no JSON and would spoil the log.
_DECODER = json.JSONDecoder(parse_constant=lambda _: None)


class UsageReader(Struct, frozen=True):
    """How a protocol tells its usage. of_event(event, before): after one decoded event of a stream, or a whole body;
    before: what was known until then. of_object: the same of the usage object itself. in_pieces: whether an event that
    is cut is searched for that object; not where a tool's input is the only one that can be so long. name: the key of
    that object."""

    of_event: Callable[[dict[str, Any], Usage | None], Usage | None]
    of_object: Callable[[Any, Usage | None], Usage | None]
    in_pieces: bool = True
    name: bytes = b'"usage"'


def of(reader: UsageReader, said: Any, before: Usage | None = None) -> Usage | None:
    """Returns the usage after one event of a stream, or a whole body, decoded. before: what was known until then."""
    return reader.of_event(said, before) if isinstance(said, dict) else before


def in_body(reader: UsageReader, raw: bytes) -> Usage | None:
    """Returns what a whole reply says, None where it says nothing."""
    if raw.rfind(reader.name) < 0:  # in half the time of `in`
        return None
    if len(raw) > MAX_PARSED_BYTES:
        return _in_pieces(reader, raw, None)
    try:
        return of(reader, wire.loads(raw))
    except ValueError:
        return _in_pieces(reader, raw, None)


def in_stream(
    reader: UsageReader, raw: bytes, before: Usage | None = None, most: int = MAX_EVENTS
) -> Usage | None:  # fmt: skip
    """Returns the usage after some of a stream's bytes. The first event of them may lack its beginning, the last one
    its end. most: so many of the latest events are read."""
    if raw.rfind(reader.name) < 0:
        return before
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for event in reversed(_latest(reader.name, raw, most)):
        try:
            before = of(reader, wire.loads(sse.fields(event.lstrip(b"\n"))[1]), before)
        except ValueError:
            if reader.in_pieces:
                before = _in_pieces(reader, event, before)
    return before


def with_thoughts(usage: Usage) -> Usage:
    """Returns the usage with an output that includes what was thought, as it is paid for and as all but Google's
    clients read it. Gemini and xAI leave it out of the answer's tokens, and only the total shows it."""
    unsaid = usage.total - usage.prompt - usage.output if usage.prompt else 0
    if unsaid > 0 and (unsaid == usage.reasoning or not (usage.reasoning or usage.cache_read or usage.cache_write)):
        return replace(usage, output=usage.output + unsaid, reasoning=unsaid)
    return usage


def with_estimate(usage: Usage | None, estimate: int) -> Usage:
    """Returns `usage`, with its prompt estimated where the upstream never told it: clients decide by it when to
    compact."""
    if usage is None:
        return Usage(input=estimate)
    return usage if usage.prompt else replace(usage, input=estimate)


def added(one: Usage | None, other: Usage | None) -> Usage | None:
    """Returns the usage of two rounds of one answer. What has no counter of its own is the later round's."""
    if one is None or other is None:
        return one or other
    return Usage(
        input=one.input + other.input,
        cache_read=one.cache_read + other.cache_read,
        cache_write=one.cache_write + other.cache_write,
        cache_write_1h=one.cache_write_1h + other.cache_write_1h,
        output=one.output + other.output,
        reasoning=one.reasoning + other.reasoning,
        total=one.total + other.total if one.total and other.total else 0,
        ext=one.ext | other.ext,
        aside=added(one.aside, other.aside),
        terms=other.terms or one.terms,
    )


def with_terms(usage: Usage | None, *words: Any) -> Usage | None:
    """Returns the usage with what its price depends on. words: what the upstream says of it; those that are none are
    left out, and without any the usage stays as it is."""
    if usage is None or not (terms := terms_of(words)):
        return usage
    return replace(usage, terms=terms)


def terms_of(words: Iterable[Any]) -> tuple[str, ...]:
    return tuple([word for word in words if word and isinstance(word, str) and len(word) <= MAX_TERM])


def tier_in(piece: bytes, start: int = 0, end: int = sys.maxsize) -> str:
    """Returns the service tier that a piece of a reply of OpenAI's names first, "" for none. It stands before the tools
    and the metadata, in which clients may write the same."""
    found = _TIER.search(piece, start, end) if piece.find(b'"service_tier"', start, end) >= 0 else None
    return found[1].decode() if found is not None else ""


def paid(usage: Usage | None) -> Usage | None:
    """Returns the usage with what was taken beside the answer: it is charged, too."""
    return usage if usage is None or usage.aside is None else added(usage.aside, replace(usage, aside=None))


def _latest(name: bytes, raw: bytes, most: int) -> list[bytes]:
    """Returns the last events that have usage, and not null in its place, as OpenAI's have before their last one; the
    latest first. They are looked for from the end, where they nearly always are."""
    found: list[bytes] = []
    end = len(raw)
    while len(found) < most and (at := raw.rfind(name, 0, end)) >= 0:
        end = at
        if not raw.startswith((b":null", b": null"), at + len(name)):
            end = max(raw.rfind(b"\n\n", 0, at), 0)
            stop = raw.find(b"\n\n", at)
            found.append(raw[end : stop if stop >= 0 else len(raw)])
    return found


def _in_pieces(reader: UsageReader, raw: bytes, before: Usage | None) -> Usage | None:
    """Returns the usage after the last usage object in a piece of JSON. In a text the word's quotes would be
    escaped."""
    end = len(raw)
    for _ in range(MAX_EVENTS):
        at = raw.rfind(reader.name, 0, end)
        if at < 0:
            break
        end = at
        if found := _OBJECT.match(raw, at + len(reader.name)):
            text = raw[found.end() - 1 : found.end() + MAX_OBJECT_BYTES].decode("utf-8", "replace")
            try:
                said = _DECODER.raw_decode(text)[0]
            except (ValueError, RecursionError):
                continue
            known = reader.of_object(said, before)
            return known if known is None or known.terms else with_terms(known, tier_in(raw, 0, at))
    return before
