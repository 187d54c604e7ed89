"""Bytes that pass through to another model than the client has named: what it refuses is left out of them, and no
more."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway.refusals.test_learned_quirks import COMPLETION, picky
from tests.gateway.refusals.test_reading_refusals import openai
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream
from tests.support.two_upstreams import late

CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {"model": "known", "messages": [{"role": "user", "content": "hi"}]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {
    "temperature": {"type": "number"}, "max_completion_tokens": {"type": "number"}}}}}  # fmt: skip
GOOGLES = 'Invalid JSON payload received. Unknown name "{}": Cannot find field.'


def house(up: Upstream, protocol: str = "chat", more: str = "") -> House:
    return House(one_upstream(up.url, protocol) + "known = up/newest\n" + more)


def sent(up: Upstream) -> dict[str, Any]:
    found: dict[str, Any] = up.requests[-1].json
    return found


@pytest.mark.parametrize(
    ("path", "protocol", "field", "value", "words"),
    [
        ("/v1/responses", "responses", "previous_response_id", "resp_1", "Unsupported parameter: previous_response_id"),
        ("/v1/responses", "responses", "conversation", "conv_1", "Unknown parameter: 'conversation'."),
        ("/v1/responses", "responses", "prompt", {"id": "pmpt_1"}, "Unknown parameter: 'prompt'."),
        ("/v1beta/models/known:generateContent", "gemini", "system_instruction", {"parts": [{"text": "x"}]}, GOOGLES),
        ("/v1beta/models/known:generateContent", "gemini", "cachedContent", "cachedContents/1", GOOGLES),
        ("/v1beta/models/known:generateContent", "gemini", "tool_config",
         {"function_calling_config": {"mode": "ANY"}}, GOOGLES),
        (CHAT, "chat", "function_call", {"name": "f"}, "Unrecognized request argument supplied: function_call"),
        ("/v1/messages", "messages", "output_format", {"type": "json_schema", "schema": {}},
         "output_format: Extra inputs are not permitted"),
        ("/v1/messages", "messages", "mcp_servers", [{"type": "url", "url": "https://a.example", "name": "n"}],
         "mcp_servers: Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_what_the_request_is_about_stays(path: str, protocol: str, field: str, value: Any, words: str) -> None:
    """The earlier conversation, the prompt, tools and formats: the client hears that they are refused."""
    said = words.format(field)
    with Upstream(lambda request: Answer.json(openai(said), 400)) as up, house(up, protocol) as at:
        ask = {"contents": [{"parts": [{"text": "hi"}]}]} if protocol == "gemini" else ASK | {"input": "hi"}
        status, _, raw = at.post(path, ask | {field: value})
        assert (status, len(up.requests), sent(up)[field]) == (400, 1, value)
        assert said in json.dumps(json.loads(raw)).replace('\\\\"', '"').replace('\\"', '"')


def test_of_two_fields_that_exclude_each_other_one_stays_though_a_tool_has_the_name() -> None:
    def answer(request: Request) -> Answer:
        if {"temperature", "top_p"} <= request.json.keys():
            return Answer.json(openai("`temperature` and `top_p` cannot both be specified for this model."), 400)
        return Answer.json(COMPLETION)

    with Upstream(answer) as up, house(up) as at:
        assert at.post(CHAT, ASK | {"temperature": 1, "top_p": 0.5})[1]["x-proxy-dropped"] == "top_p"
        status, headers, _ = at.post(CHAT, ASK | {"tools": [TOOL], "top_p": 0.5})
        assert status == 200 and "x-proxy-dropped" not in headers and sent(up)["top_p"] == 0.5


def test_a_limit_is_not_said_twice() -> None:
    with Upstream(picky("max_tokens")) as up, house(up) as at:
        assert at.post(CHAT, ASK | {"max_tokens": 5, "tools": [TOOL]})[0] == 200
        assert sent(up)["max_completion_tokens"] == 5
        both = json.dumps(ASK | {"max_tokens": 5, "max_completion_tokens": 5}).encode()
        status, headers, _ = at.post(CHAT, both)
        assert (status, headers["x-proxy-dropped"]) == (200, "max_tokens")
        assert up.requests[-1].body.count(b"max_completion_tokens") == 1 and "max_tokens" not in sent(up)


@pytest.mark.parametrize(
    ("path", "protocol", "auto", "forced"),
    [
        (CHAT, "chat", "auto", "required"),
        (CHAT, "chat", "auto", {"type": "function", "function": {"name": "f"}}),
        ("/v1/messages", "messages", {"type": "auto"}, {"type": "any"}),
        ("/v1/messages", "chat", {"type": "auto"}, {"type": "tool", "name": "f"}),
    ],
)
def test_a_tool_is_forced_though_the_free_choice_was_refused(
    path: str, protocol: str, auto: Any, forced: Any
) -> None:  # fmt: skip
    tool = TOOL if path == CHAT else {"name": "f", "input_schema": {"type": "object"}}
    ask = ASK | {"max_tokens": 9, "tools": [tool]}
    with Upstream(picky("tool_choice")) as up, house(up, protocol) as at:
        assert at.post(path, ask | {"tool_choice": auto})[0] == 200 and "tool_choice" not in sent(up)
        assert at.post(path, ask | {"tool_choice": forced})[0] == 400 and sent(up)["tool_choice"]


def test_who_was_on_its_way_when_another_met_it_goes_once_more_too() -> None:
    gate, refuses = Gate(), picky("seed")

    def answer(request: Request) -> Answer:
        said: Answer = refuses(request)
        return late(said, gate) if "seed" in request.json else said

    with Upstream(answer) as up, house(up) as at, at.connect() as first, at.connect() as second:
        for client in (first, second):
            client.send("POST", CHAT, ASK | {"seed": 1})
        up.wait(lambda seen: len(seen.requests) == 2)
        gate.open()
        assert [client.reply()[0] for client in (first, second)] == [200, 200]


def test_what_was_refused_all_the_same_is_told_after_one_more_request() -> None:
    with Upstream([Answer.json(openai("Unsupported parameter: seed"), 400)]) as up, house(up) as at:
        for _ in range(2):
            up.requests.clear()
            assert at.post(CHAT, ASK | {"seed": 1})[0] == 400
            assert len(up.requests) == 2


def test_of_a_body_that_nobody_reads_here_the_client_hears_what_its_upstream_says() -> None:
    large = ASK | {"seed": 1, "logit_bias": [0] * 250_001}
    with Upstream(picky("seed")) as up, house(up) as at:
        status, _, raw = at.post(CHAT, large)
        assert (status, len(up.requests)) == (400, 1) and b"argument supplied: seed" in raw


def test_the_betas_of_a_field_leave_with_it() -> None:
    def answer(request: Request) -> Answer:
        if "context_management" in request.json:
            return Answer.json(openai("context_management: Extra inputs are not permitted"), 400)
        return Answer.json({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [],
                            "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}})  # fmt: skip

    ask = ASK | {"max_tokens": 9, "context_management": {"edits": []}}
    with Upstream(answer) as up, house(up, "messages") as at:
        for betas, left in (("context-management-2025-06-27,other-1", "other-1"), ("compact-2026-01-12", None)):
            assert at.post("/v1/messages", ask, {"anthropic-beta": betas})[0] == 200
            assert up.requests[-1].headers.get("anthropic-beta") == left
