"""Requests whose messages are only text, which can be counted exactly if the vocabulary is public.

OpenAI's servers put the same few tokens around each message: its role, and marks before and after it. These tokens were
found with recorded replies that tell their usage. `PROVEN` are the models of which such replies exist, all of them for
messages of the system and the user. What tools or a schema become is not public, but the same ones take the same number
of tokens every time, which replies tell (gateway/counting/exact_counts.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from translate import late
from translate.json import wire

Turns = Sequence[tuple[str, Sequence[str]]]
"""(role, texts) of each message."""


class TextRequest(Struct, frozen=True):
    """fixed: what else the model is told, such as tools."""

    turns: Turns
    fixed: Mapping[str, Any]


class Frame(Struct, frozen=True):
    """The tokens around the text. message: around each. assistant: and around one of the assistant. reply: where the
    reply begins."""

    message: int
    assistant: int
    reply: int


_PLAIN = Frame(4, 0, 3)
_REASONS = Frame(4, 2, 2)  # an answer says on which channel it is
_OWNER = r"(?:openai[/.])?"
_DATE = r"(?:-20\d\d-\d\d-\d\d)?"
_FRAMES = (
    (late.pattern(rf"{_OWNER}gpt-4(?:o|o-mini|\.1|\.1-mini|\.1-nano){_DATE}"), _PLAIN),
    (late.pattern(rf"{_OWNER}(?:gpt-5(?:\.\d)?(?:-(?!chat)[a-z]+){{0,2}}|o[134](?:-mini|-pro)?){_DATE}"), _REASONS),
)
PROVEN = late.pattern(
    rf"{_OWNER}(?:gpt-4o|gpt-4o-mini|gpt-5|gpt-5-mini|gpt-5-nano|gpt-5-pro|gpt-5\.2|gpt-5\.3-codex|gpt-5\.4"
    rf"|o4-mini){_DATE}"
)


class FramedTexts(Struct, frozen=True):
    """texts: each is counted by itself. around: tokens of the frame. kind: what distinguishes requests whose frames may
    differ, or that have other tools. has_more: they have tools or the like, whose tokens are in neither. proven:
    recorded replies say that the sum is right."""

    texts: list[str]
    around: int
    kind: str
    has_more: bool
    proven: bool


def is_known(model: str) -> bool:
    """Tells whether the vocabulary and the frame of a model are public."""
    return any(names.fullmatch(model) for names, _ in _FRAMES)


def framed(model: str, said: TextRequest | None) -> FramedTexts | None:
    """Returns what is to be counted for a request, None where nobody knows."""
    frame = next((frame for names, frame in _FRAMES if names.fullmatch(model)), None)
    if frame is None or said is None or not said.turns:
        return None
    turns = said.turns
    texts = [text for _, each in turns for text in each]
    if any("<|" in text for text in texts):  # written like a mark of the frame, it may count as one
        return None
    answers = sum(role == "assistant" for role, _ in turns)
    parts = any(len(each) > 1 for _, each in turns)
    kind = "+".join(name for name, there in (("text", True), ("answers", answers), ("parts", parts)) if there)
    around = frame.message * len(turns) + frame.assistant * answers + frame.reply
    proven = kind == "text" and not said.fixed and PROVEN.fullmatch(model) is not None
    if said.fixed:
        kind += ":" + hashlib.blake2b(wire.dumps(sorted(said.fixed.items())), digest_size=12).hexdigest()
    return FramedTexts(texts, around, kind, bool(said.fixed), proven)


def fixed(body: Mapping[str, Any], aside: frozenset[str], known: frozenset[str]) -> dict[str, Any] | None:
    """Returns the fields of a body, besides its messages, that the model gets to read. aside: fields that take no
    tokens; known: those that take the same number for the same value. None where it says more."""
    more = {name: body[name] for name in body.keys() - aside if body[name] and body[name] not in _SAYS_NOTHING}
    if not more.keys() <= known:
        return None
    tools = more.get("tools", [])
    if not isinstance(tools, list) or not all(isinstance(t, dict) and t.get("type") in _OWN_TOOLS for t in tools):
        return None  # what the server's own tools say changes
    return more


def texts_of(content: Any, kinds: tuple[str, ...]) -> list[str] | None:
    """Returns the texts of a message's content, None where it holds something else. kinds: of the parts with text."""
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return None
    parts = [part for part in content if isinstance(part, dict) and part.get("type") in kinds]
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return texts if len(texts) == len(content) else None


_SAYS_NOTHING: tuple[Any, ...] = ("auto", {"type": "text"}, {"format": {"type": "text"}})
_OWN_TOOLS = ("function", "custom")
