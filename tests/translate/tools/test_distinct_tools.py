"""Tools that are declared twice cross once."""

from __future__ import annotations

from typing import Any

import pytest

from translate import pair
from translate.target import Protocol, Target

Json = dict[str, Any]

ALL: list[tuple[Protocol, Protocol]] = [
    (client, upstream)
    for client in ("messages", "chat", "responses", "gemini")
    for upstream in ("messages", "chat", "responses", "gemini")
    if client != upstream
]
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "string"}}}


def request(client: Protocol, *tools: tuple[str, str]) -> Json:
    """tools: (name, description)"""
    hi: Json = {"role": "user", "content": "hi"}
    if client == "messages":
        declared = [{"name": name, "description": said, "input_schema": SCHEMA} for name, said in tools]
        return {"model": "m", "max_tokens": 9, "messages": [hi], "tools": declared}
    plain = [{"name": name, "description": said, "parameters": SCHEMA} for name, said in tools]
    if client == "chat":
        return {"model": "m", "messages": [hi], "tools": [{"type": "function", "function": each} for each in plain]}
    if client == "responses":
        return {"model": "m", "input": "hi", "tools": [{"type": "function"} | each for each in plain]}
    contents = [{"role": "user", "parts": [{"text": "hi"}]}]
    return {"contents": contents, "tools": [{"functionDeclarations": [each]} for each in plain]}


def offered(upstream: Protocol, body: Any) -> list[tuple[str, str]]:
    tools = body["tools"]
    if upstream == "chat":
        tools = [tool["function"] for tool in tools]
    elif upstream == "gemini":
        tools = [each for tool in tools for each in tool["functionDeclarations"]]
    return [(tool["name"], tool["description"]) for tool in tools]


@pytest.mark.parametrize(("client", "upstream"), ALL)
def test_the_first_of_a_name_counts(client: Protocol, upstream: Protocol) -> None:
    same = pair.request(client, upstream, request(client, ("f", "one"), ("g", "g"), ("f", "one")), Target("m"))
    assert offered(upstream, same.body) == [("f", "one"), ("g", "g")] and same.dropped == []
    other = pair.request(client, upstream, request(client, ("f", "one"), ("g", "g"), ("f", "two")), Target("m"))
    assert offered(upstream, other.body) == [("f", "one"), ("g", "g")] and other.dropped == ["tools.f"]


def test_tools_of_two_namespaces_may_have_one_name() -> None:
    tool = {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA}
    spaces = [{"type": "namespace", "name": name, "description": name, "tools": [tool]} for name in ("a", "b")]
    sent = pair.request("responses", "chat", {"model": "m", "input": "hi", "tools": spaces}, Target("m"))
    assert len({name for name, _ in offered("chat", sent.body)}) == 2 and sent.dropped == []


MARK: Json = {"cache_control": {"type": "ephemeral"}}


def messages_tool(name: str, **more: Any) -> Json:
    return {"name": name, "description": "d", "input_schema": SCHEMA, **more}


def chat_tool(name: str, **more: Any) -> Json:
    return {"type": "function", "function": {"name": name, "description": "d", "parameters": SCHEMA}, **more}


@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
@pytest.mark.parametrize("later", [False, True])
def test_one_that_is_offered_at_once_counts_more(upstream: Protocol, later: bool) -> None:
    both = [messages_tool("a", defer_loading=True), messages_tool("a")]
    body = request("messages") | {"tools": [*(both if later else both[::-1]), messages_tool("b")]}
    sent = pair.request("messages", upstream, body, Target("m"))
    assert offered(upstream, sent.body) == [("a", "d"), ("b", "d")] and sent.dropped == []


@pytest.mark.parametrize(
    ("given", "marked"),
    [
        ([("a", False), ("b", False), ("a", True)], {"b"}),
        ([("a", False), ("a", True), ("b", False)], {"a"}),
        ([("a", True), ("b", False), ("a", True)], {"a", "b"}),
        ([("a", True), ("a", False)], {"a"}),
    ],
)
def test_a_mark_for_the_cache_stays_where_it_was(given: list[tuple[str, bool]], marked: set[str]) -> None:
    body = request("chat") | {"tools": [chat_tool(name, **(MARK if has else {})) for name, has in given]}
    sent = pair.request("chat", "messages", body, Target("m"))
    assert {tool["name"] for tool in sent.body["tools"] if "cache_control" in tool} == marked
    assert sent.dropped == [] and len(sent.body["tools"]) == len({name for name, _ in given})
    again = pair.request("chat", "messages", body, Target("m"))  # what the client said before is not changed
    assert again.body == sent.body


@pytest.mark.parametrize("upstream", ["chat", "gemini"])
def test_what_the_model_is_not_told_makes_no_other_tool(upstream: Protocol) -> None:
    for more, dropped in ((MARK, ["cache_control"]), ({"input_examples": [{"a": "b"}]}, ["input_examples"])):
        tools = [messages_tool("a"), messages_tool("a", **more)]
        sent = pair.request("messages", upstream, request("messages") | {"tools": tools}, Target("m"))
        assert offered(upstream, sent.body) == [("a", "d")] and sent.dropped == dropped
