"""A second try while the first is late."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.support.house import House
from tests.support.script import Answer, Gate, Request, Upstream
from tests.support.two_upstreams import PATH, STREAM, error, house_text, late, said, says, section, streams

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
            house.wait(lambda p: not p.service.flows and p.service.admission.busy == 0)
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
            house.wait(lambda p: not p.service.flows and p.service.admission.busy == 0)


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


# ------------------------------------------------------------------------- a hedge that cannot be, or should not

STRICT = HEDGE + "[translate]\nstrict = true\n"
UNTRANSLATABLE = STREAM | {"logit_bias": {"1": 1}}  # Messages has no such thing, and strict says so


def quick_then(last: Answer, quick: int = 25) -> Callable[[Request], Answer]:
    """Answers `quick` streams, then this."""
    seen: list[Request] = []

    def answer(request: Request) -> Answer:
        seen.append(request)
        return Answer.sse(streams("a")) if len(seen) <= quick else last

    return answer


def until_late(house: House) -> None:
    """Until the one request in flight has had its moment for a hedge."""
    house.wait(lambda p: all(r.hedge_timer and r.hedge_timer.when() < time.monotonic() for r in p.service.flows))
    house.on_loop(lambda: None)  # a turn of the loop later, what was due has been done


def test_a_hedge_that_cannot_be_translated_is_no_rival() -> None:
    """Else the first one's end would wait for it, for ever."""
    gate = Gate()
    with Upstream(quick_then(late(error(503), gate))) as a, Upstream() as b:
        with House(house_text("m = a, b", STRICT, a=a.url, b=section(b.url, "", "messages"))) as house:
            warm(house)
            with house.connect() as client:
                client.send("POST", PATH, UNTRANSLATABLE)
                a.wait(lambda u: len(u.requests) == 26)
                until_late(house)
                assert house.on_loop(lambda: house.proxy.service.admission.busy) == 1
                gate.open()
                assert client.reply()[0] == 400 and not b.requests


def test_nor_is_one_that_had_to_wait_for_its_place() -> None:
    gate = Gate()
    with Upstream(quick_until(gate, "a")) as a, Upstream() as b:
        text = house_text("m = a, b", STRICT, a=a.url, b=section(b.url, "max_concurrent = 1\n", "messages"))
        with House(text) as house, house.connect() as client:
            warm(house)
            service = house.proxy.service
            place = service.router.upstreams["b"].gate
            other = house.on_loop(lambda: service.admission.enter(place, 9, lambda: None, lambda error: None))
            client.send("POST", PATH, UNTRANSLATABLE)
            house.wait(lambda p: p.service.admission.waiting == 1)
            house.on_loop(other.leave)
            house.wait(lambda p: p.service.admission.waiting == 0 and p.service.admission.busy == 1)
            gate.open()
            assert said(client.reply()) == "a" and not b.requests


def test_a_hedge_keeps_to_the_quota() -> None:
    gate = Gate()
    with Upstream(quick_until(gate, "a")) as a, Upstream(lambda r: Answer.sse(streams("b"))) as b:
        text = house_text("m = a, b\nz = b", HEDGE, a=a.url, b=section(b.url, "requests_per_minute = 1\n"))
        with House(text) as house, house.connect() as client:
            warm(house)
            assert said(house.post(PATH, STREAM | {"model": "z"})) == "b"
            client.send("POST", PATH, STREAM)
            a.wait(lambda u: len(u.requests) == 26)
            until_late(house)
            gate.open()
            assert said(client.reply()) == "a" and len(b.requests) == 1


def test_who_refused_the_hedge_is_not_asked_once_more() -> None:
    first, second = Gate(), Gate()
    with Upstream(quick_then(late(error(503), first))) as a, Upstream([late(error(429), second), says("b")]) as b:
        text = house_text("m = a, b", HEDGE + "max_attempts = 1\n", a=a.url, b=b.url)
        with House(text) as house, house.connect() as client:
            warm(house)
            client.send("POST", PATH, STREAM)
            b.wait(lambda u: len(u.requests) == 1)
            first.open()
            house.wait(lambda p: all(len(flow.rivals) == 1 for flow in p.service.flows))
            second.open()
            assert client.reply()[0] == 429 and len(b.requests) == 1
