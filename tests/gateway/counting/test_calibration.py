"""Counts of tokens that are calibrated by what a model's replies take."""

from __future__ import annotations

import json
import random
import re
import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.counting.calibration import Calibration
from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import house_text, says
from translate import recurring
from translate.counting import token_features
from translate.counting.token_features import Features
from translate.json import wire

LEAST_EXCHANGES = 5  # of a model, so that there is something to tell apart
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}


def _used(response: dict[str, Any]) -> int:
    """Input tokens, as the upstream told them last."""
    told = [response.get("body") or {}]
    for line in (response.get("sse") or "").splitlines():
        if line.startswith("data: {") and '"usage"' in line:
            told.append(json.loads(line[6:]))
    used = 0
    for each in told:
        inner = next((each[name] for name in ("message", "response") if isinstance(each.get(name), dict)), {})
        usage = each.get("usage") or inner.get("usage") or {}
        cached = ("cache_read_input_tokens", "cache_creation_input_tokens")
        used = usage.get("prompt_tokens") or sum(usage.get(n) or 0 for n in ("input_tokens", *cached)) or used
    return used


def test_after_a_hundred_requests_the_median_error_is_below_5_percent(recorded_traffic: Path) -> None:
    """Of each model with some recorded requests, a hundred of these are learned in any order, and a hundred more are
    predicted, each before its reply is known."""
    models = dict[str, list[tuple[Features, int]]]()
    for file in sorted((recorded_traffic / "exchanges").glob("*.json")):
        exchange = json.loads(file.read_text())
        body, real = exchange["request"]["body"], _used(exchange["response"])
        if isinstance(body, dict) and real and not (features := token_features.of_body(body)).unseen:
            models.setdefault(re.sub(r".*/", "", exchange["model"]), []).append((features, real))
    models = {model: rows for model, rows in models.items() if len(rows) >= LEAST_EXCHANGES}
    assert len(models) >= 8
    for model, rows in models.items():
        chosen, calibration = random.Random(1), Calibration()
        errors: list[float] = []
        for number in range(200):
            features, real = chosen.choice(rows)
            if number >= 100:
                errors.append(abs(calibration.count(features) - real) / real)
            calibration.learn(features, real)
        assert statistics.median(errors) < 0.05, model
        assert calibration.is_calibrated, model


def _request(words: int, tools: int = 0) -> dict[str, Any]:
    text = " ".join(
        random.Random(words).choices(["the", "parser", "returns", "self.value", "and", "42", "tokens\n"], k=words)
    )
    return {"messages": [{"role": "user", "content": text}], "tools": [TOOL] * tools}


def _vocabulary(features: Features) -> int:
    """A model of its own kind."""
    return round(12 + 7 * features.messages + 1.3 * features.words + 1.7 * features.digits + 40 * features.tools)


def test_it_learns_a_vocabulary_that_it_has_never_seen() -> None:
    calibration = Calibration()
    assert not calibration.is_calibrated
    for number in range(60):
        features = token_features.of_body(_request(40 + 37 * number, number % 4))
        calibration.learn(features, _vocabulary(features))
    assert calibration.is_calibrated and calibration.error < 0.05
    for words, tools in ((55, 0), (5000, 3)):
        features = token_features.of_body(_request(words, tools))
        assert calibration.count(features) == pytest.approx(_vocabulary(features), rel=0.05)


def test_a_reply_that_says_something_else_moves_little() -> None:
    calibration = Calibration()
    for number in range(60):
        features = token_features.of_body(_request(40 + 37 * number))
        calibration.learn(features, _vocabulary(features))
    features = token_features.of_body(_request(900))
    before = calibration.count(features)
    calibration.learn(features, 50 * before)
    assert calibration.count(features) == pytest.approx(before, rel=0.1)


def test_the_same_request_thousands_of_times_breaks_nothing() -> None:
    calibration = Calibration()
    same = token_features.of_body(_request(300))
    for _ in range(3000):
        calibration.learn(same, 500)
    assert calibration.count(same) == 500
    for number in range(200):
        features = token_features.of_body(_request(40 + 7 * number, number % 3))
        calibration.learn(features, _vocabulary(features))
    assert calibration.count(features) == pytest.approx(_vocabulary(features), rel=0.1)


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"previous_response_id": "resp_1"},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "A" * 99}}]}
            ]
        },
        {"input": [{"type": "item_reference", "id": "x"}]},
    ],
)
def test_what_nobody_can_count_from_here_teaches_nothing(more: dict[str, Any]) -> None:
    features = token_features.of_body(_request(100) | more)
    assert features.unseen
    calibration = Calibration()
    calibration.learn(features, 99_999)
    assert calibration.seen == 0


def test_a_field_of_a_schema_is_no_field_of_the_api() -> None:
    tool = {"name": "t", "input_schema": {"type": "object", "properties": {"prompt": {}, "file_id": {}}}}
    assert not token_features.of_body(_request(100) | {"tools": [tool]}).unseen
    used = {"type": "tool_use", "id": "t", "name": "Task", "input": {"prompt": "do", "thread": 1, "file_id": "f"}}
    assert not token_features.of_body({"messages": [{"role": "assistant", "content": [used]}]}).unseen


def test_of_a_long_history_only_what_is_new_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    history = [{"role": "user", "content": [{"type": "text", "text": f"{n} " + "word " * 200}]} for n in range(200)]
    looked: list[Any] = []
    whole = token_features.measured
    monkeypatch.setattr(token_features, "measured", lambda value: looked.append(value) or whole(value))
    monkeypatch.setattr(recurring, "MEMORY", recurring.Memory(1 << 20))
    first = token_features.of_body(recurring.loads(wire.dumps({"messages": history})))
    assert len(looked) == 200
    again = [*history, {"role": "user", "content": "and now? " * 50}]
    second = token_features.of_body(recurring.loads(wire.dumps({"messages": again})))
    assert len(looked) == 201 and second.words > first.words
    assert second == token_features.of_body({"messages": again}), "from memory or not, the features are the same"


def test_the_time_for_a_huge_text_is_bounded() -> None:
    text = "some words of a text, and 12 more.\n" * 300_000
    begun = time.process_time()
    huge = token_features.of_body({"messages": [{"role": "user", "content": text}]})
    once = time.process_time() - begun
    small = token_features.of_body({"messages": [{"role": "user", "content": text[: len(text) // 1000]}]})
    assert huge.words == pytest.approx(1000 * small.words, rel=0.01)
    assert once < 5, "a look at ten megabytes would take as long as a hundred requests"


def test_a_client_hears_how_exact_a_count_is() -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "words " * 300}]}
    reply = says("ok")
    reply.body = reply.body.replace(b'"prompt_tokens": 1', b'"prompt_tokens": 777')  # type: ignore[union-attr]

    def counted(house: House) -> tuple[str, int]:
        status, headers, raw = house.post("/v1/messages/count_tokens", body)
        assert status == 200
        return headers["x-proxy-token-count"], json.loads(raw)["input_tokens"]

    with Upstream(lambda r: reply) as up, House(house_text("* = a", "", a=up.url)) as house:
        assert counted(house)[0] == "estimate"
        for _ in range(25):
            assert house.post("/v1/messages", body)[0] == 200
        assert counted(house) == ("calibrated +-1 %", 777)
    section = "protocol = messages\nbase_url = {}\n"
    with Upstream(lambda r: Answer.json({"input_tokens": 5})) as up:
        with House(f"[upstream a]\n{section.format(up.url)}[models]\n* = a\n") as house:
            assert [counted(house) for _ in range(2)] == [("upstream", 5)] * 2
            assert len(up.requests) == 1, "the second one is kept, and is the upstream's all the same"


def test_a_large_body_that_nobody_remembers_teaches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look at all of it takes longer than all else that is done for its request."""
    looked: list[Any] = []
    whole = token_features.of_body
    monkeypatch.setattr(token_features, "of_body", lambda body: looked.append(body) or whole(body))
    monkeypatch.setattr(recurring, "LEAST_BODY", 16 * 1024)
    long = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "words " * 5_000}]}
    short = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "words"}]}
    for setting, seen in (("0", 1), ("64", 2)):
        looked.clear()
        with Upstream(lambda request: says("hi")) as up:
            with House(house_text("* = a", f"[limits]\nremembered_mb = {setting}\n", a=up.url)) as house:
                assert [house.post("/v1/messages", body)[0] for body in (long, short)] == [200, 200]
        assert len(looked) == seen
