"""What the demo upstream says, without sockets: samples of schemas, and the progress of a turn."""

from __future__ import annotations

import json
from typing import Any

import pytest

from demo import messages as demo_messages
from demo.answer import BadRequest, Turn, answer, progress
from demo.schema_value import sample
from tests.demo.running import ASK, PATHS, body


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 4}, 4),
        ({"enum": ["b", "c"]}, "b"),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "null"}, None),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, True),
        ({"type": "number", "minimum": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "string", "minLength": 3}, "xxx"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        (
            {
                "type": "object",
                "required": ["cmd", "location"],
                "properties": {"cmd": {"type": "string"}, "location": {}, "not": {"type": "string"}},
            },
            {"cmd": "echo hello-from-tool", "location": "Paris"},
        ),
        (
            {"type": "object", "required": ["command"], "properties": {"command": {"type": "array"}}},
            {"command": ["bash", "-lc", "echo hello-from-tool"]},
        ),
        (
            {
                "$ref": "#/$defs/A",
                "$defs": {
                    "A": {"type": "object", "required": ["b"], "properties": {"b": {"$ref": "#/$defs/B"}}},
                    "B": {"enum": [7]},
                },
            },
            {"b": 7},
        ),
        ({"$ref": "#/$defs/none"}, "x"),
        (True, "x"),
        ({"type": "object", "properties": 7, "required": 8}, {}),
    ],
)
def test_a_sample_fits_its_schema(schema: Any, value: Any) -> None:
    assert sample(schema) == value


def test_sample_of_an_endless_schema_ends() -> None:
    tree: Any = {
        "type": "object",
        "required": ["children"],
        "properties": {"children": {"type": "array", "items": {"$ref": "#"}}},
    }
    assert len(json.dumps(sample(tree))) < 1_000
    assert sample({"$ref": "#"}) == "x"


def test_progress_of_a_turn() -> None:
    user, result = Turn("user", "u"), Turn("result", "r")
    call, said = Turn("assistant", calls=("a",)), Turn("assistant")
    assert progress((user,)) == (False, set())
    assert progress((user, call, result)) == (True, {"a"})
    assert progress((user, call, result, user)) == (True, {"a"})
    assert progress((user, call, result, said)) == (True, {"a"})
    assert progress((user, call, result, said, user)) == (False, set())


def test_insisting_on_tools_comes_to_an_end() -> None:
    tools = [{"name": n, "input_schema": {"type": "object"}} for n in ("get_weather", "final")]
    used = {"type": "tool_use", "id": "t", "name": "get_weather", "input": {}}
    back = {"type": "tool_result", "tool_use_id": "t", "content": "sunny"}
    history = [*ASK, {"role": "assistant", "content": [used]}, {"role": "user", "content": [back]}]
    request = body(PATHS[0], messages=history, tools=tools, tool_choice={"type": "any"})
    said = answer(demo_messages.read(request, "k"))
    assert said.call is not None and said.call.name == "final"
    compact = body(PATHS[0], messages=[{"role": "user", "content": "Summarize. Do NOT call any tools."}], tools=tools)
    assert answer(demo_messages.read(compact, "k")).call is None
    with pytest.raises(BadRequest):
        demo_messages.read({"model": "demo", "max_tokens": True, "messages": ASK}, "k")


def test_the_text_fits_in_64_tokens() -> None:
    wordy = [{"role": "user", "content": "why " * 200}]
    back = {"type": "tool_result", "tool_use_id": "t", "content": "sunny " * 200}
    request = body(PATHS[0], messages=[*wordy, {"role": "user", "content": [back]}])
    said = answer(demo_messages.read(request, "k"))
    assert "The tool answered" in said.text and 'why w..."' in said.text and said.output_tokens <= 64
