"""A request that is written anew in its own protocol (`rebuild`): each field is there, or is named as dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from translate.pair import request
from translate.target import Policy, Protocol, Target

SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
ANYBODYS = {"parameters", "input_schema", "schema", "args", "response", "metadata"}  # what is in them has no place
REQUESTS: dict[Protocol, dict[str, Any]] = {
    "chat": {
        "model": "m", "stream": True, "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s"}]},
            {"role": "user", "content": [{"type": "text", "text": "a"},
                                         {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
            {"role": "assistant", "content": "b", "tool_calls": [
                {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "t", "content": [{"type": "text", "text": "r"}]}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
    },
    "messages": {
        "model": "m", "max_tokens": 9000, "system": [{"type": "text", "text": "s"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"},
                                         {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]},
            {"role": "assistant", "content": [{"type": "text", "text": "b"},
                                              {"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "r"}]}]}],
        "tools": [{"name": "f", "input_schema": SCHEMA}], "tool_choice": {"type": "auto"},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    },
    "responses": {
        "model": "m",
        "input": [
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://x/y.png"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
            {"type": "function_call", "call_id": "t", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "t", "output": "r"}],
        "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}, "reasoning": {"effort": "low"},
    },
    "gemini": {
        "contents": [
            {"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"a": 1}}}]}],
        "systemInstruction": {"parts": [{"text": "s"}]}, "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"temperature": 1, "thinkingConfig": {"thinkingBudget": 1}},
    },
}  # fmt: skip


def planted(value: Any, names: Iterator[str], used: list[str]) -> Any:
    """The same with a field in each object that nobody knows."""
    if isinstance(value, list):
        return [planted(each, names, used) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {key: each if key in ANYBODYS or key == "input" and isinstance(each, dict) else planted(each, names, used)
             for key, each in value.items()}  # fmt: skip
    used.append(next(names))
    return inner | {used[-1]: 1}


def keys(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(keys, value))
    return set(value).union(*map(keys, value.values())) if isinstance(value, dict) else set()


@pytest.mark.parametrize("protocol", REQUESTS)
def test_a_field_that_nobody_knows_is_there_or_is_named(protocol: Protocol) -> None:
    used: list[str] = []
    asked = planted(REQUESTS[protocol], (f"odd{n}" for n in range(99)), used)
    made = request(protocol, protocol, asked, Target("m", Policy(rebuild=True)))
    lost = set(used) - keys(made.body)
    assert {name.rpartition(".")[2] for name in made.dropped} == lost and len(used) > 10


@pytest.mark.parametrize("protocol", REQUESTS)
def test_nothing_is_named_of_a_request_that_is_known(protocol: Protocol) -> None:
    assert request(protocol, protocol, REQUESTS[protocol], Target("m", Policy(rebuild=True))).dropped == []
