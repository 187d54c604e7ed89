"""In which protocol an upstream is asked that speaks several."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.routing import protocol_choice
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import house_text, section

TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
PLAIN: dict[str, Any] = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
SAID = {"type": "message", "id": "i", "role": "assistant", "content": [{"type": "output_text", "text": "r"}]}
RESPONSE = {"id": "r", "object": "response", "status": "completed", "model": "m", "output": [SAID]}
COMPLETION = {"id": "c", "choices": [{"index": 0, "message": {"content": "c"}, "finish_reason": "stop"}]}
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "m"}],
           "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip


def answer(request: Request) -> Answer:
    ends = {"responses": RESPONSE, "completions": COMPLETION, "messages": MESSAGE}
    return Answer.json(ends[request.path.rpartition("/")[2]])


@pytest.mark.parametrize(
    ("spoken", "path", "body", "goes"),
    [
        ("chat, responses", "messages", PLAIN, "chat/completions"),
        ("chat, responses", "messages", PLAIN | {"tools": [TOOL]}, "responses"),
        ("chat, responses", "messages", PLAIN | {"thinking": {"type": "adaptive"}}, "responses"),
        ("chat, responses", "messages", PLAIN | {"output_config": {"effort": "high"}}, "responses"),
        ("chat, responses", "messages", PLAIN | {"model": "u/gpt-5.6-luna"}, "responses"),
        ("chat, responses", "messages", PLAIN | {"model": "u/openai/o4-mini"}, "responses"),
        ("chat, responses", "messages", PLAIN | {"model": "u/gpt-4o"}, "chat/completions"),
        ("chat, responses", "chat/completions", PLAIN | {"tools": [{"type": "function", "function": {"name": "f"}}]},
         "chat/completions"),
        ("responses, chat", "messages", PLAIN, "responses"),
        ("messages, chat", "responses", {"model": "m", "input": "x", "reasoning": {"effort": "high"}}, "messages"),
        ("chat, messages", "responses", {"model": "m", "input": "x"}, "chat/completions"),
        ("chat, messages", "responses", {"model": "m", "input": "x", "tools": [
            {"type": "function", "name": "f", "parameters": {}}]}, "messages"),
        ("messages, responses", "chat/completions", PLAIN | {"reasoning_effort": "low"}, "responses"),
        ("chat", "messages", PLAIN | {"tools": [TOOL]}, "chat/completions"),
    ],
)  # fmt: skip
def test_the_one_that_carries_most(spoken: str, path: str, body: dict[str, Any], goes: str) -> None:
    with Upstream(answer) as up, House(house_text("* = u", u=section(up.url, "", spoken))) as house:
        status, _, raw = house.post(f"/v1/{path}", body)
        assert status == 200, raw
        shown = json.loads(house.post("/debug/translate?from=" + path.partition("/")[0], body)[2])
    assert up.requests[0].path == f"/v1/{goes}"
    assert goes.startswith(shown["to"]) and shown["because"]


def test_what_is_said_of_it() -> None:
    assert protocol_choice.why("messages", ["chat"], "chat") == "the only protocol of this upstream"
    assert protocol_choice.why("chat", ["responses", "chat"], "chat") == "the client's own protocol"
    assert protocol_choice.why("messages", ["chat", "responses"], "responses").startswith("it carries most")
    assert protocol_choice.why("messages", ["chat", "responses"], "chat").startswith("the upstream's first")
    assert (
        protocol_choice.choose("chat", [], more=True) is None and protocol_choice.choose("chat", [], more=False) is None
    )


def test_words_in_a_text_are_none() -> None:
    assert not protocol_choice.asks_more(json.dumps({"messages": [{"content": 'use "tools" and "thinking"'}]}).encode())


NOT_HERE = [
    Answer.json({"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}, 404),
    Answer.json({"detail": "Not Found"}, 404),
    Answer.json({"error": "Unexpected endpoint or method. (POST /v1/responses)"}, 405),
    Answer(501, {"Content-Type": "text/html"}),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("refusal", NOT_HERE, ids=["llama.cpp", "FastAPI", "LM Studio", "empty"])
def test_who_has_no_such_endpoint_is_asked_in_another_protocol_from_then_on(refusal: Answer, stream: bool) -> None:
    def chat_only(request: Request) -> Answer:
        return answer(request) if request.path.endswith("/completions") else refusal

    with Upstream(chat_only) as up, House(house_text("* = u", u=section(up.url, "", "chat, responses"))) as house:
        for _ in range(2):
            status, _, reply = house.post("/v1/messages", PLAIN | {"tools": [TOOL], "stream": stream})
            assert status == 200 and b'"text":"c"' in reply.replace(b": ", b":"), reply
        assert [each.path for each in up.requests] == ["/v1/responses", *["/v1/chat/completions"] * 2]


def test_a_model_that_is_not_there_is_no_endpoint_that_is_not_there() -> None:
    missing = Answer.json({"error": {"message": "The model `m` does not exist", "code": "model_not_found"}}, 404)
    with Upstream([missing] * 3) as up, House(house_text("* = u", u=section(up.url, "", "chat, responses"))) as house:
        assert house.post("/v1/messages", PLAIN | {"tools": [TOOL]})[0] == 404
        assert [each.path for each in up.requests] == ["/v1/responses"]
