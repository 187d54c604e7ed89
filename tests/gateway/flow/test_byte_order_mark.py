"""A byte order mark before JSON, as servers and scripts on Windows write it, changes nothing of what the JSON says."""

from __future__ import annotations

import codecs
import json

import pytest

from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import ASK, house_text, says

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
THEIRS = {"data": [{"id": "theirs"}]}


def marked(answer: Answer) -> Answer:
    assert isinstance(answer.body, bytes)
    answer.body = codecs.BOM_UTF8 + answer.body
    return answer


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [CHAT, MESSAGES, "/v1/embeddings"])
def test_a_reply(path: str, stream: bool) -> None:
    with Upstream(lambda r: marked(says("hello there"))) as up, House(house_text("* = a", a=up.url)) as house:
        status, _, said = house.post(path, ASK | {"max_tokens": 9, "stream": stream, "input": "x"})
    assert status == 200 and b"hello there" in said


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_an_error(path: str) -> None:
    """Its code says what kind it is."""
    error = {"error": {"message": "the prompt is too long", "code": "context_length_exceeded", "type": "x"}}
    with Upstream(lambda r: marked(Answer.json(error, 400))) as up, House(house_text("* = a", a=up.url)) as house:
        status, _, said = house.post(path, ASK | {"max_tokens": 9})
    assert status == 400 and json.loads(said)["error"]["message"].endswith("the prompt is too long")


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_request(path: str) -> None:
    with Upstream(lambda r: says("ok")) as up, House(house_text("* = a", a=up.url)) as house:
        body = codecs.BOM_UTF8 + json.dumps(ASK | {"max_tokens": 9}).encode()
        assert house.post(path, body, {"Content-Type": "application/json"})[0] == 200


def test_a_list_of_models() -> None:
    with Upstream(lambda r: marked(Answer.json(THEIRS))) as up, House(house_text("* = a", a=up.url)) as house:
        assert b"theirs" in house.get("/v1/models")[2]
