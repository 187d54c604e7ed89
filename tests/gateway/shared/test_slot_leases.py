"""Requests at once at an upstream are bounded for all workers together, and unused slots go to who needs them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.limits.admission import Admission, AdmissionLimits, Gate, Slot
from gateway.shared.memory_store import MemoryStore
from gateway.shared.shared import Shared
from gateway.shared.slot_leases import LEASE_S, SlotLeases
from tests.support.waiting import soon
from translate.failures.errors import ApiError


class Worker:
    def __init__(self, name: str, store: MemoryStore, bound: int, count: int) -> None:
        self.shared = Shared("", "t", Path("/nonexistent"))
        self.shared.store, self.shared.members = store, count
        self.gate = Gate("a", bound)
        self.admission = Admission(AdmissionLimits(100, 100, 5.0), asyncio.get_running_loop().time)
        self.leases = SlotLeases(self.shared, name, self.admission, lambda: [(self.gate, bound)])
        self.tickets: list[Slot] = []

    def enter(self, count: int) -> None:
        for _ in range(count):
            self.tickets.append(self.admission.enter(self.gate, 5.0, lambda: None, _refused))

    def leave(self, count: int) -> None:
        for slot in [slot for slot in self.tickets if slot.state == "in"][:count]:
            slot.leave()


def _refused(why: ApiError) -> None:
    raise AssertionError(why)


async def rounds(*workers: Worker, count: int = 3) -> list[int]:
    for _ in range(count):
        for worker in workers:
            await worker.leases._round()
    return [worker.gate.busy for worker in workers]


def fleet(bound: int, count: int) -> tuple[MemoryStore, list[float], list[Worker]]:
    now = [0.0]
    store = MemoryStore(lambda: now[0])
    return store, now, [Worker(f"w{n}", store, bound, count) for n in range(count)]


@pytest.mark.gen_test
async def test_all_together_have_no_more_than_the_bound() -> None:
    _, _, (one, two) = fleet(10, 2)
    await rounds(one, two)
    one.enter(20)
    two.enter(20)
    busy = await rounds(one, two)
    assert sum(busy) == 10 and min(busy) >= 2
    one.leave(one.gate.busy)
    assert sum(await rounds(one, two)) == 10


@pytest.mark.gen_test
async def test_one_that_needs_them_gets_the_slots_of_the_idle() -> None:
    _, _, (one, two, three) = fleet(12, 3)
    await rounds(one, two, three)
    one.enter(12)
    busy = await rounds(one, two, three)
    assert busy[0] >= 10 and busy[1:] == [0, 0]
    two.enter(1)
    assert (await rounds(one, two, three))[1] == 1, "and the others still get theirs"


@pytest.mark.gen_test
async def test_with_fewer_slots_than_workers_they_take_turns() -> None:
    _, _, (one, two) = fleet(1, 2)
    await rounds(one, two)
    two.enter(1)
    assert await rounds(one, two) == [0, 1], "an idle worker keeps nothing that another lacks"
    one.enter(1)
    two.enter(2)
    assert await rounds(one, two) == [0, 1]
    two.leave(1)
    assert await rounds(one, two) == [1, 0], "though two has more that wait"
    one.leave(1)
    assert await rounds(one, two) == [0, 1]


@pytest.mark.gen_test
async def test_the_slots_of_a_dead_worker_are_free_again() -> None:
    _, now, (one, two) = fleet(4, 2)
    await rounds(one)
    one.enter(4)
    assert await rounds(one) == [4]
    await rounds(two)
    two.enter(4)
    assert await rounds(two) == [0]
    now[0] += LEASE_S + 1
    assert await rounds(two) == [4]


@pytest.mark.gen_test
async def test_while_the_store_is_away_each_has_its_part() -> None:
    worker = Worker("w", MemoryStore(), 10, 2)
    worker.shared = Shared("redis://127.0.0.1:1", "t", None)  # nothing is started: nobody is there
    worker.shared.members = 2
    worker.leases = SlotLeases(worker.shared, "w", worker.admission, lambda: [(worker.gate, 10)])
    worker.enter(9)
    assert await rounds(worker) == [9], "who is in stays"
    worker.leave(9)
    await rounds(worker)
    worker.enter(9)
    assert await rounds(worker) == [5]


@pytest.mark.gen_test
async def test_who_waits_is_served_at_once() -> None:
    _, _, (one, two) = fleet(10, 2)
    await one.leases.rounds.start()
    await two.leases.rounds.start()
    one.enter(8)
    await soon(lambda: one.gate.busy == 8)
    await one.leases.rounds.stop()
    await two.leases.rounds.stop()
    assert await one.shared.store.slots("slots:a", "x", 10, 10, 1) == (10, 0), "all is given back"
