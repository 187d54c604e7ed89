"""Clients with bounds learn from each reply what is left of them, in the words of their protocol."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.support.house import House
from tests.support.script import Answer, Upstream
from translate import dialects
from translate.failures import rate_headers

TEXT = "[upstream up]\nprotocol = {}\nbase_url = {}\n[models]\n* = up\n[client ann]\nkey = ann-key-000000001\n{}\n"
BOUNDS = "requests_per_minute = 3\ntokens_per_minute = 6000\n"
KEY = {"Authorization": "Bearer ann-key-000000001"}
CHAT = {"id": "c", "object": "chat.completion", "model": "m", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]}  # fmt: skip
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "x"}],
           "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}


def body(protocol: str) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": "m", "max_tokens": 9}
    return {"model": "m", "input": "hi"} if protocol == "responses" else asked | {
        "messages": [{"role": "user", "content": "hi"}]}  # fmt: skip


def limits(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if "ratelimit" in name}


@pytest.mark.parametrize("protocol", PATHS)
def test_each_reply_says_what_is_left(protocol: str) -> None:
    """Also the one that refuses. What an upstream says of its own bounds stays where the name is another one."""
    theirs = {"x-ratelimit-remaining-requests": "900", "anthropic-ratelimit-input-tokens-remaining": "7"}
    with Upstream(lambda r: Answer.json(CHAT, headers=theirs)) as up:
        with House(TEXT.format("chat", up.url, BOUNDS)) as house:
            seen = [house.post(PATHS[protocol], body(protocol), KEY) for _ in range(4)]
    first, last = limits(seen[0][1]), limits(seen[3][1])
    assert [status for status, _, _ in seen] == [200, 200, 200, 429]
    assert first.pop("anthropic-ratelimit-input-tokens-remaining") == "7"
    if protocol == "messages":
        assert first.pop("x-ratelimit-remaining-requests") == "900"
        assert first["anthropic-ratelimit-requests-limit"] == "3"
        left = "anthropic-ratelimit-requests-remaining"
        assert (first[left], last[left]) == ("2", "0")
        assert datetime.fromisoformat(first["anthropic-ratelimit-tokens-reset"]).tzinfo is not None
    else:
        assert first["x-ratelimit-limit-requests"] == "3" and first["x-ratelimit-limit-tokens"] == "6000"
        assert (first["x-ratelimit-remaining-requests"], last["x-ratelimit-remaining-requests"]) == ("2", "0")
        assert first["x-ratelimit-reset-requests"].endswith("s")
    assert len(first) == len(last) == 6
    assert limits(seen[0][1]).keys() >= dialects.of(protocol).http.rate_headers("requests", 1, 1, 1, "").keys()


def test_without_bounds_the_upstream_has_the_word() -> None:
    theirs = {"anthropic-ratelimit-requests-remaining": "9", "x-ratelimit-limit-tokens": "4"}
    with Upstream([Answer.json(MESSAGE, headers=theirs)]) as up, House(TEXT.format("messages", up.url, "")) as house:
        assert limits(house.post(PATHS["messages"], body("messages"), KEY)[1]) == theirs


def test_a_stream_says_it_in_its_head() -> None:
    said = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
    chunks = [said, b"data: [DONE]\n\n"]
    with Upstream([Answer.sse(chunks)]) as up, House(TEXT.format("chat", up.url, BOUNDS)) as house:
        headers = house.post(PATHS["chat"], body("chat") | {"stream": True}, KEY)[1]
    assert headers["x-ratelimit-remaining-requests"] == "2"


def test_spans_and_times() -> None:
    assert rate_headers.openai("tokens", 5, 4, 0.25, "")["x-ratelimit-reset-tokens"] == "0.250s"
    assert rate_headers.openai("tokens", 5, 4, 20.4, "")["x-ratelimit-reset-tokens"] == "20s"
    at = "1970-01-01T00:01:00Z"
    assert rate_headers.anthropic("tokens", 5, 4, 60, at)["anthropic-ratelimit-tokens-reset"] == at
