"""Rows 9, 10 and 11: what Claude Code reads of a refusal, and of limits on every reply. See README.md."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import pytest

from tests.gateway.contract.lanes import CLIENTS, MESSAGES, OTHERS, UPSTREAMS, asking, good, settings
from tests.support.house import House
from tests.support.script import Answer, Upstream

SAID = {
    "messages": {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}},
    "vertex": {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}},
    "bedrock": {"message": "slow down"},
    "chat": {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}},
    "responses": {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}},
    "gemini": {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}},
}


@pytest.mark.parametrize("given", ["date", "7", "1.2"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_row_09_retry_after_is_in_whole_seconds(upstream: str, given: str) -> None:
    """On every lane, for every client: a date and a fraction are rounded up."""
    said = formatdate(time.time() + 100, usegmt=True) if given == "date" else given
    refusal = Answer.json(SAID[upstream], 429, headers={"Retry-After": said})
    with Upstream([refusal]) as up, House(settings(up, upstream)) as house:
        for client, paths in CLIENTS.items():
            status, headers, raw = house.post(paths[False], asking(client))
            assert status == 429 and b"slow down" in raw
            seconds = headers["retry-after"]
            assert seconds.isdigit() and (40 < int(seconds) <= 100 if given == "date" else seconds == {
                "7": "7", "1.2": "2"}[given])  # fmt: skip


LIMITS = {
    "anthropic-ratelimit-unified-status": "allowed_warning", "anthropic-ratelimit-unified-5h-utilization": "0.9",
    "anthropic-ratelimit-unified-reset": "1790000000", "anthropic-ratelimit-unified-heard-of-nowhere": "1",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["whole", "stream", "refusal"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_row_10_limits_and_x_should_retry_are_on_every_reply(upstream: str, kind: str) -> None:
    headers = LIMITS | {"x-should-retry": "false"}
    if kind == "refusal":
        answer = Answer.json(SAID[upstream], 429, headers=headers)
    else:
        answer = good(upstream, kind == "stream", headers)
    with Upstream([answer]) as up, House(settings(up, upstream)) as house:
        status, got, _ = house.post("/v1/messages?beta=true", asking("messages", kind == "stream"))
    assert status == (429 if kind == "refusal" else 200)
    assert got["x-should-retry"] == "false"
    if upstream in MESSAGES:
        assert LIMITS.items() <= got.items()


RECOVERS = [  # words that Claude Code acts upon
    "messages.1.content.0: Invalid `signature` in `thinking` block",
    "messages.3: Input tag 'heard_of_nowhere' found using 'type' does not match any of the expected tags: 'text'",
    "messages.2.role: Input should be 'user' or 'assistant'",
    "prompt is too long: 210000 tokens > 200000 maximum",
    "thinking blocks are bound to a different conversation",
]


@pytest.mark.parametrize("words", RECOVERS)
@pytest.mark.parametrize("upstream", MESSAGES)
def test_row_11_errors_of_messages_are_unmodified(upstream: str, words: str) -> None:
    raw = b'{"type": "error","error":{"type":"invalid_request_error", "message":%b,"odd":[1]},"request_id":"r"}'
    raw %= json.dumps(words).encode()
    with Upstream([Answer(400, {"Content-Type": "application/json"}, raw)]) as up:
        with House(settings(up, upstream, "[translate]\nlearn = false\n")) as house:
            status, _, got = house.post("/v1/messages?beta=true", asking("messages"))
    assert (status, got) == (400, raw)


SAYS: list[tuple[str, str]] = [  # an upstream's own words -> the stable token
    ("Unsupported parameter: 'reasoning_effort' is not supported with this model.", "effort_unsupported"),
    ("Invalid parameter: 'response_format' of type 'json_schema' is not supported.", "structured_outputs_unsupported"),
    ("This model does not support image inputs.", "image_block"),
]


@pytest.mark.parametrize(("words", "token"), SAYS)
@pytest.mark.parametrize("upstream", OTHERS)
def test_row_11_on_crossings_the_words_stay_and_the_token_follows(upstream: str, words: str, token: str) -> None:
    body: dict[str, Any] = {"error": {"message": words, "type": "invalid_request_error", "param": None, "code": None}}
    if upstream == "gemini":
        body = {"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}
    with Upstream([Answer.json(body, 400)]) as up:
        with House(settings(up, upstream, "[translate]\nlearn = false\n")) as house:
            status, _, raw = house.post("/v1/messages?beta=true", asking("messages"))
    message = json.loads(raw)["error"]["message"]
    assert status == 400 and words in message and f"capability_rejected: {token}" in message


OVERFLOWS = {
    "chat": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    "responses": "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "gemini": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "bedrock": "Input is too long for requested model.",
}


@pytest.mark.parametrize("upstream", OVERFLOWS)
def test_row_11_an_overflow_is_called_what_it_is_called_there(upstream: str) -> None:
    words = OVERFLOWS[upstream]
    body: dict[str, Any] = {"error": {"message": words, "type": "invalid_request_error", "param": "messages",
                                      "code": "context_length_exceeded"}}  # fmt: skip
    if upstream == "gemini":
        body = {"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}
    if upstream == "bedrock":
        body = {"message": words}
    with Upstream([Answer.json(body, 400)]) as up, House(settings(up, upstream)) as house:
        status, _, raw = house.post("/v1/messages?beta=true", asking("messages"))
    message = json.loads(raw)["error"]["message"]
    assert status == 400 and "prompt is too long" in message.lower() and words in message
