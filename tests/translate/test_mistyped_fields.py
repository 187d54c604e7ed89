"""A field whose value is of another type than the protocol has: it is read all the same, or named as dropped."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.crossed import MODELS, TOOLS, base, crossed
from translate import pair
from translate.target import Encoded, Protocol, Target

Json = dict[str, Any]

UPSTREAMS: tuple[Protocol, ...] = ("messages", "chat", "responses", "gemini")
FIELDS: list[tuple[Protocol, Json, str]] = [
    ("chat", {"user": 42}, "user"),
    ("chat", {"parallel_tool_calls": "false"}, "parallel_tool_calls"),
    ("chat", {"reasoning_effort": 3}, "reasoning_effort"),
    ("chat", {"prompt_cache_key": 7}, "prompt_cache_key"),
    ("responses", {"user": 42}, "user"),
    ("responses", {"parallel_tool_calls": "false"}, "parallel_tool_calls"),
    ("responses", {"service_tier": 1}, "service_tier"),
    ("responses", {"reasoning": {"effort": 3}}, "reasoning.effort"),
]
CALLS: list[Json] = [
    {"type": "function_call", "call_id": "t", "name": "f", "arguments": {"a": "b"}},
    {"type": "function_call", "call_id": "t", "name": "f", "arguments": '{"a":"b"}'},
]


@pytest.mark.parametrize(("client", "said", "name"), FIELDS)
def test_what_is_not_read_is_named(client: Protocol, said: Json, name: str) -> None:
    for upstream in UPSTREAMS:
        if upstream != client:
            out = crossed(client, upstream, base(client) | said)
            assert isinstance(out, Encoded) and out.dropped == [name]


@pytest.mark.parametrize("call", CALLS)
def test_arguments_may_be_an_object(call: Json) -> None:
    history = [{"role": "user", "content": "x"}, call, {"type": "function_call_output", "call_id": "t", "output": "r"}]
    body = {"model": "m", "input": history, "tools": TOOLS["responses"]}
    sent: Any = pair.request("responses", "messages", body, Target(MODELS["messages"])).body["messages"]
    assert sent[1]["content"][0]["input"] == {"a": "b"}
