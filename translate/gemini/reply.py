"""Whole replies: takes a GenerateContentResponse apart into events, and puts one together from events.

`explode` hands the reply to the same `Assembly` that puts streams together, and `collect` writes what the stream
encoder would have written (see parts.py), so a reply is the same whether it is streamed or not.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Close, Delta, Event, Fault, Open, Part, Refusal, Start, Stop, Text, Thinking, Usage
from translate.failures.errors import BadReply
from translate.gemini.assembly import Assembly
from translate.gemini.parts import Parts, about
from translate.json import wire
from translate.target import Asked


def explode(body: dict[str, Any]) -> list[Event]:
    """Returns a whole reply as events. An error object is a Fault. Raises BadReply for a body without a candidate."""
    parts = Assembly()
    if error := parts.chunk(body):
        parts.fail(error)
    elif not parts.seen and parts.remark is not None:
        parts.fail(parts.remark)
    elif not parts.seen:
        known = ", ".join(sorted(body)[:12]) or "none"
        raise BadReply(f"the upstream's reply has no candidates; its fields are: {known}")
    else:
        parts.stop()
    return parts.take()


def collect(events: list[Event], asked: Asked) -> dict[str, Any]:
    """Returns the events as a GenerateContentResponse. The error of a Fault is raised."""
    parts = Parts(asked)
    out: list[dict[str, Any]] = []
    usage: Usage | None = None
    part: Part | None = None
    pieces: list[bytes] = []
    for event in events:
        match event:
            case Start():
                usage = event.usage
            case Open():
                part, pieces = event.part, []
            case Delta():
                pieces += event.pieces
            case Close() if part is not None:
                _add(out, part, wire.text_of(pieces), event, parts)
                part = None
            case Fault():
                raise event.error
            case Stop():
                return _body(out, parts, event, event.usage or usage, asked)
    raise BadReply("the upstream's reply has no end")


def _add(out: list[dict[str, Any]], part: Part, text: str, close: Close, parts: Parts) -> None:
    if isinstance(part, Text | Refusal) and text:
        out.append({"text": text})
        parts.count = len(out)
    elif isinstance(part, Thinking) and text and parts.shows:
        out.append({"text": text, "thought": True})
    for late in parts.closed(part, text, close):
        if late.get("thought") and out and out[-1].get("thought"):
            out[-1]["thoughtSignature"] = late["thoughtSignature"]
        else:
            out.append(late)
    parts.count = len(out)


def _body(out: list[dict[str, Any]], parts: Parts, stop: Stop, usage: Usage | None, asked: Asked) -> dict[str, Any]:
    late = parts.last()
    if late and out and "text" in out[-1] and not out[-1].get("thought") and "thoughtSignature" not in out[-1]:
        out[-1]["thoughtSignature"] = late[0]["thoughtSignature"]
    else:
        out += late
    candidate, rest = parts.ending(stop, usage)
    content = {"parts": out or [{"text": ""}], "role": "model"}
    return {"candidates": [{"content": content} | candidate]} | rest | about(asked)
