"""The walk of one request, top to bottom: in, route, a slot, translate, send, reply, done.

A Flow is Tornado's delegate for what the client sends, and it owns the parts of the request: what the client asks
(ClientRequest), where it may go (Failover), what is on its way (Attempts, each with its Lease), what it shares with
other requests (Sharing), and how it ends (Completion). Only the Flow writes the state, by `enter`, which asks the table
in states.py. Nothing goes to the client until the first useful byte of a reply, except for the head of a stream that
is very late (watching.py). A failure before that byte can still be answered with a real status, or the request can be
tried again, there or elsewhere. If the client leaves, whatever is on its way is cancelled at once. Methods stand in the
order in which a request meets them. What follows where an attempt waits, is late or is lost is in next_step.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from gateway.flow import next_step, prepare, resolving, settling, watching, waves
from gateway.flow.attempt import Attempt
from gateway.flow.client_request import ClientRequest, Front
from gateway.flow.completion import Completion
from gateway.flow.failover import Failover
from gateway.flow.info import Cancelled, Standing
from gateway.flow.lease import Lease
from gateway.flow.ports import Connection, Ports, Timer
from gateway.flow.resolving import Steps
from gateway.flow.sharing import Sharing
from gateway.flow.states import TABLE, Event, Impossible, State
from gateway.flow.timing import Clock
from gateway.flow.waves import Step
from gateway.http import header_rules
from gateway.http.response_writer import Writer
from gateway.limits.limiter import Wait
from gateway.limits.retry_policy import Outcome
from gateway.passing import reframed
from gateway.routing.router import Route
from translate.dialect import Dialect
from translate.endpoint import Endpoint
from translate.failures.errors import ApiError

log = logging.getLogger("gateway")


class Flow(HTTPMessageDelegate):
    """One request. lead: the attempt whose reply the client gets, or the latest attempt. rivals: the attempts that are
    on their way or in a queue; the lead is one of them. silent_s, heard: for how long the stream has been silent, and
    how many bytes the client had got by then."""

    __slots__ = (
        "_ports", "clock", "completion", "failover", "had_all", "heard", "hedge_timer", "lead", "request", "rivals",
        "sharing", "silent_s", "state", "timer", "write", "writer",
    )  # fmt: skip

    def __init__(
        self, ports: Ports, conn: Connection, dialect: Dialect, endpoint: Endpoint, front: Front | None = None,
        model: str = "",
    ) -> None:  # fmt: skip
        """model: the model's name, if the address of the request has it."""
        key = ports.next_key()
        self._ports = ports
        self.state = State.RECEIVING
        self.clock = Clock(ports.now)
        self.writer: Writer = ports.writer(conn, key) if front is None else front.writer(key)
        self.write: Callable[[bytes], None] = self.writer.write
        self.request = ClientRequest(
            dialect, endpoint, key, ports.body_memory, ports.max_body_bytes, front, ports.shape, model
        )
        self.request.address = str(getattr(conn.context, "remote_ip", ""))
        self.failover = Failover(ports, self.request)
        self.completion = Completion(ports, self.request, self.writer, self.clock, self.failover)
        self.lead: Attempt | None = None
        self.rivals: list[Attempt] = []
        self.sharing: Sharing | None = None  # None = the answer is for this request alone
        self.timer: Timer | None = None  # runs during a wait before the next attempt
        self.hedge_timer: Timer | None = None
        self.silent_s = 0.0
        self.heard = 0
        self.had_all = False  # the client left behind the last event of its stream

    def __repr__(self) -> str:
        return f"<Flow {self.request!r} {self.state.name} {self.failover!r} {self.lead}>"

    # ------------------------------------------------------------------------------------------- its state

    def _takes(self, event: Event) -> bool:
        """Whether the event counts in this state. Raises Impossible where it cannot come."""
        ways = TABLE[self.state][event]
        if ways is None:
            raise Impossible(f"{event.name} in {self.state.name}")
        return bool(ways)

    def enter(self, event: Event, state: State) -> None:
        """Changes the state; nothing else does. Raises Impossible where the table has no such way."""
        ways = TABLE[self.state][event]
        if ways is None or state not in ways:
            raise Impossible(f"{event.name} leads from {self.state.name} to {state.name}")
        self.state = state

    def on(self, event: Event, step: Callable[..., None], *args: Any) -> None:
        """Runs the step that follows from an event of a timer, a queue or an upstream. No caller could answer for its
        errors, so they end the request."""
        try:
            if self._takes(event):
                step(*args)
        except Exception as error:
            self.on_broken(error)

    # ----------------------------------------------------------------------------- RECEIVING: the request

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        request, ports = self.request, self._ports
        if "Origin" in headers:
            self.writer.more = ports.access.origins.lines(headers)
        try:
            request.headers = headers
            if ports.traces is not None:
                request.trace = ports.traces(headers)
            ports.in_flight.begins(self)
            request.begins(str(start_line[1]).partition("?")[2], headers, ports.access)
        except ApiError as refusal:
            request.refusal = refusal
            if "Expect" in headers:  # the client sends the body only once we tell it to
                self.end(Event.REFUSED, refusal, self.completion.refuse, refusal, self.lead)

    def data_received(self, chunk: bytes) -> None:
        self.request.comes(chunk)

    def on_connection_close(self) -> None:
        """The client left while it was still sending."""
        self._client_left()

    def finish(self) -> None:
        self.clock.read = self._ports.now()
        self.writer.watch(self._client_left)
        if self.request.size > waves.LARGE:
            self.on(Event.BODY_IN, self._body_in)
        else:
            self._ports.waves.add(Step.READ, partial(self.on, Event.BODY_IN, self._body_in))

    def _body_in(self) -> None:
        request, ports = self.request, self._ports
        request.ends()
        gives = ports.joins(self.writer, request) if ports.joins is not None else None
        if gives is not None:
            self.enter(Event.JOINED, State.OVER)
            request.let_go()
            ports.in_flight.ends(self)
            self._cut()
            gives()
        else:
            self._resolve(Event.BODY_IN, resolving.routes(request, ports, self.writer))

    # --------------------------------------------------------------------------- RESOLVING: before it goes

    def _resolve(self, event: Event, steps: Steps, answer: Any = None) -> None:
        """Takes the next step of `resolving.routes`, and starts the request when all is known that it needs. Raises
        ApiError."""
        try:
            awaited = steps.send(answer)
        except StopIteration as known:
            self._start(event, known.value)
            return
        self.enter(event, State.RESOLVING)
        self.clock.waits()
        if isinstance(awaited, int | float):
            self.timer = self._ports.call_later(awaited, self.on, Event.RESOLVED, self._resolve, Event.RESOLVED, steps)
            return
        # This is not cancelled if the client leaves: whoever gives the answer may be in the middle of something.
        asking = asyncio.ensure_future(awaited)
        self._ports.in_flight.asks(asking)
        asking.add_done_callback(
            lambda done: self.on(Event.RESOLVED, lambda: self._resolve(Event.RESOLVED, steps, done.result()))
        )

    def _start(self, event: Event, routes: list[Route]) -> None:
        """Answers the request, or makes its first attempt, now that the routes are known. Raises ApiError."""
        front = self.request.front
        if self.request.task == "count" or self.request.cached is not None or self._ports.gather is not None:
            self.sharing = Sharing(self, self._ports)
        if self._ports.hooks is not None and self.request.task != "count":
            keep = self._ports.in_flight.asks
            is_late = partial(watching.is_late, self.clock, self._ports)
            refused, unframed = self.completion.refused, partial(_unframed, self)
            self.write_by(self._ports.hooks.held(self.writer, self.request, refused, is_late, unframed, keep))
        said = front.answers(self.request) if front is not None else None
        if said is not None:
            self.end(event, None, self.completion.answer, said)
        elif self.request.alone is not None:
            head = header_rules.JSON_HEAD + self.completion.own_head("", self.request.left)
            self.end(event, None, self.completion.whole, 200, head, self.request.alone)
        elif self.sharing is None or not self.sharing.takes(event, routes):
            self.failover.begin(routes)
            request, first = self.request, self.failover.plan[0]
            untouched = request.task == "count" or request.endpoint.untranslated
            if first.verbatim or request.crossed is not None or untouched:
                self._ports.waves.add(Step.SEND, partial(self.on, event, self.go_on, event))
            else:
                self._ports.waves.add(Step.CROSS, partial(self.on, event, self._cross, event, first))

    def _cross(self, event: Event, route: Route) -> None:
        """Translates the request for the route that is likely to take it."""
        try:
            self.request.crossed = prepare.crossed(self.request, route, self._ports)()
        except ApiError:
            self.request.crossed = None  # the attempt there meets the error again, and the next route may take it
        self._ports.waves.add(Step.SEND, partial(self.on, event, self.go_on, event))

    def write_by(self, writer: Writer) -> None:
        """Lets all that goes to the client from here on go through this writer."""
        self.writer = self.completion.writer = writer
        self.write = writer.write

    # --------------------------------------------------------------------------- SHARING: another's answer

    def share(self, event: Event) -> None:
        """Waits for the answer to another request, which will be the answer to this one, too. The Sharing tells when it
        is there."""
        self.enter(event, State.SHARING)
        self.clock.waits()

    # -------------------------------------------------------------------- QUEUED, BACKING_OFF: an endpoint

    def go_on(self, event: Event, *, fresh: bool = False) -> None:
        """Makes an attempt at the present endpoint of the plan, or waits for that endpoint; goes on to the next one
        where it refuses. fresh: on a new connection. Raises ApiError where no endpoint is left."""
        self.timer = None
        failover = self.failover
        while True:
            try:
                if self.request.task == "count" and self.sharing is not None:
                    if not self.sharing.asks_count(event, failover.route):
                        return
                got = failover.acquire(self.on_answer)
                if isinstance(got, Wait):
                    self.back_off(event, got.seconds)
                else:
                    self.attempt_with(event, got, fresh=fresh)
                return
            except ApiError as refusal:
                failover.skip(refusal)

    def back_off(self, event: Event, seconds: float) -> None:
        self.enter(event, State.BACKING_OFF)
        self.request.waits()
        self.clock.waits()
        self.timer = self._ports.call_later(seconds, self.on, Event.TIMER, self.go_on, Event.TIMER)

    def attempt_with(self, event: Event, lease: Lease, *, fresh: bool = False) -> None:
        """Makes an attempt with a lease, which is granted or still waits for a slot. Raises ApiError."""
        new = Attempt(self, self._ports, self.request, lease, fresh=fresh)
        is_hedge = bool(self.rivals)
        if not is_hedge:
            self.lead = new
        self.rivals.append(new)
        try:
            if lease.state == "granted":
                self.send(event, new)
                return
            if is_hedge:
                return
            new.write()  # before the wait, so that a request that cannot be translated is refused at once
        except ApiError:
            self.drop(new)
            raise
        self.enter(event, State.QUEUED)
        self.request.data = None
        self.clock.waits()
        new.queued_at = self._ports.now()

    def drop(self, unsent: Attempt) -> None:
        """Gives up an attempt that was not sent: its slot, its probe and its place among the rivals are given back."""
        unsent.cancel()
        self.rivals.remove(unsent)

    def on_answer(self, lease: Lease, why: ApiError | Wait | None) -> None:
        """Tells an attempt that waited for a slot that it has one. why: None, or why it got none."""
        event = Event.SLOT if why is None else Event.NO_SLOT
        self.on(event, next_step.after_wait, self, event, lease, why, self._ports.now())

    # -------------------------------------------------------------------------------- ASKING: an upstream

    def send(self, event: Event, new: Attempt) -> None:
        """Sends an attempt that has all it needs. Raises ApiError."""
        failover, ports = self.failover, self._ports
        failover.sends(new.route)
        new.send(failover.attempts, failover.deadline)
        self.enter(event, State.ASKING)
        if ports.hold is not None and not failover.is_last:
            new.hold = ports.hold(self.request.protocol)
        if self.hedge_timer is None and ports.hedges is not None:
            after = failover.hedge_after(new.route, ports.hedges)
            if after is not None:
                self.hedge_timer = ports.call_later(after, self.on, Event.HEDGE_TIMER, next_step.hedge, self, after)

    def on_lost(self, attempt: Attempt, outcome: Outcome) -> None:
        """An attempt has ended without an answer. Nothing of its reply has gone to the client, unless the turn was
        already in a later request: then half of the reply may be out, and the request cannot be tried again."""
        if attempt.continues:
            self.failover.judge(attempt.route, outcome, own_key=attempt.incoming.own_key)
            self.on_broken(outcome.error)
        else:
            self.on(Event.LOST, next_step.after_loss, self, attempt, outcome)

    # ------------------------------------------------------------------------------ STREAMING: the reply

    def on_wins(self, attempt: Attempt) -> None:
        """Cancels the other attempts: this one's reply goes to the client."""
        self._cancel(attempt)
        self.lead = attempt

    def on_first_byte(self, attempt: Attempt, out: bytes) -> None:
        """Sends the headers to the client and makes this attempt the lead. It is the attempt that tells of errors."""
        self.on_wins(attempt)
        self.enter(Event.FIRST_BYTE, State.STREAMING)
        attempt.leads = True
        if attempt.route.place.breaker.state != "closed":
            attempt.lease.probed(self._ports.now())
        self.writer.on_full, self.writer.on_drained = attempt.pause, attempt.resume
        self.completion.begin_stream(attempt, out)

    def on_whole_reply(self, attempt: Attempt, head: bytes, out: bytes) -> None:
        self.on_wins(attempt)
        self.end(Event.WHOLE_REPLY, None, self.completion.whole_reply, attempt, head, out)

    def on_stream_end(self, attempt: Attempt, out: bytes, error: ApiError | None) -> None:
        if self.request.previous is not None and out:
            self.request.previous.stream_ended(out, attempt.reply)
        self.end(Event.STREAM_END, error, self.writer.end)

    def write_last(self, data: bytes) -> None:
        self.writer.write_last(data)

    @property
    def streaming(self) -> bool:
        return self.state is State.STREAMING

    # ----------------------------------------------------------------------------------- FLUSHING: its end

    def end(self, event: Event, error: ApiError | None, write: Callable[..., ApiError | None], *args: Any) -> None:
        """Lets `write` write the last that the client gets, and waits until that is sent. `write` may return the error
        that the client is told."""
        self.enter(event, State.FLUSHING)
        error = write(*args) or error
        self._cancel(self.lead)
        if self.sharing is not None:
            self.sharing.answered(error)
        self.completion.over(error, self.lead)
        self._ports.waves.add(Step.CLOSE, partial(self.writer.when_sent, self._flushed))

    def on_broken(self, error: Exception, event: Event = Event.BROKEN) -> None:
        """Ends the request here, whatever went wrong: it is refused, its stream ends with an error, or the connection
        is cut."""
        self._cancel()
        if not isinstance(error, ApiError):
            log.error("request %s failed inside the proxy: %r", self.request.key, self, exc_info=error)
            error = ApiError("api", f"internal error of the proxy, see its log (request {self.request.key})")
        if TABLE[self.state][event]:  # no: the client has been told all
            self.end(event, error, self.completion.break_off, error, self.lead)

    def _client_left(self) -> None:
        if watching.has_all(self) and self.lead is not None:  # Codex closes its connection behind the last event
            self.had_all = True
            self.lead.has_said_all()
        elif self.state < State.FLUSHING:  # later, the writer tells of it
            self.enter(Event.CLIENT_LEFT, State.OVER)
            self._cancel()
            self.completion.left = True
            self.completion.over(None, self.lead)
            self._finish()

    def tick(self, seconds: float, patience_s: float) -> None:
        watching.look(self, self._ports, seconds, patience_s)

    def shut_down(self) -> None:
        self.stop(ApiError("overloaded", "the proxy is shutting down", 503, retry_after=1))

    def stop(self, why: ApiError) -> None:
        """Ends the request by the proxy's own will. A stream gets a legal error event. If all is written but the client
        reads slowly, an operator's cancellation cuts it off; a proxy that ends gives it a moment more."""
        if self.state < State.FLUSHING:
            self.completion.aborted = True
            self.on_broken(why, Event.STOPPED)
        elif isinstance(why, Cancelled) and self.writer.cut_off():
            self.completion.error, self.completion.said = why, why.message

    def standing(self) -> Standing:
        route = self.lead.route if self.lead is not None else None
        at = (route.upstream.name, route.model) if route is not None else ("", "")
        return self.request.standing(self.state.name, at, self.clock, self.failover.attempts, self.writer.written)

    def _flushed(self, all_of_it: bool) -> None:
        self.enter(Event.FLUSHED, State.OVER)
        self.completion.left = not (all_of_it or self.had_all)
        self._finish()

    def _finish(self) -> None:
        """Leaves nothing of the request but its record."""
        ports = self._ports
        ports.in_flight.ends(self)
        if self.sharing is not None:
            self.sharing.left()
        try:
            settling.settle(ports, self.request, self.failover, self.completion, self.clock, self.lead)
        except Exception:  # odd values in a reply may cost its record, but never more
            log.exception("no record of request %s", self.request.key)
        self._cut()

    def _cancel(self, but: Attempt | None = None) -> None:
        """Cancels all that is on its way or planned, except for `but`, the attempt that has won."""
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
                    rival.incoming.outrun()
                if rival is not (but or self.lead) and (outrun := settling.outrun(rival)) is not None:
                    self.completion.outrun = [*self.completion.outrun, outrun]
                rival.cancel()

    def _cut(self) -> None:
        """Cuts the links between the request's parts, so that nothing is left for the garbage collector."""
        self.rivals = []
        self.sharing = None
        self.writer.over()
        self.request.data = None
        if self.lead is not None:
            self.lead.owner = self.lead.more = None


def _unframed(flow: Flow) -> bytes | None:
    return reframed.unframed(flow.lead.reply if flow.lead is not None else None)
