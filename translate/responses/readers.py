"""An upstream's output items, read as they grow.

One small class for each kind of item. What an item says piece by piece goes into the `Sequence` at once; its last
word (output_item.done, or the item in the terminal response) fills in what never came by a delta. Readers take
nothing for granted: any of an item's events may be missing.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from translate.conversation import Thinking, ToolCall
from translate.json.json_fields import json_in, text_of
from translate.reasoning import sealed_reasoning
from translate.responses.decode_messages import said_in
from translate.responses.item_reader import ItemReader, Raw
from translate.responses.message_reader import MOST_COMPARED, MessageReader
from translate.streams import repeats
from translate.streams.sequence import Item, Sequence, said_of

BETWEEN = "\n\n"  # two parts of a summary
CALLS = ("function_call", "custom_tool_call")
_OWN_SEARCH = "xs_call_"  # xAI runs these itself, though they look like the client's custom tools


class ReasoningReader(ItemReader):
    """Text comes as the model's own words ("content") or as their summary; where both come, the first counts."""

    __slots__ = ("_index", "_item", "_kind", "_looks")

    def __init__(self, raw: Raw, sequence: Sequence) -> None:
        super().__init__(raw, sequence)
        self._item: Item | None = None
        self._kind = ""
        self._index: Any = None
        self._looks = 0  # how often all that was said was looked through

    def is_said_by(self, raw: Raw) -> bool:
        return self.may_be(raw) and self._item is not None and said_of(said_in(raw), (self._item,)) > 0

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
        if self._item is None or index != self._index:  # else its deltas came
            self._looks += 1
            if self._item is None or self._looks > MOST_COMPARED or text not in self._item.text():
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

    def may_be(self, raw: Raw) -> bool:
        call = self._item.part
        assert isinstance(call, ToolCall)
        id, name = text_of(raw, "call_id"), text_of(raw, "name")
        known = text_of(self.raw, "call_id")
        return super().may_be(raw) and (not id or not known or id == known) and (not call.name or call.name == name)

    def is_said_by(self, raw: Raw) -> bool:
        return self.may_be(raw) and said_of(self._as_told(_given(raw, self._key)), (self._item,)) >= 0

    def is_renamed_as(self, raw: Raw) -> bool:
        call = self._item.part
        assert isinstance(call, ToolCall)
        if not super().may_be(raw) or not call.name or call.name != text_of(raw, "name"):
            return False
        given = self._as_told(_given(raw, self._key))
        size = said_of(given, (self._item,))
        return size == len(given) if self.is_over else size >= 0

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
        is_plain = self._key != "arguments" or said_of(text, (self._item,)) >= 0
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
