"""Reads Chat deltas into neutral events. This is the one place that knows how a reply is put together.

A whole message is one big delta, so streams and whole bodies are read in the same way. Servers differ in every detail
(usage anywhere, a finish per call, reasoning under three names, calls without index or with ids that are repeated or
empty). The rules here come from recorded traffic, and no server is trusted more than is needed. `Sequence` decides in
which order parts leave.
"""

from __future__ import annotations

from typing import Any

from translate.chat import citations, details, extras, media
from translate.chat.calls import LEGACY_INDEX, Calls
from translate.chat.content import parts_of
from translate.chat.stop import breakdown, is_cut, is_known, is_whole, read_stop
from translate.chat.think import THOUGHT, Piece, ThinkTags
from translate.chat.usage import of_chunk
from translate.conversation import (
    Event,
    Fault,
    Part,
    Refusal,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Unknown,
    Usage,
)
from translate.failures import errors
from translate.fields.leftovers import OPENAI_TIERS, WITHIN, said_beyond
from translate.json import wire
from translate.json.json_fields import arguments_in, index_of, list_of, object_of, objects_of, text_of, thought
from translate.parts import logprobs
from translate.reasoning import sealed_reasoning
from translate.streams.repeats import TextRepeats
from translate.streams.sequence import Sequence
from translate.target import Policy

_PLAIN = frozenset(("role", "content"))
# What most chunks and their choices have; nothing else need be looked for in these.
_USUAL = frozenset(("id", "object", "created", "model", "system_fingerprint", "choices", "usage", "obfuscation"))
_USUAL_CHOICE = frozenset(("index", "delta", "finish_reason", "logprobs"))
# What else is read of them, of a message and of a call.
_KNOWN = _USUAL | {"error", "x_groq", "venice_parameters", "type", "status"}  # the last two: Perplexity's stream
_CHOICE = _USUAL_CHOICE | {
    "message", "text", "error", "stop_reason", "matched_stop", "native_finish_reason", "usage",
}  # fmt: skip
_DELTA = _PLAIN | {
    *details.NAMES, "reasoning_details", "extra_content", "audio",
    "executed_tools", "annotations", "refusal", "images", "tool_calls", "function_call", "name", "prefix", "padding",
    "parsed", details.BLOCKS, details.OPAQUE,
}  # fmt: skip
_CALL = frozenset((
    "index", "id", "type", "function", "custom", "extra_content", "name", "arguments", "input",
))  # fmt: skip


class Assembly:
    """Takes each decoded object by `chunk`, then `stop` or `fail`; `take` gives the events so far."""

    __slots__ = (
        "_annotations", "_answered", "_beyond", "_calls", "_extras", "_finish", "_met", "_noted", "_opaque", "_refused",
        "_repeats_of", "_sequence", "_since", "_sounds", "_tags", "remark", "seen", "trace", "usage",
    )  # fmt: skip

    def __init__(self, policy: Policy) -> None:
        self._sequence = Sequence()
        self._repeats_of: dict[type[Part], TextRepeats] = {}
        self._calls: Calls | None = None  # most replies have none
        self._tags = ThinkTags() if policy.reasoning == "think_tags" else None
        self._finish = ""
        self._since = 0  # additions that came after the last finish_reason
        self._met = ""  # the stop sequence
        self._opaque = ""  # Copilot's proof
        self._refused = False
        self._answered = False  # text has begun
        self.usage: Usage | None = None
        self._annotations: list[Any] = []  # they came after the text that they belong to
        self._noted = False  # a text has annotations
        self._extras: dict[str, Any] = {}
        self._beyond: dict[str, Any] = {}  # the same, within the choice
        self._sounds: list[dict[str, Any]] = []
        self.remark: errors.ApiError | None = None  # what an object without choices complained of
        self.seen = 0  # choices so far; a stream without any choice is no reply
        self.trace: list[bytes] = []  # what the last chunk added to the open part; b"" spoils it (see Template)

    def __repr__(self) -> str:
        return f"<Assembly {self._sequence!r} {self._calls}, finish {self._finish!r}>"

    @property
    def finished(self) -> bool:
        """A finish_reason was seen, and nothing since: the end of the stream is its end, even without [DONE].
        Together ends each of several calls with one, so that a stream cut in the second has one, too."""
        return bool(self._finish) and not self._since

    @property
    def steady(self) -> bool:
        """The only part is open, and more of its text means just that."""
        return self._sequence.alone is not None and (self._tags is None or self._tags.settled)

    def take(self) -> list[Event]:
        return self._sequence.take()

    def more(self, pieces: list[bytes]) -> None:
        """Adds pieces to the open part. It may be called only while `steady`."""
        item = self._sequence.alone
        assert item is not None
        self._since += 1
        self._sequence.grow(item, pieces)

    def stop(self) -> None:
        """Ends the reply: it is complete."""
        if self._tags is not None:
            self._tagged(self._tags.rest())
        has_calls = self._calls is not None and self._calls.are_any
        reason = read_stop(self._finish, has_calls=has_calls, refused_in_words=self._refused)
        if self._met and reason == "end":
            reason = "stop_sequence"
        late, self._annotations = self._annotations, []
        if late := late or (citations.pages(self._extras) if self._extras and not self._noted else []):
            self._annotate(late)
        if self._sounds and (sound := media.audio_of(self._sounds)) is not None:
            self._sequence.push(sound)
        if executed := self._extras.pop("executed_tools", None):  # by Groq's compound systems
            self._sequence.push(Unknown("chat", {"type": "executed_tools", "executed_tools": executed}))
        extras = self._extras | ({"annotations": self._annotations} if self._annotations else {})
        tier = extras.pop("service_tier", "")
        ext = {"chat": extras} if extras else {}
        if self._beyond:
            ext[WITHIN] = self._beyond
        told = tier if tier in OPENAI_TIERS else ""
        self._sequence.finish(Stop(reason, self.usage, self._met, ext, service_tier=told))

    def fail(self, error: Exception) -> None:
        """Ends the reply with a Fault: it broke off."""
        self._sequence.abandon(Fault(error))

    # ------------------------------------------------------------------------------------------- chunks

    def chunk(self, data: dict[str, Any]) -> errors.ApiError | None:
        """Reads one chunk, or a whole chat.completion. Returns the error that it holds, if any; then nothing of it was
        taken."""
        self.trace.clear()
        choices = data.get("choices")
        if type(choices) is list and len(choices) == 1 and data.keys() <= _USUAL:
            if type(choice := choices[0]) is dict and choice.keys() <= _USUAL_CHOICE and not choice.get("index"):
                self._names(data)
                if data.get("usage"):
                    self.usage = of_chunk(data, self.usage)
                self.seen += 1
                self._delta(self._said(choice))
                if likely := choice.get("logprobs"):
                    self._likely(likely)
                return self._finished_by(choice.get("finish_reason"))
        if data.get("error") or not isinstance(data.get("choices"), list):
            if error := errors.of_object(data):
                return error
            self.remark = self.remark or errors.remark(data)
        if groq := text_of(object_of(data, "x_groq"), "error"):  # why the stream stopped early
            return errors.of_object({"error": groq})
        self._about(data)
        for choice in objects_of(data, "choices"):
            if not index_of(choice.get("index")):  # others are further answers (n > 1)
                if error := self._choice(choice):
                    return error
        return None

    def _names(self, data: dict[str, Any]) -> None:
        if (start := self._sequence.start) is not None:  # the first ones that say something: gateways begin with ""
            start.id = start.id or text_of(data, "id")
            start.model = start.model or text_of(data, "model")

    def _about(self, data: dict[str, Any]) -> None:
        self._names(data)
        self.usage = of_chunk(data, self.usage)
        if not data.keys() <= _KNOWN:
            self._extras |= said_beyond(data, _KNOWN)  # some send them on every chunk
        if "venice_parameters" in data and (pages := citations.of_venice(data)):
            self._extras["search_results"] = pages

    def _choice(self, choice: dict[str, Any]) -> errors.ApiError | None:
        self.seen += 1
        if choice.get("error") and (error := errors.of_object(choice)):
            return error
        if not choice.keys() <= _CHOICE:
            self._beyond |= said_beyond(choice, _CHOICE)
        self._delta(self._said(choice))
        if likely := choice.get("logprobs"):
            self._likely(likely)
        if error := self._finished_by(_reason(choice)):
            return error
        met = text_of(choice, "stop_reason") or text_of(choice, "matched_stop")  # vLLM and SGLang tell which one it was
        if met and not is_known(met):
            self._met = met
        return None

    def _finished_by(self, reason: Any) -> errors.ApiError | None:
        if isinstance(reason, str) and reason:
            if error := breakdown(reason):
                return error
            self._finish, self._since = reason, 0
        return None

    def _said(self, choice: dict[str, Any]) -> dict[str, Any]:
        """Returns the delta, or the whole message where there is no delta. Perplexity sends both: in a stream the
        message is cumulative, in a whole body the delta is empty. A text alone is what servers of the older
        completions say."""
        delta, message = choice.get("delta"), choice.get("message")
        if isinstance(delta, dict):
            for key, value in delta.items():
                if value and key != "role":
                    return delta
        if isinstance(message, dict):
            return message if self._sequence.is_empty else {}
        return {"content": choice["text"]} if "text" in choice else {}

    def _delta(self, delta: dict[str, Any]) -> None:
        if delta.keys() <= _PLAIN:  # of most: nothing else need be looked for
            if isinstance(content := delta.get("content"), str):
                self._text(content)
            if content is None or isinstance(content, str):
                return
        if not delta.keys() <= _DELTA:
            self._beyond |= said_beyond(delta, _DELTA)
        self._reasoning(delta)
        if "extra_content" in delta:
            if not self._answered:
                self._beside(extras.sealed(delta, extras.OF_MESSAGE))
            if extras.is_thought(delta) and (self._tags is None or self._tags.settled):
                self._tags = ThinkTags((THOUGHT,))
        content = delta.get("content")
        if isinstance(content, str):
            self._text(content)
        elif content:
            for part in parts_of(content):
                self._content_part(part)
        if isinstance(audio := delta.get("audio"), dict):
            self._audio(audio)
        if "executed_tools" in delta:
            self._extras.setdefault("executed_tools", []).extend(list_of(delta, "executed_tools"))
        # While the text that they belong to is the last part.
        if annotations := objects_of(delta, "annotations"):
            self._annotate(annotations)
        if refusal := text_of(delta, "refusal"):
            self._add(Refusal, refusal)
        for image in objects_of(delta, "images"):
            self.trace.append(b"")
            self._sequence.push(media.image_of(image))
        for call in objects_of(delta, "tool_calls"):
            self._call(call)
        if isinstance(legacy := delta.get("function_call"), dict):
            if self._calls is None or self._calls.take_legacy:
                self._call({"index": LEGACY_INDEX, "function": legacy})

    # ----------------------------------------------------------------------------------- text, thinking

    def _reasoning(self, delta: dict[str, Any]) -> None:
        """Reads reasoning, which comes as a string, in details, or as both (the same text twice)."""
        has_blocks = details.BLOCKS in delta and delta[details.BLOCKS]
        entries = objects_of(delta, details.BLOCKS if has_blocks else "reasoning_details")
        if not entries or not any(details.text_in(entry) for entry in entries):
            for key in details.NAMES:
                if key in delta and (text := details.said_in(delta[key])):
                    self._add(Thinking, text)
                    break
        for entry in entries:
            if not (has_blocks and details.is_part(entry)):
                self._detail(entry)
        if details.OPAQUE in delta and (opaque := text_of(delta, details.OPAQUE)) not in ("", self._opaque):
            self._opaque = opaque
            self.trace.append(b"")
            self._sequence.push(Thinking(encrypted=sealed_reasoning.of_opaque(opaque)))

    def _detail(self, entry: dict[str, Any]) -> None:
        if data := details.data_in(entry):
            self.trace.append(b"")
            provider = details.provider_in(entry)
            proof = details.neutral(data, entry)
            self._sequence.push(Thinking("", "", proof, {"chat": {"detail": entry}}, provider))
            return
        signature = details.neutral(details.signature_in(entry), entry)
        if (text := details.text_in(entry)) and not (signature and self._has_said(text)):
            self._add(Thinking, text, entry)
        if signature:
            self.trace.append(b"")
            last = self._sequence.last(Thinking)
            if last is None:  # the part that it signs was closed before
                last = self._sequence.push(_thought(entry))
            last.close.signature = signature

    def _has_said(self, thought: str) -> bool:
        """A signed entry may hold once more what came piece by piece before (as this proxy's own do)."""
        last = self._sequence.last(Thinking)
        return last is not None and last.text() == thought

    def _is_text_so_far(self, transcript: str) -> bool:
        """So may speech, where it comes whole."""
        said = self._repeats_of.get(Text)
        return said is not None and wire.text_of([said.whole()]) == transcript

    def _text(self, text: str) -> None:
        if self._tags is None:
            self._add(Text, text)
        else:
            self._tagged(self._tags.feed(text))

    def _tagged(self, pieces: list[Piece]) -> None:
        for is_thinking, text in pieces:
            self._add(Thinking if is_thinking else Text, text)

    def _content_part(self, raw: Any) -> None:
        if isinstance(raw, str):
            self._text(raw)
        elif not isinstance(raw, dict):
            return
        elif raw.get("type") in ("thinking", "reasoning"):
            self._add(Thinking, thought(raw) or details.said_in(raw))
            if signature := details.signature_in(raw):
                if (last := self._sequence.last(Thinking)) is not None:
                    last.close.signature = sealed_reasoning.of_upstream(signature, "chat")
            for said in objects_of(raw, "summary"):  # Databricks
                self._detail(said | {"type": "reasoning.text"})
        elif isinstance(text := raw.get("text"), str):
            self._text(text)
        elif raw.get("type") == "refusal":
            self._add(Refusal, str(raw.get("refusal") or ""))
        else:
            self.trace.append(b"")
            self._sequence.push(media.image_of(raw))

    def _audio(self, audio: dict[str, Any]) -> None:
        """Speech counts as its transcript; its sound comes in pieces, and is told at the end."""
        self.trace.append(b"")
        self._sounds.append(audio)
        transcript = text_of(audio, "transcript")
        is_whole = len(self._sounds) == 1 and bool(audio.get("data"))
        if transcript and not (is_whole and self._is_text_so_far(transcript)):
            self._add(Text, transcript)

    def _annotate(self, annotations: list[Any]) -> None:
        self.trace.append(b"")
        last = self._sequence.last(Text)
        if last is None:
            self._annotations += annotations
        else:
            self._noted = True
            before = last.before()
            last.close.citations += [citations.read(note, before) for note in annotations]

    def _likely(self, said: Any) -> None:
        """Reads how likely the tokens of the last text were."""
        self.trace.append(b"")
        if isinstance(said, dict) and (tokens := list_of(said, "content")) and (last := self._sequence.last(Text)):
            logprobs.note(last.close, tokens)

    def _add(self, kind: type[Text | Thinking | Refusal], text: str, entry: dict[str, Any] | None = None) -> None:
        """Adds text to the last part where it is of this kind, else begins a part. Empty text begins nothing."""
        if not text:
            return
        self._refused = self._refused or kind is Refusal
        self._answered = self._answered or kind is not Thinking
        item = self._sequence.last(kind)
        if item is None:
            repeats = self._repeats_of.setdefault(kind, TextRepeats())
            if repeats.has(text):
                self.trace.append(b"")
                return
            item = self._sequence.push(_thought(entry) if entry is not None else kind(text=""), repeats=repeats)
            if kind is Text and self._annotations:  # they came before the text they belong to
                early, self._annotations = self._annotations, []
                self._annotate(early)
        self._since += 1
        self.trace.append(self._sequence.say(item, text))

    # -------------------------------------------------------------------------------------------- calls

    def _call(self, raw: dict[str, Any]) -> None:
        custom = raw.get("custom")
        function = raw.get("function") or custom
        if not isinstance(function, dict):
            function = raw  # some servers put both into the call itself
        name, id = text_of(function, "name"), text_of(raw, "id")
        if extras.IN_ID in id:
            id = extras.id_of(raw)
        is_custom = function is custom
        arguments = text_of(function, "input") if is_custom else arguments_in(function)
        piece = wire.inside(arguments)
        index = index_of(raw.get("index"))
        if self._calls is None:
            self._calls = Calls()
        item = self._calls.find(index, id, name, piece, self.seen)
        if name:
            self.trace.append(b"")  # an entry with a name may begin another call
        if item is None:
            if not (name or id or piece):
                return
            self._since += 1
            if not raw.keys() <= _CALL:
                self._beyond |= said_beyond(raw, _CALL)
            if "extra_content" in raw:
                self._beside(extras.sealed(raw, extras.OF_CALL))
            elif id != raw.get("id") or extras.FIELDS in raw or extras.FIELDS in function:
                self._beside(extras.sealed_by_litellm(raw))
            id = self._calls.free_id(id)
            item = self._sequence.push(ToolCall(id, name, custom=is_custom))
            self._calls.add(item, index, id, self.seen)
        elif name and self._calls.rename(item, id, name):
            self._sequence.advance()
        if arguments:
            self._since += 1
            self.trace.append(self._sequence.say(item, arguments))

    def _beside(self, proof: Thinking | None) -> None:
        if proof is not None:
            self.trace.append(b"")
            self._sequence.push(proof)


def _reason(choice: dict[str, Any]) -> Any:
    """OpenRouter calls the end of a call "tool_calls", also where its provider has cut it in the middle. Any other
    word of its own, such as "error", says more than the provider's."""
    finish, native = text_of(choice, "finish_reason"), text_of(choice, "native_finish_reason")
    return native if native and is_cut(native) and is_whole(finish) else finish


def _thought(entry: dict[str, Any]) -> Thinking:
    """Returns the part that an entry begins, without what arrives piece by piece."""
    detail = {key: value for key, value in entry.items() if key not in details.PIECES}
    return Thinking(ext={"chat": {"detail": detail}}, provider=details.provider_in(entry))
