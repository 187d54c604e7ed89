"""Looks after a request in flight, about once a second: has its body come, is its client there, is its stream silent?

One timer of the process serves all requests (gateway/in_flight.py): one for each would be made and cancelled with every
request, and most are over before they were ever looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Protocol as Interface

from gateway.flow.attempt import Attempt
from gateway.flow.client_request import ClientRequest
from gateway.flow.completion import Completion
from gateway.flow.failover import Failover
from gateway.flow.ports import Ports
from gateway.flow.states import Event, State
from gateway.flow.timing import Clock
from gateway.http.response_writer import Writer
from gateway.passing.passthrough import Passthrough
from gateway.passing.reframed import failed_unsaid
from translate.failures.errors import ApiError

_BEFORE_REPLY = (State.QUEUED, State.BACKING_OFF, State.ASKING)
SIGN_BYTES = 256  # so much may signs of life take in a second, by which some upstreams keep a finished stream open


class Watched(Interface):
    """The part of a Flow that is looked at. silent_s, heard: for how long its stream has been silent, and how many
    bytes the client had got by then."""

    state: State
    request: ClientRequest
    clock: Clock
    completion: Completion
    failover: Failover
    writer: Writer
    lead: Attempt | None
    silent_s: float
    heard: int

    def end(self, event: Event, error: ApiError | None, write: Callable[..., ApiError | None], *args: Any) -> None:
        """Lets `write` write the last that the client gets."""

    def on_broken(self, error: Exception) -> None: ...


def look(flow: Watched, ports: Ports, seconds: float, patience_s: float) -> None:
    """Looks at a request. seconds: since the last look. patience_s: after so long a silence a stream gets a ping."""
    if flow.state is State.RECEIVING:
        _look_at_body(flow, ports)
        return
    if flow.writer.left:
        flow.writer.hang_up()
    lead = flow.lead
    begun = flow.state is State.ASKING and lead is not None and _has_begun(lead)
    if flow.state in _BEFORE_REPLY and not begun:
        if flow.completion.early or _may_begin(flow, ports):
            _go_ahead(flow, seconds, patience_s)
        return
    if lead is None:  # another request's stream gets that one's pings
        return
    if flow.state is State.STREAMING or begun:
        more = flow.writer.written - flow.heard
        is_silent = not more or (more <= SIGN_BYTES and _has_said_all(lead))
        flow.silent_s = flow.silent_s + seconds if is_silent else 0.0
        flow.heard = flow.writer.written
        if flow.silent_s >= patience_s or (begun and not flow.completion.early and _may_begin(flow, ports)):
            flow.silent_s = 0.0
            _ping(flow, lead, ports)


def _has_begun(lead: Attempt) -> bool:
    """Whether something of a stream has come, though it may be no more than a comment."""
    return lead.incoming.mode == "streaming" or (lead.continues and lead.request.streams)


def _may_begin(flow: Watched, ports: Ports) -> bool:
    """Whether the client had better get the head of its stream, although no upstream has said anything."""
    return _can_begin(flow) and is_late(flow.clock, ports)


def _can_begin(flow: Watched) -> bool:
    """Whether the client can get the head of its stream alone. A form that begins with more than that, a websocket and
    a reply that others get, too, need the reply first. Without a client (reattach.py) a request that fails is to be
    made anew by who comes back, and not to be told in a stream."""
    request = flow.request
    if not request.streams or request.task or not flow.writer.may_wait:
        return False
    return request.framed is None or request.framed.may_wait


def _may_move(flow: Watched, lead: Attempt, ports: Ports) -> bool:
    """Whether a stream of which no more than the opening has come may still be another target's, if it fails."""
    has_others = not flow.failover.is_last and ports.now() < flow.failover.deadline
    return has_others and not lead.continues and _can_begin(flow)


def is_late(clock: Clock, ports: Ports) -> bool:
    """Whether a client waits for its stream for so long that it had better get the head."""
    return 0.0 < ports.head_after_s <= ports.now() - clock.read


def _go_ahead(flow: Watched, seconds: float, patience_s: float) -> None:
    """Sends the head, and a sign of life now and then. Attempts go on as before, also at other endpoints: only the
    status is given away."""
    if flow.completion.early and (silent_s := flow.silent_s + seconds) < patience_s:
        flow.silent_s = silent_s
        return
    flow.silent_s = 0.0
    _give_sign(flow)
    flow.heard = flow.writer.written


def _give_sign(flow: Watched) -> None:
    if not flow.completion.early:
        flow.completion.begin_early(flow.lead)
    flow.writer.sign(flow.completion.sign())


def _look_at_body(flow: Watched, ports: Ports) -> None:
    """Ends a request whose body takes too long to come."""
    front = flow.request.front
    late = ports.now() - flow.clock.began > ports.body_timeout_s
    if late and (front is None or not front.is_here):
        flow.clock.read = ports.now()
        flow.writer.last()
        refusal = flow.request.refusal or flow.completion.too_slow()
        flow.end(Event.REFUSED, refusal, flow.completion.refuse, refusal, None)


def _ping(flow: Watched, lead: Attempt, ports: Ports) -> None:
    """Sends a sign of life, so that the client does not give up.

    A model that thinks behind an empty first event is alive, too. Where another target could still be asked, the client
    gets the head alone, and that event waits. Elsewhere it goes out now, and a later failure can only be an error
    event. Comments are no event (OpenRouter's, or the pings of a proxy like this one): after them the
    client gets the head alone, as if nothing had come. A stream that has had its last event needs no ping: it is ended.
    """
    try:
        assert lead.reply is not None
        if _has_said_all(lead):
            _hang_up(lead)
            return
        if flow.state is not State.STREAMING and _may_move(flow, lead, ports) and not failed_unsaid(lead.reply):
            _give_sign(flow)
            flow.heard = flow.writer.written
            return
        if flow.state is not State.STREAMING:
            _begin(lead)
            flow.clock.first = 0.0  # a sign of life does not count as the first byte
        if flow.state is State.STREAMING:
            flow.writer.sign(lead.reply.ping())
        elif flow.state in _BEFORE_REPLY and (flow.completion.early or _may_begin(flow, ports)):
            _give_sign(flow)
        flow.heard = flow.writer.written
    except Exception as error:
        flow.on_broken(error)


def _begin(lead: Attempt) -> None:
    """Tells the client that the upstream is alive, when a model thinks behind an empty first event. If it has told an
    error there, and leaves the stream open, nobody waits for it."""
    assert lead.reply is not None
    if failed_unsaid(lead.reply):
        _hang_up(lead)
    elif lead.hold is None:
        lead.pass_on(lead.reply.begin())


def _has_said_all(lead: Attempt) -> bool:
    """Returns whether a passthrough stream has come to its end, though the upstream leaves the connection open."""
    return lead.leads and lead.more is None and isinstance(lead.reply, Passthrough) and lead.reply.says_no_more


def has_all(flow: Watched) -> bool:
    """Whether the client has got the whole of a passthrough stream, though the upstream has not closed it yet."""
    lead = flow.lead
    return flow.state is State.STREAMING and lead is not None and _has_said_all(lead) and flow.writer.all_sent


def _hang_up(lead: Attempt) -> None:
    """Ends a stream that has said all, or has failed. Its connection cannot be used again."""
    lead.incoming.cancel()
    lead.on_over(None)
