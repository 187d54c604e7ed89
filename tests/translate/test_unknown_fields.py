"""A field that nobody knows, within a block, a turn or a tool: what another protocol has no place for is named."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from translate import pair
from translate.target import Protocol, Target

PNG = "data:image/png;base64,aGk="
BODIES: dict[Protocol, dict[str, Any]] = {
    "messages": {
        "model": "m", "max_tokens": 9,
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "x"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
            ]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"a": "b"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "r"}]},
        ],
    },
    "chat": {
        "model": "m",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": PNG}},
            ]},
            {"role": "assistant", "content": "x", "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ]},
            {"role": "tool", "tool_call_id": "t1", "content": "r"},
        ],
    },
    "responses": {
        "model": "m",
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
        "input": [
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": PNG},
            ]},
            {"type": "function_call", "call_id": "t1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "t1", "output": "r"},
        ],
    },
}  # fmt: skip
PLACES: dict[Protocol, list[tuple[str | int, ...]]] = {
    "messages": [
        ("tools", 0), ("messages", 0), ("messages", 0, "content", 0), ("messages", 0, "content", 1),
        ("messages", 1, "content", 0), ("messages", 2, "content", 0),
    ],
    "chat": [
        ("tools", 0), ("messages", 0), ("messages", 0, "content", 0), ("messages", 0, "content", 1), ("messages", 1),
        ("messages", 1, "tool_calls", 0), ("messages", 2),
    ],
    "responses": [
        ("tools", 0), ("input", 0), ("input", 0, "content", 0), ("input", 0, "content", 1), ("input", 1), ("input", 2),
    ],
}  # fmt: skip
CASES = [
    (client, upstream, place)
    for client, places in PLACES.items() for upstream in ("messages", "chat", "responses", "gemini")
    for place in places if client != upstream
]  # fmt: skip


@pytest.mark.parametrize(("client", "upstream", "place"), CASES)
def test_it_is_named(client: Protocol, upstream: Protocol, place: tuple[str | int, ...]) -> None:
    body = copy.deepcopy(BODIES[client])
    assert "novelty" not in pair.request(client, upstream, copy.deepcopy(body), Target("m")).dropped
    at: Any = body
    for step in place:
        at = at[step]
    at["novelty"] = {"a": 1}
    assert pair.request(client, upstream, body, Target("m")).dropped.count("novelty") == 1


@pytest.mark.parametrize("value", [None, False, "auto"])
def test_what_says_nothing_is_not(value: Any) -> None:
    body = copy.deepcopy(BODIES["chat"])
    body["messages"][0]["content"][0]["novelty"] = value
    assert "novelty" not in pair.request("chat", "messages", body, Target("m")).dropped
