"""Tools of other protocols, and which of them are to be called, written for Messages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.messages.test_encode_request import GET, GOT, USER
from tests.translate.messages.written import CACHE, assistant, user, write
from translate.conversation import Tool, ToolChoice

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
    out = write(tools=[TOOL], tool_choice=choice, parallel_tools=parallel)
    assert out.body.get("tool_choice") == expected
    assert out.dropped == dropped


def test_no_tools() -> None:
    out = write(tool_choice=ToolChoice("auto"), parallel_tools=False)
    assert not out.body.keys() & {"tools", "tool_choice"} and out.dropped == []
    assert write(tool_choice=ToolChoice("any")).dropped == ["tool_choice"]


def test_calls_in_the_history_want_tools() -> None:
    body = write(USER, assistant(GET), user(GOT)).body
    assert body["tools"] == [{"name": "get", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}
