"""Tools of other protocols, and which of them are to be called, written for Messages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.messages.test_encode_request import GET, GOT, USER
from tests.translate.messages.written import CACHE, assistant, text, user, write
from translate.conversation import Reasoning, Text, Tool, ToolChoice

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = Tool("get", "gets", SCHEMA)


def test_tools_are_written_or_left_out() -> None:
    tools = [
        Tool("get", "gets", SCHEMA, strict=True, ext={"messages": CACHE}),
        Tool("bare"),
        Tool("loose", schema={"properties": {}}),
        Tool("w", kind="server", protocol="chat", raw={"type": "web_search"}),
        Tool("s", kind="server", protocol="messages", raw={"type": "web_search_20250305", "name": "web_search"}),
    ]
    out = write(tools=tools)
    assert out.body["tools"] == [
        {"name": "get", "description": "gets", "input_schema": SCHEMA, "strict": True} | CACHE,
        {"name": "bare", "input_schema": {"type": "object", "properties": {}}},
        {"name": "loose", "input_schema": {"type": "object", "properties": {}}},
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    assert out.dropped == ["tools.web_search"]


@pytest.mark.parametrize(
    ("choice", "parallel", "expected", "dropped"),
    [
        (None, None, None, []),
        (None, True, None, []),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}, []),
        (ToolChoice("auto"), True, {"type": "auto", "disable_parallel_tool_use": False}, []),
        (ToolChoice("any"), False, {"type": "any", "disable_parallel_tool_use": True}, []),
        (ToolChoice("none"), False, {"type": "none"}, []),
        (ToolChoice("tool", "get"), None, {"type": "tool", "name": "get"}, []),
        (ToolChoice("tool", "gone"), None, None, ["tool_choice"]),
    ],
)
def test_tool_choice(choice: Any, parallel: Any, expected: Any, dropped: list[str]) -> None:
    out = write(model="claude-opus-5", tools=[TOOL], tool_choice=choice, parallel_tools=parallel)
    assert out.body.get("tool_choice") == expected
    assert out.dropped == dropped


FORCED = [
    ("claude-opus-5-5", True), ("us.anthropic.claude-opus-5-5-20260930-v1:0", True), ("claude-opus-5@20260724", False),
    ("anthropic/claude-sonnet-5.5", True), ("claude-sonnet-5", False), ("claude-haiku-5-5", False),
    ("claude-fable-5", False), ("claude-fable-5-20260609", False), ("claude-fable-5-1", True),
    ("claude-mythos-5-2", True), ("claude-opus-4-8", False), ("my-model", False),
]  # fmt: skip


@pytest.mark.parametrize(("model", "refused"), FORCED)
def test_a_tool_is_forced_in_words_where_the_model_refuses_it(model: str, refused: bool) -> None:
    """Anthropic answers 400: 'tool_choice: type "tool" and "any" are not supported for this model.'"""
    for choice, wish in (
        (ToolChoice("any"), "Call one of the tools."),
        (ToolChoice("tool", "get"), "Call the tool `get`."),
    ):
        out = write(model=model, tools=[TOOL], tool_choice=choice, system=[Text("Be brief.")])
        said = f"{wish} Do not answer in words alone."
        assert ("tool_choice" in out.body, out.dropped) == ((False, ["tool_choice"]) if refused else (True, []))
        assert out.body["system"] == ([text("Be brief."), text(said)] if refused else "Be brief.")
    out = write(model=model, tools=[TOOL], tool_choice=ToolChoice("any"), parallel_tools=False)
    kind = "auto" if refused else "any"
    assert out.body["tool_choice"] == {"type": kind, "disable_parallel_tool_use": True}


def test_thinking_need_not_give_way_to_a_tool_that_is_forced_in_words() -> None:
    out = write(tools=[TOOL], tool_choice=ToolChoice("any"), reasoning=Reasoning(effort="low"))
    assert (out.body["thinking"]["type"], out.dropped) == ("adaptive", ["tool_choice"])


def test_no_tools() -> None:
    out = write(tool_choice=ToolChoice("auto"), parallel_tools=False)
    assert not out.body.keys() & {"tools", "tool_choice"} and out.dropped == []
    assert write(tool_choice=ToolChoice("any")).dropped == ["tool_choice"]


def test_calls_in_the_history_want_tools() -> None:
    body = write(USER, assistant(GET), user(GOT)).body
    assert body["tools"] == [{"name": "get", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}
