"""A budget is one for all hosts: what is spent at one of them counts at the others."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.limits.budget import Bounds, Spent
from gateway.shared.memory_store import MemoryStore
from gateway.shared.shared import Shared
from gateway.shared.shared_budgets import SharedBudgets
from translate.failures.errors import ApiError

NOON = 1_700_000_000.0
DAY = time.strftime("%Y-%m-%d", time.gmtime(NOON))


def hosts(store: MemoryStore, *, closed: bool = False, names: str = "ab") -> list[SharedBudgets]:
    found = []
    for name in names:
        shared = Shared("", "t", Path("/nonexistent"))
        shared.store = store
        found.append(SharedBudgets(shared, name, closed=closed))
        found[-1].adopt({"alice": Bounds(usd_per_day=1.0), "bob": Bounds(tokens_per_month=100)})
    return found


async def allowed(budgets: SharedBudgets, client: str = "alice", unix: float = NOON) -> bool:
    asked = budgets.ask(client, unix)
    if asked is not None and (why := await asked) is not None:
        raise why
    try:
        budgets.check(client, unix)
    except ApiError:
        return False
    return True


@pytest.mark.gen_test
async def test_what_is_spent_at_one_host_counts_at_the_other_at_once() -> None:
    one, two = hosts(MemoryStore())
    assert await allowed(one) and await allowed(two)
    one.spends("alice", 0.6, 5, NOON)
    assert await allowed(two)
    two.spends("alice", 0.6, 5, NOON)
    assert not await allowed(one) and not await allowed(two)
    assert await allowed(one, unix=NOON + 86_400), "tomorrow is another day"
    two.spends("bob", 0.0, 100, NOON)
    assert not await allowed(one, "bob") and not await allowed(one, "bob", NOON + 86_400)
    assert one.ask("carol", NOON) is None, "who has no budget costs no question"


@pytest.mark.gen_test
async def test_a_store_that_lost_its_memory_is_told_what_each_host_has_in_its_file() -> None:
    one, two = hosts(MemoryStore())
    one.told(NOON, [(DAY, "alice", Spent(0.7, 9)), (DAY[:8] + "01", "alice", Spent(5.0, 9))])
    two.told(NOON, [(DAY, "alice", Spent(0.4, 9))])
    assert not await allowed(one) and not await allowed(two), "1.1 by both together"
    for _ in range(3):
        one.told(NOON, [(DAY, "alice", Spent(0.7, 9))])
    three = hosts(one._shared.store, names="c")[0]  # type: ignore[arg-type]
    assert not await allowed(three)
    assert three._today["alice"].usd == pytest.approx(1.1), "what is told again is not counted again"


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.gen_test
async def test_while_the_store_is_away_a_budget_is_open_or_closed(closed: bool) -> None:
    shared = Shared("redis://127.0.0.1:1", "t", None)  # nothing is started: nobody is there
    budgets = SharedBudgets(shared, "a", closed=closed)
    budgets.adopt({"alice": Bounds(usd_per_day=1.0)})
    if closed:
        with pytest.raises(ApiError, match="budgets is closed") as refused:
            await allowed(budgets)
        assert refused.value.status == 503
    else:
        assert await allowed(budgets)
        budgets.spends("alice", 2.0, 1, NOON)
        assert not await allowed(budgets), "by what is known here"
    assert shared.fallbacks
