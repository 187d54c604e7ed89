"""A reply's texts for clients whose protocol has one text: Chat, and Gemini, whose SDKs join the parts.

Elsewhere a text is a block or a message of its own. Two that follow one another may be one sentence (Claude begins a
block for each passage that cites something). But a text after a call, or after what a provider's tools did, and another
message (what OpenAI's models say between, and then the answer) begin a paragraph: without a blank line the last word of
the one would run into the first word of the other. What comes from an upstream whose texts are one has its own.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from translate.conversation import Citation, Close, Delta, Event, Open, Text

_BLANK = rb"\n\n"
_LENGTH = 2  # in characters


class Paragraphs:
    """Takes a reply's events. The texts that begin a paragraph say so (`apart`)."""

    __slots__ = ("_inside",)

    def __init__(self) -> None:
        self._inside = False  # the open text has begun with a blank line

    def __repr__(self) -> str:
        return f"<Paragraphs inside={self._inside}>"

    def passed(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event, after in itertools.zip_longest(events, events[1:]):
            out.append(event)
            if isinstance(event, Open):
                self._inside = isinstance(event.part, Text) and event.part.apart and not _has_blank(after)
                if self._inside:
                    out.append(Delta([_BLANK]))
            elif isinstance(event, Close) and self._inside and event.citations:
                event.citations = list(map(_shifted, event.citations))
        return out


def _has_blank(after: Event | None) -> bool:
    """Tells whether a text begins with a new line of its own. Its first piece comes together with its beginning."""
    return isinstance(after, Delta) and after.pieces[0].startswith(rb"\n")


def _shifted(cited: Citation) -> Citation:
    """Returns the citation, whose place counts from the beginning of its text."""
    start = None if cited.start is None else cited.start + _LENGTH
    end = None if cited.end is None else cited.end + _LENGTH
    return replace(cited, start=start, end=end)
