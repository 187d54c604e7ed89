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
from tests.support.script import Answer, Gate, Upstream
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


def seen(at: House) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    at.on_loop(lambda: at.proxy.service.observers.on_finished.append(records.append))
    return records


def leaves_behind(at: House, path: str, events: list[bytes]) -> bytes:
    """Reads so much, and closes the connection."""
    with at.connect() as client:
        client.send("POST", path, ASK)
        client.head()
        pieces, got = client.pieces(), b""
        while len(got) < len(b"".join(events)):
            got += next(pieces)
    return got


@pytest.mark.parametrize(("path", "protocol", "events"), SAME)
def test_a_client_that_leaves_behind_the_last_event_had_all(path: str, protocol: str, events: list[bytes]) -> None:
    """Codex does so. The upstream's connection is used again."""
    gate = Gate()
    with Upstream(lambda r: Answer.sse([*events, gate])) as up, house(up.url, protocol) as at:
        records = seen(at)
        got = leaves_behind(at, path, events)
        at.wait(lambda p: bool(records))
        gate.open()
        up.wait(lambda up: up.requests[0].state == "answered")
        at.post(path, ASK)
        at.wait(lambda p: len(records) == 2)
    assert got == b"".join(events) and up.connections == 1
    assert [record["ended"] for record in records] == ["finished", "finished"]
    assert not any("usage_estimated" in record or "error.type" in record for record in records)


@pytest.mark.parametrize(("path", "protocol", "events"), SAME)
def test_one_that_leaves_before_has_left(path: str, protocol: str, events: list[bytes]) -> None:
    with Upstream(lambda r: left_open(events[:-1])) as up, house(up.url, protocol) as at:
        records = seen(at)
        leaves_behind(at, path, events[:-1])
        at.wait(lambda p: bool(records))
        up.wait(lambda up: up.requests[0].state == "gone")
    assert records[0]["ended"] == "left"


def test_one_that_was_not_sent_the_last_event_has_left() -> None:
    """It reads too slowly: the last event has come, and waits for it here."""
    events = [*IN_MESSAGES[:-1], b": " + b"x" * (8 << 20) + b"\n\n", IN_MESSAGES[-1]]
    gate = Gate()
    with Upstream(lambda r: Answer.sse([*events, gate])) as up, house(up.url, "messages") as at:
        records = seen(at)
        with at.connect() as client:
            client.send("POST", MESSAGES, ASK)
            client.head()
        at.wait(lambda p: bool(records))
        gate.open()
    assert records[0]["ended"] == "left"


def test_an_error_that_a_left_stream_has_told_is_one() -> None:
    failed = {"id": "r", "status": "failed", "error": {"code": "server_error", "message": "broken"}}
    events = [*IN_RESPONSES[:-1], event("response.failed", response=failed)]
    gate = Gate()
    with Upstream(lambda r: Answer.sse([*events, gate])) as up, house(up.url, "responses") as at:
        records = seen(at)
        leaves_behind(at, RESPONSES, events)
        at.wait(lambda p: bool(records))
        gate.open()
    assert (records[0]["ended"], records[0]["error.type"]) == ("finished", "api")


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
