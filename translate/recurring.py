"""What comes again with each request of a conversation: its messages, its tools, the blocks of its instructions.

A coding agent sends all of a conversation with each turn: hundreds of kilobytes, of which only the end is new. So what
was made of a part of a request is kept, by the part's bytes: `loads` gives the same object for the same bytes, a
`Recurring`, and `each` what was read of it then; what an encoder has written of that is kept with it (Draft.of). All of
this is the same as if it were made anew. Nobody may change it.

The memory has two halves: what is used moves to the new one; when that is full the old one goes. It is for one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from translate import wire

LEAST_BODY = 16 * 1024  # bytes of a body from which on this costs less than it saves
LEAST_AVERAGE = 256  # of a body of smaller parts, each is read in less time than it is looked for
LEAST, MOST = 48, 256 * 1024  # bytes of a part that is kept
TIMES = 6  # as much memory as its bytes are takes a part, with all that is made of it
_LISTS = frozenset(("messages", "tools", "system", "input", "contents"))  # members of requests that have such parts

_members = msgspec.json.Decoder(
    dict[str, list[msgspec.Raw] | dict[str, Any] | str | int | float | bool | None]
).decode
_encode = msgspec.json.Encoder().encode
_REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)

Made = TypeVar("Made")


class Recurring(dict[str, Any]):
    """A part of a request. made: what was read of it, by who reads."""

    __slots__ = ("made",)

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__(said)
        self.made: dict[Any, Any] = {}


class Written(dict[str, Any]):
    """A part of an upstream's request that was written before. raw: its JSON."""

    __slots__ = ("raw",)

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__(said)
        self.raw = msgspec.Raw(wire.dumps(said))


def written(out: Any) -> Any:
    """The same, in a form that need not be written again: an object, or a list of objects."""
    if type(out) is list:
        return [Written(said) for said in out]
    return Written(out) if type(out) is dict else out


def dumps(body: dict[str, Any]) -> bytes:
    """The same as wire.dumps() of it, which may hold what was written before."""
    parts = {
        name: [item.raw if type(item) is Written else item for item in body[name]]
        for name in _LISTS
        if type(body.get(name)) is list and Written in map(type, body[name])
    }
    if parts:
        try:
            return _encode(body | parts)
        except _REFUSED:
            pass  # a part that is new has something that is no plain JSON
    return wire.dumps(body)


class Memory:
    """most: bytes of the parts in each half, 0 = keeps nothing."""

    def __init__(self, most: int = 0) -> None:
        self.most = most
        self._new: dict[bytes, Recurring] = {}
        self._old: dict[bytes, Recurring] = {}
        self._size = 0

    def __repr__(self) -> str:
        return f"<Memory of {len(self._new)} and {len(self._old)} parts, {self._size} of {self.most} bytes>"

    def resize(self, most: int) -> None:
        """most: bytes that all of it may take."""
        self.most = most // (2 * TIMES)
        if not self.most:
            self._old, self._new, self._size = {}, {}, 0

    def part(self, raw: bytes) -> Any:
        """The value of these bytes. Raises ValueError."""
        found = self._new.get(raw)
        if found is None:
            found = self._old.get(raw)
            if found is None:
                said = wire.loads(raw)
                if not isinstance(said, dict):
                    return said
                found = Recurring(said)
            self._size += len(raw)
            if self._size > self.most:
                self.age()
                self._size = len(raw)
            self._new[raw] = found
        return found

    def age(self) -> None:
        """What was not used since the last time goes."""
        self._old, self._new, self._size = self._new, {}, 0


MEMORY = Memory()


def loads(body: bytes) -> Any:
    """The same value as of wire.loads(). Raises ValueError."""
    if MEMORY.most and len(body) >= LEAST_BODY:
        try:
            said: dict[str, Any] = _members(body)
            lists = {name: value for name, value in said.items() if type(value) is list}
            if sum(map(len, lists.values())) * LEAST_AVERAGE <= len(body):
                for name, items in lists.items():
                    said[name] = _list(items, MEMORY.part if name in _LISTS else wire.loads)
                return said
        except _REFUSED:
            pass  # whoever reads all of it says what is wrong, and where
    return wire.loads(body)


def _list(items: list[msgspec.Raw], part: Callable[[bytes], Any]) -> list[Any]:
    return [part(raw) if LEAST <= len(raw) <= MOST else wire.loads(raw) for raw in map(bytes, items)]


def of(part: Any, read: Callable[[Any], Made]) -> Made:
    """read(part), from memory where it can be."""
    if type(part) is not Recurring:
        return read(part)
    made = part.made
    if read not in made:
        made[read] = read(part)
    found: Made = made[read]
    return found


def each(items: list[Any], read: Callable[[Any, str], Made], where: str) -> list[Made]:
    """read(item, "WHERE.NUMBER") of all of them. What is made of what comes twice in one request is not the same
    object: who works on it may tell the one from the other by that. Raises what `read` does."""
    out: list[Made] = []
    given: set[int] = set()
    for number, item in enumerate(items):
        made: Any = item.made.get(read) if type(item) is Recurring else None
        if made is None or id(made) in given:
            again = made is not None
            made = read(item, f"{where}.{number}")
            if type(item) is Recurring and not again:
                item.made[read] = made
                made.known = {}
        given.add(id(made))
        out.append(made)
    return out
