"""The circuit breaker of one upstream and model: does it answer at all?

closed -> open: within a sliding window, more than a share of the answers were faults, or several in a row. open ->
half-open: after a cooldown, a single request may try. If it is answered, the breaker closes; if not, it opens again,
for twice as long, up to a limit. The breaker only advises: a request without another target may be sent all the same.
Requests that began before it opened tell nothing new. It has no clock: `now` is given, in seconds.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

BUCKETS = 10  # the window consists of so many; the oldest is dropped as a whole

State = Literal["closed", "open", "half-open"]


class BreakerLimits(Struct, frozen=True):
    """[breaker] of the settings, in seconds. consecutive: so many faults in a row open it, even if there were few
    answers."""

    failure_share: float = 0.5
    window: float = 30.0
    min_requests: int = 10
    consecutive: int = 5
    cooldown: float = 5.0
    max_cooldown: float = 120.0
    enabled: bool = True


class Breaker:
    """Call `allows` before a request, then exactly one of `answered`, `faulted` or `unjudged` with the number that
    `allows` gave. This is the number of the breaker's era, by which a verdict that comes too late is known; 0 = the
    breaker advised against the request, which was sent all the same."""

    __slots__ = ("__weakref__", "_buckets", "_cooldown", "_era", "_probing", "_row", "limits", "opened_times",
                 "reopens_at", "state")  # fmt: skip

    def __init__(self, limits: BreakerLimits) -> None:
        self.limits = limits
        self._buckets: dict[int, list[int]] = {}  # number of the bucket -> [answers, faults]
        self._row = 0
        self._cooldown = limits.cooldown
        self._probing = False
        self._era = 1  # goes up with each change of the state
        self.state: State = "closed"
        self.reopens_at = 0.0
        self.opened_times = 0

    def __repr__(self) -> str:
        return f"<Breaker {self.state}{' probing' if self._probing else ''}, {self._row} faults in a row>"

    def resize(self, limits: BreakerLimits) -> None:
        """Takes over changed settings. An open breaker stays open, unless breakers are switched off."""
        if limits.window != self.limits.window:
            self._buckets.clear()  # their numbers depend on the window
        self.limits = limits
        if not limits.enabled and self.state != "closed":
            self._probing = False
            self._row = 0
            self._enter("closed")

    def would_allow(self, now: float) -> bool:
        """Returns the same as `allows`, without becoming the probe."""
        return self.state == "closed" or (not self._probing and now >= self.reopens_at)

    def allows(self, now: float) -> int:
        """Returns the era, which is not 0, if a request may go. In the half-open state this request is the probe, and
        the next one gets 0."""
        if self.state == "closed":
            return self._era
        if self._probing or now < self.reopens_at:
            return 0
        self._probing = True
        self._enter("half-open")
        return self._era

    def answered(self, now: float, held: int | None = None) -> None:
        """An answer came that is no fault of the upstream. held: see the class; None = of the present era."""
        if self._outdated(held) and not (held == 0 and self.state == "open"):
            return
        self._row = 0
        if self.state == "closed":
            self._count(now, 0)
        elif self.state == "half-open" or held == 0:
            self._probing = False
            self._cooldown = self.limits.cooldown
            self._buckets.clear()
            self._enter("closed")

    def faulted(self, now: float, held: int | None = None) -> None:
        if self._outdated(held):
            return
        self._row += 1
        if self.state == "closed":
            self._count(now, 1)
            if self.limits.enabled and (self._row >= self.limits.consecutive or self._too_many()):
                self._open(now)
        elif self.state == "half-open":
            self._cooldown = min(self.limits.max_cooldown, self._cooldown * 2)
            self._open(now)

    def hears(self, now: float, reopens_at: float) -> None:
        """Another worker's breaker has opened. What this worker has seen counts for more: if most of its requests were
        answered, its breaker stays closed, because the fault may be on the other worker's way to the upstream."""
        if self.state == "half-open" or not self.limits.enabled:
            return
        if self.state == "closed":
            recent = [b for number, b in self._buckets.items() if number > now * BUCKETS / self.limits.window - BUCKETS]
            answers, faults = sum(bucket[0] for bucket in recent), sum(bucket[1] for bucket in recent)
            if answers and faults < answers * self.limits.failure_share:
                return
            self._enter("open")
        self.reopens_at = max(self.reopens_at, reopens_at)

    def hears_all_well(self) -> None:
        """Another worker got an answer: the next request may try."""
        if self.state == "open":
            self.reopens_at = 0.0

    def unjudged(self, held: int | None = None) -> None:
        """The request ended without a verdict: its client left, or it was refused for the quota."""
        if not self._outdated(held):
            self._probing = False

    def _outdated(self, held: int | None) -> bool:
        return held is not None and held != self._era

    def _open(self, now: float) -> None:
        self.opened_times += 1
        self._probing = False
        self.reopens_at = now + self._cooldown
        self._enter("open")

    def _enter(self, state: State) -> None:
        self.state = state
        self._era += 1

    def _count(self, now: float, fault: int) -> None:
        number = int(now * BUCKETS / self.limits.window)
        bucket = self._buckets.get(number)
        if bucket is None:
            for old in [n for n in self._buckets if n <= number - BUCKETS]:
                del self._buckets[old]
            bucket = self._buckets[number] = [0, 0]
        bucket[0] += 1
        bucket[1] += fault

    def _too_many(self) -> bool:
        """Returns whether there are too many faults. It is called right after `_count`, which drops old buckets."""
        answers, faults = (sum(bucket[which] for bucket in self._buckets.values()) for which in (0, 1))
        return answers >= self.limits.min_requests and faults >= answers * self.limits.failure_share
