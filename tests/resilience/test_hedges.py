"""A second try while the first is late, and clients that come back for an answer they had lost."""

from __future__ import annotations

import time

import pytest

from tests.resilience.two import ASK, PATH, STREAM, house_text, said, says, streams
from tests.support.house import House
from tests.support.script import Answer, Gate, Upstream

HEDGE = "[retry]\nhedge = m*\nbudget_per_second = 100\n"


def quick_until(gate: Gate, who: str, quick: int = 25):  # type: ignore[no-untyped-def]
    """Answers `quick` streams at once, then waits for the gate before each."""
    seen = []

    def answer(request):  # type: ignore[no-untyped-def]
        seen.append(request)
        return Answer.sse(streams(who)) if len(seen) <= quick else Answer.sse(streams(who), delay=gate)

    return answer


def warm(house: House) -> None:
    with house.connect() as client:
        for _ in range(25):
            client.send("POST", PATH, STREAM)
            client.reply()


def test_the_quicker_one_wins_and_the_slow_one_is_cancelled() -> None:
    gate = Gate()
    with Upstream(quick_until(gate, "a")) as a, Upstream(lambda r: Answer.sse(streams("b"))) as b:
        with House(house_text("m = a, b", HEDGE, a=a.url, b=b.url)) as house:
            warm(house)
            assert said(house.post(PATH, STREAM)) == "b"
            a.wait(lambda u: u.requests[-1].state == "gone")
            house.wait(lambda p: not p.service.relays and p.service.admission.busy == 0)
            assert (len(a.requests), len(b.requests)) == (26, 1)


def test_with_one_target_the_hedge_goes_there_too() -> None:
    gate = Gate()
    answers = [Answer.sse(streams("a"))] * 25 + [Answer.sse(streams("slow"), delay=gate), Answer.sse(streams("quick"))]
    with Upstream(answers) as up, House(house_text("m = a", HEDGE, a=up.url)) as house:
        warm(house)
        assert said(house.post(PATH, STREAM)) == "quick"


def test_a_client_that_leaves_cancels_both() -> None:
    gate = Gate()
    with Upstream(quick_until(gate, "a")) as a, Upstream(lambda r: Answer.sse(streams("b"), delay=gate)) as b:
        with House(house_text("m = a, b", HEDGE, a=a.url, b=b.url)) as house:
            warm(house)
            with house.connect() as client:
                client.send("POST", PATH, STREAM)
                b.wait(lambda u: len(u.requests) == 1)
            a.wait(lambda u: u.requests[-1].state == "gone")
            b.wait(lambda u: u.requests[-1].state == "gone")
            house.wait(lambda p: not p.service.relays and p.service.admission.busy == 0)


def test_a_hedge_that_fails_leaves_the_first_alone() -> None:
    gate = Gate()
    refuses = Answer.json({"error": {"message": "no"}}, 400)
    with Upstream(quick_until(gate, "a")) as a, Upstream([refuses]) as b:
        with House(house_text("m = a, b", HEDGE, a=a.url, b=b.url)) as house, house.connect() as client:
            warm(house)
            client.send("POST", PATH, STREAM)
            b.wait(lambda u: len(u.requests) == 1 and u.requests[0].state == "answered")
            gate.open()
            assert said(client.reply()) == "a"


def test_other_models_are_not_hedged() -> None:
    gate = Gate()
    with Upstream(quick_until(gate, "a")) as a, Upstream([says("b")]) as b:
        text = house_text("* = a, b", "[retry]\nhedge = z*\n", a=a.url, b=b.url)
        with House(text) as house, house.connect() as client:
            warm(house)
            client.send("POST", PATH, STREAM)
            a.wait(lambda u: len(u.requests) == 26)
            time.sleep(0.3)  # nothing happens in it: there is no event to wait for
            assert not b.requests
            gate.open()
            assert said(client.reply()) == "a"


# ------------------------------------------------------------------------------------------------ rejoin

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
        house.wait(lambda p: len(p.service.rejoin.orphans) == 1)
        with house.connect() as again:
            again.send("POST", PATH, ask)
            house.wait(lambda p: p.service.rejoin.joined == 1)
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
        house.wait(lambda p: len(p.service.rejoin.orphans) == 1)
        gate.open()
        house.wait(lambda p: not p.service.relays)
        assert said(house.post(PATH, ASK)) == "a"
        assert len(up.requests) == 1
        house.wait(lambda p: p.service.rejoin.bytes == 0)


def test_another_key_gets_nothing_of_it() -> None:
    clients = "".join(f"[client {name}]\nkey = {name}-key-0123456789\n" for name in ("alice", "bobby"))
    gate = Gate()
    secret = says("secret")
    secret.delay = gate
    with Upstream([secret, says("own")]) as up, House(house_text("* = a", REJOIN + clients, a=up.url)) as house:
        with house.connect() as client:
            client.send("POST", PATH, ASK, {"X-Api-Key": "alice-key-0123456789"})
            up.wait(lambda u: len(u.requests) == 1)
        house.wait(lambda p: len(p.service.rejoin.orphans) == 1)
        assert said(house.post(PATH, ASK, {"X-Api-Key": "bobby-key-0123456789"})) == "own"
        gate.open()


def test_nobody_comes_and_the_upstream_is_let_go() -> None:
    with Upstream([Answer.silence()]) as up:
        with House(house_text("* = a", "[retry]\nrejoin_seconds = 0.2\n", a=up.url)) as house:
            with house.connect() as client:
                client.send("POST", PATH, ASK)
                up.wait(lambda u: len(u.requests) == 1)
            up.wait(lambda u: u.requests[0].state == "gone")
            house.wait(lambda p: not p.service.relays and not p.service.rejoin.orphans)


def test_what_is_too_large_to_remember_is_cancelled() -> None:
    gate = Gate()
    large = Answer.sse([streams("a" * 2_000_000)[1], gate])
    with Upstream([large]) as up:
        with House(house_text("* = a", "[retry]\nrejoin_seconds = 5\nrejoin_mb = 1\n", a=up.url)) as house:
            with house.connect() as client:
                client.send("POST", PATH, STREAM)
                client.head()
                house.wait(lambda p: any(relay.answer.written > 1_000_000 for relay in p.service.relays))
            up.wait(lambda u: u.requests[0].state == "gone")
            assert house.on_loop(lambda: house.proxy.service.rejoin.bytes) == 0


def test_without_the_setting_a_client_that_leaves_cancels() -> None:
    with Upstream([Answer.silence()]) as up, House(house_text("* = a", a=up.url)) as house:
        with house.connect() as client:
            client.send("POST", PATH, ASK)
            up.wait(lambda u: len(u.requests) == 1)
        up.wait(lambda u: u.requests[0].state == "gone")
