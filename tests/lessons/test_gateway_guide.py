"""What Claude Code asks of a gateway, by its own public guide for them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.lessons.street import ASK, PATHS, Json, Street, okay
from tests.support.house import House
from tests.support.script import Answer, Upstream

UPSTREAMS: list[Any] = ["messages", "chat", "responses"]
ASKING = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,unheard-of-2030-01-01",
    "anthropic-dangerous-direct-browser-access": "true",
    "anthropic-unheard-of": "1",
    "x-claude-code-session-id": "0f3c",
    "x-claude-code-agent-id": "agent-1",
    "x-claude-code-request-class": "main",
    "x-app": "cli",
}


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("stream", [True, False])
def test_the_path_counts_and_not_the_query(street: Street, upstream: Any, stream: bool) -> None:
    street.ask("messages", upstream, ASK | {"stream": stream}, okay(upstream, stream))
    house = street.house(upstream)
    status, _, _ = house.post(PATHS["messages"] + "?beta=true", ASK | {"stream": stream})
    assert status == 200
    assert street.requests[-1].path == PATHS[upstream] + ("?beta=true" if upstream == "messages" else "")


@pytest.mark.parametrize("path", ["/", "/api/hello"])
def test_probes_are_harmless(street: Street, path: str) -> None:
    with street.house("chat").connect() as client:
        client.send("HEAD", path)
        assert client.head()[0] < 500


@pytest.mark.parametrize("stream", [True, False])
def test_headers_and_fields_are_open_lists(street: Street, stream: bool) -> None:
    body = ASK | {"stream": stream, "unheard_of": {"a": [1]}, "messages": [{"role": "user", "content": "x", "odd": 1}]}
    reply = street.ask("messages", "messages", body, okay("messages", stream), headers=ASKING)
    assert reply.request is not None and reply.sent == body
    assert ASKING.items() <= reply.request.headers.items()


@pytest.mark.parametrize("upstream", UPSTREAMS[1:])
def test_nothing_of_anthropic_goes_to_others(street: Street, upstream: Any) -> None:
    reply = street.ask("messages", upstream, ASK, okay(upstream, False), headers=ASKING)
    assert reply.request is not None
    assert not [name for name in reply.request.headers if name.startswith(("anthropic-", "x-claude-code-"))]
    odd = street.ask("messages", upstream, ASK | {"unheard_of": 1}, okay(upstream, False))
    assert "unheard_of" not in odd.sent and odd.dropped == ["unheard_of"]


LIMITS = {
    "anthropic-ratelimit-unified-status": "allowed",
    "anthropic-ratelimit-unified-5h-utilization": "0.4",
    "anthropic-ratelimit-unified-reset": "1760000000",
}


@pytest.mark.parametrize("kind", ["stream", "whole", "error"])
def test_unified_limits_are_on_every_reply(street: Street, kind: str) -> None:
    plain: Any = okay("messages", kind == "stream")
    answer = {
        "stream": lambda: Answer.sse(plain, headers=LIMITS),
        "whole": lambda: Answer.json(plain, headers=LIMITS),
        "error": lambda: Answer.json({"type": "error", "error": {"type": "x", "message": "y"}}, 529, headers=LIMITS),
    }[kind]()
    reply = street.ask("messages", "messages", ASK | {"stream": kind == "stream"}, answer)
    assert LIMITS.items() <= reply.headers.items()


OVERFLOWS: dict[str, Json] = {
    "chat": {
        "message": "This model's maximum context length is 8192 tokens. However, you sent 9000 tokens.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    },
    "responses": {
        "message": "Your input exceeds the context window of this model.",
        "type": "invalid_request_error",
        "param": "input",
        "code": "context_length_exceeded",
    },
}


@pytest.mark.parametrize("upstream", OVERFLOWS)
def test_a_prompt_that_is_too_long_is_called_that(street: Street, upstream: Any) -> None:
    """Claude Code compacts by these words, and by no others."""
    reply = street.ask("messages", upstream, ASK, Answer.json({"error": OVERFLOWS[upstream]}, 400))
    assert reply.status == 400 and reply.error["type"] == "invalid_request_error"
    assert "prompt is too long" in reply.error["message"].lower()
    assert OVERFLOWS[upstream]["message"] in reply.error["message"]


def test_discovery_lists_the_models_as_the_guide_says() -> None:
    rows = [{"id": "claude-x", "display_name": "Claude X", "type": "model"}, {"id": "other", "type": "model"}]
    with Upstream([Answer.json({"data": rows, "has_more": False})]) as up:
        with House(f"[upstream a]\nprotocol = messages\nbase_url = {up.url}\n[models]\n* = a\n") as house:
            status, headers, raw = house.get("/v1/models?limit=1000", {"anthropic-version": "2023-06-01"})
    listed = {row["id"]: row["display_name"] for row in json.loads(raw)["data"]}
    assert status == 200 and "location" not in headers
    assert listed["claude-x"] == "Claude X" and "other" in listed


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_every_path_that_it_asks_for_is_there(street: Street, upstream: Any) -> None:
    house = street.house(upstream)
    street.ask("messages", upstream, ASK, okay(upstream, False))
    assert house.post("/v1/messages?beta=true", ASK)[0] == 200
    if upstream != "messages":  # which has a counter of its own
        status, _, raw = house.post("/v1/messages/count_tokens?beta=true", ASK)
        assert status == 200 and json.loads(raw)["input_tokens"] > 0


BODY = (
    b'{"model": "m","max_tokens":9 ,"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2;"},\n'
    b'{"type":"text","text":"\\u00e9 \\/","cache_control":{"ttl":"1h","type":"ephemeral"}}],"tools":[{"name":"a",'
    b'"input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"},"odd":1.0}],"messages":[{"role":"assistant",'
    b'"content":[{"type":"tool_use","id":"odd.id/1","name":"a","input":{}}]},{"role":"user","content":[{"type":'
    b'"tool_result","tool_use_id":"odd.id/1","content":"x","cache_control":{"type":"ephemeral"}}]}],"stream":%b}'
)


@pytest.mark.parametrize("stream", [True, False])
def test_what_is_passed_through_keeps_every_byte(stream: bool) -> None:
    """The billing line first and alone, marks of caches, ids of tools, keys of replies that nobody knows."""
    sent = BODY % str(stream).lower().encode()
    delta = b'"delta":{"stop_reason":"end_turn","safeguard_results":[{"type":"x"}]},"usage":{"output_tokens":1}'
    whole = b'{"type":"message" , "content":[],"safeguard_results":[{"type":"x"}],"usage":{}}'
    events = b'event: message_delta\ndata: {"type":"message_delta",' + delta + b"}\n\n"
    events += b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    answer = Answer.sse(events) if stream else Answer(200, {"Content-Type": "application/json"}, whole)
    with Upstream([answer]) as up:
        with House(f"[upstream a]\nprotocol = messages\nbase_url = {up.url}\n[models]\n* = a\n") as house:
            status, _, got = house.post("/v1/messages?beta=true", sent)
        assert status == 200 and up.requests[0].body == sent and got == (events if stream else whole)


def test_discovery_does_not_wait_for_a_mute_upstream() -> None:
    """Its patience is three seconds; what the settings name is listed all the same, with names to show."""
    with Upstream(lambda request: Answer.json({}, delay=30)) as up:
        text = f"[upstream a]\nprotocol = messages\nbase_url = {up.url}\n[models]\nclaude-mine = a\n* = a\n"
        with House(text) as house:
            began = time.monotonic()
            status, headers, raw = house.get("/v1/models?limit=1000", {"anthropic-version": "2023-06-01"})
            took = time.monotonic() - began
    listed = {row["id"]: row for row in json.loads(raw)["data"]}
    assert status == 200 and took < 20 and "location" not in headers
    assert listed["claude-mine"]["display_name"]


@pytest.mark.parametrize(("hint", "who"), [("auxiliary", "small"), ("main", "large"), ("", "large")])
def test_its_hints_choose_the_model(hint: str, who: str) -> None:
    headers = {"x-claude-code-request-class": hint} if hint else {}
    with Upstream([Answer.json(okay("messages", False))]) as up:
        text = f"[upstream a]\nprotocol = messages\nbase_url = {up.url}\n[models]\n"
        with House(text + "m if class auxiliary = a/small\nm = a/large\n") as house:
            assert house.post("/v1/messages", ASK | {"model": "m"}, headers)[0] == 200
        assert up.requests[0].json["model"] == who


def test_counts_are_the_upstreams_own_or_an_estimate_that_says_so() -> None:
    exact = Answer.json({"input_tokens": 321})
    text = "[upstream a]\nprotocol = {}\nbase_url = {}\n[models]\n* = a\n"
    asked = {"model": "m", "messages": [{"role": "user", "content": "word " * 400}], "tools": []}
    with Upstream([exact]) as up, House(text.format("messages", up.url)) as house:
        status, headers, raw = house.post("/v1/messages/count_tokens?beta=true", asked)
        assert status == 200 and json.loads(raw) == {"input_tokens": 321} and "x-proxy-estimate" not in headers
    with Upstream([]) as up, House(text.format("chat", up.url)) as house:
        status, headers, raw = house.post("/v1/messages/count_tokens?beta=true", asked)
        assert status == 200 and 200 < json.loads(raw)["input_tokens"] < 800 and not up.requests
        assert headers["x-proxy-estimate"] == "true"
