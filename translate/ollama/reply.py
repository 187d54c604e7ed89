"""Chat's replies in Ollama's own form: a line of JSON for each delta, and a last one with the counts.

Chat's own decoder reads the replies, whatever server they come from. An empty line would break Ollama's clients, and so
a sign of life is a delta without text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from translate import repair
from translate.chat.decode_stream import Decoder
from translate.conversation import (
    Audio,
    Close,
    Delta,
    Event,
    Fault,
    Image,
    Open,
    Part,
    Refusal,
    Start,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Unknown,
)
from translate.failures.errors import ApiError, BadReply
from translate.json import wire
from translate.json.json_fields import Body
from translate.parts import reply_media

CONTENT_TYPE = "application/x-ndjson"
_CREATED = re.compile(rb'"created"\s*:\s*(\d{1,11})')
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]+)"')
_DAY_S = 86_400
_LAST_S = 253402300799  # the end of the year 9999


def error(error: ApiError, request_id: str = "") -> bytes:
    return wire.dumps({"error": error.message})


class Lines:
    """See translate.dialect.Framing. generates: of /api/generate, whose text is a field of its own. clock: see Timed;
    None = how long it took is not said."""

    __slots__ = (
        "_after", "_before", "_began", "_calls", "_clock", "_decoder", "_first", "_generates", "_head", "_kept",
        "_over", "_part", "_pieces",
    )  # fmt: skip

    def __init__(self, generates: bool, clock: Callable[[], float] | None = None) -> None:
        self._generates = generates
        self._clock = clock
        self._began = clock() if clock is not None else 0.0
        self._first = 0.0  # when the model's first word came
        self._decoder = Decoder()
        self._head: Body = {"model": "", "created_at": _rfc3339(0)}
        self._part: Part | None = None
        self._before = self._after = b""
        self._kept: list[bytes] = []
        self._pieces = 0
        self._calls = 0
        self._over = False

    def __repr__(self) -> str:
        return f"<Lines {self._decoder!r}>"

    def feed(self, events: bytes) -> bytes:
        if not self._pieces and (found := _CREATED.search(events)):
            self._head["created_at"] = _rfc3339(int(found[1]))
        if not self._pieces and (said := _MODEL.search(events)):  # a sign of life may go out before the reply begins
            self._head["model"] = said[1].decode("utf-8", "replace")
        self._pieces += 1
        return self._written(self._decoder.feed(events))

    def end(self) -> bytes:
        return self._written(self._decoder.end())

    def ping(self) -> bytes:
        return b"" if self._over else self._line({"content": ""})

    def _written(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if type(event) is Delta:
                self._delta(event, out)
            elif not self._over:
                self._other(event, out)
        return wire.on_one_line(b"".join(out))

    def _delta(self, event: Delta, out: list[bytes]) -> None:
        if self._before:
            out += (self._before, (self._after + self._before).join(event.pieces), self._after)
        else:
            self._kept += event.pieces

    def _other(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Start():
                self._head["model"] = event.model
            case Open():
                self._open(event.part)
            case Close():
                if isinstance(self._part, ToolCall):
                    made = call(self._part, self._calls, wire.text_of(self._kept))
                    out.append(self._line({"content": "", "tool_calls": [made]}))
                    self._calls += 1
                elif isinstance(self._part, Unknown):
                    out += map(self._line, map(_shown, self._part.parts))
                self._part, self._before = None, b""
            case Stop():
                self._over = True
                out.append(self._line({"content": ""}, done=True, **counts(event), **self._took()))
            case Fault():
                self._over = True
                known = event.error if isinstance(event.error, ApiError) else BadReply(str(event.error))
                out.append(error(known) + b"\n")

    def _took(self) -> Body:
        if self._clock is None:
            return {}
        now = self._clock()
        return durations(now - self._began, now - self._first if self._first else 0.0)

    def _open(self, part: Part) -> None:
        if self._clock is not None and not self._first:
            self._first = self._clock()
        self._part, self._kept, self._before = part, [], b""
        key = "content" if isinstance(part, Text | Refusal) else "thinking" if isinstance(part, Thinking) else ""
        if key:
            mark = "\x00"
            line = self._line({"content": ""} | {key: mark})
            self._before, _, self._after = line.partition(wire.inside(mark))

    def _line(self, message: Body, *, done: bool = False, **more: Any) -> bytes:
        said = as_response(message) if self._generates else {"message": {"role": "assistant", **message}}
        return wire.dumps(self._head | said | {"done": done} | more) + b"\n"


def as_response(message: Body) -> Body:
    """Returns a message as /api/generate has it, which knows one picture."""
    said = {"response" if key == "content" else key: value for key, value in message.items() if key != "images"}
    return said | ({"image": message["images"][0]} if "images" in message else {})


def _shown(part: Part) -> Body:
    """Returns a picture as a message has it; of what else there is to see or to hear, the words."""
    if isinstance(part, Image) and part.data:
        return {"content": "", "images": [part.data]}
    is_told = isinstance(part, Audio) and part.transcript
    return {"content": "" if is_told else f"\n\n{reply_media.in_words(part)}\n"}


def call(part: ToolCall, index: int, arguments: str) -> Body:
    """Returns a call. index: its number in the reply, without which clients take several calls for parts of one."""
    function = {"index": index, "name": part.name, "arguments": wire.loads(repair.arguments(arguments))}
    return ({"id": part.id} if part.id else {}) | {"function": function}


def counts(stop: Stop) -> Body:
    reason = {"length": "length", "context_overflow": "length"}.get(stop.reason, "stop")
    used = stop.usage
    told = {} if used is None else {"prompt_eval_count": used.prompt, "eval_count": used.output}
    return {"done_reason": reason} | told


def durations(whole_s: float, answer_s: float) -> Body:
    """Returns, in nanoseconds, how long the reply took, and of it the answer from its first word on. Clients divide the
    tokens by the latter, and so it is never 0."""
    whole, answer = (max(1, round(seconds * 1e9)) for seconds in (whole_s, answer_s))
    return {"total_duration": whole, "load_duration": 0,
            "prompt_eval_duration": max(0, whole - answer), "eval_duration": answer}  # fmt: skip


def chat_loaded(body: Body) -> bytes | None:
    """Returns the reply where there is no message: a client has its model loaded before it asks anything, as Ollama's
    own program does, or has it unloaded. There is nothing to load here. None where there is something to answer."""
    return None if body.get("messages") else _loaded(body, {"message": {"role": "assistant", "content": ""}})


def generate_loaded(body: Body) -> bytes | None:
    """The same where there is no prompt."""
    return None if body.get("prompt") or body.get("images") else _loaded(body, {"response": ""})


def _loaded(body: Body, said: Body) -> bytes:
    kept = body.get("keep_alive")
    reason = "unload" if kept is not None and str(kept).rstrip("smh") == "0" else "load"
    head = {"model": body.get("model") or body.get("name"), "created_at": _rfc3339(0)}
    return wire.dumps(head | said | {"done_reason": reason, "done": True})


def whole(raw: bytes, generates: bool, seconds: float = 0.0) -> bytes:
    """Returns a whole reply: all lines of its stream in one. seconds: how long it took; 0 = that is not said."""
    lines = Lines(generates)
    written = lines.feed(raw) + lines.end()
    *deltas, last = (wire.loads(line) for line in written.splitlines())
    if "error" in last:
        return wire.dumps(last)
    last |= durations(seconds, seconds) if seconds else {}
    said: Body = {}
    for delta in deltas:
        message = delta if generates else delta["message"]
        for key in ("content", "response", "thinking"):
            if key in message:
                said[key] = said.get(key, "") + message[key]
        for key in ("tool_calls", "images"):
            if key in message:
                said.setdefault(key, []).extend(message[key])
        if "image" in message:
            said["image"] = message["image"]
    if generates:
        return wire.dumps(last | said)
    return wire.dumps(last | {"message": last["message"] | said})


def _rfc3339(seconds: int) -> str:
    """Seconds since 1970 as RFC 3339 has them, by the civil calendar (Howard Hinnant, "Date Algorithms")."""
    days, rest = divmod(max(0, min(seconds, _LAST_S)), _DAY_S)
    days += 719_468
    era, of_era = divmod(days, 146_097)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    year += era * 400 + (month <= 2)
    hour, minute, second = rest // 3_600, rest // 60 % 60, rest % 60
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
