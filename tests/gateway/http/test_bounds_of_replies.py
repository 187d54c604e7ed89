"""What [limits] bounds besides heads and lists: levels of JSON, header lines, and what an upstream may send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.http import framing
from gateway.http import response_writer as writing
from tests.gateway.http.test_bounds import CHAT, MESSAGES, OK, limited, said
from tests.support.house import House
from tests.support.script import Answer, Upstream
from translate.streams import sse

MB, KB = 1 << 20, 1 << 10


@pytest.fixture(autouse=True)
def bounds_of_others() -> Iterator[None]:
    """Some bounds hold for the process: those of the tests after this one are as before."""
    holders = (sse.Most, "event_bytes"), (framing.Most, "headers"), (writing.ResponseWriter, "high_water")
    before = [getattr(*holder) for holder in holders]
    yield
    for (owner, name), value in zip(holders, before, strict=True):
        setattr(owner, name, value)


def ask(content: Any = "x", **more: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": [said(content)], **more}


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def replied(size: int) -> Answer:
    message = {"role": "assistant", "content": "x" * size}
    return Answer.json(
        {"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    )


def test_levels_of_json() -> None:
    with Upstream([OK]) as up, House(limited(up.url, "depth = 12")) as house:
        tool = {"name": "t", "input_schema": {"type": "object", "properties": nested(4)}}  # 4 levels above: 10 or more
        assert house.post(MESSAGES, ask(tools=[tool]))[0] == 200
        tool["input_schema"]["properties"] = nested(12)
        status, _, body = house.post(MESSAGES, ask(tools=[tool]))
        assert status == 400 and b"[limits] depth" in body and len(up.requests) == 1
        assert json.loads(body)["error"]["type"] == "invalid_request_error"
        assert house.post(CHAT, {"model": "m", "messages": [said("x")], "metadata": nested(100)})[0] == 200  # untouched


def test_header_lines() -> None:
    with Upstream([OK]) as up, House(limited(up.url, "headers = 30")) as house:
        few, many = ({f"X-{number}": "1" for number in range(most)} for most in (20, 40))
        assert house.post(CHAT, ask(), few)[0] == 200
        with house.connect() as client:
            client.send("POST", CHAT, ask(), many)
            status, _, body = client.reply()
        assert status == 431 and b"[limits] headers" in body and len(up.requests) == 1


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_whole_reply(path: str) -> None:
    with Upstream([replied(MB // 2), replied(MB + 1)]) as up, House(limited(up.url, "reply_mb = 1")) as house:
        assert house.post(path, ask())[0] == 200
        status, _, body = house.post(path, ask())
        assert status == 502 and b"over 1 MB ([limits] reply_mb)" in body


def test_an_error_that_does_not_end() -> None:
    error = {"error": {"message": "no such thing", "type": "invalid_request_error", "code": "x"}, "more": "y" * 64 * KB}
    with Upstream([Answer.json(error, 400)]) as up, House(limited(up.url, "error_kb = 4")) as house:
        status, _, body = house.post(MESSAGES, ask())
        assert status == 400 and len(body) < 8 * KB
    with Upstream([Answer.json(error, 400)]) as up, House(limited(up.url, "error_kb = 256")) as house:
        assert "no such thing" in house.post(MESSAGES, ask())[2].decode()


def test_an_event() -> None:
    def streamed(size: int) -> Answer:
        choice = {"index": 0, "delta": {"content": "x" * size}}
        chunk = {"id": "x", "object": "chat.completion.chunk", "choices": [choice]}
        return Answer.sse(b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(chunk).encode())

    with Upstream([streamed(MB // 2), streamed(2 * MB)]) as up, House(limited(up.url, "event_mb = 1")) as house:
        assert b"message_stop" in house.post(MESSAGES, ask(stream=True))[2]
        status, _, body = house.post(MESSAGES, ask(stream=True))
        assert status == 502 and b"[limits] event_mb" in body


def test_the_head_of_a_reply() -> None:
    long = {f"X-{number}": "x" * 5000 for number in range(8)}
    for setting, expected in (("upstream_header_kb = 32", 502), ("upstream_header_kb = 128", 200)):
        with Upstream([Answer.json(json.loads(OK.body), headers=long)]) as up, House(limited(up.url, setting)) as house:
            assert house.post(CHAT, ask())[0] == expected


def test_what_waits_for_a_client_that_reads_slowly() -> None:
    with Upstream([OK]) as up, House(limited(up.url, "write_buffer_kb = 8")) as house:
        assert house.post(CHAT, ask())[0] == 200
        assert writing.ResponseWriter.high_water == 8 * KB
