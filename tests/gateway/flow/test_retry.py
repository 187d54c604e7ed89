"""What is sent again, where, and how often: seen by the upstreams."""

from __future__ import annotations

import json
import time

import pytest

from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import ASK, PATH, QUICK, STREAM, error, house_text, said, says, streams

AGAIN = [408, 409, 425, 429, 502, 503, 504, 529]
NOT_AGAIN = [400, 413, 422, 500]


@pytest.mark.parametrize("status", AGAIN)
@pytest.mark.parametrize("ask", [ASK, STREAM])
def test_what_was_not_worked_on_is_sent_again(status: int, ask: dict) -> None:
    good = Answer.sse(streams("ok")) if ask is STREAM else says("ok")
    with Upstream([error(status), error(status), good]) as up, House(house_text("* = a", QUICK, a=up.url)) as house:
        assert said(house.post(PATH, ask)) == "ok"
        assert len(up.requests) == 3


@pytest.mark.parametrize("status", [*NOT_AGAIN, 401, 403, 404])
def test_what_would_fail_again_or_cost_twice_is_not(status: int) -> None:
    with Upstream([error(status), says("ok")]) as up, House(house_text("* = a", QUICK, a=up.url)) as house:
        assert house.post(PATH, ASK)[0] == status
        assert len(up.requests) == 1


def test_500_is_sent_again_where_the_settings_say_so() -> None:
    more = QUICK + "also = 500\n"
    with Upstream([error(500), says("ok")]) as up, House(house_text("* = a", more, a=up.url)) as house:
        assert said(house.post(PATH, ASK)) == "ok"


def test_after_three_tries_the_last_answer_is_the_clients_verbatim() -> None:
    with Upstream([error(503, "one"), error(503, "two"), error(503, "three")]) as up:
        with House(house_text("* = a", QUICK, a=up.url)) as house:
            status, _, body = house.post(PATH, ASK)
            assert (status, json.loads(body)["error"]["message"]) == (503, "three")
            assert len(up.requests) == 3


def test_an_error_as_the_first_event_is_like_a_status() -> None:
    first = Answer.sse(b'data: {"error": {"message": "busy", "type": "overloaded_error"}}\n\n')
    with Upstream([first, Answer.sse(streams("ok"))]) as up, House(house_text("* = a", QUICK, a=up.url)) as house:
        assert said(house.post(PATH, STREAM)) == "ok"


def test_a_stream_that_broke_after_it_began_is_not_sent_again() -> None:
    broken = Answer.sse(streams("half")[:2], end="reset")
    with Upstream([broken, Answer.sse(streams("ok"))]) as up, House(house_text("* = a", QUICK, a=up.url)) as house:
        status, _, body = house.post(PATH, STREAM)
        assert status == 200 and b"half" in body and b'"error"' in body
        assert len(up.requests) == 1


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [({"retry-after": "1"}, 1.0, 3.0), ({"retry-after-ms": "300"}, 0.3, 2.0), ({"retry-after": "-5"}, 0.0, 1.0),
     ({"retry-after": "soon"}, 0.0, 1.0), ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0, 1.0)],
)  # fmt: skip
def test_retry_after_is_obeyed(headers: dict[str, str], least: float, most: float) -> None:
    with Upstream([error(429, headers=headers), says("ok")]) as up:
        with House(house_text("* = a", QUICK, a=up.url)) as house:
            began = time.monotonic()
            assert said(house.post(PATH, ASK)) == "ok"
            assert least <= time.monotonic() - began < most + 5  # the upper bound is for a stuck one, not for speed


def test_an_absurd_retry_after_goes_to_the_client_at_once() -> None:
    with Upstream([error(429, headers={"retry-after": "99999"})]) as up:
        with House(house_text("* = a", QUICK, a=up.url)) as house:
            status, headers, _ = house.post(PATH, ASK)
            assert (status, headers["retry-after"], len(up.requests)) == (429, "99999", 1)


def test_x_should_retry_false_is_obeyed() -> None:
    with Upstream([error(503, headers={"x-should-retry": "false"})]) as up:
        with House(house_text("* = a", QUICK, a=up.url)) as house:
            assert house.post(PATH, ASK)[0] == 503 and len(up.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        error(500, headers={"x-should-retry": "true"}),
        Answer.json({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 500),
        Answer.json({"error": {"type": "rate_limit_error", "message": "slow down"}}, 400),
    ],
    ids=["x-should-retry", "overloaded_error", "rate_limit_error"],
)
def test_an_upstream_says_in_other_ways_that_it_did_not_do_the_work(answer: Answer) -> None:
    with Upstream([answer, says("a, the second time")]) as a, Upstream(lambda r: says("b")) as b:
        with House(house_text("m = a\ntwo = a, b", QUICK, a=a.url, b=b.url)) as house:
            assert b"the second time" in house.post(PATH, ASK)[2] and len(a.requests) == 2
    with Upstream([answer]) as a, Upstream(lambda r: says("b")) as b:
        with House(house_text("two = a, b", QUICK, a=a.url, b=b.url)) as house:
            assert house.post(PATH, ASK | {"model": "two"})[0] == 200 and len(a.requests) == 1


def test_the_clients_own_deadline_bounds_all_waits() -> None:
    with Upstream([error(429, headers={"retry-after": "5"})]) as up:
        with House(house_text("* = a", QUICK, a=up.url)) as house:
            assert house.post(PATH, ASK, {"X-Stainless-Timeout": "2"})[0] == 429
            assert len(up.requests) == 1


def test_a_storm_gets_a_fifth_more_at_most() -> None:
    """The window is ten seconds; its floor of three a second must not be what is seen here."""
    more = "[retry]\nbackoff = 0.001\nmax_backoff = 0.001\nbudget_per_second = 0\n"
    with Upstream([error(503)]) as up, House(house_text("* = a", more, a=up.url)) as house, house.connect() as client:
        for _ in range(200):
            client.send("POST", PATH, ASK)
            assert client.reply()[0] == 503
        assert 220 <= len(up.requests) <= 240


def test_other_requests_wait_as_the_upstream_asked() -> None:
    """Asking in the meantime would only burn one more of its refusals."""
    with Upstream([error(429, headers={"retry-after": "1"}), says("ok")]) as up:
        more = "[retry]\nmax_attempts = 1\n"
        with House(house_text("* = a", more, a=up.url)) as house:
            assert house.post(PATH, ASK)[0] == 429
            began = time.monotonic()
            assert said(house.post(PATH, ASK)) == "ok"
            assert time.monotonic() - began > 0.7


def test_rate_limit_headers_say_when_to_ask_again() -> None:
    used_up = says("one")
    used_up.headers |= {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "800ms"}
    with Upstream([used_up, says("two")]) as up, House(house_text("* = a", "", a=up.url)) as house:
        assert said(house.post(PATH, ASK)) == "one"
        began = time.monotonic()
        assert said(house.post(PATH, ASK)) == "two"
        assert time.monotonic() - began > 0.5
