"""What the mutations are made of: reading and writing a stream as events, tables, chunks taken apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from tests.support import meaning

Json = dict[str, Any]
Event = tuple[str, Any]
Mutation = Callable[[list[Event], Random], list[Event]]

CHAT: dict[str, Mutation] = {}
MESSAGES: dict[str, Mutation] = {}


def parse(raw: bytes) -> list[Event]:
    return list(meaning.events(raw))


def render(events: list[Event], framing: str = "lf") -> bytes:
    """framing: lf, crlf, cr, tight (no space after the colon), lines (data over several lines), comments,
    open (no blank line at the end)."""
    out = []
    for i, (name, data) in enumerate(events):
        text = data if isinstance(data, str) else json.dumps(data, indent=1 if framing == "lines" else None)
        head = f"event: {name}\n" if name else ""
        lines = [": a comment\n"] if framing == "comments" and i % 2 else []
        out.append("".join([*lines, head, *(f"data: {line}\n" for line in text.split("\n")), "\n"]))
    whole = (": hello\n\n" if framing == "comments" else "") + "".join(out)
    if framing == "tight":
        whole = whole.replace("\ndata: ", "\ndata:").replace("event: ", "event:")
    if framing == "open":
        whole = whole.rstrip("\n")
    return whole.replace("\n", {"crlf": "\r\n", "cr": "\r"}.get(framing, "\n")).encode()


FRAMINGS = ["lf", "crlf", "cr", "tight", "lines", "comments", "open"]


def chat(mutation: Mutation) -> Mutation:
    CHAT[mutation.__name__] = mutation
    return mutation


def messages(mutation: Mutation) -> Mutation:
    MESSAGES[mutation.__name__] = mutation
    return mutation


def copied(value: Any) -> Any:
    return json.loads(json.dumps(value))


def choice_of(data: Any) -> Json:
    choices = data.get("choices") if isinstance(data, dict) else None
    return choices[0] if choices and choices[0].get("index") in (0, None) else {}


def delta_of(data: Any) -> Json:
    return choice_of(data).get("delta") or {}


def each_choice(events: list[Event], change: Callable[[Json, Json], object]) -> list[Event]:
    """change(choice, its delta) on copies of all chunks that have both."""
    out = []
    for name, data in events:
        data = copied(data)
        if isinstance(choice_of(data).get("delta"), dict):
            change(choice_of(data), choice_of(data)["delta"])
        out.append((name, data))
    return out
