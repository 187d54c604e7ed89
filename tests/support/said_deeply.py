"""Requests with an object at each place where a protocol has one, and every such place: for what nobody knows there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from translate.target import Protocol

Json = dict[str, Any]
Place = tuple[str | int, ...]

PNG, PDF = "data:image/png;base64,aGk=", "data:application/pdf;base64,aGk="
OBJECT: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
_IMAGE: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
_PDF: Json = {"type": "base64", "media_type": "application/pdf", "data": "aGk="}
_HERE: Json = {"type": "approximate", "city": "x"}
_FUNCTION: Json = {"name": "f", "description": "d", "parameters": OBJECT}

_MESSAGES: Json = {
    "model": "m", "max_tokens": 9000, "tool_choice": {"type": "auto"}, "metadata": {"user_id": "u"},
    "system": [{"type": "text", "text": "s"}], "thinking": {"type": "enabled", "budget_tokens": 2000},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": OBJECT}},
    "tools": [
        {"name": "f", "description": "d", "input_schema": OBJECT}, {"type": "bash_20250124", "name": "bash"},
        {"type": "web_search_20250305", "name": "web_search", "user_location": _HERE},
    ],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "x"}, _IMAGE, {"type": "document", "title": "t", "source": _PDF},
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "in"}]}},
        ]},
        {"role": "assistant", "content": [
            {"type": "text", "text": "x"}, {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": "b"}},
            {"type": "tool_use", "id": "t2", "name": "bash", "input": {"command": "b"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "r"}, _IMAGE]},
            {"type": "tool_result", "tool_use_id": "t2", "content": "r"},
        ]},
        {"role": "system", "content": "mid"}, {"role": "assistant", "content": "k"}, {"role": "user", "content": "k"},
    ],
}  # fmt: skip
_CHAT: Json = {
    "model": "m", "stream": True, "stream_options": {"include_usage": True}, "reasoning": {"effort": "low"},
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": OBJECT}},
    "web_search_options": {"user_location": {"type": "approximate", "approximate": {"city": "x"}}},
    "tools": [{"type": "function", "function": _FUNCTION}, {"type": "custom", "custom": {
        "name": "c", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "d"}}}}],
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "s"}]}, {"role": "developer", "content": "s"},
        {"role": "user", "content": [
            {"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": PNG}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
        ]},
        {"role": "assistant", "content": "x", "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "t2", "type": "custom", "custom": {"name": "c", "input": "x"}},
        ]},
        {"role": "tool", "tool_call_id": "t1", "content": "r"},
        {"role": "tool", "tool_call_id": "t2", "content": [{"type": "text", "text": "r"}]},
        {"role": "system", "content": "mid"}, {"role": "user", "content": "k"},
    ],
}  # fmt: skip
_ALLOWED: Json = {
    "model": "m", "tools": [{"type": "function", "function": _FUNCTION}],
    "tool_choice": {"type": "allowed_tools", "allowed_tools": {
        "mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}},
    "messages": [{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}}, {"type": "text", "text": "k"},
    ]}],
}  # fmt: skip
_LEGACY: Json = {
    "model": "m", "functions": [{"name": "f", "parameters": OBJECT}], "function_call": {"name": "f"},
    "messages": [
        {"role": "user", "content": "k"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "r"},
    ],
}  # fmt: skip
_RESPONSES: Json = {
    "model": "m", "reasoning": {"effort": "low"}, "tool_choice": {"type": "function", "name": "f"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": OBJECT}},
    "tools": [
        {"type": "function", **_FUNCTION}, {"type": "shell"},
        {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
        {"type": "namespace", "name": "ns", "description": "d", "tools": [
            {"type": "function", "name": "g", "parameters": OBJECT}]},
        {"type": "web_search", "user_location": _HERE, "filters": {"allowed_domains": ["a.test"]}},
    ],
    "input": [
        {"role": "developer", "content": "d"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": PNG},
            {"type": "input_file", "filename": "a.pdf", "file_data": PDF},
        ]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
        {"type": "function_call", "call_id": "t1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "t1", "output": [{"type": "input_text", "text": "r"}]},
        {"type": "custom_tool_call", "call_id": "t2", "name": "c", "input": "{}"},
        {"type": "custom_tool_call_output", "call_id": "t2", "output": "r"},
    ],
}  # fmt: skip
_GEMINI: Json = {
    "model": "m", "systemInstruction": {"parts": [{"text": "s"}]}, "safetySettings": [{"category": "x"}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "maxOutputTokens": 9000, "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 2000},
        "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"},
    },
    "tools": [{"functionDeclarations": [_FUNCTION]}, {"googleSearch": {}}],
    "contents": [
        {"role": "user", "parts": [
            {"text": "x"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
            {"fileData": {"mimeType": "image/png", "fileUri": "https://x.test/a.png"}},
        ]},
        {"role": "model", "parts": [{"text": "x"}, {"functionCall": {"id": "t1", "name": "f", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {
            "id": "t1", "name": "f", "response": {"output": "r"},
            "parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}],
        }}]},
    ],
}  # fmt: skip

BODIES: list[tuple[Protocol, Json]] = [
    ("messages", _MESSAGES), ("chat", _CHAT), ("chat", _ALLOWED), ("chat", _LEGACY), ("responses", _RESPONSES),
    ("gemini", _GEMINI),
]  # fmt: skip
# What a client's own data has there is not the protocol's.
_CLIENTS = {"properties", "schema", "parameters", "input_schema", "responseSchema", "args", "response"}


def places(said: Any, path: Place = ()) -> Iterator[Place]:
    """Yields where there is an object."""
    if isinstance(said, dict):
        yield path
        for key, value in said.items():
            if key not in _CLIENTS and not (key == "input" and isinstance(value, dict)):
                yield from places(value, (*path, key))
    elif isinstance(said, list):
        for i, value in enumerate(said):
            yield from places(value, (*path, i))


def at(said: Any, path: Place) -> Any:
    for step in path:
        said = said[step]
    return said
