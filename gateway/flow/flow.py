"""The walk of one request, top to bottom: in, route, a slot, translate, send, reply, done.

A Flow is Tornado's delegate for what the client sends, and the owner of the request's parts: what the client asks
(ClientRequest), where it may go (Failover), what is on its way (Attempts, each with its Lease), and how it ends
(Completion). It alone writes the state, by `_enter`, which asks the table in states.py. Until the first useful byte of
a reply nothing goes to the client, so that any failure before it is still answered with a real status, or tried again,
there or elsewhere. If the client leaves, whatever is on its way is cancelled at once. Methods stand in the order in
which a request meets them.

Bound methods over a written table, since that was measured: they cost 1.0 us a request, a coroutine driven by hand
1.2 us, an asyncio task with futures 20 us, which is 4.6 % of a request. What a stream brings passes by all of it
(Attempt.on_data).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from gateway.flow import charges, compaction, prepare, upstream_error
from gateway.flow.attempt import Attempt
from gateway.flow.client_request import ClientRequest
from gateway.flow.completion import Completion
from gateway.flow.failover import Failover, Taught
from gateway.flow.lease import Lease
from gateway.flow.ports import Connection, Detachable, Front, Ports, Timer
from gateway.flow.states import TABLE, Event, Impossible, State
from gateway.flow.timing import Clock
from gateway.flow.token_counting import Answer as Answered
from gateway.http import header_rules, query_string
from gateway.http.response_writer import Answer, nothing
from gateway.limits import limiter
from gateway.limits.limiter import Wait
from gateway.limits.retry_policy import Outcome
from gateway.routing import client_keys
from gateway.routing.router import Route
from gateway.stored import store_sync, threads
from gateway.stored.previous_response import NAMED, Recall, owner_of
from gateway.stored.threads import Thread
from translate.errors import ApiError, BadRequest
from translate.target import Protocol

log = logging.getLogger("gateway")

LARGE = 4 << 20  # bytes of a request body: reading one takes as long as a hundred usual requests
BREATH_S = 0.01


class Flow(HTTPMessageDelegate):
    """lead: the attempt whose reply is the client's, or the latest. rivals: attempts on their way or in a queue, the
    lead among them. silent_s: how long its stream has been silent, and heard: what the client had by then."""

    __slots__ = (
        "_ports", "_front", "_task", "asking", "clock", "completion", "conn", "failover", "heard", "hedge_timer",
        "lead", "protocol", "request", "rivals", "silent_s", "state", "timer", "write", "writer",
    )  # fmt: skip

    def __init__(
        self, ports: Ports, conn: Connection, protocol: Protocol, task: str = "", front: Front | None = None
    ) -> None:
        self._ports = ports
        self._front = front
        self._task = task
        self.protocol: Protocol = protocol
        self.conn = conn
        self.state = State.RECEIVING
        self.lead: Attempt | None = None
        self.rivals: list[Attempt] = []
        self.timer: Timer | None = None  # a wait before the next attempt
        self.hedge_timer: Timer | None = None
        self.asking: asyncio.Future[Any] | None = None  # another worker, or a limiter that counts elsewhere
        self.silent_s = 0.0
        self.heard = 0

    def __repr__(self) -> str:
        return f"<Flow {self.request!r} {self.state.name} {self.failover!r} {self.lead}>"

    # ------------------------------------------------------------------------------------------- its state

    def _takes(self, event: Event) -> bool:
        """Whether the event counts in this state. Raises Impossible where it cannot come."""
        ways = TABLE[self.state][event]
        if ways is None:
            raise Impossible(f"{event.name} in {self.state.name}")
        return bool(ways)

    def _enter(self, event: Event, state: State) -> None:
        """The only place where the state changes."""
        ways = TABLE[self.state][event]
        if ways is None or state not in ways:
            raise Impossible(f"{event.name} leads from {self.state.name} to {state.name}")
        self.state = state

    def _on(self, event: Event, step: Callable[..., None], *args: Any) -> None:
        """A step that nobody above could answer for: of a timer, a queue, an upstream."""
        try:
            if self._takes(event):
                step(*args)
        except Exception as error:
            self._broken(error)

    # ----------------------------------------------------------------------------- RECEIVING: the request

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        ports, front = self._ports, self._front
        self.clock = Clock(ports.now)
        key = ports.next_key()
        query = str(start_line[1]).partition("?")[2]
        self.request = ClientRequest(
            self.protocol, self._task, key, query, headers, ports.body_memory, ports.max_body_bytes
        )
        self.writer: Answer = ports.writer(self.conn, key) if front is None else front.writer(key)
        self.write = self.writer.write
        self.failover = Failover(ports, self.request)
        self.completion = Completion(ports, self.request, self.writer, self.clock, self.failover)
        if "Origin" in headers:
            self.writer.more = ports.access.origins.lines(headers)
        try:
            ports.in_flight.begins(self)
            self.request.client = ports.access.check(headers)
            if self.request.dialect.stores:
                self.request.previous = self._previous_response() if front is None else front.previous(self.request)
            self.request.begins()
        except ApiError as refusal:
            self.request.refusal = refusal
            if "Expect" in headers:  # it waits for our word before it sends the body
                self.writer.last()
                self._refuse(refusal)

    def _previous_response(self) -> Recall:
        return Recall(self._ports.memory, owner_of(self.request.client, self.request.headers))

    def data_received(self, chunk: bytes) -> None:
        self.request.comes(chunk)

    def on_connection_close(self) -> None:
        """The client left while it was still sending."""
        self._client_left()

    def finish(self) -> None:
        self.clock.read = self._ports.now()
        self.conn.set_close_callback(self._client_left)
        if self.writer.closed:  # too early for that callback
            self._client_left()
        else:
            self._on(Event.BODY_IN, self._body_in)

    def _body_in(self) -> None:
        request, ports = self.request, self._ports
        request.ends()
        if (mark := request.dialect.thread_mark) and mark in request.body and not request.task:
            request.previous = self._thread()
        if request.previous is None or ports.siblings.alone or not self._is_elsewhere(request.previous):
            self._walk(Event.BODY_IN)

    def _thread(self) -> Thread | None:
        """Raises BadRequest."""
        request = self.request
        thread = threads.asked(request.parsed())
        return Thread(self._ports.memory, owner_of(request.client, request.headers), thread) if thread else None

    # --------------------------------------------------------------------------- RESOLVING: before it goes

    def _is_elsewhere(self, previous: Recall | Thread) -> bool:
        """It builds on what is not known here: another worker may have it, and is being asked. Raises BadRequest."""
        request, ports = self.request, self._ports
        if not previous.refers(request.body):
            return False
        ids = store_sync.unknown(ports.siblings, ports.memory, previous.owners, previous.named(request.parsed()))
        if not ids:
            return False
        found = store_sync.fetch(ports.siblings, ports.memory, previous.owners[0], ids)
        self._resolve(found, Event.BODY_IN, self._known)
        return True

    def _resolve(self, answer: Awaitable[Any], event: Event, then: Callable[[asyncio.Future[Any]], None]) -> None:
        """Goes on once there is an answer. Whoever gives it may be in the middle of something: it is not cancelled."""
        self._enter(event, State.RESOLVING)
        self.clock.waits()
        self.asking = asyncio.ensure_future(answer)
        self._ports.in_flight.asks(self.asking)
        self.asking.add_done_callback(lambda done: self._on(Event.RESOLVED, then, done))

    def _known(self, fetched: asyncio.Future[Any]) -> None:
        self.asking = None
        fetched.result()
        self._walk(Event.RESOLVED)

    def _walk(self, event: Event) -> None:
        """On its way to an upstream. Raises ApiError."""
        request, ports = self.request, self._ports
        request.extend()
        request.read_envelope()
        if ports.reattach is not None and self._front is None and self._joins(ports.reattach.joins, event):
            return
        if self.state is State.RESOLVING:
            event = Event.RESOLVED
        quota = ports.quota_of(request.client) if request.task != "count" else None
        wait = charges.charge(quota, request, ports.now()) if quota is not None else None
        if wait is None or isinstance(wait, int | float):
            self._charged(event, wait)
        else:
            self._resolve(wait, event, self._counted)

    def _joins(self, joins: Callable[[Detachable], bool], event: Event) -> bool:
        if self.state is State.RECEIVING:  # it may be over by that, which no body leads to
            self._enter(event, State.RESOLVING)
        return joins(self)

    def _counted(self, answer: asyncio.Future[Any]) -> None:
        """A limiter that counts elsewhere has answered."""
        self.asking = None
        self._charged(Event.RESOLVED, answer.result())

    def _charged(self, event: Event, wait: float | None) -> None:
        """wait: seconds until its client may come again; None = without a bound. Raises ApiError."""
        request, ports = self.request, self._ports
        if wait is not None:
            if wait > 0:
                self.writer.last()  # who is over its bounds need not hold a connection, too
                raise charges.used_up(request.client, wait)
            quota = ports.quota_of(request.client)
            self.completion.charged = charges.size(quota, request) if quota is not None else 0
        routes = ports.router.routes(request.asked_model, request.protocol, request.facts)
        routes = client_keys.of_one_provider(routes, request.headers, ports.access.open)
        if len(request.body) < LARGE or routes[0].verbatim:
            self._start(event, routes)
            return
        # To read it and to write it anew are a pause in every other stream each. Between the two the others get some
        # turns of the loop: a new request needs one to be accepted, one to be read and one to be answered.
        request.parsed()
        self._enter(event, State.RESOLVING)
        self.timer = ports.call_later(BREATH_S, self._on, Event.RESOLVED, self._start, Event.RESOLVED, routes)

    def _start(self, event: Event, routes: list[Route]) -> None:
        """Raises ApiError."""
        said = self._front.answers(self.request) if self._front is not None else None
        if said is None:
            self.failover.begin(routes)
            self._next(event)
            return
        if self.state is State.RECEIVING:
            self._enter(event, State.RESOLVING)
        self.completion.status = 200
        self.writer.start(200, b"")
        self.write(said)
        self._end(Event.ANSWERED, None)

    # -------------------------------------------------------------------- QUEUED, BACKING_OFF: an endpoint

    def _next(self, event: Event, *, fresh: bool = False) -> None:
        """An attempt at the endpoint that is on, or at a later one where that takes none; or a wait for one. fresh: on
        a new connection. Raises ApiError."""
        self.timer = None
        failover = self.failover
        while True:
            route = failover.route
            try:
                self._ports.hops.check_upstream(route.peer.name, route.peer.base_url)
                if self.request.task == "count" and not self._asks_count(event, route):
                    return
                got = failover.acquire(self._on_granted, self._on_denied)
                if isinstance(got, Wait):
                    self._enter(event, State.BACKING_OFF)
                    self._later(got.seconds)
                    return
                if self._try(event, got, fresh=fresh):
                    return
            except ApiError as refusal:
                failover.skip(refusal)

    def _try(self, event: Event, lease: Lease, *, fresh: bool = False) -> bool:
        """With what was taken for it, or is waited for. Raises ApiError."""
        new = Attempt(self, self._ports, self.request, lease)
        new.fresh = fresh
        self.lead = new
        self.rivals.append(new)
        try:
            if lease.granted:
                self._send(event, new)
                return True
            new.write_with(self._outgoing(new))  # now, so that what cannot be translated does not stand in a queue
        except ApiError:
            self._drop(new)
            raise
        self._enter(event, State.QUEUED)
        self.request.forget_parsed()
        new.queued_at = self._ports.now()
        self.clock.waits()
        return True

    def _outgoing(self, new: Attempt) -> prepare.Outgoing:
        """Raises ApiError."""
        return prepare.outgoing(self.request, new.route, self._ports, self._front)

    def _later(self, seconds: float) -> None:
        self.clock.waits()
        self.timer = self._ports.call_later(seconds, self._on, Event.TIMER, self._next, Event.TIMER)

    def _drop(self, unsent: Attempt) -> None:
        """It came to nothing before it was sent: neither a slot, nor a probe, nor a rival is left of it."""
        unsent.cancel()
        if unsent in self.rivals:
            self.rivals.remove(unsent)

    def _of(self, lease: Lease) -> Attempt:
        return next(rival for rival in self.rivals if rival.lease is lease)

    def _has_waited(self, waited: Attempt) -> None:
        """All waits of a request for slots are one; a hedge's is none of it."""
        if not waited.hedge:
            self.failover.queued_s += self._ports.now() - waited.queued_at

    def _on_granted(self, lease: Lease) -> None:
        """It waited for a slot, and has one."""
        self._on(Event.SLOT, self._slot, lease)

    def _slot(self, lease: Lease) -> None:
        waited = self._of(lease)
        self._has_waited(waited)
        try:
            self._send(Event.SLOT, waited)
        except ApiError as refusal:
            self._instead_of(Event.SLOT, waited, refusal)

    def _on_denied(self, lease: Lease, why: ApiError | Wait) -> None:
        """It waited in vain."""
        self._on(Event.NO_SLOT, self._no_slot, lease, why)

    def _no_slot(self, lease: Lease, why: ApiError | Wait) -> None:
        waited = self._of(lease)
        self._has_waited(waited)
        if isinstance(why, Wait) and not waited.hedge:
            try:
                wait = self.failover.worth(why)
            except ApiError as refusal:
                self._instead_of(Event.NO_SLOT, waited, refusal)
                return
            self._drop(waited)
            self._enter(Event.NO_SLOT, State.BACKING_OFF)
            self._later(wait.seconds)
            return
        full = why if isinstance(why, ApiError) else ApiError("rate_limit", why.why, 429, retry_after=why.seconds)
        self._instead_of(Event.NO_SLOT, waited, full)

    def _instead_of(self, event: Event, unsent: Attempt, why: ApiError) -> None:
        self._drop(unsent)
        if self.rivals:
            self.lead = self.rivals[0]
            return
        self.failover.skip(why, unsent.route)
        self._next(event)

    # -------------------------------------------------------------------------------- ASKING: an upstream

    def _send(self, event: Event, new: Attempt) -> None:
        """Raises ApiError."""
        request, ports = self.request, self._ports
        self.failover.sends(new.route)
        if new.outgoing is None:
            new.write_with(self._outgoing(new))
        outgoing = new.outgoing
        assert outgoing is not None
        try:
            new.send(self.failover.deadline)
        except ValueError as why:  # the settings were checked: it is something of the client's
            raise BadRequest(f"a header or the query string cannot be sent on: {why}") from None
        self._enter(event, State.ASKING)
        attempts = self.failover.attempts
        if log.isEnabledFor(logging.DEBUG):
            log.debug("request %s: try %d of '%s' goes to %s (%d bytes)", request.key, attempts, request.asked_model,
                      outgoing.url.partition("?")[0], len(outgoing.body))  # fmt: skip
        ports.observer.sent(request.info(attempts), outgoing.body)
        request.forget_parsed()
        if ports.hold is not None and not self.failover.is_last:
            new.hold = ports.hold(request.protocol)
        # Only of streams does the first byte tell how late a reply is: others come when they are finished.
        if self.hedge_timer is None and request.streams and ports.hedges(request.asked_model):
            after = self.failover.hedge_after(new.route)
            if after is not None:
                self.hedge_timer = ports.call_later(after, self._on, Event.HEDGE_TIMER, self._hedge, after)

    def _hedge(self, after: float) -> None:
        """A second attempt, since the first is later than nearly all before it."""
        first = self.rivals[0] if len(self.rivals) == 1 else None
        if self.state is not State.ASKING or first is None or first.ttfb_ms:
            return
        lease = self.failover.hedge(first.route, self._on_granted, self._on_denied)
        if lease is None:
            return
        log.info("request %s: no first byte from %s within %.2f s: %s is asked too", self.request.key,
                 first.route.place.name, after, lease.route.place.name)  # fmt: skip
        second = Attempt(self, self._ports, self.request, lease)
        second.hedge = True
        self.rivals.append(second)
        try:
            if lease.granted:
                self._send(Event.HEDGE_TIMER, second)
        except ApiError as refusal:
            log.info("request %s: no hedge: %s", self.request.key, refusal.message)
            self._drop(second)

    def on_lost(self, attempt: Attempt, outcome: Outcome) -> None:
        """Nothing of it has gone to the client."""
        self._on(Event.LOST, self._lost, attempt, outcome)

    def _lost(self, failed: Attempt, outcome: Outcome) -> None:
        self.rivals.remove(failed)
        if self.rivals:
            self.failover.log(failed.route, outcome, "its rival goes on")
            self._rival_goes_on(Event.LOST)
            return
        self.lead = failed
        self.clock.lost()
        decision = self.failover.decide(failed.route, outcome, was_fresh=failed.fresh)
        if decision.act == "give up":
            self._give_up(failed, outcome)
        elif decision.wait:
            self._enter(Event.LOST, State.BACKING_OFF)
            self._later(decision.wait)
        else:
            self._next(Event.LOST, fresh=decision.act == "again" and outcome.stale)

    def _rival_goes_on(self, event: Event) -> None:
        self.lead = self.rivals[0]
        if not self.lead.sent_at:  # a hedge in a queue
            self._enter(event, State.QUEUED)

    def on_refused(self, attempt: Attempt, error: ApiError, body: bytes) -> bool:
        """Whether it teaches what may be asked instead: another protocol, or less."""
        failover, request, route, ports = self.failover, self.request, attempt.route, self._ports
        if upstream_error.says_no_endpoint(attempt.status, body, route) and b"model" not in body.lower():
            if failover.in_another_protocol(route, attempt.status):
                return True
        if attempt.asks_usage and prepare.learns_of_usage(request, route, ports, error, body):
            return True
        if failover.taught is None and (new := prepare.learns_of_fields(request, route, ports, error, body)):
            failover.taught = Taught(route, new, error.message)
            return True
        return False

    def on_taught(self, attempt: Attempt) -> None:
        """The same once more, since we know better now."""
        self._on(Event.TAUGHT, self._again, attempt)

    def _again(self, taught: Attempt) -> None:
        self.rivals.remove(taught)
        if self.rivals:  # a hedge is on its way; no third attempt
            self._rival_goes_on(Event.TAUGHT)
            return
        self.failover.on_route -= 1
        self.clock.lost()
        self._next(Event.TAUGHT)

    # ------------------------------------------------------------------------------ STREAMING: the reply

    def on_next_request(self, attempt: Attempt) -> None:
        self._wins(attempt)

    def on_first_byte(self, attempt: Attempt, out: bytes) -> None:
        """Its headers go out, and whoever else was asked is not needed. An error is the attempt's to tell."""
        self._wins(attempt)
        self._enter(Event.FIRST_BYTE, State.STREAMING)
        attempt.leads = True
        attempt.lease.probed(self._ports.now())
        self._went(attempt, out)
        self.request.let_go()  # nothing is sent twice from here on
        self.failover.let_go()
        self.writer.on_full = self._client_is_full
        self.writer.on_drained = self.reads_on
        self.completion.begin_stream(attempt)

    def on_whole_reply(self, attempt: Attempt, head: bytes, out: bytes) -> None:
        self._wins(attempt)
        self._whole_reply(Event.WHOLE_REPLY, attempt, head, out)

    def _whole_reply(self, event: Event, attempt: Attempt, head: bytes, out: bytes) -> None:
        self._went(attempt, out)
        if self.request.previous is not None:
            self.request.previous.whole(out)
        if self.request.task and not attempt.verbatim:
            out = compaction.answer(out, self.request.parsed())
        self._tell(event, 200, head + self.completion.reply_head(attempt), out)

    def on_stream_end(self, attempt: Attempt, out: bytes, error: ApiError | None) -> None:
        if self.request.previous is not None and out:
            self.request.previous.stream_ended(out, attempt.reply)
        self._end(Event.STREAM_END, error)

    def _wins(self, winner: Attempt) -> None:
        self._cancel(winner)
        self.lead = winner

    def _went(self, winner: Attempt, out: bytes) -> None:
        """The beginning of a reply, or all of it."""
        previous = self.request.previous
        if previous is not None and winner.verbatim and not self.request.task:
            peer = winner.route.peer
            own_key = peer.settings.forward_client_key and self._ports.access.open
            previous.went(out, peer.name, own_key, peer.key_names[winner.route.key])

    @property
    def is_full(self) -> bool:
        return self.writer.full

    def _client_is_full(self) -> None:
        if self.lead is not None and self.lead.exchange is not None:
            self.lead.exchange.pause()

    def reads_on(self) -> None:
        """The client has caught up, or is gone and nobody waits for it."""
        if self.lead is not None and self.lead.exchange is not None:
            self.lead.exchange.resume()

    @property
    def streaming(self) -> bool:
        return self.state is State.STREAMING

    def tick(self, seconds: float, patience_s: float) -> None:
        """Now and then: is the client still there, does its request come in, has its stream been silent for long?"""
        if self.state is State.RECEIVING:  # Tornado would make a timer for each request; this costs none
            late = self._ports.now() - self.clock.began > self._ports.body_timeout_s
            if late and (self._front is None or not self._front.is_here):
                self.clock.read = self._ports.now()
                self.writer.last()
                self._refuse(self.request.refusal or self.completion.too_slow())
            return
        if not self.completion.left and self.writer.left:
            self._client_left()
            self.writer.abort()
        lead = self.lead
        begun = lead is not None and (lead.mode == "streaming" or lead.continues)
        if self.state is State.STREAMING or (self.state is State.ASKING and begun):
            self.silent_s = self.silent_s + seconds if self.writer.written == self.heard else 0.0
            self.heard = self.writer.written
            if self.silent_s >= patience_s:
                self.silent_s = 0.0
                self._ping()

    def _ping(self) -> None:
        """A sign of life, so that the client does not give up. A model that thinks behind an empty first event is alive
        too: then the headers go out now, and what fails later can only be an error event."""
        lead = self.lead
        assert lead is not None and lead.reply is not None
        try:
            if self.state is not State.STREAMING:
                lead.begin()
                self.clock.first = 0.0  # that was no more than a sign of life
            if self.state is State.STREAMING:
                self.write(lead.reply.ping())
                self.heard = self.writer.written
        except Exception as error:
            self._broken(error)

    # ------------------------------------------------------------------------------ SHARING: counts of tokens

    def _asks_count(self, event: Event, route: Route) -> bool:
        """Whether the upstream is asked for a count; if not, it is answered here, or will be. Raises ApiError."""
        request, counting = self.request, self._ports.counting
        if not (route.home and request.protocol in route.peer.counts):
            if isinstance(request.previous, Recall) and not route.home and NAMED in request.body:
                request.previous.refuse(request.parsed(), route.peer.name, route.protocol)
            self._count_here(event, route)
            return False
        sidewards = route.peer.side(request.protocol, request.task)
        url = query_string.onward(sidewards, request.query, route.peer.settings.query)
        quota = self._ports.quota_of(request.client)
        wait = quota.take(0, self._ports.now()) if quota is not None else 0.0
        if isinstance(wait, int | float) and wait > 0:  # beyond its bounds an estimate will do
            self._count_here(event, route)
            return False
        answer = counting.ask(self, url)
        if answer is Answered.ASK:
            return True
        if quota is not None:
            limiter.finish(quota.give_back(0))
        if isinstance(answer, bytes):
            self._tell(event, 200, header_rules.JSON_HEAD + self.completion.own_head(route.peer.name), answer)
        else:
            self._enter(event, State.SHARING)
            self.clock.waits()
        return False

    def on_no_endpoint(self, attempt: Attempt) -> None:
        attempt.route.peer.counts.discard(self.request.protocol)  # remembered: editors ask many times a second
        self._on(Event.ANSWERED, self._count_here, Event.ANSWERED, attempt.route)

    def _count_here(self, event: Event, route: Route) -> None:
        """Tokens of a request, where no upstream counts them: an estimate, and marked as one. Raises BadRequest."""
        head, body = self._ports.counting.estimated(self.request, route)
        self._tell(event, 200, head + self.completion.own_head(), body)

    def shared(self, status: int, head: bytes, body: bytes, error: ApiError | None) -> None:
        """The answer that it waited for."""
        self._on(Event.ANSWERED, self._tell, Event.ANSWERED, status, head, body, error)

    def unshared(self) -> None:
        """It does not come."""
        self._on(Event.ALONE, self._next, Event.ALONE)

    # ----------------------------------------------------------------------------------- FLUSHING: its end

    def _tell(self, event: Event, status: int, head: bytes, body: bytes, error: ApiError | None = None) -> None:
        """A whole reply."""
        self._enter(event, State.FLUSHING)
        self.completion.whole(status, head, body)
        self._say_over(error)

    def _refuse(self, error: ApiError) -> None:
        """An error of the proxy's own, before anything else went to the client."""
        self._enter(Event.REFUSED, State.FLUSHING)
        self.completion.refuse(error, self.lead)
        self._say_over(error)

    def _give_up(self, failed: Attempt, outcome: Outcome) -> None:
        """The client gets the failed attempt's answer; a refusal is one, too."""
        if outcome.cause != "refusal" or failed.hold is None:
            self._enter(Event.LOST, State.FLUSHING)
            self.completion.give_up(failed, outcome)
            self._say_over(outcome.error)
        elif failed.mode != "streaming" and not self.request.streams:
            self._whole_reply(Event.LOST, failed, header_rules.JSON_HEAD, failed.hold.held)
        else:
            self._went(failed, failed.hold.held)
            self.completion.begin_stream(failed)
            self.write(failed.hold.held)
            self._end(Event.LOST, failed.reply.fault if failed.reply is not None else None)

    def on_broken(self, attempt: Attempt, error: Exception) -> None:
        self._broken(error)

    def _broken(self, error: Exception, event: Event = Event.BROKEN) -> None:
        """Whatever went wrong, the request ends here: refused, its stream ended with an error, or broken off."""
        self._cancel()
        if not isinstance(error, ApiError):
            log.error("request %s failed inside the proxy: %r", self.request.key, self, exc_info=error)
            error = ApiError("api", f"internal error of the proxy, see its log (request {self.request.key})")
        if not TABLE[self.state][event]:
            return  # all is said
        streams = self.state is State.STREAMING
        self._enter(event, State.FLUSHING)
        try:
            if streams and self.lead is not None:
                self.completion.break_stream(error, self.lead)
                self.writer.end()
            else:
                self.completion.refuse(error, self.lead)
        except Exception:
            log.exception("request %s cannot be ended in words: %r", self.request.key, self)
            self.completion.abort()
        self._say_over(error)

    def _client_left(self) -> None:
        if self.state >= State.FLUSHING:
            return  # the writer tells it
        self.completion.left = True
        reattach = self._ports.reattach
        if reattach is None or self.state is State.RECEIVING or not reattach.keeps(self):
            self.orphaned()

    def orphaned(self) -> None:
        if self.state < State.FLUSHING:
            self._enter(Event.CLIENT_LEFT, State.OVER)
            self._cancel()
            self.completion.over(None, self.lead)
            self._front_is_over()
            self._finish()

    def shut_down(self) -> None:
        """The proxy ends: a stream gets a legal error event."""
        if self.state < State.FLUSHING:
            self.completion.aborted = True
            self._broken(ApiError("overloaded", "the proxy is shutting down", 503, retry_after=1), Event.SHUTDOWN)

    def _end(self, event: Event, error: ApiError | None) -> None:
        """The client has the last byte of a stream."""
        self._enter(event, State.FLUSHING)
        self.writer.end()
        self._say_over(error)

    def _say_over(self, error: ApiError | None) -> None:
        self._cancel(self.lead)
        if self.completion.reply is not None:
            self._ports.counting.answered(self, *self.completion.reply, error)
        self.completion.over(error, self.lead)
        self._front_is_over()
        self.writer.when_sent(self._flushed)

    def _front_is_over(self) -> None:
        if self._front is not None:
            self._front.over()

    def _flushed(self, all_of_it: bool) -> None:
        self._enter(Event.FLUSHED, State.OVER)
        self.completion.left = self.completion.left or not all_of_it
        self._finish()

    def _finish(self) -> None:
        """Nothing of it is left but the record."""
        ports = self._ports
        ports.in_flight.ends(self)
        ports.counting.left(self)
        try:
            self.completion.finish(self.lead)
            if ports.reattach is not None:
                ports.reattach.over(self)
        except Exception:  # odd values in a reply may cost the record of it, never more
            log.exception("no record of request %s", self.request.key)
        self._cut()

    def _cancel(self, but: Attempt | None = None) -> None:
        """All that is on its way or planned; `but` has won."""
        self.asking = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.hedge_timer is not None:
            self.hedge_timer.cancel()
            self.hedge_timer = None
        rivals, self.rivals = self.rivals, [] if but is None else [but]
        for rival in rivals:
            if rival is not but:
                if but is not None:
                    rival.outrun()
                rival.cancel()

    def _cut(self) -> None:
        """Its links to whatever holds it: nothing is left for the garbage collector."""
        self.rivals = []
        self.writer.on_full = self.writer.on_drained = nothing
        self.request.data = None
        if self.lead is not None:
            self.lead.owner = self.lead.more = None
        if self._front is None:  # a websocket's next turn may have its own there
            self.conn.set_close_callback(None)

    # -------------------------------------------------------------------------------- without its client

    @property
    def is_over(self) -> bool:
        return self.state is State.OVER

    @property
    def failed(self) -> bool:
        return self.state >= State.FLUSHING and self.completion.status != 200

    def adopt(self, newcomer: Detachable) -> None:
        """Another request asks for the same, after its client had lost us: it gets what is here, and what comes."""
        newcomer.is_joined()
        self.completion.left = False
        self.conn = newcomer.conn
        self.conn.set_close_callback(self._client_left)
        self.writer.more = newcomer.writer.more

    def is_joined(self) -> None:
        self._enter(Event.JOINED, State.OVER)
        self.request.let_go()
        self._ports.in_flight.ends(self)
        self._cut()
