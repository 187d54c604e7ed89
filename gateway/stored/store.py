"""The responses of late, so that a client may build on one by naming it (previous_response_id) or ask for it again.

Used where no upstream keeps them: for replies that were translated, and for websocket sessions. An entry is a
response and all the input before it, as pieces of JSON. A chain of responses shares the pieces of its beginning, so
that each is held, and counted, once; and an entry outlives those that it was built on. Number, bytes and age are
bounded, the oldest go first. Every entry has an owner, and nobody else finds it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from translate import wire

ENTRY_BYTES = 600  # what an entry costs besides its pieces: its id, two dictionaries' slots, objects
PLACE_BYTES = 8  # a place in an entry's list of pieces
ANYONE = "*"
MAX_PLACES = 65_536  # ids of which it is known where they went


class Piece:
    """Items of an input or output: JSON, with commas between and without the brackets around."""

    __slots__ = ("data", "users")

    def __init__(self, items: list[Any]) -> None:
        self.data = wire.dumps(items)[1:-1]
        self.users = 0  # entries and drafts that hold it

    def __repr__(self) -> str:
        return f"<Piece {len(self.data)} bytes, {self.users} users>"


class Entry:
    """before: all input items; output: the response's own. body: the rest of the response, for who asks for it
    again; b"" for one that must not be told (store: false). until: clock seconds."""

    __slots__ = ("before", "body", "id", "output", "owner", "until")

    def __init__(self, owner: str, before: tuple[Piece, ...]) -> None:
        self.owner = owner
        self.id = ""
        self.before = before
        self.output = Piece([])
        self.body = b""
        self.until = 0.0

    def __repr__(self) -> str:
        return f"<Entry {self.id or 'draft'} of {len(self.before)} pieces>"

    def history(self) -> list[Any]:
        """Input and output items, in order: what a request that builds on this one has before its own."""
        return _items((*self.before, self.output))

    def input_items(self) -> list[Any]:
        return _items(self.before)

    def output_items(self) -> list[Any]:
        return _items([self.output])

    def response(self) -> dict[str, Any]:
        """The response as it was, with its output."""
        response: dict[str, Any] = wire.loads(self.body)
        return response | {"output": _items([self.output])}


class Memory:
    """draft() when a request is sent; then keep() with its response, or drop()."""

    def __init__(
        self, max_entries: int, max_bytes: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """seconds: an entry's age at most. max_entries 0: nothing is kept."""
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[tuple[str, str], Entry] = OrderedDict()  # by age
        self._places: OrderedDict[str, tuple[str, str, str]] = OrderedDict()  # id -> (owner, upstream, key)
        self.bytes = 0
        self.shared = False  # several clients use the upstreams' keys: what is not known to be one's own is not

    def __repr__(self) -> str:
        return f"<Memory of {len(self._entries)} responses, {self.bytes} bytes>"

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def holds(self) -> bool:
        """Whether anything is kept at all."""
        return self._max_entries > 0

    def resize(self, max_entries: int, max_bytes: int, seconds: float) -> None:
        """Other bounds; what is above them goes. The age holds for what comes from now on."""
        self._max_entries, self._max_bytes, self._seconds = max_entries, max_bytes, seconds
        while len(self._entries) > max_entries:
            self._remove(next(iter(self._entries)))
        self._fits()

    def find(self, owner: str, id: str) -> Entry | None:
        self.expire()
        entry = self._entries.get((owner, id))
        return entry if entry is not None and entry.until > self._clock() else None

    def draft(self, owner: str, on: Entry | None, items: list[Any]) -> Entry | None:
        """A request is on its way. on: what it builds on. items: its own input. None where there is no room for it:
        the response will not be found again."""
        if not self._max_entries:
            return None
        self.expire()
        draft = Entry(owner, (*on.before, on.output, Piece(items)) if on else (Piece(items),))
        self.bytes += ENTRY_BYTES + PLACE_BYTES * len(draft.before)
        for piece in draft.before:
            self._use(piece)
        if self._fits():
            return draft
        self.drop(draft)
        return None

    def keep(self, draft: Entry, response: dict[str, Any], tell: bool) -> None:
        """The draft's response has come. tell: get it again by its id, not only build on it. A response without an
        id of its own is dropped, and so is one that there is no room for."""
        id, output = response.get("id"), response.get("output")
        if not isinstance(id, str) or not id or not isinstance(output, list):
            self.drop(draft)
            return
        if (draft.owner, id) in self._entries:  # a server that gives every response one id: the last is meant
            self._remove((draft.owner, id))
        draft.id = id
        draft.output = Piece(output)
        self._use(draft.output)
        if tell:
            draft.body = wire.dumps({key: value for key, value in response.items() if key != "output"})
            self.bytes += len(draft.body)
        draft.until = self._clock() + self._seconds
        self._entries[draft.owner, id] = draft
        while len(self._entries) > self._max_entries:
            self._remove(next(iter(self._entries)))
        self._fits()

    def given(self, owner: str, id: str) -> dict[str, Any] | None:
        """An entry as another worker can `take` it."""
        entry = self.find(owner, id)
        if entry is None:
            return None
        return {
            "id": id,
            "before": entry.input_items(),
            "output": entry.output_items(),
            "body": wire.loads(entry.body) if entry.body else None,
            "seconds": entry.until - self._clock(),
        }

    def take(self, owner: str, given: dict[str, Any]) -> None:
        draft = self.draft(owner, None, given["before"])
        if draft is None:
            return
        response = (given["body"] or {}) | {"id": given["id"], "output": given["output"]}
        self.keep(draft, response, given["body"] is not None)
        draft.until = min(draft.until, self._clock() + given["seconds"])

    def drop(self, draft: Entry) -> None:
        """No response came of it."""
        self.bytes -= ENTRY_BYTES + PLACE_BYTES * len(draft.before) + len(draft.body)
        for piece in draft.before:
            self._leave(piece)
        if draft.id:
            self._leave(draft.output)

    def delete(self, owner: str, id: str) -> bool:
        """False: there is none."""
        found = self.find(owner, id) is not None
        if found:
            self._remove((owner, id))
        return found

    def forget(self, owner: str) -> None:
        """All of an owner's: a websocket session has ended."""
        for key in [key for key in self._entries if key[0] == owner]:
            self._remove(key)

    def expire(self) -> None:
        """The old ones go."""
        now = self._clock()
        while self._entries and next(iter(self._entries.values())).until <= now:
            self._remove(next(iter(self._entries)))

    # ---------------------------------------------------------------------- where others' responses are kept

    def went(self, id: str, owner: str, upstream: str, key: str = "") -> None:
        """A response of an upstream that keeps its own has passed to a client. owner: ANYONE where the upstream tells
        them apart itself. key: the name of the upstream's key that it was made with; others may not see it."""
        self._places[id] = (owner, upstream, key)
        if len(self._places) > MAX_PLACES:
            self._places.popitem(last=False)

    def place(self, id: str) -> tuple[str, str] | None:
        """(owner, upstream), or None for one that is not known or too long ago."""
        place = self._places.get(id)
        return place[:2] if place is not None else None

    def key(self, id: str) -> str:
        """The name of the key that it was made with, "" where that is not known."""
        place = self._places.get(id)
        return place[2] if place is not None else ""

    def is_anothers(self, id: str, owner: str) -> bool:
        """Whether it must be taken for somebody else's. An upstream sees one key for all clients, so that where there
        are several, one that has come by too long ago, or before a restart, might be anybody's."""
        place = self._places.get(id)
        return self.shared if place is None else place[0] not in (owner, ANYONE)

    # ------------------------------------------------------------------------------------------ accounts

    def _fits(self) -> bool:
        """Whether all is within bounds, once as many of the oldest have gone as it takes."""
        while self.bytes > self._max_bytes and self._entries:
            self._remove(next(iter(self._entries)))
        return self.bytes <= self._max_bytes

    def _remove(self, key: tuple[str, str]) -> None:
        self.drop(self._entries.pop(key))

    def _use(self, piece: Piece) -> None:
        if not piece.users:
            self.bytes += len(piece.data)
        piece.users += 1

    def _leave(self, piece: Piece) -> None:
        piece.users -= 1
        if not piece.users:
            self.bytes -= len(piece.data)


def items_of(given: Any) -> list[Any] | None:
    """The `input` of a request as items, or None for what is no input."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    return given if isinstance(given, list) else None


def _items(pieces: Iterable[Piece]) -> list[Any]:
    items: list[Any] = wire.loads(b"[%b]" % b",".join(piece.data for piece in pieces if piece.data))
    return items
