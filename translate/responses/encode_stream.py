"""Neutral events in, a Responses stream's bytes out.

A state for each kind of item that can be open, as bound methods would have it: an `_Open...` object takes the part's
deltas and its end. Every event carries a sequence_number; items and their parts are announced before their first
text and complete after the last. A message stays open between two texts, since they may be two parts of one; a call
whose arguments are no whole object waits until it is known whether the reply was cut. The terminal event holds the
whole response; a fault is response.failed, and then nothing follows, whatever was open.
"""

from __future__ import annotations

from typing import Any

from translate.conversation import (
    Close,
    Image,
    Part,
    Refusal,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Unknown,
)
from translate.counting.usage import with_estimate
from translate.failures import errors
from translate.json import wire
from translate.parts import logprobs
from translate.reasoning import sealed_reasoning
from translate.responses import citations, fault, items, media
from translate.responses.stop import incomplete_reason, words_of_refusal
from translate.responses.usage import usage_body
from translate.streams.sequence import CUT
from translate.streams.writing import StreamWriting
from translate.target import Asked
from translate.tools import websearch

_COMMENT = b": ping\n\n"
KEEPALIVE = b'event: keepalive\ndata: {"type":"keepalive"}\n\n'  # clients' idle timers see no comments


class Encoder(StreamWriting):
    """See StreamWriting. `response`: the final object, once there is one."""

    __slots__ = (
        "_asked", "_pending", "_item", "_template", "_message", "_output", "_pieces", "_place", "_refused",
        "_searches", "_seq", "response",
    )  # fmt: skip

    def __init__(self, asked: Asked) -> None:
        super().__init__(KEEPALIVE)
        self._asked = asked
        self._seq = 0
        self._output: list[bytes] = []  # items that are complete
        self._place = 0  # index of the item that is open, or comes next
        self._item = ""  # the open item's id, "" before it was announced
        self._template: tuple[bytes, bytes, bytes] | None = None  # around the number and the text; None = left out
        self._pieces: list[bytes] = []  # the open part's text
        self._message: tuple[Text | Refusal, list[bytes]] | None = None  # the open message: its first part, done parts
        self._pending: tuple[ToolCall, bytes] | None = None  # a call that may not be whole
        self._searches: dict[Any, dict[str, Any]] = {}  # calls of Anthropic's whose results are still to come
        self._refused = False
        self.response = b""

    def __repr__(self) -> str:
        return f"<responses.Encoder {self._state} {type(self._part).__name__} {len(self._output)} items>"

    def ping(self) -> bytes:
        """Returns a sign of life that is legal now."""
        if self._state == "over":
            return b""
        return _COMMENT if self._state == "waiting" else KEEPALIVE

    # ------------------------------------------------------------------------------------------- writing

    def _event(self, kind: bytes, inside: bytes, out: list[bytes]) -> None:
        """Writes an event. inside: its fields but for its type and number, as JSON without the braces."""
        out.append(b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}\n\n' % (kind, kind, self._seq, inside))
        self._seq += 1

    def _of_item(self, kind: bytes, inside: bytes, out: list[bytes]) -> None:
        where = b'"item_id":%b,"output_index":%d,%b' % (wire.dumps(self._item), self._place, inside)
        self._event(kind, where, out)

    def _set_template(self, kind: bytes, where: bytes, after: bytes = b"") -> None:
        """Sets what stands around deltas of the open part. where: its place within the item. after: what follows the
        text."""
        before = b'event: %b\ndata: {"type":"%b","sequence_number":' % (kind, kind)
        about = b',"item_id":%b,"output_index":%d,%b"delta":"' % (wire.dumps(self._item), self._place, where)
        self._template = before, about, b'"%b}\n\n' % after

    def _delta(self, pieces: list[bytes], out: list[bytes]) -> None:
        if isinstance(self._part, Thinking) and not self._item and pieces:
            self._begin_reasoning(out)
        if self._template is None:
            return
        before, about, after = self._template
        number = self._seq
        for piece in pieces:
            out += (before, b"%d" % number, about, piece, after)
            number += 1
        self._seq = number
        self._pieces += pieces

    def _begin(self, out: list[bytes]) -> None:
        if self._state == "waiting":
            self._state = "writing"
            response = b'"response":' + items.response(self._asked, "in_progress", [])
            self._event(b"response.created", response, out)
            self._event(b"response.in_progress", response, out)

    def _added(self, item: bytes, out: list[bytes]) -> None:
        self._event(b"response.output_item.added", b'"output_index":%d,"item":%b' % (self._place, item), out)

    def _done(self, item: bytes, out: list[bytes]) -> None:
        self._event(b"response.output_item.done", b'"output_index":%d,"item":%b' % (self._place, item), out)
        self._output.append(item)
        self._place += 1
        self._item = ""

    # --------------------------------------------------------------------------------------------- parts

    def _open(self, part: Part, out: list[bytes]) -> None:
        self._settle(b"completed", out)
        if self._message is not None and not self._goes_on(part):
            self._end_message(out)
        self._part, self._pieces, self._template = part, [], None
        if isinstance(part, Text | Refusal):
            self._open_text(part, out)
        elif isinstance(part, ToolCall):
            self._open_call(part, out)

    def _goes_on(self, part: Part) -> bool:
        """Tells whether it is one more part of the open message."""
        if self._message is None or not isinstance(part, Text | Refusal):
            return False
        return part.ext.get("responses") == self._message[0].ext.get("responses")

    def _open_text(self, part: Text | Refusal, out: list[bytes]) -> None:
        if self._message is None:
            self._item = items.item_id("msg", self._asked, self._place)
            self._added(items.message(self._item, [], part, items.IN_PROGRESS), out)
            self._message = part, []
        is_refusal = isinstance(part, Refusal)
        self._refused = self._refused or is_refusal
        empty = items.refusal_part(b"") if is_refusal else items.text_part(b"")
        where = b'"content_index":%d,' % len(self._message[1])
        self._of_item(b"response.content_part.added", where + b'"part":' + empty, out)
        if is_refusal:
            self._set_template(b"response.refusal.delta", where)
        else:
            self._set_template(b"response.output_text.delta", where, b',"logprobs":[]')

    def _open_call(self, part: ToolCall, out: list[bytes]) -> None:
        self._item = items.item_id("ctc" if part.custom else "fc", self._asked, self._place)
        self._added(self._call_item(part, b"", b"in_progress"), out)
        kind = b"response.custom_tool_call_input.delta" if part.custom else b"response.function_call_arguments.delta"
        self._set_template(kind, b"")

    def _call_item(self, part: ToolCall, text: bytes, status: bytes) -> bytes:
        name = self._asked.tool_names.get(part.name, part.name)
        call_id = part.id or items.item_id("call", self._asked, self._place)
        return items.call(self._item, call_id, name, part, text, status)

    def _begin_reasoning(self, out: list[bytes]) -> None:
        self._announce_reasoning(out)
        part = b'"summary_index":0,"part":' + items.summary_part(b"")
        self._of_item(b"response.reasoning_summary_part.added", part, out)
        self._set_template(b"response.reasoning_summary_text.delta", b'"summary_index":0,')

    def _announce_reasoning(self, out: list[bytes]) -> None:
        self._item = items.item_id("rs", self._asked, self._place)
        self._added(items.reasoning(self._item, [], "", done=False), out)

    # ----------------------------------------------------------------------------------------------- ends

    def _close(self, close: Close, out: list[bytes]) -> None:
        part, text = self._part, b"".join(self._pieces)
        if isinstance(part, Text | Refusal):
            self._close_text(part, text, close, out)
        elif isinstance(part, Thinking):
            self._close_reasoning(part, text, close, out)
        elif isinstance(part, ToolCall):
            self._close_call(part, text, out)
        elif isinstance(part, Image):
            item = media.item(part, items.item_id("ig", self._asked, self._place))
            self._by_steps(item, item | {"status": "in_progress", "result": None}, media.STEPS, out)
        elif isinstance(part, Unknown) and part.protocol == "responses":
            own = wire.dumps(part.raw)
            self._added(own, out)
            self._done(own, out)
        elif isinstance(part, Unknown) and part.protocol == "messages":
            if websearch.is_call(part.raw):
                self._searches[str(part.raw.get("id"))] = part.raw
            elif (call := self._searches.pop(str(part.raw.get("tool_use_id")), None)) is not None:
                self._search(call, part.raw, out)
        self._part, self._template = None, None

    def _search(self, call: dict[str, Any], result: dict[str, Any] | None, out: list[bytes]) -> None:
        """Writes one item for the call and its result."""
        item = websearch.item(call, result, items.item_id("ws", self._asked, self._place))
        self._by_steps(item, item | {"status": "in_progress"}, (b"in_progress", b"searching", b"completed"), out)

    def _by_steps(
        self, item: dict[str, Any], begun: dict[str, Any], steps: tuple[bytes, ...], out: list[bytes]
    ) -> None:
        """Writes an item of a tool that the provider has run: it is announced when it is over."""
        self._item = item["id"]
        self._added(wire.dumps(begun), out)
        for step in steps:
            where = b'"item_id":%b,"output_index":%d' % (wire.dumps(self._item), self._place)
            self._event(b"response.%b.%b" % (item["type"].encode(), step), where, out)
        self._done(wire.dumps(item), out)

    def _close_text(self, part: Text | Refusal, text: bytes, close: Close, out: list[bytes]) -> None:
        assert self._message is not None
        parts = self._message[1]
        where = b'"content_index":%d,' % len(parts)
        if isinstance(part, Refusal):
            self._of_item(b"response.refusal.done", b'%b"refusal":"%b"' % (where, text), out)
            parts.append(items.refusal_part(text))
        else:
            notes = citations.write(close.citations, len(wire.text_of([text]))) if close.citations else []
            for i, note in enumerate(notes):
                about = b'%b"annotation_index":%d,"annotation":%b' % (where, i, wire.dumps(note))
                self._of_item(b"response.output_text.annotation.added", about, out)
            likely = logprobs.told(close) if close.ext else []
            told = wire.dumps(likely) if likely else b"[]"
            self._of_item(b"response.output_text.done", b'%b"logprobs":%b,"text":"%b"' % (where, told, text), out)
            parts.append(items.text_part(text, notes, told))
        self._of_item(b"response.content_part.done", where + b'"part":' + parts[-1], out)

    def _end_message(self, out: list[bytes], status: bytes = items.COMPLETED) -> None:
        if self._message is not None:
            first, parts = self._message
            self._done(items.message(self._item, parts, first, status), out)
            self._message = None

    def _close_reasoning(self, part: Thinking, text: bytes, close: Close, out: list[bytes]) -> None:
        """Ends a thought. One without a word and without a proof is nothing, and is not written."""
        encrypted = sealed_reasoning.of_thinking(part, close.signature)
        if not self._item:
            if not encrypted:
                return
            self._announce_reasoning(out)
        parts = []
        if text:
            parts.append(items.summary_part(text))
            self._of_item(b"response.reasoning_summary_text.done", b'"summary_index":0,"text":"%b"' % text, out)
            self._of_item(b"response.reasoning_summary_part.done", b'"summary_index":0,"part":' + parts[0], out)
        self._done(items.reasoning(self._item, parts, encrypted or sealed_reasoning.EMPTY, done=True), out)

    def _close_call(self, part: ToolCall, text: bytes, out: list[bytes]) -> None:
        if not part.custom and not text:
            self._delta([b"{}"], out)  # clients parse the arguments, and "" is no JSON
            text = b"{}"
        self._pending = part, text
        if not part.custom and wire.is_object([text]):
            self._settle(b"completed", out)

    def _settle(self, status: bytes, out: list[bytes]) -> None:
        """Writes the end of the call that was kept back. Half of a free-form call looks like a whole one, and clients
        run every call that has ended. So such a call gets no end: it stands in the incomplete response alone."""
        if self._pending is None:
            return
        part, text = self._pending
        self._pending = None
        if part.custom and status == items.INCOMPLETE:
            self._output.append(self._call_item(part, text, status))
            return
        if part.custom:
            self._of_item(b"response.custom_tool_call_input.done", b'"input":"%b"' % text, out)
        else:
            name = wire.dumps(self._asked.tool_names.get(part.name, part.name))
            self._of_item(b"response.function_call_arguments.done", b'"name":%b,"arguments":"%b"' % (name, text), out)
        self._done(self._call_item(part, text, status), out)

    def _stop(self, stop: Stop, out: list[bytes]) -> None:
        if self._part is not None:
            self._close(Close(), out)
        reason = incomplete_reason(stop)
        self._settle(items.INCOMPLETE if stop.reason in CUT else items.COMPLETED, out)
        if stop.reason == "refusal" and not (self._refused or reason):
            self._refuse(stop, out)
        self._end_message(out, items.INCOMPLETE if reason else items.COMPLETED)
        for call in self._searches.values():
            self._search(call, None, out)
        status = "incomplete" if reason else "completed"
        usage = usage_body(with_estimate(stop.usage or self._usage, self._asked.input_tokens))
        told = {key: value for key, value in stop.ext.get("responses", {}).items() if key != "incomplete"}
        if stop.service_tier:
            told["service_tier"] = stop.service_tier
        self.response = items.response(self._asked, status, self._output, incomplete=reason, usage=usage, told=told)
        self._event(b"response." + status.encode(), b'"response":' + self.response, out)

    def _refuse(self, stop: Stop, out: list[bytes]) -> None:
        """Writes a refusal that only the stop reason told. Here it is an answer in words: clients take an incomplete
        response for a broken one, and ask for it again and again."""
        self._open(Refusal(), out)
        self._delta([wire.inside(words_of_refusal(stop))], out)
        self._close(Close(), out)

    def _fail(self, error: errors.ApiError, out: list[bytes]) -> None:
        self._begin(out)
        said: dict[str, Any] = fault.response_error(error)
        self.response = items.response(self._asked, "failed", self._output, error=said)
        self._event(b"response.failed", b'"response":' + self.response, out)
