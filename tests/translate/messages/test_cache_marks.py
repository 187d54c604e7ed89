"""Marks for the prompt cache: where they are set, and where never."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from translate import pair
from translate.messages import cache_marks
from translate.target import Encoded, Policy, Protocol, Target

MARK = {"cache_control": {"type": "ephemeral"}}
LONG = "word " * 2000
TARGET = Target("claude-opus-5-5", Policy(cache_marks=True))
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in "fg"]
CHAT: dict[str, Any] = {"model": "m", "tools": TOOLS, "messages": [
    {"role": "system", "content": LONG},
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": "a", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "second"},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": [{"type": "text", "text": "third"}, {"type": "text", "text": "the last"}]},
]}  # fmt: skip
RESPONSES: dict[str, Any] = {
    "model": "m", "instructions": LONG, "input": [
        {"role": "user", "content": "first"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "second"},
    ],
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
}  # fmt: skip


def crossed(body: dict[str, Any], client: Protocol = "chat", target: Target = TARGET) -> Encoded:
    before = copy.deepcopy(body)
    encoded = pair.request(client, "messages", body, target)
    assert body == before
    return encoded


def marked(body: Any, path: str = "") -> list[str]:
    """Where the marks are."""
    if isinstance(body, dict):
        own = [path] if body.get("cache_control") == MARK["cache_control"] else []
        return own + [at for key, item in body.items() for at in marked(item, f"{path}.{key}")]
    return [at for n, item in enumerate(body) for at in marked(item, f"{path}.{n}")] if isinstance(body, list) else []


def test_the_ends_of_what_stays() -> None:
    encoded = crossed(CHAT)
    expected = [".messages.2.content.0", ".messages.4.content.1", ".system.0", ".tools.1"]
    assert sorted(marked(encoded.body)) == expected and encoded.cache_marks == 4
    encoded = crossed(RESPONSES, "responses")
    expected = [".messages.0.content.0", ".messages.2.content.0", ".system.0", ".tools.0"]
    assert sorted(marked(encoded.body)) == expected and encoded.cache_marks == 4


def test_each_turn_reads_what_the_one_before_wrote() -> None:
    turns = CHAT["messages"]
    more = [{"role": "assistant", "content": "c"}, {"role": "user", "content": "fourth"}]
    one, other = crossed(CHAT).body, crossed(CHAT | {"messages": turns + more}).body
    last = marked(one["messages"])[-1]
    assert last in marked(other["messages"])


def test_only_what_is_there() -> None:
    assert marked(crossed({"model": "m", "messages": [{"role": "user", "content": LONG}]}).body) == [
        ".messages.0.content.0"
    ]


@pytest.mark.parametrize(
    "own",
    [
        {"role": "user", "content": [{"type": "text", "text": "x"} | MARK]},
        {"role": "user", "content": "x"} | MARK,
        {"role": "system", "content": [{"type": "text", "text": "x"} | MARK]},
    ],
)
def test_the_clients_own_marks_stand_alone(own: dict[str, Any]) -> None:
    encoded = crossed(CHAT | {"messages": [own, *CHAT["messages"]]})
    assert len(marked(encoded.body)) == 1 and encoded.cache_marks == 0


def test_a_tool_of_the_client_that_is_marked() -> None:
    tools = [TOOLS[0] | MARK, TOOLS[1]]
    encoded = crossed(CHAT | {"tools": tools})
    assert marked(encoded.body) == [".tools.0"] and encoded.cache_marks == 0


@pytest.mark.parametrize(
    ("client", "body", "target"),
    [
        ("chat", CHAT, Target("claude-opus-5-5")),
        ("chat", {"model": "m", "messages": [{"role": "user", "content": "hi"}]}, TARGET),
        ("messages", {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": LONG}]}, TARGET),
    ],
)
def test_not_where_it_is_off_or_short_or_the_clients_own_protocol(
    client: Protocol, body: dict[str, Any], target: Target
) -> None:
    encoded = crossed(body, client, target)
    assert marked(encoded.body) == [] and encoded.cache_marks == 0


def test_never_on_thinking_empty_text_or_a_deferred_tool() -> None:
    body: dict[str, Any] = {
        "tools": [{"name": "f"}, {"name": "g", "defer_loading": True}],
        "system": [{"type": "text", "text": LONG}, {"type": "text", "text": " \n"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": " "}]},
            {"role": "user", "content": [{"type": "image"}, {"type": "thinking", "thinking": "t"}, {"type": "other"}]},
        ],
    }
    assert cache_marks.mark(body) == 3
    assert sorted(marked(body)) == [".messages.1.content.0", ".system.0", ".tools.0"]


def test_marks_of_the_client_within() -> None:
    result = {"type": "tool_result", "content": [{"type": "text", "text": "x"} | MARK]}
    assert cache_marks.mark({"messages": [{"role": "user", "content": [result, {"type": "text", "text": LONG}]}]}) == 0
    assert cache_marks.mark({"messages": [{"role": "user", "content": [{"type": "text", "text": LONG}]}]} | MARK) == 0


def block(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **MARK, **more}


def test_more_marks_than_anthropic_takes_are_fewer() -> None:
    """It answers 400 to a fifth. A client that marks each turn has many in time."""
    turns = [{"role": role, "content": [block("x"), block("y")]} for role in ("user", "assistant") * 3]
    body = CHAT | {"messages": [{"role": "system", "content": [block("a"), block("b")]}, *turns[:5]]}
    encoded = crossed(body | {"tools": [TOOLS[0] | MARK]})
    kept = [".messages.3.content.1", ".messages.4.content.0", ".messages.4.content.1", ".system.1"]
    assert sorted(marked(encoded.body)) == kept
    assert encoded.dropped == ["cache_control"]
    four = crossed(CHAT | {"messages": [{"role": "user", "content": [block("x") for _ in range(4)]}]})
    assert len(marked(four.body)) == 4 and four.dropped == []
    results = [{"role": "tool", "tool_call_id": "c1", "content": [block("r") for _ in range(6)]}]
    within = crossed(CHAT | {"messages": [*CHAT["messages"][:3], *results]})
    assert marked(within.body) == [f".messages.2.content.0.content.{n}" for n in range(2, 6)]
