"""The breaker: when it opens, that one probe at a time finds out, that old news changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.limits.breaker import BUCKETS, Breaker, BreakerLimits

LIMITS = BreakerLimits(failure_share=0.5, window=30, min_requests=10, consecutive=5, cooldown=5, max_cooldown=40)


def told(breaker: Breaker, verdicts: str, now: float = 0.0) -> Breaker:
    """Requests one after the other: "." answered, "x" faulted, "-" unjudged."""
    for verdict in verdicts:
        held = breaker.allows(now)
        if verdict == ".":
            breaker.answered(now, held)
        elif verdict == "x":
            breaker.faulted(now, held)
        else:
            breaker.unjudged(held)
    return breaker


def opened(now: float = 0.0) -> Breaker:
    breaker = told(Breaker(LIMITS), "xxxxx", now)
    assert breaker.state == "open"
    return breaker


OPENS: list[tuple[str, str, BreakerLimits]] = [
    ("....", "closed", LIMITS),
    ("xxxx", "closed", LIMITS),
    ("xxxxx", "open", LIMITS),  # in a row
    ("xxxx.xxxx", "closed", LIMITS),  # nine are too few to speak of a share
    ("xxxx.xxxx.", "closed", LIMITS),  # it is judged with a fault, not with an answer
    ("xxxx.xxxx.x", "open", LIMITS),
    (".....xxxx", "closed", LIMITS),
    ("x.x.x.x.x.x", "open", LIMITS),  # the share will do, without a row
    ("..x..x..x..x..x..x", "closed", LIMITS),
    ("xxxx-x", "open", LIMITS),  # without a verdict it does not break the row
    ("----------", "closed", LIMITS),
    ("x", "open", BreakerLimits(consecutive=1)),
    ("x" * 100, "closed", BreakerLimits(enabled=False)),
    ("x.", "closed", BreakerLimits(failure_share=1.0, min_requests=1, consecutive=9)),
    ("x", "open", BreakerLimits(failure_share=1.0, min_requests=1, consecutive=9)),
]


@pytest.mark.parametrize(("verdicts", "state", "limits"), OPENS)
def test_verdicts_open_the_breaker(verdicts: str, state: str, limits: BreakerLimits) -> None:
    assert told(Breaker(limits), verdicts).state == state


def test_the_window_slides() -> None:
    breaker = told(Breaker(LIMITS), "xxxx.xxxx.", now=0.0)
    assert told(breaker, "x.x", now=LIMITS.window + LIMITS.window / BUCKETS).state == "closed"
    breaker = told(Breaker(LIMITS), "xxxx.xxxx.", now=0.0)
    assert told(breaker, "x", now=LIMITS.window - 2 * LIMITS.window / BUCKETS).state == "open"


def test_the_window_keeps_few_buckets() -> None:
    breaker = Breaker(LIMITS)
    for second in range(1000):
        told(breaker, "..x", now=second * 3.0)
    assert breaker.state == "closed" and len(breaker._buckets) <= BUCKETS


def test_open_until_the_cooldown_is_over_then_one_probe() -> None:
    breaker = opened()
    assert not breaker.would_allow(4.9) and not breaker.allows(4.9) and breaker.state == "open"
    assert breaker.would_allow(5.0)
    assert breaker.allows(5.0) and breaker.state == "half-open"
    assert not breaker.would_allow(5.0) and not breaker.allows(5.0) and not breaker.allows(500.0)


def test_would_allow_takes_nothing() -> None:
    breaker = opened()
    assert [breaker.would_allow(5.0) for _ in range(3)] == [True] * 3
    assert breaker.state == "open"


def test_an_answered_probe_closes_it_and_forgets() -> None:
    breaker = told(opened(), "x", now=5.0)
    assert breaker.reopens_at == 15.0
    told(breaker, ".", now=15.0)
    assert breaker.state == "closed" and breaker.allows(15.0)
    assert told(breaker, "xxxx.xxxx", now=15.0).state == "closed"  # neither the row nor the share goes on
    assert told(breaker, "x", now=15.0).state == "open" and breaker.reopens_at == 20.0  # nor the longer cooldown


def test_each_failed_probe_doubles_the_cooldown_up_to_a_bound() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(6):
        waits.append(breaker.reopens_at - now)
        now = breaker.reopens_at
        told(breaker, "x", now)
    assert waits == [5, 10, 20, 40, 40, 40]
    assert breaker.opened_times == 7


def test_a_probe_without_verdict_frees_its_place() -> None:
    breaker = opened()
    breaker.unjudged(breaker.allows(5.0))
    assert breaker.state == "half-open" and breaker.allows(5.0) and not breaker.allows(5.0)


LATE: list[tuple[str, Any]] = [
    ("answered", lambda breaker, held: breaker.answered(6.0, held)),
    ("faulted", lambda breaker, held: breaker.faulted(6.0, held)),
    ("unjudged", lambda breaker, held: breaker.unjudged(held)),
]


@pytest.mark.parametrize("tell", [row[1] for row in LATE], ids=[row[0] for row in LATE])
def test_a_verdict_from_before_it_opened_changes_nothing(tell: Any) -> None:
    breaker = Breaker(LIMITS)
    early = breaker.allows(0.0)
    told(breaker, "xxxxx")
    tell(breaker, early)
    assert breaker.state == "open" and breaker.reopens_at == 5.0
    probe = breaker.allows(6.0)
    tell(breaker, early)
    assert breaker.state == "half-open" and not breaker.allows(6.0), "the probe is still on its way"
    breaker.answered(6.0, probe)
    for _ in range(20):
        tell(breaker, early)
    assert breaker.state == "closed"


@pytest.mark.parametrize("tell", [row[1] for row in LATE], ids=[row[0] for row in LATE])
def test_one_sent_against_advice(tell: Any) -> None:
    """Its answer is as good a sign as a probe's while none is under way; its failure is nothing new."""
    breaker = opened()
    tell(breaker, breaker.allows(1.0))
    assert breaker.state == ("closed" if tell is LATE[0][1] else "open")
    breaker = opened()
    assert breaker.allows(6.0)
    tell(breaker, breaker.allows(6.0))
    assert breaker.state == "half-open" and not breaker.allows(6.0)


def test_verdicts_of_those_who_kept_nothing_count_for_the_present() -> None:
    breaker = Breaker(LIMITS)
    for _ in range(5):
        breaker.faulted(0.0)
    breaker.answered(1.0)
    assert breaker.state == "open"
    assert breaker.allows(5.0)
    breaker.answered(5.0)
    assert breaker.state == "closed"


def test_an_upstream_that_dies_under_load_gets_no_more_than_the_window_and_the_probes() -> None:
    """Fifty at once, each failing after a second, for two minutes; then it lives again."""
    breaker, asked, flying, now, closed_again = Breaker(LIMITS), 0, [], 0.0, None
    while now < 130:
        dead = now < 120
        for held, since in [f for f in flying if now - f[1] >= 1.0]:
            flying.remove((held, since))
            breaker.faulted(now, held) if dead else breaker.answered(now, held)
        while len(flying) < 50 and (held := breaker.allows(now)):
            flying.append((held, now))
            asked += dead
        if not dead and breaker.state == "closed":
            closed_again = now
            break
        now += 0.25
    assert asked <= 50 + 120 / LIMITS.cooldown
    assert asked <= 50 + 6  # 5 + 10 + 20 + 40 + 40 s
    assert closed_again is not None and closed_again <= 120 + LIMITS.max_cooldown + 1


class Flights(RuleBasedStateMachine):
    """Any number of requests at once, ending in any order and way, allowed and forced."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(BreakerLimits(min_requests=4, consecutive=2, cooldown=2, max_cooldown=6, window=5))
        self.now = 100.0
        self.flying: list[int] = []
        self.probes: set[int] = set()

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.0, 7.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def asks(self) -> None:
        would = self.breaker.would_allow(self.now)
        held = self.breaker.allows(self.now)
        assert would == bool(held)
        if self.breaker.state == "half-open" and held:
            assert held not in self.probes
            assert not self.probes & set(self.flying), "never more than one probe at a time"
            self.probes.add(held)
        self.flying.append(held)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), verdict=st.sampled_from(["answered", "faulted", "unjudged"]))
    def ends(self, data: st.DataObject, verdict: str) -> None:
        held = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.probes &= set(self.flying) | {held}
        was, opened_times = self.breaker.state, self.breaker.opened_times
        if verdict == "unjudged":
            self.breaker.unjudged(held)
        else:
            getattr(self.breaker, verdict)(self.now, held)
        self.probes.discard(held)
        if self.breaker.opened_times > opened_times:
            assert verdict == "faulted" and was != "open"
            assert 2 <= self.breaker.reopens_at - self.now <= 6
        if was == "open":
            assert self.breaker.state == ("closed" if (verdict, held) == ("answered", 0) else "open")

    @invariant()
    def never_stuck(self) -> None:
        """Once all have ended, someone may go at the latest when the cooldown is over."""
        if not self.flying:
            assert self.breaker.would_allow(max(self.now, self.breaker.reopens_at))


TestFlights = Flights.TestCase
TestFlights.settings = settings(max_examples=20, stateful_step_count=40)
