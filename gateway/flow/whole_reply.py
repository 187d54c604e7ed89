"""A reply that has come whole, and the form that its client asked for.

Some servers send a stream though a whole reply was asked for, or the other way round. Clients read neither for the
other: so the one is made of the other, also where both sides speak the same protocol and all else passes as it is.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Protocol

from gateway.flow import outcomes, outline
from gateway.flow.attempt_owner import Owner
from gateway.flow.client_request import LARGE, ClientRequest
from gateway.flow.incoming import Incoming
from gateway.flow.lease import Lease, Verdict
from gateway.flow.ports import Hold, Ports
from gateway.flow.prepare import kept_bytes, seconds
from gateway.flow.sealing import Seal
from gateway.flow.waves import Step
from gateway.http import header_rules
from gateway.limits.retry_policy import Outcome
from gateway.passing.reframed import Reframed
from translate.dialect import Reply
from translate.failures.errors import ApiError
from translate.json.json_fields import Body
from translate.pair import Crossing
from translate.streams import sse
from translate.target import Asked

_ID = re.compile(rb'"id"\s*:\s*"(?:msg_|resp_|chatcmpl-)([A-Za-z0-9_-]{1,200})"')


class Answering(Protocol):
    """The part of an attempt that is used here."""

    request: ClientRequest
    lease: Lease
    hold: Hold | None
    reply: Reply | None
    verbatim: bool

    @property
    def owner(self) -> Owner[Any] | None: ...

    @property
    def incoming(self) -> Incoming: ...

    @property
    def more(self) -> object | None:
        """Not None = the turn may take further requests."""

    def pass_on(self, out: bytes) -> bool: ...

    def goes_on(self) -> bool: ...

    def must_go_on(self) -> None: ...

    def settle(self, verdict: Verdict) -> None: ...

    def lose(self, outcome: Outcome) -> None: ...

    def on_fault(self, error: Exception) -> None: ...


class WholeReplySteps:
    """The two steps of an attempt whose reply has come whole and is no error, each in its wave (waves.py)."""

    __slots__ = ("_attempt", "_kind", "_out", "_ports", "_seal")

    def __init__(self, attempt: Answering, ports: Ports, seal: Seal | None) -> None:
        """seal: the envelope of the cloud that the reply comes from."""
        self._attempt = attempt
        self._ports = ports
        self._seal = seal
        self._kind = self._out = b""

    def __repr__(self) -> str:
        return f"<WholeReplySteps {len(self._out)} bytes for the client>"

    def read(self) -> None:
        """Makes the client's reply of the upstream's."""
        attempt, ports = self._attempt, self._ports
        if attempt.owner is None:
            return  # nobody wants the reply any more
        try:
            assert attempt.reply is not None
            reply, body, streamed, passes = formed(
                attempt.request, ports, attempt.reply, attempt.incoming, self._seal, verbatim=attempt.verbatim
            )
            attempt.reply = reply
            if attempt.request.streams and not passes:
                attempt.pass_on(reply.whole_as_stream(body))
                if attempt.owner is None or (not attempt.goes_on() and attempt.lease.state != "released"):
                    attempt.settle("answered")
                attempt.must_go_on()
                return
            self._out = reply.whole(ports.masked(body) if streamed else body, streamed)
            self._kind = header_rules.EVENT_STREAM if streamed and passes else header_rules.JSON_HEAD
            ports.waves.add(Step.GIVE, self.give)
        except Exception as error:
            attempt.on_fault(error)

    def give(self) -> None:
        """Gives it to the client; or the turn goes on, or another model is asked."""
        attempt = self._attempt
        if (owner := attempt.owner) is None:
            return
        try:
            if attempt.more is not None and attempt.goes_on():
                return
            if attempt.hold is not None and attempt.hold.whole(self._out):
                attempt.lose(outcomes.declined())
                return
            attempt.settle("answered")
            owner.on_whole_reply(attempt, self._kind, self._out)
        except Exception as error:
            attempt.on_fault(error)


class Formed(NamedTuple):
    """reply: what reads the body. streamed: the body is the events of a stream. passes: nothing is made of it."""

    reply: Reply
    body: bytes
    streamed: bool
    passes: bool


def formed(
    request: ClientRequest, ports: Ports, reply: Reply, incoming: Incoming, seal: Seal | None, *, verbatim: bool
) -> Formed:
    """incoming: has all of the reply. seal: the envelope of the cloud that it comes from. verbatim: request and reply
    are in the same protocol. Raises ApiError for what is no reply in any form."""
    body, content_type = incoming.body(), header_rules.find(incoming.headers, "content-type")
    if seal is not None and seal.task:
        body = seal.envelope.counted(body)
    wanted = request.streams  # then its first byte has shown that it is no stream
    begins = body.lstrip()
    is_stream = begins[:1] != b"{" and ("event-stream" in content_type or sse.begins(begins))
    streamed = not wanted and is_stream
    passes = verbatim and (streamed is wanted or bool(request.task) or request.endpoint.untranslated)
    if verbatim and not passes:
        reply.whole(body, streamed)
        dialect = request.dialect
        if streamed and dialect.as_whole is not None and (found := dialect.as_whole(body)) is not None:
            body, streamed = found, False
        elif streamed or dialect.as_stream is None:
            reply = _other_form(request, ports, body)
    return Formed(reply, body, streamed, passes)


def _other_form(request: ClientRequest, ports: Ports, raw: bytes) -> Reply:
    """The reader that makes the other form of a reply that was to pass unchanged. raw: the reply, whose id stays."""
    data = _said(request)
    options = data.get("stream_options")
    own = _ID.search(raw[:4096])
    asked = Asked(
        model=request.asked_model,
        key=own[1].decode() if own is not None else request.key.removeprefix("req_"),
        created=int(ports.unix()),
        clock=seconds,
        headers=request.headers,
        echo=request.dialect.echo(data),
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )
    reply: Reply = Crossing(request.protocol, request.protocol, asked)
    if request.framed is None:
        return reply
    return Reframed(reply, request.framed, kept_bytes(request, ports), ports.now)


def _said(request: ClientRequest) -> Body:
    """The fields of the request that its reply repeats; nothing of it where to read it takes long or fails."""
    try:
        return outline.parse(request.body) if len(request.body) < LARGE else {}
    except ApiError:
        return {}
