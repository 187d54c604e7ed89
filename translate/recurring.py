"""Remembers what comes again with each request of a conversation: its messages, its tools, the blocks of its
instructions.

A coding agent sends the whole conversation with each turn: hundreds of kilobytes, of which only the end is new. So the
results for a part of a request are kept, by the part's bytes. `loads` gives the same object for the same bytes, a
`Recurring`; `each` gives what was read of it then; and what an encoder has written of that is kept with it (Draft.of).
All of this equals what would be made anew. Nobody may change it.

The memory has two halves: what is used moves to the new half; when that is full, the old half is dropped. It is for one
thread.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from translate.json import wire

LEAST_BODY = 16 * 1024  # bytes: for a smaller body, this costs more than it saves
LEAST_AVERAGE = 256  # bytes: if the parts are smaller on average, reading them is quicker than looking them up
LEAST, MOST = 48, 256 * 1024  # bytes of a part that is kept
TIMES = 9  # a part, with all that is made of it, takes at most so many times its bytes (6 for one upstream)
_WITHIN = ("content", "parts")  # members of messages that hold parts
_LISTS = frozenset(("messages", "tools", "system", "input", "contents"))  # members of requests that have such parts

_members = msgspec.json.Decoder(dict[str, list[msgspec.Raw] | dict[str, Any] | str | int | float | bool | None]).decode
_encode = msgspec.json.Encoder().encode
_REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)

Made = TypeVar("Made")


class Turn(Protocol):
    """What is remembered of a conversation.Turn."""

    known: dict[Any, Any] | None


Turned = TypeVar("Turned", bound=Turn)


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
    if parts := {name: raws for name in _LISTS if (raws := _raws(body.get(name)))}:
        try:
            return _encode(body | parts)
        except _REFUSED:
            pass  # a part that is new has something that is no plain JSON
    return wire.dumps(body)


def _raws(items: Any) -> list[Any]:
    """The list with the JSON of what was written before; [] where nothing was."""
    if found := _own(items):
        return found
    for name in _WITHIN if type(items) is list else ():  # messages whose blocks were
        found = [_own(item.get(name)) if type(item) is dict else [] for item in items]
        if any(found):
            return [item | {name: raws} if raws else item for item, raws in zip(items, found, strict=True)]
    return []


def _own(items: Any) -> list[Any]:
    if type(items) is not list or Written not in map(type, items):
        return []
    return [item.raw if type(item) is Written else item for item in items]


class Memory:
    """most: bytes of the parts in each half, 0 = keeps nothing."""

    def __init__(self, most: int = 0) -> None:
        self.most = most
        self._new: dict[bytes, Recurring] = {}
        self._old: dict[bytes, Recurring] = {}
        self._size = self._before = 0  # bytes of the parts in the new half, and the old one

    def __repr__(self) -> str:
        return f"<Memory of {len(self._new)} and {len(self._old)} parts, {self._size} of {self.most} bytes>"

    @property
    def taken(self) -> int:
        """Bytes that all of it takes, at most."""
        return TIMES * (self._size + self._before)

    def resize(self, most: int) -> None:
        """most: bytes that all of it may take."""
        self.most = most // (2 * TIMES)
        if not self.most:
            self.age()
            self.age()

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
            if self._size + len(raw) > self.most:
                self.age()
            self._size += len(raw)
            self._new[raw] = found
        return found

    def age(self) -> None:
        """Drops what was not used since the last call. What was made of a part may hold the part itself; such a ring is
        opened, since the garbage collector seldom runs."""
        for raw, part in self._old.items():
            if raw not in self._new:
                part.made.clear()
        self._old, self._new = self._new, {}
        self._before, self._size = self._size, 0


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


def each(items: list[Any], read: Callable[[Any, str], Turned], where: str) -> list[Turned]:
    """read(item, "WHERE.NUMBER") of all of them. What is made of what comes twice in one request is not the same
    object: who works on it may tell the one from the other by that. Raises what `read` does."""
    if Recurring not in map(type, items):
        return [read(item, f"{where}.{number}") for number, item in enumerate(items)]
    given: set[int] = set()
    return [one(item, read, f"{where}.{number}", given) for number, item in enumerate(items)]


def one(item: Any, read: Callable[[Any, str], Turned], where: str, given: set[int]) -> Turned:
    """The same of one item. given: the objects that were made for this request; this one is added."""
    if type(item) is not Recurring:
        return read(item, where)
    made = part_of(item, read, where, given)
    if made.known is None and item.made[read] is made:
        made.known = {}
    return made


def part_of(item: Any, read: Callable[[Any, str], Made], where: str, given: set[int]) -> Made:
    """The same of an item that becomes a part of a turn."""
    if type(item) is not Recurring:
        return read(item, where)
    made: Any = item.made.get(read)
    if made is None:
        made = item.made[read] = read(item, where)
    elif id(made) in given:
        made = read(item, where)
    given.add(id(made))
    return made  # type: ignore[no-any-return]  # what it was made by says so


def gathered(turns: list[Turned], sources: list[list[Any]], given: set[int]) -> None:
    """Puts in the place of turns those that were made before of the same items. sources: the items of each turn; with
    one among them that is not Recurring a turn is not remembered. What a turn holds must depend on them alone."""
    if not given:  # nothing recurs
        return
    for at, items in enumerate(sources):
        if turns[at].known is not None or any(type(item) is not Recurring for item in items):
            continue
        own = items[-1].made  # the last one of a turn is a call or a result, whose id no other has
        before = own.get(gathered)
        if before is not None and len(before[0]) == len(items) and all(map(operator.is_, before[0], items)):
            if id(before[1]) not in given:
                turns[at] = before[1]
        else:
            turns[at].known = {}
            own[gathered] = items, turns[at]
        given.add(id(turns[at]))
