"""The retry budget: a share of the requests or a few a second, over any ten seconds that end in a retry."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.limits.retry_budget import WINDOW_S, Budget

TABLE = [
    # share, per second, requests in one moment, retries that they get
    (0.2, 3.0, 0, 30),
    (0.2, 3.0, 100, 30),
    (0.2, 3.0, 150, 30),
    (0.2, 3.0, 155, 31),
    (0.2, 3.0, 1000, 200),  # the larger of both, not their sum
    (0.0, 3.0, 1000, 30),
    (0.2, 0.0, 1000, 200),
    (0.2, 0.0, 4, 0),
    (0.2, 0.0, 5, 1),
    (0.0, 0.0, 1000, 0),
    (1.0, 0.0, 7, 7),
]


def taken(budget: Budget, now: float) -> int:
    count = 0
    while count < 10_000 and budget.take(now):
        count += 1
    return count


@pytest.mark.parametrize(("share", "per_second", "requests", "retries"), TABLE)
def test_so_many_retries_fit_into_the_budget(share: float, per_second: float, requests: int, retries: int) -> None:
    budget = Budget(share, per_second)
    for _ in range(requests):
        budget.request(50.0)
    assert taken(budget, 50.0) == retries


def test_comes_back_when_the_window_has_passed() -> None:
    budget = Budget(0.2, 3.0)
    assert taken(budget, 0.9) == 30
    assert taken(budget, 10.1) == 0, "less than ten seconds later"
    assert taken(budget, 11.0) == 30


def test_keeps_few_seconds() -> None:
    budget = Budget(0.2, 3.0)
    for second in range(1000):
        budget.request(float(second))
    assert len(budget._seconds) <= WINDOW_S + 1
    assert repr(budget) == "<Budget 0 retries for 11 requests>"


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0, 4), st.booleans(), st.integers(1, 40)), max_size=60),
    st.sampled_from([(0.2, 3.0), (0.2, 0.0), (0.5, 0.3)]),
)
def test_never_more_over_any_ten_seconds(steps: list[tuple[float, bool, int]], limits: tuple[float, float]) -> None:
    share, per_second = limits
    budget, now, requests, retries = Budget(share, per_second), 0.0, [], []
    for pause, asks, count in steps:
        now += pause
        for _ in range(count):
            if asks:
                budget.request(now)
                requests.append(now)
            elif budget.take(now):
                retries.append(now)
                recent_requests = sum(now - WINDOW_S < at for at in requests)
                recent_retries = sum(now - WINDOW_S < at for at in retries)
                assert recent_retries <= max(per_second * WINDOW_S, share * recent_requests) + 1e-9
    most = share * len(requests) + per_second * (now + 2 * WINDOW_S)
    assert len(retries) <= most + 1e-9


@pytest.mark.parametrize("seconds", [0.5, 7.0, 10.0, 60.0, 200.0])
def test_a_storm_gets_a_fifth_more_and_not_a_request_beyond(seconds: float) -> None:
    """Every request fails, and each failure asks for two retries: 20 a second and more."""
    total = max(1000, int(seconds * 20))
    rng = random.Random(4)
    todo = sorted((rng.random() * seconds, 0) for _ in range(total))
    budget, retries = Budget(0.2, 3.0), 0
    while todo:
        now, tries = todo.pop(0)
        if tries == 0:
            budget.request(now)
        if tries < 2 and budget.take(now):
            retries += 1
            todo.append((now + rng.random() * 0.5 * 2**tries, tries + 1))
            todo.sort()
    assert 0.1 * total < retries <= 0.2 * total
