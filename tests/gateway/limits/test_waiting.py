"""How many at once: slots, the queue, quotas; and that nobody waits for what will not come."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack

import pytest

from tests.support.house import House
from tests.support.script import Answer, Gate, Upstream
from tests.support.two_upstreams import ASK, PATH, QUICK, STREAM, error, held, house_text, said, says, section


def test_a_burst_waits_in_line() -> None:
    gate = Gate()
    with Upstream([held(gate), says("second"), says("third")]) as up, ExitStack() as stack:
        house = stack.enter_context(House(house_text("* = a", a=section(up.url))))
        first = stack.enter_context(house.connect())
        first.send("POST", PATH, STREAM)
        up.wait(lambda u: len(u.requests) == 1)
        others = [stack.enter_context(house.connect()) for _ in range(2)]
        for number, client in enumerate(others, 1):
            client.send("POST", PATH, ASK)
            house.wait(lambda p, n=number: p.service.admission.waiting == n)  # type: ignore[misc]
        assert len(up.requests) == 1
        gate.open()
        assert said(first.reply()) == "first"
        assert [said(client.reply()) for client in others] == ["second", "third"]
        house.wait(lambda p: p.service.admission.busy == 0)


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [(PATH, 503, "service_unavailable_error"), ("/v1/messages", 529, "overloaded_error"),
     ("/v1/responses", 503, "service_unavailable_error")],
)  # fmt: skip
def test_beyond_the_queue_the_answer_is_no_at_once(path: str, status: int, kind: str) -> None:
    gate = Gate()
    more = "[admission]\nqueue = 0\n"
    with Upstream([held(gate)]) as up, House(house_text("* = a", more, a=section(up.url))) as house:
        with house.connect() as first:
            first.send("POST", PATH, STREAM)
            up.wait(lambda u: len(u.requests) == 1)
            body = {"model": "m", "max_tokens": 5, "input": "x"} if "responses" in path else ASK | {"max_tokens": 5}
            got, headers, raw = house.post(path, body)
            assert (got, json.loads(raw)["error"]["type"], headers["retry-after"]) == (status, kind, "1")
            assert b"upstream 'a' has 1 requests at once" in raw
            gate.open()
            first.reply()


def test_who_waits_too_long_is_told() -> None:
    gate = Gate()
    more = "[admission]\nqueue_seconds = 0.2\n"
    with Upstream([held(gate)]) as up, House(house_text("* = a", more, a=section(up.url))) as house:
        with house.connect() as first:
            first.send("POST", PATH, STREAM)
            up.wait(lambda u: len(u.requests) == 1)
            assert house.post(PATH, ASK)[0] == 503
            gate.open()
            first.reply()


def test_a_full_target_sends_to_the_next() -> None:
    gate = Gate()
    more = "[admission]\nqueue = 0\n"
    with Upstream([held(gate)]) as a, Upstream([says("b")]) as b:
        with House(house_text("m = a, b", more, a=section(a.url), b=b.url)) as house, house.connect() as first:
            first.send("POST", PATH, STREAM)
            a.wait(lambda u: len(u.requests) == 1)
            assert said(house.post(PATH, ASK)) == "b"
            gate.open()
            first.reply()


def test_a_client_that_leaves_the_queue_is_gone_from_it() -> None:
    gate = Gate()
    with Upstream([held(gate), says("never")]) as up, House(house_text("* = a", a=section(up.url))) as house:
        with house.connect() as first:
            first.send("POST", PATH, STREAM)
            up.wait(lambda u: len(u.requests) == 1)
            with house.connect() as second:
                second.send("POST", PATH, ASK)
                house.wait(lambda p: p.service.admission.waiting == 1)
            house.wait(lambda p: p.service.admission.waiting == 0)
            gate.open()
            first.reply()
        house.wait(lambda p: not p.service.flows and p.service.admission.busy == 0)
        assert len(up.requests) == 1


def test_counts_do_not_stand_behind_streams() -> None:
    gate = Gate()

    def answer(request):  # type: ignore[no-untyped-def]
        return Answer.json({"input_tokens": 7}) if "count" in request.path else held(gate)

    with Upstream(answer) as up, House(house_text("* = a", a=section(up.url, protocol="messages"))) as house:
        with house.connect() as first:
            first.send("POST", "/v1/messages", STREAM | {"max_tokens": 5})
            up.wait(lambda u: len(u.requests) == 1)
            got = house.post("/v1/messages/count_tokens", ASK)
            assert json.loads(got[2]) == {"input_tokens": 7} and "x-proxy-estimate" not in got[1]
            gate.open()


def test_all_upstreams_together_have_a_bound_too() -> None:
    gate = Gate()
    more = "[admission]\nmax_concurrent = 1\nqueue_seconds = 0.2\n"
    with Upstream([held(gate)]) as a, Upstream([says("b")]) as b:
        with House(house_text("x = a\ny = b", more, a=a.url, b=b.url)) as house, house.connect() as first:
            first.send("POST", PATH, STREAM | {"model": "x"})
            a.wait(lambda u: len(u.requests) == 1)
            status, _, raw = house.post(PATH, ASK | {"model": "y"})
            assert status == 503 and b"[admission] max_concurrent" in raw and not b.requests
            gate.open()
            first.reply()


def test_an_adaptive_limit_shrinks_when_the_upstream_refuses() -> None:
    more = "max_concurrent = 50\nadaptive = true\n"
    busy = Answer.json({"error": {"message": "busy"}}, 529)
    with Upstream([busy] * 3 + [says("ok")]) as up:
        text = house_text("* = a", "[retry]\nmax_attempts = 1\n", a=section(up.url, more))
        with House(text) as house:
            before = house.on_loop(lambda: house.proxy.service.router.upstreams["a"].gate.slots)
            house.post(PATH, ASK)
            assert house.on_loop(lambda: house.proxy.service.router.upstreams["a"].gate.slots) == before // 2
            assert house.post(PATH, ASK)[0] == 529


def test_whole_replies_let_an_adaptive_limit_grow_again() -> None:
    """Where its slots are used, that is: here a stream has one all the time."""
    gate = Gate()
    more = "max_concurrent = 4\nadaptive = true\n"
    with Upstream([error(429), held(gate), says("ok")]) as up:
        text = house_text("* = a", QUICK, a=section(up.url, more))
        with House(text) as house, house.connect() as first, house.connect() as client:
            first.send("POST", PATH, STREAM)
            first.head()
            limit = []
            for _ in range(10):
                limit.append(house.on_loop(lambda: house.proxy.service.router.upstreams["a"].gate.slots))
                client.send("POST", PATH, ASK)
                assert said(client.reply()) == "ok"
            assert (limit[0], limit[-1]) == (2, 4)
            gate.open()
            first.body()


# ------------------------------------------------------------------------------------------------ quotas

KEY = {"Authorization": "Bearer alice-key-0123456789"}


def test_a_clients_requests_per_minute() -> None:
    more = "[client alice]\nkey = alice-key-0123456789\nrequests_per_minute = 2\n"
    with Upstream(lambda r: says("ok")) as up, House(house_text("* = a", more, a=up.url)) as house:
        assert [house.post(PATH, ASK, KEY)[0] for _ in range(3)] == [200, 200, 429]
        status, headers, raw = house.post("/v1/messages", ASK | {"max_tokens": 1}, KEY)
        assert status == 429 and json.loads(raw)["error"]["type"] == "rate_limit_error"
        assert 50 <= int(headers["retry-after"]) <= 60 and b"[client alice]" in raw
        assert house.post("/v1/messages/count_tokens", ASK, KEY)[0] == 200
        assert len(up.requests) == 2


def test_a_clients_tokens_per_minute_are_corrected_by_real_usage() -> None:
    more = "[client alice]\nkey = alice-key-0123456789\ntokens_per_minute = 1000\n"
    reply = says("ok")
    reply.body = reply.body.replace(b'"prompt_tokens": 1', b'"prompt_tokens": 5000')  # type: ignore[union-attr]
    with Upstream(lambda r: reply) as up, House(house_text("* = a", more, a=up.url)) as house:
        assert house.post(PATH, ASK, KEY)[0] == 200
        house.wait(lambda p: not p.service.flows)
        assert house.post(PATH, ASK, KEY)[0] == 429


def test_what_a_request_was_charged_is_not_charged_again_by_its_usage() -> None:
    """Of 25000 tokens two requests of 10000 can have theirs at once; a third cannot."""
    more = "[client alice]\nkey = alice-key-0123456789\ntokens_per_minute = 25000\n"
    large = ASK | {"messages": [{"role": "user", "content": "word " * 8000}]}
    reply = says("ok")
    reply.body = reply.body.replace(b'"prompt_tokens": 1', b'"prompt_tokens": 10000')  # type: ignore[union-attr]
    with Upstream(lambda r: reply) as up, House(house_text("* = a", more, a=up.url)) as house:
        statuses = []
        for _ in range(3):
            statuses.append(house.post(PATH, large, KEY)[0])
            house.wait(lambda p: not p.service.flows)
        assert statuses == [200, 200, 429]


def test_who_found_no_place_used_nothing_of_the_upstreams_quota() -> None:
    gate = Gate()
    more = "max_concurrent = 1\nrequests_per_minute = 6\n"
    with Upstream([held(gate), says("a")]) as up:
        text = house_text("* = a", "[admission]\nqueue = 0\n", a=section(up.url, more))
        with House(text) as house, house.connect() as first:
            first.send("POST", PATH, STREAM)
            first.head()
            assert {house.post(PATH, ASK)[0] for _ in range(8)} == {503}
            gate.open()
            first.body()
            house.wait(lambda p: p.service.admission.busy == 0)
            assert [house.post(PATH, ASK)[0] for _ in range(5)] == [200] * 5


def test_an_upstreams_quota_is_waited_for_not_burned() -> None:
    with Upstream(lambda r: says("a")) as up:
        quota = "requests_per_minute = 120\n"
        with House(house_text("* = a", a=section(up.url, quota))) as house, house.connect() as client:
            began = time.monotonic()
            for _ in range(123):
                client.send("POST", PATH, ASK)
                assert said(client.reply()) == "a"
            assert time.monotonic() - began > 1.0  # 120 at once, then two a second


def test_an_upstreams_used_up_quota_sends_to_the_next() -> None:
    with Upstream(lambda r: says("a")) as a, Upstream(lambda r: says("b")) as b:
        quota = "requests_per_minute = 2\n"
        with House(house_text("m = a, b", a=section(a.url, quota), b=b.url)) as house:
            assert [said(house.post(PATH, ASK)) for _ in range(4)] == ["a", "a", "b", "b"]


def test_a_used_up_quota_that_takes_too_long_is_told() -> None:
    with Upstream(lambda r: says("a")) as up:
        with House(house_text("* = a", a=section(up.url, "requests_per_minute = 1\n"))) as house:
            assert house.post(PATH, ASK)[0] == 200
            status, headers, raw = house.post(PATH, ASK)
            assert status == 429 and int(headers["retry-after"]) > 30 and b"requests_per_minute" in raw
