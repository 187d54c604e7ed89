"""The fast path for deltas: text that needs no change is copied between two JSON strings, never decoded.

Nearly all events of a stream are one delta after another, equal to the letter but for the text. From the
first one, decoded in full, a `Template` keeps the bytes before the text and after it; an event that begins and
ends with them holds nothing else, so that its middle is the next text, still escaped. Anthropic pads events
with spaces before the last brace, hence `_bare`. Whatever is not certain takes the slow path.
"""

from __future__ import annotations

import re

from translate.json import wire
from translate.streams.pieces import all_sound


class Template:
    """What the deltas of one open block look like. Made by `learn`."""

    __slots__ = ("_before", "_after", "_bare")

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before = before
        self._after = after
        bare = after.replace(b" ", b"")
        self._bare = bare if bare == b'"}}' else b""  # the padding varies, so the end is compared without it

    def __repr__(self) -> str:
        return f"<Template {self._before!r}...{self._after!r}>"

    def run(self, events: list[bytes], at: int) -> list[bytes]:
        """Returns the texts of the events from `at` on, as far as they fit the template: so many events are done."""
        before, after, bare = self._before, self._after, self._bare
        start, end = len(before), -len(after)
        pieces: list[bytes] = []
        for i in range(at, len(events)):
            event = events[i]
            if not event.startswith(before):
                break
            if event.endswith(after):
                pieces.append(event[start:end])
                continue
            cut = event.rfind(b'"')
            if not bare or event[cut:].replace(b" ", b"") != bare:
                break
            pieces.append(event[start:cut])
        return pieces[: _sound(pieces)] if pieces else pieces


def learn(event: bytes, key: str, text: str) -> Template | None:
    """Returns the template of events like this one, whose `key` holds `text`. None where the bytes of the text are not
    certain to be found: it occurs twice, or the upstream escapes it in its own way; another one will do."""
    inside = wire.inside(text)
    quoted = b'"' + inside + b'"'
    if event.count(quoted) != 1:
        return None
    at = event.index(quoted) + 1
    before, after = event[:at], event[at + len(inside) :]
    if not re.search(rb'"%b"\s*:\s*"$' % key.encode(), before):
        return None
    return Template(before, after)


def _sound(pieces: list[bytes]) -> int:
    """Returns how many of the pieces, from the first, are insides of JSON strings in UTF-8."""
    if all_sound(pieces):
        return len(pieces)
    return next(i for i, piece in enumerate(pieces) if not all_sound([piece]))
