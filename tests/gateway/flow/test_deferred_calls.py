"""Deferred tools of a Responses client before a Chat upstream, as OpenAI's Agents SDK and the AI SDK use them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream

TOOLS = [
    {"type": "function", "name": "mail", "parameters": {"type": "object"}, "defer_loading": True},
    {"type": "tool_search"},
]
CALL = {"id": "c1", "type": "function", "function": {"name": "mail", "arguments": "{}"}}


def answer(**message: Any) -> Answer:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": None} | message}
    return Answer.json({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})


@pytest.mark.parametrize("by_reference", [False, True])
def test_the_items_of_a_search_come_back_whole_or_by_reference(by_reference: bool) -> None:
    first: dict[str, Any] = {"model": "m", "input": [{"role": "user", "content": "hi"}], "tools": TOOLS}
    with Upstream([answer(tool_calls=[CALL]), answer(content="done")]) as up:
        with House(one_upstream(up.url, "chat")) as house:
            output = json.loads(house.post("/v1/responses", first)[2])["output"]
            *search, call = output
            back = [{"type": "item_reference", "id": item["id"]} for item in search] if by_reference else search
            result = {"type": "function_call_output", "call_id": call["call_id"], "output": "sent"}
            status, _, body = house.post("/v1/responses", first | {"input": [*first["input"], *back, call, result]})
    assert status == 200, body
    assert [item["type"] for item in search] == ["tool_search_call", "tool_search_output"]
    assert call["namespace"] == call["name"] == "mail"
    said = up.requests[1].json["messages"]
    named = [each["function"]["name"] for message in said for each in message.get("tool_calls", [])]
    assert named == ["tool_search", "mail"] and said[-1]["content"] == "sent"
