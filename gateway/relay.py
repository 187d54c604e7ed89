"""The walk of one request, top to bottom: in, route, translate, send, reply, done.

A Relay is the request's only object: Tornado's delegate for what the client sends, libcurl's sink for what the
upstream sends. Until the first useful byte of a reply nothing goes to the client, so that any failure before
it is still answered with a real status, or tried again. If the client leaves, the upstream request is
cancelled at once. Methods stand in the order in which a request meets them.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, RequestStartLine, ResponseStartLine

from gateway import attempt, envelope, headers, lessons, listing, outbound
from gateway.answer import Answer
from gateway.ending import JSON_HEAD, Ending
from gateway.recall import NAMED, Recall, owner_of
from gateway.routes import SIDE, Route
from gateway.verbatim import Verbatim
from translate import errors, tokens, wire
from translate.errors import ApiError, BadRequest
from translate.pair import Crossing
from translate.target import Asked, Protocol
from upstream.client import Exchange, Request
from upstream.failure import Failure

if TYPE_CHECKING:
    from gateway.service import Service

log = logging.getLogger("gateway")

MAX_WHOLE_REPLY = 256 * 1024 * 1024  # bytes of a reply that is not streamed; it is held until it is complete
_SSE_HEAD = b"Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"


class Relay(Ending):
    """state: reading -> waiting -> (streaming | collecting) -> done."""

    __slots__ = (
        "answer", "asked_model", "at", "body", "client", "conn", "data", "dropped", "envelope", "error", "exchange",
        "headers", "held", "key", "left", "mode", "parts", "protocol", "query", "quiet", "recall", "refusal", "reply",
        "route", "routes", "service", "size", "started_at", "state", "status", "streamed", "task", "taught", "tries",
        "tries_on_route", "ttfb_ms", "up_headers",
    )  # fmt: skip

    def __init__(self, service: Service, conn: HTTP1Connection, protocol: Protocol, task: str = "") -> None:
        """task: "count" or "compact" where it is no reply of a model that is asked for (see routes.SIDE)."""
        self.service = service
        self.conn = conn
        self.protocol: Protocol = protocol
        self.task = task
        self.recall: Recall | None = None  # of a request in Responses
        self.state = "reading"
        self.parts: list[bytes] = []
        self.size = 0
        self.held = 0  # bytes of the request that count against the service's bound
        self.refusal: ApiError | None = None
        self.error: ApiError | None = None  # what the client was told, or the upstream said
        self.exchange: Exchange | None = None
        self.reply: Verbatim | Crossing | None = None
        self.route: Route | None = None
        self.at = 0  # the route's place in routes
        self.data: dict[str, Any] | None = None
        self.dropped: list[str] = []
        self.taught = False  # by a 400 of the upstream, once
        self.status = 0
        self.tries = self.tries_on_route = 0
        self.quiet = 0.0
        self.mode = ""
        self.left = False
        self.ttfb_ms = 0.0
        self.asked_model = ""
        self.client = ""
        self.streamed = False

    def __repr__(self) -> str:
        return f"<Relay {self.protocol} {self.asked_model} {self.state} try {self.tries} {self.route}>"

    # ------------------------------------------------------------------------------------- the request

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        self.started_at = time.perf_counter()
        self.headers = headers
        self.query = start_line[1].partition("?")[2]
        self.key = self.service.next_key()
        self.answer = self.new_answer()
        self.service.relays.add(self)
        try:
            self.service.admit(self)
            self.client = self.service.access.check(headers)
            if self.protocol == "responses":
                self.recall = self.new_recall()
            if "Expect" in headers:
                outbound.check_length(headers, self.service.max_body_bytes)
        except ApiError as refusal:
            self.refusal = refusal
            if "Expect" in headers:  # it waits for our word before it sends the body
                self.answer.last()
                self._refuse(refusal)

    def new_answer(self) -> Answer:
        return self.service.answer(self.conn)

    def new_recall(self) -> Recall:
        return Recall(self.service.memory, owner_of(self.client, self.headers))

    def data_received(self, chunk: bytes) -> None:
        if self.refusal is not None:
            return  # read to its end all the same, so that the client gets to read why
        self.size += len(chunk)
        try:
            outbound.check_size(self.size, self.service.max_body_bytes)
            self.service.hold(self, len(chunk))
        except ApiError as refusal:
            self.refusal = refusal
            self._let_go()
        else:
            self.parts.append(chunk)

    def on_connection_close(self) -> None:
        """The client left while it was still sending."""
        self._client_left()

    def finish(self) -> None:
        self.conn.set_close_callback(self._client_left)
        if self.answer.closed:  # too early for that callback
            self._client_left()
            return
        try:
            if self.refusal is not None:
                raise self.refusal
            body = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
            self.parts = []
            self.body = outbound.unpacked(body, self.headers.get("Content-Encoding"), self.service.max_body_bytes)
            if self.body is not body:
                self.service.hold(self, len(self.body))
            if self.recall is not None and NAMED in self.body:
                self._extend(self.recall)
            self.envelope = envelope.read(self.body)
            self.asked_model = self.envelope.model
            self.routes = self.service.router.routes(self.asked_model, self.protocol)
            self._send()
        except Exception as error:
            self._broke(error)

    def _extend(self, recall: Recall) -> None:
        """It builds on a response: the items of that one go first, if they are kept here."""
        data = recall.extended(self.data or envelope.parse(self.body))
        if data is not None:
            self.data = data
            self.body = wire.dumps(data)
            outbound.check_size(len(self.body), self.service.max_body_bytes, " with what it builds on")
            self.service.hold(self, len(self.body))

    # --------------------------------------------------------------------------- translate and send it

    def _send(self, fresh: bool = False) -> None:
        """To the route that is on. fresh: on a new connection, since a kept one has just died."""
        self.route = route = self.routes[self.at]
        self.tries += 1
        peer = route.peer
        same = route.protocol == self.protocol
        if self.task and not self._has_task(route):
            return
        body = self._verbatim(route) if same else self._translated(route)
        url = peer.urls[SIDE[self.protocol, self.task]] if self.task else route.url
        if same and self.query:
            url = f"{url}{'&' if '?' in url else '?'}{self.query}"
        stream = self.envelope.stream
        self.state = "waiting"
        timeouts = peer.stream_timeouts if stream else peer.whole_timeouts
        lines = outbound.header_lines(route, self.headers, same, self.service.access.open)
        request = Request("POST", url, lines, body, timeouts, peer.settings.verify_tls, fresh)
        try:
            self.exchange = self.service.client.send(request, self)
        except ValueError as why:  # the settings were checked: it is something of the client's
            raise BadRequest(f"a header or the query string cannot be sent on: {why}") from None
        self.service.sent(self, url, body)

    def _has_task(self, route: Route) -> bool:
        """Whether the upstream can do what is asked for; if not, it is answered here. Raises ApiError (501)."""
        same = route.protocol == self.protocol
        if self.task == "count" and not (same and self.protocol in route.peer.counts):
            self._count_here()
            return False
        if self.task == "compact" and not same:
            message = (
                f"model '{self.asked_model}' goes to upstream '{route.peer.name}', which speaks {route.protocol}: only "
                "one that speaks responses can compact; send the conversation with the request for a summary instead"
            )
            raise ApiError("invalid_request", message, 501, code="not_supported")
        return True

    def _verbatim(self, route: Route) -> bytes:
        renamed = route.model != self.asked_model
        self.reply = Verbatim(self.protocol, self.asked_model if renamed else "")
        return envelope.with_model(self.body, self.envelope, route.model) if renamed else self.body

    def _translated(self, route: Route) -> bytes:
        if self.data is None:
            self.data = envelope.parse(self.body)
        if self.recall is not None:
            self.recall.refuse(self.data, route.peer.name, route.protocol)
            self.recall.note(self.data)
        service = self.service
        encoded = lessons.crossed(self.protocol, route, self.data, service.lessons, service.strict)
        self.dropped = encoded.dropped
        options = self.data.get("stream_options")
        asked = Asked(
            model=self.asked_model,
            key=self.key,
            created=int(time.time()),
            input_tokens=tokens.quick(self.data, len(self.body)),
            tool_names=encoded.tool_names,
            custom=encoded.custom,
            namespaces=encoded.namespaces,
            include_usage=isinstance(options, dict) and options.get("include_usage") is True,
            policy=route.target.policy,
        )
        self.reply = Crossing(self.protocol, route.protocol, asked)
        return encoded.json()

    # -------------------------------------------------------------------------------- the reply begins

    def on_head(self, status: int, up_headers: list[tuple[str, str]]) -> None:
        self.ttfb_ms = (time.perf_counter() - self.started_at) * 1e3
        self.status = status
        self.up_headers = up_headers
        self.size = 0
        self.mode = "undecided" if status == 200 and self.envelope.stream else "collecting"

    def on_data(self, chunk: bytes) -> None:
        if self.state == "done":
            return
        try:
            if self.mode == "undecided":
                # By its first byte, not its Content-Type: servers answer errors as JSON under text/event-stream.
                self.mode = "collecting" if chunk.lstrip()[:1] in (b"{", b"<", b"[") else "streaming"
            if self.mode == "streaming":
                self._to_client(self.reply.feed(chunk))  # type: ignore[union-attr]
                return
            self.parts.append(chunk)
            self.size += len(chunk)
            if self.size > MAX_WHOLE_REPLY:
                raise errors.BadReply(f"the upstream's reply is over {MAX_WHOLE_REPLY >> 20} MB")
        except Exception as error:
            self._broke(error)

    def _to_client(self, out: bytes) -> None:
        """What a chunk became; the first of it takes the headers along."""
        assert self.reply is not None
        if self.state != "streaming":
            if self.reply.fault is not None and not self.reply.started:
                raise self.reply.fault
            if not out:
                return
            if self.recall is not None:
                self._went(self.recall, out)
            self.state = "streaming"
            self.streamed = True
            self._let_go()  # nothing is sent twice from here on
            self.answer.on_full = self._client_is_full
            self.answer.on_drained = self._client_has_drained
            self.answer.start(200, _SSE_HEAD + self._reply_head())
        if out:
            self.quiet = 0.0
            self.answer.write(out)
        if self.reply.ended:
            if self.recall is not None:
                self.recall.stream_ended(out)
            self._done_streaming()

    def _went(self, recall: Recall, out: bytes) -> None:
        """The beginning of a reply, or all of it."""
        assert self.route is not None
        if self.route.protocol == "responses" and not self.task:
            recall.went(out, self.route.peer.name)

    def _client_is_full(self) -> None:
        if self.exchange is not None:
            self.exchange.pause()

    def _client_has_drained(self) -> None:
        if self.exchange is not None and self.state == "streaming":
            self.exchange.resume()

    def ping(self) -> None:
        """The stream has been silent for a while: a sign of life, so that the client does not give up.

        A model that thinks behind an empty first event is alive too: then the headers go out now, and what
        fails later can only be an error event.
        """
        assert self.reply is not None
        self.quiet = 0.0
        try:
            if self.state != "streaming":
                self._to_client(self.reply.begin())
            if self.state == "streaming":
                self.answer.write(self.reply.ping())
        except Exception as error:
            self._broke(error)

    # ---------------------------------------------------------------------------------- the reply ends

    def on_end(self, failure: Failure | None) -> None:
        self.exchange = None
        if self.state == "done":
            return
        try:
            if failure is not None:
                self._failed(failure)
            elif self.mode == "streaming":
                assert self.reply is not None
                self._to_client(self.reply.end())
                if self.state == "streaming":
                    self._done_streaming()
            else:
                self._whole()
            if self.exchange is None and self.state != "done":
                raise errors.BadReply("the upstream's reply came to nothing")
        except Exception as error:
            self._broke(error)

    def _failed(self, failure: Failure) -> None:
        assert self.route is not None and self.reply is not None
        error = attempt.as_error(failure, self.route.peer.name)
        if self.state == "streaming":
            self.answer.write(self.reply.fail(error))
            self._done_streaming(error)
            return
        self.tries_on_route += 1
        decision = attempt.decide(failure, self.tries_on_route, len(self.routes) - self.at - 1)
        # A kept connection that the server has closed meanwhile is everyday life; nobody need be told.
        level = logging.INFO if decision == "same route" else logging.WARNING
        log.log(level, "request %s: %s: %s", self.key, failure.message, decision)
        if decision == "give up":
            self._refuse(error)
            return
        self.parts = []
        if decision == "next route":
            self.tries_on_route = 0
            self.at += 1
        self._send(fresh=decision == "same route")

    def _whole(self) -> None:
        assert self.route is not None and self.reply is not None
        body = b"".join(self.parts)
        same = self.route.protocol == self.protocol
        if self.task == "count" and self.status in (404, 405, 501):
            self.route.peer.counts.discard(self.protocol)  # remembered: editors ask many times a second
            self._count_here()
        elif self.status >= 400:
            self._upstream_error(body, same)
        elif self.status != 200:
            where = headers.find(self.up_headers, "location")
            hint = f" to {where}; is base_url right?" if where else ""
            raise errors.BadReply(f"upstream '{self.route.peer.name}' answered {self.status}{hint}")
        elif self.envelope.stream and not same:
            self._to_client(self.reply.whole_as_stream(body))
        else:
            streamed = "event-stream" in headers.find(self.up_headers, "content-type")
            out = self.reply.whole(body, streamed)
            if self.recall is not None:
                self._went(self.recall, out)
                self.recall.whole(out)
            kind = headers.find(self.up_headers, "content-type") if same else ""
            self._answer(200, (headers.line("Content-Type", kind) or JSON_HEAD) + self._reply_head(), out)

    def _upstream_error(self, body: bytes, same: bool) -> None:
        kind = headers.find(self.up_headers, "content-type")
        body = self.service.masked(body)  # some servers repeat the key that they refuse
        error = errors.parse(self.status, body, kind)
        if same:
            self._answer(self.status, headers.line("Content-Type", kind) + self._reply_head(), body, error)
            return
        if self._learns(error, body):
            return
        status = errors.status_for(self.protocol, error)
        said = errors.body(self.protocol, error, f"req_{self.key}")
        self._answer(status, JSON_HEAD + self._reply_head(), said, error)

    def _learns(self, error: ApiError, body: bytes) -> bool:
        """A field that the upstream does not take: the request goes there once more, without it."""
        route, service = self.route, self.service
        assert route is not None
        if not service.learns or self.taught or self.data is None:
            return False
        new = lessons.learned(self.protocol, route, self.data, service.lessons, error, body)
        if not new:
            return False
        said = "".join(c if c.isprintable() else "?" for c in error.message[:300])
        now = "; ".join(map(str, new))
        log.warning("request %s: upstream '%s', model '%s' answered %d (%s): from now on, for a day, %s", self.key,
                    route.peer.name, route.model, error.status, said, now)  # fmt: skip
        self.taught = True
        self.parts = []
        self._send()
        return True

    def _count_here(self) -> None:
        """Tokens of a request, where no upstream counts them: an estimate, and marked as one."""
        data = self.data or envelope.parse(self.body)
        self._answer(200, JSON_HEAD + b"X-Proxy-Estimate: true\r\n", listing.counted(data, self.protocol))

    def _reply_head(self) -> bytes:
        assert self.route is not None
        same = self.route.protocol == self.protocol
        own = headers.of_reply(self.up_headers, self.protocol, self.key, self.route.peer.name, self.dropped)
        return headers.back(self.up_headers, same) + own
