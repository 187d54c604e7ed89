"""An upstream's output item, read as it grows: what the readers of all kinds have in common (see readers.py)."""

from __future__ import annotations

from typing import Any

from translate.conversation import Unknown
from translate.fields.leftovers import said_beyond
from translate.responses import media
from translate.streams.sequence import Item, Sequence, said_of

Raw = dict[str, Any]

_NOT_SAID = ("id", "status")  # the same item may come under another id

# What messages, reasoning and calls are known to say.
_ITEM = frozenset((
    "id", "type", "status", "role", "content", "phase", "agent", "summary", "encrypted_content", "call_id", "name",
    "namespace", "arguments", "input", "async", "caller", "created_by", "parsed_arguments",
))  # fmt: skip


class ItemReader:
    """An item of a kind that has no word here: it is told when it is whole."""

    __slots__ = ("_sequence", "beyond", "is_over", "raw")

    def __init__(self, raw: Raw, sequence: Sequence) -> None:
        self.raw = raw
        self.beyond: Raw = {}  # what it says besides what is read
        self.is_over = False
        self._sequence = sequence

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.raw.get('type')} over={self.is_over}>"

    @property
    def refused(self) -> bool:
        """Tells whether the item holds a refusal in words."""
        return False

    def may_be(self, raw: Raw) -> bool:
        """Tells whether it is perhaps the item that ends as `raw`. Servers number and name one item in several ways."""
        return raw.get("type") == self.raw.get("type")

    def is_said_by(self, raw: Raw) -> bool:
        """Tells whether `raw` says what this one has said, and maybe goes on."""
        own = {key: value for key, value in self.raw.items() if key not in _NOT_SAID}
        return self.may_be(raw) and self.is_over and own == {k: v for k, v in raw.items() if k not in _NOT_SAID}

    def is_renamed_as(self, raw: Raw) -> bool:
        """Tells whether `raw` says what this one has said, under ids made anew, as in vLLM's last events."""
        return False

    def say(self, kind: str, index: Any, text: str) -> bytes:
        """Adds to the text that `kind` names ("text", "refusal", "summary", "content", "arguments"). Returns the inside
        that was added, b"" for none."""
        return b""

    def whole(self, kind: str, index: Any, text: str) -> None:
        """Reads all of that text once more: what of it has not come yet is added."""

    def announced(self, kind: str, index: Any) -> None:
        """The part of this kind at `index` begins. It may be told in turns with others, until it is said to end."""

    def ended(self, kind: str, index: Any) -> None:
        """It has ended."""

    def noted(self, index: Any, notes: list[Any]) -> None:
        """Reads what the part at `index` cites. It comes before the next part begins, and the item's last word after
        that."""

    def note(self, index: Any, annotation: Any) -> None:
        """Reads one more thing that the part at `index` cites."""

    def likely(self, index: Any, tokens: list[Any], *, anew: bool = False) -> None:
        """Reads how likely tokens of the text at `index` were. anew: these are all of its tokens."""

    def over(self, raw: Raw) -> None:
        """Ends the item: it is complete, as `raw`."""
        if not self.is_over:
            self.is_over = True
            self._end(raw)
            if not raw.keys() <= _ITEM and type(self) is not ItemReader:
                self.beyond |= said_beyond(raw, _ITEM)
            self._sequence.advance()

    def fall_back(self) -> None:
        """Called at the end of the reply: if nothing else came, only the beginning of the item is known."""

    def _end(self, raw: Raw) -> None:
        self.raw = raw
        self._sequence.push(Unknown("responses", raw, parts=media.shown_in(raw)), done=True)

    def _grow(self, item: Item, text: str) -> bytes:
        return self._sequence.say(item, text) if text and not self.is_over else b""

    def _fill(self, item: Item, text: str) -> None:
        """Adds what is missing. text: all that the item says."""
        if 0 <= (size := said_of(text, (item,))) < len(text):
            item.half = ""  # the half is among what is missing
            self._sequence.say(item, text[size:])
