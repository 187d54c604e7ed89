"""What follows when a client has its last byte, or has left: what the request took is settled, observers are told."""

from __future__ import annotations

import logging

from gateway.cache.question import Source
from gateway.flow import charges
from gateway.flow.attempt import Attempt
from gateway.flow.client_request import ClientRequest
from gateway.flow.completion import Completion
from gateway.flow.failover import Failover
from gateway.flow.info import MAX_USER_AGENT, Finished, Outrun
from gateway.flow.ports import Ports
from gateway.flow.timing import Clock
from gateway.limits.retry_policy import Full
from translate.conversation import Usage
from translate.counting import usage

log = logging.getLogger("gateway")

_NOWHERE = Source("", "", "")


def settle(
    ports: Ports, request: ClientRequest, failover: Failover, completion: Completion, clock: Clock,
    lead: Attempt | None,
) -> None:  # fmt: skip
    """Settles what the request took, and tells the observers."""
    error, written = completion.error, completion.writer.written
    clock.done = ports.now()
    if ports.budgets is not None and ports.budgets.bound:
        ports.budgets.let_go(request.client, request.key, ports.unix())
    reply = lead.reply if lead is not None else None
    told, question = reply.usage if reply is not None else None, request.cached
    if told is not None and told.aside is not None:
        told = usage.paid(told)
    if completion.share is not None:
        told = completion.share[1]
    if lead is not None and completion.status == 200:
        ports.counting.learn(lead.route, lead.estimated, told)
    if request.charged or (lead is not None and lead.lease.charged):
        charges.settle(ports.quota_of(request.client), _bill(request, failover, completion, told, lead), lead)
    used = told
    is_cut = completion.left or completion.aborted or error is not None
    if is_cut or (not (told and told.output) and charges.has_budget(request.client, ports)):
        used = charges.reckoned(_bill(request, failover, completion, told, lead), reply)
        if used is None and completion.share is not None and request.task == "embeddings" and error is None:
            used = charges.of_untold(request, written)
    route = lead.route if lead is not None else failover.route if failover.plan else None
    if isinstance(error, Full):
        route = None  # else the upstream would seem to have failed
    source = question.source if question is not None else None
    if completion.share is not None:
        source = completion.share[0]
    if source is None:
        source = Source(route.upstream.name, route.protocol, route.model) if route is not None else _NOWHERE
    connection = ""  # "new" or "reused", "" where the reply's attempt had none
    if lead is not None:
        exchange = lead.incoming.exchange
        connection = exchange.connection if exchange is not None else lead.incoming.connection
    ports.observer.finished(Finished(
        request.key, request.client, request.protocol, request.task, request.asked_model, completion.status,
        completion.streamed, completion.left, completion.aborted, error, completion.said,
        source.upstream, source.protocol, source.model,
        lead.incoming.headers if lead is not None else (),
        connection, lead.incoming.ttfb_ms if lead is not None else 0.0, failover.attempts,
        lead.more.made if lead is not None and lead.more is not None else 0,
        failover.tried, failover.passed_over, lead.dropped if lead is not None else source.dropped,
        lead.cache_marks if lead is not None else 0, request.size, written, used, clock,
        request.session.name, request.session.agent, request.session.parent_agent,
        ports.address_of(request.address, request.headers) if ports.address_of is not None else request.address,
        request.headers.get("User-Agent", "")[:MAX_USER_AGENT],
        question.said if question is not None else "",
        question.saved if question is not None else None,
        question.saved_usd if question is not None else None,
        request.tags, request.trace, used is not told, completion.outrun,
    ), completion.writer)  # fmt: skip


def outrun(other: Attempt) -> Outrun | None:
    """Returns what is told of an attempt that is about to be cancelled, as another one leads: what it has told is paid.
    None if it was never sent."""
    theirs, route = other.incoming, other.route
    if not theirs.sent_at:
        return None
    used = usage.paid(other.reply.usage) if other.reply is not None and theirs.status == 200 else None
    known = used if used is not None and (used.prompt or used.output) else None
    if known is None:
        log.info("request %s: the attempt at %s is cancelled before it has told any tokens; what %s charges for it "
                 "is in no sum", other.request.key, route.place.name, route.upstream.name)  # fmt: skip
    return Outrun(route.upstream.name, route.model, route.key + 1, known)


def _bill(
    request: ClientRequest, failover: Failover, completion: Completion, told: Usage | None, lead: Attempt | None
) -> charges.Bill:
    status, streamed = completion.status, completion.streamed
    if completion.early and (lead is None or not lead.leads):
        status, streamed = 0, False  # only the head went out, and no model was at work
    if not streamed and lead is not None and lead.reply is not None and lead.reply.fault is not None:
        status = 0  # a whole reply that says that it has failed: what it does not tell was not used
    if completion.left and not status and lead is not None and lead.incoming.mode == "streaming":
        status, streamed = 200, True  # the model was at work, though it had not said a word
    return charges.Bill(request, failover.attempts, status, streamed, completion.writer.written, told)
