"""The fast path for deltas of an OpenAI stream: the text is copied, the event around it never parsed.

Most of a stream is text deltas, and the events around the texts are nearly the same to the letter. A `Template` keeps
an event's bytes between the places that vary: the text, which may come twice, and what means nothing for the reply,
such as a number or random padding. An event that consists of just these bytes holds nothing else. Whatever is not
certain takes the slow path. Which places vary, each protocol's decoder knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from translate.streams.pieces import BETWEEN, is_sound
from translate.streams.reading import Parts, StreamReading

TEXT, AGAIN, NUMBER, WORD = range(4)  # kinds of places that vary; AGAIN: the same text; WORD: an id, or padding
_MARKS = b"-_.:+/="  # what an id has besides letters and digits

Place = tuple[int, int, int]
"""Where a place begins and ends in an event, and its kind."""


class Template(Struct, frozen=True, gc=False):
    """What the events look like: the bytes before the first place, then each place's kind with the bytes after it."""

    first: bytes
    parts: tuple[tuple[int, bytes], ...]

    def run(self, events: list[bytes], at: int) -> list[bytes]:
        """Returns the insides of the texts of the events from `at` on, as far as they fit the template, not yet
        judged."""
        if len(self.parts) > 1:
            return self._each(events, at)
        first, after = self.first, self.parts[0][1]
        start, stop = len(first), -len(after)
        pieces: list[bytes] = []
        for i in range(at, len(events)):
            event = events[i]
            if not event.startswith(first) or not event.endswith(after):
                break
            pieces.append(event[start:stop])
        return pieces

    def _each(self, events: list[bytes], at: int) -> list[bytes]:
        pieces: list[bytes] = []
        text = b""
        for i in range(at, len(events)):
            event = events[i]
            if not event.startswith(self.first):
                break
            place = len(self.first)
            for kind, literal in self.parts:
                if kind == TEXT:
                    end = event.find(b'"', place)
                    if not event.startswith(literal, end):  # the quote may be escaped
                        end = event.find(literal, place)
                    text = event[place:end]
                elif kind == AGAIN:
                    end = place + len(text)
                    if not event.startswith(text, place) or not event.startswith(literal, end):
                        return pieces
                else:
                    end = event.find(literal, place)
                    value = event[place:end]
                    if not (value.isdigit() if kind == NUMBER else _is_word(value)):
                        return pieces
                if end < 0:
                    return pieces
                place = end + len(literal)
            if place != len(event):
                break
            pieces.append(text)
        return pieces


def _is_word(value: bytes) -> bool:
    return value.isalnum() or not value or value.translate(None, _MARKS).isalnum()


def template(event: bytes, places: Iterable[Place]) -> Template | None:
    """Returns the template of events like this one; None where two places touch each other, or one is the event's
    end."""
    ordered = sorted(places)
    nexts = [start for start, *_ in ordered[1:]] + [len(event)]
    parts = tuple((kind, event[end:start]) for (_, end, kind), start in zip(ordered, nexts, strict=True))
    return Template(event[: ordered[0][0]], parts) if all(literal for _, literal in parts) else None


class Growing(Parts, Protocol):
    """What a decoder with a fast path gathers into."""

    def more(self, pieces: list[bytes]) -> None:
        """Adds pieces to the open part."""


class DeltaReading(StreamReading):
    """A decoder with a fast path. A subclass reads an event in full (`_slow`), and sets `_template` after each."""

    __slots__ = ("_template",)
    _gathered: Growing

    def __init__(self, parts: Growing) -> None:
        self._template: Template | None = None
        super().__init__(parts)

    def _slow(self, event: bytes) -> None:
        raise NotImplementedError

    def _read(self, events: list[bytes]) -> None:
        at = 0
        while at < len(events) and self._state is not StreamReading._over:
            run = self._template.run(events, at) if self._template is not None else []
            if run and is_sound(joined := BETWEEN.join(run)) and self.look(joined) is joined:
                if pieces := [piece for piece in run if piece] if b"" in run else run:
                    self._gathered.more(pieces)
            else:  # one that is not sound, or is changed, sends all of them the slow way
                for event in events[at : at + (len(run) or 1)]:
                    if self._state is not StreamReading._over:
                        self._slow(event)
            at += len(run) or 1
