"""Writes neutral events as a Chat stream: chat.completion.chunk objects, never a named event.

Each chunk is a byte template around its delta, which is made once per reply. Text arrives as the inside of a JSON
string and is copied into it, all pieces of one event by a single join. The states are: waiting for the first event,
writing, over. The stream ends with a finish chunk, the usage chunk where it was asked for, and [DONE]. An error ends it
with an error object and no [DONE], because a lenient client would then take the reply for complete.
"""

from __future__ import annotations

from typing import Any

from translate.chat import citations, clients, details, extras, fault, media
from translate.chat.reply import arguments_of, beside, call_id, explanation
from translate.chat.stop import write_stop
from translate.chat.usage import usage_body
from translate.conversation import (
    Close,
    Part,
    Refusal,
    Stop,
    Text,
    Thinking,
    ToolCall,
)
from translate.counting.usage import with_estimate
from translate.failures import errors
from translate.json import wire
from translate.parts import logprobs
from translate.streams.writing import StreamWriting
from translate.target import Asked

_PING = b": ping\n\n"
_UNCOUNTED = 64
"""So many pieces are kept before they are counted: a call for each costs time, and to keep all of them memory."""


class Encoder(StreamWriting):
    __slots__ = (
        "_after", "_arguments", "_asked", "_before", "_beside", "_calls", "_details", "_kept", "_length", "_media",
        "_notes", "_refused", "_said", "_start", "_template", "_whole",
    )  # fmt: skip

    def __init__(self, asked: Asked) -> None:
        super().__init__(_PING)
        self._asked = asked
        about = (wire.dumps(f"chatcmpl-{asked.key}"), asked.created, wire.dumps(asked.model))
        head = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":'
        self._before = head % about
        # As at OpenAI, a client that asked for usage gets null on every chunk but the last.
        usage = b',"usage":null' if asked.include_usage else b""
        self._after = b',"logprobs":null,"finish_reason":null}]%b}\n\n' % usage
        self._template: tuple[bytes, bytes] | None = None  # around the open part's text; None: it is left out
        self._arguments: tuple[bytes, bytes] | None = None  # the same of a call whose free text becomes an argument
        self._whole: dict[str, Any] | None = None  # a call that leaves in one piece
        self._kept: list[bytes] = []  # the open call's or thought's text so far
        self._beside: dict[str, Any] = {}  # what goes with the next call
        self._calls = 0
        self._details = 0
        self._notes = 0
        self._said: list[bytes] = []  # pieces of texts that are not counted yet
        self._length = 0  # of those that are, in characters: an annotation tells its place
        self._start = 0  # of the open text
        self._refused = 0
        self._media = media.Beside(asked)

    def __repr__(self) -> str:
        return f"<chat.Encoder {self._state} {type(self._part).__name__} {self._calls} calls>"

    def ping(self) -> bytes:
        """Returns a comment, which is legal anywhere and read by nobody."""
        return b"" if self._state == "over" else _PING

    def _delta(self, pieces: list[bytes], out: list[bytes]) -> None:
        if self._template is not None:
            before, after = self._template
            out += (before, (after + before).join(pieces), after)
            if type(self._part) is not Text:
                self._kept += pieces
                return
            self._said += pieces
            if len(self._said) > _UNCOUNTED:
                self._count()
        elif self._arguments is not None or self._whole is not None:
            self._kept += pieces

    # -------------------------------------------------------------------------------------------- parts

    def _begin(self, out: list[bytes]) -> None:
        if self._state == "waiting":
            self._state = "writing"
            out.append(self._chunk({"role": "assistant", "content": ""}))

    def _open(self, part: Part, out: list[bytes]) -> None:
        self._part, self._kept, self._template = part, [], None
        if isinstance(part, Text):
            if self._said:
                self._count()
            self._start = self._length
            self._template = self._around(b'{"content":"', b'"}')
        elif isinstance(part, Thinking):
            self._template = self._around(*clients.around_thought(clients.habits(self._asked.headers), self._details))
        elif isinstance(part, Refusal):
            self._refused += 1
            self._template = self._around(b'{"refusal":"', b'"}')
        elif isinstance(part, ToolCall):
            is_custom = part.custom and self._asked.free_text
            if self._asked.functions and not is_custom:
                self._function(part, out)
            else:
                self._call(part, "custom" if is_custom else "function", out)
            if part.custom and not is_custom:
                self._arguments, self._template = self._template, None

    def _call(self, call: ToolCall, kind: str, out: list[bytes]) -> None:
        index, self._calls = self._calls, self._calls + 1
        text = "input" if kind == "custom" else "arguments"
        function = {"name": self._asked.tool_names.get(call.name, call.name), text: ""}
        id = extras.id_told(call.id or call_id(self._asked, index), self._beside)
        begun = {"index": index, "id": id, "type": kind, kind: function} | self._beside
        self._beside = {}
        if clients.habits(self._asked.headers).whole_calls:
            self._whole = begun
            return
        out.append(self._chunk({"tool_calls": [begun]}))
        head = b'{"tool_calls":[{"index":%d,"%b":{"%b":"' % (index, kind.encode(), text.encode())
        self._template = self._around(head, b'"}}]}')

    def _call_at_once(self, call: ToolCall, begun: dict[str, Any], out: list[bytes]) -> None:
        text, kind = wire.text_of(self._kept), begun["type"]
        if kind == "custom":
            begun[kind]["input"] = text
        else:
            begun[kind]["arguments"] = arguments_of(text) if call.custom else text or "{}"
        self._whole = None
        out.append(self._chunk({"tool_calls": [begun]}))

    def _function(self, call: ToolCall, out: list[bytes]) -> None:
        """Writes a call for a client that speaks of functions: it takes one in a message, and no more."""
        self._calls += 1
        self._beside = {}
        if self._calls == 1:
            name = self._asked.tool_names.get(call.name, call.name)
            out.append(self._chunk({"function_call": {"name": name, "arguments": ""}}))
            self._template = self._around(b'{"function_call":{"arguments":"', b'"}}')

    def _close(self, close: Close, out: list[bytes]) -> None:
        part = self._part
        if found := extras.opened(part):
            self._set_beside(*found, out)
        elif isinstance(part, Thinking) and (close.signature or part.encrypted):
            said = self._kept and not clients.habits(self._asked.headers).in_details
            text = wire.text_of(self._kept) if said else ""
            entry = details.write(part, text, close.signature, self._details)
            self._details += 1
            out.append(self._chunk(details.fields([entry] if entry else [])))
        elif isinstance(part, ToolCall) and self._whole is not None:
            self._call_at_once(part, self._whole, out)
        elif self._arguments is not None:
            self._template, self._arguments = self._arguments, None
            self._delta([wire.inside(arguments_of(wire.text_of(self._kept)))], out)
        elif isinstance(part, ToolCall) and not part.custom and not self._kept:
            self._delta([b"{}"], out)  # clients parse the arguments, and "" is no JSON
        elif isinstance(part, Text):
            if close.citations:
                self._count()
                self._annotate(citations.write(close.citations, self._start, self._length), out)
            if close.ext and (likely := logprobs.told(close)):
                told = wire.dumps({"content": likely, "refusal": None})
                after = self._after.replace(b'"logprobs":null', b'"logprobs":' + told)
                out += (self._before, b'[{"index":0,"delta":{}', after)
        elif ran := media.tools_run(part):
            out.append(self._chunk(ran))
        elif image := self._media.take(part):
            out.append(self._chunk({"images": [{"index": len(self._media.images) - 1} | image]}))
        self._part, self._template = None, None

    def _count(self) -> None:
        self._length += len(wire.text_of(self._said))
        self._said = []

    def _set_beside(self, what: str, extra: dict[str, Any], out: list[bytes]) -> None:
        if what == extras.OF_MESSAGE:
            out.append(self._chunk({"extra_content": extra}))
        else:
            self._beside = extras.beside_call(what, extra)

    def _stop(self, stop: Stop, out: list[bytes]) -> None:
        if audio := self._media.audio():
            out.append(self._chunk({"audio": audio}))
        if not self._refused and (why := explanation(stop)):
            out.append(self._chunk({"refusal": why}))
        self._annotate(stop.ext.get("chat", {}).get("annotations", []), out)
        has_calls, functions = bool(self._calls), self._asked.functions
        finish = write_stop(stop.reason, has_calls=has_calls, refused_in_words=bool(self._refused), functions=functions)
        tail = self._after.replace(b'"finish_reason":null', b'"finish_reason":"%b"' % finish.encode())
        said = beside(stop)
        if not self._asked.include_usage and (wants := clients.habits(self._asked.headers)).told:
            said |= clients.told(wants, with_estimate(stop.usage or self._usage, self._asked.input_tokens))
        if said:
            tail = b"%b,%b\n\n" % (tail[:-3], wire.dumps(said)[1:])
        out += (self._before, b'[{"index":0,"delta":{}', tail)
        if self._asked.include_usage:
            usage = with_estimate(stop.usage or self._usage, self._asked.input_tokens)
            out += (self._before, b'[],"usage":', wire.dumps(usage_body(usage)), b"}\n\n")
        out.append(b"data: [DONE]\n\n")

    def _fail(self, error: errors.ApiError, out: list[bytes]) -> None:
        out.append(fault.event(error))

    def _annotate(self, annotations: list[Any], out: list[bytes]) -> None:
        """Writes annotations. The SDK's stream helper wants an index in whatever stands in a list of a delta."""
        if annotations:
            numbered = [{"index": i} | note for i, note in enumerate(annotations, self._notes)]
            self._notes += len(annotations)
            out.append(self._chunk({"annotations": numbered}))

    # ----------------------------------------------------------------------------------------- templates

    def _around(self, head: bytes, tail: bytes) -> tuple[bytes, bytes]:
        return self._before + b'[{"index":0,"delta":' + head, tail + self._after

    def _chunk(self, delta: dict[str, Any]) -> bytes:
        return b'%b[{"index":0,"delta":%b%b' % (self._before, wire.dumps(delta), self._after)
