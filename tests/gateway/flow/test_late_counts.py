"""A count of tokens that its upstream does not give, or not in time: clients wait for it, and get an estimate."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.flow import sharing
from gateway.routing import upstreams
from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import house_text, section

WORDS = [{"role": "user", "content": "hi"}]
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "messages": ("/v1/messages/count_tokens", {"model": "m", "messages": WORDS}),
    "responses": ("/v1/responses/input_tokens", {"model": "m", "input": "hi"}),
    "gemini": ("/v1beta/models/m:countTokens", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
}


@pytest.mark.parametrize("more", ["", "request = 0.3\n"])
@pytest.mark.parametrize("protocol", ASKED)
def test_who_waits_for_a_count_gets_an_estimate_soon(protocol: str, more: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstreams, "COUNT_S", 10.0 if more else 0.3)
    path, body = ASKED[protocol]
    with Upstream(lambda request: Answer.silence()) as up:
        with House(house_text("* = a", a=section(up.url, more, protocol))) as house:
            status, headers, _ = house.post(path, body)
            assert (status, headers["x-proxy-token-count"]) == (200, "estimate")
            assert house.post(path, body)[1]["x-proxy-token-count"] == "estimate"  # and does not wait again
        assert len(up.requests) == 1


@pytest.mark.parametrize("protocol", ["messages", "responses"])
def test_another_model_of_the_upstream_still_counts(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstreams, "COUNT_S", 0.3)
    path, body = ASKED[protocol]
    quick = Answer.json({"object": "response.input_tokens", "input_tokens": 7})
    with Upstream(lambda request: quick if b'"quick"' in request.body else Answer.silence()) as up:
        with House(house_text("* = a", a=section(up.url, "", protocol))) as house:
            for model, said in {"m": "estimate", "quick": "upstream"}.items():
                assert house.post(path, body | {"model": model})[1]["x-proxy-token-count"] == said
            now = house.proxy.service.ports.now()
            (late,) = (up.counts_from for up in house.proxy.service.router.upstreams.values())
            assert list(late) == ["m"] and now < late["m"] <= now + 60


def test_counts_that_come_late_open_no_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several that were asked at the same time each has failed; requests for replies may well be answered."""
    monkeypatch.setattr(upstreams, "COUNT_S", 0.3)
    path, body = ASKED["messages"]
    with Upstream(lambda request: Answer.silence()) as up:
        text = house_text("* = a", "[breaker]\nconsecutive = 1\n", a=section(up.url, "", "messages"))
        with House(text) as house:
            assert house.post(path, body)[1]["x-proxy-token-count"] == "estimate"
            assert [place.breaker.state for place in house.proxy.service.places] == ["closed"]


def test_of_many_models_those_that_were_late_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "MOST_LATE", 2)
    path, body = ASKED["messages"]
    with House(house_text("* = a", a=section("http://127.0.0.1:9", "", "messages"))) as house:
        for model in "abcb":
            house.post(path, body | {"model": model})
        (late,) = (up.counts_from for up in house.proxy.service.router.upstreams.values())
        assert list(late) == ["b", "c"]
        late["b"] = 0.0  # its time is over
        house.post(path, body | {"model": "d"})
        assert list(late) == ["c", "d"]


BROKEN = {
    "500": Answer.json({"error": {"message": "no"}}, 500),
    "529": Answer.json({"error": {"message": "busy"}}, 529),
    "page": Answer(502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>"),
    "nothing": Answer(200, {}, b""),
    "empty": Answer.json({}),
    "closed": Answer.json({"input_tokens": 5}, short=9, end="close"),
}


@pytest.mark.parametrize("protocol", ASKED)
@pytest.mark.parametrize("name", BROKEN)
def test_what_an_upstream_fails_to_count_is_estimated(name: str, protocol: str) -> None:
    """The client asks before it sends: an error would keep it from a request that may well be answered."""
    path, body = ASKED[protocol]
    with Upstream(lambda request: BROKEN[name]) as up:
        text = house_text("* = a", "[retry]\nbackoff = 0\n", a=section(up.url, "", protocol))
        with House(text) as house:
            status, headers, _ = house.post(path, body)
            asked = len(up.requests)
            assert (status, headers["x-proxy-token-count"]) == (200, "estimate")
            assert house.post(path, body)[1]["x-proxy-token-count"] == "estimate"
        assert len(up.requests) == asked  # not for a while


def test_a_dead_upstreams_count_is_estimated_too() -> None:
    path, body = ASKED["messages"]
    with House(house_text("* = a", a=section("http://127.0.0.1:9", "", "messages"))) as house:
        assert house.post(path, body)[1]["x-proxy-token-count"] == "estimate"


def test_another_target_that_counts_comes_before_an_estimate() -> None:
    path, body = ASKED["messages"]
    with Upstream(lambda request: BROKEN["529"]) as a, Upstream(lambda request: Answer.json({"input_tokens": 5})) as b:
        text = house_text("* = a, b", a=section(a.url, "", "messages"), b=section(b.url, "", "messages"))
        with House(text) as house:
            status, headers, said = house.post(path, body)
    assert (status, headers["x-proxy-token-count"], said) == (200, "upstream", b'{"input_tokens": 5}')


def test_an_error_is_still_told() -> None:
    path, body = ASKED["messages"]
    with Upstream(lambda request: Answer.json({"error": {"message": "no"}}, 400)) as up:
        with House(house_text("* = a", a=section(up.url, "", "messages"))) as house:
            assert house.post(path, body)[0] == 400
