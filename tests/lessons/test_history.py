"""Lessons 18 to 21: tools and histories, made acceptable wherever they cross."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.lessons.histories import (
    MESSAGES_HISTORIES,
    OK_CHAT,
    OK_MESSAGES,
    SCHEMA,
    TOOL_ID,
    USER,
    answered,
    calls,
    claude,
    gpt,
    pairs_hold,
    result,
    turn,
    use,
)
from tests.lessons.street import ASK, Json, Street, completion, function, message
from tests.support.streams import ROLE, START, STOP, chat, chunk, ending, first_call, messages, tool

# ---------------------------------------------------------------------------------- 18: ids and names


@pytest.mark.parametrize("id", ["functions.look:0", "a b", "ünï", "x" * 90, "call.1", "call:1", ""])
@pytest.mark.parametrize("stream", [True, False])
def test_18_tool_ids_are_made_legal_and_find_home(street: Street, id: str, stream: bool) -> None:
    """What the client was given it sends back: the upstream sees call and result under one id again."""
    streamed: Any = chat(ROLE, chunk(first_call(0, "{}", id)), chunk(finish="tool_calls"))
    whole: Any = completion({"tool_calls": [function("look", id=id)]}, "tool_calls")
    reply = claude(street, {"stream": stream}, streamed if stream else whole)
    ((given, _, _),) = reply.said()["calls"]
    assert TOOL_ID.match(given) and len(given) <= 64
    assert claude(street, {"stream": stream}, streamed if stream else whole).said()["calls"][0][0] == given or not id
    history = [USER, turn("assistant", use(given)), turn("user", result(given))]
    sent = claude(street, {"messages": history}).sent["messages"]
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"]


def test_18_different_ids_never_meet(street: Street) -> None:
    odd = ["a.b", "a:b", "a b", "a_b"]
    made = completion({"tool_calls": [function("look", id=id) for id in odd]}, "tool_calls")
    assert len({id for id, _, _ in claude(street, {}, made).said()["calls"]}) == 4
    same = completion({"tool_calls": [function("look", id="call_1"), function("look", id="call_1")]}, "tool_calls")
    assert len({id for id, _, _ in claude(street, {}, same).said()["calls"]}) == 2
    history = [USER, calls(*(function("look", id=id) for id in odd)), *(answered(id, f"of {id}") for id in odd)]
    sent = gpt(street, {"messages": history}).sent["messages"]
    asked = [block["id"] for block in sent[1]["content"]]
    assert len(set(asked)) == 4 and all(map(TOOL_ID.match, asked))
    got = {block["tool_use_id"]: block["content"] for block in sent[2]["content"]}
    assert [got[id] for id in asked] == [f"of {id}" for id in odd]


def test_18_ids_that_a_server_counts_anew_in_each_reply(street: Street) -> None:
    """Anthropic wants them unique in the whole history; each result still belongs to its call."""
    rounds = [[calls(function("look", f'{{"a":{n}}}', "call_0")), answered("call_0", f"no {n}")] for n in range(3)]
    sent = gpt(street, {"messages": [USER, *(m for pair in rounds for m in pair)]}).sent["messages"]
    uses = [block for m in sent for block in m["content"] if block["type"] == "tool_use"]
    results = [block for m in sent for block in m["content"] if block["type"] == "tool_result"]
    assert len({block["id"] for block in uses}) == 3
    assert [block["id"] for block in uses] == [block["tool_use_id"] for block in results]


LONG = "mcp__a_server_with_a_long_name__" + "and_a_tool_with_a_longer_one_" * 2
NAMES = [LONG + "1", LONG + "2", "dotted.name", "spaced name", "ünï"]


@pytest.mark.parametrize("stream", [True, False])
def test_18_tool_names_are_shortened_and_come_back(street: Street, stream: bool) -> None:
    """In the declaration, the history, the choice, and the reply."""
    tools = [{"name": name, "input_schema": SCHEMA} for name in NAMES]
    history = [USER, turn("assistant", use(name=NAMES[0])), turn("user", result())]
    body = {"tools": tools, "messages": history, "tool_choice": {"type": "tool", "name": NAMES[0]}, "stream": stream}
    sent = claude(street, body).sent
    short = [tool["function"]["name"] for tool in sent["tools"]]
    assert len(set(short)) == len(NAMES) and all(re.match(r"^[a-zA-Z0-9_-]{1,64}$", name) for name in short)
    assert sent["messages"][1]["tool_calls"][0]["function"]["name"] == short[0]
    assert sent["tool_choice"]["function"]["name"] == short[0]
    streamed: Any = chat(ROLE, chunk(first_call(0, "{}", name=short[1])), chunk(finish="tool_calls"))
    whole: Any = completion({"tool_calls": [function(short[1])]}, "tool_calls")
    assert claude(street, body, streamed if stream else whole).said()["calls"][0][1] == NAMES[1]

    functions = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in NAMES]
    choice = {"type": "function", "function": {"name": NAMES[2]}}
    body = {"tools": functions, "messages": [USER, calls(function(NAMES[2])), answered()], "tool_choice": choice}
    sent = gpt(street, body | {"stream": stream}).sent
    short = [tool["name"] for tool in sent["tools"]]
    assert len(set(short)) == len(NAMES) and all(re.match(r"^[a-zA-Z0-9_-]{1,64}$", name) for name in short)
    assert sent["messages"][1]["content"][0]["name"] == sent["tool_choice"]["name"] == short[2]
    streamed = messages(START, *tool(0, name=short[3]), ending("tool_use"), STOP)
    whole = message(use(name=short[3]), stop="tool_use")
    said = gpt(street, body | {"stream": stream}, streamed if stream else whole).said()
    assert said["calls"][0][1] == NAMES[3]


# ------------------------------------------------------------------------------------------- 19: pairs


@pytest.mark.parametrize("name", MESSAGES_HISTORIES)
def test_19_pairs_are_repaired_towards_chat(street: Street, name: str) -> None:
    history = MESSAGES_HISTORIES[name]
    sent = claude(street, {"messages": history}).sent["messages"]
    pairs_hold("chat", sent)
    for text in ("never mind", "orphan 9", "look:", "again", "be brief", "so", "fine", "waiting", "hm", "short"):
        assert (f'"{text}"' in json.dumps(history)) <= (text in json.dumps(sent)), text


CHAT_HISTORIES: dict[str, list[Json]] = {
    "lost result": [USER, calls(function("look")), {"role": "user", "content": "never mind"}],
    "lost result at the end": [USER, calls(function("look"))],
    "half": [USER, calls(function("look", id="a"), function("look", id="b")), answered("b")],
    "lost call": [answered("x", "orphan 9"), {"role": "user", "content": "so"}],
    "compacted": [USER, {"role": "assistant", "content": "short"}, answered("x", "orphan 9")],
    "said twice": [USER, calls(function("look")), answered(), answered("call_1", "again")],
    "user between": [USER, calls(function("look")), {"role": "user", "content": "look:"}, answered()],
    "instruction between": [USER, calls(function("look")), {"role": "developer", "content": "be brief"}, answered()],
    "two assistants": [USER, calls(function("look", id="a")), calls(function("look", id="b")), answered("b")],
    "two rounds": [
        USER,
        calls(function("look", id="a")),
        answered("a"),
        calls(function("look", id="b")),
        answered("b"),
    ],
    "assistant first": [{"role": "assistant", "content": "short"}, USER],
    "legacy function": [
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
        {"role": "function", "name": "look", "content": "fine"},
    ],
}


@pytest.mark.parametrize("name", CHAT_HISTORIES)
def test_19_pairs_are_repaired_towards_messages(street: Street, name: str) -> None:
    history = CHAT_HISTORIES[name]
    tools = [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]
    sent = gpt(street, {"messages": history, "tools": tools}).sent["messages"]
    pairs_hold("messages", sent)
    for text in ("never mind", "orphan 9", "look:", "again", "be brief", "so", "fine", "short"):
        assert (f'"{text}"' in json.dumps(history)) <= (text in json.dumps(sent)), text


def test_19_passthrough_repairs_nothing(street: Street) -> None:
    body = ASK | {"messages": MESSAGES_HISTORIES["lost call"]}
    assert street.ask("messages", "messages", body, OK_MESSAGES).sent == body
    body = ASK | {"messages": CHAT_HISTORIES["lost call"]}
    assert street.ask("chat", "chat", body, OK_CHAT).sent == body


# ------------------------------------------------------------------------------- 20, 21: choice, arguments


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("auto", "auto"), ("any", "required"), ("none", "none")],
)
def test_20_tool_choice_there_and_back(street: Street, theirs: str, ours: str) -> None:
    tools = [{"name": "look", "input_schema": SCHEMA}]
    functions = [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]
    assert claude(street, {"tools": tools, "tool_choice": {"type": theirs}}).sent["tool_choice"] == ours
    assert gpt(street, {"tools": functions, "tool_choice": ours}).sent["tool_choice"]["type"] == theirs
    sent = claude(street, {"tools": tools, "tool_choice": {"type": "tool", "name": "look"}}).sent
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    sent = gpt(street, {"tools": functions, "tool_choice": sent["tool_choice"]}).sent
    assert sent["tool_choice"] == {"type": "tool", "name": "look"}


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("choice", ["auto", "any", None])
def test_20_the_parallel_flag_is_inverted(street: Street, parallel: bool, choice: str | None) -> None:
    tools = [{"name": "look", "input_schema": SCHEMA}]
    functions = [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}]
    if choice:
        asked = {"tools": tools, "tool_choice": {"type": choice, "disable_parallel_tool_use": not parallel}}
        assert claude(street, asked).sent["parallel_tool_calls"] is parallel
    said = {} if choice is None else {"tool_choice": {"auto": "auto", "any": "required"}[choice]}
    sent = gpt(street, {"tools": functions, "parallel_tool_calls": parallel} | said).sent
    assert "parallel_tool_calls" not in sent
    flag = sent.get("tool_choice", {}).get("disable_parallel_tool_use", False)
    assert flag is (not parallel)
    # Neither may stand without tools: OpenAI and Anthropic answer 400.
    sent = gpt(street, {"parallel_tool_calls": parallel}).sent
    assert "tool_choice" not in sent
    sent = claude(street, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": not parallel}}).sent
    assert "tool_choice" not in sent and "parallel_tool_calls" not in sent


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", {}),
        ("  ", {}),
        ("null", {}),
        ("[]", {}),
        (r'"{\"a\": 1}"', {"a": 1}),
        ("not json", {"_raw": "not json"}),
        ("[1]", {"_raw": "[1]"}),
        ('"x"', {"_raw": '"x"'}),
        ('{"a": 1}', {"a": 1}),
        ('{"n": 12345678901234567890, "x": 1.0}', {"n": 12345678901234567890, "x": 1.0}),
    ],
)
def test_21_arguments_that_are_no_json_are_wrapped(street: Street, written: str, meant: Json) -> None:
    sent = gpt(street, {"messages": [USER, calls(function("look", written)), answered()]}).sent["messages"]
    assert sent[1]["content"][0]["input"] == meant
    reply = claude(street, {}, completion({"tool_calls": [function("look", written)]}, "tool_calls"))
    assert reply.said()["calls"][0][2] == meant


def test_21_nor_is_what_was_cut_in_the_history(street: Street) -> None:
    sent = gpt(street, {"messages": [USER, calls(function("look", '{"a": 1')), answered()]}).sent["messages"]
    assert sent[1]["content"][0]["input"] == {"_raw": '{"a": 1'}
