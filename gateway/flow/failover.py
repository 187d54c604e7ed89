"""Chooses the next endpoint of a request that makes sense, a pause before it, or a hedge, or gives up. It knows no
socket.

`plan` holds the routes that may be tried, best first; `at` is the index of the present one. Of many equal routes only
two are chosen at first: the others are sorted and follow when they are needed. `acquire` takes what an
attempt there needs (lease.py); `skip` goes on to the next one; `decide` says what comes after an attempt that failed. A
hedge is a second attempt that is sent while the first one is late. No wait goes beyond the request's deadline.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

from gateway.credentials.minted import Minted
from gateway.flow import lease as leases
from gateway.flow import outcomes, resolving, teaching, upstream_request
from gateway.flow.client_request import ClientRequest
from gateway.flow.info import Tried
from gateway.flow.lease import Lease, Terms
from gateway.flow.ports import Ports
from gateway.flow.teaching import Taught
from gateway.limits import retry_policy
from gateway.limits.limiter import Wait
from gateway.limits.retry_policy import Chances, Decision, Outcome, Unasked
from gateway.refusals import scrub
from gateway.routing import balancing
from gateway.routing.router import Route
from operate.logs.fields import fields
from translate.failures.errors import ApiError, BadRequest

log = logging.getLogger("gateway")

SOONEST_HEDGE_S = 0.05
SURELY = 1.25  # so many times as long as it may be is a request, by a rough count, before it is not sent at all
SPREAD = 0.1  # of a wait, at most, by which it is longer: not all who wait come back in the same instant
MOST_NAMED = 16  # endpoints that rest, in a record; of a thousand keys most may have had their share of the day
MOST_TAUGHT = 8  # refusals that a request may learn from: OpenAI and clouds name what they do not take one by one

OnAnswer = Callable[[Lease, ApiError | Wait | None], None]


class Failover:
    """The plan of a request. attempts: how many were made. on_route: how many of these at the present endpoint.
    queued_s: how long the request has waited for slots. all_rest: none of its endpoints is in good health. tried,
    passed_over: for the log, the endpoints that failed and those that were not asked, with the reasons."""

    __slots__ = ("_others_of", "_paid", "_ports", "_renewed", "_request", "_taught", "all_rest", "at", "attempts",
                 "deadline", "on_route", "passed_over", "plan", "queued_s", "tried")  # fmt: skip

    def __init__(self, ports: Ports, request: ClientRequest) -> None:
        self._ports = ports
        self._request = request
        self._paid: tuple[Route, float] | None = None  # the retry that the budget has paid for and that is not sent yet
        self._taught: list[Taught] = []  # by refusals of this request, the newest last
        self._renewed = False  # a new key was made after a refusal; this is done once
        self.plan: list[Route] = []
        self._others_of: tuple[list[Route], str] | None = None  # routes that are not in the plan yet, and the session
        self.at = 0
        self.attempts = self.on_route = 0
        self.deadline = 0.0  # no attempt begins later
        self.queued_s = 0.0
        self.all_rest = False
        self.tried: list[Tried] = []
        self.passed_over: list[str] = []

    def __repr__(self) -> str:
        return f"<Failover {self.at + 1} of {len(self.plan)}, {self.attempts} attempts>"

    @property
    def route(self) -> Route:
        return self.plan[self.at]

    @property
    def is_last(self) -> bool:
        return self.at + 1 >= len(self.plan)

    # ------------------------------------------------------------------------------------------ the plan

    def begin(self, routes: list[Route]) -> None:
        """Makes the plan. routes: at least one."""
        ports, request = self._ports, self._request
        now = ports.now()
        self.deadline = now + ports.deadline_s
        if "X-Stainless-Timeout" in request.headers:
            self.deadline = now + upstream_request.patience(request.headers, ports.deadline_s)
        if ports.drained:
            routes = self._undrained(routes)
        if len(routes) > 1:
            conversation = upstream_request.conversation_key(request.session.name, request.body)
            keeper = resolving.keeper(request)
            two: list[Route] = []
            if not keeper.upstream and not ports.drained:
                two = ports.router.choices.two(routes, conversation, now, ports.random)
            if len(two) == 2:
                self._others_of, routes = (routes, conversation), two
            else:
                self.all_rest = not any(route.place.usable(now) for route in routes)
                ordered = balancing.order(routes, conversation, now, ports.random)
                if len(ordered) < len(routes):
                    self._leave_out(routes, ordered, now)
                routes = resolving.keepers_first(keeper, routes, ordered)
        self.plan = routes if request.task else [route.of(request.body) for route in routes]

    def _complete(self) -> None:
        """Adds the routes to the plan that follow the two that were chosen of many."""
        if self._others_of is None:
            return
        (routes, conversation), self._others_of = self._others_of, None
        request, now, chosen = self._request, self._ports.now(), {route.place.name for route in self.plan}
        others = [route for route in routes if route.place.name not in chosen and route.place.usable(now)]
        if others:
            ordered = balancing.order(others, conversation, now, self._ports.random)
            self.plan += ordered if request.task else [route.of(request.body) for route in ordered]

    def _undrained(self, routes: list[Route]) -> list[Route]:
        """Returns the routes to upstreams that no operator has drained. Raises ApiError (503) where there is none."""
        left: list[Route] = []
        for route in routes:
            try:
                self._check_drained(route)
                left.append(route)
            except Unasked as why:
                self._note(route, why)
                refusal = why
        if not left:
            raise refusal
        return left

    def _check_drained(self, route: Route) -> None:
        """Raises Unasked if the route's upstream is drained."""
        if route.upstream.name in self._ports.drained:
            raise Unasked("overloaded", f"an operator has drained upstream '{route.upstream.name}'", 503)

    def _leave_out(self, routes: list[Route], ordered: list[Route], now: float) -> None:
        """Notes for the record which endpoints are not in the plan, because they rest."""
        planned = {id(route) for route in ordered}
        rest = [route.place for route in routes if id(route) not in planned]
        self.passed_over += [f"{place.name}: {place.why_not(now)}" for place in rest[:MOST_NAMED]]
        if len(rest) > MOST_NAMED:
            self.passed_over.append(f"and {len(rest) - MOST_NAMED} more that rest")

    def skip(self, why: ApiError, skipped: Route | None = None) -> None:
        """Goes on to the next endpoint. Raises `why` where there is none, or where the next one would refuse for the
        same reason."""
        self._complete()
        if self.is_last or isinstance(why, BadRequest):
            raise why
        self._go_to(skipped or self.route, why, self.at + 1)

    def _go_to(self, failed: Route, why: ApiError, at: int) -> None:
        self._note(failed, why)
        self.at = at
        self.on_route = 0

    def _note(self, failed: Route, why: ApiError) -> None:
        """Notes a failure for the record. An upstream that was not even asked has not failed."""
        said = scrub.logged(why, self._request.body)[:200]
        if isinstance(why, Unasked):
            self.passed_over.append(f"{failed.place.name}: {said}")
        else:
            self.tried.append(Tried(failed.upstream.name, failed.model, failed.key + 1, why.status, why.kind, said))

    # --------------------------------------------------------------------------------- what an attempt takes

    def acquire(self, on_answer: OnAnswer) -> Lease | Wait:
        """Takes what an attempt at the present endpoint needs. Returns a Wait only where the wait is worth it. Raises
        ApiError where the endpoint takes no request now."""
        ports, route, now, last = self._ports, self.plan[self.at], self._ports.now(), self.at + 1 == len(self.plan)
        ports.hops.check_upstream(route.upstream.name, route.upstream.base_url)
        if not last and ports.retry.on_overflow:
            self._check_context(route)
        if ports.drained:  # perhaps since the plan was made
            self._check_drained(route)
        place = route.place
        early = max(place.headroom.free_at, place.key.plan.free_at) - now  # free_at, without a call
        # The upstream has said how long to wait. If that is too long, its own refusal tells the client more than ours
        # would.
        asks_early = last and early > ports.retry.max_retry_after
        if early > 0 and not asks_early:
            return self.worth(Wait(early, "its rate limit"))
        equals: tuple[Route, ...] = ()
        if self._others_of is not None and not ports.admission.is_free(route.upstream.gate):
            self._complete()
        if not last:  # endpoints of a later stage are for when this one fails, not for when it is busy
            equals = tuple(other for other in self.plan[self.at + 1 :] if other.stage == route.stage)
        paid, self._paid = self._paid, None
        terms = Terms(
            ports.admission, self._patience_s(now), on_answer, last or self.all_rest, asks_early,
            self._request.task == "count", equals, paid[1] if paid is not None else 0.0,
            self._request.client, ports.blame,
        )  # fmt: skip
        tokens = self._request.size_in_tokens() if route.upstream.quota is not None else 0
        got = leases.acquire(route, tokens, now, terms)
        if isinstance(got, Wait):
            return self.worth(got)
        if (place.headroom.resets_at or place.key.plan.resets_at) and self._request.task != "count" and route.model:
            place.probes(now)  # neither a count nor a file, which is of no model, would find out
        return got

    def _check_context(self, route: Route) -> None:
        """Raises Unasked if the request is surely too long for the model, by the limit in the upstream's list of
        models."""
        most = route.upstream.limits_of(route.model).context
        if most and (tokens := self._request.size_in_tokens()) > most * SURELY:
            message = f"model '{route.model}' takes {most} tokens, and the request has about {tokens}"
            raise Unasked("context_overflow", message)

    def _patience_s(self, now: float) -> float:
        return min(self.deadline - now, self._ports.admission.limits.patience - self.queued_s)

    def worth(self, wait: Wait) -> Wait:
        """Returns the wait. Raises ApiError (429) where it would take too long, or another endpoint is better."""
        seconds = wait.seconds
        is_short = seconds <= self._ports.retry.max_retry_after and self._ports.now() + seconds < self.deadline
        if self.is_last and is_short:
            return Wait(seconds * (1 + SPREAD * self._ports.random.random()), wait.why)
        message = f"upstream '{self.route.upstream.name}' takes no more for {seconds:.1f} s ({wait.why})"
        raise Unasked("rate_limit", message, 429, retry_after=seconds)

    def sends(self, route: Route) -> None:
        """Counts an attempt that is about to be made."""
        if not self.on_route:
            route.upstream.budget.request(self._ports.now())
        self.attempts += 1
        self.on_route += 1

    # ------------------------------------------------------------------------------- after one that failed

    def learns(
        self, failed: Route, outcome: Outcome, body: bytes, *, asked_usage: bool, minted: Minted | None = None
    ) -> bool:
        """Learns from a refusal. Returns whether the request may go to the same endpoint once more. body: of the
        refusal. minted: the key that was refused, if another one can be made."""
        request, ports, error = self._request, self._ports, outcome.error
        if outcome.cause != "status":
            return False
        if teaching.speaks_otherwise(request, failed, ports, error.status, body):
            self._complete()
            self.plan = [each.in_another_protocol().of(request.body) for each in self.plan]
        elif asked_usage and teaching.refuses_usage(request, failed, ports, error, body):
            pass  # it is not asked for again
        elif minted is not None and not self._renewed and teaching.refuses_key(failed, error, minted):
            self._renewed = True
        elif len(self._taught) < MOST_TAUGHT:
            again = any(each.words == error.message for each in self._taught)
            new = teaching.refuses_fields(request, failed, ports, error, body, again=again)
            if new is None:
                return False
            self._taught.append(new)
        else:
            return False
        self.on_route -= 1
        return True

    def judge(self, failed: Route, outcome: Outcome, *, own_key: bool) -> None:
        """Notes what a refusal says about the upstream's key or its rate limit. own_key: the client's own key was used,
        so that the refusal is about that key alone."""
        ports, error, now = self._ports, outcome.error, self._ports.now()
        if outcome.cause not in ("status", "first event"):
            return
        if error.status in (429, 503, 529):
            failed.upstream.gate.refused(now)
        if own_key:
            return
        if outcomes.may_be_provoked(error) and ports.blame is not None:
            if not ports.blame.is_the_upstreams(failed.place.name, str(error.status), self._request.client, now):
                return
        outcomes.rest(failed, outcome, now, self._request.body)

    def decide(self, failed: Route, outcome: Outcome, *, was_fresh: bool) -> Decision:
        """Decides what comes next, and moves the plan on to it. was_fresh: the attempt had a new connection."""
        ports, now = self._ports, self._ports.now()
        self._complete()
        if outcome.stale and not was_fresh:
            self.on_route -= 1
        others = self._others(failed, outcome)
        in_budget = functools.partial(self._pay, failed, now)
        other_key = self._with_another_key(failed, now) if outcome.may_be_the_keys else 0
        chances = Chances(self.on_route, len(others), in_budget, was_fresh, bool(other_key))
        decision = retry_policy.decide(ports.retry, outcome, chances, self.deadline - now)
        then = decision.act + f" in {decision.wait:.1f} s" * (decision.wait > 0)
        self.log(failed, outcome, then, decision.why)
        if decision.act == "next":
            self._go_to(failed, outcome.error, others[0])
        elif decision.act == "again" and (decision.wait or other_key):
            self._note(failed, outcome.error)
            if other_key:
                self.plan[self.at] = self.plan.pop(other_key)
        return decision

    def _with_another_key(self, failed: Route, now: float) -> int:
        """Returns where in the plan the same model of the same upstream has another key that may be used; 0 = nowhere.
        A response that the request builds on is known to its own key alone."""
        previous = self._request.previous
        if failed is not self.route or (previous is not None and previous.builds_on(self._request.body)):
            return 0
        for at in range(self.at + 1, len(self.plan)):
            place = self.plan[at].place
            if place.breaker is failed.place.breaker and not place.rests(now):
                return at
        return 0

    def _pay(self, route: Route, now: float) -> bool:
        """Takes one retry from the upstream's budget. It is given back if the retry is not made."""
        if not route.upstream.budget.take(now):
            return False
        self._paid = route, now
        return True

    def _others(self, failed: Route, outcome: Outcome) -> list[int]:
        """Returns where in the plan the request may go on. A model that has failed has done so for every key of its
        upstream."""
        drained = self._ports.drained
        later = [at for at in range(self.at + 1, len(self.plan)) if self.plan[at].upstream.name not in drained]
        later = [at for at in later if self.plan[at] is not failed]  # after a failed hedge
        of_model = outcome.cause == "refusal" or outcome.error.kind == "context_overflow"
        if not (outcome.is_fault or of_model):
            return later
        ill = failed.place.breaker
        return [at for at in later if self.plan[at].place.breaker is not ill]

    def log(self, failed: Route, outcome: Outcome, then: str, why: str = "") -> None:
        # It is no warning while another attempt is made, nor where the upstream refuses the request itself: that is the
        # client's business.
        ours = then == "give up" and (outcome.is_fault or outcome.cause != "status")
        level = logging.WARNING if ours and not outcome.stale else logging.INFO
        if log.isEnabledFor(level):
            error = outcome.error
            facts = fields(request_id=self._request.key, attempt=self.attempts, upstream=failed.upstream.name,
                           model=failed.model, key=failed.key + 1, status=error.status, error=error.kind,
                           then=then)  # fmt: skip
            log.log(level, "request %s: attempt %d at %s: %d %s: %s%s", self._request.key, self.attempts,
                    failed.place.name, error.status, scrub.line(error, self._request.body), then,
                    f" ({why})" if why else "", extra=facts)  # fmt: skip

    def over(self, error: ApiError | None) -> None:
        """The request is over. error: what it ends with. If this is the refusal that taught a quirk, the quirk was of
        no help and is forgotten."""
        for taught in self._taught:
            if error is not None and error.message == taught.words:
                quirks = self._ports.quirks.of_client(self._request.client)
                quirks.unlearn(taught.route.upstream.name, taught.route.model, taught.quirks)
        if self._paid is not None:
            route, paid_at = self._paid
            route.upstream.budget.give_back(paid_at)
            self._paid = None

    # ------------------------------------------------------------------------------------------- hedges

    def hedge_after(self, route: Route, hedges: Callable[[str], bool]) -> float | None:
        """Returns after how many seconds an attempt is later than nearly all before it; None where no hedge is wanted,
        or where nobody can tell yet. Only streams can be told by their first byte: other replies come when they are
        finished."""
        if not self._request.streams or not hedges(self._request.asked_model):
            return None
        p95_ms = route.place.p95_ms()
        return None if p95_ms is None else max(SOONEST_HEDGE_S, p95_ms / 1e3)

    def hedge(self, first: Route, after: float, on_answer: OnAnswer) -> Lease | None:
        """Returns a lease for a second attempt, at another endpoint if possible; None where there is none. after: for
        how many seconds the first attempt has been on its way."""
        ports, now, key = self._ports, self._ports.now(), self._request.key
        self._complete()
        others = [route for route in self.plan if route is not first and route.place.usable(now)]
        route = next((route for route in others if route.upstream.name not in ports.drained), first)
        if route.upstream.name in ports.drained or not route.upstream.budget.take(now):
            return None
        terms = Terms(
            ports.admission, self._patience_s(now), on_answer, insists=True, paid_at=now,
            client=self._request.client, blame=ports.blame,
        )  # fmt: skip
        try:
            got = leases.acquire(route, self._request.size_in_tokens(), now, terms)
        except ApiError as refusal:
            log.info("request %s: no hedge: %s", key, refusal.message)
            return None
        if isinstance(got, Wait):
            return None
        log.info("request %s: no first byte from %s within %.2f s: %s is asked too", key, first.place.name, after,
                 route.place.name)  # fmt: skip
        return got
