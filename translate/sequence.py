"""Parts of a reply in sequence: however they arrive, they leave one at a time.

Parts wait in a queue and only its head is open: its text goes straight through. Text and thinking are
complete as soon as something else begins, a tool call once its arguments are a JSON object, or at the end.
Thus calls that arrive interleaved leave one after the other, and those that arrive so are not held up.
Start is held back until something opens, so that a reply which begins with an error can still be answered
with a real status.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from translate import wire
from translate.conversation import Close, Delta, Event, Open, Part, Start, Text, Thinking, ToolCall


@dataclass(slots=True)
class Item:
    """A part on its way. `waiting` is what came of it while another part was open; `written` all of a tool
    call's arguments, to tell whether they are complete, and of a thought, which may be repeated when signed.
    done: has the server said that the part is complete; None where its protocol does not say so."""

    part: Part
    waiting: list[bytes] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    close: Close = field(default_factory=Close)
    done: bool | None = None

    def is_complete(self) -> bool:
        if self.done is not None:
            return self.done
        return not isinstance(self.part, ToolCall) or wire.is_object(self.written)

    def is_cut(self) -> bool:
        """A tool call whose arguments have begun and are no JSON object: nobody may run it."""
        is_free = isinstance(self.part, ToolCall) and self.part.custom
        return bool(self.written) and not is_free and not wire.is_object(self.written)

    def is_nothing(self) -> bool:
        """A tool call of which neither a name nor an argument ever came."""
        return isinstance(self.part, ToolCall) and not self.part.name and not self.written


class Sequence:
    """push(part) and grow(item, pieces); finish() or abandon() at the end; take() gives the events so far."""

    __slots__ = ("_items", "_open", "_out", "_start")

    def __init__(self) -> None:
        self._out: list[Event] = []
        self._start: Start | None = Start()
        self._items: deque[Item] = deque()
        self._open: Item | None = None

    def __repr__(self) -> str:
        part = type(self._open.part).__name__ if self._open else "nothing"
        return f"<Sequence {part} open, {len(self._items)} in all>"

    @property
    def start(self) -> Start | None:
        """The event that is still held back."""
        return self._start

    @property
    def is_empty(self) -> bool:
        return self._start is not None and not self._items

    @property
    def alone(self) -> Item | None:
        """The open part, where no other waits."""
        return self._open if len(self._items) == 1 else None

    def last(self, kind: type[Part]) -> Item | None:
        """The last part, where it is of this kind and may still grow: not one that was signed or sealed."""
        if not self._items:
            return None
        item = self._items[-1]
        if type(item.part) is not kind or (isinstance(item.part, Thinking) and item.part.encrypted):
            return None
        return None if item.close.signature else item

    def push(self, part: Part, done: bool | None = None) -> Item:
        item = Item(part, done=done)
        self._items.append(item)
        self.advance()
        return item

    def grow(self, item: Item, pieces: list[bytes]) -> None:
        if not isinstance(item.part, Text) or item.done is not None:
            item.written += pieces
        if item is not self._open:
            item.waiting += pieces
            return
        last = self._out[-1] if self._out else None
        if isinstance(last, Delta):
            last.pieces += pieces
        else:
            self._out.append(Delta(pieces))
        if len(self._items) > 1 and pieces[-1].endswith(b"}"):  # perhaps the end of the call others wait for
            self.advance()

    def advance(self) -> None:
        """Opens the head; closes it and goes on while it is complete and something waits behind it."""
        while self._items:
            head = self._items[0]
            if head is not self._open:
                if isinstance(head.part, ToolCall) and not head.part.name:
                    return  # its name is still to come
                self._show(head)
            if not head.is_complete() or (len(self._items) == 1 and head.done is None):
                return
            self._shut()

    def finish(self, event: Event) -> None:
        """The reply is complete: what still waits goes out in sequence, then `event`."""
        while self._items:
            item = self._items[0]
            if item.is_nothing():
                self._items.popleft()
                continue
            if item is not self._open:
                self._show(item)
            self._shut()
        self._begin()
        self._out.append(event)

    def abandon(self, event: Event) -> None:
        """The reply broke off: the open part is closed, what waits behind it is not the client's any more."""
        if self._open is not None:
            self._shut()
        self._items.clear()
        self._out.append(event)

    def take(self) -> list[Event]:
        events, self._out = self._out, []
        return events

    def _begin(self) -> None:
        if self._start is not None:
            self._out.append(self._start)
            self._start = None

    def _show(self, item: Item) -> None:
        self._begin()
        self._open = item
        self._out.append(Open(item.part))
        if item.waiting:
            self._out.append(Delta(item.waiting))
            item.waiting = []

    def _shut(self) -> None:
        item = self._items.popleft()
        self._open = None
        self._out.append(item.close)
