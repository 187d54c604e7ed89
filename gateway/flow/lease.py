"""What an attempt takes before it goes: its upstream's quota, the breaker's leave, the retry budget, a slot.

`acquire` takes all of it or says how long to wait. A Lease that is not `granted` yet waits for a slot, or for a limiter
that answers later; then `on_granted` or `on_denied` is called. `release` gives all of it back, once, whatever happened.
What an answer took of the quota is settled with its request, when its usage is known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal, NamedTuple

from gateway.limits import limiter
from gateway.limits.admission import Admission, Ticket
from gateway.limits.blame import Blame
from gateway.limits.limiter import Wait
from gateway.limits.retry_policy import Full, Unasked
from gateway.routing.router import Route
from translate.errors import ApiError

log = logging.getLogger("gateway")

FAULT = "fault"
Verdict = Literal["answered", "faulted", "unjudged"]


class Terms(NamedTuple):
    """patience_s: the longest wait for a slot. insists: also against the breaker's advice, since no other endpoint is
    left. asks_early: also before the time that the upstream gave. equals: where slots may be free if this endpoint has
    none. paid_at: when the retry budget was asked for it, 0.0 = not at all. blame: whose faults count, see there."""

    admission: Admission
    patience_s: float
    on_granted: Callable[[Lease], None]
    on_denied: Callable[[Lease, ApiError | Wait], None]
    insists: bool = False
    asks_early: bool = False
    cheap: bool = False
    equals: tuple[Route, ...] = ()
    paid_at: float = 0.0
    client: str = ""
    blame: Blame | None = None


class Lease:
    """era: what the breaker gave, 0 where it goes against its advice. charged: tokens, of the upstream's quota."""

    __slots__ = ("_answer", "_blame", "_client", "_released", "_slot", "_terms", "charged", "era", "granted", "paid_at",
                 "route", "sent", "unreached")  # fmt: skip

    def __init__(self, route: Route, terms: Terms) -> None:
        self.route = route
        self.granted = False
        self.charged = 0
        self.era = 0
        self.sent = False
        self.unreached = False  # not even a connection came about, which no request can bring about
        self.paid_at = terms.paid_at
        self._client, self._blame = terms.client, terms.blame
        self._terms: Terms | None = terms
        self._slot: Ticket | None = None
        self._answer: asyncio.Future[float] | None = None  # of a limiter that counts elsewhere
        self._released = False

    def __repr__(self) -> str:
        return f"<Lease of {self.route.place.name}{' granted' * self.granted}{' released' * self._released}>"

    # ------------------------------------------------------------------------------------------ taking

    def _take(self, tokens: int, now: float) -> Wait | None:
        """Raises ApiError."""
        assert self._terms is not None
        quota = self.route.peer.quota
        if quota is not None and not self._terms.asks_early:
            wait = quota.take(tokens, now)
            if not isinstance(wait, int | float):
                self._answer = limiter.when(wait, lambda answer: self._counted(answer, tokens, now))
                return None
            if wait > 0:
                return Wait(wait, limiter.MINE)
            self.charged = tokens
        self._enter(now)
        return None

    def _counted(self, answer: asyncio.Future[float], tokens: int, now: float) -> None:
        """The limiter has answered."""
        terms, self._answer = self._terms, None
        try:
            wait = answer.result()
            if wait <= 0:
                self.charged = tokens
            if self._released or terms is None:  # it is not wanted any more
                self._give_quota_back()
            elif wait > 0:
                terms.on_denied(self, Wait(wait, limiter.MINE))
            else:
                self._enter(now)
                if self.granted:
                    terms.on_granted(self)
        except Exception as why:
            error = why if isinstance(why, ApiError) else ApiError("api", "a limiter of the proxy did not answer")
            if error is not why:
                log.error("%r: a limiter failed", self, exc_info=why)
            if terms is not None and not self._released:
                terms.on_denied(self, error)

    def _enter(self, now: float) -> None:
        terms, route = self._terms, self.route
        assert terms is not None
        self.era = route.place.breaker.allows(now)
        if not self.era and not terms.insists:
            raise Unasked("overloaded", f"upstream '{route.peer.name}' is not answering", 503)
        admission = terms.admission
        if terms.equals and not admission.has_place(route.peer.gate):
            if any(admission.has_place(other.peer.gate) for other in terms.equals):
                raise Full("overloaded", f"upstream '{route.peer.name}' has no place free", 503)
        self._slot = admission.enter(
            route.peer.gate, terms.patience_s, self._placed, self._denied, terms.cheap, terms.client
        )
        self.granted = self._slot.state == "in"

    def _placed(self) -> None:
        terms, self._terms = self._terms, None
        self.granted = True
        if terms is not None:
            terms.on_granted(self)

    def _denied(self, full: ApiError) -> None:
        terms, self._terms = self._terms, None
        if terms is not None:
            terms.on_denied(self, full)

    # ---------------------------------------------------------------------------------------- while it runs

    def goes(self) -> None:
        """Its attempt is being sent."""
        self.sent = True
        self.route.place.busy += 1

    def heard(self, status: int, first_byte_ms: float | None) -> None:
        """The head of a reply is here. first_byte_ms: of a stream; others say little about how busy an upstream is."""
        gate = self.route.peer.gate
        if status == 200 and gate.adaptive is not None and self._slot is not None:
            gate.answered(first_byte_ms)
            self._slot.admission.serve()

    def probed(self, now: float) -> None:
        """The client has its first bytes. A probe has done its part by that: its stream may go on for minutes."""
        breaker = self.route.place.breaker
        if breaker.state == "half-open":
            breaker.answered(now, self.era)

    # ----------------------------------------------------------------------------------------- giving back

    def release(self, verdict: Verdict, now: float, *, worked: bool = False) -> None:
        """worked: the upstream has done something for it, which counts."""
        if self._released:
            return
        self._released = True
        self._terms = None
        route = self.route
        if self.paid_at and not self.sent:
            route.peer.budget.give_back(self.paid_at)
        if not worked:
            self._give_quota_back()
        if self.sent:
            route.place.busy -= 1
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.leave()
        breaker = route.place.breaker
        if worked and self._blame is not None:
            self._blame.answered(route.place.name, FAULT)
        if verdict == "answered":
            breaker.answered(now, self.era)
        elif verdict == "faulted" and (self.unreached or self.is_the_upstreams(FAULT, now)):
            breaker.faulted(now, self.era)
        else:
            breaker.unjudged(self.era)

    def is_the_upstreams(self, kind: str, now: float) -> bool:
        """A fault of this kind, and not one that this client alone brings about."""
        blame = self._blame
        return blame is None or blame.is_the_upstreams(self.route.place.name, kind, self._client, now)

    def _give_quota_back(self) -> None:
        quota = self.route.peer.quota
        if not self.charged or quota is None:
            return
        if self.sent:
            limiter.finish(quota.correct(-self.charged))
        else:
            limiter.finish(quota.give_back(self.charged))
        self.charged = 0

    def settle(self, taken: int) -> None:
        """What the request really took, in tokens."""
        quota = self.route.peer.quota
        if self.charged and quota is not None:
            limiter.finish(quota.correct(taken - self.charged))
        self.charged = 0


def acquire(route: Route, tokens: int, now: float, terms: Terms) -> Lease | Wait:
    """All that an attempt needs, now or when there is a slot; or how long it had better wait. Raises ApiError where it
    gets nothing; then nothing is kept either."""
    lease = Lease(route, terms)
    try:
        wait = lease._take(tokens, now)
    except ApiError:
        lease.release("unjudged", now)
        raise
    if wait is not None:
        lease.release("unjudged", now)
        return wait
    if lease.granted:
        lease._terms = None
    return lease
