"""Requests of Chat clients that cannot be understood: the refusal names the field and what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from translate.chat.decode_request import decode
from translate.failures.errors import BadRequest

HI = {"role": "user", "content": "Hi"}

REFUSED: list[tuple[dict[str, Any], str | None, str]] = [
    ({"messages": None}, "messages", "Missing required parameter: 'messages'."),
    ({"messages": {}}, "messages", "Invalid type for 'messages': expected an array of objects, but got dict instead."),
    ({"messages": []}, "messages", "Expected an array with minimum length 1"),
    ({"messages": ["x"]}, "messages[0]", "expected an object"),
    ({"messages": [{"content": "x"}]}, "messages[0].role", "Missing"),
    ({"messages": [HI, {"role": "bot", "content": "x"}]}, "messages[1].role", "'bot' is none of"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "but got null"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content", "but got int"),
    ({"messages": [{"role": "user", "content": [7]}]}, "messages[0].content[0]", "expected an object"),
    ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type", "Missing"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text", "a string"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url.url", ""),
    ({"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "messages[0].content[0].file", "Missing"),
    (
        {"messages": [{"role": "user", "content": [{"type": "document_url"}]}]},
        "messages[0].content[0].document_url",
        "Missing",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "file_url", "file_url": {}}]}]},
        "messages[0].content[0].file_url",
        "Missing",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
        "messages[0].content[0].file.file_data",
        "",
    ),
    (
        {
            "messages": [
                {"role": "user", "content": [{"type": "file", "file": {"filename": "a.txt", "file_data": "/w=="}}]}
            ]
        },
        "messages[0].content[0].file.file_data",
        "not base64 of UTF-8",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        "messages[0].content[0].input_audio.data",
        "",
    ),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "Missing"),
    ({"messages": [{"role": "assistant", "tool_calls": {}}]}, "messages[0].tool_calls", "an array"),
    ({"messages": [{"role": "assistant", "tool_calls": [7]}]}, "messages[0].tool_calls[0]", "an object"),
    ({"messages": [{"role": "tool", "content": "x", "name": ""}]}, "messages[0].tool_call_id", "Missing"),
    ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls[0].function.name", "Missing"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}, "messages[0].tool_calls[0].function.name", ""),
    ({"model": 7}, "model", "a string"),
    ({"n": 2}, "n", "only 1 is supported"),
    ({"tools": {}}, "tools", "an array"),
    ({"tools": [7]}, "tools[0]", "an object"),
    ({"tools": [{}]}, "tools[0].type", "Missing"),
    ({"tools": [{"type": "function"}]}, "tools[0].function", "Missing"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "Missing"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": 7}}]}, "tools[0].function.parameters", ""),
    ({"functions": [7]}, "functions[0]", "an object"),
    ({"tool_choice": "f"}, "tool_choice", "'f' is none of"),
    ({"tool_choice": {"type": "function"}}, "tool_choice.function.name", "Missing"),
    ({"max_tokens": "5"}, "max_tokens", "an integer"),
    ({"max_completion_tokens": -3}, "max_completion_tokens", "got -3"),
    ({"max_tokens": -3}, "max_tokens", "got -3"),
    ({"temperature": "hot"}, "temperature", "a number"),
    ({"stop": [7]}, "stop", "an array of strings"),
    ({"response_format": "json"}, "response_format", "an object"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "Missing"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": 7}}},
        "response_format.json_schema.schema",
        "",
    ),
]


@pytest.mark.parametrize(("fields", "param", "why"), REFUSED)
def test_refusals_name_the_field(fields: dict[str, Any], param: str, why: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode({"model": "m", "messages": [HI]} | fields)
    assert caught.value.param == param
    assert param in caught.value.message
    assert why in caught.value.message
