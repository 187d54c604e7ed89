"""Reads the content blocks of a reply into events.

There is one small class for each kind of block. Each has the same three methods: begin (for content_block_start),
delta, close; a whole reply's block says everything at its beginning. A text block opens with its first text, so that an
empty one is never seen. A block that the neutral form has no word for (server tools and their results, compaction, and
types that do not exist yet) is gathered and given complete at its end: Open(Unknown), Close.
"""

from __future__ import annotations

from typing import Any

from translate import repair
from translate.conversation import Close, Delta, Document, Event, Ext, Open, Part, Text, Thinking, ToolCall, Unknown
from translate.json import wire
from translate.json.json_fields import text_of
from translate.messages import citations
from translate.messages.decode_messages import rest
from translate.reasoning import sealed_reasoning
from translate.streams.repeats import ArgumentRepeats

Raw = dict[str, Any]


class Block:
    """An open content block. part: the type of part it becomes. template: the (delta type, key) whose text may
    take the fast path, or None."""

    __slots__ = ("half", "index", "raw", "opened")

    part: type[Part] = Unknown
    broken: ToolCall | None = None  # a call that closed before its input was a whole object, or one without a name
    bare = False  # a call without any input
    template: tuple[str, str] | None = None

    def __init__(self, index: Any, raw: Raw) -> None:
        self.index = index
        self.raw = raw
        self.opened = False
        self.half = ""  # the first half of a character, until the other half comes

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.index} opened={self.opened}>"

    def begin(self, out: list[Event]) -> None:
        """Called with what content_block_start says."""

    def delta(self, delta: Raw, out: list[Event]) -> None:
        """Called with the delta of a content_block_delta."""

    def is_other_than(self, kind: str) -> bool:
        """Tells whether a delta for a block of this kind cannot be meant for it: servers have put thoughts into a
        text, and words into nothing."""
        return not isinstance(self.raw.get("type"), str)

    def passed(self, pieces: list[bytes]) -> list[bytes]:
        """Returns what counts of texts whose deltas took the fast path."""
        return pieces

    def close(self, out: list[Event]) -> None:
        """Called at content_block_stop."""

    def _push(self, text: Any, out: list[Event]) -> None:
        """Adds text to the block."""
        if not isinstance(text, str) or not text:
            return
        text, self.half = wire.held_back(self.half + text)
        if text and (pieces := self.passed([wire.inside(text)])):
            push(out, pieces)

    def _end_text(self, out: list[Event]) -> None:
        if self.half:
            push(out, self.passed([wire.LOST]))

    def _open(self, part: Part, out: list[Event]) -> None:
        self.opened = True
        out.append(Open(part))


def push(out: list[Event], pieces: list[bytes]) -> None:
    """Adds to the delta that ends `out`, or begins one: what arrives together leaves together."""
    if out and isinstance(last := out[-1], Delta):
        last.pieces += pieces
    elif pieces:
        out.append(Delta(pieces))


class TextBlock(Block):
    __slots__ = ("_citations",)
    part = Text
    template = ("text_delta", "text")

    def is_other_than(self, kind: str) -> bool:
        return kind == "thinking"

    def begin(self, out: list[Event]) -> None:
        given = self.raw.get("citations")
        self._citations = list(map(citations.read, given)) if isinstance(given, list) else []
        self._say(self.raw.get("text"), out)

    def delta(self, delta: Raw, out: list[Event]) -> None:
        if delta.get("type") == "citations_delta":
            self._citations.append(citations.read(delta.get("citation")))
        else:
            self._say(delta.get("text"), out)

    def close(self, out: list[Event]) -> None:
        self._end_text(out)
        if self.opened:
            out.append(Close(citations=self._citations))

    def _say(self, text: Any, out: list[Event]) -> None:
        if not isinstance(text, str) or not text:
            return
        if not self.opened:
            self._open(Text("", rest(self.raw, "type", "text", "citations")), out)
        self._push(text, out)


class ThinkingBlock(Block):
    """thinking and redacted_thinking: the one has text and a signature, the other all in one cipher."""

    __slots__ = ("_signature",)
    part = Thinking
    template = ("thinking_delta", "thinking")

    def is_other_than(self, kind: str) -> bool:
        return kind == "text"

    def begin(self, out: list[Event]) -> None:
        self._signature = text_of(self.raw, "signature")
        ext = rest(self.raw, "type", "thinking", "signature", "data")
        self._open(Thinking(encrypted=_proof(text_of(self.raw, "data")), ext=ext), out)
        self._push(self.raw.get("thinking"), out)

    def delta(self, delta: Raw, out: list[Event]) -> None:
        self._signature = text_of(delta, "signature") or self._signature
        self._push(delta.get("thinking"), out)

    def close(self, out: list[Event]) -> None:
        self._end_text(out)
        out.append(Close(_proof(sealed_reasoning.less_empty(self._signature))))


def _proof(given: str) -> str:
    return sealed_reasoning.of_upstream(given, "messages")


class CallBlock(Block):
    """tool_use. The input comes by deltas, or whole at the beginning (programmatic tool calling, whole
    replies); deltas win, since a few servers say both. It opens with its first argument, so that one of which none
    had come when the reply broke off is never seen. bare: it closed without any."""

    __slots__ = ("_call", "_input", "_repeats", "bare", "broken")
    part = ToolCall
    template = ("input_json_delta", "partial_json")

    def begin(self, out: list[Event]) -> None:
        given = self.raw.get("input")
        self._input = given if isinstance(given, str) else wire.dumps_text(given) if given else ""
        self._repeats = ArgumentRepeats()
        self.bare = False
        self.broken: ToolCall | None = None
        ext: Ext = rest(self.raw, "type", "id", "name", "input")
        self._call = ToolCall(text_of(self.raw, "id"), text_of(self.raw, "name"), ext=ext)

    def is_other_than(self, kind: str) -> bool:
        """SGLang has put words that follow a call into the call."""
        return self._repeats.ended or (not self._repeats.said and bool(self._input))

    def delta(self, delta: Raw, out: list[Event]) -> None:
        given = delta.get("partial_json")
        self._say(wire.dumps_text(given) if isinstance(given, dict) else given, out)

    def passed(self, pieces: list[bytes]) -> list[bytes]:
        repeats = self._repeats
        if len(pieces) == 1 and repeats.floor and not repeats.telling(pieces[0]):
            repeats.said += pieces
            return pieces
        return repeats.fresh(pieces)

    def close(self, out: list[Event]) -> None:
        if not self._repeats.said and not self._repeats.wraps:
            self._say(self._input, out)
        told: list[Event] = []
        self._end_text(told)
        push(told, self._repeats.rest())
        self.bare = not self._repeats.said
        if not self.opened:
            self._open(self._call, out)
        self.broken = None if self.bare or self._repeats.ended else self._call
        out += (*told, Close())

    def _say(self, text: Any, out: list[Event]) -> None:
        told: list[Event] = []
        self._push(text, told)
        if told and not self.opened:
            self._open(self._call, out)
        out += told


class NamelessBlock(Block):
    """A tool_use that does not say which tool: nobody can run it, and nobody sees it."""

    part = ToolCall
    broken = ToolCall("", "")


class WholeBlock(Block):
    """Any other: its deltas are laid over a copy of what it began with, text after text."""

    __slots__ = ("_json",)

    def begin(self, out: list[Event]) -> None:
        self.raw = dict(self.raw)
        self._json: list[str] = []

    def delta(self, delta: Raw, out: list[Event]) -> None:
        if delta.get("type") == "input_json_delta":
            self._json.append(text_of(delta, "partial_json"))
            return
        for key, value in delta.items():
            before = self.raw.get(key)
            if key != "type" and value is not None:
                both = isinstance(before, str) and isinstance(value, str)
                self.raw[key] = before + value if both else value

    def close(self, out: list[Event]) -> None:
        if not isinstance(self.raw.get("type"), str):
            return  # a block without a type means nothing
        if arguments := "".join(self._json):
            self.raw["input"] = repair.as_object(arguments)
        self._open(Unknown("messages", self.raw, parts=_files_in(self.raw)), out)
        out.append(Close())


def _files_in(raw: Raw) -> list[Part]:
    """Returns the file that a block hands over."""
    id = text_of(raw, "file_id") if raw.get("type") == "container_upload" else ""
    return [Document(file_id=id)] if id else []


_KINDS: dict[str, type[Block]] = {
    "text": TextBlock,
    "thinking": ThinkingBlock,
    "redacted_thinking": ThinkingBlock,
    "tool_use": CallBlock,
}


def block_of(index: Any, raw: Any) -> Block:
    """Returns the block that a content_block (or an item of a whole reply's content) begins."""
    if not isinstance(raw, dict):
        raw = {}
    kind = raw.get("type")
    if kind == "tool_use" and not text_of(raw, "name"):
        return NamelessBlock(index, raw)
    return (_KINDS.get(kind, WholeBlock) if isinstance(kind, str) else WholeBlock)(index, raw)


def is_bare_call(raw: Any) -> bool:
    """Tells whether it is a whole reply's call without any input."""
    return isinstance(raw, dict) and raw.get("type") == "tool_use" and not raw.get("input")


def tell(raw: Any, out: list[Event]) -> Block:
    """Adds a whole block's events to `out`, and returns the block."""
    block = block_of(None, raw)
    block.begin(out)
    block.close(out)
    return block
