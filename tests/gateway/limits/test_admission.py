"""Places and the queue: never too many at once, nobody lost, fair among upstreams, cheap ones on their own."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.limits.admission import BEHIND_S, CHEAP_SLOTS, RETRY_AFTER_S, Admission, AdmissionLimits, Gate, Slot
from gateway.limits.concurrency_limit import Adaptive
from tests.gateway.limits.hall import Hall
from translate.failures.errors import ApiError


def test_who_finds_a_place_is_in_at_once() -> None:
    hall, gate = Hall(slots=2), Gate("a", 5)
    tickets = [hall.enter(gate), hall.enter(gate)]
    assert [slot.state for slot in tickets] == ["in", "in"] and hall.told(60) == []
    assert (hall.admission.busy, gate.busy, hall.admission.queued) == (2, 2, 0)
    assert hall.leave(*tickets) == [] and hall.is_empty()


@pytest.mark.parametrize(("slots", "limit"), [(2, 5), (5, 2)])
def test_the_third_waits_and_follows_the_one_who_leaves(slots: int, limit: int) -> None:
    hall, gate = Hall(slots=slots), Gate("a", limit)
    first, second, third = hall.enter(gate), hall.enter(gate), hall.enter(gate, "third")
    assert third.state == "waiting" and hall.told(1) == []
    assert hall.leave(first) == ["third"] and third.state == "in"
    assert hall.told(100) == [], "its timer went with the wait"
    hall.leave(second, third)
    assert hall.is_empty() and gate.busy == 0


def test_on_place_is_not_called_from_within_leave() -> None:
    hall, gate = Hall(), Gate("a", 1)
    first = hall.enter(gate)
    hall.enter(gate, "second")
    with hall.loop.running():
        first.leave()
    assert hall.news == []


def test_leave_may_be_called_twice_and_at_any_time() -> None:
    hall, gate = Hall(), Gate("a", 1)
    first, second, third = hall.enter(gate), hall.enter(gate, "second"), hall.enter(gate, "third")
    hall.leave(second, second)
    assert hall.leave(first, first) == ["third"]
    hall.leave(first, second, third, third)
    assert hall.is_empty() and (gate.busy, gate.cheap) == (0, 0)


def test_who_leaves_the_queue_frees_no_place() -> None:
    hall, gate = Hall(), Gate("a", 1)
    hall.enter(gate)
    waiting = [hall.enter(gate, str(number)) for number in range(3)]
    assert hall.leave(waiting[0]) == [] and gate.busy == 1 and hall.admission.waiting == 2


def test_who_leaves_between_the_place_and_the_call_passes_it_on() -> None:
    hall, gate = Hall(), Gate("a", 1)
    first, second = hall.enter(gate), hall.enter(gate, "second")
    hall.enter(gate, "third")
    assert hall.leave(first, second) == ["third"]
    assert hall.admission.busy == gate.busy == 1


def test_patience_ends_with_an_honest_error() -> None:
    hall, gate = Hall(patience=10), Gate("a", 1)
    first = hall.enter(gate)
    hall.enter(gate, "short", patience=2.5)
    hall.enter(gate, "long", patience=1e9)
    assert hall.told(2.4) == [] and hall.told(0.2) == ["short refused"]
    assert hall.told(7.3) == [] and hall.told(0.2) == ["long refused"], "the settings bound it"
    error = hall.errors["short"]
    assert (error.kind, error.status, error.retry_after) == ("overloaded", 529, RETRY_AFTER_S)
    assert "upstream 'a' has 1 requests at once" in error.message and "and 1 more wait" in error.message
    assert hall.admission.turned_away == 2
    assert hall.leave(first) == [] and hall.is_empty()


def test_a_full_queue_is_said_at_once() -> None:
    hall, gate = Hall(slots=1, queue=2), Gate("a", 5)
    hall.enter(gate)
    hall.enter(gate)
    hall.enter(gate)
    with pytest.raises(ApiError, match=r"the proxy has 1 requests at once.*and 2 more wait") as caught:
        hall.enter(gate)
    assert (caught.value.status, caught.value.retry_after) == (529, RETRY_AFTER_S)
    assert (hall.admission.turned_away, hall.admission.waiting) == (1, 2)


@pytest.mark.parametrize("patience", [0.0, -1.0])
def test_who_has_no_time_does_not_wait(patience: float) -> None:
    hall, gate = Hall(), Gate("a", 1)
    assert hall.enter(gate, patience=patience).state == "in"
    with pytest.raises(ApiError):
        hall.enter(gate, patience=patience)


def test_no_queue_at_all() -> None:
    hall, gate = Hall(queue=0), Gate("a", 1)
    hall.enter(gate)
    with pytest.raises(ApiError):
        hall.enter(gate)
    for _ in range(CHEAP_SLOTS):
        hall.enter(gate, cheap=True)
    with pytest.raises(ApiError):
        hall.enter(gate, cheap=True)


def served(hall: Hall, first: Slot, tickets: dict[str, Slot]) -> list[str]:
    """The order in which those who wait get their slots, one leaving after the other."""
    order, leaving = [], first
    while told := hall.leave(leaving):
        order += told
        leaving = tickets[told[-1]]
    return order


def test_first_come_first_served() -> None:
    hall, gate = Hall(), Gate("a", 1)
    first = hall.enter(gate)
    tickets = {name: hall.enter(gate, name) for name in "abcd"}
    hall.told(BEHIND_S)
    assert served(hall, first, tickets) == ["a", "b", "c", "d"]


def test_the_newest_first_once_it_is_behind() -> None:
    hall, gate = Hall(), Gate("a", 1)
    first = hall.enter(gate)
    tickets = {name: hall.enter(gate, name) for name in "abc"}
    hall.told(BEHIND_S + 0.1)
    tickets["d"] = hall.enter(gate, "d")
    assert served(hall, first, tickets) == ["d", "c", "b", "a"]


def test_first_come_again_when_the_old_have_gone() -> None:
    hall, gate = Hall(), Gate("a", 1)
    first = hall.enter(gate)
    old = hall.enter(gate, "old")
    hall.told(BEHIND_S + 0.1)
    tickets = {name: hall.enter(gate, name) for name in "abc"}
    hall.leave(old)
    assert served(hall, first, tickets) == ["a", "b", "c"]


# ------------------------------------------------------------------------------------------------ cheap ones


def test_cheap_ones_have_places_of_their_own() -> None:
    hall, gate = Hall(slots=1), Gate("a", 1)
    hall.enter(gate)
    hall.enter(gate, "stream")
    cheap = [hall.enter(gate, cheap=True) for _ in range(CHEAP_SLOTS)]
    assert {slot.state for slot in cheap} == {"in"} and (gate.busy, gate.cheap) == (1, CHEAP_SLOTS)
    assert hall.leave(*cheap) == [], "nor does a stream take theirs"
    assert gate.cheap == 0


def test_cheap_ones_never_wait_behind_streams() -> None:
    hall, gate = Hall(slots=1, queue=3), Gate("a", 1)
    for name in ("stream", "stream 1", "stream 2", "stream 3"):
        hall.enter(gate, name)
    cheap = [hall.enter(gate, cheap=True) for _ in range(CHEAP_SLOTS)]
    more = [hall.enter(gate, f"cheap {number}", cheap=True) for number in range(3)]
    assert {slot.state for slot in more} == {"waiting"}, "streams have filled their queue, not this one"
    with pytest.raises(ApiError, match=f"upstream 'a' has {CHEAP_SLOTS} short requests at once"):
        hall.enter(gate, cheap=True)
    assert hall.leave(cheap[0]) == ["cheap 0"] and hall.leave(cheap[1]) == ["cheap 1"]
    assert hall.told(10) == ["stream 1 refused", "stream 2 refused", "stream 3 refused", "cheap 2 refused"]
    hall.leave(*cheap, *more)
    assert gate.cheap == 0 and gate.busy == 1


def test_a_cheap_one_does_not_overtake_those_who_wait() -> None:
    hall, gate = Hall(), Gate("a", 1)
    cheap = [hall.enter(gate, cheap=True) for _ in range(CHEAP_SLOTS)]
    first, second = hall.enter(gate, "first", cheap=True), hall.enter(gate, "second", cheap=True)
    with hall.loop.running():
        cheap[0].leave()
        assert hall.admission.enter(gate, 9, lambda: None, lambda error: None, cheap=True).state == "waiting"
    assert (first.state, second.state) == ("in", "waiting")


# --------------------------------------------------------------------------------------------------- fairness


def test_turn_by_turn_among_upstreams() -> None:
    """One place in all; a has been queueing far longer than b and c."""
    hall = Hall(slots=1)
    gates = [Gate(name, 5) for name in "abc"]
    first = hall.enter(gates[0])
    tickets = {}
    for gate, count in zip(gates, (6, 2, 4), strict=True):
        for number in range(count):
            tickets[f"{gate.name}{number}"] = hall.enter(gate, f"{gate.name}{number}")
    order = served(hall, first, tickets)
    assert [name[0] for name in order] == list("abcabcacacaa")


def test_many_places_at_once_are_dealt_in_turn() -> None:
    hall = Hall(slots=1)
    gates = [Gate(name, 5) for name in "abc"]
    hall.enter(gates[0])
    for gate in gates:
        for number in range(3):
            hall.enter(gate, f"{gate.name}{number}")
    hall.admission.limits = AdmissionLimits(slots=6)
    with hall.loop.running():
        hall.admission.serve()
    assert hall.told() == ["a0", "b0", "c0", "a1", "b1"]


def test_an_upstream_that_is_full_keeps_its_turn_and_holds_up_no_other() -> None:
    hall = Hall(slots=2)
    a, b = Gate("a", 1), Gate("b", 2)
    at_a, at_b = hall.enter(a), hall.enter(b)
    tickets = {name: hall.enter(a if name[0] == "a" else b, name) for name in ("a0", "a1", "b0", "b1", "b2")}
    assert hall.leave(at_b) == ["b0"], "a is full"
    assert hall.leave(tickets["b0"]) == ["b1"]
    assert hall.leave(at_a) == ["a0"]
    assert hall.leave(tickets["a0"]) == ["b2"], "b's turn: a was served last"
    assert hall.leave(tickets["b1"]) == ["a1"]


# ------------------------------------------------------------------------------------------- moving limits


def test_the_adaptive_limit_moves_below_the_fixed_one() -> None:
    adaptive = Adaptive(100, start=8)
    gate = Gate("a", 4, adaptive)
    assert gate.slots == 4
    adaptive.refused(10.0)
    adaptive.refused(20.0)
    assert gate.slots == 2


def test_a_smaller_limit_takes_nothing_away_and_a_larger_one_is_served() -> None:
    hall, gate = Hall(), Gate("a", 3)
    tickets = [hall.enter(gate) for _ in range(3)]
    hall.enter(gate, "x")
    hall.enter(gate, "y")
    gate.limit = 1
    assert hall.leave(tickets[0]) == [] and hall.leave(tickets[1]) == [] and gate.busy == 1
    gate.limit = 2
    newcomer = hall.enter(gate, "z")
    assert hall.told() == ["x"] and newcomer.state == "waiting", "those who wait come first"
    gate.limit = 4
    with hall.loop.running():
        hall.admission.serve()
    assert hall.told() == ["y", "z"]


# ------------------------------------------------------------------------------------------ anything at all


class Crowd(RuleBasedStateMachine):
    """Any requests at three upstreams, that come, leave, wait too long, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.hall = Hall(slots=4, queue=5, patience=3.0)
        self.gates = [Gate("a", 1), Gate("b", 3), Gate("c", 10)]
        self.here: dict[int, Slot] = {}
        self.fate: dict[int, list[str]] = collections.defaultdict(list)

    def tell(self, number: int, what: str) -> Callable[..., None]:
        return lambda *error: self.fate[number].append(what)

    @rule(gate=st.integers(0, 2), patience=st.sampled_from([0.0, 0.5, 2.0, 9.0]), cheap=st.integers(0, 3))
    def enters(self, gate: int, patience: float, cheap: int) -> None:
        number, chosen = len(self.fate), self.gates[gate]
        fate = self.fate[number]
        with self.hall.loop.running():
            try:
                slot = self.hall.admission.enter(
                    chosen, patience, self.tell(number, "placed"), self.tell(number, "refused"), cheap == 0
                )
            except ApiError:
                fate.append("refused")
                return
        if slot.state == "in":
            fate.append("placed")
        self.here[number] = slot

    @rule(gate=st.integers(0, 2))
    def many_cheap_ones_enter(self, gate: int) -> None:
        for _ in range(CHEAP_SLOTS):
            self.enters(gate, 2.0, 0)

    @precondition(lambda self: self.here)
    @rule(data=st.data())
    def leaves(self, data: Any) -> None:
        number = data.draw(st.sampled_from(sorted(self.here)))
        slot = self.here.pop(number)
        was_waiting, busy = slot.state == "waiting", self.hall.admission.busy
        self.hall.leave(slot)
        if was_waiting:
            assert self.fate[number] == [], "gone by itself: nobody calls it"
            assert self.hall.admission.busy == busy
            self.fate[number].append("left")
        if self.fate[number] == []:
            self.fate[number].append("left")  # between its place and the call

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.1, 4.0]))
    def time_passes(self, seconds: float) -> None:
        self.hall.loop.advance(seconds)

    @invariant()
    def never_too_many(self) -> None:
        admission = self.hall.admission
        assert 0 <= admission.busy <= 4 and 0 <= admission.waiting <= 5
        assert admission.busy == sum(gate.busy for gate in self.gates)
        assert admission.waiting == sum(len(gate.waiting) for gate in self.gates)
        for gate in self.gates:
            assert 0 <= gate.busy <= gate.slots and 0 <= gate.cheap <= CHEAP_SLOTS
            assert len(gate.cheap_waiting) <= 5
            assert (gate in admission._gates) == bool(gate.waiting)

    @invariant()
    def nobody_waits_before_a_free_place(self) -> None:
        for gate in self.gates:
            if gate.waiting:
                assert self.hall.admission.busy == 4 or gate.busy == gate.slots
            if gate.cheap_waiting:
                assert gate.cheap == CHEAP_SLOTS

    @invariant()
    def each_has_one_fate_at_most(self) -> None:
        assert all(len(fate) <= 1 for fate in self.fate.values())
        waiting = sum(slot.state == "waiting" for slot in self.here.values())
        assert waiting == sum(len(gate.waiting) + len(gate.cheap_waiting) for gate in self.gates)

    def teardown(self) -> None:
        """Those in leave one by one; the queues drain; nobody is lost."""
        for _ in range(len(self.fate) + 1):
            self.hall.loop.advance(0.1)
            for number, slot in list(self.here.items()):
                if slot.state == "in":
                    self.hall.leave(self.here.pop(number))
        self.hall.loop.advance(10)
        assert all(len(fate) == 1 for fate in self.fate.values())
        assert self.hall.is_empty()
        assert all((gate.busy, gate.cheap) == (0, 0) and not gate.cheap_waiting for gate in self.gates)


TestCrowd = Crowd.TestCase
TestCrowd.settings = settings(max_examples=20, stateful_step_count=40)


def test_on_a_real_loop() -> None:
    """Two hundred at four slots: each gets one, none waits for nothing."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        admission, gate, most = Admission(AdmissionLimits(slots=4), loop.time), Gate("a", 9), 0

        async def one() -> None:
            nonlocal most
            placed: asyncio.Future[None] = loop.create_future()
            slot = admission.enter(gate, 60, lambda: placed.set_result(None), placed.set_exception)
            if slot.state == "waiting":
                await placed
            most = max(most, gate.busy)
            await asyncio.sleep(0)
            slot.leave()

        await asyncio.gather(*(one() for _ in range(200)))
        assert (admission.busy, admission.waiting, gate.busy) == (0, 0, 0)
        return most

    assert asyncio.run(asyncio.wait_for(main(), 20)) == 4
