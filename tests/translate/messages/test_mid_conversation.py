"""System messages that change the tools or the effort in mid-conversation, or are for one turn alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.crossed import SCHEMA, crossed
from translate import pair
from translate.failures.errors import BadRequest
from translate.target import Encoded, Protocol, Target

Json = dict[str, Any]

HELLO = {"role": "user", "content": "hello"}
OTHERS: list[Protocol] = ["chat", "responses"]


def tool(name: str, **more: Any) -> Json:
    return {"name": name, "input_schema": SCHEMA} | more


def system(*content: Any, **more: Any) -> Json:
    return {"role": "system"} | ({"content": list(content)} if content else {}) | more


def added(name: str, **more: Any) -> Json:
    return {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": tool(name, **more)}}


def back(name: str) -> Json:
    return {"type": "tool_addition", "tool": {"type": "tool_reference", "name": name}}


def removed(name: str) -> Json:
    return {"type": "tool_removal", "tool": {"type": "tool_reference", "name": name}}


def asked(*messages: Json, **more: Any) -> Json:
    return {"model": "m", "max_tokens": 99, "messages": [HELLO, *messages], "tools": [tool("a"), tool("b")]} | more


def sent(upstream: Protocol, body: Json) -> Encoded:
    out = crossed("messages", upstream, body)
    assert isinstance(out, Encoded), out
    return out


def offered(upstream: Protocol, body: Json) -> list[str]:
    tools: Any = sent(upstream, body).body.get("tools", [])
    return [each["function"]["name"] if upstream == "chat" else each["name"] for each in tools]


@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize(
    ("blocks", "names"),
    [
        ([added("c")], ["a", "b", "c"]),
        ([removed("a")], ["b"]),
        ([removed("a"), removed("b")], []),
        ([removed("a"), back("a")], ["b", "a"]),
        ([added("c"), removed("c")], ["a", "b"]),
        ([added("c"), removed("c"), back("c")], ["a", "b", "c"]),
        ([added("a", description="new")], ["a", "b"]),
        ([removed("nobody"), back("nobody")], ["a", "b"]),
    ],
)
def test_tools_come_and_go(upstream: Protocol, blocks: list[Json], names: list[str]) -> None:
    in_one = asked(system(*blocks), HELLO)
    apart = asked(*(message for block in blocks for message in (system(block), HELLO)))
    assert offered(upstream, in_one) == offered(upstream, apart) == names
    assert sent(upstream, in_one).dropped == []


def test_the_model_is_told_where_they_change() -> None:
    said = json.dumps(sent("chat", asked(system(added("c"), removed("a")), HELLO)).body["messages"])
    assert "Tool c is now available." in said and "Tool a is no longer available." in said


@pytest.mark.parametrize("upstream", OTHERS)
def test_a_deferred_tool_is_offered_when_it_is_added_and_not_when_it_is_removed(upstream: Protocol) -> None:
    tools = [tool("a"), tool("b", defer_loading=True)]
    assert offered(upstream, asked(HELLO, tools=tools)) == ["a"]
    assert offered(upstream, asked(system(back("b")), HELLO, tools=tools)) == ["a", "b"]
    assert offered(upstream, asked(system(removed("b")), HELLO, tools=tools)) == ["a"]


@pytest.mark.parametrize("upstream", OTHERS)
def test_what_only_anthropic_can_call_is_reported(upstream: Protocol) -> None:
    mcp = {"type": "tool_addition", "tool": {"type": "mcp_toolset_reference", "server_name": "s"}}
    web = {"type": "web_fetch_20250910", "name": "web_fetch"}
    fetch = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": web}}
    out = sent(upstream, asked(system(mcp, fetch), HELLO))
    assert set(out.dropped) == {"tool_addition", "tools.web_fetch_20250910"}


@pytest.mark.parametrize("block", [
    {"type": "tool_addition"},
    {"type": "tool_removal", "tool": "a"},
    {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": {"name": "x"}}},
])  # fmt: skip
def test_a_change_that_is_none_is_refused(block: Json) -> None:
    out = crossed("messages", "chat", asked(system(block), HELLO))
    assert isinstance(out, BadRequest) and out.message.startswith("messages.1.content.0.tool")


# ------------------------------------------------------------------------------------------------- effort


@pytest.mark.parametrize("upstream", OTHERS)
def test_the_last_effort_counts(upstream: Protocol) -> None:
    thinks: Json = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}
    empty = system({"type": "text", "text": "so"}, output_config={})
    turns = [system(output_config={"effort": "medium"}), HELLO, empty, HELLO]
    assert effort(upstream, asked(**thinks)) == "low"
    assert effort(upstream, asked(*turns, **thinks)) == "medium"
    assert effort(upstream, asked(*turns, system(output_config={"effort": "high"}), **thinks)) == "high"
    out = sent(upstream, asked(*turns, **thinks))
    assert out.dropped == [] and "so" in json.dumps(out.body)


def effort(upstream: Protocol, body: Json) -> Any:
    out: Json = sent(upstream, body).body
    return out["reasoning_effort"] if upstream == "chat" else out["reasoning"]["effort"]


def test_a_message_with_neither_is_refused() -> None:
    out = crossed("messages", "chat", asked(system(), HELLO))
    assert isinstance(out, BadRequest) and "messages.1.content" in out.message


# ------------------------------------------------------------------------------------------------ clear_at


@pytest.mark.parametrize("upstream", OTHERS)
def test_an_instruction_for_one_turn_is_shown_for_that_turn(upstream: Protocol) -> None:
    once = system({"type": "text", "text": "only now"}, clear_at="next_user_message")
    answer = {"role": "assistant", "content": "yes"}
    shown, later = sent(upstream, asked(once)), sent(upstream, asked(once, answer, HELLO))
    assert "only now" in json.dumps(shown.body) and "only now" not in json.dumps(later.body)
    assert "only now" in json.dumps(sent(upstream, asked(once | {"clear_at": "never"}, answer, HELLO)).body)
    assert shown.dropped == later.dropped == []


def test_all_of_it_comes_home() -> None:
    body = asked(
        system(added("c"), removed("a"), output_config={"effort": "high"}),
        HELLO,
        system(output_config={"effort": "low"}),
        system({"type": "text", "text": "only now"}, clear_at="next_user_message"),
        HELLO,
        output_config={"effort": "medium"},
    )
    hello = {"role": "user", "content": [{"type": "text", "text": "hello"}]}
    home = pair.request("messages", "messages", body, Target("m")).body
    assert home == body | {"messages": [hello if message == HELLO else message for message in body["messages"]]}


# ----------------------------------------------------------------------------------------- at the head


@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_a_system_message_before_all_others_is_an_instruction(upstream: Protocol) -> None:
    """It is what it would be as `system`, and stands behind that."""
    first = system({"type": "text", "text": "be kind"}, {"type": "text", "text": "be brief"})
    once = system({"type": "text", "text": "only then"}, clear_at="next_user_message")
    answered = [{"role": "assistant", "content": "yes"}, HELLO]
    body = asked(*answered, system="be wise")
    meant = body | {"system": [{"type": "text", "text": text} for text in ("be wise", "be kind", "be brief")]}
    apart = [system(block) for block in first["content"]]
    for leading in ([first], [once, first], [first, once], apart):
        out = sent(upstream, body | {"messages": [*leading, *body["messages"]]})
        assert out.body == sent(upstream, meant).body and out.dropped == []
    alone = sent(upstream, asked() | {"messages": [first, HELLO]}).body
    assert alone == sent(upstream, asked(system=first["content"])).body


def test_what_it_says_beside_its_words_is_reported() -> None:
    marked = system({"type": "text", "text": "be kind"}, cache_control={"type": "ephemeral"}, new=1)
    out = sent("responses", asked() | {"messages": [marked, HELLO]})
    assert out.body["instructions"] == "be kind" and {"cache_control", "new"} <= set(out.dropped)


def test_it_comes_home_where_it_stood() -> None:
    body = asked() | {"messages": [system({"type": "text", "text": "be kind"}, new=1), system(added("c")), HELLO]}
    hello = {"role": "user", "content": [{"type": "text", "text": "hello"}]}
    assert pair.request("messages", "messages", body, Target("m")).body == body | {
        "messages": [*body["messages"][:2], hello]
    }
