"""Streams that have said their last word, and that their upstream leaves open: neither the client nor the next request
in line waits for the longest silence that a stream may have."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import STREAM, house_text, section, streams
from upstream import overdue

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
ASK = STREAM | {"max_tokens": 9, "input": "hi"}
SOON_S = 20.0  # far from idle = 60


def event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | more)}\n\n".encode()


IN_MESSAGES = [
    event("message_start", message={"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [],
                                    "stop_reason": None, "usage": {"input_tokens": 1, "output_tokens": 1}}),
    event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": "data: [DONE]"}),
    event("content_block_stop", index=0),
    event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
    event("message_stop"),
]  # fmt: skip
IN_RESPONSES = [
    event("response.created", response={"id": "r", "status": "in_progress", "output": []}),
    event("response.output_text.delta", delta="x", item_id="i", output_index=0, content_index=0),
    event("response.completed", response={"id": "r", "status": "completed", "output": [], "user": "x" * 30_000}),
]
SAME = [(CHAT, "chat", streams("hello")), (MESSAGES, "messages", IN_MESSAGES), (RESPONSES, "responses", IN_RESPONSES)]


def house(url: str, protocol: str) -> House:
    lines = section(url, "max_concurrent = 1\nidle = 60\n", protocol)
    return House(house_text("* = a", "[server]\nping_seconds = 1\n", a=lines))


def left_open(events: list[bytes]) -> Answer:
    return Answer.sse(events, end="hang")


def kept_open(events: list[bytes]) -> Answer:
    """By signs of life that go on."""
    return Answer.sse([*events, *[0.2, b": keep-alive\n\n"] * 150])


def packed(events: list[bytes]) -> Answer:
    making = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    answer = left_open([making.compress(b"".join(events)) + making.flush(zlib.Z_SYNC_FLUSH)])
    answer.headers["Content-Encoding"] = "gzip"
    return answer


@pytest.mark.parametrize(("path", "protocol", "events"), SAME)
def test_of_the_same_protocol(path: str, protocol: str, events: list[bytes]) -> None:
    with Upstream(lambda r: left_open(events)) as up, house(up.url, protocol) as at:
        begun = time.monotonic()
        for _ in range(2):  # the slot is free again, too
            status, _, said = at.post(path, ASK)
            assert status == 200 and said == b"".join(events)
        assert time.monotonic() - begun < SOON_S
        up.wait(lambda up: all(asked.state == "gone" for asked in up.requests))


@pytest.mark.parametrize("leaves", [left_open, packed, kept_open])
def test_of_another_protocol(monkeypatch: pytest.MonkeyPatch, leaves: Callable[[list[bytes]], Answer]) -> None:
    monkeypatch.setattr(overdue, "LINGER_S", 0.5)
    with Upstream(lambda r: leaves(streams("hello"))) as up, house(up.url, "chat") as at:
        begun = time.monotonic()
        for _ in range(2):
            status, _, said = at.post(MESSAGES, ASK)
            assert status == 200 and b"message_stop" in said
        assert time.monotonic() - begun < SOON_S
        up.wait(lambda up: all(asked.state == "gone" for asked in up.requests))


@pytest.mark.parametrize(("path", "protocol", "events"), SAME)
def test_signs_of_life_keep_no_finished_stream_open(path: str, protocol: str, events: list[bytes]) -> None:
    with Upstream(lambda r: kept_open(events)) as up, house(up.url, protocol) as at:
        begun = time.monotonic()
        for _ in range(2):  # the slot is free again, too
            status, _, said = at.post(path, ASK)
            assert status == 200 and said.startswith(b"".join(events))
        assert time.monotonic() - begun < SOON_S
        up.wait(lambda up: all(asked.state == "gone" for asked in up.requests))


WORDS = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"data: [DONE]"},"finish_reason":"stop"}]}\n\n'


@pytest.mark.parametrize(
    ("path", "protocol", "before"),
    [(CHAT, "chat", [streams("hello")[1], WORDS]), (MESSAGES, "messages", IN_MESSAGES[:-1])],
)
def test_a_pause_before_the_last_word_ends_nothing(path: str, protocol: str, before: list[bytes]) -> None:
    """One of several choices may be done, and tokens are told after that."""
    last = b"data: [DONE]\n\n" if protocol == "chat" else IN_MESSAGES[-1]
    with Upstream([Answer.sse([*before, 2.5, last])]) as up, house(up.url, protocol) as at:
        status, _, said = at.post(path, ASK)
    assert status == 200 and said.startswith(b"".join(before)) and said.endswith(last)
