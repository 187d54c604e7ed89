"""Every input of http/ and json/ gets what its .expect file says, within its deadline, and harms nobody else.

An input is NNN-name.http, in the language of recipe.py; NNN-name.expect beside it is one line (see talk.py). To add one
is to add the two. One proxy stands for all of them, with an upstream of another protocol behind each path.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile import recipe, talk
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream

HERE = Path(__file__).parent
DEADLINE_S = 5.0
HONEST = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}'
INPUTS = sorted([*HERE.glob("http/*.http"), *HERE.glob("json/*.http")])
CHAT = {"id": "c", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a"}}]}
MESSAGES = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "a"}], "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
SETTINGS = """
[server]
idle_timeout = 1
body_timeout = 1
[upstream c]
protocol = chat
base_url = {url}
api_key = k
[upstream m]
protocol = messages
base_url = {url}
api_key = k
[models]
m = c
cross = m
[breaker]
enabled = false
"""


def answer(request: Request) -> Answer:
    return Answer.json(MESSAGES if request.path.startswith("/v1/messages") else CHAT)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with Upstream(answer) as up, House(SETTINGS.format(url=up.url)) as house:
        yield house


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_input(house: House, path: Path) -> None:
    expected = path.with_suffix(".expect").read_text().strip()
    answers = sum(word.isdecimal() for word in expected.split())
    assert talk.said(house.port, recipe.request(path.read_bytes()), DEADLINE_S, answers) == expected
    assert house.post("/v1/chat/completions", HONEST)[0] == 200


def test_there_are_many_of_them() -> None:
    assert len([path for path in INPUTS if path.parent.name == "http"]) >= 100
    assert len([path for path in INPUTS if path.parent.name == "json"]) >= 150


def test_nothing_is_left_of_them(house: House) -> None:
    house.wait(lambda p: p.service.held_bytes == 0)
    house.wait(lambda p: len(p._server._connections) <= 1)  # of the honest client
