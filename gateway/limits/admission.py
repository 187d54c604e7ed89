"""How many requests may run at once: a slot for each, a queue with a limit for bursts, and a quick refusal beyond that.

Every upstream has a number of slots, and all upstreams together have one. A request that finds no slot waits, first
come first served. Once the queue has been behind for a while, the newest requests go first, because the oldest clients
are the likeliest to have given up. A request that has waited too long, or finds the queue full, is refused with a
Retry-After. Cheap questions (count_tokens) have slots and a queue of their own, so that they never wait behind long
streams.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import math
from collections.abc import Callable

from msgspec import Struct

from gateway.limits.concurrency_limit import LEAST, Adaptive
from gateway.limits.retry_policy import Full
from gateway.limits.shares import Shares
from translate.failures.errors import ApiError

log = logging.getLogger("gateway")

CHEAP_SLOTS = 8  # at each upstream, besides its other slots
BEHIND_S = 1.0  # a queue whose head has waited this long is behind: newest first
RETRY_AFTER_S = 1.0
TELL_S = 10.0  # between two warnings that slots are used up


class AdmissionLimits(Struct, frozen=True):
    """The limits of admission. slots: how many requests at once, over all upstreams. queue: how many wait, over all
    upstreams; cheap ones have a queue of the same length at each upstream, which alone limits them. patience: how many
    seconds a request may wait. key: the setting that limits the slots."""

    slots: int = 100
    queue: int = 200
    patience: float = 10.0
    key: str = "[admission] max_concurrent"


class Gate:
    """The slots of one upstream. limit: how many at once; if the number adapts, `adaptive` moves below it. key: the
    setting that says so. granted: how many of the slots this worker has, if several workers share them
    (shared/slot_leases.py). on_dry: is called when a request has to wait."""

    __slots__ = (
        "adaptive", "busy", "cheap", "cheap_waiting", "granted", "key", "limit", "name", "on_dry", "tell_at", "waiting",
    )  # fmt: skip

    def __init__(self, name: str, limit: int, adaptive: Adaptive | None = None) -> None:
        self.name = name
        self.limit = limit
        self.key = f"[upstream {name}] max_concurrent"
        self.adaptive = adaptive
        self.granted: int | None = None
        self.on_dry: Callable[[], None] | None = None
        self.busy = 0
        self.tell_at = -math.inf  # before this time, the log is not told again that no slot is left
        self.cheap = 0
        self.waiting: collections.deque[Slot] = collections.deque()
        self.cheap_waiting: collections.deque[Slot] = collections.deque()

    def __repr__(self) -> str:
        return f"<Gate {self.name} {self.busy} of {self.slots} busy, {len(self.waiting)} waiting>"

    def resize(self, limit: int, adaptive: bool) -> None:
        """Takes over changed settings. Requests that have a slot keep it."""
        self.limit = limit
        if not adaptive:
            self.adaptive = None
        elif self.adaptive is None:
            self.adaptive = Adaptive(limit)
        else:
            self.adaptive.most = max(LEAST, limit)

    def answered(self, first_byte_ms: float | None) -> None:
        """A reply has begun, from which the adaptive limit learns. first_byte_ms: of a stream."""
        if self.adaptive is None:
            return
        if first_byte_ms is None:
            self.adaptive.bore(self.busy)
        else:
            self.adaptive.answered(first_byte_ms, self.busy)

    def refused(self, now: float) -> None:
        """The upstream has said that there are too many requests."""
        if self.adaptive is not None:
            self.adaptive.refused(now)

    @property
    def slots(self) -> int:
        most = self.limit if self.adaptive is None else min(self.limit, self.adaptive.limit)
        return most if self.granted is None else min(most, self.granted)


class Slot:
    """A slot, or the wait for one. It ends by `leave`, which may be called at any time, and more than once."""

    __slots__ = ("_on_slot", "_on_refused", "_since", "admission", "cheap", "client", "gate", "state", "timer")

    def __init__(self, admission: Admission, gate: Gate, cheap: bool, client: str = "") -> None:
        self.client = client
        self.admission = admission
        self.gate = gate
        self.cheap = cheap
        self.state = "in"  # in | waiting | gone
        self.timer: asyncio.TimerHandle | None = None
        self._since = 0.0
        self._on_slot: Callable[[], None] = _nobody_waits
        self._on_refused: Callable[[ApiError], None] | None = None

    def __repr__(self) -> str:
        return f"<Slot {self.state} {self.gate.name}>"

    @property
    def queue(self) -> collections.deque[Slot]:
        return self.gate.cheap_waiting if self.cheap else self.gate.waiting

    def leave(self) -> None:
        """Frees the slot, or ends the wait."""
        state, self.state = self.state, "gone"
        self._on_slot, self._on_refused = _nobody_waits, None  # so that the slot keeps nothing alive
        if state == "in":
            self.admission._left(self)
        elif state == "waiting":
            self.admission._gave_up(self)


def _nobody_waits() -> None:
    return None


class Admission:
    """Gives out slots. `enter` gives a Slot at once, or queues the request and calls back later, or raises ApiError
    (503/529)."""

    def __init__(self, limits: AdmissionLimits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        self.busy = 0
        self.waiting = 0
        self.turned_away = 0
        self.queued = 0
        self.shares = Shares()
        self._gates: list[Gate] = []  # those with a queue, in the order in which they will be served

    def __repr__(self) -> str:
        return f"<Admission {self.busy} of {self.limits.slots} busy, {self.waiting} waiting>"

    def enter(
        self,
        gate: Gate,
        patience: float,
        on_slot: Callable[[], None],
        on_refused: Callable[[ApiError], None],
        cheap: bool = False,
        client: str = "",
    ) -> Slot:
        """Returns a Slot, whose state is "in" or "waiting"; if it waits, one of the two callbacks is called later.
        patience: how many seconds this request can wait. Raises ApiError if the queue is full."""
        slot = Slot(self, gate, cheap, client)
        queue = slot.queue
        if queue:
            self.serve()  # a limit may have grown, and those who wait come first
        if self._has_slot(slot):
            self._take(slot)
            return slot
        patience = min(patience, self.limits.patience)
        waiting = len(queue) if cheap else self.waiting
        within = cheap or self.shares.may_wait(client, self.limits.queue)
        if waiting >= self.limits.queue or not within or patience <= 0:
            self.turned_away += 1
            self._is_dry(gate)
            raise self._full(slot, late=patience <= 0)
        self._wait(slot, patience, on_slot, on_refused)
        return slot

    def serve(self) -> None:
        """Gives away what is free, in turns among the upstreams that have a queue. It is called when a slot is left,
        and whenever a limit is raised."""
        turn = 0
        while turn < len(self._gates) and self.busy < self.limits.slots:
            gate = self._gates[turn]
            slot = self._next(gate) if gate.busy < gate.slots else None
            if slot is None:
                turn += 1
                continue
            del self._gates[turn]
            if len(gate.waiting) > 1:
                self._gates.append(gate)  # to the end of the row
            self._give(slot)

    def is_free(self, gate: Gate) -> bool:
        """Returns whether a request would get a slot there at once."""
        return self.busy < self.limits.slots and gate.busy < gate.slots and not gate.waiting

    def _has_slot(self, slot: Slot) -> bool:
        gate = slot.gate
        if slot.cheap:
            return gate.cheap < CHEAP_SLOTS
        is_free = self.busy < self.limits.slots and gate.busy < gate.slots
        return is_free and (not slot.client or self._is_within_share(slot))

    def _is_within_share(self, slot: Slot) -> bool:
        return self.shares.may_take(slot.client, slot.gate.name, slot.gate.slots, self.limits.slots)

    def _next(self, gate: Gate) -> Slot | None:
        """Returns the next of those who wait there and are within their share."""
        behind = self._clock() - gate.waiting[0]._since > BEHIND_S
        in_turn = reversed(gate.waiting) if behind else iter(gate.waiting)
        return next((slot for slot in in_turn if self._is_within_share(slot)), None)

    def _wait(
        self, slot: Slot, patience: float, on_slot: Callable[[], None], on_refused: Callable[[ApiError], None]
    ) -> None:
        slot.state = "waiting"
        slot._on_slot, slot._on_refused, slot._since = on_slot, on_refused, self._clock()
        slot.timer = asyncio.get_running_loop().call_later(patience, self._too_late, slot)
        slot.queue.append(slot)
        self.queued += 1
        self._is_dry(slot.gate)
        if not slot.cheap:
            self.waiting += 1
            self.shares.waits(slot.client)
            if slot.gate.on_dry is not None:
                slot.gate.on_dry()
            if len(slot.queue) == 1:
                self._gates.append(slot.gate)

    def _take(self, slot: Slot) -> None:
        if slot.cheap:
            slot.gate.cheap += 1
            return
        slot.gate.busy += 1
        if slot.client:  # without clients, nobody has a share
            self.shares.takes(slot.client, slot.gate.name)
        self.busy += 1

    def _left(self, slot: Slot) -> None:
        gate = slot.gate
        if slot.cheap:
            gate.cheap -= 1
            if gate.cheap_waiting:
                behind = self._clock() - gate.cheap_waiting[0]._since > BEHIND_S
                self._give(gate.cheap_waiting[-1 if behind else 0])
            return
        gate.busy -= 1
        if slot.client:
            self.shares.takes(slot.client, gate.name, -1)
        self.busy -= 1
        if self._gates:
            self.serve()

    def _give(self, slot: Slot) -> None:
        """Gives a slot to the next of those who wait."""
        slot.queue.remove(slot)
        self._out_of_queue(slot)
        slot.state = "in"
        self._take(slot)
        # Not called from here, because the request that left its slot is still ending.
        asyncio.get_running_loop().call_soon(self._call, slot)

    @staticmethod
    def _call(slot: Slot) -> None:
        if slot.state == "in":
            slot._on_slot()

    def _out_of_queue(self, slot: Slot) -> None:
        if not slot.cheap:
            self.waiting -= 1
            self.shares.waits(slot.client, -1)
        if slot.timer is not None:
            slot.timer.cancel()

    def _gave_up(self, slot: Slot) -> None:
        slot.queue.remove(slot)
        self._out_of_queue(slot)
        if not slot.cheap and not slot.queue:
            self._gates.remove(slot.gate)

    def _too_late(self, slot: Slot) -> None:
        slot.state = "gone"
        self._gave_up(slot)
        self.turned_away += 1
        if slot._on_refused is not None:
            slot._on_refused(self._full(slot, late=True))

    def _is_dry(self, gate: Gate) -> None:
        """No slot is free. This is logged now and then."""
        now = self._clock()
        if now < gate.tell_at:
            return
        gate.tell_at = now + TELL_S
        if gate.busy >= gate.slots or gate.cheap >= CHEAP_SLOTS:
            where = f"to upstream '{gate.name}' is used up: {gate.busy} of {gate.slots} ({gate.key}"
            where += ")" if gate.adaptive is None else ", adaptive)"
        else:
            where = f"is used up: {self.busy} of {self.limits.slots} ({self.limits.key})"
        log.warning("connection pool %s, and %d more short requests; %d wait, and %d have been turned away so far",
                    where, gate.cheap, self.waiting + len(gate.cheap_waiting), self.turned_away)  # fmt: skip

    def _full(self, slot: Slot, late: bool) -> Full:
        """Returns the refusal. late: the request has waited, or may not wait; else the queue is full."""
        gate, limits = slot.gate, self.limits
        waiting = len(slot.queue) if slot.cheap else self.waiting
        if slot.cheap:
            what = f"upstream '{gate.name}' has {gate.cheap} short requests at once, which is the limit"
        elif not self._is_within_share(slot) or not self.shares.may_wait(slot.client, limits.queue):
            what = f"client '{slot.client}' has its share of the slots, or of the queue: the rest is for others"
        elif gate.busy >= gate.slots:
            adaptive = f", adaptive: {gate.slots} now" if gate.adaptive is not None else ""
            what = (
                f"upstream '{gate.name}' has {gate.busy} requests at once, which is the limit ({gate.key} = "
                f"{gate.limit}{adaptive})"
            )
        else:
            what = f"the proxy has {self.busy} requests at once, which is its limit ({limits.key} = {limits.slots})"
        bound = f"queue_seconds = {limits.patience:g}" if late else f"queue = {limits.queue}"
        message = f"{what}, and {waiting} more wait ([admission] {bound}); try again in a moment"
        return Full("overloaded", message, 529, retry_after=RETRY_AFTER_S)
