"""Half a surrogate pair in a request, wherever it stands, never makes the upstream's body one that it cannot read."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from tests.support.crossed import crossed
from translate import repair
from translate.json import wire
from translate.target import Encoded, Protocol

Json = dict[str, Any]

HALF, PAIR = "\ud83d", "\U0001f600"
PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses")
WRITTEN = '{"a": "\\ud83d", "b": "\\ud83d\\ude00"}'  # as escapes within the arguments' own JSON

BODIES: dict[Protocol, Json] = {
    "messages": {
        "model": "m",
        "max_tokens": 9,
        "system": f"s{HALF}",
        "messages": [
            {"role": "user", "content": f"u{HALF}"},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": f"i{HALF}", "name": f"n{HALF}", "input": {f"k{HALF}": HALF}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": f"i{HALF}", "content": f"{HALF} and {PAIR}"}]},
        ],
        "tools": [{"name": f"n{HALF}", "description": HALF, "input_schema": {"type": "object", "title": HALF}}],
        "metadata": {"user_id": HALF},
        "stop_sequences": [HALF],
    },
    "chat": {
        "model": "m",
        "messages": [
            {"role": "system", "content": HALF, "name": HALF},
            {"role": "user", "content": f"{HALF} and {PAIR}", "name": HALF},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": HALF, "type": "function", "function": {"name": "f", "arguments": WRITTEN}}]},
            {"role": "tool", "tool_call_id": HALF, "content": HALF},
        ],
        "user": HALF,
    },
    "responses": {
        "model": "m",
        "instructions": HALF,
        "input": [
            {"role": "user", "content": f"{HALF} and {PAIR}"},
            {"type": "function_call", "call_id": HALF, "name": "f", "namespace": HALF, "arguments": WRITTEN},
            {"type": "function_call_output", "call_id": HALF, "output": HALF},
            {"type": "custom_tool_call", "call_id": "c", "name": "p", "input": HALF},
            {"type": "custom_tool_call_output", "call_id": "c", "output": HALF},
        ],
        "metadata": {HALF: HALF},
    },
}  # fmt: skip


@pytest.mark.parametrize(("client", "upstream"), list(itertools.permutations(PROTOCOLS, 2)))
def test_wherever_it_stands(client: Protocol, upstream: Protocol) -> None:
    sent = crossed(client, upstream, BODIES[client])
    assert isinstance(sent, Encoded), sent
    text = sent.json().decode()  # UTF-8
    strict(json.loads(text))
    assert PAIR in text and "\ufffd" in text


def strict(value: Any) -> None:
    """No half in any string, nor in the JSON that a string holds."""
    if isinstance(value, dict):
        for key, inner in value.items():
            strict(key)
            strict(inner)
    elif isinstance(value, list):
        for inner in value:
            strict(inner)
    elif isinstance(value, str):
        value.encode()
        if value.startswith("{"):
            strict(json.loads(value))


def test_a_request_in_bytes() -> None:
    assert wire.dumps({"a": "é"}) == '{"a":"é"}'.encode()
    assert wire.dumps({"a": HALF + "x"}) == '{"a":"\ufffdx"}'.encode()
    assert wire.dumps("\ud83d" + "\ude00") == f'"{PAIR}"'.encode(), "two halves that met"


def test_arguments_that_can_be_read_stay_as_they_are() -> None:
    for written in ('{"a": 1}', '{ "a":"\\ud83d\\ude00" }', '{"a": "\\\\ud83d"}'):
        assert repair.arguments(written) == written
    assert json.loads(repair.arguments(WRITTEN)) == {"a": "\ufffd", "b": PAIR}
    assert repair.arguments(" ") == "{}" and json.loads(repair.arguments("[")) == {"_raw": "["}
