"""What a client may use, until when, and what it may spend: over the wire, in each dialect."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.house import House
from tests.support.script import Answer, Gate, Request, Upstream

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
KEY = {"x-api-key": "key-of-ann-0123456789"}
BOB = {"x-api-key": "key-of-bob-0123456789"}
USED = {"prompt_tokens": 600, "completion_tokens": 400, "total_tokens": 1000}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}


def reply(request: Request) -> Answer:
    if request.path.endswith("/models"):
        return Answer.json({"data": [{"id": "small"}, {"id": "large"}]})
    return Answer.json({"id": "x", "choices": [CHOICE], "usage": USED})


def settings(up: Upstream, ann: str, more: str = "") -> str:
    clients = f"[client ann]\nkey = {KEY['x-api-key']}\n{ann}\n[client bob]\nkey = {BOB['x-api-key']}\n"
    ups = "".join(f"[upstream {name}]\nprotocol = chat\nbase_url = {up.url}\n" for name in ("one", "two"))
    return f"{ups}{clients}[models]\nsmall = one, two\nlarge = one\n{more}"


def ask(house: House, path: str, model: str, headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "input": "x"}
    body.pop("input" if path != RESPONSES else "messages")
    status, told, raw = house.post(path, body, headers)
    return status, told, json.loads(raw)


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
def test_a_client_may_use_its_models_alone(path: str) -> None:
    with Upstream(reply) as up, House(settings(up, "models = small, two/large")) as house:
        assert ask(house, path, "small", KEY)[0] == 200
        status, _, said = ask(house, path, "large", KEY)
        assert status == 403 and "client 'ann' may not use model 'large'" in said["error"]["message"]
        assert ask(house, path, "two/large", KEY)[0] == 200
        assert ask(house, path, "large", BOB)[0] == 200
        for headers, names in ((KEY, {"small", "two/large"}), (BOB, {"small", "large", "two/large"})):
            listed = {model["id"] for model in json.loads(house.get("/v1/models", headers)[2])["data"]}
            assert names <= listed and (headers is BOB or "large" not in listed)
        assert house.get("/v1/models/large", KEY)[0] == 403 and house.get("/v1/models/large", BOB)[0] == 200


SEEN = {"type": "advisor_20260301", "name": "advisor"}


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES, "/v1/embeddings", "/v1/audio/speech", "/v1/images/edits"])
@pytest.mark.parametrize(
    ("named", "status"),
    [
        ({"models": ["large"]}, 403),
        ({"models": ["small", "large"]}, 403),
        ({"models": ["small"]}, 200),
        ({"fallbacks": [{"model": "large"}]}, 403),
        ({"fallbacks": ["large"]}, 403),
        ({"tools": [SEEN | {"model": "large"}]}, 403),
        ({"tools": [SEEN | {"model": "small"}]}, 200),
        ({"metadata": {"model": "large"}}, 200),
        ({"models": "large", "tools": "large", "fallbacks": [7]}, 200),
    ],
)
def test_the_models_that_a_request_names_besides(path: str, named: dict[str, Any], status: int) -> None:
    """Where their protocol is the upstream's, it knows what to do with them."""
    text = "[upstream one]\nprotocol = chat, messages, responses\nbase_url = {}\n[models]\n* = one\n[client ann]\n"
    clients = f"key = {KEY['x-api-key']}\nmodels = small\n[client bob]\nkey = {BOB['x-api-key']}\n"
    body = {"model": "small", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "input": "x"} | named
    body.pop("input" if path != RESPONSES else "messages")
    escaped = json.dumps(body).replace('"models"', '"m\\u006fdels"').replace('"fallbacks"', '"fallb\\u0061cks"')
    with Upstream(reply) as up, House(text.format(up.url) + clients) as house:
        for said in (json.dumps(body), escaped):
            got, _, words = house.post(path, said.encode(), KEY)
            assert got == status and (got == 200 or b"may not use model 'large'" in words), words
        assert house.post(path, body, BOB)[0] == 200


def test_a_client_may_use_its_upstreams_alone() -> None:
    with Upstream(reply) as up, House(settings(up, "upstreams = two")) as house:
        status, headers, _ = ask(house, CHAT, "small", KEY)
        assert (status, headers["x-proxy-upstream"]) == (200, "two")
        assert ask(house, CHAT, "large", KEY)[0] == 403
        assert ask(house, CHAT, "small", BOB)[1]["x-proxy-upstream"] == "one"


@pytest.mark.parametrize(("days", "status"), [(0, 200), (-1, 401)])
def test_keys_expire(days: int, status: int) -> None:
    last = (datetime.now(UTC) + timedelta(days=days, seconds=1)).date()
    with Upstream(reply) as up, House(settings(up, f"expires = {last}")) as house:
        got, _, said = ask(house, CHAT, "small", KEY)
    assert got == status
    if status == 401:
        assert f"valid until {last}" in said["error"]["message"] and "[client ann] expires" in said["error"]["message"]


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
def test_a_budget_outlives_the_process(path: str, tmp_path: Path) -> None:
    more = "[prices]\none/* = 500, 500\n"  # USD for a million tokens: half a dollar for each reply
    with Upstream(reply) as up:
        text = settings(up, "usd_per_day = 0.8\ntokens_per_month = 90000", more)
        with House(text, folder=tmp_path) as house:
            assert [ask(house, path, "small", KEY)[0] for _ in range(2)] == [200, 200]
            house.on_loop(house.proxy.service.observers.flush)
            status, headers, said = ask(house, path, "small", KEY)
            assert status == 429 and "usd_per_day of $0.80" in said["error"]["message"]
            assert 0 < int(headers["retry-after"]) <= 86_400
            assert ask(house, path, "small", BOB)[0] == 200
            assert house.post("/v1/messages/count_tokens", {"model": "small", "messages": []}, KEY)[0] == 200
        with House(text, folder=tmp_path) as house:
            assert ask(house, path, "small", KEY)[0] == 429
            assert ask(house, path, "small", BOB)[0] == 200


SPEECH, PICTURES = "/v1/audio/speech", "/v1/images/generations"


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES, SPEECH, PICTURES])
def test_many_at_once_do_not_spend_many_times_the_budget(path: str) -> None:
    gate = Gate()

    def slow(request: Request) -> Answer:
        answer = reply(request)
        answer.delay = gate
        return answer

    body = {"model": "small", "max_tokens": 90_000, "messages": [{"role": "user", "content": "x"}], "input": "x" * 9000,
            "prompt": "x", "voice": "alloy"}  # fmt: skip
    body.pop("input" if path in (CHAT, MESSAGES) else "messages")
    body.pop("prompt" if path == RESPONSES else "voice")
    with Upstream(slow) as up, House(settings(up, "tokens_per_day = 2000")) as house:
        with ThreadPoolExecutor(12) as threads:
            asked = [threads.submit(house.post, path, body, KEY) for _ in range(12)]
            bob = threads.submit(house.post, path, body, BOB)
            house.wait(lambda p: len(up.requests) >= 5 and len(p.service.flows) <= 5)
            gate.open()
            assert bob.result()[0] == 200
            replies = [each.result() for each in asked]
        assert sorted(status for status, _, _ in replies) == [200] * 4 + [429] * 8
        refused = next(each for each in replies if each[0] == 429)
        assert b"tokens_per_day" in refused[2] and refused[1]["retry-after"] == "2"
