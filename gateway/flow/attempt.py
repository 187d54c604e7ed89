"""One try of a request at one place: libcurl's sink, from the sending to the outcome.

Until its first useful byte a try only gathers; with it, it takes the lead: the reply is the client's, and whoever else
is on the way is cancelled. A try that ends without an answer gives its Relay an Outcome, which decides what comes next.
Whatever happens, `_settle` gives the place back and tells its breaker, once.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import TYPE_CHECKING

from gateway.flow import timing
from gateway.flow.clean_lines import CleanLines
from gateway.flow.continued_turn import Continuing
from gateway.flow.passthrough import Verbatim
from gateway.flow.refusal_hold import Refusing
from gateway.http import header_rules
from gateway.http.auth import keys_of
from gateway.limits import rate_limit as quota
from gateway.limits import retry_policy
from gateway.limits.admission import Ticket
from gateway.limits.retry_policy import Outcome
from gateway.observe import scrub
from gateway.routing.router import Route
from translate import errors
from translate.errors import ApiError
from translate.pair import Crossing
from upstream.exchange import Exchange
from upstream.failure import Failure
from upstream.request import Request

if TYPE_CHECKING:
    from gateway.flow.relay import Relay

log = logging.getLogger("gateway")

LEAST_SHOWN = 12  # characters of a key whose last four are told
MAX_WHOLE_REPLY = 64 * 1024 * 1024  # bytes of a reply that is not streamed; it is held until it is complete
MAX_ERROR = 256 * 1024  # bytes of an error: some repeat all of the request, or never end
ERROR_S = 10.0  # until the body of an error is there
_ERROR_OBJECT = re.compile(rb'\s*\{\s*"(?:error"\s*:\s*[{"]|type"\s*:\s*"error")')
# How an error in the middle of a stream begins, where its bytes are passed on and not read.
_ERROR_EVENTS = (b'data: {"error"', b"event: error", b'data: {"type":"error"', b"event: response.failed")


class Try:
    """mode: "" (no head yet) -> "undecided" -> streaming | collecting. reply: what becomes of the upstream's bytes.
    ticket: the place taken for it. held: what its breaker gave it, 0 where it goes against the breaker's advice. more:
    where its turn may take further requests."""

    __slots__ = (
        "_lines", "_settled", "_too_late", "asks_usage", "cache_marks", "charged", "connection", "cut", "dropped",
        "exchange", "fresh", "hedged_at", "held", "mode", "more", "own_key", "parts", "place", "queued_at",
        "refusing", "relay", "reply", "route", "sent_at", "size", "status", "ticket", "ttfb_ms", "up_headers",
        "verbatim",
    )  # fmt: skip

    def __init__(self, relay: Relay, route: Route, fresh: bool) -> None:
        """fresh: on a new connection, since a kept one has just died."""
        self.relay = relay
        self.route = route
        self.place = route.place
        self.verbatim = route.verbatim or relay.task == "count"  # nothing of request and reply is translated
        self.fresh = fresh
        self.reply: Verbatim | Crossing | None = None
        self.more: Continuing | None = None
        self.dropped: list[str] = []
        self.asks_usage = False  # of a stream, though its client does not
        self.cache_marks = 0  # ours, in the request
        self.refusing: Refusing | None = None
        self.exchange: Exchange | None = None
        self.connection = ""  # see Exchange; known once it is over
        self.ticket: Ticket | None = None
        self.held = 0
        self.charged = 0  # tokens, of the upstream's quota
        self.queued_at = 0.0  # since when it waits for a place
        self.hedged_at = 0.0  # when the retry budget was asked for it
        self.own_key = bool(route.peer.settings.forward_client_key and relay.service.access.open
                            and keys_of(relay.headers))  # fmt: skip
        self.mode = ""
        self.parts: list[bytes] = []
        self.size = 0
        self.status = 0
        self.ttfb_ms = 0.0
        self.sent_at = 0.0
        self.up_headers: list[tuple[str, str]] = []
        self._lines = CleanLines(route.peer.secrets)
        self.cut = False  # an error of which we have no more than the beginning
        self._too_late: asyncio.TimerHandle | None = None
        self._settled = False

    def __repr__(self) -> str:
        return f"<Try at {self.place.name} {self.mode or 'waiting'} {self.status}>"

    def send(self, url: str, lines: list[str], body: bytes) -> None:
        """Raises ValueError for what libcurl cannot send."""
        peer = self.route.peer
        timeouts = peer.stream_timeouts if self.relay.envelope.stream else peer.whole_timeouts
        self.sent_at = timing.now()
        self.relay.clock.asks(self.sent_at)
        self.place.busy += 1
        request = Request("POST", url, lines, body, timeouts, peer.way, self.fresh)
        if self.more is not None:
            self.more.sent(request)
        self.exchange = self.relay.service.client.send(request, self)

    # ------------------------------------------------------------------ further requests of one turn

    def lets_go(self) -> None:
        """Of the exchange that has said all. What was held back of its reply goes out: that was no refusal."""
        if self.exchange is not None:
            self.exchange.ignore()
            self.exchange = None
        refusing, self.refusing = self.refusing, None
        if refusing is not None and (rest := refusing.rest()):
            self._pass(rest)

    def asks(self, request: Request) -> None:
        """The next one, in the same place."""
        self.mode = ""
        self.parts, self.size = [], 0
        self.status, self.cut = 0, False
        self.sent_at = timing.now()
        self.exchange = self.relay.service.client.send(request, self)
        if self.relay.state == "streaming" and self.relay.answer.full:
            self.exchange.pause()

    @property
    def continues(self) -> bool:
        """The turn is in a later request: its stream has begun, even if the client has nothing of it yet."""
        return self.more is not None and self.more.made > 0 and bool(self.relay.envelope.stream)

    def _goes_on(self) -> bool:
        """Whether another request is on its way, or was sent now."""
        if self.more is None or self.reply is None:
            return False
        if self.reply.goes_on:
            self.more.go_on()
        return self.exchange is not None or self.more.waits

    # -------------------------------------------------------------------------------- the reply begins

    def began(self) -> None:
        """The client has its first bytes. A probe has done its part by that: its stream may go on for minutes."""
        if self.place.breaker.state == "half-open":
            self.place.breaker.answered(time.monotonic(), self.held)

    def outrun(self) -> None:
        """A hedge was quicker. How long this one had taken by then counts, or only quick ones would."""
        if self.sent_at and not self.status:
            now = timing.now()
            self.place.first_byte((now - self.sent_at) * 1e3, now)

    def on_head(self, status: int, up_headers: list[tuple[str, str]]) -> None:
        now = timing.now()
        self.ttfb_ms = self.ttfb_ms or (now - self.relay.clock.began) * 1e3
        self.status = status
        self.up_headers = up_headers = self.route.peer.secrets.headers(up_headers)
        if not self.own_key:
            self.place.headroom.learn(up_headers, now, time.time())
            if status == 200 and self.place.key.bad_until:
                self.place.key.works()
        streamed = self.relay.envelope.stream
        if status == 200 and streamed:
            first_byte_ms = (now - self.sent_at) * 1e3
            self.place.first_byte(first_byte_ms, now)
            gate = self.route.peer.gate
            if gate.adaptive is not None:
                gate.adaptive.answered(first_byte_ms, gate.busy)
                self.relay.service.admission.serve()
        elif status == 200 and (adaptive := self.route.peer.gate.adaptive) is not None:
            adaptive.bore(self.route.peer.gate.busy)
            self.relay.service.admission.serve()
        self.mode = "undecided" if status == 200 and streamed else "collecting"
        if status >= 400:
            self._too_late = asyncio.get_running_loop().call_later(ERROR_S, self._enough)

    def on_data(self, chunk: bytes) -> None:
        relay = self.relay
        if relay.state != "streaming":
            if relay.state == "done":
                return
            relay.clock.came = timing.now()
        try:
            if self.mode == "undecided":
                # By its first byte, not its Content-Type: servers answer errors as JSON under text/event-stream, and
                # gzip ("\x1f") that nobody asked for.
                self.mode = "collecting" if chunk.lstrip()[:1] in (b"{", b"<", b"[", b"\x1f") else "streaming"
            if self.mode == "streaming":
                if chunk := self._lines.feed(chunk):
                    self._pass(self.reply.feed(chunk))  # type: ignore[union-attr]
                if self.more is not None:
                    self._goes_on()
                return
            self.parts.append(chunk)
            self.size += len(chunk)
            if self.size > MAX_ERROR and (self.status != 200 or _ERROR_OBJECT.match(self.parts[0])):
                self._enough()
            elif self.size > MAX_WHOLE_REPLY:
                raise errors.BadReply(f"the upstream's reply is over {MAX_WHOLE_REPLY >> 20} MB")
        except Exception as error:
            self._broke(error)

    def _enough(self) -> None:
        """An error that has told all there is to tell, or takes too long over it: what we have of it counts."""
        if self.exchange is None:
            return
        self.exchange.cancel()
        self.cut = True
        if self.status == 200:
            body = b"".join(self.parts)
            self.status = errors.parse(500, body).status
        self.on_end(None)

    def _pass(self, out: bytes) -> None:
        """What a chunk became goes to the client; the first of it takes the lead."""
        relay, reply = self.relay, self.reply
        assert reply is not None
        if relay.state != "streaming":
            if reply.fault is not None and not reply.started:
                raise reply.fault
            if self.refusing is not None:
                out = self.refusing.feed(out) or (self.refusing.rest() if reply.ended else b"")
                if reply.ended and not out:
                    self._refused()
                    return
            if not out:
                return
            relay.took(self, out)
        if out:
            if not relay.clock.first:
                relay.clock.first = timing.now()
            relay.quiet = 0.0
            if reply.fault is not None or out.startswith(_ERROR_EVENTS):
                out = relay.service.masked(out)  # some servers repeat the key that they refuse
            relay.answer.write(out)
        if reply.ended:
            relay.stream_ended(out)

    def begin(self) -> None:
        """The model thinks behind an empty first event: the client hears that it is alive."""
        assert self.reply is not None
        if self.refusing is None:
            self._pass(self.reply.begin())

    # ---------------------------------------------------------------------------------- the reply ends

    def on_end(self, failure: Failure | None) -> None:
        relay = self.relay
        if self._too_late is not None:
            self._too_late.cancel()
        if self.exchange is not None:
            self.connection = self.exchange.connection
            self.exchange = None
        if relay.state != "streaming":
            relay.clock.came = timing.now()
        if relay.state == "done":
            self._settle("answered" if failure is None else "unjudged")
            return
        try:
            if failure is not None:
                self._failed(failure)
            elif self.mode == "streaming":
                assert self.reply is not None
                self._pass_rest()
                self._pass(self.reply.end())
                if not self._goes_on():
                    self._finished()
            else:
                self._whole()
            if not self._settled and not self._goes_on():
                raise errors.BadReply("the upstream's reply came to nothing")
        except Exception as error:
            self._broke(error)

    def _finished(self) -> None:
        """The upstream closed its stream."""
        assert self.reply is not None
        relay = self.relay
        if self.refusing is not None and relay.state not in ("streaming", "done"):
            if rest := self.refusing.rest():
                relay.took(self, rest)
                relay.answer.write(rest)
            elif self.refusing.held:
                self._refused()
        if relay.state == "streaming" or (relay.state == "done" and relay.lead is self):
            self._settle("faulted" if self.reply.fault else "answered")
        if relay.state == "streaming":
            relay.stream_done()

    def _failed(self, failure: Failure) -> None:
        assert self.reply is not None
        if self.mode == "streaming":
            self._pass_rest()
        error = retry_policy.as_error(failure, self.route.peer.name)
        outcome = Outcome("failure", error, failure)
        if self.more is not None and self.more.again(outcome):
            return
        if self.relay.state == "streaming":
            self.relay.answer.write(self.relay.service.masked(self.reply.fail(error)))
            self._settle("faulted")
            self.relay.stream_done(error)
            return
        self._lost(outcome)

    def _whole(self) -> None:
        assert self.reply is not None
        relay = self.relay
        body = self._cleaned_whole()
        if relay.task == "count" and self._has_no_such_endpoint(body):
            self._settle("answered")
            relay.cannot_count(self)
        elif self.status >= 400:
            self._upstream_error(body)
        elif self.status != 200:
            where = header_rules.find(self.up_headers, "location")
            hint = f" to {self.route.peer.secrets.text(where[:200])}; is base_url right?" if where else ""
            raise errors.BadReply(f"upstream '{self.route.peer.name}' answered {self.status}{hint}")
        elif relay.envelope.stream and not self.verbatim:
            self._pass(self.reply.whole_as_stream(body))
            if not self._goes_on() and not self._settled:
                self._settle("answered")
        else:
            streamed = "event-stream" in header_rules.find(self.up_headers, "content-type")
            out = self.reply.whole(relay.service.masked(body) if streamed else body, streamed)
            if self._goes_on():
                return
            if self.refusing is not None and self.refusing.whole(out):
                self._refused()
                return
            self._settle("answered")
            kind = header_rules.EVENT_STREAM if streamed and self.verbatim else header_rules.JSON_HEAD
            relay.took_whole(self, kind, out)

    def _cleaned_whole(self) -> bytes:
        """All that came, less the upstream's own secrets. The key that it refuses is what many servers repeat."""
        body, secrets = b"".join(self.parts), self.route.peer.secrets
        self.parts = [secrets.clean_reply(body) if self.status == 200 else secrets.clean(body)]
        return self.parts[0]

    def _pass_rest(self) -> None:
        """What has no line's end."""
        if (rest := self._lines.rest()) and self.reply is not None:
            self._pass(self.reply.feed(rest))

    def _has_no_such_endpoint(self, body: bytes) -> bool:
        """Whether its answer says that there is no such endpoint, and not that there is no such model."""
        if self.status == 404:
            return not re.search(rb"(?<![\w.-])%b(?![\w.-])" % re.escape(self.route.model.encode()), body)
        return self.status in (405, 501)

    def _upstream_error(self, body: bytes) -> None:
        kind = header_rules.find(self.up_headers, "content-type")
        body = self.relay.service.masked(body)  # some servers repeat the key that they refuse
        error = self._honest(errors.parse(self.status, body, kind))
        wait = quota.asked_wait(self.up_headers, time.time())
        stays_out = header_rules.find(self.up_headers, "x-should-retry") == "false"
        self.parts = [body]
        outcome = Outcome("status", error, retry_after=wait, keep_out=stays_out)
        if self.more is not None and self.more.made:
            if not self.more.again(outcome):
                self._lost(outcome)
            return
        if self._has_no_such_endpoint(body) and b"model" not in body.lower() and self.relay.asks_otherwise(self):
            self._settle("answered")
            return
        if self.relay.learns(self, error, body):
            self._settle("answered")
            self.relay.send_again(self)
            return
        self._lost(outcome)

    def _refused(self) -> None:
        """The model declined, and the settings have another asked then."""
        assert self.refusing is not None
        self._lost(Outcome("refusal", ApiError("permission", "the model refused to answer")))

    def tell(self, outcome: Outcome) -> None:
        """Nothing more is tried: the client gets this try's answer, such as it is."""
        relay, error = self.relay, outcome.error
        if outcome.cause == "refusal":
            self._tell_refusal()
            return
        if outcome.cause != "status":
            relay.refuse(error)
            return
        body = b"".join(self.parts)
        if self.verbatim and not self.cut:
            kind = header_rules.find(self.up_headers, "content-type")
            relay.tell(self.status, header_rules.content_type(kind) + relay.reply_head(self), body, error)
            return
        said = relay.service.masked(relay.dialect.errors.body(error, f"req_{relay.key}"))
        status = relay.dialect.errors.status(error)
        relay.tell(status, header_rules.JSON_HEAD + relay.reply_head(self), said, error)

    def _tell_refusal(self) -> None:
        """A refusal is an answer too."""
        assert self.refusing is not None and self.reply is not None
        relay = self.relay
        if self.mode != "streaming" and not relay.envelope.stream:
            relay.took_whole(self, header_rules.JSON_HEAD, self.refusing.held)
            return
        out = self.refusing.held
        relay.took(self, out)
        relay.answer.write(out)
        relay.stream_done()

    # ------------------------------------------------------------------------------------------ its end

    def _broke(self, error: Exception) -> None:
        """The reply cannot be used. While the client has none of it, that is an outcome like others."""
        relay = self.relay
        if relay.state == "streaming" or not isinstance(error, ApiError):
            self.cancel("faulted" if isinstance(error, ApiError) else "unjudged")
            relay.broke(error)
            return
        # Only the upstream's own word that it failed is like a status; nonsense may have cost as much as an answer.
        first = self.reply is not None and error is self.reply.fault and not isinstance(error, errors.BadReply)
        if first and self.mode == "collecting":  # an error for a reply, under a 200: it gets the status that it means
            self.status = error.status
            self.parts = [relay.service.masked(self._cleaned_whole())]
            self._lost(Outcome("status", error))
            return
        self._lost(Outcome("first event" if first else "reply", error))

    def _lost(self, outcome: Outcome) -> None:
        told = not outcome.failure and self.status != 429  # a limit says nothing of its health
        self.cancel("faulted" if outcome.is_fault else "answered" if told else "unjudged")
        if outcome.cause in ("status", "first event"):
            now, status = time.monotonic(), outcome.error.status
            if not self.own_key:  # else it is that client's key, or that client's limit
                self._refused_key(outcome.error, now, outcome.retry_after)
            if self.route.peer.gate.adaptive is not None and status in (429, 503, 529):
                self.route.peer.gate.adaptive.refused(now)
        if self.more is not None and self.more.made:
            self.relay.broke(outcome.error)
            return
        self.relay.lost(self, outcome)

    def _honest(self, error: ApiError) -> ApiError:
        """A refusal that repeats its request's own words says nothing of the account: else a client might lay a key to
        rest."""
        words = errors.no_credit(error.message)
        if error.kind == "billing" and error.status in (400, 404, 422) and words.encode() in self.relay.body:
            error.kind = errors.kind_of(error.status)
        return error

    def _refused_key(self, error: ApiError, now: float, retry_after: float | None) -> None:
        """What a refusal says of the key, or of its limit. The operator hears of a key that is no good, once."""
        place, peer = self.place, self.route.peer
        no_credit = error.kind == "billing"
        place.refused(error.status, retry_after, now, no_credit)
        if place.key.bad_until > now and not place.key.told:
            place.key.told = True
            key = peer.settings.credentials[self.route.key]
            name = f"...{key[-4:]}" if len(key) >= LEAST_SHOWN else f"number {self.route.key + 1}"
            what = "has no credit" if no_credit else "was refused"
            said = "".join(c if c.isprintable() else "?" for c in scrub.logged(error, self.relay.body)[:300])
            log.error("upstream '%s': its key %s %s, and rests for %.0f s: %d %s", peer.name, name, what,
                      place.key.bad_until - now, error.status, said)  # fmt: skip

    def cancel(self, verdict: str = "unjudged") -> None:
        """At once, in whatever phase."""
        exchange, self.exchange = self.exchange, None
        if self._too_late is not None:
            self._too_late.cancel()
        if self.more is not None:
            self.more.stop()
        if exchange is not None:
            exchange.cancel()
            self.connection = exchange.connection
        self._settle(verdict)

    def _settle(self, verdict: str) -> None:
        """verdict: answered | faulted | unjudged."""
        if self._settled:
            return
        self._settled = True
        self._give_back()
        if self.sent_at:
            self.place.busy -= 1
        if self.ticket is not None:
            self.ticket.leave()
        breaker = self.place.breaker
        if verdict == "answered":
            breaker.answered(time.monotonic(), self.held)
        elif verdict == "faulted":
            breaker.faulted(time.monotonic(), self.held)
        else:
            breaker.unjudged(self.held)

    def _give_back(self) -> None:
        """What it took of its upstream's quota and retries. What an answer took is settled with its request."""
        peer, quota = self.route.peer, self.route.peer.quota
        if self.hedged_at and not self.sent_at:
            peer.budget.give_back(self.hedged_at)
        if not self.charged or quota is None:
            return
        if not self.sent_at:
            quota.give_back(self.charged)
        elif self.status != 200:
            quota.correct(-self.charged)
        else:
            return
        self.charged = 0
