"""The response store: recent responses that a client may build on (previous_response_id) or ask for again.

It is for responses that no upstream keeps: translated ones, and those of websocket sessions. An entry is a response
with all the input before it, as pieces of JSON. The responses of one conversation share the pieces of its beginning, so
that each piece is in memory, and counted, once; and an entry may outlive those that it builds on. Number, bytes and age
are limited, and the oldest entries are removed first. Every entry has an owner, and nobody else can find it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from gateway.stored.fleet_responses import FleetResponses, name_of
from gateway.stored.owners import Owners
from operate.owner_store import Owned
from translate.json import wire

ENTRY_BYTES = 600  # the estimated memory of an entry without its pieces
POINTER_BYTES = 8  # the memory of one element of an entry's tuple of pieces
ANYONE = "*"
MAX_OWNED = 65_536  # for how many responses it is known here which upstream keeps them; of others the disk may know


class Piece:
    """Items of an input or output, as JSON with commas between them, without the brackets."""

    __slots__ = ("data", "users")

    def __init__(self, items: list[Any]) -> None:
        self.data = wire.dumps(items)[1:-1]
        self.users = 0  # how many entries and drafts use it

    def __repr__(self) -> str:
        return f"<Piece {len(self.data)} bytes, {self.users} users>"


class Entry:
    """A response in the store. before: all items of its input. output: its own items. body: the rest of the response,
    for clients that ask for it again; b"" = they may not (store: false). until: when it is removed, on the store's
    clock."""

    __slots__ = ("before", "body", "id", "output", "owner", "stays_here", "until")

    def __init__(self, owner: str, before: tuple[Piece, ...]) -> None:
        self.owner = owner
        self.stays_here = False  # it is a session's, or comes from another host
        self.id = ""
        self.before = before
        self.output = Piece([])
        self.body = b""
        self.until = 0.0

    def __repr__(self) -> str:
        return f"<Entry {self.id or 'draft'} of {len(self.before)} pieces>"

    def history(self) -> list[Any]:
        """All items of input and output, in order: a request that builds on this response has them before its own."""
        return _items((*self.before, self.output))

    def input_items(self) -> list[Any]:
        return _items(self.before)

    def output_items(self) -> list[Any]:
        return _items([self.output])

    def response(self) -> dict[str, Any]:
        """The whole response, with its output."""
        response: dict[str, Any] = wire.loads(self.body)
        return response | {"output": _items([self.output])}


class ResponseStore:
    """The store. For each request, draft() is called when it is sent, and then keep() with its response, or drop()."""

    def __init__(
        self, max_entries: int, max_bytes: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """seconds: how long an entry is kept. max_entries: 0 = nothing is kept."""
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[tuple[str, str], Entry] = OrderedDict()  # by age
        self._owned: OrderedDict[str, Owned] = OrderedDict()
        self.owners = Owners()  # the same, of longer ago
        self.fleet: FleetResponses | None = None  # what other hosts know
        self.bytes = 0
        # Whether several clients share the upstreams' keys: a response of unknown owner may then be another client's.
        self.shared = False

    def __repr__(self) -> str:
        return f"<ResponseStore of {len(self._entries)} responses, {self.bytes} bytes>"

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def holds(self) -> bool:
        """Whether the store keeps anything at all."""
        return self._max_entries > 0

    def resize(self, max_entries: int, max_bytes: int, seconds: float) -> None:
        """Takes over changed limits, and removes what is above them. The new age counts for new entries."""
        self._max_entries, self._max_bytes, self._seconds = max_entries, max_bytes, seconds
        while len(self._entries) > max_entries:
            self._remove(next(iter(self._entries)))
        self._fits()

    def find(self, owner: str, id: str) -> Entry | None:
        self.expire()
        entry = self._entries.get((owner, id))
        return entry if entry is not None and entry.until > self._clock() else None

    def draft(self, owner: str, on: Entry | None, items: list[Any]) -> Entry | None:
        """The entry of a request that is sent. on: the entry that it builds on. items: its own input. None if there is
        no room for it: then its response is not kept."""
        if not self._max_entries:
            return None
        self.expire()
        draft = Entry(owner, (*on.before, on.output, Piece(items)) if on else (Piece(items),))
        self.bytes += ENTRY_BYTES + POINTER_BYTES * len(draft.before)
        for piece in draft.before:
            self._use(piece)
        if self._fits():
            return draft
        self.drop(draft)
        return None

    def keep(self, draft: Entry, response: dict[str, Any], tell: bool) -> None:
        """Keeps the response of a draft. tell: a client may get it again by its id, and not only build on it. A
        response without an id, or without room for it, is dropped."""
        id, output = response.get("id"), response.get("output")
        if not isinstance(id, str) or not id or not isinstance(output, list):
            self.drop(draft)
            return
        if (draft.owner, id) in self._entries:  # a server that gives all responses the same id: the last one counts
            self._remove((draft.owner, id))
        draft.id = id
        draft.output = Piece(output)
        self._use(draft.output)
        if tell:
            draft.body = wire.dumps({key: value for key, value in response.items() if key != "output"})
            self.bytes += len(draft.body)
        draft.until = self._clock() + self._seconds
        self._entries[draft.owner, id] = draft
        if self.fleet is not None and not draft.stays_here:
            before = (piece.data for piece in draft.before)
            self.fleet.keeps(draft.owner, id, before, draft.output.data, draft.body)
        while len(self._entries) > self._max_entries:
            self._remove(next(iter(self._entries)))
        self._fits()

    def given(self, owner: str, id: str) -> dict[str, Any] | None:
        """An entry in the form that another worker can `take`."""
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
        """Keeps an entry of another worker, for the time that it has left."""
        draft = self.draft(owner, None, given["before"])
        if draft is None:
            return
        draft.stays_here = True
        response = (given["body"] or {}) | {"id": given["id"], "output": given["output"]}
        self.keep(draft, response, given["body"] is not None)
        draft.until = min(draft.until, self._clock() + given["seconds"])

    def drop(self, draft: Entry) -> None:
        """Drops a draft, or the entry that was made of it."""
        self.bytes -= ENTRY_BYTES + POINTER_BYTES * len(draft.before) + len(draft.body)
        for piece in draft.before:
            self._leave(piece)
        if draft.id:
            self._leave(draft.output)

    def delete(self, owner: str, id: str) -> bool:
        """Deletes a response; returns False if there is none."""
        found = self.find(owner, id) is not None
        if found:
            self._remove((owner, id))
        return found

    def delete_named(self, name: str) -> None:
        """Deletes a response that another host has deleted. name: see fleet_responses.py."""
        for owner, id in [key for key in self._entries if name_of(*key) == name]:
            self._remove((owner, id))

    def forget(self, owner: str) -> None:
        """Removes all entries of an owner, such as a websocket session that has ended."""
        for key in [key for key in self._entries if key[0] == owner]:
            self._remove(key)

    def expire(self) -> None:
        """Removes the entries that are too old."""
        now = self._clock()
        while self._entries and next(iter(self._entries.values())).until <= now:
            self._remove(next(iter(self._entries)))

    # ---------------------------------------------------------------------- responses that upstreams keep

    def went(self, id: str, owner: str, upstream: str, key: str = "") -> None:
        """Records that an upstream keeps a response. owner: ANYONE if the upstream itself tells the owners apart. key:
        the name of the upstream's key that made it; requests with other keys may not see it."""
        owned = Owned(owner, upstream, key)
        self.known(id, owned)
        self.owners.note(id, owned)
        if self.fleet is not None:
            self.fleet.went(id, owned)

    def known(self, id: str, owned: Owned) -> None:
        """Records what another worker or the disk knows."""
        self._owned[id] = owned
        if len(self._owned) > MAX_OWNED:
            self._owned.popitem(last=False)

    def noted(self, id: str) -> Owned | None:
        """Whose a response is that an upstream keeps, and which upstream; None if it is not known any more."""
        return self._owned.get(id)

    def is_anothers(self, id: str, owner: str) -> bool:
        """Whether a response must be treated as another owner's. An upstream sees one key for all clients; if there are
        several, a response of which nothing is known may be anybody's."""
        owned = self._owned.get(id)
        return self.shared if owned is None else owned.owner not in (owner, ANYONE)

    # ------------------------------------------------------------------------------------------ memory

    def _fits(self) -> bool:
        """Removes the oldest entries until the memory is within its limit; returns whether it is."""
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
    """The `input` of a request as items; None if it is not a valid input."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    return given if isinstance(given, list) else None


def _items(pieces: Iterable[Piece]) -> list[Any]:
    items: list[Any] = wire.loads(b"[%b]" % b",".join(piece.data for piece in pieces if piece.data))
    return items
