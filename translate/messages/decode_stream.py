"""Streams: an upstream's Messages events -> neutral events (Decoder); Encoder, in encode_stream.py, writes them.

Bytes are cut into events, each event is read by the state that the stream is in (a bound method: _unstarted, _odd,
_running, _finished), and the open block (assembly.py) tells what it holds. Deltas that look like the one before take
the fast path (fast_path.py). Start waits for the first content, so that an error before that can still become a status.
Blocks that a server interleaves are put in sequence: events of another block than the open one wait for its end. The
stream is complete at message_stop; one that just ends is complete only if it has told its stop_reason. Nothing here
raises: what cannot be read is a Fault.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from translate.conversation import Event, Fault, Open, Part, Ping, Start, Stop, ToolCall, Unknown, Usage
from translate.failures import errors
from translate.failures.errors import ApiError, BadReply
from translate.fields.leftovers import WITHIN
from translate.json import wire
from translate.json.json_fields import index_of
from translate.json.lenient import apart
from translate.messages.assembly import Block, Raw, block_of, push
from translate.messages.encode_stream import Encoder
from translate.messages.fast_path import Template, learn
from translate.messages.reply import MESSAGE, explode
from translate.messages.stop import breakdown, explanation_in, read_stop
from translate.messages.usage import read_usage
from translate.streams import sse
from translate.streams.pieces import BETWEEN
from translate.streams.reading import Look, as_it_is
from translate.streams.sequence import CUT, broken_call

__all__ = ["Decoder", "Encoder"]

# Blocks that may begin without a start, or within one that began as another.
_IMPLIED = {"text_delta": "text", "thinking_delta": "thinking"}
_DELTAS = frozenset({
    "text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta", str(None),
})  # fmt: skip
_SHOWN = 200  # characters of an unreadable reply that its error quotes


class Decoder:
    """One upstream stream. feed(chunk) and then end() give the events; after Stop or Fault all is ignored.

    A Fault before anything was told comes alone, without Start. It may come while a part is open: what the
    part lacks is not made up.
    """

    __slots__ = (
        "_beyond", "_splitter", "_state", "_start", "usage", "_given", "_sequence", "_ext", "_seen", "_bare", "_block",
        "_broken", "_held", "_later", "_remark", "_template", "look",
    )  # fmt: skip

    def __init__(self) -> None:
        self.look: Look = as_it_is
        self._splitter = sse.Splitter()
        self._state: Callable[[Decoder, str, Raw, bytes, list[Event]], None] = Decoder._unstarted
        self._start: Start | None = Start()  # until it was given out
        self.usage: Usage | None = None
        self._given: Any = None  # the stop_reason
        self._sequence = ""
        self._ext: dict[str, Any] = {}
        self._beyond: dict[str, Any] = {}  # deltas that nobody knows, of blocks that are known
        self._seen: set[type[Part]] = set()
        self._block: Block | None = None
        self._bare: list[Event] = []  # a call that closed without any input: perhaps it was cut
        self._broken: ToolCall | None = None  # the first call whose input never became an object
        self._held: list[Event] = []  # its end, and what came after it, until it is known whether the reply was cut
        self._later: list[tuple[str, Raw]] = []
        self._remark: ApiError | None = None  # what an object that is no event complained of
        self._template: Template | None = None

    def __repr__(self) -> str:
        return f"<Decoder {self._state.__name__} block={self._block} waiting={len(self._later)}>"

    @property
    def ended(self) -> bool:
        return self._state is Decoder._finished

    @property
    def begun(self) -> bool:
        """The upstream has begun a reply, even if nothing of it can be told yet."""
        return self._state is Decoder._running

    @property
    def complete(self) -> bool:
        """All of the reply is there: if the stream breaks off now, nothing is lost."""
        return self._given is not None and self._block is None

    def feed(self, chunk: bytes) -> list[Event]:
        out: list[Event] = []
        if self.ended:
            return out
        try:
            events = self._splitter.feed(chunk)
        except sse.EventTooLarge as error:
            self._fail(BadReply(str(error)), out)
            return out
        at = 0
        while at < len(events):
            pieces = self._template.run(events, at) if self._template is not None else []
            if pieces and self.look(joined := BETWEEN.join(pieces)) is joined:
                at += len(pieces)
                if b"" in pieces:
                    pieces = [piece for piece in pieces if piece]
                push(out, self._block.passed(pieces) if self._block is not None else pieces)
            else:  # one that is changed sends all of them this way
                for event in events[at : at + (len(pieces) or 1)]:
                    self._event(event, out)
                at += len(pieces) or 1
        return out

    def end(self) -> list[Event]:
        """The upstream has closed the stream."""
        out: list[Event] = []
        if self.ended:
            return out
        rest = self.look(self._splitter.rest())
        if rest.lstrip()[:1] == b"{" and self._state is Decoder._unstarted:
            self._whole(rest, out)
        elif rest and _is_whole(rest):  # many servers leave the last blank line out
            self._event(rest, out)
        if not self.ended:
            self._finish(out, rest)
        return out

    # ------------------------------------------------------------------------------------------ events

    def _event(self, event: bytes, out: list[Event]) -> None:
        if self.ended:
            return
        event = self.look(event)
        name, data = sse.fields(event)
        if not data:
            return
        if data.strip() == b"[DONE]":
            self._finish(out, b"")
            return
        try:
            raw = wire.loads(data)
        except ValueError:
            events = apart(event)
            for each in events:
                self._event(each, out)
            if not events:
                self._fail(_unreadable(name, data), out)
            return
        if name == b"error" or (isinstance(raw, dict) and (raw.get("type") == "error" or raw.get("error"))):
            self._fail(_error_of(raw), out)
        elif isinstance(raw, dict):
            kind = raw.get("type")
            if not (kind or name):
                self._remark = self._remark or errors.remark(raw)
            self._state(self, kind if isinstance(kind, str) else name.decode("utf-8", "replace"), raw, event, out)

    def _unstarted(self, kind: str, raw: Raw, event: bytes, out: list[Event]) -> None:
        if kind == "message_start":
            self._state = Decoder._running
            self._message_start(raw.get("message"), out)
        elif kind == "ping":
            out.append(Ping())
        elif kind in _RUNNING:  # a server that leaves message_start out
            self._state = Decoder._running
            self._running(kind, raw, event, out)
        else:
            self._state = Decoder._odd

    def _odd(self, kind: str, raw: Raw, event: bytes, out: list[Event]) -> None:
        """Something has come that is no event of this protocol, so that the stream is not empty."""
        self._unstarted(kind, raw, event, out)

    def _running(self, kind: str, raw: Raw, event: bytes, out: list[Event]) -> None:
        if kind == "ping":
            out.append(Ping())
        elif kind == "message_delta":
            self._message_delta(raw)
        elif kind == "message_stop":
            if self._remark is None:
                self._stop(out)
            else:
                self._finish(out, b"")
        elif kind in _RUNNING:
            self._content(kind, raw, event, out)
            self._catch_up(out)
            self._tell_start(out)

    def _finished(self, kind: str, raw: Raw, event: bytes, out: list[Event]) -> None:
        """Whatever follows the end (OpenRouter adds [DONE]) is nothing."""

    # ----------------------------------------------------------------------------------------- message

    def _message_start(self, message: Any, out: list[Event]) -> None:
        """Reads the beginning. An answer that goes on after programmatic tool calls has content here, and maybe a
        stop_reason."""
        if not isinstance(message, dict):
            return
        self.usage = read_usage(message.get("usage"))
        self._start = Start(str(message.get("id") or ""), str(message.get("model") or ""), self.usage)
        self._note_stop(message)
        self._ext |= {k: value for k, value in message.items() if value is not None and k not in MESSAGE}
        content = message.get("content")
        for raw in content if isinstance(content, list) else []:
            self._close(self._begin(block_of(None, raw), out), out)
        self._tell_start(out)

    def _message_delta(self, raw: Raw) -> None:
        self.usage = read_usage(raw.get("usage"), self.usage)
        delta = raw.get("delta")
        if isinstance(delta, dict):
            self._note_stop(delta)
            self._ext |= {k: v for k, v in delta.items() if k not in ("stop_reason", "stop_sequence")}
        self._ext |= {k: v for k, v in raw.items() if k not in ("type", "delta", "usage")}

    def _note_stop(self, said: Raw) -> None:
        self._given = said.get("stop_reason") or self._given
        if isinstance(said.get("stop_sequence"), str):
            self._sequence = said["stop_sequence"]

    def _tell_start(self, out: list[Event]) -> None:
        """Puts Start before the first event that opens something. Pings do not wait for it."""
        if self._start is None:
            return
        at = next((i for i, event in enumerate(out) if isinstance(event, Open | Stop)), None)
        if at is not None:
            out.insert(at, self._start)
            self._start = None

    # ----------------------------------------------------------------------------------------- content

    def _content(self, kind: str, raw: Raw, event: bytes, out: list[Event]) -> None:
        index = raw.get("index")
        if type(index) is not int and index is not None:
            index = index_of(index)
        block = self._block
        if block is not None and index is not None and index != block.index:
            self._later.append((kind, raw))
        elif kind == "content_block_start":
            if block is not None:
                self._close(block, out)
            self._begin(block_of(index, raw.get("content_block")), out)
        elif kind == "content_block_stop":
            if block is not None:
                self._close(block, out)
        else:
            self._delta(raw.get("delta"), index, event, out)

    def _onward(self, out: list[Event]) -> list[Event]:
        return out if self._broken is None else self._held

    def _begin(self, block: Block, out: list[Event]) -> Block:
        self._tell_bare(out)
        self._block = block
        block.begin(self._onward(out))
        return block

    def _delta(self, delta: Any, index: Any, event: bytes, out: list[Event]) -> None:
        if not isinstance(delta, dict):
            return
        block, kind = self._block, str(delta.get("type"))
        if block is not None and kind in _IMPLIED and block.is_other_than(_IMPLIED[kind]):
            self._close(block, out)
            block = None
        if block is None:
            if kind not in _IMPLIED:
                return
            block = self._begin(block_of(index, {"type": _IMPLIED[kind]}), out)
        block.delta(delta, self._onward(out))
        if kind not in _DELTAS and block.part is not Unknown:
            self._beyond[kind] = delta
        if block.template and block.template[0] == kind and event and block.opened and self._broken is None:
            text = delta.get(block.template[1])
            if block.half:
                self._template = None  # the other half of a character must come first
            elif isinstance(text, str) and text:
                self._template = learn(event, block.template[1], text) or self._template

    def _close(self, block: Block, out: list[Event]) -> None:
        self._block = self._template = None
        self._tell_bare(out)
        told: list[Event] = []
        block.close(told)
        if block.bare:
            self._bare = told
            return
        if block.broken is not None and self._broken is None:
            out += told[:-1]
            self._broken, told = block.broken, told[-1:]
        self._onward(out).extend(told)
        if block.opened:
            self._seen.add(block.part)

    def _tell_bare(self, out: list[Event]) -> None:
        """Gives out the call before: it was whole without any input, since the reply went on, or ended well."""
        if self._bare:
            self._onward(out).extend(self._bare)
            self._bare = []
            self._seen.add(ToolCall)

    def _catch_up(self, out: list[Event]) -> None:
        """Reads what came for other blocks while one was open, in its order."""
        waiting: deque[tuple[str, Raw]] = deque()
        while waiting or (self._block is None and self._later):
            if self._block is None:
                waiting.extendleft(reversed(self._later))
                self._later.clear()
            kind, raw = waiting.popleft()
            self._content(kind, raw, b"", out)

    # --------------------------------------------------------------------------------------------- end

    def _stop(self, out: list[Event]) -> None:
        while self._block is not None:
            self._close(self._block, out)
            self._catch_up(out)
        if self._bare and read_stop(self._given, {ToolCall})[0] not in CUT:
            self._tell_bare(out)
        if broke := breakdown(self._given):
            self._fail(broke, out)
            return
        reason, word = read_stop(self._given, self._seen)
        if self._broken is not None and reason not in CUT:  # whatever the server says, nobody may run it
            self._fail(broken_call(self._broken), out)
            return
        out += self._held
        ext = self._ext | word
        left = {"messages": ext} if ext else {}
        if self._beyond:
            left[WITHIN] = self._beyond
        out.append(Stop(reason, self.usage, self._sequence, left, explanation_in(ext)))
        self._tell_start(out)
        self._over()

    def _finish(self, out: list[Event], rest: bytes) -> None:
        """Ends a stream that ended by itself: well if it had said its stop_reason, else with a Fault."""
        if self._given:
            self._stop(out)
        elif self._remark is not None:
            self._fail(self._remark, out)
        elif self._state in (Decoder._unstarted, Decoder._odd):
            said = f": {_quote(rest)}" if rest else ""
            is_empty = not rest and self._state is Decoder._unstarted
            self._fail(BadReply(f"the upstream's stream ended before message_start{said}", is_empty=is_empty), out)
        else:
            self._fail(BadReply("the upstream's stream ended before message_stop"), out)

    def _whole(self, body: bytes, out: list[Event]) -> None:
        """Reads a whole message, or a whole error: a server that does not stream answers so."""
        try:
            out += explode(wire.loads(body))
        except BadReply as error:
            out.append(Fault(error))
        except ValueError:
            out.append(Fault(BadReply(f"the upstream's reply is not JSON, or is cut off: {_quote(body)}")))
        self._over()

    def _fail(self, error: ApiError, out: list[Event]) -> None:
        out.append(Fault(error))
        self._over()

    def _over(self) -> None:
        self._state = Decoder._finished
        self._template = self._block = None
        self._later.clear()


_RUNNING = frozenset({
    "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop",
})  # fmt: skip


def _is_whole(event: bytes) -> bool:
    """Tells whether the last event is complete but for its blank line, or was cut."""
    name, data = sse.fields(event)
    if name == b"error" or data.strip() == b"[DONE]":
        return True
    try:
        wire.loads(data)
    except ValueError:
        return bool(apart(event))
    return True


def _error_of(raw: Any) -> ApiError:
    error = errors.remark(raw) or errors.of_object({"error": raw})
    return error or ApiError("api", f"the upstream reported an error: {wire.dumps_text(raw)[:_SHOWN]}")


def _unreadable(name: bytes, data: bytes) -> ApiError:
    if name == b"error":
        return errors.parse(500, data)
    return BadReply(f"an event of the upstream's stream is not JSON: {_quote(data)}")


def _quote(data: bytes) -> str:
    return data[: _SHOWN * 4].decode("utf-8", "replace")[:_SHOWN]
