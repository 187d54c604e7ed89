"""Parts of a reply in sequence: however they arrive, they leave one at a time.

Parts wait in a queue and only its head is open: its text goes straight through. Text and thinking are complete as soon
as something else begins, a tool call once its arguments are a JSON object, or at the end. Thus calls that arrive
interleaved leave one after the other, and calls that arrive in order do not wait. Start is held back until something
opens, so that a reply which begins with an error can still be answered with a real status. A tool call opens with its
first argument, or when it is known to have none.

Nothing is closed that is not whole: a reply that broke off ends with its Fault alone, whatever is open, since
clients run a tool call as soon as it is closed. A call whose arguments are no JSON object, or that has no name, is a
Fault, too, whatever the server calls the end, but where it says that the reply was cut (by its length, or by a filter):
then clients are told so. A call of which no argument had come until then would look like one that takes none, and is
left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from msgspec import Struct, field

from translate.conversation import Close, Delta, Event, Fault, Open, Part, Start, Stop, StopReason, Thinking, ToolCall
from translate.failures.errors import BadReply
from translate.json import wire
from translate.streams.repeats import ArgumentRepeats, TextRepeats

CUT: frozenset[StopReason] = frozenset({"length", "context_overflow", "refusal", "pause"})
"""Why a reply may end within a call."""


def broken_call(call: ToolCall) -> BadReply:
    """Returns the error that a reply is whose call nobody may run, though it ends as if all were well."""
    if not call.name:
        return BadReply("the upstream's reply holds a tool call without a name")
    return BadReply(f"the upstream's call of the tool '{call.name[:100]}' ends with arguments that are no JSON object")


_LONGEST = 12  # bytes of a character: two escapes


def said_of(text: str, items: Iterable[Item]) -> int:
    """Returns how many characters these parts have, if they are the beginning of `text`, or all of it; else -1. Parts
    that are longer are not looked at: a server may say a short text many times."""
    most = _LONGEST * len(text)
    read: list[Item] = []
    for item in items:
        most -= item.size()
        if most < 0:
            return -1
        read.append(item)
    before = "".join([item.text() for item in read])
    return len(before) if text.startswith(before) else -1


class Item(Struct, eq=False):
    """A part on its way. `waiting`: what came for it while another part was open. `repeats`: remembers what came, to
    find what is new. half: the first half of a character of two, until the other comes. done: has the server said that
    the part is complete; None where its protocol does not say so."""

    part: Part
    repeats: TextRepeats | ArgumentRepeats
    waiting: list[bytes] = field(default_factory=list)
    close: Close = field(default_factory=Close)
    done: bool | None = None
    half: str = ""
    _at: int = 0  # where in `repeats` it begins
    _before: int = 0  # the same in characters, once it was asked for

    def __post_init__(self) -> None:
        self._at = len(self.repeats.whole())

    def is_complete(self) -> bool:
        if self.done is not None:
            return self.done and not self.is_broken()
        return not isinstance(self.repeats, ArgumentRepeats) or self.repeats.ended

    def is_broken(self) -> bool:
        """Tells whether it is a tool call that nobody may run: its arguments have begun and are no whole JSON object,
        or it has no name."""
        repeats = self.repeats
        if not isinstance(self.part, ToolCall) or self.is_bare():
            return False
        return not self.part.name or (isinstance(repeats, ArgumentRepeats) and not (repeats.ended or repeats.wraps))

    def is_bare(self) -> bool:
        """Tells whether it is a tool call of which no argument came."""
        repeats = self.repeats
        has_begun = repeats.said or self.half or (isinstance(repeats, ArgumentRepeats) and repeats.begun)
        return isinstance(self.part, ToolCall) and not has_begun

    def is_nameless(self) -> bool:
        return isinstance(self.part, ToolCall) and not self.part.name

    def is_nothing(self) -> bool:
        """Tells whether it is a tool call of which neither a name nor an argument ever came."""
        return self.is_bare() and self.is_nameless()

    def before(self) -> int:
        """Returns how many characters earlier parts of its kind have."""
        if self._at and not self._before:
            self._before = len(wire.text_of([self.repeats.whole()[: self._at]]))
        return self._before

    def size(self) -> int:
        """Returns how many bytes were said of it."""
        return self.repeats.size() - self._at

    def text(self) -> str:
        """Returns all that was said of it."""
        return wire.text_of([self.repeats.whole()[self._at :]])


class Sequence:
    """Takes parts by `push` and `grow`, and then `finish` or `abandon`; `take` gives the events so far."""

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
        """Returns the event that is still held back."""
        return self._start

    @property
    def is_empty(self) -> bool:
        return self._start is not None and not self._items

    @property
    def alone(self) -> Item | None:
        """Returns the open part, None where another one waits."""
        return self._open if len(self._items) == 1 else None

    def last(self, kind: type[Part]) -> Item | None:
        """Returns the last part if it is of this kind and may still grow; a signed or sealed part may not."""
        if not self._items:
            return None
        item = self._items[-1]
        if type(item.part) is not kind or (isinstance(item.part, Thinking) and item.part.encrypted):
            return None
        return None if item.close.signature else item

    def push(self, part: Part, done: bool | None = None, repeats: TextRepeats | None = None) -> Item:
        """Begins a part. done: as in Item. repeats: of parts of this kind that have been before."""
        if self._items:
            last = self._items[-1]
            if not isinstance(last.part, ToolCall) or (last.is_complete() and not last.repeats.said):
                self._settle(last)  # calls go on beside one another, but for one that takes nothing
        is_call = isinstance(part, ToolCall) and not part.custom
        item = Item(part, ArgumentRepeats() if is_call else repeats or TextRepeats(), done=done)
        self._items.append(item)
        self.advance()
        return item

    def say(self, item: Item, text: str) -> bytes:
        """Adds text to a part. Returns the piece, b"" where nothing was added to the open part."""
        text, item.half = wire.held_back(item.half + text)
        if not text:
            return b""
        piece = wire.inside(text)
        self.grow(item, [piece])
        return piece if item is self._open else b""

    def grow(self, item: Item, pieces: list[bytes]) -> None:
        """Adds pieces to a part that has no half a character."""
        repeats = item.repeats
        if len(pieces) == 1 and len(pieces[0]) < repeats.floor and not (repeats.telling and repeats.telling(pieces[0])):
            repeats.said += pieces
            if len(repeats.said) > repeats.crowded:
                repeats.gather()
        elif not (pieces := repeats.fresh(pieces)):
            return
        if item is not self._open:
            item.waiting += pieces
            if self._items and item is self._items[0]:
                self.advance()
            return
        last = self._out[-1] if self._out else None
        if isinstance(last, Delta):
            last.pieces += pieces
        else:
            self._out.append(Delta(pieces))
        if len(self._items) > 1 and b"}" in pieces[-1]:  # perhaps the end of the call others wait for
            self.advance()

    def advance(self) -> None:
        """Opens the head; closes it and goes on while it is complete and something waits behind it."""
        while self._items:
            head = self._items[0]
            if head is not self._open:
                if isinstance(head.part, ToolCall) and not (head.part.name and (head.waiting or head.done)):
                    return  # its name, or its first argument, has not come yet
                self._show(head)
            if not head.is_complete() or (len(self._items) == 1 and head.done is None):
                return
            self._shut()

    def finish(self, event: Event) -> None:
        """Ends a complete reply: what still waits goes out in sequence, then `event`."""
        is_cut = isinstance(event, Stop) and event.reason in CUT
        broken = None if is_cut else next((item.part for item in self._items if item.is_broken()), None)
        if isinstance(broken, ToolCall):
            self.abandon(Fault(broken_call(broken)))
            return
        while self._items:
            item = self._items[0]
            if item.is_nameless() or (is_cut and len(self._items) == 1 and not item.done and item.is_bare()):
                self._items.popleft()
                continue
            if item is not self._open:
                self._show(item)
            self._shut()
        self._begin()
        self._out.append(event)

    def abandon(self, event: Event) -> None:
        """Ends a reply that broke off: what is open stays open, and what waits behind it is not given out."""
        self._open = None
        self._items.clear()
        self._out.append(event)

    def _settle(self, item: Item) -> None:
        """Ends a part: what was kept back of it is all there is."""
        pieces = item.repeats.rest()
        if item.half:
            pieces.append(wire.LOST)
            item.half = ""
        if pieces and item is self._open:
            self._out.append(Delta(pieces))
        elif pieces:
            item.waiting += pieces

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
        item = self._items[0]
        self._settle(item)
        self._items.popleft()
        self._open = None
        self._out.append(item.close)
