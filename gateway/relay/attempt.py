"""One attempt of a relayed request: the wait for what it takes, what the upstream is asked, and how it has ended."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import structs

from gateway.credentials.signing import signed
from gateway.flow import outcomes, upstream_request
from gateway.flow.client_request import ClientRequest
from gateway.flow.failover import Failover
from gateway.flow.lease import Lease, Verdict
from gateway.flow.ports import Ports
from gateway.flow.timing import Clock
from gateway.flow.trace import Span
from gateway.http import query_string
from gateway.limits.limiter import Wait
from gateway.limits.retry_policy import Outcome
from gateway.passing.opening import is_error
from gateway.relay import files
from gateway.relay.files import FileRequest
from gateway.relay.incoming import Coming
from gateway.relay.intake import Intake
from gateway.relay.reply import Reply
from gateway.routing.router import Route
from gateway.routing.upstreams import LiveUpstream
from translate.failures import errors
from translate.failures.errors import ApiError, BadRequest
from upstream.request import Body, Request, Timeouts

_NOTHING = b"{} \t\r\n"  # what an empty reply is made of


async def leased(failover: Failover, clock: Clock, ports: Ports) -> Lease:
    """Returns what an attempt takes, as soon as it is free. Raises ApiError."""
    while True:
        answered: asyncio.Future[ApiError | Wait | None] = asyncio.get_running_loop().create_future()

        def answer(lease: Lease, why: ApiError | Wait | None, to: asyncio.Future[Any] = answered) -> None:
            if not to.done():
                to.set_result(why)

        got = failover.acquire(answer)
        clock.waits()
        if isinstance(got, Lease) and got.state == "granted":
            return got
        why: ApiError | Wait | None = got if isinstance(got, Wait) else None
        if isinstance(got, Lease):
            try:
                why = await answered
            except asyncio.CancelledError:
                got.release("unjudged", ports.now())
                raise
            if why is None:
                return got
            got.release("unjudged", ports.now())
            if isinstance(why, Wait):
                why = failover.worth(why)
        if isinstance(why, ApiError):
            raise why
        assert why is not None
        await asyncio.sleep(why.seconds)


class Attempt:
    """One attempt. coming: the reply."""

    def __init__(
        self, ports: Ports, request: ClientRequest, clock: Clock, intake: Intake, reply: Reply, lease: Lease,
        asked: FileRequest | None,
    ) -> None:  # fmt: skip
        """asked: for a request about files, what it asks; else None."""
        self._ports = ports
        self._request = request
        self._clock = clock
        self._intake = intake
        self._reply = reply
        self._lease = lease
        self._asked = asked
        self.coming = Coming(ports, lease, clock.began, raw=asked is not None and bool(asked.part))

    def __repr__(self) -> str:
        return f"<Attempt {self._lease!r} {self.coming!r}>"

    async def run(self, method: str, failover: Failover, *, fresh: bool) -> Outcome | None:
        """Sends the request, and waits for the end of the reply. Returns None if the reply has gone to the client, else
        how the attempt failed. fresh: on a new connection. Raises ApiError."""
        ports, request, lease, coming = self._ports, self._request, self._lease, self.coming
        verdict: Verdict = "unjudged"
        span: Span | None = None
        try:
            asking = self._asking(method, lease.route)
            asking.fresh = fresh
            if request.trace is not None:
                route = lease.route
                span = request.trace.attempt(route.upstream.name, route.protocol, route.model, asking.url)
                asking.headers = request.trace.told(asking.headers, span)
            failover.sends(lease.route)
            lease.goes()
            self._clock.asks(ports.now())
            try:
                coming.exchange = exchange = ports.send(asking, coming)
            except ValueError as why:
                raise BadRequest(f"a header or the query string cannot be sent on: {why}") from None
            ports.observer.sent(request.info(failover.attempts), b"")
            if self._intake.upload is not None:
                self._intake.upload.on_more = exchange.send_on
            await coming.head.wait()
            self._clock.came = ports.now()
            if coming.streams:
                asking.timeouts = lease.route.upstream.stream_timeouts
                self._reply.start(lease.route, coming)
            await coming.over.wait()
            outcome = self._outcome(lease.route, coming)
            verdict = outcomes.verdict(outcome, outcome.error.status) if outcome is not None else "answered"
            if outcome is None and coming.streams:
                self._reply.end()
            elif outcome is None:
                await self._whole(lease.route)
            return outcome
        finally:
            if coming.exchange is not None:
                coming.exchange.cancel()
            if span is not None:
                span.ends(coming.status, "" if verdict == "answered" else verdict)
            lease.release(verdict, ports.now(), worked=200 <= coming.status < 300)

    def _asking(self, method: str, route: Route, query: str | None = None) -> Request:
        """query: None = the client's. Raises ApiError."""
        ports, request, upstream = self._ports, self._request, route.upstream
        endpoint = self._asked.endpoint if self._asked is not None else request.task
        url = upstream.settings.url(endpoint, route.model, route.protocol)
        url = query_string.onward(url, request.query if query is None else query, upstream.settings.query)
        lines = upstream_request.header_lines(
            route, request.headers, same=True, open_door=ports.access.open, own_hops=ports.hops
        )
        body: bytes | Body | None = None
        if method == "POST":
            body, lines = self._intake.onward(route.model, lines)
        minted = upstream.minted(route.key)
        if minted is not None and minted.aws is not None and not isinstance(body, bytes | None):
            message = f"upstream '{upstream.name}' needs signed requests, and a body that is passed on while it arrives"
            raise BadRequest(f"{message} cannot be signed: give the upstream an API key")
        lines, signing = signed(upstream.settings, minted, lines, body if isinstance(body, bytes) else None)
        return Request(method, url, lines, body, _patience(upstream, body), upstream.way, signing=signing)

    async def _whole(self, route: Route) -> None:
        """Sends a gathered reply to the client. Raises ApiError."""
        body = self.coming.body()
        if self._asked is not None:
            files.note(self._request, self._asked, self._ports, route, body)
            if self._asked.method == "GET" and not self._asked.id:
                body = await self._own_files(route, body)
        self._reply.whole(route, self.coming, body)

    async def _own_files(self, route: Route, body: bytes) -> bytes:
        """The page, or the next one on which there are files of the client's. Raises ApiError."""
        request, ports, query = self._request, self._ports, self._request.query
        for _ in range(files.MOST_PAGES):
            page = await files.of_owner(request, ports, body, query)
            if page.onward is None:
                break
            body, query = await self._page(route, page.onward), page.onward
        return page.body

    async def _page(self, route: Route, query: str) -> bytes:
        """A further page of a list. Raises ApiError."""
        coming = Coming(self._ports, self._lease, self._ports.now(), raw=False)
        coming.exchange = self._ports.send(self._asking("GET", route, query), coming)
        try:
            await coming.over.wait()
        finally:
            coming.exchange.cancel()
        outcome = self._outcome(route, coming)
        if outcome is not None:
            raise outcome.error
        return coming.body()

    def _outcome(self, route: Route, coming: Coming) -> Outcome | None:
        """None = it was answered. Raises ApiError for what cannot be an answer, or once a part of it has gone out."""
        name = route.upstream.name
        failure, status = coming.failure, coming.status
        if failure is not None:
            outcome = outcomes.of_failure(failure, route)
            if self._reply.streaming:
                raise outcome.error
            return outcome
        if status >= 400:
            return outcomes.of_status(status, coming.body(), coming.headers, b"", self._ports.unix())
        if status >= 300:
            redirect = f"upstream '{name}' answered {status}, a redirect; is its base_url right?"
            return Outcome("reply", errors.BadReply(redirect, is_page=True))
        if coming.is_page:
            page = f"upstream '{name}' answered {status} with an HTML page; is its base_url right?"
            return Outcome("reply", errors.BadReply(page, is_page=True))
        if coming.cut:
            most = self._ports.gathered.reply_bytes >> 20
            raise errors.BadReply(f"upstream '{name}': its reply has more than {most} MB ([limits] reply_mb)")
        if not coming.streams and (self._asked is None or self._asked.method == "GET"):
            return self._complaint(name, coming)
        return None

    def _complaint(self, name: str, coming: Coming) -> Outcome | None:
        """What is wrong with a reply that was gathered: it is empty, or an error under a good status."""
        body = coming.body()
        if not body.strip(_NOTHING):
            empty = f"upstream '{name}' answered {coming.status} with an empty body or object"
            return Outcome("reply", errors.BadReply(empty, is_empty=True))
        if is_error(body):
            return outcomes.of_status(0, body, coming.headers, b"", self._ports.unix())
        return None


def _patience(upstream: LiveUpstream, body: bytes | Body | None) -> Timeouts:
    """How long a reply may take that may be whole or a stream, which its head shows. The wait for it begins with the
    end of an upload: how long that takes is the client's business."""
    limits = upstream.whole_timeouts
    if body is None or isinstance(body, bytes):
        return limits
    return structs.replace(limits, idle=limits.total, total=upstream.stream_timeouts.total)
