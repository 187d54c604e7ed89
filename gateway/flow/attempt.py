"""One attempt of a request at one endpoint, from the sending to the outcome.

An attempt tells its owner what happens (`Owner`) and changes nothing else. It hears what the upstream sends from
`incoming`, which is libcurl's sink. With the first useful byte the owner makes the attempt the lead. From then on the
sink's `on_data` is a method that feeds the translator and writes to the client, and nothing stands between these two.
Whatever happens, `settle` gives the lease back exactly once.
"""

from __future__ import annotations

import logging

from gateway.credentials.minted import Minted
from gateway.credentials.signing import signed
from gateway.flow import outcomes, prepare
from gateway.flow.attempt_owner import Owner
from gateway.flow.client_request import ClientRequest
from gateway.flow.continued_turn import Continuing
from gateway.flow.crossed import Estimated
from gateway.flow.incoming import Incoming
from gateway.flow.lease import Lease, Verdict
from gateway.flow.ports import Hold, Ports
from gateway.flow.prepare import Outgoing
from gateway.flow.sealing import Seal
from gateway.flow.trace import Span
from gateway.flow.waves import Step
from gateway.flow.whole_reply import WholeReplySteps
from gateway.http.auth import keys_of
from gateway.limits.retry_policy import Outcome
from gateway.passing.clean_lines import CleanEvents, CleanLines, about_error, may_tell_error
from gateway.passing.reframed import failed_unsaid
from translate.dialect import Reply
from translate.envelopes.envelope import Unframing
from translate.failures import errors
from translate.failures.errors import ApiError, BadRequest
from upstream.failure import UNSENT, Failure
from upstream.request import Request, nobody_reads

log = logging.getLogger("gateway")


class Attempt:
    """One attempt.

    lease: what was taken for it. outgoing: the upstream request, until it is sent. incoming: what comes of the exchange
    that is on its way. reply: what becomes of that for the client. hold: keeps back what may be a refusal of the model.
    more: for a turn that may take further requests. leads: its reply goes to the client. fresh: it goes on a new
    connection, because a kept one has just failed. asks_usage: it asks a stream for its usage, though the client does
    not. cache_marks: how many cache marks the proxy added. estimated: the tokens of the request, see token_counting.py.
    minted: the key that it was sent with, if the key comes from a command or a cloud. queued_at: since when it waits
    for a slot. paused: the client reads slowly.
    """

    __slots__ = (
        "_events", "_lines", "_ports", "_seal", "_unframing", "asks_usage", "cache_marks", "dropped", "estimated",
        "fresh", "hold", "incoming", "leads", "lease", "minted", "more", "outgoing", "owner", "paused", "queued_at",
        "reply", "request", "route", "span", "verbatim",
    )  # fmt: skip

    def __init__(
        self, owner: Owner[Attempt], ports: Ports, request: ClientRequest, lease: Lease, *, fresh: bool
    ) -> None:
        self.owner: Owner[Attempt] | None = owner
        self._ports = ports
        self.request = request
        self.lease = lease
        self.route = lease.route
        untouched = request.task == "count" or request.endpoint.untranslated
        self.verbatim = lease.route.verbatim or untouched  # nothing is translated
        self.fresh = fresh
        forwards = lease.route.upstream.settings.forward_client_key
        own_key = forwards and ports.access.open and bool(keys_of(request.headers))
        counts = request.task == "count"
        self.incoming = Incoming(
            self, ports, lease, owner.clock, streams=request.streams, own_key=own_key, counts=counts
        )
        self.outgoing: Outgoing | None = None
        self.reply: Reply | None = None
        self.more: Continuing | None = None
        self.hold: Hold | None = None
        self.dropped: list[str] = []
        self.asks_usage = False
        self.cache_marks = 0
        self.estimated = Estimated()
        self.minted: Minted | None = None
        self.queued_at = 0.0
        self.span: Span | None = None  # of the request's trace
        self.leads = self.paused = False
        self._lines: CleanLines | None = None  # of a stream that passes as it is
        self._events: CleanEvents | None = None  # of one that is translated
        self._seal: Seal | None = None
        self._unframing: Unframing | None = None

    def __repr__(self) -> str:
        return f"<Attempt at {self.route.place.name} {self.incoming!r}>"

    def write(self) -> Outgoing:
        """Makes the upstream request, and what will read the reply. Raises ApiError."""
        made = prepare.outgoing(self.request, self.route, self._ports, verbatim=self.verbatim)
        self.outgoing, self.reply = made, made.reply
        self.dropped, self.cache_marks = made.dropped, made.cache_marks
        self.asks_usage, self.estimated = made.asks_usage, made.estimated
        if made.asked is not None:
            self.more = Continuing(self, self._ports, self.request, made.asked)
        return made

    def send(self, number: int, deadline: float) -> None:
        """Sends the upstream request. number: which attempt of the request this is. deadline: after it, the turn begins
        no further request. Raises ApiError."""
        owner, ports, upstream, now = self.owner, self._ports, self.route.upstream, self._ports.now()
        assert owner is not None
        mint = self.route.mint
        # A request that was written before a wait in the queue may lack the key, or have an older one.
        outgoing = self.outgoing if self.outgoing is not None and mint is None else self.write()
        self.outgoing = None
        self.minted = mint.minted if mint is not None and not self.incoming.own_key else None
        owner.clock.asks(now)
        self.lease.goes()
        self.incoming.streams, self.incoming.sent_at = self.request.streams, now
        timeouts = upstream.stream_timeouts if self.request.streams else upstream.whole_timeouts
        if self.request.task == "count":
            timeouts = upstream.count_timeouts
        lines = outgoing.lines
        if (trace := self.request.trace) is not None:
            self.span = trace.attempt(upstream.name, self.route.protocol, self.route.model, outgoing.url)
            lines = trace.told(lines, self.span)
        self._seal, self._events = outgoing.seal, outgoing.events
        lines, signing = signed(upstream.settings, self.minted, lines, outgoing.body)
        request = Request("POST", outgoing.url, lines, outgoing.body, timeouts, upstream.way, self.fresh, signing)
        self._expects_reply()
        if self.more is not None:
            self.more.sent(request, deadline, outgoing.seal, self.minted)
        try:
            self.incoming.exchange = ports.send(request, self.incoming)
        except ValueError as why:  # the settings were checked, so it comes from the client
            raise BadRequest(f"a header or the query string cannot be sent on: {why}") from None
        if log.isEnabledFor(logging.DEBUG):
            log.debug("request %s: attempt %d for '%s' goes to %s (%d bytes)", self.request.key, number,
                      self.request.asked_model, outgoing.url.partition("?")[0], len(outgoing.body))  # fmt: skip
        ports.observer.sent(self.request.info(number), outgoing.body)
        self.request.data = self.request.crossed = None  # a retry parses again

    # ------------------------------------------------------------------ further requests of one turn

    @property
    def continues(self) -> bool:
        """Whether the turn is in a later request. Then the reply has begun, even if the client has got nothing yet."""
        return self.more is not None and self.more.made > 0

    def lets_go(self) -> None:
        """Leaves the exchange: everything that counts has come. What was held back of its reply goes out, as it was no
        refusal."""
        if self.owner is not None:
            self.owner.on_wins(self)
        if self.incoming.exchange is not None:
            self.incoming.exchange.ignore()
            self.incoming.exchange = None
        self._is_read()
        hold, self.hold = self.hold, None
        if hold is not None and (rest := hold.rest()):
            self.pass_on(rest)
        self.estimated = Estimated()  # the usage of the whole turn teaches nothing about the size of its first request

    def _expects_reply(self) -> None:
        """Prepares for the reply, which may be in a frame of a cloud."""
        envelope = self.route.envelope
        self._unframing = envelope.unframing() if envelope is not None and envelope.unframing is not None else None

    def asks(self, request: Request) -> None:
        """Sends the next request of the turn, in the same slot."""
        self._expects_reply()
        self.incoming = new = self.incoming.successor(self)
        new.sent_at = self._ports.now()
        new.exchange = self._ports.send(request, new)
        if self.paused:
            new.exchange.pause()

    def broke(self, error: Exception) -> None:
        if self.owner is not None:
            self.owner.on_broken(error)

    def goes_on(self) -> bool:
        """Sends the next request of the turn, if there is one. Returns whether one is on its way."""
        if self.more is None or self.reply is None:
            return False
        if self.reply.goes_on:
            self.more.go_on(self.reply)
        return self.incoming.exchange is not None or self.more.waits

    # ---------------------------------------------------------------------------------------- a stream

    def on_stream(self, chunk: bytes) -> None:
        """Takes a chunk of a stream of which the client has nothing yet, or no more than a sign of life."""
        if self.owner is not None and not self.leads:
            self.owner.clock.came = self._ports.now()
        try:
            assert self.reply is not None
            if chunk := self._cleaned(chunk):
                if self.pass_on(self.reply.feed(chunk)) and self.incoming.on_data == self.on_stream:
                    self.incoming.on_data = self._stream
            if self.more is not None and self.lease.state != "released":
                self.goes_on()
        except Exception as error:
            self.on_fault(error)

    def _stream(self, chunk: bytes) -> None:
        """Takes a chunk of a stream once the client has its beginning. This is the delta path: feed, write, and nothing
        else."""
        reply, owner = self.reply, self.owner
        try:
            assert reply is not None and owner is not None  # since the first byte
            chunk = self._cleaned(chunk)
            if chunk and (out := reply.feed(chunk)):
                lines, exchange = self._events or self._lines, self.incoming.exchange
                if reply.fault is not None:
                    out = self.masks(reply.fault, out)
                elif lines is not None and lines.tells_error:
                    out = self._ports.masked(out)  # some servers repeat the key that they refuse
                if reply.ended:
                    owner.write_last(out)
                    self._ended(out)
                    return
                if self.verbatim and exchange is not None and exchange.ended_well and self.more is None:
                    owner.write_last(out)  # bytes that pass as they are have no terminal event of ours
                else:
                    owner.write(out)
            if self.more is not None:
                self.goes_on()
        except Exception as error:
            self.on_fault(error)

    def masks(self, fault: ApiError, out: bytes) -> bytes:
        """Takes the upstream's secrets out of an error in its stream: out of `fault`, and out of the bytes for the
        client, which are returned. Such an error need not have the word "error"."""
        secrets = self.route.upstream.secrets
        fault.message = secrets.text(fault.message)
        return self._ports.masked(secrets.clean(out))

    def _cleaned(self, chunk: bytes) -> bytes:
        """Returns the chunk as the translator is to read it. Most chunks are whole lines that speak of no error and
        pass as they are, so that they need not be searched for an error again after the translation: in a burst, that
        search would be a third of the cost. Where events are read, each event is looked at."""
        if self._unframing is not None and not (chunk := self._unframing.feed(chunk)):
            return chunk
        if self._events is not None:
            self._events.tells_error = False
            return chunk
        if self._lines is None:
            if chunk[-1:] == b"\n" and not about_error(chunk):
                return chunk
            self._lines = CleanLines(self.route.upstream.secrets)
        return self._lines.feed(chunk)

    def pass_on(self, out: bytes) -> bool:
        """Writes to the client what a chunk has become; the first bytes make this attempt the lead. Returns whether
        there were any."""
        reply, owner = self.reply, self.owner
        assert reply is not None and owner is not None
        if not self.leads:
            if reply.fault is not None and not reply.started:
                self.masks(reply.fault, b"")
                raise reply.fault
            if self.hold is not None:
                out = self.hold.feed(out) or (self.hold.rest() if reply.ended else b"")
                if reply.ended and not out:
                    self.lose(outcomes.declined())
                    return False
            if not out:
                return False
            owner.on_first_byte(self, out)
        if out:
            if not owner.clock.first:
                owner.clock.first = self._ports.now()
            lines, exchange = self._events or self._lines, self.incoming.exchange
            searched = self.incoming.mode == "streaming" and (lines is None or not lines.tells_error)
            if reply.fault is not None:
                out = self.masks(reply.fault, out)
            elif not searched and may_tell_error(out):
                out = self._ports.masked(out)
            is_all = self.verbatim and exchange is not None and exchange.ended_well and self.more is None
            if reply.ended or is_all:
                owner.write_last(out)
            else:
                owner.write(out)
        if reply.ended:
            self._ended(out)
        return bool(out)

    def has_said_all(self) -> None:
        """Ends a stream whose upstream has not closed it yet, though its terminal event has come."""
        assert self.reply is not None
        self._ended(self.reply.end())

    def _ended(self, out: bytes) -> None:
        """The client has the terminal event. The exchange goes on to its last byte, so that the connection can
        be used again, but nobody hears of it any more."""
        owner = self.owner
        assert owner is not None and self.reply is not None
        self.owner = None
        self.incoming.on_data = nobody_reads
        self.resume()
        owner.on_stream_end(self, out, self.reply.fault)

    def pause(self) -> None:
        """The client has not read for a while."""
        self.paused = True
        if self.incoming.exchange is not None:
            self.incoming.exchange.pause()

    def resume(self) -> None:
        """The client has caught up, or it is gone and nobody waits for it."""
        self.paused = False
        if self.incoming.exchange is not None:
            self.incoming.exchange.resume()

    # ---------------------------------------------------------------------------------- the reply ends

    def on_over(self, failure: Failure | None) -> None:
        owner = self.owner
        if owner is None:  # the client already has the whole answer
            self.settle("answered" if failure is None else "unjudged")
            return
        if not self.leads:
            owner.clock.came = self._ports.now()
        try:
            if failure is not None:
                self._failed(failure)
            elif self.incoming.mode == "streaming":
                self._closed()
            elif self.incoming.status != 200:
                self._refused()
            else:
                self._ports.waves.add(Step.ANSWER, WholeReplySteps(self, self._ports, self._seal).read)
                return
            self.must_go_on()
        except Exception as error:
            self.on_fault(error)

    def must_go_on(self) -> None:
        if self.lease.state != "released" and not self.goes_on():
            raise errors.BadReply("the upstream's reply came to nothing")

    def _closed(self) -> None:
        """The upstream closed its stream."""
        owner, reply = self.owner, self.reply
        assert owner is not None and reply is not None
        self._pass_rest()
        if self.owner is not None:
            self.pass_on(reply.end())
        if self.owner is None:  # the terminal event has gone to the client
            self.settle("faulted" if reply.fault else "answered")
            return
        if reply.fault is not None:  # told by the stream itself
            self.masks(reply.fault, b"")
        if self.goes_on():
            return
        if self.hold is not None and not self.leads and self.lease.state != "released":
            if rest := self.hold.rest():
                owner.on_first_byte(self, rest)
                owner.write(rest)
            elif self.hold.held:
                self.lose(outcomes.declined())
        if self.leads:
            self._is_over("faulted" if reply.fault else "answered", reply.fault)

    def _is_over(self, verdict: Verdict, error: ApiError | None) -> None:
        """The client's stream is over, without a terminal event that the proxy wrote."""
        self.settle(verdict)
        owner, self.owner = self.owner, None
        if owner is not None:
            owner.on_stream_end(self, b"", error)

    def _failed(self, failure: Failure) -> None:
        owner, reply = self.owner, self.reply
        assert owner is not None and reply is not None
        if self.incoming.mode == "streaming":
            self._pass_rest()
            if self.owner is None:
                self.settle("unjudged")
                return
            if failed_unsaid(reply):  # its error says more than the failure that came then
                self._closed()
                return
        outcome = outcomes.of_failure(failure, self.route)
        if self.more is not None and self.more.again(outcome):
            return
        if self.leads:
            owner.write(self._ports.masked(reply.fail(outcome.error)))
            self._is_over("unreached" if failure.kind in UNSENT else "faulted", outcome.error)
            return
        self.lose(outcome)

    def _refused(self) -> None:
        """The upstream answered with an error, or with a status that is no answer."""
        got, asked, unix = self.incoming, self.request.body, self._ports.unix()
        outcome = outcomes.of_refusal(self.route, got.status, got.headers, got.body(), asked, unix)
        if self.more is None or not self.more.again(outcome):
            self.lose(outcome)

    def _pass_rest(self) -> None:
        """Passes on the last bytes of a stream, if they do not end a line."""
        rest = self._lines.rest() if self._lines is not None else b""
        if rest and self.reply is not None and self.owner is not None:
            self.pass_on(self.reply.feed(rest))

    # ------------------------------------------------------------------------------------------ its end

    def on_fault(self, error: Exception) -> None:
        """The reply cannot be used. While the client has nothing of it, this is an outcome like any other."""
        if self.leads or not isinstance(error, ApiError):
            owner = self.owner
            self.cancel("faulted" if isinstance(error, ApiError) else "unjudged")
            if owner is not None:
                owner.on_broken(error)
            return
        whole, unix = self.incoming.mode == "collecting", self._ports.unix()
        outcome = outcomes.of_fault(error, self.reply, self.request.body, unix, whole=whole)
        if outcome.cause == "status":  # under a 200: the error gets the status that it means
            self.incoming.status = error.status
            self.incoming.body()
        self.lose(outcome)

    def lose(self, outcome: Outcome) -> None:
        if self.span is not None:
            self.span.ends(self.incoming.status, outcome.error.kind)
        owner = self.owner
        # For a count nobody waits as long as for a reply, so that a late one says little of the upstream.
        is_impatience = outcome.is_late and self.incoming.counts
        self.cancel("unjudged" if is_impatience else outcomes.verdict(outcome, self.incoming.status))
        if owner is not None:
            owner.on_lost(self, outcome)

    def cancel(self, verdict: Verdict = "unjudged") -> None:
        """Ends the attempt at once, in whatever phase it is. Its owner hears no more of it."""
        self.incoming.cancel()
        if self.more is not None:
            self.more.stop()
        self.settle(verdict)
        self.owner = None

    def _is_read(self) -> None:
        """Wants nothing more of what comes, and lets go of what would be kept alive for it."""
        self.outgoing = self.incoming.reader = None
        self.incoming.on_data = nobody_reads

    def settle(self, verdict: Verdict) -> None:
        """Gives the lease back with a verdict, and ends the reading."""
        incoming = self.incoming
        self._is_read()
        if self.span is not None:
            self.span.ends(incoming.status, "" if verdict == "answered" else verdict)
        self.lease.release(verdict, self._ports.now(), worked=incoming.sent_at > 0 and incoming.status == 200)
