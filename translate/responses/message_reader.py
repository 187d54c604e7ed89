"""An upstream's message, read as it grows."""

from __future__ import annotations

import itertools
from typing import Any

from translate.conversation import Ext, Part, Refusal, Text
from translate.fields.leftovers import said_beyond
from translate.json.json_fields import list_of, text_of
from translate.parts import logprobs
from translate.responses import citations
from translate.responses.item_reader import ItemReader, Raw
from translate.streams.sequence import Item, Sequence, said_of

MOST_COMPARED = 64  # what is said or cited again comes soon after
_PART = frozenset(("type", "text", "refusal", "annotations", "logprobs", "parsed"))
_Place = tuple[str, int]  # of a part in its message: its kind, and its index


class MessageReader(ItemReader):
    """Its parts are distinguished by their kind and by their index in the deltas. An item's last word may count them in
    another way: what it says is held against all that was said.

    A part is complete once another one begins, unless the server has announced it: then it is when the server says so.
    Words that come for a complete one begin a further piece of it."""

    __slots__ = ("_announced", "_latest", "_looks", "_parts")

    def __init__(self, raw: Raw, sequence: Sequence) -> None:
        super().__init__(raw, sequence)
        self._parts: dict[_Place, list[Item]] = {}
        self._latest: _Place | None = None  # of the item that was begun last
        self._announced: set[_Place] = set()  # which have not ended
        self._looks = 0  # how often all that was said was looked through

    @property
    def refused(self) -> bool:
        return any(kind == "refusal" for kind, _ in self._parts)

    def is_said_by(self, raw: Raw) -> bool:
        if not self.may_be(raw):
            return False
        items = itertools.chain.from_iterable(self._parts.values())
        return said_of("".join(text for _, text, *_ in _parts_of(raw)), items) > 0

    def say(self, kind: str, index: Any, text: str) -> bytes:
        if not text or self.is_over:
            return b""
        return self._grow(self._part((kind, index) if isinstance(index, int) else self._place(kind)), text)

    def whole(self, kind: str, index: Any, text: str) -> None:
        if text and not self.is_over:
            place = (kind, index) if isinstance(index, int) else self._place(kind)
            is_known = isinstance(index, int) and place in self._parts
            if not is_known and self._was_said(kind, text):
                return
            if 0 <= (size := said_of(text, self._parts.get(place, ()))) < len(text):
                self._add(place, text[size:])

    def _was_said(self, kind: str, text: str) -> bool:
        """Tells whether a text whose part is not known was said under another index. Of very many such texts, the
        item's last word tells those that were not."""
        self._looks += 1
        return self._looks > MOST_COMPARED or self._said_of(kind).endswith(text)

    def announced(self, kind: str, index: Any) -> None:
        if isinstance(index, int) and not self.is_over:
            self._announced.add((kind, index))

    def ended(self, kind: str, index: Any) -> None:
        self._announced.discard(place := (kind, index))
        if place in self._parts and place != self._latest:  # what the latest one cites may still come
            self._parts[place][-1].done = True
            self._sequence.advance()

    def noted(self, index: Any, notes: list[Any]) -> None:
        if (item := self._cited(index)) is not None:
            item.close.citations = list(map(citations.read, notes))

    def note(self, index: Any, annotation: Any) -> None:
        if (item := self._cited(index)) is not None and isinstance(annotation, dict):
            if all(known.raw != annotation for known in item.close.citations[-MOST_COMPARED:]):
                item.close.citations.append(citations.read(annotation))

    def likely(self, index: Any, tokens: list[Any], *, anew: bool = False) -> None:
        if (item := self._cited(index)) is not None:
            logprobs.note(item.close, tokens, anew=anew)

    def _cited(self, index: Any) -> Item | None:
        place = ("text", index) if isinstance(index, int) else None
        place = place if place in self._parts else self._last("text")
        return self._parts[place][-1] if place is not None else None

    def _place(self, kind: str) -> _Place:
        """Returns where that is said for which the server names no index."""
        latest = self._latest
        return latest if latest is not None and latest[0] == kind else (kind, len(self._parts))

    def _part(self, place: _Place) -> Item:
        """Returns the item that takes what is said there."""
        items = self._parts.setdefault(place, [])
        if items and not items[-1].done:
            return items[-1]
        latest = self._latest
        if latest is not None and latest not in self._announced:
            self._parts[latest][-1].done = True  # parts come one after another
        left = {key: self.raw[key] for key in ("id", "phase") if self.raw.get(key)}
        ext: Ext = {"responses": left} if left else {}
        part: Part = Refusal(ext=ext) if place[0] == "refusal" else Text("", ext, apart=latest is None)
        items.append(item := self._sequence.push(part, done=False))
        self._latest = place
        return item

    def _add(self, place: _Place, text: str) -> None:
        """Adds what is missing there."""
        item = self._part(place)
        item.half = ""  # the half is among what is missing
        self._sequence.say(item, text)

    def _said_of(self, kind: str) -> str:
        return "".join(_text_of(items) for (known, _), items in self._parts.items() if known == kind)

    def _end(self, raw: Raw) -> None:
        told = {kind: self._said_of(kind) for kind in ("text", "refusal")}
        at = dict.fromkeys(told, 0)
        for part in list_of(raw, "content"):
            if type(part) is dict and not part.keys() <= _PART:
                self.beyond |= said_beyond(part, _PART)
        for i, (kind, text, notes, likely) in enumerate(_parts_of(raw)):
            before = told[kind][at[kind] : at[kind] + len(text) + 1]  # of what is said beyond this part, one character
            at[kind] += len(text)
            if not before.startswith(text) and text.startswith(before):  # else all of it was said, or something else
                last = self._last(kind) if before else None
                self._add(last or self._free_place(kind, i), text[len(before) :])
            if notes:
                self.noted(i, notes)
            if likely:
                self.likely(i, likely, anew=True)
        for items in self._parts.values():
            items[-1].done = True

    def _last(self, kind: str) -> _Place | None:
        return next((place for place in reversed(self._parts) if place[0] == kind), None)

    def _free_place(self, kind: str, index: int) -> _Place:
        while (kind, index) in self._parts:
            index += 1
        return kind, index


def _text_of(items: list[Item]) -> str:
    return items[0].text() if len(items) == 1 else "".join(item.text() for item in items)


def _parts_of(raw: Raw) -> list[tuple[str, str, list[Any], list[Any]]]:
    """Returns (kind, text, annotations, logprobs) of a message's parts."""
    found: list[tuple[str, str, list[Any], list[Any]]] = []
    content = raw.get("content")
    parts = content if isinstance(content, list) else [content]  # a lone text, with some servers
    for part in [{"text": part} if isinstance(part, str) else part for part in parts]:
        if isinstance(part, dict):
            kind = "refusal" if part.get("type") == "refusal" else "text"
            found.append((kind, text_of(part, kind), list_of(part, "annotations"), list_of(part, "logprobs")))
    return found
