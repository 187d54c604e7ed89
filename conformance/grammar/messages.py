"""The grammar of a Messages stream: states, blocks, deltas, the end.

message_start, then blocks one at a time (start, deltas of the block's type, stop), message_delta,
message_stop; or an error at any place. Source: platform.claude.com "Streaming messages", and recorded streams.
"""

from __future__ import annotations

import json
import re
from typing import Any

from conformance.grammar.framing import as_object, is_count, typed

# block type -> the delta types it may take; types ending in _tool_result take none.
DELTAS: dict[str, set[str]] = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "redacted_thinking": set(),
    "tool_use": {"input_json_delta"},
    "server_tool_use": {"input_json_delta"},
    "mcp_tool_use": {"input_json_delta"},
    "compaction": {"compaction_delta"},
    "container_upload": set(),
    "fallback": set(),
}
# delta type -> (its key, the type of the value)
DELTA_KEYS: dict[str, tuple[str, type]] = {
    "text_delta": ("text", str),
    "citations_delta": ("citation", dict),
    "thinking_delta": ("thinking", str),
    "signature_delta": ("signature", str),
    "input_json_delta": ("partial_json", str),
    "compaction_delta": ("content", str),
}
# block type -> keys it must have at its start
BLOCK_KEYS: dict[str, dict[str, type]] = {
    "text": {"text": str},
    "thinking": {"thinking": str, "signature": str},
    "redacted_thinking": {"data": str},
    "tool_use": {"id": str, "name": str, "input": dict},
    "server_tool_use": {"id": str, "name": str, "input": dict},
    "mcp_tool_use": {"id": str, "name": str, "input": dict, "server_name": str},
}
STOP = {
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "compaction",
    "model_context_window_exceeded",
}  # fmt: skip
ERRORS = {
    "invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error",
    "request_too_large", "rate_limit_error", "timeout_error", "api_error", "overloaded_error",
}  # fmt: skip
TOOL_ID = re.compile(r"^[a-zA-Z0-9_-]+$")


class Messages:
    """One stream: `state` is the method that takes the next event."""

    def __init__(self, house: bool) -> None:
        self.house = house
        self.problems: list[str] = []
        self.state = self._before
        self.blocks = 0
        self.block: dict[str, Any] = {}
        self.fed = ""  # what deltas added to the open block
        self.signed = False
        self.tools = 0

    def say(self, problem: str) -> None:
        self.problems.append(problem)

    def event(self, name: str | None, data: str) -> None:
        body = typed(name, data, self.problems)
        if body is None:
            return
        if body["type"] == "ping":
            if body.keys() != {"type"}:
                self.say("ping: has other keys than type")
        elif body["type"] == "error" and self.state != self._after:
            self._error(body)
        else:
            self.state(body["type"], body)

    def end(self) -> None:
        if self.state != self._after:
            self.say("order: the stream has no end (neither message_stop nor error)")

    # ------------------------------------------------------------------------------------------ states

    def _before(self, kind: str, body: dict[str, Any]) -> None:
        if kind != "message_start":
            return self.say(f"order: {kind} before message_start")
        self.state = self._between
        message = body.get("message")
        if not isinstance(message, dict):
            return self.say("message_start: no message")
        for key, want in (("id", str), ("model", str), ("content", list), ("usage", dict)):
            if not isinstance(message.get(key), want) or (want is str and not message[key]):
                self.say(f"message_start: message.{key} is {message.get(key)!r}")
        for key, fixed in (("type", "message"), ("role", "assistant")):
            if message.get(key) != fixed:
                self.say(f"message_start: message.{key} is {message.get(key)!r}")
        for key in ("stop_reason", "stop_sequence"):
            if key not in message or message[key] is not None:
                self.say(f"message_start: message.{key} is not null")
        if message.get("content"):
            self.say("message_start: message.content is not empty")
        for key in ("input_tokens", "output_tokens"):
            if not is_count((message.get("usage") or {}).get(key)):
                self.say(f"message_start: usage.{key} is not a count")

    def _between(self, kind: str, body: dict[str, Any]) -> None:
        if kind == "content_block_start":
            self._open(body)
        elif kind == "message_delta":
            self._delta(body)
        else:
            self.say(f"order: {kind} where no block is open")
            if kind == "message_stop":
                self.state = self._after

    def _in_block(self, kind: str, body: dict[str, Any]) -> None:
        if kind == "content_block_delta":
            self._block_delta(body)
        elif kind == "content_block_stop":
            self._close(body)
        else:
            self.say(f"order: {kind} while block {self.blocks - 1} is open")
            if kind in ("message_delta", "message_stop", "content_block_start"):
                self.state = self._between  # the rest is judged as if the block had been closed
                self.state(kind, body)

    def _ending(self, kind: str, body: dict[str, Any]) -> None:
        if kind != "message_stop":
            return self.say(f"order: {kind} after message_delta")
        if body.keys() != {"type"} and self.house:
            self.say("message_stop: has other keys than type")
        self.state = self._after

    def _after(self, kind: str, body: dict[str, Any]) -> None:
        self.say(f"order: {kind} after the end")

    # ---------------------------------------------------------------------------------------- contents

    def _open(self, body: dict[str, Any]) -> None:
        self.state = self._in_block
        if body.get("index") != self.blocks:
            self.say(f"index: block {self.blocks} starts with index {body.get('index')!r}")
        self.blocks += 1
        self.block = body.get("content_block") or {}
        self.fed, self.signed = "", False
        kind = str(self.block.get("type"))
        if kind not in DELTAS and not kind.endswith("_tool_result"):
            self.say(f"block: unknown type {kind!r}")
        for key, want in BLOCK_KEYS.get(kind, {}).items():
            if not isinstance(self.block.get(key), want):
                self.say(f"block: {kind}.{key} is {self.block.get(key)!r}")
        for key in ("text", "thinking", "signature", "input") if self.house else ():
            if kind in ("text", "thinking", "tool_use") and self.block.get(key):
                self.say(f"block: {kind} starts with {key} {self.block[key]!r}: it comes by deltas")
        if kind == "tool_use":
            self.tools += 1
            if not TOOL_ID.match(str(self.block.get("id"))):
                self.say(f"block: tool_use.id {self.block.get('id')!r} does not match {TOOL_ID.pattern}")
            if not self.block.get("name"):
                self.say("block: tool_use without a name")
        if kind == "redacted_thinking" and not self.block.get("data"):
            self.say("block: redacted_thinking without data")

    def _block_delta(self, body: dict[str, Any]) -> None:
        if body.get("index") != self.blocks - 1:
            self.say(f"index: a delta for block {body.get('index')!r} while {self.blocks - 1} is open")
        delta = as_object(body.get("delta"))
        kind, block = str(delta.get("type")), str(self.block.get("type"))
        if kind not in DELTAS.get(block, set()):
            self.say(f"delta: {kind} in a block of type {block}")
            return
        key, want = DELTA_KEYS[kind]
        value = delta.get(key)
        if not isinstance(value, want):
            return self.say(f"delta: {kind}.{key} is {value!r}")
        if self.signed:
            self.say(f"delta: {kind} after the signature")
        if kind == "signature_delta":
            self.signed = True
            if not value:
                self.say("delta: an empty signature")
        elif isinstance(value, str):
            self.fed += value

    def _close(self, body: dict[str, Any]) -> None:
        self.state = self._between
        if body.get("index") != self.blocks - 1:
            self.say(f"index: a stop for block {body.get('index')!r} while {self.blocks - 1} is open")
        kind = self.block.get("type")
        if kind == "text" and not self.fed and self.house:
            self.say("block: a text block without text")
        if kind == "tool_use" and self.fed:
            try:
                whole = isinstance(json.loads(self.fed), dict)
            except ValueError:
                whole = False
            self.block["cut"] = not whole

    def _delta(self, body: dict[str, Any]) -> None:
        self.state = self._ending
        delta = as_object(body.get("delta"))
        reason = delta.get("stop_reason")
        if not isinstance(reason, str) or reason not in STOP:
            self.say(f"message_delta: stop_reason is {reason!r}")
        if "stop_sequence" not in delta:
            self.say("message_delta: no stop_sequence")
        usage = body.get("usage")
        if not isinstance(usage, dict) or not is_count(usage.get("output_tokens")):
            self.say("message_delta: usage.output_tokens is not a count")
        for key in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            if isinstance(usage, dict) and usage.get(key) is not None and not is_count(usage[key]):
                self.say(f"message_delta: usage.{key} is not a count")
        if reason == "tool_use" and not self.tools:
            self.say("message_delta: stop_reason tool_use without a tool_use block")
        if self.house and reason == "end_turn" and self.tools:
            self.say("message_delta: stop_reason end_turn although there is a tool_use block")
        if self.block.get("cut") and reason == "tool_use":
            self.say("message_delta: stop_reason tool_use on input that is not a JSON object")

    def _error(self, body: dict[str, Any]) -> None:
        self.state = self._after
        error = body.get("error")
        if not isinstance(error, dict):
            return self.say("error: no error object")
        if error.get("type") not in ERRORS:
            self.say(f"error: type {error.get('type')!r}")
        if not isinstance(error.get("message"), str) or not error["message"]:
            self.say("error: no message")
