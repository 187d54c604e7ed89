"""What becomes of one thing that a request can say: the request with it and without it, both crossed, and compared.

`Said(protocol, name)` builds the two requests, `fate(upstream)` tells what happened: "mapped" (the upstream's body says
something else because of it), "dropped" (reported), "refused" (400), or "lost" (nothing changed, nothing was said).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from tests.support import sample
from translate import pair
from translate.failures.errors import BadRequest
from translate.target import Encoded, Protocol, Target

Json = dict[str, Any]

MODELS = {"messages": "claude-sonnet-4-5", "chat": "gpt-5.2", "responses": "gpt-5.2", "gemini": "gemini-3-pro"}
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
FORMAT: Json = {"type": "json_schema", "schema": SCHEMA}
CITED: Json = {"type": "url_citation", "url": "http://x", "title": "x", "start_index": 0, "end_index": 1}

# Where the smallest value would say what is so anyway, or is not one that a server would take.
MEANT: dict[str, dict[str, Any]] = {
    "messages": {
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "tool_choice": {"type": "any"},
        "service_tier": "standard_only",
        "metadata": {"user_id": "u"},
        **{key: {"x": "x"} for key in ("container", "diagnostics", "context_management")},
        "output_config": {"effort": "low"},
        "system": "be brief",
        "messages": [{"role": "user", "content": "other"}],
        "tools": [{"name": "g", "input_schema": SCHEMA}],
        "block:tool_reference": {"type": "tool_reference", "tool_name": "later"},
        "role:system": {"role": "system", "content": "from now on"},
        "block:tool_addition": {
            "type": "tool_addition",
            "tool": {"type": "tool_definition", "definition": {"name": "g", "input_schema": SCHEMA}},
        },
        "block:tool_removal": {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "later"}},
        "block:mcp_tool_result": {"type": "mcp_tool_result", "tool_use_id": "x", "content": "found"},
        "block:compaction": {"type": "compaction", "content": "so far"},
    },
    "chat": {
        "n": 2,
        "parallel_tool_calls": False,
        "tool_choice": "required",
        "function_call": "auto",
        "tools": [{"type": "function", "function": {"name": "g", "parameters": SCHEMA}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
        "stream_options": {"include_obfuscation": True},
        "reasoning_effort": "low",
        "messages": [{"role": "user", "content": "other"}],
        "modalities": ["text", "image"],
        "prompt_cache_options": {"mode": "explicit"},
        "service_tier": "flex",
        "block:image_url": {"type": "image_url", "image_url": {"url": "http://x/a.png"}},
        "block:file": {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,eA=="}},
        "role:assistant": {"role": "assistant", "content": "x"},
    },
    "responses": {
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "tools": [{"type": "function", "name": "g", "parameters": SCHEMA}],
        "reasoning": {"effort": "low"},
        "text": {"format": FORMAT | {"name": "n"}},
        "truncation": "auto",
        "service_tier": "flex",
        "stream_options": {"include_obfuscation": True},
        **{key: {"x": "x"} for key in ("access_programs", "background_options", "image")},
        "prompt_cache_options": {"mode": "explicit"},
        "input": "other",
        "max_output_tokens": 20,
        "block:input_image": {"type": "input_image", "detail": "auto", "image_url": "http://x/a.png"},
        "block:input_file": {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": "data:application/pdf;base64,eA==",
        },
        "block:output_text": {"type": "output_text", "text": "x", "annotations": []},
        "item:item_reference": {"type": "item_reference", "id": "x"},
        "role:assistant": {"role": "assistant", "content": "x"},
    },
}

TOOLS: dict[str, list[Json]] = {
    "messages": [{"name": "f", "input_schema": SCHEMA}],
    "chat": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
    "responses": [{"type": "function", "name": "f", "parameters": SCHEMA, "strict": False}],
}
CALLS: dict[str, tuple[Json, Json]] = {
    "messages": (
        {"role": "assistant", "content": [{"type": "tool_use", "id": "x", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": "done"}]},
    ),
    "chat": (
        {"role": "assistant", "content": None,
         "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "x", "content": "done"},
    ),
    "responses": (
        {"type": "function_call", "call_id": "x", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "x", "output": "done"},
    ),
}  # fmt: skip
_USERS = ("text", "image", "document", "search_result", "container_upload", "image_url", "input_audio", "file",
          "input_text", "input_image", "input_file", "tool_addition", "tool_removal")  # fmt: skip
_IN_RESULTS = ("tool_reference", "browser_state")


@dataclass
class Said:
    """before, after: the request without it and with it."""

    protocol: Protocol
    name: str
    before: Json
    after: Json

    def fate(self, upstream: Protocol) -> str:
        bare = crossed(self.protocol, upstream, self.before)
        if isinstance(bare, BadRequest):
            return "refused"  # as a whole
        full = crossed(self.protocol, upstream, self.after)
        if isinstance(full, BadRequest):
            return "refused"
        if set(full.dropped) - set(bare.dropped):
            return "dropped"
        return "lost" if full.body == bare.body else "mapped"


def crossed(client: Protocol, upstream: Protocol, body: Json) -> Encoded | BadRequest:
    try:
        return pair.request(client, upstream, copy.deepcopy(body), Target(MODELS[upstream]))
    except BadRequest as why:
        return why


def base(protocol: str) -> Json:
    history = [{"role": "user", "content": "hi"}]
    body: Json = {"model": "m", sample.HISTORY[protocol]: history, "tools": TOOLS[protocol]}
    return body | ({"max_tokens": 5000} if protocol == "messages" else {})


def say(protocol: Protocol, name: str, declared: Any) -> Said:
    group, colon, own = name.partition(":")
    field = sample.HISTORY[protocol]
    before = base(protocol)
    given = {"role": own} if group == "role" else {"type": own} if colon else {}
    meant = MEANT[protocol]
    value = meant[name] if name in meant else sample.smallest(declared, **given)
    if not colon:
        return Said(protocol, name, before, before | {name: value})
    if group == "tool" and own.startswith("tool_search"):
        later = {"parameters": SCHEMA, "type": "function"} if protocol == "responses" else {"input_schema": SCHEMA}
        before |= {"tools": [*before["tools"], *({"name": f"g{i}", "defer_loading": True} | later for i in range(20))]}
    if group == "tool":
        return Said(protocol, name, before, before | {"tools": [*before["tools"], value]})
    if group == "role" and own in ("system", "developer") and protocol != "messages":
        return Said(protocol, name, before, before | {field: [value, *before[field]]})
    before_it, after_it = _history(protocol, group, own, value)
    start, end = before[field], [{"role": "user", "content": "go on"}]
    tools = before["tools"]
    if own in ("custom", "custom_tool_call", "custom_tool_call_output"):
        custom: Json = {"name": "x"}
        tools = [*tools, {"type": "custom", "custom": custom} if protocol == "chat" else {"type": "custom"} | custom]
    if own == "tool_reference":
        tools = [*tools, {"name": "later", "input_schema": SCHEMA, "defer_loading": True}]
    if own == "tool_removal":
        tools = [*tools, {"name": "later", "input_schema": SCHEMA}]
    before = before | {"tools": tools}
    return Said(protocol, name, before | {field: start + before_it + end}, before | {field: start + after_it + end})


def _history(protocol: str, group: str, own: str, value: Json) -> tuple[list[Json], list[Json]]:
    """The messages (or items) between two of the user's, without it and with it."""
    call, result = CALLS[protocol]
    if protocol != "chat" and own in ("tool_use", "tool_result", "function_call", "function_call_output"):
        return [], _pair(protocol, own, value)
    if group == "call":
        return [], [{"role": "assistant", "content": None, "tool_calls": [value]}, result]
    if own in ("tool", "function") and protocol == "chat":
        made = {"name": "f", "arguments": "{}"}
        return [], [call if own == "tool" else {"role": "assistant", "content": None, "function_call": made}, value]
    if own in _IN_RESULTS:
        return [call, result], [call, {"role": "user", "content": [result["content"][0] | {"content": [value]}]}]
    if group == "item":
        if own.startswith("custom_tool_call"):
            made = {"type": "custom_tool_call", "call_id": "x", "name": "x", "input": "in"}
            out = {"type": "custom_tool_call_output", "call_id": "x", "output": "out"}
            return [], [made, out | value] if own.endswith("output") else [made | value, out]
        said = {"role": "assistant", "content": "well"}
        return [said], [value, said]
    if group == "role":
        return [], [value]
    if own in _USERS:
        return [], [{"role": "user", "content": [value]}]
    said = {"type": "output_text" if protocol == "responses" else "text", "text": "well"}
    return [{"role": "assistant", "content": [said]}], [{"role": "assistant", "content": [value, said]}]


def _pair(protocol: str, own: str, value: Json) -> list[Json]:
    """A call with its result, one of which is the value, but for what must be the same in both."""
    call, result = CALLS[protocol]
    if protocol == "responses":
        return [call, result | value] if own.endswith("output") else [call | value | {"name": "f"}, result]
    if own == "tool_use":
        call = call | {"content": [call["content"][0] | value | {"name": "f"}]}
    else:
        result = result | {"content": [result["content"][0] | value]}
    return [call, result]
