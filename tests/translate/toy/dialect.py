"""A fourth protocol, made up, as small as one can be: a request says `model`, `stream`, `ask` and `most`; a reply is
{"answer": text, "end": why, "cost": [in, out]}, and a stream of it lines of text between a first and a last event.

It is what shows that a protocol is a package and a row: nothing outside of this folder knows of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from translate.conversation import (
    Close,
    Conversation,
    Delta,
    Event,
    Fault,
    Open,
    Ping,
    Start,
    Stop,
    StopReason,
    Text,
    ToolCall,
    Turn,
    Usage,
)
from translate.counting import usage
from translate.counting.usage import with_estimate
from translate.dialect import Dialect, Errors, Http, Marks
from translate.endpoint import Endpoint, Framed
from translate.failures.errors import ApiError, BadReply, BadRequest
from translate.fields.ledger import Table
from translate.fields.words import Words
from translate.json import wire
from translate.json.json_fields import Body
from translate.streams import sse
from translate.target import Asked, Encoded, Policy, Target

LEDGER = Table("toy", """
name | messages
model | = model
ask | = messages
most | = max_tokens
stream | ~
mood | - nobody else has moods
""")  # fmt: skip
WORDS = Words(history="ask", stop="", ledger=LEDGER)

_ENDS: dict[StopReason, str] = {"end": "said", "length": "cut", "refusal": "refused"}
_READ: dict[str, StopReason] = {word: reason for reason, word in _ENDS.items()}


# ------------------------------------------------------------------------------------------------------- requests


def decode(body: Body) -> Conversation:
    asked = body.get("ask")
    if not isinstance(asked, list) or not all(isinstance(line, str) for line in asked):
        raise BadRequest("ask: a list of texts, the client's and the model's in turn", "ask")
    turns = [Turn("assistant" if at % 2 else "user", [Text(line)]) for at, line in enumerate(asked)]
    left = {key: value for key, value in body.items() if key not in ("model", "ask", "most", "stream")}
    most = body.get("most")
    return Conversation(
        str(body["model"]), turns, max_tokens=most if isinstance(most, int) else None,
        stream=body.get("stream") is True, ext={"toy": left}, words=WORDS,
    )  # fmt: skip


def encode(conversation: Conversation, target: Target) -> Encoded:
    lines: list[str] = []
    for turn in conversation.turns:
        text = "".join(part.text for part in turn.parts if isinstance(part, Text))
        if (turn.role == "assistant") == (len(lines) % 2 == 1):
            lines.append(text)
        elif lines:
            lines[-1] += "\n" + text
    body: dict[str, object] = {"model": target.model, "ask": lines, "stream": conversation.stream}
    if conversation.max_tokens is not None:
        body["most"] = conversation.max_tokens
    return Encoded(body | conversation.ext.get("toy", {}), ["tools"] if conversation.tools else [])


# -------------------------------------------------------------------------------------------------------- replies


def of_object(cost: Any, before: Usage | None = None) -> Usage | None:
    counts = isinstance(cost, list) and len(cost) == 2 and all(type(n) is int for n in cost)
    return Usage(cost[0], output=cost[1]) if counts else before


def of_event(said: Body, before: Usage | None = None) -> Usage | None:
    return of_object(said.get("cost"), before)


def explode(body: Body, policy: Policy) -> list[Event]:
    if "wrong" in body:
        return [Fault(ApiError("api", str(body["wrong"])))]
    if not isinstance(body.get("answer"), str):
        raise BadReply("the reply has no answer")
    used = of_event(body)
    part: list[Event] = [Open(Text("")), Delta([wire.inside(body["answer"])]), Close()]
    return [Start(usage=used), *part, Stop(_READ.get(str(body.get("end")), "end"), used)]


def collect(events: list[Event], asked: Asked) -> Body:
    text: list[bytes] = []
    part: object = None
    for event in events:
        match event:
            case Open():
                part = event.part
            case Delta() if isinstance(part, Text):
                text += event.pieces
            case Fault():
                raise event.error
            case Stop():
                return {"answer": wire.text_of(text)} | _last(event, asked)
    raise BadReply("the reply has no end")


def _last(stop: Stop, asked: Asked) -> Body:
    used = with_estimate(stop.usage, asked.input_tokens)
    return {"end": _ENDS.get(stop.reason, "said"), "cost": [used.prompt, used.output]}


class Decoder:
    """{"begin": ...}, {"text": ...} many times, and {"end": why, "cost": [...]} as the last."""

    def __init__(self, policy: Policy) -> None:
        self._splitter = sse.Splitter()
        self.begun = self.ended = False
        self.usage: Usage | None = None

    @property
    def complete(self) -> bool:
        return self.ended

    def feed(self, chunk: bytes) -> list[Event]:
        return [told for event in self._splitter.feed(chunk) for told in self._read(event)]

    def end(self) -> list[Event]:
        out = self._read(self._splitter.rest())
        return out if self.ended else [*out, self._fault(BadReply("the stream ended before its end"))]

    def _read(self, event: bytes) -> list[Event]:
        data = sse.fields(event)[1]
        if self.ended or not data:
            return []
        try:
            said = wire.loads(data)
        except ValueError:
            return [self._fault(BadReply("an event is no JSON"))]
        if "wrong" in said:
            return [self._fault(ApiError("api", str(said["wrong"])))]
        first: list[Event] = [] if self.begun else [Start(), Open(Text(""))]
        self.begun = True
        if "end" not in said:
            return first + ([Delta([wire.inside(said["text"])])] if said.get("text") else [])
        self.ended = True
        self.usage = of_event(said)
        return [*first, Close(), Stop(_READ.get(said["end"], "end"), self.usage)]

    def _fault(self, error: ApiError) -> Event:
        self.ended = True
        return Fault(error)


class Encoder:
    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._shows = False
        self.started = self.ended = False

    def ping(self) -> bytes:
        return b"" if self.ended else b": ping\n\n"

    def emit(self, events: list[Event]) -> bytes:
        return b"".join(self._one(event) for event in events)

    def _one(self, event: Event) -> bytes:
        if self.ended or isinstance(event, Ping):
            return b""
        if isinstance(event, Fault):
            self.ended = True
            return error_event(event.error if isinstance(event.error, ApiError) else BadReply(str(event.error)))
        out = b"" if self.started else _event({"begin": self._asked.model})
        self.started = True
        match event:
            case Open():
                self._shows = isinstance(event.part, Text) and not isinstance(event.part, ToolCall)
            case Delta() if self._shows:
                out += b"".join(b'data: {"text":"%b"}\n\n' % piece for piece in event.pieces)
            case Stop():
                self.ended = True
                out += _event(_last(event, self._asked))
        return out


def _event(said: Body) -> bytes:
    return b"data: " + wire.dumps(said) + b"\n\n"


def error_body(error: ApiError, request_id: str = "") -> bytes:
    return wire.dumps({"wrong": error.message, "id": request_id})


def error_event(error: ApiError, request_id: str = "") -> bytes:
    return b"data: " + error_body(error, request_id) + b"\n\n"


class Lines:
    """A stream as lines of JSON."""

    def feed(self, events: bytes) -> bytes:
        return events.replace(b"data: ", b"").replace(b"\n\n", b"\n")

    def end(self) -> bytes:
        return b"over\n"

    def ping(self) -> bytes:
        return b"\n"


def framed(query: Mapping[str, str]) -> Framed | None:
    return Framed("application/x-toys", Lines) if query.get("as") == "lines" else None


TOY = Dialect(
    name="toy",
    endpoints=(
        Endpoint("", "/toy/ask", "toy"),
        Endpoint("", "/toy/{}/models/{model}:ask", "toy", streams=False),
        Endpoint("", "/toy/{}/models/{model}:tell", "toy", streams=True, framed=framed),
    ),
    decode_request=decode,
    encode_request=encode,
    decoder=Decoder,
    encoder=Encoder,
    explode=explode,
    collect=collect,
    usage=usage.UsageReader(of_event, of_object),
    words=WORDS,
    errors=Errors(
        error_body, error_event, lambda error: error.status, lambda error, head, sent, model: error_event(error)
    ),
    marks=Marks(
        terminal=re.compile(rb'"(end|wrong)"\s*:'),
        refusal=re.compile(rb'"end"\s*:\s*"refused"'),
        content=re.compile(rb'"text"'),
    ),
    http=Http(auth=("x-toy-key", ""), headers={"x-toy": "1"}),
)
