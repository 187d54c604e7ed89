"""A result that comes too late stands in words, which name its call as the upstream's model knows it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from translate import pair
from translate.target import Policy, Protocol, Target

Json = dict[str, Any]

GIVEN = "call.with|odd letters"  # which Messages, Responses and Gemini refuse
LABEL = re.compile(r"\[result of the tool call ([^\]]*)\]")


def turns(client: Protocol) -> Json:
    """The second of two calls that have one id is answered after the model's next words."""
    if client == "chat":
        call = {"id": GIVEN, "type": "function", "function": {"name": "n", "arguments": "{}"}}
        calls: Json = {"role": "assistant", "content": None, "tool_calls": [call]}
        result = {"role": "tool", "tool_call_id": GIVEN, "content": "done"}
        ok = {"role": "assistant", "content": "ok"}
        user = {"role": "user", "content": "x"}
        return {"model": "m", "messages": [user, calls, result, user, calls, user, ok, result]}
    said = {"role": "user", "content": "x"}
    item = {"type": "function_call", "call_id": GIVEN, "name": "n", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": GIVEN, "output": "done"}
    ok = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]}
    return {"model": "m", "input": [said, item, output, said, item, said, ok, output]}


def ids(upstream: Protocol, body: Json) -> list[str]:
    """Of the calls, as the upstream has them."""
    if upstream == "chat":
        return [call["id"] for turn in body["messages"] for call in turn.get("tool_calls", [])]
    if upstream == "messages":
        blocks = [block for turn in body["messages"] if type(turn["content"]) is list for block in turn["content"]]
        return [block["id"] for block in blocks if block["type"] == "tool_use"]
    if upstream == "gemini":
        parts = [part for turn in body["contents"] for part in turn["parts"]]
        return [part["functionCall"].get("id", "") for part in parts if "functionCall" in part]
    return [item["call_id"] for item in body["input"] if item.get("type") == "function_call"]


@pytest.mark.parametrize(
    ("client", "upstream", "model"),
    [
        ("responses", "chat", "gpt-5.2"), ("responses", "chat", "mistral-large"), ("responses", "chat", "kimi-k2"),
        ("responses", "messages", "claude-sonnet-4-5"), ("responses", "gemini", "gemini-2.5-pro"),
        ("chat", "responses", "gpt-5.2"), ("chat", "gemini", "gemini-2.5-pro"),
    ],
)  # fmt: skip
def test_the_label_names_the_id_that_is_sent(client: Protocol, upstream: Protocol, model: str) -> None:
    body = json.loads(pair.request(client, upstream, turns(client), Target(model)).json())
    first, second = ids(upstream, body)
    assert first != second and LABEL.findall(json.dumps(body)) == [f"{second}, n"]


def test_where_calls_go_without_ids_it_names_the_tool() -> None:
    target = Target("gemini-2.5-pro", Policy(call_ids=False))
    body = json.loads(pair.request("responses", "gemini", turns("responses"), target).json())
    assert ids("gemini", body) == ["", ""] and LABEL.findall(json.dumps(body)) == ["n"]
