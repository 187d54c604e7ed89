"""Parts of a reply that only the upstream's protocol has: they are shown in the client's protocol, told as text, or
reported.

A decoder gives such a part as `Unknown`, with the pictures, sounds and files in it as `parts`. Those for which the
client's protocol has a place take its place. The others become text in the same place, since a user must know that
there was something to see; the text is the same, streamed or not. What a provider's own tools did on the way is no
answer: what the model made of it is in the reply. `left` names all that the client does not get as it was. The header
of a whole reply shows it, and the log always. A search of the web passes, since encoders know it.
"""

from __future__ import annotations

from collections.abc import Callable

from translate import reply_media, websearch, wire
from translate.conversation import Audio, Close, Delta, Event, Ext, Open, Part, Text, Unknown

MOST_LEFT, MOST_LETTERS = 100, 64

_UNSAID = frozenset((
    "stop_reason", "stop_details", "incomplete",  # the neutral form has them
    "citations", "search_results",  # Perplexity's, as pages that the text cites
))  # fmt: skip

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
            if value and field not in _UNSAID:
                report(field, left)


def report(name: str, left: list[str]) -> None:
    """Names something that a reply says and the client is not given. An upstream may say what it likes, and much."""
    if len(left) < MOST_LEFT and (name := f"reply.{name[:MOST_LETTERS]}") not in left:
        left.append(name)
