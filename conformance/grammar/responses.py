"""The grammar of a Responses stream: created, items one at a time, the terminal response.

Every event has a number, one more than the last. An item is announced, its parts are announced, grow and end, the
item ends as what its parts said, and the terminal response's output is the row of the items that ended. Stated here
a second time from the OpenAI SDK's event types and recorded streams.
"""

from __future__ import annotations

from typing import Any

from conformance.grammar.framing import as_object, is_count, typed

TERMINAL = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}
# stem of an event -> (item type, key of its index or "", key of the whole text in its done event)
TEXTS: dict[str, tuple[str, str, str]] = {
    "response.output_text": ("message", "content_index", "text"),
    "response.refusal": ("message", "content_index", "refusal"),
    "response.reasoning_summary_text": ("reasoning", "summary_index", "text"),
    "response.reasoning_text": ("reasoning", "content_index", "text"),
    "response.function_call_arguments": ("function_call", "", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "", "input"),
    "response.mcp_call_arguments": ("mcp_call", "", "arguments"),
    "response.code_interpreter_call_code": ("code_interpreter_call", "", "code"),
}
PARTS = {
    "response.content_part": ("message", "content_index"),
    "response.reasoning_summary_part": ("reasoning", "summary_index"),
}
# Of tools that the provider runs: what is told, in this order. A picture is shown in part as often as it may be.
STEPS = {
    "web_search_call": ("in_progress", "searching", "completed"),
    "file_search_call": ("in_progress", "searching", "completed"),
    "code_interpreter_call": ("in_progress", "interpreting", "completed"),
    "image_generation_call": ("in_progress", "generating", "completed"),
    "mcp_list_tools": ("in_progress", "completed"),
    "mcp_call": ("in_progress", "completed"),
}
MAY_FAIL = ("mcp_list_tools", "mcp_call")
PARTIAL_IMAGE = "response.image_generation_call.partial_image"
ITEM_KEYS: dict[str, dict[str, type]] = {
    "message": {"content": list, "role": str, "status": str},
    "reasoning": {"summary": list},
    "function_call": {"arguments": str, "call_id": str, "name": str, "status": str},
    "custom_tool_call": {"input": str, "call_id": str, "name": str},
}
RESPONSE_KEYS: dict[str, type] = {
    "id": str, "created_at": int, "model": str, "output": list, "parallel_tool_calls": bool, "tools": list,
}  # fmt: skip


class Responses:
    """One stream: `state` is the method that takes the next event. lone: a response.failed may stand alone."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.state = self._before
        self.number = -1
        self.response_id = ""
        self.done: list[dict[str, Any]] = []
        self.item: dict[str, Any] = {}
        self.parts: list[dict[str, Any]] = []
        self.part: dict[str, Any] | None = None
        self.said = ""
        self.steps = 0  # of the item, so far

    def say(self, problem: str) -> None:
        self.problems.append(problem)

    def event(self, name: str | None, data: str) -> None:
        body = typed(name, data, self.problems)
        if body is None:
            return None
        kind = body["type"]
        if kind == "keepalive":
            return None if body.keys() == {"type"} else self.say("keepalive: has other keys than type")
        if body.get("sequence_number") != self.number + 1:
            self.say(f"number: {body.get('sequence_number')!r} after {self.number}")
        self.number += 1
        if kind in TERMINAL and self.state != self._after:
            return self._terminal(kind, body)
        return self.state(kind, body)

    def end(self) -> None:
        if self.state != self._after:
            self.say("order: the stream has no terminal response")

    # ------------------------------------------------------------------------------------------- states

    def _before(self, kind: str, body: dict[str, Any]) -> None:
        if kind != "response.created":
            return self.say(f"order: {kind} before response.created")
        self._response(body, "in_progress")
        self.state = self._created
        return None

    def _created(self, kind: str, body: dict[str, Any]) -> None:
        if kind != "response.in_progress":
            return self.say(f"order: {kind} before response.in_progress")
        self._response(body, "in_progress")
        self.state = self._between
        return None

    def _between(self, kind: str, body: dict[str, Any]) -> None:
        if kind != "response.output_item.added":
            return self.say(f"order: {kind} outside of an item")
        item = as_object(body.get("item"))
        if body.get("output_index") != len(self.done):
            self.say(f"index: item {body.get('output_index')!r} after {len(self.done)}")
        self._keys(item)
        if item.get("content") or item.get("summary") or item.get("arguments") or item.get("input"):
            if item.get("type") in ITEM_KEYS:
                self.say(f"item: {item['type']} begins with content")
        self.item, self.parts, self.part, self.said, self.steps = item, [], None, "", 0
        self.state = self._inside
        return None

    def _inside(self, kind: str, body: dict[str, Any]) -> None:
        stem, _, last = kind.rpartition(".")
        if kind == "response.output_item.done":
            return self._item_done(body)
        if body.get("item_id") != self.item.get("id") or body.get("output_index") != len(self.done):
            self.say(f"index: {kind} for {body.get('item_id')!r} within {self.item.get('id')!r}")
        if stem in PARTS:
            return self._part(stem, last, body)
        if kind == "response.output_text.annotation.added":
            index = body.get("annotation_index")
            return None if is_count(index) and body.get("annotation") else self.say(f"annotation: {body!r}")
        if stem in TEXTS:
            return self._text(stem, last, body)
        own = stem.removeprefix("response.")
        if own in STEPS and self.item.get("type") == own:
            return None if kind == PARTIAL_IMAGE else self._step(own, last)
        return self.say(f"order: unknown event {kind} within an item")

    def _step(self, item: str, last: str) -> None:
        """They come in their order, and none comes twice."""
        steps, end = STEPS[item], "completed" if last == "failed" and item in MAY_FAIL else last
        if end not in steps or steps.index(end) < self.steps:
            return self.say(f"order: {last} of {item} after {self.steps} steps")
        self.steps = steps.index(end) + 1

    def _after(self, kind: str, body: dict[str, Any]) -> None:
        self.say(f"order: {kind} after the terminal response")

    # -------------------------------------------------------------------------------------------- parts

    def _part(self, stem: str, last: str, body: dict[str, Any]) -> None:
        item, key = PARTS[stem]
        if self.item.get("type") != item:
            self.say(f"part: {stem} within a {self.item.get('type')}")
        if body.get(key) != len(self.parts):
            self.say(f"index: part {body.get(key)!r} after {len(self.parts)}")
        part = as_object(body.get("part"))
        text = part.get("text", part.get("refusal"))
        if last == "added":
            if self.part is not None:
                self.say("part: another one is open")
            if text:
                self.say("part: begins with text")
            self.part, self.said = part, ""
        elif self.part is None or text != self.said or part.get("type") != self.part.get("type"):
            self.say(f"part: done as {part!r}, said {self.said!r}")
        else:
            if not self.said:
                self.say("part: an empty one")
            self.parts.append(part)
            self.part = None

    def _text(self, stem: str, last: str, body: dict[str, Any]) -> None:
        item, index, key = TEXTS[stem]
        if self.item.get("type") != item:
            self.say(f"text: {stem} within a {self.item.get('type')}")
        if index and (self.part is None or body.get(index) != len(self.parts)):
            self.say(f"text: {stem} outside of its part")
        if stem == "response.output_text" and not isinstance(body.get("logprobs"), list):
            self.say("text: no logprobs")
        if last == "delta":
            if not isinstance(body.get("delta"), str) or not body["delta"]:
                return self.say(f"delta: {body.get('delta')!r}")
            self.said += body["delta"]
        elif body.get(key) != self.said:
            self.say(f"text: done as {body.get(key)!r}, said {self.said!r}")
        return None

    def _item_done(self, body: dict[str, Any]) -> None:
        item = as_object(body.get("item"))
        kind = item.get("type")
        self._keys(item)
        if (item.get("id"), kind) != (self.item.get("id"), self.item.get("type")):
            self.say(f"item: {self.item.get('id')!r} ends as {item.get('id')!r}")
        if self.part is not None:
            self.say("item: ends with a part open")
        if kind == "message" and item.get("content") != self.parts:
            self.say("item: its content is not its parts")
        if kind == "reasoning" and item.get("summary") != self.parts:
            self.say("item: its summary is not its parts")
        if kind in ("function_call", "custom_tool_call"):
            text = item.get("arguments", item.get("input"))
            if text != self.said:
                self.say(f"item: ends with {text!r}, said {self.said!r}")
        self.done.append(item)
        self.state = self._between

    def _keys(self, item: dict[str, Any]) -> None:
        for key, want in ITEM_KEYS.get(str(item.get("type")), {}).items() | {("id", str)}:
            if not isinstance(item.get(key), want) or (key in ("id", "call_id", "name") and not item[key]):
                self.say(f"item: {item.get('type')} has {key} {item.get(key)!r}")

    # ------------------------------------------------------------------------------------------ response

    def _response(self, body: dict[str, Any], status: str) -> dict[str, Any]:
        response = as_object(body.get("response"))
        if response.get("status") != status or response.get("object") != "response":
            self.say(f"response: status {response.get('status')!r}, object {response.get('object')!r}")
        for key, want in RESPONSE_KEYS.items():
            if not isinstance(response.get(key), want):
                self.say(f"response: {key} is {response.get(key)!r}")
        self.response_id = self.response_id or str(response.get("id"))
        if response.get("id") != self.response_id:
            self.say("response: its id changes")
        return response

    def _terminal(self, kind: str, body: dict[str, Any]) -> None:
        response = self._response(body, TERMINAL[kind])
        if self.state != self._between and kind != "response.failed":
            self.say(f"order: {kind} in the middle")
        self.state = self._after
        if response.get("output") != self.done:
            self.say("response: its output is not the items that ended")
        if kind == "response.failed":
            error = as_object(response.get("error"))
            if not isinstance(error.get("message"), str) or not error["message"] or not error.get("code"):
                self.say(f"error: {response.get('error')!r}")
            return
        if response.get("error") is not None:
            self.say("response: an error although it ended")
        reason = as_object(response.get("incomplete_details")).get("reason")
        if (kind == "response.incomplete") != (reason in ("max_output_tokens", "content_filter")):
            self.say(f"response: incomplete_details {reason!r}")
        self._usage(as_object(response.get("usage")))

    def _usage(self, usage: dict[str, Any]) -> None:
        counts: list[Any] = [usage.get(key) for key in ("input_tokens", "output_tokens", "total_tokens")]
        if not all(is_count(count) for count in counts) or counts[0] + counts[1] != counts[2]:
            self.say(f"usage: {counts!r}")
        read = as_object(usage.get("input_tokens_details")).get("cached_tokens")
        thought = as_object(usage.get("output_tokens_details")).get("reasoning_tokens")
        if not is_count(read) or not is_count(thought):
            self.say(f"usage: details {read!r} {thought!r}")
