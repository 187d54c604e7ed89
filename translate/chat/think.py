"""Reasoning that comes as `<think>...</think>` at the head of the content, told apart while it streams.

For servers without a reasoning parser (a setting, never guessed: an answer may well speak about the tag), and for
Google's OpenAI form, which marks the pieces of a thought and writes `<thought>` besides. Each family of models has tags
of its own. Only a tag that begins the text counts. Tags may be cut anywhere between chunks, so what could still become
one is held back. One bound method per state: before, lead, inside, gap, after.
"""

from __future__ import annotations

from collections.abc import Callable

Tags = tuple[str, str]

THOUGHT: Tags = ("<thought>", "</thought>")  # Google, Exaone
ANY: tuple[Tags, ...] = (
    ("<think>", "</think>"),
    THOUGHT,
    ("<thinking>", "</thinking>"),
    ("<mm:think>", "</mm:think>"),  # MiniMax
    ("<seed:think>", "</seed:think>"),  # ByteDance
    ("[THINK]", "[/THINK]"),  # Mistral
    ("◁think▷", "◁/think▷"),  # Kimi
)
MOST_BEFORE = 1000  # blanks before the tag

Piece = tuple[bool, str]
"""(is it thinking, the text)"""


def begins(text: str) -> bool:
    """Tells whether a text begins with such a tag."""
    return text.lstrip().startswith(tuple(opening for opening, _ in ANY))


class ThinkTags:
    """Takes text by `feed`, which returns pieces; `rest` returns what was kept back, at the end of the reply."""

    __slots__ = ("_close", "_pending", "_state", "_tags")

    def __init__(self, tags: tuple[Tags, ...] = ANY) -> None:
        self._tags = tags
        self._close = ""
        self._pending = ""
        self._state: Callable[[ThinkTags, str], list[Piece]] = ThinkTags._before

    def __repr__(self) -> str:
        return f"<ThinkTags {self._state.__name__.strip('_')}, {len(self._pending)} held>"

    @property
    def settled(self) -> bool:
        """No tag can come any more: text is text."""
        return self._state is ThinkTags._after

    def feed(self, text: str) -> list[Piece]:
        text, self._pending = self._pending + text, ""
        return [piece for piece in self._state(self, text) if piece[1]]

    def rest(self) -> list[Piece]:
        inside = self._state is ThinkTags._inside
        text, self._pending, self._state = self._pending, "", ThinkTags._after
        return [(inside, text)] if text else []

    def _before(self, text: str) -> list[Piece]:
        start = text.lstrip()
        for opening, closing in self._tags:
            if start.startswith(opening):
                self._close, self._state = closing, ThinkTags._lead
                return self._lead(start[len(opening) :])
        if len(text) <= MOST_BEFORE and any(opening.startswith(start) for opening, _ in self._tags):
            self._pending = text
            return []
        self._state = ThinkTags._after
        return [(False, text)]

    def _lead(self, text: str) -> list[Piece]:
        """The line break after the opening tag is not part of the thought."""
        text = text.lstrip("\n")
        if not text:
            return []
        self._state = ThinkTags._inside
        return self._inside(text)

    def _inside(self, text: str) -> list[Piece]:
        thought, tag, answer = text.partition(self._close)
        if not tag:
            cut = len(text) - _overlap(text, self._close)
            self._pending = text[cut:]
            return [(True, text[:cut])]
        self._state = ThinkTags._gap
        return [(True, thought), *self._gap(answer)]

    def _gap(self, text: str) -> list[Piece]:
        """The blank lines between the thought and the answer belong to neither."""
        text = text.lstrip()
        if not text:
            return []
        self._state = ThinkTags._after
        return [(False, text)]

    def _after(self, text: str) -> list[Piece]:
        return [(False, text)]


def _overlap(text: str, tag: str) -> int:
    """Returns how many of the last characters could be the beginning of the tag."""
    for n in range(min(len(text), len(tag) - 1), 0, -1):
        if tag.startswith(text[-n:]):
            return n
    return 0
