"""Far from its bound a worker leases some requests at a time, so that most ask nobody; near it each one asks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gateway.limits.rate_limit import Quota
from gateway.shared.memory_store import MemoryStore
from gateway.shared.shared import Shared
from gateway.shared.shared_quota import SharedQuota
from tests.support.waiting import soon


class Counting(MemoryStore):
    """asked: how many requests have asked it."""

    asked = 0

    def take(self, *args: Any) -> Any:
        self.asked += 1
        return super().take(*args)


def workers(store: MemoryStore, requests: int, tokens: int = 0, count: int = 2) -> list[SharedQuota]:
    found = []
    for _ in range(count):
        shared = Shared("", "t", Path("/nonexistent"))
        shared.store, shared.members = store, count
        found.append(SharedQuota(shared, "client:x", Quota(requests, tokens, time.monotonic(), True)))
    return found


async def taken(one: SharedQuota, tokens: int = 1) -> float:
    wait_s = one.take(tokens, time.monotonic())
    return wait_s if isinstance(wait_s, float) else await wait_s


@pytest.mark.gen_test
async def test_far_from_the_bound_few_ask() -> None:
    store = Counting()
    one, _ = workers(store, 1_000_000)
    assert [await taken(one) for _ in range(200)] == [0.0] * 200
    assert store.asked <= 20


@pytest.mark.parametrize(("requests", "tokens"), [(100, 0), (1000, 0), (0, 100_000), (900, 90_000)])
@pytest.mark.gen_test
async def test_the_bound_is_kept_to_the_last_request(requests: int, tokens: int) -> None:
    quotas = workers(MemoryStore(), requests, tokens, 4)
    each = 100 if tokens else 1
    went = 0
    for number in range(1500):
        went += await taken(quotas[number % 4], each) == 0.0
    assert went == min(requests or 1500, tokens // each if tokens else 1500)


@pytest.mark.gen_test
async def test_what_is_leased_and_not_used_is_given_back() -> None:
    store = Counting()
    one, two = workers(store, 600)
    assert [await taken(one) for _ in range(3)] == [0.0] * 3
    assert one._leased
    await soon(lambda: not one._leased and one._owed == (0.0, 0.0))
    assert [await taken(two) for _ in range(600)].count(0.0) == 597


@pytest.mark.gen_test
async def test_a_request_with_more_tokens_than_are_leased_asks() -> None:
    store = Counting()
    one, _ = workers(store, 0, 10_000_000)
    for _ in range(4):
        await taken(one, 10)
    before = store.asked
    assert await taken(one, 5_000) == 0.0 and store.asked == before + 1
