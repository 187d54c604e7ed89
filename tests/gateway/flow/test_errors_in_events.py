"""Errors under a status of their own, as events of the stream that was asked for."""

from __future__ import annotations

import json

import pytest

from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import STREAM, house_text, said, says, section, streams

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
EVENT = b'event: error\ndata: {"error":{"message":"This model\'s maximum context length is 9","code":400}}\n\n'


def refusal(status: int = 400, event: bytes = EVENT) -> Answer:
    return Answer.sse([event], status=status)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_clients_hear_what_it_says(path: str) -> None:
    with Upstream([refusal()]) as up, House(house_text("* = a", a=up.url)) as house:
        status, headers, raw = house.post(path, STREAM | {"max_tokens": 9})
    error = json.loads(raw)["error"]
    assert status == 400 and headers["content-type"] == "application/json"
    assert "maximum context length" in error["message"] and "data:" not in error["message"]


def test_what_it_says_decides_what_comes_next() -> None:
    """A larger model is asked where the prompt is too long, and a field is learned to be left out."""
    with Upstream([refusal()]) as small, Upstream([Answer.sse(streams("large"))]) as large:
        with House(house_text("* = a, b", a=small.url, b=large.url)) as house:
            assert said(house.post(CHAT, STREAM)) == "large"
    unknown = refusal(422, b'data: {"detail":[{"type":"extra_forbidden","loc":["body","user"],"msg":"no"}]}\n\n')
    with Upstream([unknown, says("ok")]) as up, House(house_text("* = a", a=section(up.url))) as house:
        ask = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
        assert house.post(MESSAGES, ask | {"metadata": {"user_id": "u"}})[0] == 200
        assert len(up.requests) == 2 and "user" not in up.requests[1].json
