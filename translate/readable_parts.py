"""What only a conversation's own protocol can say, retold as parts that every protocol has.

Chat names the authors of one role apart: other protocols' models read the name before the words. Items of Responses
that are nobody's known (messages between Codex's agents, what comes next year) hold texts and pictures in the common
form: these stand in their place. Messages knows instructions that are for one turn alone. Used only when a request
crosses protocols.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from translate.conversation import Part, Text, Turn, Unknown

AUTHOR = "messages.name"  # as which it is reported where it stays behind

Drop = Callable[[str], None]


def turns(given: list[Turn], drop: Drop) -> list[Turn]:
    """Turns that need no change are the same objects."""
    last = max((i for i, turn in enumerate(given) if turn.role == "user"), default=-1)
    return [_turn(turn, drop) for i, turn in enumerate(given) if i > last or not _is_cleared(turn)]


def _is_cleared(turn: Turn) -> bool:
    """Is it an instruction that was for the user's turn before it alone? The model has not seen it since."""
    return turn.for_one_turn


def system(parts: list[Part]) -> list[Part]:
    """The instructions at the head."""
    named = (isinstance(part, Text) and part.author != "" for part in parts)
    return _authored(parts) if any(named) else parts


def _authored(parts: list[Part]) -> list[Part]:
    return [
        replace(part, text=f"{part.author}: {part.text}") if isinstance(part, Text) and part.author else part
        for part in parts
    ]


def _turn(turn: Turn, drop: Drop) -> Turn:
    parts = turn.parts
    if any(isinstance(part, Unknown) and part.parts for part in parts):
        parts = [told for part in parts for told in (isinstance(part, Unknown) and part.parts) or [part]]
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
