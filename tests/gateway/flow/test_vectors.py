"""Embeddings in base64, which OpenAI's libraries ask for, of upstreams that have only lists of numbers."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import openai
import pytest

from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import error, house_text

LISTS = [[0.25, -1.0, 3], [0.5, 1e-3, 0]]
GATHERED = "[batches]\nembeddings_ms = 1\n"
CACHED = "[cache]\nseconds = 60\n"
PATH = "/v1/embeddings"
ASK = {"model": "m", "input": ["a", "b"], "encoding_format": "base64"}


def reply(vectors: list[Any]) -> Answer:
    rows = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    return Answer.json({"object": "list", "model": "m", "data": rows, "usage": usage})


def floats(said: str) -> list[float]:
    raw = base64.b64decode(said)
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


def read(answer: tuple[int, dict[str, str], bytes]) -> list[list[float]]:
    status, _, raw = answer
    assert status == 200, raw
    return [floats(row["embedding"]) for row in json.loads(raw)["data"]]


@pytest.mark.parametrize("more", ["", GATHERED, CACHED])
def test_an_upstream_that_sends_lists_all_the_same(more: str) -> None:
    with Upstream([reply(LISTS)]) as up, House(house_text("* = a", more, a=up.url)) as house:
        for _ in range(2):
            assert read(house.post(PATH, ASK)) == [pytest.approx(each) for each in LISTS]


REFUSALS = [
    error(400, "encoding_format: only 'float' is supported"),
    error(422, "Base64 is no option: base64 embeddings are not supported"),
    Answer.json({"detail": [{"loc": ["body", "encoding_format"], "msg": "Input should be 'float'"}]}, 422),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=range(len(REFUSALS)))
def test_an_upstream_that_refuses_it_is_asked_for_lists(refusal: Answer) -> None:
    def script(request: Request) -> Answer:
        return refusal if "encoding_format" in request.json else reply(LISTS)

    with Upstream(script) as up, House(house_text("* = a", a=up.url)) as house:
        for _ in range(2):
            assert read(house.post(PATH, ASK)) == [pytest.approx(each) for each in LISTS]
        assert ["encoding_format" in request.json for request in up.requests] == [True, False, False]
        assert up.requests[1].json == {"model": "m", "input": ["a", "b"]}


def test_a_refusal_that_is_about_something_else_is_passed_on() -> None:
    with Upstream([error(400, "encoding_format base64 needs a larger plan")]) as up:
        with House(house_text("* = a", a=up.url)) as house:
            for _ in range(2):
                status, _, said = house.post(PATH, ASK)
                assert status == 400 and b"larger plan" in said
            assert len(up.requests) == 4, "what was of no help is not kept"


@pytest.mark.parametrize("asked", [{"encoding_format": "float"}, {}])
def test_who_asks_for_lists_gets_the_bytes_of_the_upstream(asked: dict[str, str]) -> None:
    answer = reply(LISTS)
    with Upstream([answer]) as up, House(house_text("* = a", a=up.url)) as house:
        assert house.post(PATH, {"model": "m", "input": ["a", "b"]} | asked)[2] == answer.body


@pytest.mark.parametrize("vectors", [["AACAPgAAgL8="], [[[0.5], [1.0]]], [["x"]], []])
def test_what_has_no_form_in_base64_stays(vectors: list[Any]) -> None:
    answer = reply(vectors)
    with Upstream([answer]) as up, House(house_text("* = a", a=up.url)) as house:
        assert json.loads(house.post(PATH, ASK)[2]) == json.loads(bytes(answer.body))


def test_the_sdk() -> None:
    """It asks for base64 by itself."""

    def script(request: Request) -> Answer:
        return reply(LISTS) if "encoding_format" not in request.json else REFUSALS[0]

    with Upstream(script) as up, House(house_text("* = a", a=up.url)) as house:
        with openai.OpenAI(base_url=f"{house.url}/v1", api_key="x", max_retries=0) as client:
            said = client.embeddings.create(model="m", input=["a", "b"])
    assert [list(each.embedding) for each in said.data] == [pytest.approx(each) for each in LISTS]
