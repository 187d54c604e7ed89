"""The tools themselves: the scripted upstream, the SDK readers, the parameter walker, the cutter."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from tests.support import corpus, params, sdk
from tests.support.script import Answer, Gate, Request, Upstream, drip
from tests.support.streams import (
    END,
    HI,
    LEGAL_CHAT,
    LEGAL_MESSAGES,
    ROLE,
    START,
    STOP,
    chat,
    ending,
    error,
    messages,
    opened,
    text,
)  # fmt: skip

# ------------------------------------------------------------------------------------- scripted upstream


def ask(up: Upstream, body: bytes = b"{}") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", up.port, timeout=10)
    try:
        connection.request("POST", "/v1/x", body, {"X-Name": "value"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_it_answers_by_the_script_and_remembers() -> None:
    with Upstream([Answer.json({"n": 1}), Answer.json({"n": 2}, 500)]) as up:
        assert [ask(up, b'{"a":1}'), ask(up), ask(up)] == [(200, b'{"n": 1}')] + [(500, b'{"n": 2}')] * 2
        first = up.requests[0]
        assert (first.method, first.path, first.json, first.headers["x-name"]) == (
            "POST",
            "/v1/x",
            {"a": 1},
            "value",
        )
        assert up.connections == 3


def test_connections_are_kept() -> None:
    with Upstream([Answer.sse([b"a", b"b"])]) as up:
        connection = http.client.HTTPConnection("127.0.0.1", up.port, timeout=10)
        for _ in range(5):
            connection.request("POST", "/", b"x")
            assert connection.getresponse().read() == b"ab"
        connection.close()
        up.wait(lambda u: u.active == 0)
        assert (up.connections, up.peak, len(up.requests)) == (1, 1, 5)
        assert {r.state for r in up.requests} == {"answered"}


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer.drop(), ConnectionResetError),
        (Answer(head=False, end="close"), http.client.RemoteDisconnected),
        (Answer(body=b"abc", short=5, end="close"), http.client.IncompleteRead),
        (Answer(body=[b"abc", 0.05], short=5, end="reset"), ConnectionResetError),
        (Answer.sse([b"abc"], end="close"), http.client.IncompleteRead),
    ],
)
def test_it_breaks_connections(answer: Answer, fault: type[Exception]) -> None:
    with Upstream([answer]) as up, pytest.raises(fault):
        ask(up)


def test_gates_hold_the_answer_and_a_leaving_client_is_seen() -> None:
    before, within = Gate(), Gate()
    with Upstream([Answer.sse([b"1", within, b"2"], delay=before)]) as up:
        connection = http.client.HTTPConnection("127.0.0.1", up.port, timeout=10)
        connection.request("POST", "/", b"x")
        up.wait(lambda u: len(u.requests) == 1)
        before.open()
        reply = connection.getresponse()
        assert reply.read(1) == b"1"
        assert up.requests[0].state == "answering"
        reply.close()
        connection.close()
        up.wait(lambda u: u.requests[0].state == "gone")


def test_silence_lasts_until_the_client_leaves() -> None:
    with Upstream([Answer.silence()]) as up:
        connection = http.client.HTTPConnection("127.0.0.1", up.port, timeout=0.05)
        connection.request("POST", "/", b"x")
        with pytest.raises(TimeoutError):
            connection.getresponse()
        assert up.active == 1
        connection.close()
        up.wait(lambda u: u.active == 0)


def test_a_mistake_in_the_script_fails_the_test() -> None:
    def script(request: Request) -> Answer:
        raise LookupError("a mistake")

    with pytest.raises(LookupError), Upstream(script) as up:
        with pytest.raises(http.client.RemoteDisconnected):
            ask(up)


def test_wait_gives_up() -> None:
    with Upstream() as up, pytest.raises(AssertionError, match="0 requests"):
        up.wait(lambda u: bool(u.requests), timeout=0.01)


def test_a_drip_is_the_same_bytes() -> None:
    items = drip(b"abcdefg", 3, 0.001)
    assert items == [b"abc", 0.001, b"def", 0.001, b"g", 0.001]


def test_the_sdks_over_a_real_socket() -> None:
    stream = LEGAL_MESSAGES["thinking, text, tools"]
    with Upstream([Answer.sse(corpus.cuts(stream, 1)), Answer.sse(LEGAL_CHAT["usage"])]) as up:
        with sdk.anthropic_client(up.url) as client:
            with client.messages.stream(max_tokens=9, **sdk.ASK) as reply:
                assert [b.type for b in reply.get_final_message().content] == [
                    "thinking",
                    "text",
                    "tool_use",
                    "tool_use",
                ]
        with sdk.openai_client(up.url) as chat_client:
            chunks = list(chat_client.chat.completions.create(stream=True, **sdk.ASK))
            assert chunks[-1].usage and chunks[-1].usage.total_tokens == 7
        assert [r.path for r in up.requests] == ["/v1/messages", "/v1/chat/completions"]


# ------------------------------------------------------------------------------------------ SDK readers


def test_the_sdks_read_legal_streams() -> None:
    for name, stream in LEGAL_MESSAGES.items():
        if not name.startswith("error") and name != "cut input":
            assert sdk.messages_stream(corpus.cuts(stream, name))["role"] == "assistant"
    for name, stream in LEGAL_CHAT.items():
        if not name.startswith("error"):
            assert sdk.chat_stream(corpus.cuts(stream, name))["choices"][0]["finish_reason"]


@pytest.mark.parametrize(
    "bad",
    [
        lambda: sdk.messages_stream(messages(START, *text(0)[:2], error())),
        lambda: sdk.messages_stream(messages(START, opened(0, type="text", text=1), ending(), STOP)),
        lambda: sdk.messages_body(json.dumps(START["message"] | {"usage": {}}).encode()),
        lambda: sdk.messages_body(json.dumps(error()).encode(), 400),
        lambda: sdk.chat_stream(LEGAL_CHAT["error later"]),
        lambda: sdk.chat_stream(chat(ROLE, HI | {"created": "1"}, END)),
        lambda: sdk.chat_body(b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{}]}'),
        lambda: sdk.chat_body(b'{"error":{"message":"no"}}', 429),
    ],
)
def test_the_sdks_refuse(bad: Callable[[], Any]) -> None:
    with pytest.raises((ValueError, anthropic.APIError, openai.APIError)):
        bad()


# ------------------------------------------------------------------------------------------- parameters

HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def said(role: str, block: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": [block]}]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, ""),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": [1]}}}]}, ""),
        ({"stop": ["a"], "temperature": 1, "reasoning_effort": None, "stream": True}, ""),
        ({"top_k": 1}, "top_k: not a field of CompletionCreateParams"),
        ({"max_tokens": "1"}, "max_tokens: '1' is not int"),
        ({"max_tokens": True}, "max_tokens: 'True' is not int"),
        ({"stop": "a", "messages": "x"}, "messages: 'x' is not a list"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: missing"),
        ({"messages": [{"role": "x", "content": "y"}]}, "messages.0.role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
            "messages.0.content.0.text",
        ),
        (
            {"messages": [{"role": "tool", "content": "x", "tool_call_id": "y", "name": "z"}]},
            "messages.0.name: not a",
        ),
        ({"tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name: missing"),
        ({"tools": [{"type": "function", "name": "f"}]}, "tools.0.function: missing"),
        ({"stop": [1]}, "stop.0"),
    ],
)
def test_chat_parameters(body: dict[str, Any], said: str) -> None:
    found = params.check_chat(HELLO | body)
    assert found == [] if not said else [p for p in found if said in p], found


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, ""),
        ({"top_k": 1, "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}, ""),
        ({"tools": [{"name": "f", "input_schema": {"type": "object"}}, SEARCH]}, ""),
        ({"seed": 1}, "seed: not a field"),
        (said("assistant", {"type": "tool_use", "id": "a", "name": "b"}), "content.0.input: missing"),
        (said("user", {"type": "image", "source": {"type": "base64"}}), "messages.0.content.0.source"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens: missing"),
        ({"tool_choice": {"type": "any", "name": "x"}}, "tool_choice.name: not a field"),
    ],
)  # fmt: skip
def test_messages_parameters(body: dict[str, Any], said: str) -> None:
    found = params.check_messages(HELLO | {"max_tokens": 9} | body)
    assert found == [] if not said else [p for p in found if said in p], found


@pytest.mark.parametrize("exchange", corpus.params(corpus.MESSAGES, corpus.CHAT, keep=lambda e: bool(e.request)))
def test_every_recorded_request_can_be_walked(exchange: corpus.Exchange) -> None:
    """Whatever it finds (servers have fields of their own), the walker itself knows every declaration."""
    if exchange.api == corpus.MESSAGES:
        params.check_messages(exchange.request, beta=True)
    else:
        params.check_chat(exchange.request)


def test_cuts_keep_the_bytes_and_come_again() -> None:
    data = bytes(range(200))
    assert corpus.cuts(data, "a") == corpus.cuts(data, "a") != corpus.cuts(data, "b")
    assert b"".join(corpus.cuts(data, "a")) == data == b"".join(corpus.bytewise(data))
    assert corpus.cuts(b"", 1) == [b""] and corpus.cuts(b"a", 1) == [b"a"]
