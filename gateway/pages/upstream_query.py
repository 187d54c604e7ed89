"""One request to an upstream about a response that it keeps. No model works on it, and it is no Flow.

A reply is gathered whole, up to a limit. If it is a stream of events (a response in the background that the client
follows), it goes to the client as it comes, as fast as the client reads. As in every passthrough, a stream that breaks
off ends with an error event, and the client gets pings in long silences.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct
from tornado.httputil import HTTPHeaders

from gateway.credentials.signing import signed
from gateway.flow import outcomes, upstream_request
from gateway.http import header_rules, query_string
from gateway.http.response_writer import ResponseWriter
from gateway.limits import retry_policy
from gateway.passing.clean_lines import CleanLines
from gateway.passing.passthrough import Passthrough
from gateway.routing.router import Route
from gateway.routing.upstreams import LiveUpstream
from gateway.runtime import Service
from translate.failures import errors
from translate.failures.errors import BadRequest
from translate.responses.dialect import RESPONSES
from upstream.exchange import Exchange
from upstream.failure import Failure
from upstream.request import Request


class Reply(Struct, frozen=True):
    """A reply for the client. head: header lines, each with CRLF. streamed: the body has been sent already."""

    status: int
    head: bytes
    body: bytes
    streamed: bool = False


class Sink(Struct, frozen=True):
    """Receives a stream. write returns when the client has read the data."""

    start: Callable[[Reply], None]
    write: Callable[[bytes], Awaitable[None]]


class Asking:
    """One request; ask() is called once."""

    def __init__(
        self, service: Service, upstream: LiveUpstream, sink: Sink | None, key: int = 0, protocol: str = RESPONSES.name,
        body: bytes | None = None,
    ) -> None:  # fmt: skip
        """sink: None = no stream is expected; if one comes, it is gathered like any reply. key: the number of the
        upstream's key that is used. protocol: the client's, which is the upstream's too. body: of the request."""
        self._protocol = protocol
        self._body = body
        self._key = key
        self._service = service
        self._upstream = upstream
        self._sink = sink
        self._most = service.gathered
        self._changed = asyncio.Event()
        self._over = False
        self._failure: Failure | None = None
        self._parts: list[bytes] = []
        self._size = 0  # of the parts
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._exchange: Exchange

    def __repr__(self) -> str:
        return f"<Asking {self._upstream.name} {self._status} {self._size} bytes{', over' * self._over}>"

    async def ask(self, method: str, endpoint: str, query: str, client: HTTPHeaders) -> Reply:
        """Sends the request and returns its reply. Raises ApiError."""
        upstream, service = self._upstream, self._service
        service.hops.check_upstream(upstream.name, upstream.base_url)
        await upstream.ready(self._key)
        route = Route(upstream, self._protocol, "", key=self._key)
        lines = upstream_request.header_lines(
            route, client, same=True, open_door=service.access.open, own_hops=service.hops
        )
        own = upstream.settings
        url = query_string.onward(own.url(endpoint, protocol=self._protocol), query, own.query)
        timeouts = upstream.whole_timeouts if self._sink is None else upstream.stream_timeouts
        lines, signing = signed(upstream.settings, upstream.minted(self._key), lines, self._body)
        request = Request(method, url, lines, self._body, timeouts, upstream.way, signing=signing)
        try:
            self._exchange = service.client.send(request, self)
        except ValueError as why:
            raise BadRequest(f"a header or the query string cannot be sent to an upstream: {why}") from None
        try:
            return await self._reply(deletes=method == "DELETE")
        finally:
            self._exchange.cancel()

    async def _reply(self, *, deletes: bool) -> Reply:
        while not self._over and not self._flows:
            await self._news(None)
        if self._flows:
            assert self._sink is not None
            return await self._follow(self._sink)
        if self._failure is not None and self._status < 400:
            raise retry_policy.as_error(self._failure, self._upstream.name)
        if self._status >= 400 and (self._failure is not None or self._size > self._most.error_bytes):
            said = self._upstream.secrets.clean(b"".join(self._parts))
            raise errors.parse(self._status, self._service.masked(said))
        if self._size > self._most.reply_bytes:
            raise errors.BadReply(
                f"upstream '{self._upstream.name}': its reply has more than {self._most.reply_bytes >> 20} MB"
                " ([limits] reply_mb)"
            )
        if 300 <= self._status < 400:
            raise errors.BadReply(
                f"upstream '{self._upstream.name}' answered {self._status}, a redirect; check its base_url in "
                "settings.ini"
            )
        kind, body = header_rules.find(self._headers, "content-type"), b"".join(self._parts)
        head = header_rules.content_type(kind) + self._head()
        if self._status >= 400:
            said = self._service.masked(self._upstream.secrets.clean(body))
            if not outcomes.is_readable(said):
                raise outcomes.of_status(self._status, said, self._headers, b"", time.time()).error
            return Reply(self._status, head, said)
        if body.lstrip()[:1] == b"<":
            page = f"upstream '{self._upstream.name}' answered {self._status} with an HTML page; is its base_url right?"
            raise errors.BadReply(page, is_page=True)
        if not body.strip() and kind.lower().startswith("application/json") and not deletes:
            empty = f"upstream '{self._upstream.name}' answered {self._status} with an empty body"
            raise errors.BadReply(empty, is_empty=True)
        return Reply(self._status, head, self._upstream.secrets.clean_reply(body))

    @property
    def _flows(self) -> bool:
        kind = header_rules.find(self._headers, "content-type")
        return self._sink is not None and self._status == 200 and "event-stream" in kind

    def _head(self) -> bytes:
        theirs = header_rules.back(self._headers, same=True, let_through=self._upstream.settings.reply_headers)
        return self._service.masked(theirs) + header_rules.line("X-Proxy-Upstream", self._upstream.name)

    async def _follow(self, sink: Sink) -> Reply:
        events, lines = Passthrough(RESPONSES.name, waits=False), CleanLines(self._upstream.secrets)
        reply = Reply(200, header_rules.EVENT_STREAM + self._head(), b"", streamed=True)
        begun = False
        patience = self._service.settings.server.ping_seconds
        while True:
            over = self._over
            said = lines.feed(self._taken()) if self._parts else b""
            said += lines.rest() if over else b""
            out = events.feed(said) if said else b""
            if over:
                out += self._last(events)
            if events.fault is not None and not events.started:
                raise events.fault
            if out and not begun:
                begun = True
                sink.start(reply)
            if out:
                await sink.write(out)
            if over:
                return reply
            self._exchange.resume()
            if not self._parts and not await self._news(patience) and begun:
                await sink.write(events.ping())

    def _last(self, events: Passthrough) -> bytes:
        if self._failure is None:
            return events.end()
        return events.fail(retry_policy.as_error(self._failure, self._upstream.name))

    def _taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts, self._size = [], 0
        return data

    async def _news(self, within_s: float | None) -> bool:
        """Waits until something has come; returns False if nothing came in time."""
        try:
            await asyncio.wait_for(self._changed.wait(), within_s)
        except TimeoutError:
            return False
        self._changed.clear()
        return True

    # ----------------------------------------------------------------------------- called by the exchange

    def on_head(self, status: int, up_headers: list[tuple[str, str]]) -> None:
        self._status = status
        self._headers = self._upstream.secrets.headers(up_headers)
        self._changed.set()

    def on_data(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._flows:
            self._parts.append(chunk)
            if self._size > ResponseWriter.high_water:
                self._exchange.pause()
        elif self._size <= (self._most.reply_bytes if self._status < 400 else self._most.error_bytes):
            self._parts.append(chunk)
        else:
            self._over = True
        self._changed.set()

    def on_end(self, failure: Failure | None) -> None:
        self._over = True
        self._failure = failure
        self._changed.set()
