"""Who waits for a place, and what becomes of it: a free equal, a wait in vain, a place that is of no use."""

from __future__ import annotations

import time
from contextlib import ExitStack

from tests.support.house import House
from tests.support.script import Answer, Gate, Request, Upstream
from tests.support.two_upstreams import ASK, PATH, QUICK, STREAM, error, held, house_text, said, says, section


def test_a_free_equal_takes_over_at_once_from_a_full_one() -> None:
    """Even from a session's own place: to wait there costs more than its prompt cache is worth."""
    gate = Gate()

    def answer(request: Request) -> Answer:
        return held(gate) if request.json.get("stream") else says("a")

    with Upstream(answer) as a, Upstream(lambda r: says("b")) as b:
        with House(house_text("m = a | b", a=section(a.url), b=b.url)) as house, house.connect() as first:
            sessions = [{"X-Session-Id": f"session-{number}"} for number in range(20)]
            home = next(session for session in sessions if said(house.post(PATH, ASK, session)) == "a")
            first.send("POST", PATH, STREAM, home)
            first.head()
            assert said(house.post(PATH, ASK, home)) == "b"
            assert house.on_loop(lambda: house.proxy.service.admission.queued) == 0
            gate.open()
            first.body()
            house.wait(lambda p: p.service.admission.busy == 0)
            assert said(house.post(PATH, ASK, home)) == "a"


def test_the_next_stage_is_for_failures_and_not_for_bursts() -> None:
    gate = Gate()
    with Upstream([held(gate), says("a")]) as a, Upstream(lambda r: says("b")) as b:
        text = house_text("m = a, b", a=section(a.url), b=b.url)
        with House(text) as house, house.connect() as first, house.connect() as second:
            first.send("POST", PATH, STREAM)
            first.head()
            second.send("POST", PATH, ASK)
            house.wait(lambda p: p.service.admission.waiting == 1)
            gate.open()
            assert said(second.reply()) == "a" and not b.requests


def test_who_waited_in_vain_gives_the_breakers_probe_back() -> None:
    gate = Gate()
    more = "[admission]\nqueue_seconds = 0.2\n[breaker]\nconsecutive = 1\ncooldown = 0.1\n[retry]\nmax_attempts = 1\n"
    with Upstream([held(gate), error(500), says("ok")]) as up:
        text = house_text("* = a", more, a=section(up.url, "max_concurrent = 2\n"))
        with House(text) as house, house.connect() as first:
            first.send("POST", PATH, STREAM)
            first.head()
            assert house.post(PATH, ASK)[0] == 500
            (place,) = house.on_loop(lambda: list(house.proxy.service.places))
            assert place.breaker.state == "open"
            house.on_loop(lambda: house.proxy.service.router.upstreams["a"].gate.resize(1, False))
            house.wait(lambda p: place.breaker.would_allow(time.monotonic()))
            assert house.post(PATH, ASK)[0] == 503 and len(up.requests) == 2
            gate.open()
            first.body()
            house.wait(lambda p: p.service.admission.busy == 0)
            assert said(house.post(PATH, ASK)) == "ok"
            assert house.on_loop(lambda: place.breaker.state) == "closed"


def test_what_an_upstream_cannot_take_does_not_wait_for_it() -> None:
    """That an upstream of another protocol cannot go on from a response is known before its turn comes."""
    gate = Gate()
    reply = Answer.json({"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": []})
    body = {"model": "m", "input": "x", "previous_response_id": "resp_unknown"}
    with Upstream([held(gate)]) as a, Upstream([reply]) as b:
        text = house_text("* = a, b", QUICK, a=section(a.url), b=section(b.url, "", "responses"))
        with House(text) as house, house.connect() as first, house.connect() as second:
            assert house.post("/v1/responses", body)[0] == 200
            first.send("POST", PATH, STREAM)
            first.head()
            second.send("POST", "/v1/responses", body)
            assert second.reply()[0] == 200, "while the first upstream has no slot free"
            assert house.on_loop(lambda: house.proxy.service.admission.waiting) == 0
            gate.open()
            assert not a.requests[1:] and len(b.requests) == 2


def test_as_shipped_hundreds_of_streams_run_at_once() -> None:
    """A stream of an agent lasts minutes: who waits for a place gets none."""
    gate = Gate()
    with Upstream(lambda _: held(gate)) as up, House(house_text("m = a", a=up.url)) as house, ExitStack() as clients:
        streams = [clients.enter_context(house.connect()) for _ in range(300)]
        for stream in streams:
            stream.send("POST", PATH, STREAM)
        assert {stream.head()[0] for stream in streams} == {200}
        assert house.on_loop(lambda: house.proxy.service.admission.queued) == 0
        gate.open()
        assert all(b"[DONE]" in stream.body() for stream in streams)
