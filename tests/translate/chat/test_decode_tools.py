"""A Chat client's tools and its choice among them, as a Conversation has them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.chat.test_decode_request import MARK, MARKED, ask
from translate.conversation import Tool, ToolChoice

GRAMMAR = {"syntax": "lark", "definition": "start: /x/"}


def test_tools_of_every_kind_are_read() -> None:
    schema = {"type": "object"}
    tools = ask(
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": True}},
            {"function": {"name": "g", "cache_control": MARK}},
            {
                "type": "custom",
                "custom": {"name": "h", "description": "free", "format": {"type": "grammar", "grammar": GRAMMAR}},
                "cache_control": MARK,
            },
            {"type": "openrouter:web_search", "parameters": {}},
        ],
        functions=[{"name": "old", "parameters": schema}],
    ).tools
    f, g, h, search, old = tools
    assert f == Tool("f", "d", schema, True)
    assert (g.schema, g.ext) == (None, MARKED)
    assert (h.kind, h.description, h.raw) == ("custom", "free", {"type": "grammar", **GRAMMAR})
    assert h.ext["cache"] == MARKED["cache"]
    assert (search.kind, search.protocol, search.raw["type"]) == ("server", "chat", "openrouter:web_search")
    assert old == Tool("old", "", schema)


CHOICES = [
    ("auto", ToolChoice("auto")),
    ("none", ToolChoice("none")),
    ("required", ToolChoice("any")),
    ("any", ToolChoice("any")),
    ({"type": "function", "function": {"name": "f"}}, ToolChoice("tool", "f")),
    ({"type": "custom", "custom": {"name": "h"}}, ToolChoice("tool", "h")),
    ({"name": "f"}, ToolChoice("tool", "f")),
]


@pytest.mark.parametrize(("given", "choice"), CHOICES)
def test_tool_choice(given: Any, choice: ToolChoice) -> None:
    assert ask(tool_choice=given).tool_choice == choice
    assert ask(function_call=given).tool_choice == choice


@pytest.mark.parametrize(("mode", "choice"), [("required", "any"), ("auto", "auto")])
def test_allowed_tools_are_the_ones_offered(mode: str, choice: str) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in "fgh"] + [{"type": "search"}]
    named = [{"type": "function", "function": {"name": "g"}}, {"type": "search"}, None]
    as_responses = [{"type": "function", "name": "g"}, {"type": "search"}]
    for said in ({"allowed_tools": {"mode": mode, "tools": named}}, {"mode": mode, "tools": as_responses}):
        conversation = ask(tools=tools, tool_choice={"type": "allowed_tools"} | said)
        assert [tool.name for tool in conversation.tools] == ["g", "search"]
        assert conversation.tool_choice is not None
        assert conversation.tool_choice.mode == choice
