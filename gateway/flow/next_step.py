"""What a request does next when its attempt has waited for a slot, is late, or is lost.

The straight way, an attempt that is sent and answered, is in flow.py. Here it goes on with what is left: a rival, a
hedge, a pause, the next endpoint of the plan, or the end. All of these are steps of a Flow, which runs them by `on`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from typing import Protocol as Interface

from gateway.flow.attempt import Attempt
from gateway.flow.client_request import ClientRequest
from gateway.flow.completion import Completion
from gateway.flow.failover import Failover
from gateway.flow.lease import Lease
from gateway.flow.sharing import Sharing
from gateway.flow.states import Event, State
from gateway.flow.timing import Clock
from gateway.limits.limiter import Wait
from gateway.limits.retry_policy import Outcome
from translate.failures.errors import ApiError

log = logging.getLogger("gateway")


class Attempting(Interface):
    """The part of a Flow that is used here."""

    state: State
    request: ClientRequest
    clock: Clock
    failover: Failover
    completion: Completion
    lead: Attempt | None
    rivals: list[Attempt]

    @property
    def sharing(self) -> Sharing | None: ...

    def enter(self, event: Event, state: State) -> None:
        """Changes the state."""

    def go_on(self, event: Event, *, fresh: bool = False) -> None:
        """Makes an attempt at the present endpoint of the plan, or at the next one."""

    def back_off(self, event: Event, seconds: float) -> None:
        """Waits before the next attempt."""

    def attempt_with(self, event: Event, lease: Lease) -> None:
        """Makes an attempt with a lease, which is granted or still waits for a slot. Raises ApiError."""

    def send(self, event: Event, new: Attempt) -> None:
        """Sends an attempt that has all it needs. Raises ApiError."""

    def drop(self, unsent: Attempt) -> None:
        """Gives up an attempt that was not sent."""

    def on_answer(self, lease: Lease, why: ApiError | Wait | None) -> None:
        """Tells an attempt that waited for a slot that it has one."""

    def end(self, event: Event, error: ApiError | None, write: Callable[..., ApiError | None], *args: Any) -> None:
        """Lets `write` write the last that the client gets."""


def after_wait(flow: Attempting, event: Event, lease: Lease, why: ApiError | Wait | None, now: float) -> None:
    """Sends the attempt that has waited for a slot, or goes on without it. why: None, or why it got no slot."""
    waited = next(rival for rival in flow.rivals if rival.lease is lease)
    if waited.queued_at:  # the request's patience covers all its waits for slots; a hedge's wait does not count
        flow.failover.queued_s += now - waited.queued_at
    if why is None:
        try:
            flow.send(event, waited)
            return
        except ApiError as refusal:
            why = refusal
    flow.drop(waited)
    if flow.rivals:
        flow.lead = flow.rivals[0]
        return
    try:
        if isinstance(why, Wait):
            flow.back_off(event, flow.failover.worth(why).seconds)
            return
    except ApiError as refusal:
        why = refusal
    flow.failover.skip(why, waited.route)
    flow.go_on(event)


def hedge(flow: Attempting, after_s: float) -> None:
    """Sends a second attempt, because the first one is later than nearly all attempts before it."""
    first = flow.rivals[0] if len(flow.rivals) == 1 else None
    if flow.state is not State.ASKING or first is None or first.incoming.ttfb_ms:
        return
    try:
        if (lease := flow.failover.hedge(first.route, after_s, flow.on_answer)) is not None:
            flow.attempt_with(Event.HEDGE_TIMER, lease)
    except ApiError as refusal:
        log.info("request %s: no hedge: %s", flow.request.key, refusal.message)


def after_loss(flow: Attempting, failed: Attempt, outcome: Outcome) -> None:
    """Goes on after an attempt of whose reply the client has nothing."""
    flow.rivals.remove(failed)
    counting = flow.sharing if flow.request.task == "count" else None
    if counting is not None:
        if failed.incoming.says_no_endpoint:
            failed.route.upstream.counts.discard(flow.request.protocol)  # for good: editors ask many times a second
            counting.tell_count(Event.LOST, failed.route)
            return
        if outcome.is_late:
            flow.failover.log(failed.route, outcome, "tell an estimate")
            counting.count_fails(Event.LOST, failed.route)
            return
    taught = flow.failover.learns(
        failed.route, outcome, failed.incoming.refusal, asked_usage=failed.asks_usage, minted=failed.minted
    )
    if not taught:
        flow.failover.judge(failed.route, outcome, own_key=failed.incoming.own_key)
    if flow.rivals:  # one of the two is still on its way: there is no third attempt
        flow.failover.log(failed.route, outcome, "its rival goes on")
        flow.lead = flow.rivals[0]
        if not flow.lead.incoming.sent_at:  # the hedge still waits for a slot
            flow.enter(Event.LOST, State.QUEUED)
        return
    flow.clock.lost()
    if taught:
        failed.reply = None
        flow.go_on(Event.LOST)
        return
    flow.lead = failed
    decision = flow.failover.decide(failed.route, outcome, was_fresh=failed.fresh)
    if decision.act == "give up":
        if counting is not None and outcome.is_fault:
            counting.count_fails(Event.LOST, failed.route)
            return
        flow.end(Event.LOST, None, flow.completion.give_up, failed, outcome)
        return
    failed.reply = None  # what it has told, such as its usage, does not count, also if the client leaves now
    if decision.wait:
        flow.back_off(Event.LOST, decision.wait)
    else:
        flow.go_on(Event.LOST, fresh=decision.act == "again" and outcome.stale)
