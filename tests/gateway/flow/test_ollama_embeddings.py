"""Embeddings for clients that speak Ollama's own form."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import error, house_text

ROWS = [{"object": "embedding", "index": n, "embedding": [n, 0.5]} for n in (1, 0)]
REPLY = {"object": "list", "model": "real", "data": ROWS, "usage": {"prompt_tokens": 7, "total_tokens": 7}}
GATHERED = "[batches]\nembeddings_ms = 1\n"
CACHED = "[cache]\nseconds = 60\n"


def asked(up: Upstream, path: str, body: dict[str, Any], more: str = "") -> tuple[int, dict[str, str], Any]:
    with House(house_text("m = up/real", more, up=up.url)) as house:
        status, headers, raw = house.post(path, body)
    return status, headers, json.loads(raw)


@pytest.mark.parametrize("more", ["", GATHERED, CACHED])
def test_texts_become_an_embeddings_request(more: str) -> None:
    body = {"model": "m:latest", "input": ["a", "b"], "truncate": True, "keep_alive": "5m", "dimensions": 2}
    with Upstream([Answer.json(REPLY)]) as up:
        status, headers, said = asked(up, "/api/embed", body | {"options": {"num_ctx": 9}}, more)
        assert up.requests[0].path == "/v1/embeddings"
        assert up.requests[0].json == {"model": "real", "input": ["a", "b"], "dimensions": 2}
    assert (status, said["embeddings"], said["prompt_eval_count"]) == (200, [[0, 0.5], [1, 0.5]], 7)
    assert said["model"] == "m" and headers["x-proxy-dropped"] == "options.num_ctx"


def test_one_text_at_either_address() -> None:
    with Upstream([Answer.json(REPLY | {"data": ROWS[:1]})]) as up:
        assert asked(up, "/api/embed", {"model": "m", "input": "a"})[2]["embeddings"] == [[1, 0.5]]
        assert asked(up, "/api/embeddings", {"model": "m", "prompt": "a"})[2] == {"embedding": [1, 0.5]}
    assert [request.json["input"] for request in up.requests] == ["a", "a"]


def test_a_model_that_is_only_loaded_is_not_asked() -> None:
    with Upstream([error(500)]) as up:
        assert asked(up, "/api/embed", {"model": "m"})[2] == {"model": "m", "embeddings": []}
        assert asked(up, "/api/embeddings", {"model": "m", "keep_alive": 0})[2] == {"embedding": []}
    assert up.requests == []


@pytest.mark.parametrize(
    ("path", "body", "answer", "status", "words"),
    [
        ("/api/embed", {"input": "a"}, Answer.json(REPLY), 400, "model: "),
        ("/api/embed", {"model": "m", "input": [1]}, Answer.json(REPLY), 400, "input: "),
        ("/api/embed", {"model": "other", "input": "a"}, Answer.json(REPLY), 404, "other"),
        ("/api/embed", {"model": "m", "input": "a"}, error(400, "too long"), 400, "too long"),
        ("/api/embed", {"model": "m", "input": "a"}, Answer.json({"vectors": []}), 502, "embeddings"),
        ("/api/embeddings", {"model": "m", "prompt": "a"}, Answer.json({"data": [{"embedding": "AA=="}]}), 502, "list"),
    ],
)
def test_errors_are_told_in_ollamas_form(
    path: str, body: dict[str, Any], answer: Answer, status: int, words: str
) -> None:
    with Upstream([answer]) as up:
        got, _, said = asked(up, path, body)
    assert got == status and list(said) == ["error"] and words in said["error"], said


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/embed", {"model": "m", "input": "a"}),
        ("/api/embeddings", {"model": "m", "prompt": "a"}),
        ("/openai/deployments/m/embeddings?api-version=1", {"input": "a"}),
    ],
)
def test_small_ones_at_once_are_one_request(path: str, body: dict[str, Any]) -> None:
    with Upstream([Answer.json(REPLY)]) as up:
        with House(house_text("m = up/real", "[batches]\nembeddings_ms = 400\n", up=up.url)) as house:
            with ThreadPoolExecutor(2) as pool:
                replies = list(pool.map(lambda _: house.post(path, body), range(2)))
        assert [request.json["input"] for request in up.requests] == [["a", "a"]]
    assert [status for status, _, _ in replies] == [200, 200]
