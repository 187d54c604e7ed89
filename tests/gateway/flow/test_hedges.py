"""A second try while the first is late."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from operate.usage_store import UsageStore
from proxy import Proxy
from tests.gateway.flow.test_left_open import IN_MESSAGES
from tests.gateway.observe.test_record import Seen
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


def opens_and_waits(gate: Gate) -> Answer:
    """It is late, and then its model thinks."""
    used = {"input_tokens": 700, "cache_read_input_tokens": 40, "output_tokens": 1}
    started = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": used}
    opening = b"event: message_start\ndata: %b\n\n" % json.dumps({"type": "message_start", "message": started}).encode()
    return late(Answer.sse([opening, Gate()]), gate)


PRICES = "[prices]\na/* = 10, 10\nb/* = 1, 1\n"


def both_are_read(proxy: Proxy) -> bool:
    return any(rival.incoming.mode == "streaming" for flow in proxy.service.flows for rival in flow.rivals)


@pytest.mark.parametrize("path", ["/v1/messages", PATH])
def test_what_the_slower_one_has_told_is_paid(path: str, tmp_path: Path) -> None:
    """And it is no request more."""
    late_opening, word, ask = Gate(), Gate(), STREAM | {"max_tokens": 9}
    file = tmp_path / "usage.sqlite3"
    text = HEDGE + PRICES + f"[usage]\nfile = {file}\n"

    def thinks(request: Request) -> Answer:
        return Answer.sse(IN_MESSAGES) if len(a.requests) <= 25 else opens_and_waits(late_opening)

    with Upstream(thinks) as a, Upstream(lambda r: late(Answer.sse(streams("b")), word)) as b:
        text = house_text("m = a, b", text, a=section(a.url, "", "messages"), b=b.url)
        with House(text, folder=tmp_path) as house, house.connect() as client:
            told = Seen(house)
            assert [house.post(path, ask)[0] for _ in range(25)] == [200] * 25
            assert "outrun" not in told.last(25)
            client.send("POST", path, ask)
            b.wait(lambda up: len(up.requests) == 1)
            late_opening.open()
            house.wait(both_are_read)
            word.open()
            assert b'"b"' in client.reply()[2]
            record = told.last(26)
            [lost] = record["outrun"]
            assert (record["upstream"], lost["upstream"], lost["model"], lost["key"]) == ("b", "a", "m", 1)
            assert (lost["gen_ai.usage.input_tokens"], lost["gen_ai.usage.output_tokens"]) == (740, 1)
            assert 0.007 < lost["proxy.cost_usd"] < 0.0075
    sums = dict(UsageStore(file).read("0", "9", ("upstream",)))
    assert (sums["a",].requests, sums["b",].requests) == (25, 1)
    assert (sums["a",].input, sums["a",].cache_read) == (25 + 700, 40)


def test_what_it_has_not_told_is_said_to_be_in_no_sum(caplog: Any) -> None:
    caplog.set_level(logging.INFO, "gateway")
    gate = Gate()
    with Upstream(quick_until(gate, "a")) as a, Upstream(lambda r: Answer.sse(streams("b"))) as b:
        with House(house_text("m = a, b", HEDGE, a=a.url, b=b.url)) as house:
            warm(house)
            told = Seen(house)
            assert said(house.post(PATH, STREAM)) == "b"
            house.wait(lambda p: any("outrun" in record for record in told.records))
            [lost] = told.records[-1]["outrun"]
            assert lost["upstream"] == "a" and lost["gen_ai.usage.input_tokens"] is None
    assert any("what a charges for it is in no sum" in line.getMessage() for line in caplog.records)
