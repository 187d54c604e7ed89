"""What the tests of the Chat package share: chunks made by hand, and events told in short words."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any

from translate.chat.decode_stream import Decoder
from translate.conversation import (
    Close,
    Delta,
    Event,
    Fault,
    Open,
    Ping,
    Refusal,
    Start,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Unknown,
)
from translate.json import wire
from translate.target import Policy

DONE = b"data: [DONE]\n\n"


def sse(*chunks: Any) -> bytes:
    """Objects as data lines; bytes as they are."""
    lines = (c if isinstance(c, bytes) else b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks)
    return b"".join(lines)


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
    if delta is not None:
        choice["delta"] = delta
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice]} | more


def call(arguments: Any = None, index: Any = 0, id: Any = None, name: Any = None) -> dict[str, Any]:
    """A delta with one tool call entry; what is None is left out."""
    function = {k: v for k, v in (("name", name), ("arguments", arguments)) if v is not None}
    entry = {k: v for k, v in (("index", index), ("id", id)) if v is not None}
    return {"tool_calls": [{**entry, "function": function}]}


def decode(pieces: Iterable[bytes], policy: Policy = Policy()) -> list[Event]:
    decoder = Decoder(policy)
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    events += decoder.end()
    assert decoder.ended
    assert decoder.feed(b"data: {}\n\n") == decoder.end() == []
    return events


def cuts(raw: bytes, seed: int, n: int = 8) -> list[bytes]:
    """raw in about n pieces, cut anywhere."""
    at = sorted(random.Random(seed).choices(range(len(raw) + 1), k=n))
    return [raw[a:b] for a, b in zip([0, *at], [*at, len(raw)], strict=True)]


def every_way(raw: bytes, policy: Policy = Policy()) -> list[str]:
    """The stream's events in short words; the same whole, byte by byte and in random pieces."""
    whole = short(decode([raw], policy))
    assert short(decode([raw[i : i + 1] for i in range(len(raw))], policy)) == whole
    for seed in range(5):
        assert short(decode(cuts(raw, seed), policy)) == whole
    return whole


def short(events: list[Event]) -> list[str]:
    """Events in words: ["text: Hi", "call f#id: {}", "stop end"], each part whole, or "open" where the
    reply broke off in it. Checks the grammar: Start first,
    one part open at a time, one Stop or Fault at the end."""
    told: list[str] = []
    name, pieces, part = "", list[bytes](), None
    for i, event in enumerate(events):
        match event:
            case Start():
                assert i == 0
            case Open():
                assert not name and i > 0
                assert isinstance(events[0], Start)
                part, name, pieces = event.part, _name(event.part), []
            case Delta():
                assert name and event.pieces and all(event.pieces)
                pieces += event.pieces
            case Close():
                assert name
                sealed = f" +{part.encrypted}" if isinstance(part, Thinking) and part.encrypted else ""
                signed = f" ~{event.signature}" if event.signature else ""
                told.append(f"{name}: {wire.text_of(pieces)}{sealed}{signed}")
                name = ""
            case Stop():
                assert not name and i == len(events) - 1
                told.append(f"stop {event.reason}")
            case Fault():
                assert i == len(events) - 1
                if name:  # what is not whole is never closed
                    told.append(f"open {name}: {wire.text_of(pieces)}")
                    name = ""
                told.append(f"fault {getattr(event.error, 'kind', '?')}: {event.error}")
            case Ping():
                raise AssertionError("this decoder has none")
    return told


def _name(part: Any) -> str:
    match part:
        case Text():
            return "text"
        case Thinking():
            return "thinking"
        case Refusal():
            return "refusal"
        case ToolCall():
            return f"call {part.name}#{part.id}"
        case Unknown():
            return f"unknown {part.kind}"
    raise AssertionError(part)


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")
