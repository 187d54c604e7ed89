"""A reply that is a summary, as the block or item by which the client's protocol says so (see compaction.py)."""

from __future__ import annotations

from translate.compaction import Compaction
from translate.conversation import Close, Delta, Event, Fault, Open, Part, Stop, Text
from translate.failures.errors import ApiError, BadReply
from translate.json import wire
from translate.target import Asked

_CUT = "\n\n[The summary was cut off here: it had reached the limit of its length.]"


class SummaryReply:
    """Takes the events of a summary and gives them as the client's compaction: the reply's beginning at once, and
    the rest at its end."""

    __slots__ = ("_asked", "_part", "_pieces", "_compaction")

    def __init__(self, compaction: Compaction, asked: Asked) -> None:
        self._compaction = compaction
        self._asked = asked
        self._part: Part | None = None
        self._pieces: list[bytes] = []

    def __repr__(self) -> str:
        return f"<SummaryReply {len(self._pieces)} pieces>"

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
        if stop.reason == "refusal" or self._compaction.reply_part(text, self._asked) is None:
            if not self._asked.answers:
                return [self._failed(stop)]
            text = ""  # the answer then comes from all of the conversation
        if text and stop.reason in ("length", "context_overflow"):
            text += _CUT
        part = self._compaction.reply_part(text, self._asked)
        told: list[Event] = [Open(part), Close()] if part is not None else []
        return [*told, Stop("compaction", stop.usage)]

    def _failed(self, stop: Stop) -> Fault:
        if stop.reason == "refusal":
            return Fault(ApiError("invalid_request", "compaction: the model refused to summarize this conversation"))
        return Fault(BadReply(f"compaction: the model wrote no summary (it ended with '{stop.reason}')"))
