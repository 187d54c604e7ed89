"""A reply that is a summary, as the block or item by which the client's protocol says so (see compaction.py)."""

from __future__ import annotations

from typing import Any

from translate import sealed_reasoning, wire
from translate.conversation import Close, Delta, Event, Fault, Open, Part, Stop, Text, Unknown
from translate.errors import ApiError, BadReply
from translate.target import Asked, Protocol

_CUT = "\n\n[The summary was cut off here: it had reached the limit of its length.]"


class Summing:
    """The model's reply as the client's compaction: passed(events) gives its beginning, and all else at its end."""

    __slots__ = ("_asked", "_client", "_part", "_pieces")

    def __init__(self, client: Protocol, asked: Asked) -> None:
        self._client = client
        self._asked = asked
        self._part: Part | None = None
        self._pieces: list[bytes] = []

    def __repr__(self) -> str:
        return f"<Summing {len(self._pieces)} pieces for {self._client}>"

    def passed(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            match event:
                case Open():
                    self._part = event.part
                    if isinstance(event.part, Text) and self._pieces:
                        self._pieces.append(rb"\n\n")
                case Delta():
                    self._pieces += event.pieces if isinstance(self._part, Text) else []
                case Close():
                    self._part = None
                case Stop():
                    out += self._end(event)
                case _:
                    out.append(event)
        return out

    def _end(self, stop: Stop) -> list[Event]:
        text = wire.text_of(self._pieces).strip()
        if stop.reason == "refusal" or (not text and self._client == "responses"):
            if not self._asked.answers:
                return [self._failed(stop)]
            text = ""  # the answer comes from all of the conversation, then
        if text and stop.reason in ("length", "context_overflow"):
            text += _CUT
        told: list[Event] = [Open(self._told(text)), Close()] if text or self._client == "messages" else []
        return [*told, Stop("compaction", stop.usage)]

    def _failed(self, stop: Stop) -> Fault:
        if stop.reason == "refusal":
            return Fault(ApiError("invalid_request", "compaction: the model refused to summarize this conversation"))
        return Fault(BadReply(f"compaction: the model wrote no summary (it ended with '{stop.reason}')"))

    def _told(self, text: str) -> Unknown:
        """Anthropic's block without content says that the compaction failed."""
        if self._client == "responses":
            id = f"cmp_{self._asked.key}_0"
            return Unknown(
                "responses", {"id": id, "type": "compaction", "encrypted_content": sealed_reasoning.of_summary(text)}
            )
        block: dict[str, Any] = {"type": "compaction", "content": text or None}
        if text:
            block["signature"] = sealed_reasoning.SUMMARY
            if self._asked.tool_changes:
                block["tool_changes"] = list(self._asked.tool_changes)
        return Unknown("messages", block)
