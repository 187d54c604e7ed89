"""A count of tokens that its upstream does not give in time: clients ask while somebody waits, and get an estimate."""

from __future__ import annotations

from typing import Any

import pytest

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


def test_counts_that_come_late_open_no_breaker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several that were asked at the same time each has failed; requests for replies may well be answered."""
    monkeypatch.setattr(upstreams, "COUNT_S", 0.3)
    path, body = ASKED["messages"]
    with Upstream(lambda request: Answer.silence()) as up:
        text = house_text("* = a", "[breaker]\nconsecutive = 1\n", a=section(up.url, "", "messages"))
        with House(text) as house:
            assert house.post(path, body)[1]["x-proxy-token-count"] == "estimate"
            assert [place.breaker.state for place in house.proxy.service.places] == ["closed"]


def test_an_error_is_still_told() -> None:
    path, body = ASKED["messages"]
    with Upstream(lambda request: Answer.json({"error": {"message": "no"}}, 400)) as up:
        with House(house_text("* = a", a=section(up.url, "", "messages"))) as house:
            assert house.post(path, body)[0] == 400
