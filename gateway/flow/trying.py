"""The tries of one request: a place, a try, and what comes after one that failed.

`plan` holds the routes that may be tried, best first; `at` is the one that is on. Each try needs a place at its
upstream (admission.py), which may mean a wait; a failed one is judged by attempt.decide: the next route, the same one
again after a pause, or the client hears of it. A hedge is a second try while the first one is late: whichever has the
first useful byte wins. Every wait can be cancelled, and none goes beyond the request's deadline.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from typing import Any

from tornado.httputil import HTTPHeaders

from gateway.flow import upstream_request
from gateway.flow.attempt import Try
from gateway.flow.completion import Ending
from gateway.flow.refusal_hold import Refusing
from gateway.limits import retry_policy
from gateway.limits.retry_policy import Chances, Full, Outcome, Unasked
from gateway.observe import scrub
from gateway.routing import balancing
from gateway.routing.router import Route
from translate.errors import ApiError, BadRequest

log = logging.getLogger("gateway")

SOONEST_HEDGE_S = 0.05


class Trying(Ending):
    """The part of a Relay that gets a reply for it."""

    __slots__ = ()

    asked_model: str
    all_rest: bool
    at: int
    deadline: float  # monotonic: no try begins later
    headers: HTTPHeaders
    passed_over: list[str]
    plan: list[Route]
    queued_s: float
    tried: list[str]
    tries: int
    tries_on_route: int

    def start(self, routes: list[Route]) -> None:
        """routes: at least one. Raises ApiError."""
        service = self.service
        now = time.monotonic()
        self.deadline = now + upstream_request.patience(self.headers, service.settings.retry.deadline)
        if len(routes) > 1:
            self.all_rest = not any(route.place.usable(now) for route in routes)
            ordered = balancing.order(routes, upstream_request.affinity(self.headers, self.body), now, service.random)
            routes = self._keepers_first(routes, ordered)
        self.plan = routes if self.task else [route.of(self.body) for route in routes]
        self._go()

    def _keepers_first(self, routes: list[Route], ordered: list[Route]) -> list[Route]:
        """What builds on a response goes to the upstream that keeps it, with the key that made it: even where that one
        had better be left alone, no other will do."""
        recall = self.recall
        if recall is None or not recall.builds_on(self.body) or not (keeper := recall.keeper(self.body)):
            return ordered
        key = recall.keepers_key(self.body)
        made_it = [route for route in routes if route.peer.name == keeper and route.peer.key_names[route.key] == key]
        if key and made_it:
            return made_it + [route for route in ordered if route.peer.name != keeper]
        return sorted(ordered, key=lambda route: route.peer.name != keeper)

    # ----------------------------------------------------------------------------------------- one try

    def _go(self, fresh: bool = False) -> None:
        """A try at the route that is on, or at a later one where that takes none. Raises ApiError."""
        self.timer = None
        self.state = "waiting"
        while True:
            route = self.plan[self.at]
            is_last = self.at + 1 >= len(self.plan)
            new = Try(self, route, fresh)  # type: ignore[arg-type]
            try:
                self.service.hops.check_upstream(route.peer.name, route.peer.base_url)
                if self.task and not self.has_task(route):
                    return
                if not self._is_early(new, is_last):
                    new.held = route.place.breaker.allows(time.monotonic())
                    if not new.held and not is_last and not self.all_rest:
                        raise Unasked("overloaded", f"upstream '{route.peer.name}' is not answering", 503)
                    if not is_last and self._is_full_here_only(route):
                        raise Full("overloaded", f"upstream '{route.peer.name}' has no place free", 503)
                    self._enter(new)
                return
            except ApiError as refusal:
                self._drop(new)
                if is_last or isinstance(refusal, BadRequest):
                    raise
                self._next_route(route, refusal, self.at + 1)

    def _is_full_here_only(self, route: Route) -> bool:
        """Whether the request would wait for a place, and one of its equals has one. Those of a later stage are for
        when this one fails, not for when it is busy."""
        if self.service.admission.has_place(route.peer.gate):
            return False
        equals = [other for other in self.plan[self.at + 1 :] if other.stage == route.stage]
        return any(self.service.admission.has_place(other.peer.gate) for other in equals)

    def _next_route(self, failed: Route, why: ApiError, at: int) -> None:
        self._note(failed, why)
        self.at = at
        self.tries_on_route = 0

    def _note(self, failed: Route, why: ApiError) -> None:
        """For the record. An upstream that was not even asked has not failed."""
        noted = self.passed_over if isinstance(why, Unasked) else self.tried
        noted.append(f"{failed.place.name}: {scrub.logged(why, self.body)[:200]}")

    def _is_early(self, new: Try, is_last: bool) -> bool:
        """Whether the upstream had better not be asked yet: it said so, or its quota is used up. Then the try is put
        off. Raises ApiError (429) where that would take too long, or another place is better."""
        now, route = time.monotonic(), new.route
        wait, limit = route.place.headroom.free_at - now, "its rate limit"
        quota = route.peer.quota
        if wait <= 0 and quota is not None:
            wait, limit = quota.take(self.size_in_tokens(), now), "requests_per_minute or tokens_per_minute"
            new.charged = 0 if wait > 0 else self.size_in_tokens()
        elif wait > self.service.retry.max_retry_after and is_last:
            return False  # too long to wait on its word; its own answer tells the client more than ours would
        if wait <= 0:
            return False
        if not is_last or wait > self.service.retry.max_retry_after or now + wait >= self.deadline:
            message = f"upstream '{route.peer.name}' takes no more for {wait:.1f} s ({limit})"
            raise Unasked("rate_limit", message, 429, retry_after=wait)
        self._later(wait * (1 + 0.1 * self.service.random.random()))  # not all who wait come back in the same instant
        return True

    def _enter(self, new: Try) -> None:
        """A place at its upstream, now or after a wait. Raises ApiError (503) where there is none."""
        now = time.monotonic()
        patience = min(self.deadline - now, self.service.admission.limits.patience - self.queued_s)
        gate = new.route.peer.gate
        new.ticket = self.service.admission.enter(
            gate, patience, functools.partial(self._guarded, self._placed, new),
            functools.partial(self._guarded, self._no_place, new), self.task == "count",
        )  # fmt: skip
        self.lead = new
        self.rivals.append(new)
        if new.ticket.state == "in":
            self._send(new)
        else:
            new.queued_at = now
            self.clock.waits()

    def _has_waited(self, waited: Try) -> None:
        """All waits of a request for places are one; a hedge's is none of it."""
        if not waited.hedged_at:
            self.queued_s += time.monotonic() - waited.queued_at

    def _no_place(self, waited: Try, full: ApiError) -> None:
        """It waited for a place, in vain."""
        self._has_waited(waited)
        self._instead_of(waited, full)

    def _placed(self, waited: Try) -> None:
        """It waited for a place, and has one."""
        self._has_waited(waited)
        try:
            self._send(waited)
        except ApiError as refusal:
            self._instead_of(waited, refusal)

    def _instead_of(self, unsent: Try, why: ApiError) -> None:
        self._drop(unsent)
        if self.rivals:
            self.lead = self.rivals[0]
            return
        if self.at + 1 >= len(self.plan) or isinstance(why, BadRequest):
            raise why
        self._next_route(unsent.route, why, self.at + 1)
        self._go()

    def _drop(self, unsent: Try) -> None:
        """It came to nothing before it was sent: neither a place, nor a probe, nor a rival is left of it."""
        unsent.cancel()
        if unsent in self.rivals:
            self.rivals.remove(unsent)

    def _send(self, new: Try) -> None:
        """Raises ApiError."""
        route, now = new.route, time.monotonic()
        if not self.tries_on_route:
            route.peer.budget.request(now)
        self.tries += 1
        self.tries_on_route += 1
        url, lines, body = self.written_for(new)
        try:
            new.send(url, lines, body)
        except ValueError as why:  # the settings were checked: it is something of the client's
            raise BadRequest(f"a header or the query string cannot be sent on: {why}") from None
        self.service.sent(self, url, body)  # type: ignore[arg-type]
        if self.service.retry.on_refusal and self.at + 1 < len(self.plan):
            new.refusing = Refusing(self.protocol)
        # Only of streams does the first byte tell how late a reply is: others come when they are finished.
        if self.hedge_timer is None and self.envelope.stream and self.service.hedges(self.asked_model):
            self._watch(route)

    # ------------------------------------------------------------------------------------- after a try

    def lost(self, failed: Try, outcome: Outcome) -> None:
        """A try has ended without an answer. Nothing of it has gone to the client."""
        if failed in self.rivals:
            self.rivals.remove(failed)
        if self.state == "done":
            return
        try:
            if self.rivals:
                self.lead = self.rivals[0]
                self._log(failed, outcome, "its rival goes on")
            else:
                self.clock.lost()
                self._decide(failed, outcome)
        except Exception as error:
            self.broke(error)

    def _decide(self, failed: Try, outcome: Outcome) -> None:
        now = time.monotonic()
        if outcome.stale and not failed.fresh:
            self.tries_on_route -= 1
        others = self._others(failed, outcome)
        in_budget = functools.partial(failed.route.peer.budget.take, now)
        chances = Chances(self.tries_on_route, len(others), in_budget, failed.fresh)
        decision = retry_policy.decide(self.service.retry, outcome, chances, self.deadline - now)
        self._log(failed, outcome, decision.act + f" in {decision.wait:.1f} s" * (decision.wait > 0), decision.why)
        if decision.act == "give up":
            failed.tell(outcome)
        elif decision.act == "next":
            self._next_route(failed.route, outcome.error, others[0])
            self._go()
        elif decision.wait:
            self._note(failed.route, outcome.error)
            self._later(decision.wait)
        else:
            self._go(fresh=outcome.stale)

    def _others(self, failed: Try, outcome: Outcome) -> list[int]:
        """Where in the plan it goes on. A model that is ill is so under every key of its upstream."""
        later = list(range(self.at + 1, len(self.plan)))
        later = [at for at in later if self.plan[at] is not failed.route]  # a hedge's
        of_model = outcome.cause == "refusal" or outcome.error.kind == "context_overflow"
        if not (outcome.is_fault or of_model):
            return later
        ill = failed.place.breaker
        return [at for at in later if self.plan[at].place.breaker is not ill]

    def _log(self, failed: Try, outcome: Outcome, then: str, why: str = "") -> None:
        # A kept connection that the server has closed meanwhile is everyday life; nobody need be told.
        level = logging.INFO if outcome.stale or (then == "give up" and outcome.cause == "status") else logging.WARNING
        if log.isEnabledFor(level):
            said = "".join(c if c.isprintable() else "?" for c in scrub.logged(outcome.error, self.body)[:300])
            log.log(level, "request %s: try %d at %s: %d %s: %s%s", self.key, self.tries, failed.place.name,
                    outcome.error.status, said, then, f" ({why})" if why else "")  # fmt: skip

    def asks_otherwise(self, failed: Try) -> bool:
        """The upstream has no endpoint for the protocol that it was asked in, and speaks another: from now on that one.
        False where it does not."""
        route = failed.route
        if self.task or not self.service.router.lacks(route):
            return False
        log.warning("request %s: upstream '%s' has no endpoint for %s (%s answered %d): it is asked in %s from now on; "
                    "[upstream %s] protocol should name what it speaks", self.key, route.peer.name, route.protocol,
                    route.url.partition("?")[0], failed.status, " or ".join(route.peer.spoken),
                    route.peer.name)  # fmt: skip
        self.plan = [each.in_another_protocol().of(self.body) for each in self.plan]
        self.send_again(failed)
        return True

    def send_again(self, taught: Try) -> None:
        """The same once more, since we know better now."""
        if taught in self.rivals:
            self.rivals.remove(taught)
        if self.rivals:  # a hedge is on its way; no third try
            self.lead = self.rivals[0]
            return
        self.tries_on_route -= 1
        self.clock.lost()
        self._guarded(self._go)

    # ------------------------------------------------------------------------------------------- hedges

    def _watch(self, route: Route) -> None:
        """A second try, should this one be later than nearly all before it."""
        p95_ms = route.place.p95_ms()
        if p95_ms is not None:
            wait = max(SOONEST_HEDGE_S, p95_ms / 1e3)
            loop = asyncio.get_running_loop()
            self.hedge_timer = loop.call_later(wait, self._guarded, self._hedge, wait)

    def _hedge(self, after: float) -> None:
        first = self.rivals[0] if len(self.rivals) == 1 else None
        if self.state != "waiting" or first is None or first.ttfb_ms:
            return
        now = time.monotonic()
        others = [route for route in self.plan if route is not first.route and route.place.usable(now)]
        route = others[0] if others else first.route
        quota, tokens = route.peer.quota, self.size_in_tokens()
        if not route.peer.budget.take(now):
            return
        if quota is not None and quota.take(tokens, now):
            route.peer.budget.give_back(now)
            return
        log.info("request %s: no first byte from %s within %.2f s: %s is asked too", self.key, first.place.name, after,
                 route.place.name)  # fmt: skip
        second = Try(self, route, False)  # type: ignore[arg-type]
        second.charged = tokens if quota is not None else 0
        second.hedged_at = now
        try:
            second.held = route.place.breaker.allows(now)
            self._enter(second)
        except ApiError as refusal:
            log.info("request %s: no hedge: %s", self.key, refusal.message)
            self._drop(second)
            self.lead = first

    # -------------------------------------------------------------------------------------------- waits

    def _later(self, wait: float) -> None:
        self.state = "waiting"
        self.clock.waits()
        self.timer = asyncio.get_running_loop().call_later(wait, self._guarded, self._go)

    def _guarded(self, step: Callable[..., None], *args: Any) -> None:
        """A step that nobody above could answer for."""
        if self.state == "done":
            return
        try:
            step(*args)
        except Exception as error:
            self.broke(error)
