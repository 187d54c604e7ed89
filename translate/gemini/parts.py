"""The parts of a reply as a Gemini client gets them, streamed or whole: what both writers share.

A client that has not asked to see thoughts gets none. What proves them goes on the call or the text that follows, and
at the end on an empty text.
"""

from __future__ import annotations

from typing import Any

from translate import repair
from translate.conversation import (
    Audio,
    Citation,
    Close,
    Document,
    Image,
    Part,
    Refusal,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Unknown,
    Usage,
)
from translate.counting.usage import with_estimate
from translate.gemini import grounding, proofs
from translate.gemini.stop import write_stop
from translate.gemini.usage import usage_body
from translate.json import wire
from translate.parts import reply_media
from translate.target import Asked
from translate.tools import websearch

Raw = dict[str, Any]

_SOUNDS = {reply_media.PCM: "audio/L16;codec=pcm;rate=24000", "mp3": "audio/mpeg", "opus": "audio/ogg"}


class Parts:
    """Takes each part when it is complete. shows: thoughts, too."""

    __slots__ = ("_asked", "_cited", "_google", "_queries", "_thoughts", "calls", "count", "shows")

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.shows = asked.echo.get("includeThoughts") is True
        self.calls = 0
        self.count = 0  # parts that were written
        self._thoughts: list[Thinking] = []  # by others, for the next part
        self._google = ""  # Google's own signature, for the next part
        self._cited: list[tuple[int, str, list[Citation]]] = []
        self._queries: list[str] = []

    def __repr__(self) -> str:
        return f"<Parts {self.count}, {self.calls} calls>"

    def closed(self, part: Part, text: str, close: Close) -> list[Raw]:
        """Returns what is written of a complete part whose text the client has not got yet; of texts and thoughts, what
        is still to be said of them."""
        if isinstance(part, Thinking):
            return self._thought(part, text, close)
        if isinstance(part, Text | Refusal):
            if close.citations:
                self._cited.append((max(0, self.count - 1), text, close.citations))
            return []
        if isinstance(part, ToolCall):
            return [self._signed({"functionCall": call}) for call in self._call(part, text)]
        if isinstance(part, Image | Audio | Document):
            return [media(part)]
        if isinstance(part, Unknown):
            self._queries += websearch.queries(part.raw)
            if part.protocol == "gemini":
                return [{key: value for key, value in part.raw.items() if key != "type"}]
        return []

    def _thought(self, part: Thinking, text: str, close: Close) -> list[Raw]:
        signature = close.signature or part.signature
        if raw := proofs.searched_in(part):
            return [raw]
        if proofs.media_in(part):  # the picture has it still
            return []
        if found := proofs.google_in(part):
            self._google = found
        elif found := proofs.of_thought(signature):
            return [{"text": "", "thought": True, "thoughtSignature": found}] if self.shows else []
        elif signature or part.encrypted:
            self._thoughts.append(Thinking(text, signature, part.encrypted, part.ext, part.provider))
        return []

    def _call(self, call: ToolCall, text: str) -> list[Raw]:
        """Returns nothing for one that was cut: Google's clients run whatever call they see."""
        if not (call.custom or wire.is_object([wire.inside(text or "{}")])):
            return []
        id = call.id or f"call_{self._asked.key}_{self.calls}"
        self.calls += 1
        name = self._asked.tool_names.get(call.name, call.name)
        arguments = {"input": text} if call.custom else wire.loads(repair.arguments(text))
        return [{"id": id, "name": name, "args": arguments}]

    def _signed(self, part: Raw) -> Raw:
        if signature := self._google or proofs.said_to_client(self._thoughts):
            self._google, self._thoughts = "", []
            return part | {"thoughtSignature": signature}
        return part

    def last(self) -> list[Raw]:
        """Returns what must still be said at the end."""
        rest = self._signed({"text": ""})
        return [rest] if "thoughtSignature" in rest else []

    def ending(self, stop: Stop, usage: Usage | None) -> tuple[Raw, Raw]:
        """Returns (the candidate's last fields, the reply's)."""
        candidate: Raw = {"finishReason": write_stop(stop.reason), "index": 0}
        if stop.reason == "refusal" and stop.explanation:
            candidate["finishMessage"] = stop.explanation
        if grounds := grounding.write(self._cited, self._queries):
            candidate["groundingMetadata"] = grounds
        return candidate, {"usageMetadata": usage_body(with_estimate(usage, self._asked.input_tokens))}


def about(asked: Asked) -> Raw:
    """Returns a reply's fields that are the same in each of its events."""
    return {"modelVersion": asked.model, "responseId": asked.key}


def shows(part: Part) -> bool:
    """Tells whether `media` writes this part: clients look for the bytes themselves, and Google's own SDK fails for
    what is no base64."""
    return isinstance(part, Image | Audio | Document) and reply_media.is_base64(part.data)


def media(part: Image | Audio | Document) -> Raw:
    kind = _SOUNDS.get(part.format, f"audio/{part.format}") if isinstance(part, Audio) else part.media_type
    title = {"displayName": part.title} if isinstance(part, Document) and part.title else {}
    return {"inlineData": {"mimeType": kind or "application/octet-stream", "data": part.data} | title}
