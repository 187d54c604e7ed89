"""The adaptive limit: grows while answers are quick, follows the upstream's own limit, is not led astray by chance."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.limits.concurrency_limit import LEAST, Adaptive

MOST = 100


@dataclass(frozen=True)
class Server:
    """base_ms: the first byte's time at ease, spread by so much. Above `capacity` at once it takes longer in
    proportion; above `refuses` it says 429."""

    base_ms: float = 800.0
    spread: float = 0.6
    capacity: float = math.inf
    refuses: float = math.inf


def run(limit: Adaptive, server: Server, answers: int, clients: int = 500, seed: int = 1) -> list[int]:
    """As many as the limit lets, always. Returns the limit after each answer."""
    rng = random.Random(seed)
    now, busy, seen = 0.0, 0, []
    ends: list[tuple[float, float]] = []
    while len(seen) < answers:
        while busy < min(limit.limit, clients):
            busy += 1
            ms = server.base_ms * rng.lognormvariate(0, server.spread) * max(1.0, busy / server.capacity)
            heapq.heappush(ends, (now + 0.02, -1.0) if busy > server.refuses else (now + ms / 1000, ms))
        now, ms = heapq.heappop(ends)
        if ms < 0:
            limit.refused(now)
        else:
            limit.answered(ms, busy)
            seen.append(limit.limit)
        busy -= 1
    return seen


def mean(values: list[int]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("spread", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("base_ms", [30.0, 800.0, 20_000.0])
def test_grows_to_the_most_where_nothing_slows_down(base_ms: float, spread: float) -> None:
    """Long and short prompts take what they take: that is no sign of load."""
    seen = run(Adaptive(MOST), Server(base_ms, spread), 3000)
    assert mean(seen[-1000:]) > 0.9 * MOST


@pytest.mark.parametrize("capacity", [10, 20])
def test_stays_near_what_the_upstream_can_do(capacity: int) -> None:
    seen = run(Adaptive(MOST), Server(capacity=capacity), 4000)
    assert capacity <= mean(seen[-2000:]) <= 3.5 * capacity


def test_follows_an_upstream_that_refuses() -> None:
    seen = run(Adaptive(MOST), Server(refuses=30), 2000)
    assert 10 <= mean(seen[-1000:]) <= 50


def test_shrinks_as_it_slows_down_and_grows_again() -> None:
    limit = Adaptive(MOST)
    quick = run(limit, Server(spread=0.2), 1000)[-1]
    slow = run(limit, Server(base_ms=8000, spread=0.2), 300)[-1]
    again = run(limit, Server(spread=0.2), 1000)[-1]
    assert (quick, again) == (MOST, MOST) and slow < 10


def test_a_model_that_became_slower_is_learned_while_few_ask() -> None:
    limit = Adaptive(MOST)
    run(limit, Server(spread=0.2), 1000)
    run(limit, Server(base_ms=8000, spread=0.2), 500, clients=1)
    assert run(limit, Server(base_ms=8000, spread=0.2), 1500)[-1] > 0.9 * MOST


def test_says_nothing_where_few_places_are_used() -> None:
    limit = Adaptive(MOST)
    assert set(run(limit, Server(), 500, clients=9)) == {20}


def test_does_not_judge_by_a_few_answers() -> None:
    limit = Adaptive(MOST)
    limit.answered(1.0, 20)
    for _ in range(10):
        limit.answered(60_000.0, 20)
    assert limit.limit == 20


def test_one_wave_of_refusals_halves_once() -> None:
    limit = Adaptive(MOST)
    for _ in range(50):
        limit.refused(5.0)
    assert limit.limit == 10
    limit.refused(5.05)
    assert limit.limit == 10
    limit.refused(5.2)
    assert limit.limit == 5


def test_a_round_trip_is_as_long_as_the_first_byte_takes() -> None:
    limit = Adaptive(MOST)
    for _ in range(30):
        limit.answered(2000.0, 1)
    for now in (5.0, 6.0, 6.9):
        limit.refused(now)
    assert limit.limit == 10
    limit.refused(7.1)
    assert limit.limit == 5


@pytest.mark.parametrize(("most", "start", "limit"), [(100, 20, 20), (5, 20, 5), (1, 20, 2), (0, 20, 2), (8, 3, 3)])
def test_the_first_limit_lies_within_its_bounds(most: int, start: int, limit: int) -> None:
    assert Adaptive(most, start).limit == limit


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1e9), st.integers(0, 500), st.booleans()), max_size=200), st.integers(0, 300))
def test_stays_within_its_bounds(steps: list[tuple[float, int, bool]], most: int) -> None:
    limit, now = Adaptive(most), 0.0
    for ms, busy, refused in steps:
        now += ms / 1000
        if refused:
            limit.refused(now)
        else:
            limit.answered(ms, busy)
        assert LEAST <= limit.limit <= max(LEAST, most)
