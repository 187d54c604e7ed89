"""Clients that come back for an answer they had lost."""

from __future__ import annotations

import socket
import time

import pytest

from tests.support.house import House
from tests.support.script import Answer, Gate, Upstream
from tests.support.two_upstreams import ASK, PATH, STREAM, error, event, house_text, late, said, says, streams

REJOIN = "[retry]\nrejoin_seconds = 5\n"


@pytest.mark.parametrize("ask", [ASK, STREAM])
def test_who_asks_again_gets_the_answer_on_its_way(ask: dict) -> None:
    gate = Gate()
    whole = says("a")
    whole.delay = gate
    answer = whole if ask is ASK else Answer.sse([*streams("a")[:2], gate, *streams("a")[2:]])
    with Upstream([answer]) as up, House(house_text("* = a", REJOIN, a=up.url)) as house:
        with house.connect() as client:
            client.send("POST", PATH, ask)
            up.wait(lambda u: len(u.requests) == 1)
        house.wait(lambda p: len(p.service.reattach.orphans) == 1)
        with house.connect() as again:
            again.send("POST", PATH, ask)
            house.wait(lambda p: p.service.reattach.joined == 1)
            gate.open()
            assert said(again.reply()) == "a"
            again.send("POST", PATH, ask | {"n": 2})  # the connection is as good as any
            up.wait(lambda u: len(u.requests) == 2)
        assert len(up.requests) == 2


def test_or_the_answer_that_was_complete_meanwhile() -> None:
    gate = Gate()
    whole = says("a")
    whole.delay = gate
    with Upstream([whole]) as up, House(house_text("* = a", REJOIN, a=up.url)) as house:
        with house.connect() as client:
            client.send("POST", PATH, ASK)
            up.wait(lambda u: len(u.requests) == 1)
        house.wait(lambda p: len(p.service.reattach.orphans) == 1)
        gate.open()
        house.wait(lambda p: not p.service.flows)
        assert said(house.post(PATH, ASK)) == "a"
        assert len(up.requests) == 1
        house.wait(lambda p: p.service.reattach.bytes == 0)


def test_another_key_gets_nothing_of_it() -> None:
    clients = "".join(f"[client {name}]\nkey = {name}-key-0123456789\n" for name in ("alice", "bobby"))
    gate = Gate()
    secret = says("secret")
    secret.delay = gate
    with Upstream([secret, says("own")]) as up, House(house_text("* = a", REJOIN + clients, a=up.url)) as house:
        with house.connect() as client:
            client.send("POST", PATH, ASK, {"X-Api-Key": "alice-key-0123456789"})
            up.wait(lambda u: len(u.requests) == 1)
        house.wait(lambda p: len(p.service.reattach.orphans) == 1)
        assert said(house.post(PATH, ASK, {"X-Api-Key": "bobby-key-0123456789"})) == "own"
        gate.open()


def test_a_request_that_fails_late_without_its_client_is_made_anew() -> None:
    """Its stream's head would have gone out before that ([server] head_seconds), if somebody had been there."""
    gate = Gate()
    soon = "[server]\nhead_seconds = 0.6\nping_seconds = 0.1\n"
    with Upstream([late(error(400), gate), Answer.sse(streams("a"))]) as up:
        with House(house_text("* = a", REJOIN + soon, a=up.url)) as house:
            with house.connect() as client:
                client.send("POST", PATH, STREAM)
                up.wait(lambda u: len(u.requests) == 1)
            house.wait(lambda p: len(p.service.reattach.orphans) == 1)
            time.sleep(1.0)
            gate.open()
            house.wait(lambda p: not p.service.flows)
            assert said(house.post(PATH, STREAM)) == "a"


def test_nobody_comes_and_the_upstream_is_let_go() -> None:
    with Upstream([Answer.silence()]) as up:
        with House(house_text("* = a", "[retry]\nrejoin_seconds = 0.2\n", a=up.url)) as house:
            with house.connect() as client:
                client.send("POST", PATH, ASK)
                up.wait(lambda u: len(u.requests) == 1)
            up.wait(lambda u: u.requests[0].state == "gone")
            house.wait(lambda p: not p.service.flows and not p.service.reattach.orphans)


def test_what_is_too_large_to_remember_is_cancelled() -> None:
    gate = Gate()
    large = Answer.sse([streams("a" * 2_000_000)[1], gate])
    with Upstream([large]) as up:
        with House(house_text("* = a", "[retry]\nrejoin_seconds = 5\nrejoin_mb = 1\n", a=up.url)) as house:
            with house.connect() as client:
                client.send("POST", PATH, STREAM)
                client.head()
                house.wait(lambda p: any(flow.writer.written > 1_000_000 for flow in p.service.flows))
            up.wait(lambda u: u.requests[0].state == "gone")
            assert house.on_loop(lambda: house.proxy.service.reattach.bytes) == 0


def test_without_the_setting_a_client_that_leaves_cancels() -> None:
    with Upstream([Answer.silence()]) as up, House(house_text("* = a", a=up.url)) as house:
        with house.connect() as client:
            client.send("POST", PATH, ASK)
            up.wait(lambda u: len(u.requests) == 1)
        up.wait(lambda u: u.requests[0].state == "gone")


# ------------------------------------------------------------------------------ what is not, or no more, there


@pytest.mark.parametrize("ask", [ASK, STREAM])
def test_who_comes_back_for_what_outgrew_its_memory_has_it_made_anew(ask: dict) -> None:
    gate = Gate()
    large = "x" * 2_000_000
    first, then, *end = streams("a")
    answer = late(says(large), gate) if ask is ASK else Answer.sse([first, then, gate, event({"content": large}), *end])
    again = says("again") if ask is ASK else Answer.sse(streams("again"))
    with Upstream([answer, again]) as up:
        with House(house_text("* = a", "[retry]\nrejoin_seconds = 60\nrejoin_mb = 1\n", a=up.url)) as house:
            with house.connect() as client:
                client.send("POST", PATH, ask)
                up.wait(lambda u: len(u.requests) == 1)
                if ask is STREAM:
                    client.head()
            house.wait(lambda p: len(p.service.reattach.orphans) == 1)
            gate.open()
            house.wait(lambda p: not p.service.reattach.orphans and not p.service.flows)
            assert said(house.post(PATH, ask)) == "again"
            assert house.on_loop(lambda: house.proxy.service.reattach.bytes) == 0


def test_an_error_is_not_kept_for_who_comes_back() -> None:
    gate = Gate()
    with Upstream([late(error(500, "boom"), gate), says("fine")]) as up:
        with House(house_text("* = a", REJOIN, a=up.url)) as house:
            with house.connect() as client:
                client.send("POST", PATH, ASK)
                up.wait(lambda u: len(u.requests) == 1)
            house.wait(lambda p: len(p.service.reattach.orphans) == 1)
            gate.open()
            house.wait(lambda p: not p.service.flows)
            assert said(house.post(PATH, ASK)) == "fine"


@pytest.mark.parametrize("name", ["Anthropic-Beta", "OpenAI-Project", "X-Claude-Code-Request-Class"])
def test_another_header_makes_another_question_of_the_same_body(name: str) -> None:
    gate = Gate()
    with Upstream([late(says("first"), gate), says("second")]) as up:
        with House(house_text("* = a", REJOIN, a=up.url)) as house:
            with house.connect() as client:
                client.send("POST", PATH, ASK, {name: "one"})
                up.wait(lambda u: len(u.requests) == 1)
            house.wait(lambda p: len(p.service.reattach.orphans) == 1)
            assert said(house.post(PATH, ASK, {name: "other"})) == "second"
            gate.open()


def test_a_client_too_slow_to_read_leaves_an_answer_that_goes_on() -> None:
    """Its upstream was made to wait for it; nobody is waited for any more."""
    first, *end = streams("a")
    pieces = [event({"content": "x" * 60_000})] * 200
    with Upstream([Answer.sse([first, *pieces, *end])]) as up:
        with House(house_text("* = a", "[retry]\nrejoin_seconds = 20\nrejoin_mb = 100\n", a=up.url)) as house:
            with house.connect() as client:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.send("POST", PATH, STREAM)
                client.head()
                house.wait(lambda p: any(r.lead and r.lead.incoming.exchange.paused for r in p.service.flows))
            house.wait(lambda p: len(p.service.reattach.orphans) == 1)
            house.wait(lambda p: not p.service.flows)
            assert len(said(house.post(PATH, STREAM))) == 60_000 * 200 + 1
            assert len(up.requests) == 1


def test_an_answer_that_nobody_reads_does_not_hold_up_the_shutdown() -> None:
    with Upstream([Answer.silence()]) as up:
        text = "[server]\ndrain_seconds = 20\n" + house_text("* = a", "[retry]\nrejoin_seconds = 60\n", a=up.url)
        with House(text) as house:
            with house.connect() as client:
                client.send("POST", PATH, ASK)
                up.wait(lambda u: len(u.requests) == 1)
            house.wait(lambda p: len(p.service.reattach.orphans) == 1)
            began = time.monotonic()
        assert time.monotonic() - began < 15  # the bound is for one that is waited for, not for speed
