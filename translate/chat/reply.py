"""Whole Chat replies: takes a chat.completion apart into events, and puts one together from events.

`explode` hands the message to the same `Assembly` that puts streams together, and `collect` writes what the stream
encoder would have written, so a reply is the same whether it is streamed or not. Parts that Chat has no word for
(another provider's server tools) are left out.
"""

from __future__ import annotations

from typing import Any

from translate.chat import citations, clients, details, extras, media
from translate.chat.assembly import Assembly
from translate.chat.content import parts_of
from translate.chat.stop import read_stop, write_stop
from translate.chat.usage import of_chunk, usage_body
from translate.conversation import (
    Close,
    Delta,
    Event,
    Fault,
    Open,
    Part,
    Refusal,
    Start,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from translate.counting.usage import with_estimate
from translate.failures.errors import BadReply
from translate.fields.leftovers import OPENAI_TIERS
from translate.json import wire
from translate.json.json_fields import index_of, list_of, object_of, objects_of, text_of
from translate.parts import logprobs
from translate.target import Asked, Policy


def explode(body: dict[str, Any], policy: Policy = Policy()) -> list[Event]:
    """Returns a chat.completion as events. An error object (some servers send it with status 200) is a Fault.

    Raises BadReply for a body without a choice.
    """
    return _plain(body, policy) or _assembled(body, policy)


def _plain(body: dict[str, Any], policy: Policy) -> list[Event] | None:
    """Returns the events of a reply that is one text, as most are: what an Assembly would say, in a third of its time.
    None where there may be anything else."""
    choices = body.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or policy.reasoning == "think_tags":
        return None
    choice = choices[0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return None
    text, finish, tier = message.get("content"), choice.get("finish_reason"), body.get("service_tier")
    if not isinstance(text, str) or finish not in _PLAIN_ENDS or index_of(choice.get("index")):
        return None
    for said, known in ((body, _BODY), (choice, _CHOICE), (message, _MESSAGE)):
        for key in () if said.keys() <= known else said.keys() - known:
            if (value := said[key]) is not None and value != [] and value != "":
                return None
    text, half = wire.held_back(text)
    if not text or half or not isinstance(tier, str | None):
        return None
    start = Start(text_of(body, "id"), text_of(body, "model"))
    stop = Stop(read_stop(finish, has_calls=False), of_chunk(body), service_tier=tier if tier in OPENAI_TIERS else "")
    return [start, Open(Text("")), Delta([wire.inside(text)]), Close(), stop]


_PLAIN_ENDS = ("stop", "length")
_BODY = frozenset({"id", "object", "created", "model", "choices", "usage", "service_tier", "system_fingerprint"})
_CHOICE = frozenset({"index", "message", "finish_reason"})
_MESSAGE = frozenset({"role", "content"})


def _assembled(body: dict[str, Any], policy: Policy) -> list[Event]:
    body = _in_one_choice(body)
    parts = Assembly(policy)
    if error := parts.chunk(body):
        parts.fail(error)
    elif not parts.seen and parts.remark is not None:
        parts.fail(parts.remark)
    elif not parts.seen or not _says_something(body):
        raise no_choice(body)
    else:
        parts.stop()
    return parts.take()


def no_choice(body: dict[str, Any]) -> BadReply:
    """Returns the error for a reply without a choice. If it tells no usage either, nothing was done for it."""
    known = ", ".join(sorted(body)[:12]) or "none"
    message = f"the upstream's reply has no choice with a message; its fields are: {known}"
    return BadReply(message, is_empty=not body.get("choices") and not body.get("usage"))


def _in_one_choice(body: dict[str, Any]) -> dict[str, Any]:
    """Returns a reply that comes in several choices as one. GitHub Copilot gives what Claude says in one choice and
    each of its calls in another, and all of them end with a call. Where all have one, they are further answers."""
    choices = objects_of(body, "choices")
    calling = [choice for choice in choices if choice.get("finish_reason") in ("tool_calls", "function_call")]
    messages = [object_of(choice, "message") for choice in calling]
    if len(choices) < 2 or all(message.get("tool_calls") or message.get("function_call") for message in messages):
        return body
    whole = {key: value for message in reversed(messages) for key, value in message.items() if value}
    if calls := [call for message in messages for call in list_of(message, "tool_calls")]:
        whole["tool_calls"] = calls
    if contents := [content for message in messages if (content := message.get("content"))]:
        whole["content"] = [part for content in contents for part in parts_of(content)]
    return body | {"choices": [calling[0] | {"index": 0, "message": whole}]}


def _says_something(body: dict[str, Any]) -> bool:
    """Whether there is a choice with an end or with a message whose content can be read."""
    for choice in objects_of(body, "choices"):
        if choice.get("finish_reason") or "text" in choice:
            return True
        for said in (choice.get("message"), choice.get("delta")):
            if isinstance(said, dict) and isinstance(said.get("content"), str | list | dict | None):
                return True
    return False


def collect(events: list[Event], asked: Asked) -> dict[str, Any]:
    """Returns the events as a chat.completion of the OpenAI SDK. The error of a Fault is raised."""
    message = _Message(asked)
    for event in events:
        message.take(event)
    return message.body()


class _Message:
    """What has been gathered of the message. The open part's text is in `pieces`."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.texts: list[str] = []
        self.length = 0  # characters in all texts
        self.thoughts: list[str] = []
        self.refusals: list[str] = []
        self.details: list[dict[str, Any]] = []
        self.annotations: list[Any] = []
        self.calls: list[dict[str, Any]] = []
        self.extra: dict[str, Any] = {}
        self.beside: dict[str, Any] = {}  # what goes with the next call
        self.likely: list[Any] = []  # how likely the tokens of all texts were
        self.media = media.Beside(asked)
        self.usage: Usage | None = None
        self.stop = Stop("end")
        self.part: Part | None = None
        self.pieces: list[bytes] = []

    def __repr__(self) -> str:
        return f"<_Message {len(self.texts)} texts, {len(self.calls)} calls>"

    def take(self, event: Event) -> None:
        match event:
            case Start():
                self.usage = event.usage
            case Open():
                self.part, self.pieces = event.part, []
            case Delta():
                self.pieces += event.pieces
            case Close():
                self._close(event)
            case Stop():
                self.stop = event
            case Fault():
                raise event.error

    def _close(self, close: Close) -> None:
        text = wire.text_of(self.pieces)
        part = self.part
        if isinstance(part, Text):
            start = self.length
            self.length += len(text)
            self.texts.append(text)
            self.annotations += citations.write(close.citations, start, start + len(text))
            self.likely += logprobs.told(close) if close.ext else []
        elif found := extras.opened(part):
            what, extra = found
            if what == extras.OF_MESSAGE:
                self.extra["extra_content"] = extra
            else:
                self.beside = extras.beside_call(what, extra)
        elif isinstance(part, Thinking):
            self.thoughts.append(text)
            if entry := details.write(part, text, close.signature, len(self.details)):
                self.details.append(entry)
        elif isinstance(part, Refusal):
            self.refusals.append(text)
        elif isinstance(part, ToolCall):
            id = extras.id_told(part.id or call_id(self.asked, len(self.calls)), self.beside)
            name = self.asked.tool_names.get(part.name, part.name)
            if part.custom and self.asked.free_text:
                call = {"id": id, "type": "custom", "custom": {"name": name, "input": text}}
            elif part.custom:
                call = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments_of(text)}}
            else:
                call = {"id": id, "type": "function", "function": {"name": name, "arguments": text or "{}"}}
            self.calls.append(call | self.beside)
            self.beside = {}
        elif ran := media.tools_run(part):
            self.extra |= ran
        else:
            self.media.take(part)

    def body(self) -> dict[str, Any]:
        content = "".join(self.texts)
        refusal = "".join(self.refusals) or explanation(self.stop)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": content if content or not (self.calls or refusal) else None,
            "refusal": refusal or None,
        }
        if thoughts := "".join(self.thoughts):
            message |= dict.fromkeys(clients.habits(self.asked.headers).thoughts, thoughts)
        if self.details:
            message |= details.fields(self.details)
        if self.calls and self.asked.functions and "function" in self.calls[0]:
            message["function_call"] = self.calls[0]["function"]  # such a client takes one call in a message
        elif self.calls:
            message["tool_calls"] = self.calls
        if annotations := self.annotations + self.stop.ext.get("chat", {}).get("annotations", []):
            message["annotations"] = annotations
        if self.media.images:
            message["images"] = self.media.images
        if audio := self.media.audio():
            message["audio"] = audio
        has_calls, functions = bool(self.calls), self.asked.functions
        finish = write_stop(
            self.stop.reason, has_calls=has_calls, refused_in_words=bool(self.refusals), functions=functions
        )
        usage = with_estimate(self.stop.usage or self.usage, self.asked.input_tokens)
        likely = {"content": self.likely, "refusal": None} if self.likely else None
        choice = {"index": 0, "message": message | self.extra, "logprobs": likely, "finish_reason": finish}
        return {
            "id": f"chatcmpl-{self.asked.key}",
            "object": "chat.completion",
            "created": self.asked.created,
            "model": self.asked.model,
            "choices": [choice],
            "usage": usage_body(usage),
        } | beside(self.stop)


def call_id(asked: Asked, n: int) -> str:
    """Returns an id for a call whose upstream gave none."""
    return f"call_{asked.key}_{n}"


def arguments_of(text: str) -> str:
    """Returns the free text of a custom tool's call for a client that has offered functions alone."""
    return wire.dumps_text({"input": text})


def beside(stop: Stop) -> dict[str, Any]:
    """Returns what stands beside the choices: the tier, and what a Chat upstream has said there."""
    own = {key: value for key, value in stop.ext.get("chat", {}).items() if key != "annotations"}
    return own | ({"service_tier": stop.service_tier} if stop.service_tier else {})


def explanation(stop: Stop) -> str:
    """Returns why the model declines, if the provider says it in the model's place: there is no other word for it."""
    return stop.explanation if stop.reason == "refusal" else ""
