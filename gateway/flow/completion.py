"""Every way in which a request ends: answered, refused, broken off, or left by its client.

What the client gets last is written here, and what was held for the request is given back. What follows when it has
its last byte is in settling.py, the walk itself in flow.py.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from gateway.cache.question import Kept, Source
from gateway.flow import charges, compaction, outcomes, upstream_request
from gateway.flow.attempt import Attempt
from gateway.flow.client_request import ClientRequest
from gateway.flow.failover import Failover
from gateway.flow.info import Outrun
from gateway.flow.ports import Ports
from gateway.flow.timing import Clock
from gateway.flow.token_counting import BY_UPSTREAM
from gateway.http import body_decoding, header_rules
from gateway.http.response_writer import Writer
from gateway.limits.retry_policy import Full, Outcome
from gateway.passing.passthrough import Passthrough
from gateway.refusals import scrub
from gateway.routing.router import Route
from translate.conversation import Usage
from translate.counting import usage
from translate.failures.errors import ApiError

log = logging.getLogger("gateway")

_NONE: dict[str, str] = {}

_OWN_ERROR = re.compile(rb'\s*\{\s*"type"\s*:\s*"error"')


class Completion:
    """How the request ends.

    status: of the reply, 0 = none yet. streamed: the reply is a stream. error: what the client was told, or the
    upstream said. said: the words of the error, for the log. early: a stream's head went out before any upstream had
    begun to answer. left: the client left. aborted: the proxy broke it off. outrun: attempts of a hedge that were
    cancelled. reply: a whole reply as (status, head, body), which may be for other requests, too. share: of a reply
    that several requests share: where it came from, and this request's part of its usage.
    """

    __slots__ = ("_bounds", "_clock", "_failover", "_ports", "_request", "aborted", "early", "error", "left", "outrun",
                 "reply", "said", "share", "status", "streamed", "writer")  # fmt: skip

    def __init__(self, ports: Ports, request: ClientRequest, writer: Writer, clock: Clock, failover: Failover) -> None:
        self._ports = ports
        self._request = request
        self._clock = clock
        self._failover = failover
        self._bounds: dict[str, str] | None = None if ports.tells_bounds else _NONE
        self.writer = writer
        self.status = 0
        self.streamed = False
        self.early = False
        self.error: ApiError | None = None
        self.said = ""
        self.left = self.aborted = False
        self.outrun: Sequence[Outrun] = ()
        self.reply: tuple[int, bytes, bytes] | None = None
        self.share: tuple[Source, Usage | None] | None = None

    def __repr__(self) -> str:
        return f"<Completion {self.status} {self.error!r}>"

    # ---------------------------------------------------------------------------------- what is written last

    def whole(self, status: int, head: bytes, body: bytes) -> None:
        """Writes a whole reply. head: its header lines, without those of timing."""
        self.status = status
        self._clock.given(whole=True)
        if self._request.task == "count" or self._request.cached is not None:
            self.reply = status, head, body
        if status == 200 and self._request.task and self._request.framed is not None:
            try:
                body = self._request.framed.whole(body)
            except ApiError as error:  # the reply has no form that the frame knows
                self.refused(error, False)
                self.refuse(error, None)
                return
        self.writer.whole(status, head + self._timing(), body)

    def whole_reply(self, attempt: Attempt, head: bytes, out: bytes) -> None:
        """Writes an upstream's whole reply. head: its Content-Type."""
        request = self._request
        self._went(attempt, out)
        if request.previous is not None:
            request.previous.whole(out)
        if request.task and not attempt.verbatim:
            out = compaction.answer(out, request.parsed())
        self.whole(200, head + self.reply_head(attempt), out)

    def begin_early(self, lead: Attempt | None) -> None:
        """Writes the head of a stream that no upstream has begun: its status is 200, whatever comes of it. The lines of
        an upstream are not there, nor any times. It names what is dropped for the upstream that is asked now."""
        self.early = self.streamed = True
        self.status = 200
        bounds = self._bounds if self._bounds is not None else self._left()
        head = self.own_head("", lead.dropped if lead is not None else self._request.left)
        self.writer.start(200, self._stream_head() + head + header_rules.lines(bounds))

    def sign(self) -> bytes:
        """Returns a sign of life for a stream of which only the head is out."""
        framed = self._request.framed
        return framed.framing().ping() if framed is not None else self._request.dialect.marks.comment

    def begin_stream(self, attempt: Attempt, out: bytes) -> None:
        """Writes the headers of a stream, unless they are out. out: its first bytes, which the caller writes."""
        self._went(attempt, out)
        self._request.let_go()  # nothing is sent twice from here on
        self.status = 200
        self.streamed = True
        self._clock.given(whole=False)
        framed = self._request.framed
        kind = header_rules.stream(framed.content_type) if framed is not None else header_rules.EVENT_STREAM
        self.writer.start(200, kind + self.reply_head(attempt) + self._timing())

    def refuse(self, error: ApiError, lead: Attempt | None) -> None:
        """Writes an error of the proxy (or of a stream that never began) in the client's protocol."""
        if self.early:
            self._tell(error)
            return
        key = self._request.key
        status = self._request.dialect.errors.status(error)
        asked = lead is not None and self._failover.attempts and not isinstance(error, Full)
        upstream = lead.route.upstream.name if lead is not None and asked else ""
        own = header_rules.of_refusal(status, key, upstream, error.retry_after) + body_decoding.told(error)
        self.whole(status, header_rules.JSON_HEAD + own, self._ports.masked(self._in_words(error)))

    def _tell(self, error: ApiError) -> None:
        """Ends a stream of which only the head is out, or that is another attempt's."""
        self._clock.given(whole=True)
        said, framed = self._request.dialect.errors.event(error, self._request.key), self._request.framed
        if framed is not None:
            said = framed.all_of(said)
        self.writer.write_last(self._ports.masked(said))
        self.writer.end()

    def _in_words(self, error: ApiError) -> bytes:
        """Returns the whole body of an error."""
        framed = self._request.framed
        says = (framed and framed.error) or self._request.dialect.errors.body
        return says(error, self._request.key)

    def refused(self, error: ApiError, begun: bool) -> None:
        """Notes that the client gets this error in place of the reply that was written. begun: in its stream, whose
        head is out."""
        if not begun:
            self.status, self.streamed = self._request.dialect.errors.status(error), False
        self.error, self.said = error, error.message

    def _went(self, attempt: Attempt, out: bytes) -> None:
        """Notes the beginning of a passed-through reply, or all of it: the upstream may keep the response, and a later
        request may build on it."""
        previous = self._request.previous
        if previous is not None and attempt.verbatim and not self._request.task:
            upstream = attempt.route.upstream
            own_key = upstream.settings.forward_client_key and self._ports.access.open
            previous.went(out, upstream.name, own_key, upstream.key_names[attempt.route.key])

    def give_up(self, failed: Attempt, outcome: Outcome) -> ApiError | None:
        """Tries nothing more: the client gets the answer of this attempt, whatever it is. A model's refusal is an
        answer, too. Returns the error that the request ends with."""
        hold = failed.hold
        if said := _opened(failed, outcome.error):
            self.begin_stream(failed, said)
            self.writer.write_last(said)
            self.writer.end()
            return outcome.error
        if not self.early and (said := _failed(failed, outcome.error)):
            self.whole_reply(failed, header_rules.JSON_HEAD, said)
            return outcome.error
        if outcome.cause != "refusal" or hold is None:
            self._fail(failed, outcome)
            return outcome.error
        if failed.incoming.mode != "streaming" and not self._request.streams:
            self.whole_reply(failed, header_rules.JSON_HEAD, hold.held)
            return None
        self.begin_stream(failed, hold.held)
        self.writer.write_last(hold.held)
        self.writer.end()
        return failed.reply.fault if failed.reply is not None else None

    def _fail(self, failed: Attempt, outcome: Outcome) -> None:
        error = outcome.error
        if outcome.cause != "status" or self.early:
            self.refuse(error, failed)
            return
        theirs = failed.incoming
        framed = self._request.framed
        head = self.reply_head(failed)
        if error.retry_after is not None and not header_rules.find(theirs.headers, "retry-after"):
            head += header_rules.retry_after(error.retry_after)
        passes = failed.verbatim and not theirs.cut and (framed is None or framed.error is None)
        if passes and outcomes.is_readable(theirs.refusal) and _is_own(failed.route, theirs.refusal):
            kind = header_rules.find(theirs.headers, "content-type")
            self.whole(theirs.status, header_rules.content_type(kind) + head, theirs.refusal)
            return
        words = self._request.dialect.errors
        said = self._ports.masked(self._in_words(error))
        self.whole(words.status(error), header_rules.JSON_HEAD + head, said)

    def break_off(self, error: ApiError, lead: Attempt | None) -> None:
        """Gives a stream that has begun a legal end, and refuses any other request. If not even that can be written,
        the connection is cut, so that the client sees that the reply is not complete."""
        try:
            begun = not self.early or (lead is not None and lead.leads)
            if self.streamed and begun and lead is not None and lead.reply is not None:
                self.writer.write_last(self._ports.masked(lead.reply.fail(error)))
                self.writer.end()
            elif self.streamed and (lead is None or not begun):  # or it came from another request's attempt
                self._tell(error)
            else:
                self.refuse(error, lead)
        except Exception:
            log.exception("the end of request %s cannot be written: %r", self._request.key, self)
            self.aborted = True
            self.writer.abort()

    def answer(self, said: bytes) -> None:
        """Writes a stream that the proxy makes itself; no upstream is asked."""
        self.status = 200
        self.writer.start(200, b"")
        self.writer.write_last(said)
        self.writer.end()

    def kept(self, kept: Kept) -> None:
        """Writes a reply from the cache, which was given to the same request before."""
        head = self.own_head(kept.source.upstream, kept.source.dropped)
        if not kept.streamed:
            self.whole(200, header_rules.JSON_HEAD + head, kept.body)
            return
        self._request.let_go()
        if self._ports.hooks is None:  # no hook has to see it as a stream
            self.streamed = True
            self.whole(200, self._stream_head() + head, kept.body)
            return
        self._begin(head)
        self.writer.write_last(kept.body)
        self.writer.end()

    def begin_shared(self, source: Source) -> None:
        """Writes the headers of a stream that another request gets, too. Its bytes follow."""
        self._request.let_go()
        self._begin(self.own_head(source.upstream, source.dropped))

    def _begin(self, head: bytes) -> None:
        """Does what begin_stream does. That one calls no helper, because every stream goes through it."""
        self.status = 200
        self.streamed = True
        self._clock.given(whole=False)
        self.writer.start(200, self._stream_head() + head + self._timing())

    def _stream_head(self) -> bytes:
        framed = self._request.framed
        return header_rules.stream(framed.content_type) if framed is not None else header_rules.EVENT_STREAM

    def reply_head(self, of: Attempt) -> bytes:
        """Returns the header lines of an upstream's reply."""
        if of.route.home and header_rules.find(of.incoming.headers, "x-proxy-upstream"):
            of.route.upstream.is_proxy = True
        own = header_rules.of_reply(of.incoming.headers, self._request.key, of.route.upstream.name, of.dropped)
        if self._request.task == "count":
            said = header_rules.find(of.incoming.headers, "x-proxy-token-count")  # it is a proxy like this one
            own += header_rules.line("X-Proxy-Token-Count", said[:40]) if said else BY_UPSTREAM
        bounds = self._bounds if self._bounds is not None else self._left()
        theirs = header_rules.back(
            of.incoming.headers, same=of.verbatim, let_through=of.route.upstream.settings.reply_headers, own=bounds
        )
        return self._ports.masked(theirs) + own if theirs else own

    def own_head(self, upstream: str = "", dropped: Sequence[str] = ()) -> bytes:
        """Returns the same for an answer for which no upstream was asked just now."""
        return header_rules.of_reply((), self._request.key, upstream, list(dropped))

    def _timing(self) -> bytes:
        """Returns the header lines of what the reply has cost so far, and of what is left of the client's limits."""
        clock = self._clock
        timing = header_rules.of_timing(self._failover.attempts, clock.queue, clock.upstream, clock.overhead)
        bounds = self._bounds if self._bounds is not None else self._left()
        return timing + header_rules.lines(bounds) if bounds else timing

    def _left(self) -> dict[str, str]:
        """Returns the headers with what is left of the client's limits: made once, for two lists of header lines."""
        bounds = self._bounds = charges.left(self._request, self._ports)
        return bounds

    def too_slow(self) -> ApiError:
        """Returns the error for a body that did not come in time. If the body would have been too large, the error says
        that instead, so that the client does not try again."""
        try:
            body_decoding.check_length(self._request.headers, self._ports.max_body_bytes)
        except ApiError as too_large:
            return too_large
        length = self._request.headers.get("Content-Length", "")
        of = f" of {length}" if length.isdecimal() else ""
        more = f": {self._request.size}{of} bytes came"
        return upstream_request.too_slow(self._ports.body_timeout_s, more)

    # ------------------------------------------------------------------------------------------- and after it

    def used(self, lead: Attempt | None) -> Usage | None:
        """Returns the usage of the reply, as the upstream says it."""
        if self.share is not None:
            return self.share[1]
        reply = lead.reply if lead is not None else None
        return usage.paid(reply.usage) if reply is not None else None

    def source(self, lead: Attempt | None) -> Source | None:
        """Returns where the reply comes from; None if no upstream was asked."""
        if lead is None:
            return self.share[0] if self.share is not None else None
        return Source(lead.route.upstream.name, lead.route.protocol, lead.route.model, tuple(lead.dropped))

    def over(self, error: ApiError | None, lead: Attempt | None) -> None:
        """All is written. As long as a slow client has not read all of it, the request still counts as in flight."""
        request = self._request
        self._clock.over()
        self.error = error
        if error is not None:
            self.said = scrub.logged(error, request.body)
            if lead is None or not lead.incoming.sent_at:
                if request.body:
                    self._ports.observer.sent(request.info(0), request.body)
            error.__traceback__ = error.__context__ = error.__cause__ = None  # its frames keep the request alive
        if not self.streamed or self.early:
            request.let_go()
        self._failover.over(error)
        if request.previous is not None:
            request.previous.over()
        if request.front is not None:
            request.front.over()


def _opened(failed: Attempt, error: ApiError) -> bytes:
    """Returns a passthrough stream that failed after its opening, as the client gets it if nobody else is asked."""
    reply = failed.reply
    if failed.leads or not isinstance(reply, Passthrough) or not reply.opened:
        return b""
    return failed.masks(error, reply.fail(error))


def _failed(failed: Attempt, error: ApiError) -> bytes:
    """Returns the whole reply that says that it has failed, as the client gets it if nobody else is asked."""
    reply = failed.reply
    if failed.request.streams or not isinstance(reply, Passthrough) or error is not reply.fault:
        return b""
    return failed.masks(error, reply.failed)


def _is_own(route: Route, refusal: bytes) -> bool:
    """Whether an error is in the words of the dialect. Those of a cloud around it may be in its own."""
    return route.envelope is None or _OWN_ERROR.match(refusal) is not None
