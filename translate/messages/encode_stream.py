"""Streams for a client that speaks Messages: neutral events -> bytes.

A machine of five states: BEFORE message_start, BETWEEN blocks, INSIDE one, in a part that is HIDDEN (Messages
has no block for it), OVER. Each method says what its event means in each state, and every path ends legally:
nothing is written after the last event, an open block is stopped before a Stop, a missing Start is made up. A
Fault stops an open block that has words, since clients keep only those of stopped blocks; not that of a call: they
would take half of it for a whole one. Deltas, which are nearly all of a stream, are three joins of bytes; everything
else happens once for a block or a reply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from translate.conversation import (
    Close,
    Delta,
    Event,
    Fault,
    Open,
    Part,
    Ping,
    Start,
    Stop,
    ToolCall,
    Unknown,
    Usage,
)
from translate.failures.errors import ApiError
from translate.json import wire
from translate.messages import citations, fault
from translate.messages.reply import head, input_of_custom, last_words, opening, several
from translate.messages.usage import write_usage
from translate.reasoning import sealed_reasoning
from translate.target import Asked

BEFORE, BETWEEN, INSIDE, HIDDEN, OVER = "before", "between", "inside", "hidden", "over"

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_COMMENT = b": ping\n\n"
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":"'
_DELTA_END = b'"}}\n\n'
_DELTAS: dict[str, tuple[bytes, bytes]] = {
    "text": (b"text_delta", b"text"),
    "thinking": (b"thinking_delta", b"thinking"),
    "tool_use": (b"input_json_delta", b"partial_json"),
}
_SUMMED = ("content", "encrypted_content")  # of a compaction
_BESIDE_DELTA = ("usage", "context_management")  # of message_delta's fields; the others are in its delta


class Encoder:
    """One client stream. emit(events) gives the bytes to send, maybe none."""

    __slots__ = (
        "_asked", "_state", "_index", "_before", "_kind", "_signature", "_usage", "_seen", "_free_text",
        "_says",
    )  # fmt: skip

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._state = BEFORE
        self._index = 0
        self._before = b""  # what stands before a delta's text
        self._kind = ""  # of the open block
        self._says = False  # it has words or arguments
        self._signature = ""
        self._free_text: list[bytes] | None = None  # of a custom tool's call
        self._usage: Usage | None = None
        self._seen: set[type[Part]] = set()

    def __repr__(self) -> str:
        return f"<Encoder {self._state} index={self._index} kind={self._kind!r}>"

    @property
    def started(self) -> bool:
        """message_start, or an error in its place, has been written."""
        return self._state is not BEFORE

    @property
    def ended(self) -> bool:
        return self._state is OVER

    def emit(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            _EMIT[type(event)](self, event, out)
        return b"".join(out)

    def ping(self) -> bytes:
        """Returns a sign of life that is legal now: a comment before the start, nothing after the end."""
        if self._state is OVER:
            return b""
        return _COMMENT if self._state is BEFORE else PING

    def _start(self, event: Start, out: list[bytes]) -> None:
        if self._state is not BEFORE:
            return
        self._state = BETWEEN
        self._usage = event.usage
        usage = event.usage or Usage(input=self._asked.input_tokens)
        message = head(self._asked) | {
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(usage),
        }
        out.append(_event("message_start", {"message": message}))

    def _open(self, event: Open, out: list[bytes]) -> None:
        if self._state is OVER:
            return
        self._start(Start(), out)
        self._stop_block(out)
        block = opening(event.part, self._asked, self._index)
        if block is None:
            for whole in several(event.part, self._asked, self._index):
                self._whole(whole, out)
            self._state = HIDDEN
            return
        self._seen.add(type(event.part))
        self._state = INSIDE
        self._kind, self._says = block["type"], False
        later = self._for_later(event.part, block)
        out.append(_event("content_block_start", {"index": self._index, "content_block": block}))
        self._free_text = [] if isinstance(event.part, ToolCall) and event.part.custom else None
        if self._free_text is None and self._kind in _DELTAS and not isinstance(event.part, Unknown):
            self._before = _DELTA % (self._index, *_DELTAS[self._kind])
        else:
            self._before = b""
        if later:
            out.append(self._one_delta(later))

    def _whole(self, block: dict[str, Any], out: list[bytes]) -> None:
        """Writes a block that is complete."""
        given = block.pop("input", None)
        begun = block if given is None else block | {"input": {}}
        out.append(_event("content_block_start", {"index": self._index, "content_block": begun}))
        if given:
            out.append(self._one_delta({"type": "input_json_delta", "partial_json": wire.dumps_text(given)}))
        out.append(fault.BLOCK_STOP % self._index)
        self._index += 1

    def _for_later(self, part: Part, block: dict[str, Any]) -> dict[str, Any] | None:
        """The delta for what the start must not say yet: a signature comes at the end; the input of a block that is
        whole from its beginning (a server tool's) comes by a delta, as the grammar has it, and so does a summary."""
        if self._kind == "thinking":
            self._signature, block["signature"] = block["signature"], ""
        if self._kind == "compaction":
            whole = {key: block[key] for key in _SUMMED if key in block}
            block |= dict.fromkeys(whole)
            return {"type": "compaction_delta"} | whole
        if isinstance(part, Unknown) and block.get("input"):
            whole, block["input"] = block["input"], {}
            return {"type": "input_json_delta", "partial_json": wire.dumps_text(whole)}
        return None

    def _delta(self, event: Delta, out: list[bytes]) -> None:
        if self._state is INSIDE and self._before and event.pieces:
            out += (self._before, (_DELTA_END + self._before).join(event.pieces), _DELTA_END)
            self._says = True
        elif self._free_text is not None:
            self._free_text += event.pieces

    def _close(self, event: Close, out: list[bytes]) -> None:
        if self._state is INSIDE:
            for citation in citations.write(event.citations) if event.citations else ():
                out.append(self._one_delta({"type": "citations_delta", "citation": citation}))
            self._signature = event.signature or self._signature
            if self._free_text is not None:  # Messages knows no free text as input: it becomes an object's
                whole = wire.dumps_text(input_of_custom(wire.text_of(self._free_text)))
                out.append(self._one_delta({"type": "input_json_delta", "partial_json": whole}))
                self._free_text = None
        self._stop_block(out)

    def _stop_block(self, out: list[bytes]) -> None:
        if self._state is INSIDE:
            if self._kind == "thinking":
                signature = self._signature or sealed_reasoning.EMPTY
                out.append(self._one_delta({"type": "signature_delta", "signature": signature}))
                self._signature = ""
            out.append(fault.BLOCK_STOP % self._index)
            self._index += 1
        if self._state in (INSIDE, HIDDEN):
            self._state = BETWEEN

    def _one_delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": delta})

    def _stop(self, event: Stop, out: list[bytes]) -> None:
        if self._state is OVER:
            return
        self._start(Start(usage=event.usage), out)
        self._stop_block(out)
        said = last_words(event, self._seen, event.usage or self._usage, self._asked)
        beside = {key: said[key] for key in _BESIDE_DELTA if key in said}
        delta = {key: value for key, value in said.items() if key not in beside}
        out += (_event("message_delta", {"delta": delta} | beside), _STOP)
        self._state = OVER

    def _fault(self, event: Fault, out: list[bytes]) -> None:
        if self._state is OVER:
            return
        error = event.error
        known = error if isinstance(error, ApiError) else ApiError("api", str(error) or type(error).__name__)
        if self._says and self._kind in fault.WORDS:
            self._stop_block(out)
        out.append(fault.event(known))
        self._state = OVER

    def _ping(self, event: Ping, out: list[bytes]) -> None:
        if self._state is not BEFORE:  # earlier it would fix the status at 200
            out.append(self.ping())


_EMIT: dict[type, Callable[[Encoder, Any, list[bytes]], None]] = {
    Start: Encoder._start,
    Open: Encoder._open,
    Delta: Encoder._delta,
    Close: Encoder._close,
    Stop: Encoder._stop,
    Fault: Encoder._fault,
    Ping: Encoder._ping,
}


def _event(kind: str, fields: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), wire.dumps({"type": kind} | fields))
