"""Requests as clients write them who take more or less care than the SDKs: one line each, and none of them asks for
anything else than the plain form. `PLAIN` has that form for each protocol."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.corpus.habits.changes import GONE, Json
from translate.target import Protocol

Habit = Callable[[Json], object]
_A: Json = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
_NONE: Json = {"type": "object", "properties": {}}
PLAIN: dict[Protocol, Json] = {
    "chat": {
        "model": "m", "max_tokens": 100, "stop": ["x"], "tool_choice": "auto",
        "messages": [
            {"role": "system", "content": "be"}, {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "look", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":"b"}'}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "res"}, {"role": "user", "content": "go"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": _A}},
            {"type": "function", "function": {"name": "none", "description": "d", "parameters": _NONE}},
        ],
    },
    "messages": {
        "model": "m", "max_tokens": 100, "stop_sequences": ["x"], "system": "be", "tool_choice": {"type": "auto"},
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [
                {"type": "text", "text": "look"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": "b"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": "res"}, {"type": "text", "text": "go"}]},
        ],
        "tools": [
            {"name": "f", "description": "d", "input_schema": _A},
            {"name": "none", "description": "d", "input_schema": _NONE},
        ],
    },
    "responses": {
        "model": "m", "max_output_tokens": 100, "instructions": "be", "tool_choice": "auto",
        "input": [
            {"role": "user", "content": "hi"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "look"}]},
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":"b"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "res"}, {"role": "user", "content": "go"},
        ],
        "tools": [
            {"type": "function", "name": "f", "description": "d", "parameters": _A, "strict": False},
            {"type": "function", "name": "none", "description": "d", "parameters": _NONE, "strict": False},
        ],
    },
    "gemini": {
        "model": "m", "systemInstruction": {"parts": [{"text": "be"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [{"text": "look"}, {"functionCall": {"name": "f", "args": {"a": "b"}}}]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "f", "response": {"output": "res"}}}, {"text": "go"}]},
        ],
        "generationConfig": {"maxOutputTokens": 100, "stopSequences": ["x"]},
        "tools": [{"functionDeclarations": [
            {"name": "f", "description": "d", "parameters": {
                "type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"]}},
            {"name": "none", "description": "d"},
        ]}],
    },
}  # fmt: skip


def at(way: str, value: Any) -> Habit:
    """Puts a value, or what a function makes of the old one, at a place; GONE takes away what is there."""

    def habit(body: Json) -> None:
        *outer, last = (int(key) if key.isdigit() else key for key in way.split("."))
        inside: Any = body
        for key in outer:
            inside = inside[key]
        if value is GONE:
            del inside[last]
        else:
            inside[last] = value(inside[last]) if callable(value) else value

    return habit


def also(way: str, **more: Any) -> Habit:
    """Adds fields to an object; "" is the body."""
    if not way:
        return lambda body: body.update(more)
    return at(way, lambda inside: inside | more)


def first(way: str, item: Any, place: int = 0) -> Habit:
    """Puts an item into a list."""
    return at(way, lambda items: [*items[:place], item, *items[place:]])


def nulls(*names: str) -> Habit:
    return lambda body: body.update(dict.fromkeys(names))


def part(text: str) -> list[Json]:
    return [{"type": "text", "text": text}]


def apart(message: Json) -> list[Json]:
    """A message for each of its blocks."""
    return [message | {"content": [block]} for block in message["content"]]


def schemas(way: str) -> dict[str, Habit]:
    """A tool without parameters, in other words. way: to its schema."""
    said: dict[str, Json] = {"required null": _NONE | {"required": None}, "no type": {"properties": {}}}
    return {f"schema: {name}": at(way, schema) for name, schema in said.items()}


_CHAT: dict[str, Habit] = {
    "a user's parts": at("messages.1.content", part),
    "the system's parts": at("messages.0.content", part),
    "a result's parts": at("messages.3.content", part),
    "the assistant's parts": at("messages.2.content", part),
    "a part that is a text": at("messages.1.content", lambda said: [said]),
    "parts of Responses": at("messages.1.content", lambda said: [{"type": "input_text", "text": said}]),
    "the assistant's parts of Responses": at(
        "messages.2.content", lambda said: [{"type": "output_text", "text": said, "annotations": []}]
    ),
    "an empty part beside": at("messages.1.content", lambda said: part(said) + part("")),
    "a developer": at("messages.0.role", "developer"),
    "a function's result": also("messages.3", role="function", name="f"),
    "nulls of the SDK's message": also(
        "messages.2", refusal=None, function_call=None, audio=None, annotations=[], reasoning_content=None
    ),
    "nulls of a user's message": also("messages.1", tool_calls=None, tool_call_id=None, name=None),
    "no calls, as []": also("messages.1", tool_calls=[]),
    "a result's name": also("messages.3", name="f"),
    "calls without a type": at("messages.2.tool_calls.0.type", GONE),
    "calls with an index": also("messages.2.tool_calls.0", index=0),
    "arguments as an object": at("messages.2.tool_calls.0.function.arguments", {"a": "b"}),
    "a lone stop": at("stop", "x"),
    "an empty stop": at("stop", ["x", ""]),
    "both limits": also("", max_completion_tokens=100),
    "the newer limit": lambda body: body.update(max_completion_tokens=body.pop("max_tokens")),
    "a limit of 100.0": at("max_tokens", 100.0),
    "the other limit null": nulls("max_completion_tokens"),
    **schemas("tools.1.function.parameters"),
    "parameters null": at("tools.1.function.parameters", None),
    "no parameters": at("tools.1.function.parameters", GONE),
    "strict null": also("tools.0.function", strict=None),
    "a flat tool": at("tools.0", lambda tool: {"type": "function"} | tool["function"]),
    "a tool without a type": at("tools.0.type", GONE),
    "a tool of Messages": at("tools.0", {"name": "f", "description": "d", "input_schema": _A}),
    "tool_choice as an object": at("tool_choice", {"type": "auto"}),
    "nulls": nulls(
        "top_p",
        "n",
        "stream",
        "stream_options",
        "response_format",
        "seed",
        "user",
        "logit_bias",
        "logprobs",
        "store",
        "presence_penalty",
        "frequency_penalty",
        "parallel_tool_calls",
        "reasoning_effort",
        "functions",
        "metadata",
        "function_call",
        "service_tier",
        "modalities",
        "audio",
        "prediction",
        "web_search_options",
        "verbosity",
    ),
    "what says nothing": also("", functions=[], logit_bias={}, user="", modalities=["text"], n=1),
    "an empty system": first("messages", {"role": "system", "content": ""}),
    "an empty assistant": first("messages", {"role": "assistant", "content": ""}, 2),
    "an assistant of null": first("messages", {"role": "assistant", "content": None}, 2),
    "an empty user": first("messages", {"role": "user", "content": ""}, 2),
    "a user of []": first("messages", {"role": "user", "content": []}, 2),
    "no id of a result": at("messages.3.tool_call_id", ""),
}
_MESSAGES: dict[str, Habit] = {
    "a user's parts": at("messages.0.content", part),
    "the system's parts": at("system", part),
    "an empty part of the system": at("system", lambda said: part(said) + part("")),
    "a result's parts": at("messages.2.content.0.content", part),
    "nulls of a result": also("messages.2.content.0", is_error=None, cache_control=None),
    "is_error false": also("messages.2.content.0", is_error=False),
    "nulls of blocks": at(
        "messages.1.content",
        lambda blocks: [b | {"cache_control": None, "citations": None, "caller": None} for b in blocks],
    ),
    "an empty text": first("messages.1.content", part("")[0]),
    "input as a text": at("messages.1.content.1.input", '{"a":"b"}'),
    **schemas("tools.1.input_schema"),
    "an empty schema": at("tools.1.input_schema", {}),
    "a custom tool": also("tools.0", type="custom", cache_control=None),
    "a type of null": also("tools.0", type=None),
    "nulls of tool_choice": also("tool_choice", disable_parallel_tool_use=None),
    "nulls": nulls(
        "top_p",
        "top_k",
        "stream",
        "metadata",
        "service_tier",
        "thinking",
        "container",
        "context_management",
        "mcp_servers",
        "output_config",
        "output_format",
        "betas",
    ),
    "what says nothing": also("", metadata={}, mcp_servers=[]),
    "no user": also("", metadata={"user_id": None}),
    "an empty assistant": first("messages", {"role": "assistant", "content": ""}, 1),
    "an assistant of []": first("messages", {"role": "assistant", "content": []}, 1),
    "a user of []": first("messages", {"role": "user", "content": []}, 1),
    "the result after the text": at("messages.2.content", lambda blocks: blocks[::-1]),
    "a message for each block of the user's": at("messages", lambda all: [*all[:2], *apart(all[2])]),
    "a message for each block of the assistant's": at("messages", lambda all: [all[0], *apart(all[1]), all[2]]),
}
_RESPONSES: dict[str, Habit] = {
    "parts": at("input.0.content", lambda said: [{"type": "input_text", "text": said}]),
    "parts of Chat": at("input.0.content", part),
    "a type": also("input.0", type="message", status="completed", id=None),
    "the assistant's text": at("input.1", {"role": "assistant", "content": "look"}),
    "the assistant's input_text": at("input.1.content.0.type", "input_text"),
    "the assistant's part of Chat": at("input.1.content.0.type", "text"),
    "what the SDK says of a text": also("input.1.content.0", annotations=[], logprobs=None),
    "nulls of a call": also("input.2", id=None, status=None, namespace=None),
    "an id of a call": also("input.2", id="fc_1"),
    "arguments as an object": at("input.2.arguments", {"a": "b"}),
    "output in parts": at("input.3.output", [{"type": "input_text", "text": "res"}]),
    "output in parts of a reply": at("input.3.output", [{"type": "output_text", "text": "res"}]),
    "output in parts of Chat": at("input.3.output", part),
    **schemas("tools.1.parameters"),
    "parameters null": at("tools.1.parameters", None),
    "no parameters": at("tools.1.parameters", GONE),
    "tool_choice as an object": at("tool_choice", {"type": "auto"}),
    "a limit of 100.0": at("max_output_tokens", 100.0),
    "nulls": nulls(
        "top_p",
        "stream",
        "include",
        "metadata",
        "parallel_tool_calls",
        "previous_response_id",
        "reasoning",
        "store",
        "service_tier",
        "text",
        "top_logprobs",
        "truncation",
        "user",
        "prompt",
        "prompt_cache_key",
        "background",
        "max_tool_calls",
        "safety_identifier",
        "conversation",
        "stream_options",
    ),
    "what says nothing": also("", include=[], reasoning={"effort": None, "summary": None}, text={}),
    "text as the format": also("", text={"format": {"type": "text"}}),
    "instructions as an item": lambda body: body["input"].insert(
        0, {"role": "system", "content": body.pop("instructions")}
    ),
    "instructions of a developer": lambda body: body["input"].insert(
        0, {"role": "developer", "content": body.pop("instructions")}
    ),
    "an empty assistant": first("input", {"role": "assistant", "content": ""}, 1),
}
_GEMINI: dict[str, Habit] = {
    "no role": at("contents.0.role", GONE),
    "a function's role": at("contents.2.role", "function"),
    "a lone part": at("contents.0.parts", {"text": "hi"}),
    "a part that is a text": at("contents.0.parts", ["hi"]),
    "the system as a text": at("systemInstruction", "be"),
    "the system as a lone part": at("systemInstruction.parts", {"text": "be"}),
    "the system's role": also("systemInstruction", role="system"),
    "an id of null": also("contents.1.parts.1.functionCall", id=None),
    "no thought": also("contents.0.parts.0", thought=False),
    "nulls of a part": also("contents.0.parts.0", inlineData=None, functionCall=None, fileData=None),
    "a result as result": at("contents.2.parts.0.functionResponse.response", {"result": "res"}),
    "empty parameters": also("tools.0.functionDeclarations.1", parameters={"type": "OBJECT", "properties": {}}),
    "parameters null": also("tools.0.functionDeclarations.1", parameters=None),
    "a schema in JSON's words": at("tools.0.functionDeclarations.0.parameters", _A),
    "a JSON schema": at(
        "tools.0.functionDeclarations.0", {"name": "f", "description": "d", "parametersJsonSchema": _A}
    ),
    "lone tools": at("tools", lambda tools: tools[0]),
    "a limit as a text": at("generationConfig.maxOutputTokens", "100"),
    "a limit of 100.0": at("generationConfig.maxOutputTokens", 100.0),
    "nulls": nulls("toolConfig", "safetySettings", "cachedContent", "labels"),
    "nulls of generationConfig": also(
        "generationConfig",
        **dict.fromkeys(
            (
                "topP",
                "topK",
                "candidateCount",
                "responseMimeType",
                "responseSchema",
                "thinkingConfig",
                "seed",
                "speechConfig",
                "presencePenalty",
                "frequencyPenalty",
                "responseLogprobs",
            )
        ),
    ),
    "what says nothing": also("", toolConfig={}, safetySettings=[], labels={}),
    "what says nothing of generationConfig": also(
        "generationConfig",
        thinkingConfig={},
        responseModalities=["TEXT"],
        candidateCount=1,
        responseMimeType="text/plain",
    ),
    "no mode of calls": also("", toolConfig={"functionCallingConfig": {"mode": "MODE_UNSPECIFIED"}}),
}
HABITS: dict[Protocol, dict[str, Habit]] = {
    "chat": _CHAT, "messages": _MESSAGES, "responses": _RESPONSES, "gemini": _GEMINI,
}  # fmt: skip


def written_so(protocol: Protocol, name: str) -> Json:
    """The plain request with a habit."""
    body: Json = json.loads(json.dumps(PLAIN[protocol]))
    HABITS[protocol][name](body)
    return body
