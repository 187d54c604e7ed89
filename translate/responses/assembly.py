"""A Responses upstream's events in, neutral events out: the one place that knows how a reply is put together.

A whole reply is the terminal event of a stream that told nothing before, so that both take the same way. Each server
leaves out other things (numbers, indexes, deltas, the output of the terminal response). So an item begins with the
first event that names it, and its last event fills the gaps.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable
from typing import Any

from translate.conversation import Event, Fault, Stop, Usage
from translate.failures import errors
from translate.fields.leftovers import OPENAI_TIERS, WITHIN, said_beyond
from translate.json.json_fields import index_of, list_of, object_of, text_of
from translate.responses.item_reader import ItemReader, Raw
from translate.responses.readers import CALLS, CallReader, reader_of
from translate.responses.stop import failure_of, in_event, read_stop
from translate.responses.usage import usage_of
from translate.streams.sequence import Sequence

# event type -> (what its text is, the key of its index, the type of an item that was never announced)
_TEXTS = {
    "response.output_text": ("text", "content_index", "message"),
    "response.refusal": ("refusal", "content_index", "message"),
    "response.reasoning_text": ("content", "content_index", "reasoning"),
    "response.reasoning": ("content", "content_index", "reasoning"),  # older servers
    "response.reasoning_summary_text": ("summary", "summary_index", "reasoning"),
    "response.reasoning_summary": ("summary", "summary_index", "reasoning"),
    "response.function_call_arguments": ("arguments", "", "function_call"),
    "response.custom_tool_call_input": ("arguments", "", "custom_tool_call"),
}
# The event's name says how the response ended, whatever the response says.
_ENDS = {f"response.{status}": {"status": status} for status in ("incomplete", "failed", "cancelled")}
_PARTS = {"output_text": "text", "refusal": "refusal"}  # of a message, and what they are
_DONE_KEYS = ("text", "refusal", "arguments", "input")
_TERMINAL = ("response.incomplete", "response.failed", "response.cancelled", "response.done")
MOST_COMPARED = 64  # an item under another index and id is compared with so many: the same one is near
# What is read of a response, what it says of its request once more, and what is about its provider's own API.
_KNOWN = frozenset((
    "id", "object", "created_at", "completed_at", "status", "error", "incomplete_details", "model", "output", "usage",
    "output_text", "service_tier", "tool_usage", "access_programs", "background", "billing", "conversation", "image",
    "include", "input", "instructions", "max_output_tokens", "max_tool_calls", "metadata", "parallel_tool_calls",
    "previous_response_id", "prompt", "prompt_cache_diagnostics", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "reasoning", "safety_identifier", "store", "stream", "temperature", "presence_penalty",
    "frequency_penalty", "text", "tool_choice", "tools", "top_k", "top_logprobs", "top_p", "truncation", "user",
))  # fmt: skip
_OUTPUT = "_call_output"  # how the types of items end that answer a call
_UNFINISHED = ("queued", "in_progress")


class Assembly:
    """event(data) for each decoded object; take() gives the neutral events so far. `ended`: the terminal event came."""

    __slots__ = (
        "_answered", "_by_id", "_by_index", "_order", "_sequence", "_waiting", "begun", "ended", "remark", "trace",
        "usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self._sequence = Sequence()
        self._order: list[ItemReader] = []
        self._by_index: dict[int, ItemReader] = {}
        self._by_id: dict[str, ItemReader] = {}
        self._answered: set[str] = set()  # calls that the server has run itself: their outputs are in the reply
        self._waiting: list[tuple[Raw, Raw]] = []  # (event, call): came whole, and may be answered by the server
        self.usage: Usage | None = None
        self.remark: errors.ApiError | None = None  # what an object that is no event complained of
        self.begun = False
        self.ended = False
        self.trace = b""  # what the last event added to the open part, where it did nothing else (see Template)

    def __repr__(self) -> str:
        return f"<Assembly {self._sequence!r} {len(self._order)} items>"

    @property
    def steady(self) -> bool:
        """The only part is open, and more of its text means just that."""
        return self._sequence.alone is not None

    def take(self) -> list[Event]:
        return self._sequence.take()

    def more(self, pieces: list[bytes]) -> None:
        """Adds pieces to the open part. It may be called only while `steady`."""
        item = self._sequence.alone
        assert item is not None
        self._sequence.grow(item, pieces)

    def fail(self, error: Exception) -> None:
        """Ends the reply with a Fault: it broke off."""
        self.ended = True
        self._sequence.abandon(Fault(error))

    # ------------------------------------------------------------------------------------------- events

    def event(self, kind: str, data: Raw) -> None:
        self.trace = b""
        if kind in ("error", "response.error") or (data.get("error") and not kind.startswith("response.")):
            self.fail(_error_of(data))
        elif kind == "response.completed":
            self.end(object_of(data, "response"))
        elif kind in _TERMINAL:
            self.end(in_event(data) | _ENDS.get(kind, {}))
        elif not kind:
            self.remark = self.remark or errors.remark(data)
        elif kind.startswith("response."):
            self._going(kind, data)

    def _going(self, kind: str, data: Raw) -> None:
        self.begun = True
        stem, _, last = kind.rpartition(".")
        if stem in _TEXTS:
            self._text(stem, last, data)
        elif kind == "response.output_item.added":
            self._reader(data, object_of(data, "item"))
        elif kind == "response.output_item.done":
            item = object_of(data, "item")
            if item.get("type") == "message" or not self._waits(data, item):
                self._reader(data, item, is_whole=True).over(item)
        elif stem == "response.content_part":
            part = data.get("part")
            if isinstance(part, dict) and (part_kind := _PARTS.get(str(part.get("type")))) is not None:
                self._of_part(last, part_kind, part, data)
        elif kind == "response.output_text.annotation.added":
            self._reader(data, {"type": "message"}).note(index_of(data.get("content_index")), data.get("annotation"))
        elif kind in ("response.created", "response.queued", "response.in_progress"):
            self._about(object_of(data, "response"))

    def _waits(self, data: Raw, item: Raw) -> bool:
        """Lets a call that comes whole wait for the next item: agents' servers tell so a call that they run themselves,
        and then its output. Nobody else may run it. One that comes piece by piece is the client's at once."""
        kind = item.get("type")
        if kind in CALLS and self._is_new(data, item):
            self._waiting.append((data, item))
            return True
        if isinstance(kind, str) and kind.endswith(_OUTPUT):
            self._answered.add(text_of(item, "call_id"))
        return False

    def _is_new(self, data: Raw, call: Raw) -> bool:
        """Tells whether nothing of the call has come yet."""
        index, id = data.get("output_index"), text_of(data, "item_id") or text_of(call, "id")
        if not isinstance(index, int) and not id and self._order and not self._order[-1].is_over:
            return False
        near = (self._by_index.get(index) if isinstance(index, int) else None, self._by_id.get(id))
        if any(each is not None and (each.may_be(call) or each.is_renamed_as(call)) for each in near):
            return False
        return _telling(call, self._order[-MOST_COMPARED:]) is None

    def _settle(self) -> None:
        """Reads the calls that wait."""
        waiting, self._waiting = self._waiting, []
        for data, item in waiting:
            self._reader(data, item, is_whole=True).over(item)

    def _text(self, stem: str, last: str, data: Raw) -> None:
        what, index_key, implied = _TEXTS[stem]
        reader = self._reader(data, {"type": implied} | {k: data[k] for k in ("name", "call_id") if k in data})
        index = data.get(index_key) if index_key else None
        if index is not None and type(index) is not int:  # nearly all are: without a further call
            index = index_of(index)
        if last == "delta":
            said = text_of(data, "delta") or text_of(object_of(data, "delta"), "text")
            self.trace = reader.say(what, index, said)
            if data.get("logprobs"):
                reader.likely(index, list_of(data, "logprobs"))
                self.trace = b""
        elif last == "done":
            reader.whole(what, index, next((data[k] for k in _DONE_KEYS if isinstance(data.get(k), str)), ""))

    def _of_part(self, last: str, kind: str, part: Raw, data: Raw) -> None:
        """Reads that a part of a message begins, or all of it. last: of the event's type."""
        reader, index = self._reader(data, {"type": "message"}), data.get("content_index")
        if type(index) is not int:
            index = index_of(index)
        if last == "added":
            reader.announced(kind, index)
        if last != "done":
            return
        reader.whole(kind, index, text_of(part, kind))
        if part.get("annotations"):
            reader.noted(index, list_of(part, "annotations"))
        if part.get("logprobs"):
            reader.likely(index, list_of(part, "logprobs"), anew=True)
        reader.ended(kind, index)

    def _about(self, response: Raw) -> None:
        if (start := self._sequence.start) is not None:
            start.id = start.id or text_of(response, "id")
            start.model = start.model or text_of(response, "model")

    # ------------------------------------------------------------------------------------------- items

    def _reader(self, data: Raw, item: Raw, is_whole: bool = False) -> ItemReader:
        """Returns the reader of the item that an event is about; a new one, which begins as `item`, where it is not
        known. The index counts where it was seen before; else the id, as long as that item goes on (xAI has several
        items under one id); else the last item, where the event does not say which. is_whole: `item` is an item's last
        word, which may come under another index and id."""
        index, id = data.get("output_index"), text_of(data, "item_id") or text_of(item, "id")
        if index is not None and type(index) is not int:
            index = index_of(index)
        reader = self._by_index.get(index) if isinstance(index, int) else None
        if reader is not None and is_whole and not reader.may_be(item):
            reader = None if reader.is_over or not reader.is_renamed_as(item) else reader
        if reader is None and (named := self._by_id.get(id)) is not None:
            going_on = not named.is_over and named.may_be(item)
            reader = named if going_on or not isinstance(index, int) else None
        if reader is None and is_whole:
            reader = _telling(item, self._order[-MOST_COMPARED:])
        if reader is None and not isinstance(index, int) and not id and self._order and not self._order[-1].is_over:
            reader = self._order[-1]
        if reader is None:
            if self._waiting and item.get("type") not in CALLS and not text_of(item, "type").endswith(_OUTPUT):
                self._settle()
            reader = reader_of(item, self._sequence, self._answered)
            self._order.append(reader)
        if isinstance(index, int):
            self._by_index[index] = reader
        if id:
            self._by_id.setdefault(id, reader)
        return reader

    def _rest(self, output: list[Any]) -> None:
        """Reads the terminal response's output: items that no event told, or not to their end. They may be numbered and
        named in another way than in the events, and some may be left out."""
        free = dict.fromkeys(self._order)  # not met yet
        ids = {text_of(item, "call_id") for item in output if isinstance(item, dict)}
        for i, item in enumerate(output):
            if not isinstance(item, dict) or not isinstance(item.get("type"), str):
                continue
            places = (self._by_id.get(text_of(item, "id")), self._by_index.get(i), *self._order[i : i + 1])
            near = [place for place in places if place is not None and place in free and place.may_be(item)]
            known = _telling(item, near) or _telling(item, itertools.islice(free, MOST_COMPARED))
            known = known or next(iter(near), None) or _renamed(item, free, ids)
            if known is None:  # also one with an id that was there before: xAI's reasoning goes on under the same
                known = reader_of(item, self._sequence, self._answered)
                self._order.append(known)
            free.pop(known, None)
            known.over(item)

    # --------------------------------------------------------------------------------------------- end

    def end(self, response: Raw) -> None:
        """Reads the terminal response, or a whole reply."""
        self._about(response)
        self.usage = usage_of(response.get("usage"), response.get("service_tier"))
        if response.get("status") != "completed" or response.get("error"):
            if (failure := failure_of(response)) is not None:
                self.fail(failure)
                return
        output = list_of(response, "output")
        for item in output:
            if isinstance(item, dict) and isinstance(kind := item.get("type"), str) and kind.endswith(_OUTPUT):
                self._answered.add(text_of(item, "call_id"))
        if self._waiting:
            self._settle()
        self._rest(output)
        for reader in self._order:
            reader.fall_back()
        refused = any(reader.refused for reader in self._order)
        has_calls = any(isinstance(each, CallReader) and each.id not in self._answered for each in self._order)
        reason = read_stop(response, has_calls=has_calls, refused=refused)
        self.ended = True
        by_filter = reason == "refusal" and response.get("status") == "incomplete"
        left: Raw = {"incomplete": "content_filter"} if by_filter else {}
        if not response.keys() <= _KNOWN:
            left |= said_beyond(response, _KNOWN)
        ext = {"responses": left} if left else {}
        for reader in self._order:
            if reader.beyond:
                ext[WITHIN] = ext.get(WITHIN, {}) | reader.beyond
        tier = text_of(response, "service_tier")
        told = tier if tier in OPENAI_TIERS else ""
        self._sequence.finish(Stop(reason, self.usage, ext=ext, service_tier=told))


def _telling(item: Raw, readers: Iterable[ItemReader]) -> ItemReader | None:
    """Returns the reader whose deltas were the beginning, or all, of this whole item."""
    return next((each for each in readers if each.is_said_by(item)), None)


def _renamed(item: Raw, free: Iterable[ItemReader], ids: Container[str]) -> ItemReader | None:
    """Returns the reader of a call that has another id now. ids: those at the end; a call that was told under one of
    them is that one."""
    untold = (each for each in itertools.islice(free, MOST_COMPARED) if text_of(each.raw, "call_id") not in ids)
    return next((each for each in untold if each.is_renamed_as(item)), None)


def is_unfinished(response: Raw) -> bool:
    """Tells whether a whole reply is of a response that goes on in the background."""
    return response.get("status") in _UNFINISHED


def _error_of(data: Raw) -> errors.ApiError:
    """Reads an error event: an error object, or its fields beside the type."""
    inner = data.get("error")
    if isinstance(inner, dict | str) and inner:
        known = errors.of_object({"error": inner})
    else:
        said = {key: value for key, value in data.items() if key not in ("type", "sequence_number")}
        known = errors.remark(said) or errors.of_object({"error": said})
    return known or errors.ApiError("api", "the upstream reported an error without a message")
