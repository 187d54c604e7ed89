"""Requests that ask the same at the same time have one upstream request, and each its whole answer."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.cache.test_cache import CLIENTS, ZERO, key, what
from tests.support.house import Client, Cut, House
from tests.support.script import Answer, Gate, Upstream
from tests.support.two_upstreams import ASK, PATH, error, event, held, house_text, late, said, says, streams

SHARES = "[cache]\ncoalesce = *\n"
STREAM = ZERO | {"stream": True}
ONE_ATTEMPT = "[retry]\nmax_attempts = 1\n"


@contextlib.contextmanager
def clients(house: House, count: int) -> Iterator[list[Client]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(house.connect()) for _ in range(count)]


def coalesced(count: int) -> Any:
    return lambda p: p.service.cache.told["coalesced"] == count


@pytest.mark.parametrize("ask", [ZERO, STREAM])
def test_requests_that_come_before_the_answer_share_it(ask: dict[str, Any]) -> None:
    gate = Gate()
    answer = Answer.sse(streams("a")) if ask is STREAM else says("a")
    with Upstream([late(answer, gate)]) as up, House(house_text("* = a", SHARES, a=up.url)) as house:
        with clients(house, 4) as several:
            for client in several:
                client.send("POST", PATH, ask)
            house.wait(coalesced(3))
            gate.open()
            replies = [client.reply() for client in several]
            assert [said(reply) for reply in replies] == ["a"] * 4
            assert sorted(map(what, replies)) == ["coalesced"] * 3 + ["miss"]
            assert len({reply[1]["x-request-id"] for reply in replies}) == 4
            assert {reply[1]["x-proxy-upstream"] for reply in replies} == {"a"}
            assert all(reply[2] == replies[0][2] for reply in replies)
            several[1].send("POST", PATH, ask)  # the connection is as good as any; nothing is kept
            assert what(several[1].reply()) == "miss"
        assert len(up.requests) == 2
        house.wait(lambda p: not p.service.flows and not p.service.cache.asking)


def test_a_late_one_gets_what_was_sent_and_then_the_rest() -> None:
    gate = Gate()
    with Upstream([held(gate, "word")]) as up, House(house_text("* = a", SHARES, a=up.url)) as house:
        with clients(house, 2) as (first, second):
            first.send("POST", PATH, STREAM)
            assert first.head()[0] == 200
            pieces = first.pieces()
            assert b"word" in next(pieces) + next(pieces)
            second.send("POST", PATH, STREAM)
            assert second.head()[1]["x-proxy-cache"] == "coalesced"
            assert b"word" in next(second.pieces()), "at once"
            gate.open()
            assert b"[DONE]" in second.body() and b"[DONE]" in b"".join(pieces)
        assert len(up.requests) == 1


@pytest.mark.parametrize("leaver", [0, 1])
@pytest.mark.parametrize("begun", [False, True])
def test_one_that_leaves_cancels_nothing_for_the_others(leaver: int, begun: bool) -> None:
    gate = Gate()
    answer = held(gate, "word") if begun else late(Answer.sse(streams("word")), gate)
    with Upstream([answer]) as up, House(house_text("* = a", SHARES, a=up.url)) as house:
        with clients(house, 3) as several:
            for client in several:
                client.send("POST", PATH, STREAM)
                up.wait(lambda u: len(u.requests) == 1)
            house.wait(coalesced(2))
            if begun:
                assert all(client.head()[0] == 200 for client in several)
            several.pop(leaver).socket.close()
            house.wait(lambda p: len(p.service.flows) == 3 - (leaver > 0))
            gate.open()
            assert [b"[DONE]" in (client.body() if begun else client.reply()[2]) for client in several] == [True] * 2
        assert len(up.requests) == 1
        house.wait(lambda p: not p.service.flows)


@pytest.mark.parametrize("begun", [False, True])
def test_the_last_one_that_leaves_cancels_it(begun: bool) -> None:
    gate = Gate()
    answer = held(gate) if begun else late(says("a"), gate)
    ask = STREAM if begun else ZERO
    with Upstream([answer]) as up, House(house_text("* = a", SHARES, a=up.url)) as house:
        with clients(house, 3) as several:
            for client in several:
                client.send("POST", PATH, ask)
                up.wait(lambda u: len(u.requests) == 1)
            house.wait(coalesced(2))
            for client in several:
                assert up.requests[0].state == "answering"
                client.socket.close()
            up.wait(lambda u: u.requests[0].state == "gone")
        house.wait(lambda p: not p.service.flows and not p.service.cache.asking)
        gate.open()


def test_all_get_the_error_and_the_next_one_is_asked_anew() -> None:
    gate = Gate()
    busy = late(error(429, "slow down", {"Retry-After": "7"}), gate)
    with Upstream([busy, says("a")]) as up:
        text = house_text("* = a", SHARES + ONE_ATTEMPT, a=up.url)
        with House(text) as house, clients(house, 3) as several:
            for client in several:
                client.send("POST", PATH, ZERO)
            house.wait(coalesced(2))
            gate.open()
            replies = [client.reply() for client in several]
            assert [reply[0] for reply in replies] == [429] * 3 and len(up.requests) == 1
            assert {reply[1]["retry-after"] for reply in replies} == {"7"}
            assert {b"slow down" in reply[2] for reply in replies} == {True}
            assert len({reply[1]["x-request-id"] for reply in replies}) == 3


def test_a_stream_that_breaks_off_breaks_off_for_all() -> None:
    gate = Gate()
    first = event({"role": "assistant", "content": "word"})
    with Upstream([Answer.sse([first, gate], end="reset")]) as up:
        with House(house_text("* = a", SHARES, a=up.url)) as house, clients(house, 2) as several:
            for client in several:
                client.send("POST", PATH, STREAM)
                assert client.head()[0] == 200
            gate.open()
            bodies = [client.body() for client in several]
            assert bodies[0] == bodies[1] and b'"error"' in bodies[0] and b"word" in bodies[0]


def test_shutdown_ends_each_stream_with_a_word() -> None:
    gate = Gate()
    with Upstream([held(gate, "word")]) as up:
        drain = "[server]\ndrain_seconds = 0\n"
        with House(house_text("* = a", SHARES + drain, a=up.url)) as house, clients(house, 3) as several:
            for client in several:
                client.send("POST", PATH, STREAM)
                assert client.head()[0] == 200
            house.on_loop(lambda: [flow.shut_down() for flow in list(house.proxy.service.flows)])
            bodies = [client.body() for client in several]
            assert all(b'"error"' in body for body in bodies), bodies
        gate.open()


def test_only_requests_with_one_answer_and_only_one_clients() -> None:
    gate = Gate()
    answers = [late(says(str(n)), gate) for n in range(6)]
    with Upstream(answers) as up:
        with House(house_text("* = a", SHARES + CLIENTS, a=up.url)) as house, clients(house, 6) as several:
            asks = [(ASK, "alice"), (ASK, "alice"), (ZERO, "alice"), (ZERO, "bobby")]
            for client, (ask, name) in zip(several, asks, strict=False):
                client.send("POST", PATH, ask, key(name))
            several[4].send("POST", PATH, ZERO, key("alice") | {"Cache-Control": "no-cache"})
            several[5].send("POST", PATH, ZERO, key("alice") | {"Cache-Control": "no-store"})
            up.wait(lambda u: len(u.requests) == 6)
            gate.open()
            assert sorted(said(client.reply()) for client in several) == list("012345")


def test_what_one_may_not_use_is_not_shared_with_it() -> None:
    settings = SHARES + "private = false\n" + CLIENTS.replace("[client bobby]\n", "[client bobby]\nupstreams = b\n")
    gate = Gate()
    with Upstream([late(says("a"), gate)]) as up, Upstream([says("b")]) as other:
        with House(house_text("* = a, b", settings, a=up.url, b=other.url)) as house, clients(house, 2) as (one, two):
            one.send("POST", PATH, ZERO, key("alice"))
            up.wait(lambda u: len(u.requests) == 1)
            two.send("POST", PATH, ZERO, key("bobby"))
            assert said(two.reply()) == "b"
            gate.open()
            assert said(one.reply()) == "a"


def test_failover_is_made_once_for_all() -> None:
    gate = Gate()
    with Upstream([late(error(503), gate)]) as up, Upstream([Answer.sse(streams("b"))]) as other:
        text = house_text("* = a, b", SHARES + ONE_ATTEMPT, a=up.url, b=other.url)
        with House(text) as house, clients(house, 3) as several:
            for client in several:
                client.send("POST", PATH, STREAM)
            house.wait(coalesced(2))
            gate.open()
            replies = [client.reply() for client in several]
            assert [said(reply) for reply in replies] == ["b"] * 3
            assert {reply[1]["x-proxy-upstream"] for reply in replies} == {"b"}
        assert (len(up.requests), len(other.requests)) == (1, 1)


LONG = [event({"content": "x" * 4000}) for _ in range(300)]  # 1.2 MB


def slow_stream(gate: Gate) -> Answer:
    return Answer.sse([event({"role": "assistant", "content": ""}), *LONG[:150], gate, *LONG[150:], *streams("")[2:]])


@pytest.mark.parametrize("entry_kb", [64, 8192])
def test_a_hundred_with_three_slow_readers_and_two_that_leave(entry_kb: int) -> None:
    """One upstream request, and each that stays has every byte; where little may wait for the slow ones (64 KB), the
    upstream waits for them, and where much may, nobody does."""
    gate, settings = Gate(), SHARES + f"entry_kb = {entry_kb}\n"
    answer = Answer.sse([event({"role": "assistant", "content": ""}), gate, *LONG, *streams("")[2:]])
    with Upstream([answer]) as up, House(house_text("* = a", settings, a=up.url)) as house:
        with clients(house, 100) as several:
            for client in several:
                client.send("POST", PATH, STREAM)
            house.wait(coalesced(99))
            slow, leavers, quick = several[:3], several[3:5], several[5:]
            bodies: dict[int, bytes] = {}

            def reads(nth: int, client: Client) -> None:
                with contextlib.suppress(Cut, OSError):
                    bodies[nth] = client.reply()[2]

            threads = [threading.Thread(target=reads, args=(n, client)) for n, client in enumerate(quick)]
            for thread in threads:
                thread.start()
            for client in leavers:
                client.head()
                client.socket.close()
            gate.open()
            if entry_kb == 8192:  # the slow ones have not read a byte
                for thread in threads:
                    thread.join(20)
                assert len(bodies) == 95
            late_ones = [threading.Thread(target=reads, args=(200 + n, client)) for n, client in enumerate(slow)]
            for thread in late_ones:
                thread.start()
            for thread in threads + late_ones:
                thread.join(20)
            assert len(bodies) == 98 and len(set(bodies.values())) == 1
            text = "".join(
                json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
                for line in bodies[0].splitlines()
                if line.startswith(b"data: {")
            )
            assert text == "x" * 1_200_000 and bodies[0].endswith(b"data: [DONE]\n\n")
        assert len(up.requests) == 1
        house.wait(lambda p: not p.service.flows and not p.service.cache.asking)


def test_who_shares_a_stream_and_does_not_read_costs_nobody_a_ping(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    settings = SHARES + "entry_kb = 8192\n[server]\nping_seconds = 0.1\n"
    with Upstream([slow_stream(gate)]) as up, House(house_text("* = a", settings, a=up.url)) as house:
        with clients(house, 3) as (first, stopped, other):
            first.send("POST", PATH, STREAM)
            assert first.head()[0] == 200
            pieces = first.pieces()
            stopped.send("POST", PATH, STREAM)  # and reads nothing
            house.wait(coalesced(1))
            other.send("POST", PATH, STREAM | {"user": "other"})
            assert other.head()[0] == 200
            for of in (pieces, other.pieces()):
                pings = 0
                while pings < 10:
                    pings += next(of).startswith(b": ")
            gate.open()
            assert b"[DONE]" in b"".join(pieces)
    assert "Exception in callback" not in caplog.text


def test_a_stream_too_large_to_be_kept_is_joined_by_nobody_any_more() -> None:
    gate = Gate()
    settings = SHARES + "entry_kb = 64\n"
    with Upstream([slow_stream(gate)]) as up, House(house_text("* = a", settings, a=up.url)) as house:
        with clients(house, 2) as (first, second):
            first.send("POST", PATH, STREAM)
            first.head()
            pieces = first.pieces()
            taken = 0
            while taken < 200_000:
                taken += len(next(pieces))
            second.send("POST", PATH, STREAM)
            up.wait(lambda u: len(u.requests) == 2)
            gate.open()
            assert second.head()[1]["x-proxy-cache"] == "miss"
            assert len(second.body()) == taken + sum(map(len, pieces))


def test_with_a_cache_the_joiners_are_hits_afterwards() -> None:
    gate = Gate()
    both = "[cache]\nmodels = *\ncoalesce = *\n"
    with Upstream([late(Answer.sse(streams("a")), gate)]) as up, House(house_text("* = a", both, a=up.url)) as house:
        with clients(house, 2) as several:
            for client in several:
                client.send("POST", PATH, STREAM)
            house.wait(coalesced(1))
            gate.open()
            bodies = {client.reply()[2] for client in several}
            several[0].send("POST", PATH, STREAM)
            hit = several[0].reply()
            assert what(hit) == "hit" and {hit[2]} == bodies
        assert len(up.requests) == 1


def test_joined_and_asked_again_after_the_connection_was_lost() -> None:
    """[retry] rejoin_seconds goes on working beside it."""
    gate = Gate()
    answer, settings = late(Answer.sse(streams("a")), gate), SHARES + "[retry]\nrejoin_seconds = 5\n"
    with Upstream([answer]) as up, House(house_text("* = a", settings, a=up.url)) as house:
        with clients(house, 2) as (lost, other):
            lost.send("POST", PATH, STREAM)
            up.wait(lambda u: len(u.requests) == 1)
            lost.socket.close()
            house.wait(lambda p: len(p.service.reattach.orphans) == 1)
            other.send("POST", PATH, STREAM)
            house.wait(lambda p: p.service.reattach.joined == 1)
            gate.open()
            assert said(other.reply()) == "a"
        assert len(up.requests) == 1
        house.wait(lambda p: not p.service.flows)
