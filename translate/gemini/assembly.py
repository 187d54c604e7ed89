"""Reads Google's replies into neutral events, streamed or whole: an event of a stream is a small whole reply.

A part says what it is by the field that it has. Calls come whole, or in pieces (partial_call.py). Texts that follow one
another are one text. `Sequence` decides in which order parts leave.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import Event, Fault, Part, Stop, Text, Thinking, ToolCall, Unknown, Usage
from translate.failures import errors
from translate.fields.leftovers import WITHIN, said_beyond
from translate.gemini import grounding, partial_call, proofs
from translate.gemini.fields import camel
from translate.gemini.partial_call import PartialCall
from translate.gemini.stop import breakdown, read_stop
from translate.gemini.usage import of_event
from translate.json import wire
from translate.json.json_fields import index_of, object_of, objects_of, text_of
from translate.parts import reply_media
from translate.streams.sequence import Item, Sequence

Raw = dict[str, Any]

_BESIDE = frozenset(("thoughtSignature", "thought"))
# What is read, and what is about Google's own API and the request, or asked for by fields that do not cross.
_KNOWN = frozenset((
    "candidates", "usageMetadata", "promptFeedback", "responseId", "modelVersion", "createTime", "modelStatus", "error",
    "parsed", "automaticFunctionCallingHistory", "sdkHttpResponse",
))  # fmt: skip
_CANDIDATE = frozenset((
    "content", "index", "finishReason", "finishMessage", "groundingMetadata", "citationMetadata", "urlContextMetadata",
    "safetyRatings", "avgLogprobs", "logprobsResult", "tokenCount", "continuationToken",
))  # fmt: skip
_CONTENT = frozenset(("role", "parts"))
_SAID = _BESIDE | {"text", "functionCall", "partMetadata", "mediaProcessing"}
_CALL = frozenset(("id", "name", "args", "partialArgs", "willContinue"))


class Assembly:
    """Takes each decoded object by `chunk`, then `stop` or `fail`; `take` gives the events so far."""

    __slots__ = (
        "_beyond", "_blocked", "_calls", "_finish", "_ground", "_partial", "_said", "_sequence", "_texts", "_why",
        "remark", "seen", "usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self._sequence = Sequence()
        self._calls: list[Item] = []
        self._partial: PartialCall | None = None  # the call that goes on in the next event
        self._texts: list[Item] = []
        self._finish = ""
        self._why = ""
        self._blocked = ""
        self._said = False
        self._ground: Raw = {}
        self._beyond: Raw = {}  # what is said besides what is read
        self.usage: Usage | None = None
        self.remark: errors.ApiError | None = None  # what an object without candidates complained of
        self.seen = False  # something of a reply

    def __repr__(self) -> str:
        return f"<Assembly {self._sequence!r} {len(self._calls)} calls, finish {self._finish!r}>"

    @property
    def finished(self) -> bool:
        return bool(self._finish or self._blocked)

    def take(self) -> list[Event]:
        return self._sequence.take()

    def chunk(self, data: Raw) -> errors.ApiError | None:
        """Reads one event of a stream, or a whole reply. Returns the error that it holds, if any; then nothing of it
        was taken."""
        said, data = data, camel(data)
        if said.get("error") or "candidates" not in data:
            if error := errors.of_object(said):
                return error
            if "usageMetadata" not in data and "promptFeedback" not in data:
                self.remark = self.remark or errors.remark(said)
        if (start := self._sequence.start) is not None:
            start.id = start.id or text_of(data, "responseId")
            start.model = start.model or text_of(data, "modelVersion")
        self.usage = of_event(data, self.usage)
        self._note(data, _KNOWN)
        feedback = object_of(data, "promptFeedback")
        if (blocked := text_of(feedback, "blockReason")) and not blocked.endswith("_UNSPECIFIED"):
            self.seen = True
            self._blocked, self._why = blocked, text_of(feedback, "blockReasonMessage")
        for i, candidate in enumerate(objects_of(data, "candidates")):
            if not index_of(candidate.get("index", i)):  # others are further answers
                if error := self._candidate(camel(candidate)):
                    return error
        return None

    def _candidate(self, candidate: Raw) -> errors.ApiError | None:
        self.seen = True
        content = object_of(candidate, "content")
        self._note(candidate, _CANDIDATE)
        self._note(content, _CONTENT)
        for part in objects_of(content, "parts"):
            self._part(camel(part))
        if found := object_of(candidate, "groundingMetadata"):
            self._ground |= {key: found[key] for key in grounding.FIELDS if key in found}
        if quoted := object_of(candidate, "citationMetadata"):
            self._ground["quoted"] = quoted
        finish = text_of(candidate, "finishReason")
        if finish and not finish.endswith("_UNSPECIFIED"):
            self._why = text_of(candidate, "finishMessage") or self._why
            if error := breakdown(finish, self._why):
                return error
            self._finish = finish
        return None

    def stop(self) -> None:
        """Ends the reply: it is complete."""
        self._end_partial()
        self._cite()
        reason = read_stop(self._finish, has_calls=bool(self._calls), said_nothing=not self._said)
        if self._blocked:
            reason = "refusal"
        why = self._why if reason == "refusal" else ""
        if reason == "refusal" and not self._said:  # else the client would hear nothing at all
            why = why or f"The answer was blocked: {self._blocked or self._finish}"
        ext = {WITHIN: self._beyond} if self._beyond else {}
        self._sequence.finish(Stop(reason, self.usage, ext=ext, explanation=why))

    def fail(self, error: Exception) -> None:
        """Ends the reply with a Fault: it broke off."""
        self._sequence.abandon(Fault(error))

    # -------------------------------------------------------------------------------------------- parts

    def _part(self, raw: Raw) -> None:
        signature = text_of(raw, "thoughtSignature")
        if "functionCall" in raw or "text" in raw:
            self._note(raw, _SAID)
        if isinstance(call := raw.get("functionCall"), dict):
            self._call(call, signature)
        elif isinstance(text := raw.get("text"), str):
            self._text(text, signature, thought=raw.get("thought") is True)
        elif kinds := [key for key in raw if key not in _BESIDE]:
            is_thought = raw.get("thought") is True  # a draft of what follows
            self._said = self._said or not is_thought
            if kinds[0] in proofs.SEARCHED:
                self._sequence.push(proofs.of_searched(raw))
                return
            shown = [] if is_thought else _media_in(raw)
            if shown and signature:
                self._sequence.push(proofs.of_google(signature, proofs.OF_MEDIA))
            self._sequence.push(Unknown("gemini", {"type": kinds[0], **raw}, parts=shown))

    def _call(self, call: Raw, signature: str) -> None:
        self._said, call = True, camel(call)
        self._note(call, _CALL)
        if self._partial is not None or partial_call.is_piece(call):
            self._piece(call, signature)
            return
        arguments = call.get("args")
        said = arguments if isinstance(arguments, str) else wire.dumps_text(arguments or {})
        self._add_call(text_of(call, "id"), text_of(call, "name"), said, signature)

    def _piece(self, call: Raw, signature: str) -> None:
        if self._partial is not None and not self._partial.goes_on_with(call):
            self._end_partial()
            self._call(call, signature)
            return
        self._partial = self._partial or PartialCall()
        self._partial.add(call, signature)
        if self._partial.ended:
            self._end_partial()

    def _end_partial(self) -> None:
        call, self._partial = self._partial, None
        if call is not None:
            self._add_call(call.id, call.name, call.arguments, call.signature)

    def _add_call(self, id: str, name: str, arguments: str, signature: str) -> None:
        if signature:
            self._sequence.push(proofs.of_google(signature, proofs.OF_CALL))
        item = self._sequence.push(ToolCall(id, name))
        self._sequence.say(item, arguments)
        self._calls.append(item)

    def _text(self, text: str, signature: str, *, thought: bool) -> None:
        """Adds text to the last part where that is of its kind, else begins one. A text's signature has a place before
        it alone: other protocols' clients take a reply's last part for the answer."""
        kind = Thinking if thought else Text
        if signature and not thought and not self._texts and not self._calls:
            self._sequence.push(proofs.of_google(signature, proofs.OF_MESSAGE))
        item = self._sequence.last(kind)
        if item is None and (text or (thought and signature)):
            item = self._sequence.push(kind(text=""))
            if not thought:
                self._texts.append(item)
        if item is None:
            return
        if text:
            self._said = self._said or not thought
            self._sequence.say(item, text)
        if thought and signature:
            item.close.signature = proofs.sealed_thought(signature)

    def _note(self, raw: Raw, known: frozenset[str]) -> None:
        if not raw.keys() <= known:
            self._beyond |= said_beyond(raw, known)

    def _cite(self) -> None:
        """Google tells the pages at the end, for the last text."""
        if self._ground and self._texts and self._sequence.last(Text) is self._texts[-1]:
            self._texts[-1].close.citations += grounding.read(self._ground, self._texts[-1].text())


def _media_in(raw: Raw) -> list[Part]:
    """Returns what a part shows."""
    blob, file = camel(object_of(raw, "inlineData")), camel(object_of(raw, "fileData"))
    if data := text_of(blob, "data"):
        return [reply_media.of_blob(data, text_of(blob, "mimeType"), text_of(blob, "displayName"))]
    if uri := text_of(file, "fileUri"):
        return [reply_media.of_address(uri, text_of(file, "mimeType"), text_of(file, "displayName"))]
    return []
