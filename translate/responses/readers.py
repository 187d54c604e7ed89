"""An upstream's output items, read as they grow.

One small class for each kind of item. What an item says piece by piece goes into the `Sequence` at once; its last
word (output_item.done, or the item in the terminal response) fills in what never came by a delta. Readers take
nothing for granted: any of an item's events may be missing.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from translate.conversation import Ext, Part, Refusal, Text, Thinking, ToolCall, Unknown
from translate.fields.leftovers import said_beyond
from translate.json.json_fields import json_in, list_of, text_of
from translate.reasoning import sealed_reasoning
from translate.responses import citations, media
from translate.responses.decode_messages import said_in
from translate.streams import repeats
from translate.streams.sequence import Item, Sequence

Raw = dict[str, Any]

_NOT_SAID = ("id", "status")  # the same item may come under another id

# What messages, reasoning and calls are known to say, and the parts of their content.
_ITEM = frozenset((
    "id", "type", "status", "role", "content", "phase", "agent", "summary", "encrypted_content", "call_id", "name",
    "namespace", "arguments", "input", "async", "caller", "created_by", "parsed_arguments",
))  # fmt: skip
_PART = frozenset(("type", "text", "refusal", "annotations", "logprobs", "parsed"))
BETWEEN = "\n\n"  # two parts of a summary
CALLS = ("function_call", "custom_tool_call")
_OWN_SEARCH = "xs_call_"  # xAI runs these itself, though they look like the client's custom tools


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

    def said(self) -> str:
        """Returns all of its words so far."""
        return ""

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

    def noted(self, index: Any, notes: list[Any]) -> None:
        """Reads what the part at `index` cites. It comes before the next part begins, and the item's last word after
        that."""

    def note(self, index: Any, annotation: Any) -> None:
        """Reads one more thing that the part at `index` cites."""

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
        before = item.text()
        if len(text) > len(before) and text.startswith(before):
            item.half = ""  # the half is among what is missing
            self._sequence.say(item, text[len(before) :])


class MessageReader(ItemReader):
    """Its parts are distinguished by their kind and by their index in the deltas. An item's last word may count them in
    another way: what it says is held against all that was said."""

    __slots__ = ("_parts",)

    def __init__(self, raw: Raw, sequence: Sequence) -> None:
        super().__init__(raw, sequence)
        self._parts: dict[tuple[str, int], Item] = {}

    @property
    def refused(self) -> bool:
        return any(kind == "refusal" for kind, _ in self._parts)

    def said(self) -> str:
        return "".join(item.text() for item in self._parts.values())

    def is_said_by(self, raw: Raw) -> bool:
        said = self.said()
        return self.may_be(raw) and bool(said) and "".join(text for _, text, _ in _parts_of(raw)).startswith(said)

    def say(self, kind: str, index: Any, text: str) -> bytes:
        return self._grow(self._part(kind, index), text) if text and not self.is_over else b""

    def whole(self, kind: str, index: Any, text: str) -> None:
        if text and not self.is_over:
            is_known = isinstance(index, int) and (kind, index) in self._parts
            if not is_known and self._said_of(kind).endswith(text):
                return  # it was said under another index
            self._fill(self._part(kind, index), text)

    def noted(self, index: Any, notes: list[Any]) -> None:
        if (item := self._cited(index)) is not None:
            item.close.citations = list(map(citations.read, notes))

    def note(self, index: Any, annotation: Any) -> None:
        if (item := self._cited(index)) is not None and isinstance(annotation, dict):
            if all(known.raw != annotation for known in item.close.citations):
                item.close.citations.append(citations.read(annotation))

    def _cited(self, index: Any) -> Item | None:
        at = ("text", index) if isinstance(index, int) else None
        return self._parts[at] if at in self._parts else self._latest("text")

    def _part(self, kind: str, index: Any) -> Item:
        latest = next(reversed(self._parts), None)
        if isinstance(index, int):
            at = kind, index
        else:
            at = latest if latest is not None and latest[0] == kind else (kind, len(self._parts))
        item = self._parts.get(at)
        if item is None:
            if latest is not None:
                self._parts[latest].done = True  # parts come one after another
            left = {key: self.raw[key] for key in ("id", "phase") if self.raw.get(key)}
            ext: Ext = {"responses": left} if left else {}
            part: Part = Refusal(ext=ext) if kind == "refusal" else Text("", ext, apart=latest is None)
            item = self._parts[at] = self._sequence.push(part, done=False)
        return item

    def _said_of(self, kind: str) -> str:
        return "".join(item.text() for (known, _), item in self._parts.items() if known == kind)

    def _end(self, raw: Raw) -> None:
        told = {kind: self._said_of(kind) for kind in ("text", "refusal")}
        at = dict.fromkeys(told, 0)
        for part in list_of(raw, "content"):
            if type(part) is dict and not part.keys() <= _PART:
                self.beyond |= said_beyond(part, _PART)
        for i, (kind, text, notes) in enumerate(_parts_of(raw)):
            before = told[kind][at[kind] : at[kind] + len(text) + 1]  # of what is said beyond this part, one character
            at[kind] += len(text)
            if not before.startswith(text) and text.startswith(before):  # else all of it was said, or something else
                latest = self._latest(kind) if before else None
                item = latest or self._part(kind, self._free_index(kind, i))
                item.half = ""  # the half is among what is missing
                self._sequence.say(item, text[len(before) :])
            if notes:
                self.noted(i, notes)
        for item in self._parts.values():
            item.done = True

    def _latest(self, kind: str) -> Item | None:
        return next((item for (known, _), item in reversed(self._parts.items()) if known == kind), None)

    def _free_index(self, kind: str, index: int) -> int:
        while (kind, index) in self._parts:
            index += 1
        return index


def _parts_of(raw: Raw) -> list[tuple[str, str, list[Any]]]:
    """Returns (kind, text, annotations) of a message's parts."""
    found: list[tuple[str, str, list[Any]]] = []
    content = raw.get("content")
    parts = content if isinstance(content, list) else [content]  # a lone text, with some servers
    for part in [{"text": part} if isinstance(part, str) else part for part in parts]:
        if isinstance(part, dict):
            kind = "refusal" if part.get("type") == "refusal" else "text"
            found.append((kind, text_of(part, kind), list_of(part, "annotations")))
    return found


class ReasoningReader(ItemReader):
    """Text comes as the model's own words ("content") or as their summary; where both come, the first counts."""

    __slots__ = ("_index", "_item", "_kind")

    def __init__(self, raw: Raw, sequence: Sequence) -> None:
        super().__init__(raw, sequence)
        self._item: Item | None = None
        self._kind = ""
        self._index: Any = None

    def said(self) -> str:
        return self._item.text() if self._item is not None else ""

    def is_said_by(self, raw: Raw) -> bool:
        said = self.said()
        return self.may_be(raw) and bool(said) and said_in(raw).startswith(said)

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

    def whole(self, kind: str, index: Any, text: str) -> None:
        if (self._item is None or index != self._index) and text not in self.said():  # else its deltas came
            self.say(kind, index, text)

    def _end(self, raw: Raw) -> None:
        encrypted = sealed_reasoning.less_empty(
            text_of(raw, "encrypted_content") or text_of(self.raw, "encrypted_content")
        )
        text = said_in(raw)
        if text and self._item is None:
            self._item = self._sequence.push(Thinking(), done=False)
            self._fill(self._item, text)
        proof = sealed_reasoning.of_item(text_of(raw, "id"), encrypted) if encrypted else ""
        if self._item is not None:
            self._item.close.signature = proof
            self._item.done = True
        elif proof:
            self._item = self._sequence.push(Thinking(encrypted=proof), done=True)


class CallReader(ItemReader):
    """What comes piece by piece and does not begin as arguments do is kept back, since the call's last word may tell
    them: GitHub Copilot's pieces are a cipher."""

    __slots__ = ("_held", "_is_cipher", "_item", "_key")

    def __init__(self, raw: Raw, sequence: Sequence) -> None:
        super().__init__(raw, sequence)
        is_custom = raw.get("type") == "custom_tool_call"
        self._key = "input" if is_custom else "arguments"
        self._held: list[str] = []
        self._is_cipher = False  # what is kept back does not begin as arguments do; else it is blank
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
    def id(self) -> str:
        """What a result names it by."""
        call = self._item.part
        assert isinstance(call, ToolCall)
        return call.id

    def said(self) -> str:
        return self._item.text()

    def may_be(self, raw: Raw) -> bool:
        call = self._item.part
        assert isinstance(call, ToolCall)
        id, name = text_of(raw, "call_id"), text_of(raw, "name")
        known = text_of(self.raw, "call_id")
        return super().may_be(raw) and (not id or not known or id == known) and (not call.name or call.name == name)

    def is_said_by(self, raw: Raw) -> bool:
        return self.may_be(raw) and self._as_told(_given(raw, self._key)).startswith(self._item.text())

    def is_renamed_as(self, raw: Raw) -> bool:
        call, said = self._item.part, self._item.text()
        assert isinstance(call, ToolCall)
        if not super().may_be(raw) or not call.name or call.name != text_of(raw, "name"):
            return False
        given = self._as_told(_given(raw, self._key))
        return given == said if self.is_over else given.startswith(said)

    def say(self, kind: str, index: Any, text: str) -> bytes:
        if self._key == "arguments" and self._item.is_bare():
            self._held.append(text)
            begun = text.lstrip()
            self._is_cipher = self._is_cipher or (bool(begun) and begun[0] != "{")
            if self._is_cipher or not begun:
                return b""
            text = self._released()
        return self._grow(self._item, text)

    def _released(self) -> str:
        text, self._held = "".join(self._held), []
        return text

    def whole(self, kind: str, index: Any, text: str) -> None:
        if text and not self.is_over:
            self._held = []
            self._fill(self._item, self._as_told(text))

    def fall_back(self) -> None:
        if not self._item.repeats.said and _given(self.raw, self._key):
            self.over(self.raw)
        else:
            self._grow(self._item, self._released())

    def _end(self, raw: Raw) -> None:
        call = self._item.part
        assert isinstance(call, ToolCall)
        if not call.name:  # the client has not seen it yet
            call.id, call.name = call.id or text_of(raw, "call_id"), text_of(raw, "name")
        call.namespace = call.namespace or text_of(raw, "namespace")
        given = _given(raw, self._key)
        self._fill(self._item, self._as_told(given) if given else self._released())
        if raw.get("status") != "incomplete" or not self._item.is_bare():  # else only its name had come
            self._item.done = True

    def _as_told(self, text: str) -> str:
        """Returns whole arguments in the form in which the deltas had them, so that the two can be compared."""
        is_plain = self._key != "arguments" or text.startswith(self._item.text())
        return text if is_plain else repeats.told(text)


def _given(raw: Raw, key: str) -> str:
    return json_in(raw, key) if isinstance(raw.get(key), dict) else text_of(raw, key)


def reader_of(raw: Raw, sequence: Sequence, answered: Container[str] = ()) -> ItemReader:
    """Returns the reader of the item that begins as `raw`. answered: calls that the server has run itself, as it runs
    its own tools."""
    match raw.get("type"):
        case "message":
            return MessageReader(raw, sequence)
        case "reasoning":
            return ReasoningReader(raw, sequence)
        case "custom_tool_call" if text_of(raw, "call_id").startswith(_OWN_SEARCH):
            return ItemReader(raw, sequence)
        case "function_call" | "custom_tool_call" if text_of(raw, "call_id") not in answered:
            return CallReader(raw, sequence)
    return ItemReader(raw, sequence)
