"""An upstream's output items, read as they grow.

One small class for each kind of item. What an item says piece by piece goes into the `Sequence` at once; its last
word (output_item.done, or the item in the terminal response) fills in what never came by a delta. Readers take
nothing for granted: any of an item's events may be missing.
"""

from __future__ import annotations

from typing import Any

from translate import seal, wire
from translate.conversation import Ext, Part, Refusal, Text, Thinking, ToolCall, Unknown
from translate.fields import list_of, text_of
from translate.responses.decode_items import said_in
from translate.sequence import Item, Sequence

Raw = dict[str, Any]

BETWEEN = "\n\n"  # two parts of a summary
_OWN_SEARCH = "xs_call_"  # xAI runs these itself, though they look like the client's custom tools


class Reader:
    """An item of a kind that has no word here: it is told when it is whole."""

    __slots__ = ("_sequence", "is_over", "raw")

    def __init__(self, raw: Raw, sequence: Sequence) -> None:
        self.raw = raw
        self.is_over = False
        self._sequence = sequence

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.raw.get('type')} over={self.is_over}>"

    @property
    def refused(self) -> bool:
        """Does it hold a refusal in words?"""
        return False

    def say(self, kind: str, index: Any, text: str) -> bytes:
        """More of the text that `kind` names ("text", "refusal", "summary", "content", "arguments"). The inside that
        was added, b"" for none."""
        return b""

    def whole(self, kind: str, index: Any, text: str) -> None:
        """All of that text, once more: what of it has not come yet counts."""

    def noted(self, index: Any, notes: list[Any]) -> None:
        """What the part at `index` cites: told before the next part begins, and the item's last word after it."""

    def over(self, raw: Raw) -> None:
        """The item is complete, as `raw`."""
        if not self.is_over:
            self.is_over = True
            self._end(raw)
            self._sequence.advance()

    def _end(self, raw: Raw) -> None:
        self._sequence.push(Unknown("responses", raw), done=True)

    def _grow(self, item: Item, text: str) -> bytes:
        if not text or self.is_over:
            return b""
        piece = wire.inside(text)
        self._sequence.grow(item, [piece])
        return piece

    def _fill(self, item: Item, text: str) -> None:
        """`text` is all that the item says: adds what is missing."""
        before = wire.text_of(item.written)
        if len(text) > len(before) and text.startswith(before):
            piece = wire.inside(text[len(before) :])
            self._sequence.grow(item, [piece])


class MessageReader(Reader):
    __slots__ = ("_parts",)

    def __init__(self, raw: Raw, sequence: Sequence) -> None:
        super().__init__(raw, sequence)
        self._parts: dict[int, Item] = {}

    @property
    def refused(self) -> bool:
        return any(isinstance(item.part, Refusal) for item in self._parts.values())

    def say(self, kind: str, index: Any, text: str) -> bytes:
        return self._grow(self._part(kind, index), text) if text and not self.is_over else b""

    def whole(self, kind: str, index: Any, text: str) -> None:
        if text and not self.is_over:
            self._fill(self._part(kind, index), text)

    def noted(self, index: Any, notes: list[Any]) -> None:
        if isinstance(index, int) and index in self._parts:
            self._parts[index].close.ext["responses"] = {"annotations": notes}

    def _part(self, kind: str, index: Any) -> Item:
        at = index if isinstance(index, int) else max(self._parts, default=0)
        item = self._parts.get(at)
        if item is None:
            for other in self._parts.values():
                other.done = True  # parts come one after the other
            left = {key: self.raw[key] for key in ("id", "phase") if self.raw.get(key)}
            ext: Ext = {"responses": left} if left else {}
            part: Part = Refusal(ext=ext) if kind == "refusal" else Text("", ext)
            item = self._parts[at] = self._sequence.push(part, done=False)
        return item

    def _end(self, raw: Raw) -> None:
        for i, part in enumerate(list_of(raw, "content")):
            if not isinstance(part, dict):
                continue
            kind = "refusal" if part.get("type") == "refusal" else "text"
            text = text_of(part, kind)
            if text:
                self._fill(self._part(kind, i), text)
            if notes := list_of(part, "annotations"):
                self.noted(i, notes)
        for item in self._parts.values():
            item.done = True


class ReasoningReader(Reader):
    """Text comes as the model's own words ("content") or as their summary; where both come, the first counts."""

    __slots__ = ("_index", "_item", "_kind")

    def __init__(self, raw: Raw, sequence: Sequence) -> None:
        super().__init__(raw, sequence)
        self._item: Item | None = None
        self._kind = ""
        self._index: Any = None

    def say(self, kind: str, index: Any, text: str) -> bytes:
        if not text or self.is_over or (self._kind and kind != self._kind):
            return b""
        if self._item is None:
            self._item = self._sequence.push(Thinking(), done=False)
            self._kind, self._index = kind, index
        elif index != self._index and kind == "summary":
            self._index = index
            self._grow(self._item, BETWEEN)
            self._grow(self._item, text)
            return b""
        return self._grow(self._item, text)

    def _end(self, raw: Raw) -> None:
        encrypted = seal.less_empty(text_of(raw, "encrypted_content") or text_of(self.raw, "encrypted_content"))
        text = said_in(raw)
        if text and self._item is None:
            self._item = self._sequence.push(Thinking(), done=False)
            self._fill(self._item, text)
        id = text_of(raw, "id")
        part = seal.thinking_in(encrypted, id, text)
        if self._item is not None:
            self._item.close.signature = part.signature or (seal.of_item(id, encrypted) if encrypted else "")
            self._item.done = True
        elif part.encrypted or part.signature:
            self._item = self._sequence.push(part, done=True)


class CallReader(Reader):
    __slots__ = ("_item", "_key")

    def __init__(self, raw: Raw, sequence: Sequence) -> None:
        super().__init__(raw, sequence)
        is_custom = raw.get("type") == "custom_tool_call"
        self._key = "input" if is_custom else "arguments"
        left = {"id": raw["id"]} if isinstance(raw.get("id"), str) else {}
        call = ToolCall(
            text_of(raw, "call_id") or text_of(raw, "id"),
            text_of(raw, "name"),
            ext={"responses": left} if left else {},
            custom=is_custom,
            namespace=text_of(raw, "namespace"),
        )
        self._item = sequence.push(call, done=False)

    @property
    def item(self) -> Item:
        return self._item

    def say(self, kind: str, index: Any, text: str) -> bytes:
        return self._grow(self._item, text)

    def whole(self, kind: str, index: Any, text: str) -> None:
        if not self.is_over:
            self._fill(self._item, text)

    def _end(self, raw: Raw) -> None:
        call = self._item.part
        assert isinstance(call, ToolCall)
        if not call.name:  # the client has not seen it yet
            call.id, call.name = call.id or text_of(raw, "call_id"), text_of(raw, "name")
        call.namespace = call.namespace or text_of(raw, "namespace")
        given = raw.get(self._key)
        self._fill(self._item, wire.dumps_text(given) if isinstance(given, dict) else text_of(raw, self._key))
        self._item.done = True


def reader_of(raw: Raw, sequence: Sequence) -> Reader:
    """The reader of the item that begins as `raw`."""
    match raw.get("type"):
        case "message":
            return MessageReader(raw, sequence)
        case "reasoning":
            return ReasoningReader(raw, sequence)
        case "custom_tool_call" if text_of(raw, "call_id").startswith(_OWN_SEARCH):
            return Reader(raw, sequence)
        case "function_call" | "custom_tool_call":
            return CallReader(raw, sequence)
    return Reader(raw, sequence)
