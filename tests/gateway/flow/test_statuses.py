"""What an upstream's status says, whatever else is odd about its reply."""

from __future__ import annotations

import json

import pytest

from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import ASK, QUICK, house_text, says, streams

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


@pytest.mark.parametrize("status", [201, 203])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_other_good_statuses_are_good(path: str, status: int) -> None:
    """Some frameworks answer each POST with 201, and clients' own libraries take it."""

    def answers(asked: Request) -> Answer:
        answer = Answer.sse(streams("hello")) if asked.json.get("stream") else says("hello")
        answer.status = status
        return answer

    with Upstream(answers) as up, House(house_text("* = a", a=up.url)) as house:
        for stream in (False, True):
            got, _, body = house.post(path, ASK | {"max_tokens": 9, "stream": stream})
            assert got == 200 and b"hello" in body


def broken_off(status: int) -> Answer:
    body = json.dumps({"error": {"message": "not now", "type": "x", "code": None}}).encode()
    return Answer(status, {"Content-Type": "application/json", "Retry-After": "7"}, body[:12], end="close", short=99)


@pytest.mark.parametrize("path", [CHAT, MESSAGES, "/v1/embeddings"])
def test_an_error_that_breaks_off_counts_by_its_status(path: str) -> None:
    """It is no lost connection: the client hears the status, and when to come again."""
    with Upstream(lambda r: broken_off(400)) as up, House(house_text("* = a", a=up.url)) as house:
        status, headers, body = house.post(path, ASK | {"max_tokens": 9, "input": "x"})
    assert status == 400 and headers["retry-after"] == "7" and json.loads(body)["error"]["message"]


@pytest.mark.parametrize("path", [CHAT, MESSAGES, "/v1/embeddings"])
@pytest.mark.parametrize("status", [401, 429, 503])
def test_its_request_goes_on_to_the_next_upstream(path: str, status: int) -> None:
    with Upstream(lambda r: broken_off(status)) as a, Upstream(lambda r: says("from b")) as b:
        with House(house_text("* = a, b", QUICK, a=a.url, b=b.url)) as house:
            got, _, body = house.post(path, ASK | {"max_tokens": 9, "input": "x"})
    assert got == 200 and b"from b" in body and len(a.requests) == 1
