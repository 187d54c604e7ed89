"""Lessons 29 to 32: signatures, bytes that must not change, reasoning that goes back, and how much to think."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lessons.street import ASK, Json, Reply, Street, completion, function, message
from tests.support.script import Answer
from tests.support.streams import END, HI, ROLE, START, STOP, THINKING, chat, chunk, ending, messages, text, tool
from translate.reasoning import effort, sealed_reasoning

OK_CHAT = completion({"content": "ok"})
OK_MESSAGES = message({"type": "text", "text": "ok"})
USER = {"role": "user", "content": "go"}
THOUGHT = {"type": "thinking", "thinking": "deep", "signature": "c2ln"}
USE = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "fine"}]}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]


def claude(street: Street, body: Json, answer: Any = OK_CHAT, more: str = "") -> Reply:
    return street.ask("messages", "chat", ASK | body, answer, more, valid=False)


def gpt(street: Street, body: Json, answer: Any = OK_MESSAGES, more: str = "") -> Reply:
    return street.ask("chat", "messages", ASK | body, answer, more)


# ------------------------------------------------------------------------------------------- 29: signatures


@pytest.mark.parametrize("stream", [True, False])
def test_29_no_signature_is_made_up(street: Street, stream: bool) -> None:
    """Neither for the thinking of a Chat server, nor for what a Chat client gives back as its own."""
    streamed: Any = chat(ROLE, chunk({"reasoning_content": "hm"}), HI, END)
    whole: Any = completion({"content": "hi", "reasoning_content": "hm"})
    reply = claude(street, {"stream": stream}, streamed if stream else whole)
    assert reply.said()["thinking"] == "hm"
    signed = [block["signature"] for block in reply.read()["content"] if block["type"] == "thinking"]
    assert signed == [sealed_reasoning.EMPTY]  # no provider ever sees it: tests/gateway/flow/test_change_of_upstream.py
    history = [USER, {"role": "assistant", "content": "hi", "reasoning_content": "hm"}, USER]
    sent = gpt(street, {"messages": history, "stream": stream}).sent
    assert "thinking" not in [block["type"] for m in sent["messages"] for block in m["content"]]
    assert "hm" not in json.dumps(sent)


@pytest.mark.parametrize("stream", [True, False])
def test_29_a_signature_survives_a_chat_client_that_echoes(street: Street, stream: bool) -> None:
    streamed: Any = messages(START, *THINKING, *text(1, "hi"), *tool(2), ending("tool_use"), STOP)
    thought = {"type": "thinking", "thinking": "so", "signature": "c2ln"}
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}}
    whole: Any = message(thought, {"type": "text", "text": "hi"}, use, stop="tool_use")
    reply = gpt(street, {"stream": stream, "tools": TOOLS}, streamed if stream else whole)
    got = reply.read()["choices"][0]["message"]
    details = got["reasoning_details"]
    echoed = {"role": "assistant", "content": got["content"], "reasoning_content": got["reasoning_content"]} | {
        "reasoning_details": details,
        "tool_calls": [{key: call[key] for key in ("id", "type", "function")} for call in got["tool_calls"]],
    }
    answered = {"role": "tool", "tool_call_id": "toolu_1", "content": "fine"}
    sent = gpt(street, {"messages": [USER, echoed, answered], "tools": TOOLS}).sent
    assert sent["messages"][1]["content"][0] == thought


def test_29_foreign_proofs_are_dropped(street: Street) -> None:
    """A session that began at another provider."""
    foreign = [
        {"type": "reasoning.encrypted", "data": "gAAA", "format": "openai-responses-v1", "id": "rs_1"},
        {"type": "reasoning.text", "text": "hm", "signature": "x", "format": "google-gemini-v1"},
    ]
    history = [USER, {"role": "assistant", "content": "hi", "reasoning_details": foreign}, USER]
    sent = gpt(street, {"messages": history}).sent
    assert [block["type"] for block in sent["messages"][1]["content"]] == ["text"]
    assistant = {"role": "assistant", "content": [THOUGHT, {"type": "redacted_thinking", "data": "gAAA"}, USE]}
    said = json.dumps(claude(street, {"messages": [USER, assistant, RESULT]}).sent)
    assert "gAAA" not in said and "c2ln" not in said and "deep" not in said


# ----------------------------------------------------------------------------------------- 30: passthrough

ODD = (
    '{ "model" : "m", "max_tokens":16,"b":1.0, "big":12345678901234567890123, "e":1E+2, "u":"\\u00e9\\/é", "dup":1,'
    ' "dup":2, "system":[{"type":"text","text":"x-anthropic-billing-header: cc=1"}], "messages":[ {"role":"user",'
    '"content":"<\\/a> \\ud83d\\ude80"} ] ,"stream":STREAM }\n'
)


@pytest.mark.parametrize("stream", ["true", "false"])
@pytest.mark.parametrize("protocol", ["messages", "chat"])
def test_30_same_protocol_is_the_same_bytes(street: Street, protocol: Any, stream: str) -> None:
    asked = ODD.replace("STREAM", stream).encode()
    if stream == "true":
        raw = chat(ROLE, HI, END) if protocol == "chat" else messages(START, *THINKING, *text(1), ending(), STOP)
        raw = b": odd\r\n\r\n" + raw.replace(b'{"', b'{  "').replace(b"hi", "h\\u00ef é".encode())
        answer = Answer.sse([raw[:50], raw[50:]])
    else:
        raw = ODD.encode()
        answer = Answer(200, {"Content-Type": "application/json"}, raw)
    reply = street.ask(protocol, protocol, asked, answer)
    assert reply.request is not None
    assert reply.request.body == asked and reply.raw == raw


def test_30_a_name_is_spliced_in_and_nothing_else(street: Street) -> None:
    asked = ODD.replace("STREAM", "false").replace('"m"', '"up/m"').encode()
    whole = json.dumps(OK_MESSAGES).replace('"up"', '"m"').encode()
    reply = street.ask("messages", "messages", asked, Answer(200, {"Content-Type": "application/json"}, whole))
    assert reply.request is not None and reply.request.body == asked.replace(b'"up/m"', b'"m"')
    assert reply.raw == whole.replace(b'"model": "m"', b'"model": "up/m"')


# ------------------------------------------------------------------------------------ 31: reasoning history


HISTORY = [
    USER,
    {"role": "assistant", "content": [THOUGHT, {"type": "text", "text": "hi"}]},
    USER,
    {"role": "assistant", "content": [THOUGHT | {"thinking": "why", "signature": ""}, USE]},
    RESULT,
]


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("", [None, None]),
        ("reasoning_history = tool_calls\n", [None, "why"]),
        ("reasoning_history = true\n", ["deep", "why"]),
    ],
)
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_31_reasoning_goes_back_where_it_is_wanted(street: Street, setting: str, wanted: list[Any], field: str) -> None:
    sent = claude(street, {"messages": HISTORY}, more=f"{setting}reasoning = {field}\n").sent["messages"]
    said = [m.get(field) for m in sent if m["role"] == "assistant"]
    assert said == wanted
    others = {"reasoning_content", "reasoning"} - {field}
    assert not [m for m in sent if others & m.keys()]


def test_31_think_tags_go_back_as_tags(street: Street) -> None:
    more = "reasoning_history = true\nreasoning = think_tags\n"
    sent = claude(street, {"messages": HISTORY[:3]}, more=more).sent["messages"]
    assert sent[1]["content"] == "<think>\ndeep\n</think>\n\nhi" and sent[1].keys() == {"role", "content"}


TAGGED = "<think>\nhm </b>\n</think>\n\nHello <think>no</think>"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("size", [1, 4, 99])
def test_31_think_tags_are_thinking_where_the_switch_says_so(street: Street, stream: bool, size: int) -> None:
    pieces = [TAGGED[i : i + size] for i in range(0, len(TAGGED), size)]
    streamed: Any = chat(ROLE, *(chunk({"content": piece}) for piece in pieces), END)
    answer = streamed if stream else completion({"content": TAGGED})
    said = claude(street, {"stream": stream}, answer, "reasoning = think_tags\n").said()
    assert said["thinking"].strip() == "hm </b>" and said["text"] == "Hello <think>no</think>"
    assert claude(street, {"stream": stream}, answer).said()["text"] == TAGGED  # an answer may speak of tags


# ----------------------------------------------------------------------------------------- 32: how much

BUDGETED, EFFORTED, THOUGHTLESS = "claude-sonnet-4-5", "claude-opus-5-5", "claude-3-5-haiku-latest"


@pytest.mark.parametrize("word", ["minimal", "low", "medium", "high", "xhigh"])
@pytest.mark.parametrize("limit", [None, 1, 500, 1024, 1025, 2000, 64000])
def test_32_a_budget_is_at_least_1024_and_below_max_tokens(street: Street, word: str, limit: int | None) -> None:
    body = {"model": BUDGETED, "reasoning_effort": word, "max_tokens": limit, "temperature": 0.5}
    reply = gpt(street, body)
    sent = reply.sent
    if "thinking" in sent:
        assert sent["thinking"]["type"] == "enabled"
        assert 1024 <= sent["thinking"]["budget_tokens"] < sent["max_tokens"]
        assert "temperature" not in sent and "temperature" in reply.dropped
    else:
        assert "reasoning_effort" in reply.dropped and limit is not None and limit <= 1024
        assert sent["temperature"] == 0.5
    if limit is not None:
        assert sent["max_tokens"] == limit


def test_32_each_model_is_told_in_its_own_way(street: Street) -> None:
    sent = gpt(street, {"model": EFFORTED, "reasoning_effort": "high"}).sent
    assert sent["thinking"]["type"] == "adaptive" and sent["output_config"] == {"effort": "high"}
    reply = gpt(street, {"model": THOUGHTLESS, "reasoning_effort": "high", "max_tokens": 100})
    assert "thinking" not in reply.sent and "reasoning_effort" in reply.dropped
    for model in (BUDGETED, EFFORTED, THOUGHTLESS):
        sent = gpt(street, {"model": model, "reasoning_effort": "none"}).sent
        assert sent.get("thinking", {"type": "disabled"}) == {"type": "disabled"}
        assert (sent.get("output_config") == {"effort": "low"}) == (model == EFFORTED)  # this one always thinks
        unasked = gpt(street, {"model": model}).sent.get("thinking")
        assert unasked == ({"type": "adaptive", "display": "summarized"} if model == EFFORTED else None)


@pytest.mark.parametrize("model", [BUDGETED, "claude-opus-5"])
def test_32_thinking_gives_way_to_what_forbids_it(street: Street, model: str) -> None:
    """A forced tool, a prefilled answer, a tool loop that began without: each a 400 at Anthropic."""
    forced = {"tools": TOOLS, "tool_choice": "required"}
    prefilled = {"messages": [USER, {"role": "assistant", "content": "It is"}]}
    for body in (forced, prefilled) if model == BUDGETED else (forced,):
        reply = gpt(street, body | {"model": model, "reasoning_effort": "low"})
        assert "thinking" not in reply.sent and "reasoning_effort" in reply.dropped
    called = {"role": "assistant", "content": None, "tool_calls": [function("look")]}
    loop = [USER, called, {"role": "tool", "tool_call_id": "call_1", "content": "fine"}]
    reply = gpt(street, {"model": BUDGETED, "messages": loop, "tools": TOOLS, "reasoning_effort": "low"})
    assert "thinking" not in reply.sent and "reasoning_effort" in reply.dropped


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 8192}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 31999}}, "high"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}, "medium"),
        ({"output_config": {"effort": "low"}}, "low"),
        ({"output_config": {"effort": "max"}}, "high"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "disabled"}}, None),
        ({}, None),
    ],
)
def test_32_budget_and_effort_become_reasoning_effort(street: Street, asked: Json, word: str | None) -> None:
    reply = claude(street, asked | {"model": "gpt-5", "max_tokens": 64000})
    assert reply.sent.get("reasoning_effort") == word and "thinking" not in reply.sent


def test_32_what_of_it_does_not_cross_is_told(street: Street) -> None:
    body = {"model": "gpt-4o", "max_tokens": 64000, "thinking": {"type": "enabled", "budget_tokens": 9000}}
    reply = claude(street, body)
    assert "reasoning_effort" not in reply.sent and "thinking" in reply.dropped
    reply = claude(street, {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}})
    assert "reasoning_effort" in reply.sent or "output_config.effort" in reply.dropped
    reply = claude(street, {"thinking": {"type": "adaptive", "display": "omitted"}, "model": "gpt-5"})
    assert "thinking.display" in reply.dropped


def test_32_a_word_and_its_budget_come_home() -> None:
    for word in ("low", "medium", "high", "xhigh", "max"):
        assert effort.effort_of(effort.budget_of(word)) == word
        assert effort.budget_of(word) >= 1024
