"""Which tool call of a Chat reply an entry goes on with. Servers number calls, name them, do both or neither."""

from __future__ import annotations

from translate.conversation import ToolCall
from translate.streams.repeats import ArgumentRepeats
from translate.streams.sequence import Item

LEGACY_INDEX = 1 << 20  # function_call has no index; no server counts as far as this


class Calls:
    """The calls of a reply so far."""

    __slots__ = ("_begun", "_by_id", "_indexes", "_renamed")

    def __init__(self) -> None:
        self._begun: dict[Item, int] = {}  # call -> the choice that began it
        self._by_id: dict[str, Item] = {}  # the first call of each id
        self._indexes: dict[int, Item] = {}
        self._renamed: set[Item] = set()  # calls whose name the server sends with each piece

    def __repr__(self) -> str:
        return f"<Calls {len(self._begun)}>"

    @property
    def are_any(self) -> bool:
        """Whether a name or an argument of any of them has come."""
        return any(not call.is_nothing() for call in self._begun)

    @property
    def take_legacy(self) -> bool:
        """Whether a function_call counts: else some servers say the same call in both ways."""
        return not self._begun or LEGACY_INDEX in self._indexes

    def free_id(self, id: str) -> str:
        """An id for a new call, as results name their call by it."""
        return f"{id}_{len(self._begun)}" if id and id in self._by_id else id

    def add(self, item: Item, index: int | None, id: str, choice: int) -> None:
        """choice: the number of the choice that begins the call."""
        self._begun[item] = choice
        self._by_id.setdefault(id, item)
        if index is not None:
            self._indexes[index] = item

    def rename(self, item: Item, id: str, name: str) -> bool:
        """Takes the name that an entry has for a known call. Returns whether the call had none before."""
        part = item.part
        if not isinstance(part, ToolCall):
            return False
        if not part.name:
            part.name, part.id = name, part.id or id
            self._by_id.setdefault(part.id, item)
            return True
        if item.is_bare() and not id and name != part.name:  # the name comes in pieces, too
            part.name = name if name.startswith(part.name) else part.name + name
        else:
            self._renamed.add(item)
        return False

    def find(self, index: int | None, id: str, name: str, piece: bytes, choice: int) -> Item | None:
        """Returns the call that an entry goes on with (or says once more), None where it begins one. choice: the number
        of the choice that the entry is of.

        An index counts unless it is reused: with another id and a name, or with a name alone after arguments that were
        complete. Without an index, a known id counts, unless the name comes again, with arguments (`piece`), after some
        that were complete: servers have called all calls of a reply the same. Else a name begins a call.
        """
        if not self._begun:
            return None
        if index is not None and (known := self._indexes.get(index)) is not None:
            part = known.part
            assert isinstance(part, ToolCall)
            if id and part.id:
                return None if name and id != part.id else known
            is_new = bool(name and part.name) and not id and known.is_complete()
            return None if is_new and not self._repeats(known, name, piece) else known
        if index is None and id and (item := self._by_id.get(id)) is not None:
            is_new = bool(name and piece) and item.is_complete()
            again = self._begun[item] < choice and _is_said(item, name, piece)
            return None if is_new and not again else item
        last = next(reversed(self._begun))
        if not name:
            return None if id and index is not None else last
        is_streamed = index is None and not id and len(last.repeats.said) > 1
        return last if is_streamed and _is_said(last, name, piece) else None

    def _repeats(self, call: Item, name: str, piece: bytes) -> bool:
        """Tells whether a call without an id is said once more: its arguments come all at once after they came piece by
        piece, or its name comes alone where it came with each piece before. Whole calls that are alike may be two."""
        if not piece:
            return call in self._renamed and _name_of(call) == name
        return len(call.repeats.said) > 1 and _is_said(call, name, piece)


def _name_of(call: Item) -> str:
    return call.part.name if isinstance(call.part, ToolCall) else ""


def _is_said(call: Item, name: str, piece: bytes) -> bool:
    """Tells whether the entry says all of the call once more."""
    return _name_of(call) == name and isinstance(call.repeats, ArgumentRepeats) and call.repeats.is_repeated_by(piece)
