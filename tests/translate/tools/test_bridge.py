"""Custom tools and namespaces for upstreams that know functions alone, there and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate import pair
from translate.conversation import (
    Close,
    Conversation,
    Delta,
    Event,
    Fault,
    Open,
    Start,
    Stop,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    Turn,
)
from translate.target import Asked, Target
from translate.tools.bridge import Bridged, BridgedReply, input_in

GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
PATCH = Tool("patch", "Edits.", kind="custom", raw=GRAMMAR)
CLOSE = Tool("close", "Ends one.", {"type": "object"}, namespace="agents", about_namespace="Agents")
PLAIN = Tool("plain")


def test_a_custom_tool_becomes_a_function_of_one_string() -> None:
    bridged = Bridged(Conversation("m", [], tools=[PATCH, PLAIN], tool_choice=ToolChoice("tool", "patch")))
    patch, plain = bridged.conversation.tools
    assert plain is PLAIN
    assert (patch.kind, patch.name) == ("function", "patch")
    assert patch.schema == {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    assert "Edits." in patch.description and "lark grammar:\nstart: /x/" in patch.description
    assert bridged.custom == {"patch"} and bridged.namespaces == {}
    assert bridged.conversation.tool_choice == ToolChoice("tool", "patch")
    assert "patch" in repr(bridged)


OTHER = Tool("close", schema={"type": "object"}, namespace="files")


@pytest.mark.parametrize(
    ("tools", "choice", "forced"),
    [
        ([CLOSE, PLAIN], ToolChoice("tool", "close"), "agents__close"),  # the protocol's choice has no namespace
        ([CLOSE, PLAIN], ToolChoice("tool", "close", namespace="agents"), "agents__close"),
        ([CLOSE, OTHER], ToolChoice("tool", "close"), "close"),  # either may be meant
        ([CLOSE, Tool("close")], ToolChoice("tool", "close"), "close"),  # the plain one is meant
        ([CLOSE], ToolChoice("tool", "close", namespace="files"), "close"),
    ],
)
def test_a_forced_tool_of_a_namespace(tools: list[Tool], choice: ToolChoice, forced: str) -> None:
    bridged = Bridged(Conversation("m", [], tools=tools, tool_choice=choice))
    assert bridged.conversation.tool_choice is not None
    assert bridged.conversation.tool_choice.name == forced


def test_a_namespace_becomes_part_of_the_name() -> None:
    choice = ToolChoice("tool", "close", "agents")
    bridged = Bridged(Conversation("m", [], tools=[CLOSE], tool_choice=choice))
    [tool] = bridged.conversation.tools
    assert (tool.name, tool.namespace) == ("agents__close", "")
    assert tool.description == "[agents: Agents]\nEnds one."
    assert bridged.conversation.tool_choice == ToolChoice("tool", "agents__close")
    assert bridged.namespaces == {"agents__close": ("agents", "close")}


def test_names_are_cut_and_never_meet() -> None:
    tools = [Tool("a__b"), Tool("b", namespace="a"), Tool("x" * 60, namespace="long"), Tool("odd.name", kind="custom")]
    bridged = Bridged(Conversation("m", [], tools=tools))
    names = [tool.name for tool in bridged.conversation.tools]
    assert len(set(names)) == 4 and all(len(name) <= 64 for name in names)
    assert names[0] == "a__b" and names[1].startswith("a__b_")
    assert {bridged.namespaces[name] for name in names[1:]} == {("a", "b"), ("long", "x" * 60), ("", "odd.name")}


def test_the_history_says_the_same() -> None:
    said = Turn(
        "assistant",
        [Text("x"), ToolCall("1", "patch", "go\n", custom=True), ToolCall("2", "close", "{}", namespace="agents")],
    )
    plain = Turn("user", [Text("hi")])
    before = repr(said)
    turns = Bridged(Conversation("m", [plain, said])).conversation.turns
    assert turns[0] is plain
    assert turns[1].parts[1:] == [ToolCall("1", "patch", '{"input":"go\\n"}'), ToolCall("2", "agents__close", "{}")]
    assert repr(said) == before


def test_what_needs_nothing_is_left_alone() -> None:
    conversation = Conversation("m", [Turn("assistant", [ToolCall("1", "f")])], tools=[PLAIN])
    assert Bridged(conversation).conversation is conversation


# ------------------------------------------------------------------------------------------------- the way back

ASKED = Asked(
    "m", custom=frozenset({"patch", "odd_1"}), namespaces={"agents__close": ("agents", "close"), "odd_1": ("", "odd.")}
)


def passed(*events: Event, one_by_one: bool = False) -> list[Event]:
    unbridge = BridgedReply(ASKED)
    if not one_by_one:
        return unbridge.passed(list(events))
    return [out for event in events for out in unbridge.passed([event])]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_calls_come_back_as_what_was_declared(one_by_one: bool) -> None:
    assert passed(
        Start(),
        Open(ToolCall("1", "patch")), Delta([b'{\\"input\\":\\"go', b" on"]), Delta([b'\\"}']), Close(),
        Open(ToolCall("2", "agents__close")), Delta([b"{}"]), Close(),
        Open(ToolCall("3", "odd_1")), Delta([b"{}"]), Close(),
        Open(ToolCall("4", "plain")), Close(),
        Stop("tool_calls"),
        one_by_one=one_by_one,
    ) == [
        Start(),
        Open(ToolCall("1", "patch", custom=True)), Delta([b"go on"]), Close(),
        Open(ToolCall("2", "close", namespace="agents")), Delta([b"{}"]), Close(),
        Open(ToolCall("3", "odd.", custom=True)), Close(),
        Open(ToolCall("4", "plain")), Close(),
        Stop("tool_calls"),
    ]  # fmt: skip


def test_half_a_text_is_nobodys_to_run() -> None:
    broken = Fault(ValueError())
    assert passed(Open(ToolCall("1", "patch")), Delta([b"{"]), broken) == [broken]
    whole = passed(Open(ToolCall("1", "patch")), Delta([b'{\\"input\\":\\"go']), Stop("length"))
    assert whole == [Open(ToolCall("1", "patch", custom=True)), Delta([b"go"]), Close(), Stop("length")]
    assert passed(Open(ToolCall("1", "patch", custom=True))) == [Open(ToolCall("1", "patch", custom=True))]
    assert "nothing" in repr(BridgedReply(ASKED))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"a\\nb"}', "a\nb"),
        ('{"input":"a\\nb', "a\nb"),
        ('{"input":"a\\', "a"),
        ('{"inp', '{"inp'),
        ('{"other":1}', '{"other":1}'),
        ("{}", ""),
        ("", ""),
        ("*** Begin", "*** Begin"),
    ],
)
def test_no_word_of_the_model_is_dropped(arguments: str, text: str) -> None:
    assert input_in(arguments) == text


# --------------------------------------------------------------------------------------------- across protocols

BODY: dict[str, Any] = {
    "model": "m",
    "input": "x",
    "tools": [
        {"type": "custom", "name": "patch", "description": "Edits.", "format": GRAMMAR},
        {
            "type": "namespace",
            "name": "agents",
            "description": "Agents",
            "tools": [{"type": "function", "name": "close"}],
        },
    ],
}
CHAT_TOOLS = [
    {
        "type": "custom",
        "custom": {"name": "patch", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "s"}}},
    }
]


def test_a_responses_client_on_upstreams_that_know_functions() -> None:
    for upstream in ("chat", "messages"):
        encoded = pair.request("responses", upstream, BODY, Target("m"))  # type: ignore[arg-type]
        assert encoded.custom == {"patch"}
        assert encoded.namespaces == {"agents__close": ("agents", "close")}
        assert encoded.dropped == []


def test_a_chat_clients_custom_tools() -> None:
    body = {"model": "m", "max_tokens": 20, "messages": [{"role": "user", "content": "x"}], "tools": CHAT_TOOLS}
    own = pair.request("chat", "responses", body, Target("m"))
    assert own.body["tools"] == [
        {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "s"}}
    ]
    assert own.custom == frozenset()
    bridged = pair.request("chat", "messages", body, Target("m"))
    assert bridged.custom == {"patch"}
    asked = Asked("m", "k", custom=bridged.custom)
    use = {"type": "tool_use", "id": "t", "name": "patch", "input": {"input": "go"}}
    raw = b'{"type":"message","content":[%b],"stop_reason":"tool_use"}' % json.dumps(use).encode()
    assert b'{"id":"t","type":"custom","custom":{"name":"patch","input":"go"}}' in pair.Crossing(
        "chat", "messages", asked
    ).whole(raw)
    assert b'"custom":{"input":"go"}' in pair.Crossing("chat", "messages", asked).whole_as_stream(raw)


def test_a_custom_call_that_no_messages_client_can_have_declared_is_still_an_object() -> None:
    item = b'{"object":"response","output":[{"type":"custom_tool_call","call_id":"c","name":"g","input":"go"}]}'
    crossing = pair.Crossing("messages", "responses", Asked("m", "k"))
    assert b'"input":{"input":"go"}' in crossing.whole(item)
    assert b'"partial_json":"{\\"input\\":\\"go\\"}"' in pair.Crossing(
        "messages", "responses", Asked("m", "k")
    ).whole_as_stream(item)
