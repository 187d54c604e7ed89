"""Parts of a reply that only the upstream's protocol has: they are shown in the client's protocol, told as text, or
reported.

A decoder gives such a part as `Unknown`, with the pictures, sounds and files in it as `parts`. Those for which the
client's protocol has a place take its place. The others become text in the same place, since a user must know that
there was something to see; the text is the same, streamed or not. What a provider's own tools did on the way is no
answer: what the model made of it is in the reply. `left` names all that the client does not get as it was. The header
of a whole reply shows it, and the log always. A search of the web passes, since encoders know it.

What is foreign, too, is that a reply has several texts, where the client's protocol has one (Chat, and Gemini, whose
SDKs join the parts). Two that follow one another may be one sentence (Claude begins a block for each passage that cites
something). But a text after a call, or after what a provider's tools did, and another message (what OpenAI's models say
between, and then the answer) begin a paragraph: otherwise the last word of the one would run into the first word of the
other. What comes from an upstream whose texts are one has its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from msgspec.structs import replace

from translate.conversation import Audio, Citation, Close, Delta, Event, Ext, Open, Part, Text, Unknown
from translate.fields import leftovers
from translate.json import wire
from translate.parts import reply_media
from translate.tools import websearch

MOST_LEFT, MOST_LETTERS = 100, 64

_UNSAID = frozenset((
    "stop_reason", "stop_details", "incomplete",  # the neutral form has them
    "citations", "search_results",  # Perplexity's, as pages that the text cites
))  # fmt: skip

_BLANK = rb"\n\n"
_LENGTH = 2  # in characters

Shows = Callable[[Part], bool]
"""Tells whether a protocol's replies have a place for such a picture or sound."""


class ForeignParts:
    """Takes a reply's events. protocol, shows: the client's. left: gets the names of what is left out. said: there was
    a text before."""

    __slots__ = ("_hides", "_left", "_protocol", "_said", "_shows")

    def __init__(self, protocol: str, shows: Shows, left: list[str], *, said: bool) -> None:
        self._protocol = protocol
        self._shows = shows
        self._left = left
        self._hides = False  # the open part is one that the client does not get
        self._said = said

    def __repr__(self) -> str:
        return f"<ForeignParts for {self._protocol}, {len(self._left)} left>"

    def passed(self, events: list[Event]) -> list[Event]:
        out: list[Event] | None = None  # only of a reply that has such parts
        for i, event in enumerate(events):
            if isinstance(event, Open):
                part = event.part
                self._said = self._said or isinstance(part, Text)
                self._hides = isinstance(part, Unknown) and self._is_foreign(part)
            if self._hides or (isinstance(event, Close) and event.citations):
                out = events[:i] if out is None else out
                self._foreign(event, out)
            elif out is not None:
                out.append(event)
        return events if out is None else out

    def _is_foreign(self, part: Unknown) -> bool:
        return part.protocol != self._protocol and not websearch.is_of_search(part.raw)

    def _foreign(self, event: Event, out: list[Event]) -> None:
        match event:
            case Open(Unknown() as part):
                self._tell(part, out)
            case Close() if self._hides:
                self._hides = False
            case Close():
                self._cited(event)
                out.append(event)
            case Delta() | Open():
                pass
            case _:
                out.append(event)

    def _tell(self, part: Unknown, out: list[Event]) -> None:
        if not (part.parts and all(map(self._shows, part.parts))):
            self._leave(part.kind)
        for each in part.parts:
            if self._shows(each):
                out += (Open(each), Close())
            elif not (isinstance(each, Audio) and each.transcript):  # then its words are told
                self._say(reply_media.in_words(each), out)

    def _say(self, text: str, out: list[Event]) -> None:
        before = "\n\n" if self._said else ""
        self._said = True
        out += (Open(Text("")), Delta([wire.inside(f"{before}{text}\n")]), Close())

    def _cited(self, close: Close) -> None:
        if any(each.protocol != self._protocol and not each.url for each in close.citations):
            self._leave("citations")

    def _leave(self, name: str) -> None:
        report(name, self._left)


def leave(ext: Ext, protocol: str, left: list[str]) -> None:
    """Reports what the upstream says of its whole reply and a client of `protocol` does not hear."""
    for group, fields in ext.items():
        for field, value in fields.items() if group != protocol else ():
            if value and field not in _UNSAID and field not in leftovers.SERVED:
                report(field, left)


def leave_part(ext: Ext, protocol: str, left: list[str]) -> None:
    """Reports the same of a part."""
    for field in leftovers.of_part(ext, (protocol,)):
        report(field, left)


def report(name: str, left: list[str]) -> None:
    """Names something that a reply says and the client is not given. An upstream may say what it likes, and much."""
    if len(left) < MOST_LEFT and (name := f"reply.{name[:MOST_LETTERS]}") not in left:
        left.append(name)


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
