"""The walk of one request, top to bottom: in, route, a place, translate, send, reply, done.

A Relay is the request's only object until it is sent: Tornado's delegate for what the client sends. What the upstream
sends comes through a Try (attempt.py), usually one. Until the first useful byte of a reply nothing goes to the client,
so that any failure before it is still answered with a real status, or tried again, there or elsewhere. If the client
leaves, whatever is on its way is cancelled at once. Methods stand in the order in which a request meets them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, RequestStartLine, ResponseStartLine

from gateway.flow import compaction, envelope, learned_quirks, timing, upstream_request, usage_chunk
from gateway.flow.attempt import Try
from gateway.flow.continued_turn import Continuing
from gateway.flow.passthrough import Verbatim
from gateway.flow.timing import Clock
from gateway.flow.trying import Trying
from gateway.flow.usage_chunk import UsageChunk
from gateway.http import body_decoding, query_string
from gateway.http import header_rules as headers
from gateway.http.response_writer import Answer
from gateway.observe import scrub
from gateway.routing import client_keys, request_facts
from gateway.routing.router import Route
from gateway.stored import store_sync, threads
from gateway.stored.previous_response import NAMED, Recall, owner_of
from gateway.stored.threads import Thread
from translate import dialects, tokens, wire
from translate.conversation import Usage
from translate.errors import ApiError, BadRequest
from translate.pair import Crossing
from translate.target import Asked, Protocol

if TYPE_CHECKING:
    from gateway.runtime import Service

log = logging.getLogger("gateway")

LARGE = 4 << 20  # bytes of a request body: reading one takes as long as a hundred usual requests
BREATH_S = 0.01


class Relay(Trying):
    """state: reading -> waiting (for a place, for a better moment, or for a reply) -> (streaming) -> done.

    plan: the routes that may be tried, best first; at: the one that is on. lead: the try whose reply is the client's,
    or the latest. rivals: tries on their way, the lead among them."""

    __slots__ = (
        "aborted", "all_rest", "answer", "asked_as", "asked_model", "at", "body", "charged", "client", "clock", "conn",
        "data", "deadline", "dialect", "envelope", "error", "estimated", "headers", "held", "hedge_timer", "key",
        "lead", "left", "parts", "passed_over", "plan", "protocol", "query", "queued_s", "quiet", "recall", "refusal",
        "rivals", "said", "service", "size", "sized", "state", "status", "streamed", "task", "taught", "taught_by",
        "timer", "tried", "tries", "tries_on_route", "unpacker", "used",
    )  # fmt: skip

    def __init__(self, service: Service, conn: HTTP1Connection, protocol: Protocol, task: str = "") -> None:
        """task: "count" or "compact" where it is no reply of a model that is asked for (see Endpoint)."""
        self.service = service
        self.conn = conn
        self.protocol: Protocol = protocol
        self.dialect = dialects.of(protocol)
        self.task = task
        self.recall: Recall | Thread | None = None  # of a request in Responses, or one with a thread
        self.state = "reading"
        self.parts: list[bytes] = []
        self.size = 0
        self.sized: tuple[int, int] | None = None  # see _size
        self.charged = 0  # tokens, of the client's quota
        self.held = 0  # bytes of the request that count against the service's bound
        self.refusal: ApiError | None = None
        self.unpacker: body_decoding.Unpacker | None = None
        self.error: ApiError | None = None  # what the client was told, or the upstream said
        self.said = ""
        self.lead: Try | None = None
        self.rivals: list[Try] = []
        self.plan: list[Route] = []
        self.at = 0
        self.timer: asyncio.TimerHandle | None = None  # a wait before the next try
        self.hedge_timer: asyncio.TimerHandle | None = None
        self.data: dict[str, Any] | None = None
        self.estimated = 0, 0  # tokens of the request: see token_counting.py
        self.taught: list[learned_quirks.Lesson] = []  # by a 400 of the upstream, once
        self.taught_by = ""  # its words
        self.status = 0
        self.tries = self.tries_on_route = 0
        self.tried: list[str] = []  # what failed, for the log
        self.passed_over: list[str] = []  # what was not asked, and why
        self.queued_s = 0.0  # seconds in which it has waited for places
        self.all_rest = False  # none of its places is in good health
        self.quiet = 0.0
        self.left = self.aborted = False
        self.asked_model = ""
        self.asked_as = b""  # see reattach.py
        self.client = ""
        self.used: Usage | None = None  # by the reply's word, once it is over
        self.streamed = False

    def __repr__(self) -> str:
        return f"<Relay {self.protocol} {self.asked_model} {self.state} try {self.tries} {self.lead}>"

    # What the reply's try knows, for those who look at the request as a whole.

    @property
    def route(self) -> Route | None:
        if self.lead is not None:
            return self.lead.route
        return self.plan[self.at] if self.plan else None

    @property
    def dropped(self) -> list[str]:
        return self.lead.dropped if self.lead is not None else []

    # ------------------------------------------------------------------------------------- the request

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        self.clock = Clock()
        self.headers = headers
        self.query = start_line[1].partition("?")[2]
        self.key = self.service.next_key()
        self.answer = self.new_answer()
        self.service.relays.add(self)
        if "Origin" in headers:
            self.answer.more = self.service.access.origins.lines(headers)
        try:
            self.service.admit(self)
            self.client = self.service.access.check(headers)
            if self.dialect.stores:
                self.recall = self.new_recall()
            self.unpacker = body_decoding.unpacker(headers.get("Content-Encoding"), self.service.max_body_bytes)
            if "Expect" in headers:
                upstream_request.check_length(headers, self.service.max_body_bytes)
        except ApiError as refusal:
            self.refusal = refusal
            if "Expect" in headers:  # it waits for our word before it sends the body
                self.answer.last()
                self.refuse(refusal)

    def new_answer(self) -> Answer:
        return self.service.answer(self.conn, self.key)

    def new_recall(self) -> Recall:
        return Recall(self.service.memory, owner_of(self.client, self.headers))

    def data_received(self, chunk: bytes) -> None:
        if self.refusal is not None:
            return  # read to its end all the same, so that the client gets to read why
        self.size += len(chunk)
        try:
            upstream_request.check_size(self.size, self.service.max_body_bytes)
            if self.unpacker is None:
                self.service.hold(self, len(chunk))
                self.parts.append(chunk)
            else:
                pieces = self.unpacker.feed(chunk)
                self.service.hold(self, sum(map(len, pieces)))
                self.parts += pieces
        except ApiError as refusal:
            self.refusal = refusal
            self._let_go()

    def on_connection_close(self) -> None:
        """The client left while it was still sending."""
        self._client_left()

    def finish(self) -> None:
        self.clock.read = timing.now()
        self.conn.set_close_callback(self._client_left)
        if self.answer.closed:  # too early for that callback
            self._client_left()
            return
        try:
            if self.refusal is not None:
                raise self.refusal
            if self.unpacker is not None:
                self.unpacker.end()
            self.body = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
            self.parts = []
            upstream_request.check_type(self.headers, self.body)
            if (mark := self.dialect.thread_mark) and mark in self.body and not self.task:
                self.recall = self._thread()
            if self.recall is None or self.service.siblings.alone or not self._is_elsewhere(self.recall):
                self._walk()
        except Exception as error:
            self.broke(error)

    def _thread(self) -> Thread | None:
        """Raises BadRequest."""
        thread = threads.asked(self.parsed())
        return Thread(self.service.memory, owner_of(self.client, self.headers), thread) if thread else None

    def _is_elsewhere(self, recall: Recall | Thread) -> bool:
        """It builds on what is not known here: another worker may have it, and is being asked. Raises BadRequest."""
        if not recall.refers(self.body):
            return False
        ids = store_sync.unknown(self.service, recall.owners, recall.named(self.parsed()))
        if not ids:
            return False
        self.state = "waiting"
        self.clock.waits()
        task = asyncio.ensure_future(store_sync.fetch(self.service, recall.owners[0], ids))
        self.service.askings.add(task)
        task.add_done_callback(self.service.askings.discard)
        task.add_done_callback(lambda task: self._guarded(self._walk, task))
        return True

    def _walk(self, fetched: asyncio.Task[None] | None = None) -> None:
        """On its way to an upstream. Raises ApiError."""
        if fetched is not None:
            fetched.result()
        if self.recall is not None and self.recall.builds_on(self.body):
            self._extend(self.recall)
        self.envelope = envelope.read(self.body)
        self.asked_model = self.envelope.model
        if self.service.rejoin is not None and self.service.rejoin.join(self):
            return
        self.service.charge(self)
        routes = self.service.router.routes(self.asked_model, self.protocol, self._facts)
        routes = client_keys.of_one_provider(routes, self.headers, self.service.access.open)
        if len(self.body) < LARGE or routes[0].verbatim:
            self.start(routes)
            return
        # To read it and to write it anew are a pause in every other stream each. Between the two the others get some
        # turns of the loop: a new request needs one to be accepted, one to be read and one to be answered.
        self.parsed()
        self.state = "waiting"
        asyncio.get_running_loop().call_later(BREATH_S, self._guarded, self.start, routes)

    def _extend(self, recall: Recall | Thread) -> None:
        """It builds on an earlier reply: what led to that one goes first, if it is kept here."""
        said = self.data or envelope.parse(self.body)
        data = recall.extended(said)
        if data is None and isinstance(recall, Recall):
            self.body = recall.plain(self.body, said)
        if data is not None:
            self.data = data
            self.body = wire.dumps(data)
            upstream_request.check_size(len(self.body), self.service.max_body_bytes, " with what it builds on")
            self.service.hold(self, len(self.body))

    def parsed(self) -> dict[str, Any]:
        """The body. Raises BadRequest."""
        if self.data is None:
            self.data = envelope.parse(self.body)
        return self.data

    def _facts(self) -> request_facts.Facts:
        """What conditions in [models] may ask about; made only where there are some."""
        return request_facts.facts(self.headers, self.parsed(), self._size()[0], self.asked_model)

    def size_in_tokens(self) -> int:
        """A rough count of all its input, for quotas."""
        return sum(self._size())

    def _size(self) -> tuple[int, int]:
        """(tokens of its text, of its media), roughly. Base64 is no text, and only a parse tells the one from the
        other."""
        if self.sized is None:  # asked once more when the body is gone
            self.sized = tokens.of_size(len(self.body)), 0
            if tokens.has_media(self.body):
                with contextlib.suppress(BadRequest):  # the upstream says so
                    self.sized = tokens.measured(self.parsed(), len(self.body))
        return self.sized

    # ------------------------------------------------------------------------------ what is sent upstream

    def has_task(self, route: Route) -> bool:
        """Whether the upstream can do what is asked for; if not, it is answered here. Raises ApiError."""
        if self.task == "count":
            if route.home and self.protocol in route.peer.counts:
                sidewards = route.peer.side(self.protocol, self.task)
                url = query_string.onward(sidewards, self.query, route.peer.settings.query)
                return self.service.counting.ask(self, route, url)
            if isinstance(self.recall, Recall) and not route.home and NAMED in self.body:
                self.recall.refuse(self.parsed(), route.peer.name, route.protocol)
            self._count_here(route)
            return False
        return True

    def written_for(self, new: Try) -> tuple[str, list[str], bytes]:
        """(URL, header lines, body). Gives the try its reply's translator. Raises ApiError."""
        route = new.route
        body = self.verbatim_for(new) if new.verbatim else self._translated_for(new)
        url = route.peer.side(self.protocol, self.task) if self.task and new.verbatim else route.url
        if route.home:
            url = query_string.onward(url, self.query, route.peer.settings.query)
        service = self.service
        return (
            url,
            upstream_request.header_lines(route, self.headers, route.home, service.access.open, service.hops),
            body,
        )

    def verbatim_for(self, new: Try) -> bytes:
        route = new.route
        renamed = route.model != self.asked_model
        body = envelope.with_model(self.body, self.envelope, route.model) if renamed else self.body
        unasked = None
        if self._asks_usage(route) and (wished := usage_chunk.wished(body)) is not None:
            body, unasked, new.asks_usage = wished, UsageChunk(), True
        new.reply = Verbatim(self.protocol, self.asked_model if renamed else "", unasked)
        body, new.dropped = upstream_request.verbatim(body, route, self.service.strict)
        if self.protocol not in route.peer.counts and not self.task and self.dialect.counting is not None:
            self.service.counting.watch(self, route)
        return body

    def _asks_usage(self, route: Route) -> bool:
        """Whether the usage of a Chat stream is wanted though its client need not want it: where it costs money, or
        counts against a bound."""
        up, service = route.peer.settings, self.service
        if not self.dialect.wishes_usage or self.task or not self.envelope.stream or not up.stream_options:
            return False
        if up.ask_usage == "false" or learned_quirks.NO_USAGE in service.lessons.of(up.name, route.model):
            return False
        bounds = service.quotas.get(self.client), route.peer.quota
        return (
            up.ask_usage == "true"
            or any(bound is not None and bound.counts_tokens for bound in bounds)
            or service.prices.of(up.name, route.model) is not None
        )

    def _translated_for(self, new: Try) -> bytes:
        data, route = self.parsed(), new.route
        if self.recall is not None:
            self.data = data = self.recall.crossing(data, self.body, route.peer.name, route.protocol)
        if self.task and self.recall is not None:  # to compact: that is no response to be asked for again
            self.recall.over()
            self.envelope.stream = False
            data = compaction.asking(data)
        service = self.service
        tokens = service.counting.seed(self, route, data, len(self.body))
        session = upstream_request.session_of(self.headers)
        encoded = learned_quirks.crossed(self.protocol, route, data, service.lessons, service.strict, session, tokens)
        new.dropped = encoded.dropped
        new.cache_marks = encoded.cache_marks
        options = data.get("stream_options")
        asked = Asked(
            model=self.asked_model,
            key=self.key,
            created=int(time.time()),
            clock=_seconds,
            echo=self.dialect.echo(data),
            input_tokens=tokens,
            tool_names=encoded.tool_names,
            custom=encoded.custom,
            namespaces=encoded.namespaces,
            answer_tool=encoded.answer_tool,
            compacts=encoded.compacts,
            answers=encoded.answers,
            tool_changes=encoded.tool_changes,
            forms=encoded.forms,
            search=encoded.search,
            pauses=encoded.pauses,
            reshaped=encoded.reshaped,
            functions=encoded.functions,
            include_usage=isinstance(options, dict) and options.get("include_usage") is True,
            policy=route.target.policy,
        )
        new.reply = Crossing(self.protocol, route.protocol, asked)
        if self.recall is not None:
            self.recall.follow(new.reply)
        if encoded.search is not None or encoded.pauses or encoded.answers:
            new.more = Continuing(new, data, asked)
        return encoded.json()

    def learns(self, failed: Try, error: ApiError, body: bytes) -> bool:
        """A field that the upstream does not take: whether it may go there once more, without it."""
        route, service = failed.route, self.service
        if failed.asks_usage and self._learns_of_usage(failed, error, body):
            return True
        if not service.learns or self.taught or self.data is None or failed.verbatim:
            return False
        session = upstream_request.session_of(self.headers)
        new = learned_quirks.learned(self.protocol, route, self.data, service.lessons, error, body, session)
        if not new:
            return False
        said = "".join(c if c.isprintable() else "?" for c in scrub.logged(error, self.body)[:300])
        now = "; ".join(map(str, new))
        log.warning("request %s: upstream '%s', model '%s' answered %d (%s): from now on, for a day, %s", self.key,
                    route.peer.name, route.model, error.status, said, now)  # fmt: skip
        self.taught, self.taught_by = new, error.message
        return True

    def _learns_of_usage(self, failed: Try, error: ApiError, body: bytes) -> bool:
        """It refuses what only we have asked for: it may go there once more as its client said it."""
        route, service = failed.route, self.service
        words = (b"stream_options", b"include_usage")
        refused = error.status in (400, 422) and any(word in body and word not in self.body for word in words)
        if not refused or not service.learns:
            return False
        if not service.lessons.learn(route.peer.name, route.model, learned_quirks.NO_USAGE):
            return False
        log.warning("request %s: upstream '%s', model '%s' answered %d to stream_options: for a day, the usage of its "
                    "streams is not asked for", self.key, route.peer.name, route.model, error.status)  # fmt: skip
        return True

    # ------------------------------------------------------------------------------------- the reply

    def took(self, winner: Try, out: bytes) -> None:
        """The first bytes of a stream are there: its headers go out, and whoever else was asked is not needed."""
        self.cancel_tries(winner)
        self.lead = winner
        winner.began()
        self.status = 200
        if self.recall is not None:
            self._went(self.recall, winner, out)
        self.state = "streaming"
        self.streamed = True
        self._let_go()  # nothing is sent twice from here on
        self.answer.on_full = self._client_is_full
        self.answer.on_drained = self._client_has_drained
        self.answer.start(200, headers.EVENT_STREAM + self.reply_head(winner))

    def took_whole(self, winner: Try, head: bytes, out: bytes) -> None:
        """A whole reply. head: its Content-Type."""
        self.cancel_tries(winner)
        self.lead = winner
        if self.recall is not None:
            self._went(self.recall, winner, out)
            self.recall.whole(out)
        if self.task and not winner.verbatim:
            out = compaction.answer(out, self.parsed())
        self.tell(200, head + self.reply_head(winner), out)

    def _went(self, recall: Recall | Thread, winner: Try, out: bytes) -> None:
        """The beginning of a reply, or all of it."""
        if winner.verbatim and not self.task:
            peer = winner.route.peer
            own_key = peer.settings.forward_client_key and self.service.access.open
            recall.went(out, peer.name, own_key, peer.key_names[winner.route.key])

    def reply_head(self, of: Try) -> bytes:
        if of.route.home and headers.find(of.up_headers, "x-proxy-upstream"):
            of.route.peer.is_proxy = True
        own = headers.of_reply(of.up_headers, self.key, of.route.peer.name, of.dropped)
        theirs = headers.back(of.up_headers, of.verbatim, of.route.peer.settings.reply_headers)
        return self.service.masked(theirs) + own + self.timing_head()

    def stream_ended(self, out: bytes) -> None:
        """We wrote its terminal event, which is in `out`."""
        if self.recall is not None:
            self.recall.stream_ended(out, self.reply)
        self.stream_done()

    def _client_is_full(self) -> None:
        if self.lead is not None and self.lead.exchange is not None:
            self.lead.exchange.pause()

    def _client_has_drained(self) -> None:
        if self.lead is not None and self.lead.exchange is not None and self.state == "streaming":
            self.lead.exchange.resume()

    def ping(self) -> None:
        """The stream has been silent for a while: a sign of life, so that the client does not give up.

        A model that thinks behind an empty first event is alive too: then the headers go out now, and what
        fails later can only be an error event.
        """
        assert self.lead is not None and self.lead.reply is not None
        self.quiet = 0.0
        try:
            if self.state != "streaming":
                self.lead.begin()
                self.clock.first = 0.0  # that was no more than a sign of life
            if self.state == "streaming":
                self.answer.write(self.lead.reply.ping())
        except Exception as error:
            self.broke(error)

    @property
    def waits_for_more(self) -> bool:
        """The upstream has begun a stream; its next event may be long in coming."""
        if self.state == "streaming":
            return True
        lead = self.lead
        return self.state == "waiting" and lead is not None and (lead.mode == "streaming" or lead.continues)

    # ------------------------------------------------------------------------------------ counts of tokens

    def again(self) -> None:
        """It waited for another's answer, which does not come."""
        self._guarded(self._go)

    def cannot_count(self, asked: Try) -> None:
        asked.route.peer.counts.discard(self.protocol)  # remembered: editors ask many times a second
        self._count_here(asked.route)

    def _count_here(self, route: Route) -> None:
        """Tokens of a request, where no upstream counts them: an estimate, and marked as one."""
        head, body = self.service.counting.estimated(self, route)
        self.tell(200, head + headers.of_reply((), self.key, "", []) + self.timing_head(), body)


def _seconds() -> int:
    return int(time.time())
