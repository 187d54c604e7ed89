"""Turns what only a conversation's own protocol can say into parts that every protocol has.

Chat tells the authors of one role apart: other protocols' models read the name before the words. Responses has items
that nobody else knows (messages between Codex's agents, and types that do not exist yet); the texts and pictures in
them stand in their place. Messages has instructions that hold for one turn alone. What the instructions at the head
show goes into the user's first turn, as nobody else's have anything but texts. This is used only when a request crosses
protocols.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from translate.conversation import Audio, Conversation, Document, Image, Part, Text, Turn, Unknown

AUTHOR = "messages.name"  # the name in the report where it does not cross

SHOWN = "[shown with the instructions]"

Drop = Callable[[str], None]


def without_media(given: Conversation) -> Conversation:
    """Returns the conversation with the media of its instructions in the user's first turn."""
    media = [part for part in given.system if isinstance(part, Image | Document | Audio)]
    if not media:
        return given
    shown: list[Part] = [Text(SHOWN), *media]
    first = next((turn for turn in given.turns[:1] if turn.role == "user"), None)
    moved = replace(first, parts=[*shown, *first.parts]) if first is not None else Turn("user", shown)
    rest = given.turns[1:] if first is not None else given.turns
    return replace(given, system=[part for part in given.system if part not in media], turns=[moved, *rest])


def turns(given: list[Turn], drop: Drop) -> list[Turn]:
    """Returns the turns as every protocol can say them. Turns that need no change are the same objects."""
    last = next((i for i in range(len(given) - 1, -1, -1) if given[i].role == "user"), -1)
    return [
        _turn(turn, drop)
        for i, turn in enumerate(given)
        if i > last or not turn.for_one_turn  # the model has not seen such an instruction since
    ]


def system(parts: list[Part]) -> list[Part]:
    """Returns the instructions at the head, with their authors in words."""
    named = (isinstance(part, Text) and part.author != "" for part in parts)
    return _authored(parts) if any(named) else parts


def _authored(parts: list[Part]) -> list[Part]:
    return [
        replace(part, text=f"{part.author}: {part.text}") if isinstance(part, Text) and part.author else part
        for part in parts
    ]


def _turn(turn: Turn, drop: Drop) -> Turn:
    parts = turn.parts
    for part in parts:
        if isinstance(part, Unknown) and part.parts:
            parts = [told for part in parts for told in (isinstance(part, Unknown) and part.parts) or [part]]
            break
    if turn.author and parts:
        if turn.role == "assistant":
            drop(AUTHOR)  # before the model's own words, it would be taken for a way to begin an answer
        else:
            parts = _named(turn.author, parts)
    return turn if parts is turn.parts else replace(turn, parts=parts)


def _named(name: str, parts: list[Part]) -> list[Part]:
    first = parts[0]
    if isinstance(first, Text):
        return [replace(first, text=f"{name}: {first.text}"), *parts[1:]]
    return [Text(f"{name}:"), *parts]
