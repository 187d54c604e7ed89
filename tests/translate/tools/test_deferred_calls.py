"""Calls of deferred tools for Responses clients, which OpenAI's Agents SDK runs only as OpenAI itself writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate import pair
from translate.target import Asked, Encoded, Protocol, Target

Json = dict[str, Any]

SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}
MAIL: Json = {"type": "function", "name": "mail", "parameters": SCHEMA, "defer_loading": True}
SPACE: Json = {"type": "namespace", "name": "crm", "description": "d", "tools": [MAIL | {"name": "find"}]}
NOW: Json = {"type": "function", "name": "now", "parameters": SCHEMA}
HI: Json = {"role": "user", "content": "hi"}
TOOLS = [MAIL, SPACE, NOW, {"type": "tool_search"}]


def sent(upstream: Protocol, items: list[Json] | None = None, tools: list[Json] = TOOLS) -> Encoded:
    return pair.request(
        "responses", upstream, {"model": "m", "input": [HI, *(items or [])], "tools": tools}, Target("m")
    )


def called(encoded: Encoded, *names: str) -> list[Json]:
    """The output of a reply with these calls, whole; the same must come of a stream."""
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": "{}"}}
             for n, name in enumerate(names)]  # fmt: skip
    message = {"role": "assistant", "tool_calls": calls}
    reply = {"id": "1", "model": "m", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}]}

    def crossing() -> pair.Crossing:
        asked = Asked("m", namespaces=encoded.namespaces, tool_names=encoded.tool_names, search=encoded.search)
        return pair.Crossing("responses", "chat", asked)

    raw = json.dumps(reply).encode()
    output: list[Json] = json.loads(crossing().whole(raw))["output"]
    events = [json.loads(line[6:]) for line in crossing().whole_as_stream(raw).splitlines() if line[:6] == b"data: "]
    assert [event["item"] for event in events if event["type"] == "response.output_item.done"] == output
    return output


def shape(output: list[Json]) -> list[tuple[str, str, str]]:
    return [(item["type"], item.get("namespace", ""), item.get("name", "")) for item in output]


FOUND = [("tool_search_call", "", ""), ("tool_search_output", "", "")]


def test_a_call_comes_after_a_search_that_shows_its_tool_and_in_a_namespace() -> None:
    output = called(sent("chat"), "mail", "now", "crm__find", "mail")
    assert shape(output) == [
        *FOUND, ("function_call", "mail", "mail"), ("function_call", "", "now"),
        *FOUND, ("function_call", "crm", "find"), ("function_call", "mail", "mail"),
    ]  # fmt: skip
    assert output[0]["arguments"] == {"paths": ["mail"]} and output[0]["execution"] == "server"
    assert [tool["name"] for tool in output[1]["tools"]] == ["mail"]
    assert output[5]["tools"][0]["type"] == "namespace" and output[5]["tools"][0]["name"] == "crm"
    assert len({item["id"] for item in output}) == len(output)


@pytest.mark.parametrize("upstream", ["messages", "chat", "gemini"])
def test_the_history_names_the_tool_as_it_is_offered_and_needs_no_second_search(upstream: Protocol) -> None:
    before = called(sent("chat"), "mail")
    answer = {"type": "function_call_output", "call_id": "c0", "output": "done"}
    encoded = sent(upstream, [*before, answer])
    body = json.dumps(encoded.body)
    assert '"name": "mail"' in body and "mail__mail" not in body
    if upstream == "chat":
        assert shape(called(encoded, "mail")) == [("function_call", "mail", "mail")]


def test_without_a_search_of_the_providers_calls_stay_as_they_are() -> None:
    for tools in ([MAIL, NOW], [MAIL, NOW, {"type": "tool_search", "execution": "client"}]):
        assert shape(called(sent("chat", tools=tools), "mail")) == [("function_call", "", "mail")]


def test_a_tool_that_was_called_is_offered_where_the_history_has_lost_the_search() -> None:
    """A client has cut its oldest items, and there are too many tools to offer all of them."""
    many = [*TOOLS, *(MAIL | {"name": f"mail{n}"} for n in range(100))]
    call = {"type": "function_call", "call_id": "c0", "name": "mail", "namespace": "mail", "arguments": "{}"}
    offered: Any = sent("chat", [call, {"type": "function_call_output", "call_id": "c0", "output": "done"}], many).body[
        "tools"
    ]
    assert [tool["function"]["name"] for tool in offered] == ["mail", "now", "tool_search"]
