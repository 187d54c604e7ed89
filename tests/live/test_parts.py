"""Bounds that change while something of them is used up."""

from __future__ import annotations

from gateway.limits.admission import Gate
from gateway.limits.breaker import Breaker, BreakerLimits
from gateway.limits.rate_limit import Quota
from gateway.limits.retry_budget import Budget
from gateway.stored.store import ResponseStore


def test_a_quota() -> None:
    quota = Quota(10, 1000, 0.0)
    for _ in range(8):
        assert quota.take(50, 0.0) == 0.0
    more = quota.resized(12, 1000, 0.0)
    assert [more.take(50, 0.0) > 0 for _ in range(5)] == [False] * 4 + [True]  # 12 - 8 are left
    less = more.resized(2, 0, 0.0)
    assert less.take(1, 0.0) > 60 and not less.counts_tokens  # ten too many have been used
    assert quota.resized(0, 0, 0.0).take(10**9, 0.0) == 0.0
    assert not quota.resized(0, 0, 0.0).bounds and Quota(0, 0, 0.0).resized(1, 0, 0.0).take(1, 0.0) == 0.0


def test_a_budget_keeps_its_count() -> None:
    budget = Budget(0.0, 0.2)
    assert [budget.take(5.0) for _ in range(3)] == [True, True, False]
    budget.resize(0.0, 0.3)
    assert [budget.take(5.0) for _ in range(2)] == [True, False]


def test_a_gate() -> None:
    gate = Gate("up", 40)
    gate.resize(40, True)
    assert gate.slots == 20 and gate.adaptive is not None
    learned = gate.adaptive
    gate.resize(10, True)
    assert gate.adaptive is learned and gate.slots == 10
    gate.resize(40, False)
    assert gate.slots == 40


def test_a_breaker() -> None:
    breaker = Breaker(BreakerLimits(consecutive=2, window=30))
    breaker.faulted(0.0)
    breaker.resize(BreakerLimits(consecutive=2, window=60))
    breaker.faulted(0.0)
    assert breaker.state == "open"
    breaker.resize(BreakerLimits(consecutive=3, window=60))
    assert breaker.state == "open"
    breaker.resize(BreakerLimits(enabled=False))
    assert breaker.state == "closed" and breaker.allows(0.0)


def test_a_memory() -> None:
    now = [0.0]
    memory = ResponseStore(10, 1 << 20, 100, lambda: now[0])

    def keep(id: str) -> None:
        draft = memory.draft("me", None, [{"x": id}])
        assert draft is not None
        memory.keep(draft, {"id": id, "output": [{"y": id}], "model": "m"}, True)

    for number in range(6):
        keep(f"r{number}")
    memory.resize(2, 1 << 20, 50)
    assert [memory.find("me", f"r{n}") is not None for n in range(6)] == [False] * 4 + [True] * 2
    memory.resize(0, 1 << 20, 50)
    assert len(memory) == 0 and memory.bytes == 0 and memory.draft("me", None, []) is None


def test_an_entry_that_moves_to_another_worker() -> None:
    now = [0.0]
    one, two = ResponseStore(10, 1 << 20, 100, lambda: now[0]), ResponseStore(10, 1 << 20, 100, lambda: now[0])
    draft = one.draft("me", None, [{"x": "é"}])
    assert draft is not None
    one.keep(draft, {"id": "r", "output": [{"y": 1}], "model": "m"}, True)
    now[0] = 60.0
    assert one.given("other", "r") is None
    given = one.given("me", "r")
    assert given is not None
    two.take("me", given)
    found = two.find("me", "r")
    assert found is not None and found.response() == {"id": "r", "model": "m", "output": [{"y": 1}]}
    assert found.history() == [{"x": "é"}, {"y": 1}] and two.find("other", "r") is None
    now[0] = 101.0  # no later than where it comes from
    assert one.find("me", "r") is None and two.find("me", "r") is None
