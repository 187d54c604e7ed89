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
