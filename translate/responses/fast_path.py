"""The fast path for deltas of a Responses stream: the text is copied, the event around it never parsed.

One delta event differs from the next in its text, in its sequence_number and in the random `obfuscation` that OpenAI
pads it with; the rest is the same to the letter. From one that was parsed, `learn` keeps the bytes between these
places, whatever their order; an event that consists of just these bytes holds nothing else. Whatever is not certain
takes the slow path.
"""

from __future__ import annotations

import re

from translate.pieces import same_text

_TEXT = re.compile(rb'"delta"\s*:\s*"((?:[^"\\]|\\.)+)"')
_NUMBER = re.compile(rb'"sequence_number"\s*:\s*(\d+)')
_PADDING = re.compile(rb'"obfuscation"\s*:\s*"([^"\\]*)"')

TEXT, NUMBER, PADDING = range(3)  # kinds of places that vary
_PATTERNS = ((TEXT, _TEXT), (NUMBER, _NUMBER), (PADDING, _PADDING))


class Template:
    """What the events look like: `first`; the number, if it comes before the text, and the bytes up to the text; the
    text and the bytes after it; then the other places that vary, each with the bytes after it."""

    __slots__ = ("_after_text", "_first", "_others", "_to_text")

    def __init__(self, first: bytes, to_text: bytes, after_text: bytes, others: list[tuple[int, bytes]]) -> None:
        self._first = first
        self._to_text = to_text  # b"": the text follows `first`
        self._after_text = after_text
        self._others = others

    def __repr__(self) -> str:
        return f"<Template {self._first!r} {self._to_text!r} {self._after_text!r}>"

    def run(self, events: list[bytes], at: int) -> list[bytes]:
        """Returns the insides of the texts of the events from `at` on, as far as they fit the template, not yet
        judged."""
        first, to_text, after_text, others = self._first, self._to_text, self._after_text, self._others
        begin, skip, width, mark = len(first), len(to_text), len(after_text), to_text[:1]
        pieces: list[bytes] = []
        for i in range(at, len(events)):
            event = events[i]
            if not event.startswith(first):
                break
            start = begin
            if skip:
                start = event.find(mark, begin)
                if not event.startswith(to_text, start) or not event[begin:start].isdigit():
                    break
                start += skip
            end = event.find(b'"', start)
            if not event.startswith(after_text, end):  # the quote may be escaped
                end = event.find(after_text, start)
                if end < 0:
                    break
            rest = end + width
            for kind, literal in others:
                stop = event.find(literal, rest)
                value = event[rest:stop]
                if stop < 0 or not (value.isdigit() if kind == NUMBER else value.isalnum() or not value):
                    return pieces
                rest = stop + len(literal)
            if rest != len(event):
                break
            pieces.append(event[start:end])
        return pieces


def learn(event: bytes, piece: bytes) -> Template | None:
    """Returns the template of events like this one, which added just `piece` to the open part. None where the places
    that vary are not certain to be found."""
    places: list[tuple[int, int, int]] = []
    for kind, pattern in _PATTERNS:
        found = list(pattern.finditer(event))
        if len(found) > 1 or (kind == TEXT and not (found and same_text(found[0][1], piece))):
            return None
        places += [(*match.span(1), kind) for match in found]
    places.sort()
    nexts = [start for start, *_ in places[1:]] + [len(event)]
    after = [(kind, event[end:start]) for (_, end, kind), start in zip(places, nexts, strict=True)]
    if not all(literal for _, literal in after):
        return None
    first = event[: places[0][0]]
    to_text = b""
    if after[0][0] == NUMBER:
        to_text = after.pop(0)[1]
    kind, after_text = after[0]
    return Template(first, to_text, after_text, after[1:]) if kind == TEXT else None
