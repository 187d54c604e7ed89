"""What an attempt takes before it is sent: a key, its upstream's quota, the breaker's leave, the retry budget, a slot.

`acquire` takes all of it or says how long to wait. A Lease that is not "granted" yet waits for a slot, for a key that
is being made, or for a limiter that answers later; then `on_answer` is called. `release` gives all of it back, once,
whatever happened. What an answer took of the quota is settled with its request, when its usage is known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from gateway.credentials.minted import Minted
from gateway.limits import limiter
from gateway.limits.admission import Admission, Slot
from gateway.limits.blame import Blame
from gateway.limits.limiter import Wait
from gateway.limits.retry_policy import Full, Unasked
from gateway.routing.router import Route
from translate.failures.errors import ApiError

log = logging.getLogger("gateway")

FAULT = "fault"
Verdict = Literal["answered", "faulted", "unreached", "unjudged"]
"""unreached: there was not even a connection, and no request of a client can be the cause of that."""


class Terms(Struct, frozen=True):
    """On which terms an attempt takes its lease.

    patience_s: the longest wait for a slot. on_answer: is called for a lease that had to wait; its second argument is
    None, or why the wait was in vain. insists: take it against the breaker's advice, because no other endpoint is left.
    asks_early: take it before the time that the upstream gave. equals: endpoints to prefer if they have a slot free and
    this one has none. paid_at: when the retry budget paid for the attempt, 0.0 = it did not. blame: which faults count,
    see blame.py.
    """

    admission: Admission
    patience_s: float
    on_answer: Callable[[Lease, ApiError | Wait | None], None]
    insists: bool = False
    asks_early: bool = False
    cheap: bool = False
    equals: tuple[Route, ...] = ()
    paid_at: float = 0.0
    client: str = ""
    blame: Blame | None = None


class Lease:
    """What one attempt has taken. state: "waiting" -> "granted" -> "sent" -> "released"; the last may come at any time.
    era: what the breaker gave, 0 if the attempt goes against its advice. charged: the tokens that the upstream's quota
    was charged."""

    __slots__ = ("_blame", "_client", "_paid_at", "_slot", "_terms", "charged", "era", "route", "state")

    def __init__(self, route: Route, terms: Terms) -> None:
        self.route = route
        self.state: Literal["waiting", "granted", "sent", "released"] = "waiting"
        self.charged = 0
        self.era = 0
        self._terms: Terms | None = terms  # while it waits
        self._blame, self._client, self._paid_at = terms.blame, terms.client, terms.paid_at
        self._slot: Slot | None = None

    def __repr__(self) -> str:
        return f"<Lease of {self.route.place.name} {self.state}>"

    # ------------------------------------------------------------------------------------------ taking

    def _take(self, tokens: int, now: float, terms: Terms) -> Wait | None:
        """Takes what is free now, the key first. Raises ApiError."""
        mint = self.route.mint
        if mint is not None and not mint.is_ready():
            limiter.when(mint.have(), lambda answer: self._keyed(answer, tokens, now, terms))
            return None
        return self._charge(tokens, now, terms)

    def _keyed(self, answer: asyncio.Future[Minted], tokens: int, now: float, terms: Terms) -> None:
        """Goes on when the endpoint's key is here, or could not be made."""
        why: ApiError | Wait | None = None
        if answer.cancelled() or self.state == "released":
            return
        try:
            answer.result()
            why = self._charge(tokens, now, terms)
        except ApiError as error:
            why = error
        except Exception as error:
            why = ApiError("api", "the key of an upstream could not be made")
            log.error("%r: a key's source failed", self, exc_info=error)
        if why is not None or self.state == "granted":
            self._answer(why)

    def _charge(self, tokens: int, now: float, terms: Terms) -> Wait | None:
        """Charges the upstream's quota. Raises ApiError."""
        quota = self.route.upstream.quota
        if quota is not None and not terms.asks_early:
            wait = quota.take(tokens, now)
            if not isinstance(wait, int | float):
                limiter.when(wait, lambda answer: self._counted(answer, tokens, now, terms))
                return None
            if wait > 0:
                return Wait(wait, limiter.MINE)
            self.charged = tokens
        self._enter(now, terms)
        return None

    def _counted(self, answer: asyncio.Future[float], tokens: int, now: float, terms: Terms) -> None:
        """Goes on when the limiter has answered."""
        why: ApiError | Wait | None = None
        try:
            wait = answer.result()
            if wait > 0:
                why = Wait(wait, limiter.MINE)
            else:
                self.charged = tokens
                if self.state == "released":  # meanwhile the attempt was given up
                    self._give_quota_back()
                else:
                    self._enter(now, terms)
        except ApiError as error:
            why = error
        except Exception as error:
            why = ApiError("api", "a limiter of the proxy did not answer")
            log.error("%r: a limiter failed", self, exc_info=error)
        if why is not None or self.state == "granted":
            self._answer(why)

    def _enter(self, now: float, terms: Terms) -> None:
        route, admission = self.route, terms.admission
        self.era = route.place.breaker.allows(now)
        if not self.era and not terms.insists:
            raise Unasked("overloaded", f"upstream '{route.upstream.name}' is not answering", 503)
        if terms.equals and not admission.is_free(route.upstream.gate):
            if any(admission.is_free(other.upstream.gate) for other in terms.equals):
                raise Full("overloaded", f"upstream '{route.upstream.name}' has no place free", 503)
        self._slot = admission.enter(
            route.upstream.gate, terms.patience_s, self._got_slot, self._answer, terms.cheap, terms.client
        )
        if self._slot.state == "in":
            self.state = "granted"

    def _got_slot(self) -> None:
        self.state = "granted"
        self._answer(None)

    def _answer(self, why: ApiError | Wait | None) -> None:
        terms, self._terms = self._terms, None
        if terms is not None:
            terms.on_answer(self, why)

    # ---------------------------------------------------------------------------------------- while it runs

    def goes(self) -> None:
        """The attempt is being sent."""
        self.state = "sent"
        self.route.place.busy += 1

    def heard(self, status: int, first_byte_ms: float | None) -> None:
        """The head of a reply is here. first_byte_ms: of a stream. Other replies say little about how busy an upstream
        is."""
        gate = self.route.upstream.gate
        if status == 200 and gate.adaptive is not None and self._slot is not None:
            gate.answered(first_byte_ms)
            self._slot.admission.serve()

    def probed(self, now: float) -> None:
        """The client has the first bytes. A probe has done its part by now; its stream may go on for minutes."""
        breaker = self.route.place.breaker
        if breaker.state == "half-open":
            breaker.answered(now, self.era)

    # ----------------------------------------------------------------------------------------- giving back

    def release(self, verdict: Verdict, now: float, *, worked: bool = False) -> None:
        """Gives everything back; a second call does nothing. worked: the upstream has worked on the request, so the
        quota stays charged."""
        if self.state == "released":
            return
        was_sent, route = self.state == "sent", self.route
        self.state, self._terms = "released", None
        if was_sent:
            route.place.busy -= 1
        elif self._paid_at:
            route.upstream.budget.give_back(self._paid_at)
        if not worked:
            self._give_quota_back(was_sent=was_sent)
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.leave()
        breaker = route.place.breaker
        if worked and self._blame is not None:
            self._blame.answered(route.place.name, FAULT)
        if verdict == "answered":
            breaker.answered(now, self.era)
        elif verdict == "unreached" or (verdict == "faulted" and self._is_theirs(now)):
            breaker.faulted(now, self.era)
        else:
            breaker.unjudged(self.era)

    def _give_quota_back(self, *, was_sent: bool = False) -> None:
        quota = self.route.upstream.quota
        if self.charged and quota is not None:
            limiter.finish(quota.correct(-self.charged) if was_sent else quota.give_back(self.charged))
        self.charged = 0

    def _is_theirs(self, now: float) -> bool:
        """Whether the fault counts as the upstream's, and is not one that only this client brings about."""
        return self._blame is None or self._blame.is_the_upstreams(self.route.place.name, FAULT, self._client, now)

    def settle(self, taken: int) -> None:
        """Corrects the upstream's quota. taken: the tokens that the request really took."""
        quota = self.route.upstream.quota
        if self.charged and quota is not None:
            limiter.finish(quota.correct(taken - self.charged))
        self.charged = 0


def acquire(route: Route, tokens: int, now: float, terms: Terms) -> Lease | Wait:
    """Takes all that an attempt needs, now or when there is a slot, or returns how long it had better wait. Raises
    ApiError if the attempt gets nothing; then nothing stays taken."""
    lease = Lease(route, terms)
    try:
        wait = lease._take(tokens, now, terms)
    except ApiError:
        lease.release("unjudged", now)
        raise
    if wait is not None:
        lease.release("unjudged", now)
        return wait
    if lease.state == "granted":
        lease._terms = None
    return lease
