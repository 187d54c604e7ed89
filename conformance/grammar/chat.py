"""The grammar of a Chat Completions stream: chunks, tool calls, the end.

The role first, deltas, one finish_reason, a usage chunk where one was asked for, [DONE]; or an error object
as the last data. Source: platform.openai.com "Chat streaming events", and the recorded streams of OpenAI.
"""

from __future__ import annotations

import json
from typing import Any

from conformance.grammar.framing import is_count

FINISH = {"stop", "length", "tool_calls", "content_filter", "function_call"}
DELTA_KEYS = {
    "role", "content", "refusal", "tool_calls", "reasoning_content", "reasoning_details", "annotations", "audio",
    "images",  # OpenRouter's
    "extra_content",  # Gemini's, of a rebuilt reply
}  # fmt: skip


class Chat:
    """One stream: `state` is the method that takes the next chunk."""

    def __init__(self, house: bool, usage: bool | None) -> None:
        self.house = house
        self.want_usage = usage
        self.problems: list[str] = []
        self.state = self._first
        self.same: dict[str, Any] = {}
        self.calls: list[str] = []  # the arguments so far

    def say(self, problem: str) -> None:
        self.problems.append(problem)

    def event(self, name: str | None, data: str) -> None:
        if name is not None:
            self.say(f"framing: a named event {name!r}")
        if self.state == self._done or self.state == self._failed:
            return self.say(f"order: data after the end: {data[:60]!r}")
        if data == "[DONE]":
            return self._end_mark()
        try:
            chunk = json.loads(data)
        except ValueError:
            return self.say(f"data: not JSON: {data[:60]!r}")
        if not isinstance(chunk, dict):
            return self.say(f"data: not an object: {data[:60]!r}")
        if "error" in chunk:
            return self._error(chunk)
        self._frame(chunk)
        self.state(chunk)

    def end(self) -> None:
        if self.state != self._done and self.state != self._failed:
            self.say("order: the stream has no end (neither [DONE] nor an error)")

    def _end_mark(self) -> None:
        if self.state == self._first or self.state == self._going:
            self.say("order: [DONE] without a finish_reason")
        if self.state == self._finished and self.want_usage:
            self.say("usage: no usage chunk although it was asked for")
        self.state = self._done

    def _frame(self, chunk: dict[str, Any]) -> None:
        if chunk.get("object") != "chat.completion.chunk":
            self.say(f"chunk: object is {chunk.get('object')!r}")
        for key, want in (("id", str), ("model", str), ("created", int), ("choices", list)):
            if not isinstance(chunk.get(key), want) or (want is str and not chunk[key]):
                self.say(f"chunk: {key} is {chunk.get(key)!r}")
            elif key != "choices" and self.same.setdefault(key, chunk[key]) != chunk[key]:
                self.say(f"chunk: {key} changes from {self.same[key]!r} to {chunk[key]!r}")

    # ------------------------------------------------------------------------------------------ states

    def _first(self, chunk: dict[str, Any]) -> None:
        self.state = self._going
        delta = self._choice(chunk).get("delta") or {}
        if delta.get("role") != "assistant":
            self.say(f"order: the first chunk's role is {delta.get('role')!r}")
        self._chunk(chunk)

    def _going(self, chunk: dict[str, Any]) -> None:
        if self.house and "role" in (self._choice(chunk).get("delta") or {}):
            self.say("order: role on a later chunk")
        self._chunk(chunk)

    def _finished(self, chunk: dict[str, Any]) -> None:
        if chunk.get("choices"):
            return self.say("order: a choice after finish_reason")
        self._usage(chunk.get("usage"))
        self.state = self._counted

    def _counted(self, chunk: dict[str, Any]) -> None:
        self.say("order: a chunk after the usage chunk")

    def _done(self, chunk: dict[str, Any]) -> None:
        raise AssertionError("event() lets nothing through here")

    def _failed(self, chunk: dict[str, Any]) -> None:
        raise AssertionError("event() lets nothing through here")

    # ---------------------------------------------------------------------------------------- contents

    def _choice(self, chunk: dict[str, Any]) -> dict[str, Any]:
        choices = chunk.get("choices")
        if isinstance(choices, list) and len(choices) == 1 and isinstance(choices[0], dict):
            return choices[0]
        return {}

    def _chunk(self, chunk: dict[str, Any]) -> None:
        choice = self._choice(chunk)
        if not choice:
            return self.say("chunk: not one choice before finish_reason")
        if chunk.get("usage") is not None:
            self.say("usage: on a chunk before the end")
        if choice.get("index") != 0:
            self.say(f"chunk: choice index {choice.get('index')!r}")
        if "finish_reason" not in choice:
            self.say("chunk: no finish_reason key")
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return self.say(f"chunk: delta is {delta!r}")
        self._delta(delta)
        if (reason := choice.get("finish_reason")) is not None:
            self._finish(reason)

    def _delta(self, delta: dict[str, Any]) -> None:
        for key in delta.keys() - DELTA_KEYS if self.house else ():
            self.say(f"delta: unknown key {key!r}")
        for key in ("content", "refusal", "reasoning_content"):
            if key in delta and delta[key] is not None and not isinstance(delta[key], str):
                self.say(f"delta: {key} is {delta[key]!r}")
        for key in ("reasoning_details", "annotations", "images"):
            items = delta.get(key, [])
            if not isinstance(items, list) or not all(isinstance(i, dict) and i.get("type") for i in items):
                self.say(f"delta: {key} is {items!r}")
        calls = delta.get("tool_calls", [])
        if not isinstance(calls, list) or ("tool_calls" in delta and not calls):
            return self.say(f"delta: tool_calls is {calls!r}")
        for call in calls:
            self._call(call)

    def _call(self, call: Any) -> None:
        if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
            return self.say(f"tool call: {call!r}")
        function = call["function"]
        if call.get("index") == len(self.calls):
            self.calls.append("")
            if not isinstance(call.get("id"), str) or not call["id"]:
                self.say(f"tool call: id is {call.get('id')!r} on its first chunk")
            if call.get("type") != "function":
                self.say(f"tool call: type is {call.get('type')!r} on its first chunk")
            if not isinstance(function.get("name"), str) or not function["name"]:
                self.say(f"tool call: name is {function.get('name')!r} on its first chunk")
        elif not self.calls or call.get("index") != len(self.calls) - 1:
            return self.say(f"index: tool call {call.get('index')!r} after {len(self.calls)} calls")
        else:
            for key, holder in (("id", call), ("type", call), ("name", function)):
                if key in holder:
                    self.say(f"tool call: {key} on a later chunk")
        if not isinstance(function.get("arguments"), str):
            return self.say(f"tool call: arguments is {function.get('arguments')!r}")
        self.calls[-1] += function["arguments"]

    def _finish(self, reason: Any) -> None:
        self.state = self._finished
        if reason not in FINISH:
            self.say(f"finish: {reason!r}")
        if reason == "tool_calls" and not self.calls:
            self.say("finish: tool_calls without a tool call")
        if self.house and reason == "stop" and self.calls:
            self.say("finish: stop although there are tool calls")
        for arguments in self.calls if self.house and reason == "tool_calls" else ():
            try:
                whole = isinstance(json.loads(arguments), dict)
            except ValueError:
                whole = False
            if not whole:
                self.say(f"finish: tool_calls on arguments that are not a JSON object: {arguments[:60]!r}")

    def _usage(self, usage: Any) -> None:
        if not isinstance(usage, dict):
            return self.say(f"usage: {usage!r} on the chunk after finish_reason")
        if self.want_usage is False:
            self.say("usage: a usage chunk that was not asked for")
        counts: list[Any] = [usage.get(k) for k in ("prompt_tokens", "completion_tokens", "total_tokens")]
        if not all(is_count(c) for c in counts):
            return self.say(f"usage: not counts: {counts!r}")
        if counts[0] + counts[1] != counts[2]:
            self.say(f"usage: {counts[0]} + {counts[1]} is not {counts[2]}")
        for key, part, whole in (
            ("prompt_tokens_details", "cached_tokens", counts[0]),
            ("completion_tokens_details", "reasoning_tokens", None),  # xAI counts thought beside the answer
        ):
            value = (usage.get(key) or {}).get(part)
            if value is not None and (not is_count(value) or (self.house and whole is not None and value > whole)):
                self.say(f"usage: {key}.{part} is {value!r} of {whole}")

    def _error(self, chunk: dict[str, Any]) -> None:
        if self.state == self._finished or self.state == self._counted:
            self.say("order: an error after finish_reason")
        self.state = self._failed
        error = chunk["error"]
        if not isinstance(error, dict):
            return self.say("error: not an object")
        if not isinstance(error.get("message"), str) or not error["message"]:
            self.say("error: no message")
        if not isinstance(error.get("type"), str):
            self.say(f"error: type {error.get('type')!r}")
        for key in ("param", "code"):
            if key not in error:
                self.say(f"error: no {key}")
