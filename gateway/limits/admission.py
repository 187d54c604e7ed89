"""How many requests at once: a place for each, a bounded queue for bursts, and a quick no beyond that.

Every upstream has so many places, and all of them together so many. Whoever finds none waits, first come first
served; once the queue has been behind for a while the newest go first, since the oldest are the likeliest to have given
up. Who waited too long, or finds the queue full, is told so at once, with a Retry-After. Cheap questions
(count_tokens) have places and a queue of their own, so that they never stand behind long streams.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

from gateway.limits.concurrency_limit import LEAST, Adaptive
from gateway.limits.retry_policy import Full
from gateway.limits.shares import Shares
from translate.errors import ApiError

log = logging.getLogger("gateway")

CHEAP_PLACES = 8  # at each upstream, beside the others
BEHIND_S = 1.0  # a queue whose head has waited this long is behind: newest first
RETRY_AFTER_S = 1.0
TELL_S = 10.0  # between two warnings that places are used up


@dataclass(frozen=True, slots=True)
class Limits:
    """places: at once, over all upstreams. queue: waiting, over all; of cheap ones as many again at each upstream,
    which alone bounds them. patience: seconds that one may wait. key: the setting that bounds the places."""

    places: int = 100
    queue: int = 200
    patience: float = 10.0
    key: str = "[admission] max_concurrent"


class Gate:
    """The places of one upstream. limit: at once; where the number adapts, `adaptive` moves below it. key: the setting
    that says so. granted: how many of them this worker has, where several share them (shared/slot_leases.py); on_dry:
    is called when somebody has to wait."""

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
        self.tell_at = -math.inf  # not earlier is it said again that it has no place left
        self.cheap = 0
        self.waiting: collections.deque[Ticket] = collections.deque()
        self.cheap_waiting: collections.deque[Ticket] = collections.deque()

    def __repr__(self) -> str:
        return f"<Gate {self.name} {self.busy} of {self.places} busy, {len(self.waiting)} waiting>"

    def resize(self, limit: int, adaptive: bool) -> None:
        """Other settings; who has a place keeps it."""
        self.limit = limit
        if not adaptive:
            self.adaptive = None
        elif self.adaptive is None:
            self.adaptive = Adaptive(limit)
        else:
            self.adaptive.most = max(LEAST, limit)

    def answered(self, first_byte_ms: float | None) -> None:
        """A reply has begun: how many requests the upstream can bear is learned of that. first_byte_ms: of a stream."""
        if self.adaptive is None:
            return
        if first_byte_ms is None:
            self.adaptive.bore(self.busy)
        else:
            self.adaptive.answered(first_byte_ms, self.busy)

    def refused(self, now: float) -> None:
        """The upstream said that this is too much."""
        if self.adaptive is not None:
            self.adaptive.refused(now)

    @property
    def places(self) -> int:
        most = self.limit if self.adaptive is None else min(self.limit, self.adaptive.limit)
        return most if self.granted is None else min(most, self.granted)


class Ticket:
    """A place, or the wait for one. Ends by `leave`, which may be called at any time, and twice."""

    __slots__ = ("_on_place", "_on_refused", "_since", "admission", "cheap", "client", "gate", "state", "timer")

    def __init__(self, admission: Admission, gate: Gate, cheap: bool, client: str = "") -> None:
        self.client = client
        self.admission = admission
        self.gate = gate
        self.cheap = cheap
        self.state = "in"  # in | waiting | gone
        self.timer: asyncio.TimerHandle | None = None
        self._since = 0.0
        self._on_place: Callable[[], None] = _nobody_waits
        self._on_refused: Callable[[ApiError], None] | None = None

    def __repr__(self) -> str:
        return f"<Ticket {self.state} {self.gate.name}>"

    @property
    def queue(self) -> collections.deque[Ticket]:
        return self.gate.cheap_waiting if self.cheap else self.gate.waiting

    def leave(self) -> None:
        """The place is free again, or the wait is over."""
        state, self.state = self.state, "gone"
        self._on_place, self._on_refused = _nobody_waits, None  # nothing is kept alive by this
        if state == "in":
            self.admission._left(self)
        elif state == "waiting":
            self.admission._gave_up(self)


def _nobody_waits() -> None:
    return None


class Admission:
    """`enter` gives a Ticket at once, or queues and calls back, or raises ApiError (503/529)."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        self.busy = 0
        self.waiting = 0
        self.turned_away = 0
        self.entered = 0
        self.queued = 0
        self.shares = Shares()
        self._gates: list[Gate] = []  # those with a queue, in the order in which they are served next

    def __repr__(self) -> str:
        return f"<Admission {self.busy} of {self.limits.places} busy, {self.waiting} waiting>"

    def enter(
        self,
        gate: Gate,
        patience: float,
        on_place: Callable[[], None],
        on_refused: Callable[[ApiError], None],
        cheap: bool = False,
        client: str = "",
    ) -> Ticket:
        """The ticket's state says whether it is "in" now or "waiting"; then one of both is called later. patience:
        seconds that this request can wait, at most. Raises ApiError where the queue is full."""
        ticket = Ticket(self, gate, cheap, client)
        queue = ticket.queue
        if queue:
            self.serve()  # a limit may have grown; those who wait come first
        if self._has_place(ticket):
            self._take(ticket)
            return ticket
        patience = min(patience, self.limits.patience)
        waiting = len(queue) if cheap else self.waiting
        within = cheap or self.shares.may_wait(client, self.limits.queue)
        if waiting >= self.limits.queue or not within or patience <= 0:
            self.turned_away += 1
            self._is_dry(gate)
            raise self._full(ticket, late=patience <= 0)
        self._wait(ticket, patience, on_place, on_refused)
        return ticket

    def serve(self) -> None:
        """Gives away what is free, turn by turn among the upstreams that have a queue. Whoever leaves does this; so
        should whoever raises a limit."""
        turn = 0
        while turn < len(self._gates) and self.busy < self.limits.places:
            gate = self._gates[turn]
            ticket = self._next(gate) if gate.busy < gate.places else None
            if ticket is None:
                turn += 1
                continue
            del self._gates[turn]
            if len(gate.waiting) > 1:
                self._gates.append(gate)  # its next turn comes after the others'
            self._place(ticket)

    def has_place(self, gate: Gate) -> bool:
        """Whether a request could go there at once."""
        return self.busy < self.limits.places and gate.busy < gate.places and not gate.waiting

    def _has_place(self, ticket: Ticket) -> bool:
        gate = ticket.gate
        if ticket.cheap:
            return gate.cheap < CHEAP_PLACES
        is_free = self.busy < self.limits.places and gate.busy < gate.places
        return is_free and (not ticket.client or self._is_within_share(ticket))

    def _is_within_share(self, ticket: Ticket) -> bool:
        return self.shares.may_take(ticket.client, ticket.gate.name, ticket.gate.places, self.limits.places)

    def _next(self, gate: Gate) -> Ticket | None:
        """Of those who wait there, who is within its share."""
        behind = self._clock() - gate.waiting[0]._since > BEHIND_S
        in_turn = reversed(gate.waiting) if behind else iter(gate.waiting)
        return next((ticket for ticket in in_turn if self._is_within_share(ticket)), None)

    def _wait(
        self, ticket: Ticket, patience: float, on_place: Callable[[], None], on_refused: Callable[[ApiError], None]
    ) -> None:
        ticket.state = "waiting"
        ticket._on_place, ticket._on_refused, ticket._since = on_place, on_refused, self._clock()
        ticket.timer = asyncio.get_running_loop().call_later(patience, self._too_late, ticket)
        ticket.queue.append(ticket)
        self.queued += 1
        self._is_dry(ticket.gate)
        if not ticket.cheap:
            self.waiting += 1
            self.shares.waits(ticket.client)
            if ticket.gate.on_dry is not None:
                ticket.gate.on_dry()
            if len(ticket.queue) == 1:
                self._gates.append(ticket.gate)

    def _take(self, ticket: Ticket) -> None:
        if ticket.cheap:
            ticket.gate.cheap += 1
            return
        ticket.gate.busy += 1
        if ticket.client:  # without clients there is nothing to share
            self.shares.takes(ticket.client, ticket.gate.name)
        self.busy += 1
        self.entered += 1

    def _left(self, ticket: Ticket) -> None:
        gate = ticket.gate
        if ticket.cheap:
            gate.cheap -= 1
            if gate.cheap_waiting:
                behind = self._clock() - gate.cheap_waiting[0]._since > BEHIND_S
                self._place(gate.cheap_waiting[-1 if behind else 0])
            return
        gate.busy -= 1
        if ticket.client:
            self.shares.takes(ticket.client, gate.name, -1)
        self.busy -= 1
        if self._gates:
            self.serve()

    def _place(self, ticket: Ticket) -> None:
        """A place for the next of those who wait."""
        ticket.queue.remove(ticket)
        self._out_of_queue(ticket)
        ticket.state = "in"
        self._take(ticket)
        # Not from here: whoever left this place is in the middle of ending.
        asyncio.get_running_loop().call_soon(self._call, ticket)

    @staticmethod
    def _call(ticket: Ticket) -> None:
        if ticket.state == "in":
            ticket._on_place()

    def _out_of_queue(self, ticket: Ticket) -> None:
        if not ticket.cheap:
            self.waiting -= 1
            self.shares.waits(ticket.client, -1)
        if ticket.timer is not None:
            ticket.timer.cancel()

    def _gave_up(self, ticket: Ticket) -> None:
        ticket.queue.remove(ticket)
        self._out_of_queue(ticket)
        if not ticket.cheap and not ticket.queue:
            self._gates.remove(ticket.gate)

    def _too_late(self, ticket: Ticket) -> None:
        ticket.state = "gone"
        self._gave_up(ticket)
        self.turned_away += 1
        if ticket._on_refused is not None:
            ticket._on_refused(self._full(ticket, late=True))

    def _is_dry(self, gate: Gate) -> None:
        """Somebody finds no place: said in the log, now and then."""
        now = self._clock()
        if now < gate.tell_at:
            return
        gate.tell_at = now + TELL_S
        if gate.busy >= gate.places or gate.cheap >= CHEAP_PLACES:
            where = f"to upstream '{gate.name}' is used up: {gate.busy} of {gate.places} ({gate.key}"
            where += ")" if gate.adaptive is None else ", adaptive)"
        else:
            where = f"is used up: {self.busy} of {self.limits.places} ({self.limits.key})"
        log.warning("connection pool %s, and %d more short requests; %d wait, and %d have been turned away so far",
                    where, gate.cheap, self.waiting + len(gate.cheap_waiting), self.turned_away)  # fmt: skip

    def _full(self, ticket: Ticket, late: bool) -> Full:
        """late: it has waited, or may not wait; else the queue is full."""
        gate, limits = ticket.gate, self.limits
        waiting = len(ticket.queue) if ticket.cheap else self.waiting
        if ticket.cheap:
            what = f"upstream '{gate.name}' has {gate.cheap} short requests at once, which is the limit"
        elif not self._is_within_share(ticket) or not self.shares.may_wait(ticket.client, limits.queue):
            what = f"client '{ticket.client}' has its share of the places, or of the queue: the rest is for others"
        elif gate.busy >= gate.places:
            adaptive = f", adaptive: {gate.places} now" if gate.adaptive is not None else ""
            what = (
                f"upstream '{gate.name}' has {gate.busy} requests at once, which is the limit ({gate.key} = "
                f"{gate.limit}{adaptive})"
            )
        else:
            what = f"the proxy has {self.busy} requests at once, which is its limit ({limits.key} = {limits.places})"
        bound = f"queue_seconds = {limits.patience:g}" if late else f"queue = {limits.queue}"
        message = f"{what}, and {waiting} more wait ([admission] {bound}); try again in a moment"
        return Full("overloaded", message, 529, retry_after=RETRY_AFTER_S)
