"""Blocks of Messages within Chat's messages: what they say besides their content crosses, too."""

from __future__ import annotations

from typing import Any

import pytest

from translate import pair
from translate.target import Policy, Protocol, Target

MARK = {"cache_control": {"type": "ephemeral"}}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"p": "x"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "boom"}]}
TOOL = {"name": "read", "description": "d", "input_schema": {"type": "object", "properties": {}}}


def asked(result: dict[str, Any], upstream: Protocol = "messages", **fields: Any) -> pair.Encoded:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "q"}, PICTURE | MARK]},
        {"role": "assistant", "content": [USE | MARK]},
        {"role": "user", "content": [result]},
    ]
    target = Target("m", Policy(rebuild=True))
    return pair.request("chat", upstream, {"model": "m", "messages": messages, "tools": [TOOL]} | fields, target)


def test_marks_for_the_cache_cross() -> None:
    user, assistant, results = asked(RESULT | MARK).body["messages"]
    assert user["content"][1] == PICTURE | MARK
    assert assistant["content"] == [USE | MARK]
    assert results["content"] == [RESULT | MARK | {"content": "boom"}]


@pytest.mark.parametrize("content", ["boom", [{"type": "text", "text": "boom"}]])
def test_a_failed_result_is_one(content: Any) -> None:
    failed = RESULT | {"content": content, "is_error": True}
    assert asked(failed).body["messages"][2]["content"] == [failed | {"content": "boom"}]
    for upstream in ("chat", "responses"):
        assert "Error: boom" in str(asked(failed, upstream).body)
    told = asked(failed, "chat").body["messages"][2]
    assert told["role"] == "tool" and "is_error" not in told
    fine = failed | {"is_error": False}
    assert asked(fine).body["messages"][2]["content"][0].get("is_error") is None
    assert "Error" not in str(asked(fine, "chat").body)


@pytest.mark.parametrize("content", [None, [], [PICTURE]])
def test_a_failed_result_without_a_text(content: Any) -> None:
    told = asked(RESULT | {"content": content, "is_error": True}, "chat").body["messages"][2]
    assert "Error: (no output)" in str(told["content"])


@pytest.mark.parametrize("kind", ["auto", "any"])
def test_calls_at_once_may_be_disabled(kind: str) -> None:
    choice = {"type": kind, "disable_parallel_tool_use": True}
    assert asked(RESULT, tool_choice=choice).body["tool_choice"] == choice
    assert asked(RESULT, "responses", tool_choice=choice).body["parallel_tool_calls"] is False
    said = asked(RESULT, "responses", tool_choice=choice, parallel_tool_calls=True)
    assert said.body["parallel_tool_calls"] is True  # Chat's own word counts
    allowed = choice | {"disable_parallel_tool_use": False}
    assert asked(RESULT, "responses", tool_choice=allowed).body["parallel_tool_calls"] is True


def test_what_else_a_tool_says_is_reported() -> None:
    tool = TOOL | {"type": "custom", "input_examples": [{"p": "x"}], "eager_input_streaming": True} | MARK
    sent = asked(RESULT, tools=[tool])
    assert sent.body["tools"] == [TOOL | MARK]
    assert sent.dropped == ["input_examples", "eager_input_streaming"]
