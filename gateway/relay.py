"""The walk of one request, top to bottom: in, route, translate, send, reply, done.

A Relay is the request's only object: Tornado's delegate for what the client sends, libcurl's sink for what the
upstream sends. Until the first useful byte of a reply nothing goes to the client, so that any failure before
it is still answered with a real status, or tried again. If the client leaves, the upstream request is
cancelled at once. Methods stand in the order in which a request meets them.
"""

from __future__ import annotations

import logging
import time
import zlib
from typing import TYPE_CHECKING, Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from gateway import attempt, envelope, headers, listing
from gateway.access import keys_of
from gateway.answer import Answer
from gateway.routes import ENDPOINT, Route
from gateway.verbatim import Verbatim
from translate import errors, pair, tokens
from translate.conversation import Usage
from translate.errors import ApiError, BadRequest
from translate.pair import Crossing
from translate.target import Asked, Protocol, Target
from upstream.client import Exchange, Request
from upstream.failure import Failure

if TYPE_CHECKING:
    from gateway.service import Service

log = logging.getLogger("gateway")

MAX_WHOLE_REPLY = 256 * 1024 * 1024  # bytes of a reply that is not streamed; it is held until it is complete
_SSE_HEAD = b"Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"
_JSON_HEAD = b"Content-Type: application/json\r\n"


class Relay(HTTPMessageDelegate):
    """state: reading -> waiting -> (streaming | collecting) -> done."""

    __slots__ = (
        "answer", "asked_model", "body", "client", "conn", "counting", "data", "dropped", "envelope", "exchange",
        "headers", "key", "left", "mode", "parts", "protocol", "query", "quiet", "refusal", "reply", "route", "routes",
        "service", "size", "started_at", "state", "status", "streamed", "tries", "tries_on_route", "ttfb_ms",
        "up_headers",
    )  # fmt: skip

    def __init__(self, service: Service, conn: HTTP1Connection, protocol: Protocol, counting: bool = False) -> None:
        """counting: this is /v1/messages/count_tokens."""
        self.service = service
        self.conn = conn
        self.protocol: Protocol = protocol
        self.counting = counting
        self.state = "reading"
        self.parts: list[bytes] = []
        self.size = 0
        self.refusal: ApiError | None = None
        self.exchange: Exchange | None = None
        self.reply: Verbatim | Crossing | None = None
        self.route: Route | None = None
        self.data: dict[str, Any] | None = None
        self.dropped: list[str] = []
        self.status = 0
        self.tries = self.tries_on_route = 0
        self.quiet = 0.0
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
        self.answer = Answer(self.conn)
        self.service.relays.add(self)
        try:
            self.client = self.service.access.check(headers)
        except ApiError as refusal:
            self.refusal = refusal

    def data_received(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self.service.max_body_bytes:
            limit = self.service.max_body_bytes >> 20
            self.refusal = ApiError("too_large", f"request body over {limit} MB ([server] max_body_mb)")
        if self.refusal is not None:
            self.parts.clear()  # read to its end all the same, so that the client gets to read why
        else:
            self.parts.append(chunk)

    def on_connection_close(self) -> None:
        """The client left while it was still sending."""
        self._client_left()

    def finish(self) -> None:
        self.conn.set_close_callback(self._client_left)
        try:
            if self.refusal is not None:
                raise self.refusal
            body = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
            self.parts = []
            self.body = _decoded(body, self.headers.get("Content-Encoding"), self.service.max_body_bytes)
            self.envelope = envelope.read(self.body)
            self.asked_model = self.envelope.model
            self.routes = self.service.router.routes(self.asked_model, self.protocol)
            self._send(self.routes[0])
        except ApiError as error:
            self._refuse(error)
        except Exception:
            log.exception("request %s failed inside the proxy", self.key)
            self._refuse(ApiError("api", f"internal error of the proxy, see its log (request {self.key})"))

    # --------------------------------------------------------------------------- translate and send it

    def _send(self, route: Route, fresh: bool = False) -> None:
        """fresh: on a new connection, since a kept one has just died."""
        self.route = route
        self.tries += 1
        peer = route.peer
        same = route.protocol == self.protocol
        if self.counting and not (same and peer.counts_tokens):
            self._count_here()
            return
        body = self._verbatim(route) if same else self._translated(route)
        url = peer.urls["messages/count_tokens" if self.counting else ENDPOINT[route.protocol]]
        if same and self.query:
            url = f"{url}?{self.query}"
        stream = self.envelope.stream
        self.state = "waiting"
        self.exchange = self.service.client.send(
            Request(
                "POST",
                url,
                self._upstream_headers(route, same),
                body,
                peer.stream_timeouts if stream else peer.whole_timeouts,
                peer.settings.verify_tls,
                fresh,
            ),
            self,
        )
        self.service.log_request_body(self, body)

    def _verbatim(self, route: Route) -> bytes:
        renamed = route.model != self.asked_model
        self.reply = Verbatim(self.protocol, self.asked_model if renamed else "")
        return envelope.with_model(self.body, self.envelope, route.model) if renamed else self.body

    def _translated(self, route: Route) -> bytes:
        if self.data is None:
            self.data = envelope.parse(self.body)
        policy = route.peer.policy
        encoded = pair.request(self.protocol, route.protocol, self.data, Target(route.model, policy))
        self.dropped = encoded.dropped
        options = self.data.get("stream_options")
        asked = Asked(
            model=self.asked_model,
            key=self.key,
            created=int(time.time()),
            input_tokens=tokens.quick(self.data, len(self.body)),
            tool_names=encoded.tool_names,
            include_usage=isinstance(options, dict) and options.get("include_usage") is True,
            policy=policy,
        )
        self.reply = Crossing(self.protocol, route.protocol, asked)
        return encoded.json()

    def _upstream_headers(self, route: Route, same: bool) -> list[str]:
        own = route.peer.own_headers[route.protocol]
        settings = route.peer.settings
        if settings.forward_client_key and self.service.access.open and (brought := keys_of(self.headers)):
            own = {k: v for k, v in own.items() if k not in ("authorization", "x-api-key", "api-key")}
            if same:  # both headers as they came: an OAuth token is only good as a Bearer
                for name in ("Authorization", "X-Api-Key"):
                    if value := self.headers.get(name):
                        own[name.lower()] = value
            elif route.protocol == "messages":
                own["x-api-key"] = brought[0]
            else:
                own["authorization"] = f"Bearer {brought[0]}"
        if same and route.protocol == "messages" and "Anthropic-Version" in self.headers:
            own = {k: v for k, v in own.items() if k != "anthropic-version"}
        return headers.upstream(self.headers.get_all(), self.headers.get("Connection", ""), own, same)

    # -------------------------------------------------------------------------------- the reply begins

    def on_head(self, status: int, up_headers: list[tuple[str, str]]) -> None:
        self.ttfb_ms = (time.perf_counter() - self.started_at) * 1e3
        self.status = status
        self.up_headers = up_headers
        self.size = 0
        self.mode = "undecided" if status == 200 and self.envelope.stream else "collecting"

    def on_data(self, chunk: bytes) -> None:
        if self.state == "streaming":
            self._stream(chunk)
            return
        if self.state == "done":
            return
        if self.mode == "undecided":
            # By its first byte, not its Content-Type: servers answer errors as JSON under text/event-stream.
            self.mode = "collecting" if chunk.lstrip()[:1] in (b"{", b"<", b"[") else "streaming"
        if self.mode == "streaming":
            self._stream(chunk)
            return
        self.parts.append(chunk)
        self.size += len(chunk)
        if self.size > MAX_WHOLE_REPLY:
            self._cancel()
            self._refuse(errors.BadReply(f"the upstream's reply is over {MAX_WHOLE_REPLY >> 20} MB"))

    def _stream(self, chunk: bytes) -> None:
        assert self.reply is not None
        self._to_client(self.reply.feed(chunk))

    def _to_client(self, out: bytes) -> None:
        """What a chunk became; the first of it takes the headers along."""
        assert self.reply is not None
        if self.state != "streaming":
            if self.reply.fault is not None and not self.reply.started:
                self._cancel()
                self._refuse(self.reply.fault)
                return
            if not out:
                return
            self.state = "streaming"
            self.streamed = True
            self.answer.on_full = self._client_is_full
            self.answer.on_drained = self._client_has_drained
            self.answer.start(200, _SSE_HEAD + self._reply_head())
        if out:
            self.quiet = 0.0
            self.answer.write(out)
        if self.reply.ended:
            self._done_streaming()

    def _client_is_full(self) -> None:
        if self.exchange is not None:
            self.exchange.pause()

    def _client_has_drained(self) -> None:
        if self.exchange is not None and self.state == "streaming":
            self.exchange.resume()

    def ping(self) -> None:
        """The stream has been silent for a while: a sign of life, so that the client does not give up."""
        assert self.reply is not None
        self.quiet = 0.0
        self.answer.write(self.reply.ping())

    # ---------------------------------------------------------------------------------- the reply ends

    def on_end(self, failure: Failure | None) -> None:
        self.exchange, exchange = None, self.exchange
        if self.state == "done":
            return
        try:
            if failure is not None:
                self._failed(failure)
            elif self.state == "streaming" or self.mode == "streaming":
                assert self.reply is not None
                self._to_client(self.reply.end())
                if self.state == "streaming":
                    self._done_streaming()
            else:
                self._whole()
        except ApiError as error:
            self._refuse(error)
        except Exception:
            log.exception("reply of request %s failed inside the proxy (%r)", self.key, exchange)
            self._refuse(ApiError("api", f"internal error of the proxy, see its log (request {self.key})"))

    def _failed(self, failure: Failure) -> None:
        assert self.route is not None and self.reply is not None
        error = attempt.as_error(failure, self.route.peer.name)
        if self.state == "streaming":
            self.answer.write(self.reply.fail(error))
            self._done_streaming(error)
            return
        self.tries_on_route += 1
        at = self.routes.index(self.route)
        decision = attempt.decide(failure, self.tries_on_route, len(self.routes) - at - 1)
        log.warning("request %s: %s: %s", self.key, failure.message, decision)
        if decision == "give up":
            self._refuse(error)
            return
        self.parts = []
        if decision == "next route":
            self.tries_on_route = 0
            at += 1
        self._send(self.routes[at], fresh=decision == "same route")

    def _whole(self) -> None:
        assert self.route is not None and self.reply is not None
        body = b"".join(self.parts)
        same = self.route.protocol == self.protocol
        if self.counting and self.status in (404, 405, 501):
            self.route.peer.counts_tokens = False  # remembered: editors ask many times a second
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
            kind = headers.find(self.up_headers, "content-type") if same else ""
            head = f"Content-Type: {kind}\r\n".encode("latin-1") if kind else _JSON_HEAD
            self._answer(200, head + self._reply_head(), out)

    def _upstream_error(self, body: bytes, same: bool) -> None:
        kind = headers.find(self.up_headers, "content-type")
        if same:
            head = f"Content-Type: {kind}\r\n".encode("latin-1") if kind else b""
            self._answer(self.status, head + self._reply_head(), body)
            return
        error = errors.parse(self.status, body, kind)
        status = errors.status_for(self.protocol, error)
        self._answer(status, _JSON_HEAD + self._reply_head(), errors.body(self.protocol, error, f"req_{self.key}"))

    def _count_here(self) -> None:
        """count_tokens where no upstream can: an estimate, and marked as one."""
        data = self.data or envelope.parse(self.body)
        self._answer(200, _JSON_HEAD + b"X-Proxy-Estimate: true\r\n", listing.counted(data))

    def _reply_head(self) -> bytes:
        assert self.route is not None
        same = self.route.protocol == self.protocol
        own = f"X-Proxy-Upstream: {self.route.peer.name}\r\n"
        if self.dropped:
            own += f"X-Proxy-Dropped: {', '.join(self.dropped)[:2000]}\r\n"
        wanted = "request-id" if self.protocol == "messages" else "x-request-id"
        if not headers.find(self.up_headers, wanted):
            own += f"{wanted}: req_{self.key}\r\n"
        return headers.back(self.up_headers, same) + own.encode("latin-1", "replace")

    # -------------------------------------------------------------------------------------- the end

    def _refuse(self, error: ApiError) -> None:
        """An error of the proxy's own (or of a stream that never began), in the client's protocol."""
        if self.state == "streaming":
            assert self.reply is not None
            self.answer.write(self.reply.fail(error))
            self._done_streaming(error)
            return
        status = errors.status_for(self.protocol, error)
        head = _JSON_HEAD + f"request-id: req_{self.key}\r\nx-request-id: req_{self.key}\r\n".encode()
        if error.retry_after is not None:
            head += b"Retry-After: %d\r\n" % max(1, round(error.retry_after))
        if status in (401, 403):  # some clients retry a 401 for minutes
            head += b"x-should-retry: false\r\n"
        self._answer(status, head, errors.body(self.protocol, error, f"req_{self.key}"), error)

    def _answer(self, status: int, head: bytes, body: bytes, error: ApiError | None = None) -> None:
        self.status = status
        self.state = "done"
        self.answer.whole(status, head, body)
        self._over(error)

    def _done_streaming(self, error: ApiError | None = None) -> None:
        """The client has its terminal event. The exchange, if any, goes on to its last byte, so that the
        connection can be used again; it has no one to tell any more."""
        self.state = "done"
        self.answer.end()
        if self.exchange is not None:
            self.exchange.resume()
        self._over(error or (self.reply.fault if self.reply else None))

    def _client_left(self) -> None:
        if self.state == "done":
            return
        self.left = True
        self.state = "done"
        self._cancel()
        self._over(None)

    def _cancel(self) -> None:
        if self.exchange is not None:
            exchange, self.exchange = self.exchange, None
            exchange.cancel()

    def abandon(self, error: ApiError) -> None:
        """The proxy shuts down: ends the stream with a legal error event."""
        self._cancel()
        self._refuse(error)

    def usage(self) -> dict[str, Any] | None:
        """Tokens of the reply, for the log: the upstream's own words, or the neutral counters."""
        used = self.reply.usage if self.reply is not None else None
        if isinstance(used, Usage):
            return {"input": used.input, "cache_read": used.cache_read, "cache_write": used.cache_write,
                    "output": used.output, "reasoning": used.reasoning}  # fmt: skip
        return used

    def _over(self, error: ApiError | None) -> None:
        self.service.over(self, error)


def _decoded(body: bytes, encoding: str | None, limit: int) -> bytes:
    """The request body without its Content-Encoding, bounded: a few bytes may expand to gigabytes."""
    if not encoding or encoding.lower() == "identity":
        return body
    if encoding.lower() not in ("gzip", "deflate", "x-gzip"):
        raise ApiError("invalid_request", f"Content-Encoding '{encoding}' is not understood; send gzip or none", 415)
    inflate = zlib.decompressobj(wbits=47)
    try:
        out = inflate.decompress(body, limit + 1)
    except zlib.error as why:
        raise BadRequest(f"the request body is not valid {encoding}: {why}") from None
    if len(out) > limit:
        raise ApiError("too_large", f"request body over {limit >> 20} MB when unpacked ([server] max_body_mb)")
    if not inflate.eof:
        raise BadRequest(f"the request body's {encoding} data ends too soon")
    return out
