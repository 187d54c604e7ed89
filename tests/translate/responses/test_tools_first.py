"""Tools that come as an item of the conversation, as Codex's all do, before models of other providers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate.pair import request
from translate.target import Protocol, Target

Json = dict[str, Any]

OTHERS: list[Protocol] = ["chat", "messages", "gemini"]
ABOUT = "Runs a script, of whose words there are many."
TOOLS: Json = {"type": "additional_tools", "role": "developer", "id": "at_1", "tools": [
    {"type": "namespace", "name": "functions", "description": "Its own.", "tools": [
        {"type": "custom", "name": "exec", "description": ABOUT},
        {"type": "function", "name": "wait", "description": "Waits.", "parameters": {"type": "object"}}]},
    {"type": "function", "name": "plan", "parameters": {"type": "object"}},
]}  # fmt: skip
DEVELOPER: Json = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "be brief"}]}
HELLO: Json = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}


def sent(upstream: Protocol, *items: Json, **more: Any) -> Json:
    encoded = request("responses", upstream, {"model": "m", "input": list(items)} | more, Target("m"))
    assert encoded.dropped == []
    return encoded.body


def tools_in(body: Json) -> Any:
    return body.pop("tools")


@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize("head", [[TOOLS, DEVELOPER], [DEVELOPER, TOOLS], [TOOLS]])
def test_what_codex_begins_with_is_told_as_tools_alone(upstream: Protocol, head: list[Json]) -> None:
    """A message beside would have all of their descriptions for a second time."""
    said = [item for item in head if item is not TOOLS]
    for more in ({}, {"instructions": "be kind"}):
        body, plain = sent(upstream, *head, HELLO, **more), sent(upstream, *said, HELLO, **more)
        tools = json.dumps(tools_in(body))
        assert body == plain and tools.count(ABOUT) == 1
        assert all(f'"{name}"' in tools for name in ("functions__exec", "functions__wait", "plan"))


@pytest.mark.parametrize("upstream", OTHERS)
def test_later_ones_are_told_where_they_come_by_the_names_that_they_have(upstream: Protocol) -> None:
    told = json.dumps(sent(upstream, HELLO, TOOLS, HELLO))
    assert "Tools now available: functions__exec, functions__wait, plan." in told and told.count(ABOUT) == 1
