"""The walk of one relayed request: its head, the model that it names, an upstream, the reply, the record.

Files, audio and images are no JSON, or too large to hold. A Relay is Tornado's delegate for such a request, and a task
that takes it through. What an attempt takes, what comes after one that failed and what is told of it are those of every
request (gateway/flow/failover.py, lease.py); only the bodies pass through as they come. If the client leaves, the task
is cancelled, and with it whatever is on its way.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from gateway.credentials.signing import signed
from gateway.flow import charges, resolving, scrub, upstream_error, upstream_request
from gateway.flow.client_request import ClientRequest
from gateway.flow.completion import MAX_USER_AGENT
from gateway.flow.failover import Failover
from gateway.flow.info import Cancelled, Finished, Standing
from gateway.flow.lease import Lease
from gateway.flow.states import State
from gateway.flow.timing import Clock
from gateway.flow.trace import Span
from gateway.http import header_rules, query_string
from gateway.http.auth import keys_of
from gateway.http.response_writer import ResponseWriter, Writer
from gateway.limits import limiter, retry_policy
from gateway.limits.limiter import Wait
from gateway.limits.retry_policy import Outcome
from gateway.relay import files
from gateway.relay.answer import Coming
from gateway.relay.intake import Intake
from gateway.routing import client_keys, request_facts
from gateway.routing.router import Route
from gateway.runtime import Service
from translate import dialects, errors, usage
from translate.conversation import Usage
from translate.dialect import Dialect, Endpoint
from translate.errors import ApiError, BadRequest
from upstream.failure import UNSENT
from upstream.request import Body, Request

log = logging.getLogger("gateway")


def asked(method: str, target: str, headers: HTTPHeaders) -> tuple[Dialect, Endpoint] | None:
    """The endpoint of a path that is relayed; None for every other path."""
    path = target.partition("?")[0]
    if not path.startswith("/v1/") or method == "OPTIONS":
        return None
    name = path.removeprefix("/v1/")
    if name == "files" or name.startswith("files/"):
        name, dialect = "files", files.dialect_of(headers)
    else:
        dialect = dialects.of("chat")
    endpoint = dialect.endpoint(name)
    return (dialect, endpoint) if endpoint is not None and endpoint.streamed else None


class Relay(HTTPMessageDelegate):
    """streaming: the reply has begun. writer, request: as of every request in flight."""

    def __init__(self, service: Service, conn: HTTP1Connection, dialect: Dialect, endpoint: Endpoint) -> None:
        self._ports = ports = service.ports
        self._service = service
        key = ports.next_key()
        self._clock = Clock(ports.now)
        self.writer: Writer = ResponseWriter(conn)
        self.request = ClientRequest(dialect, endpoint, key, ports.body_memory, ports.max_body_bytes, shape=ports.shape)
        self.request.address = str(getattr(conn.context, "remote_ip", ""))
        self._failover = Failover(ports, self.request)
        self.streaming = False
        self._path = self._method = ""
        most = service.settings.limits.upload_mb << 20
        self._intake = Intake(ports, self.request, most, self._end)
        self._task: asyncio.Task[None] | None = None
        self._ends: ApiError | None = None  # why the task is cancelled; None = the client has left
        self._route: Route | None = None
        self._coming: Coming | None = None
        self._status = 0
        self._error: ApiError | None = None
        self._used: Usage | None = None
        self._aborted = False

    def __repr__(self) -> str:
        return f"<Relay {self._method} {self._path} {self.request!r}>"

    # --------------------------------------------------------------------------------- what the client sends

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        assert isinstance(start_line, RequestStartLine)
        self._method = start_line[0]
        self._path, _, query = start_line[1].partition("?")
        request, ports = self.request, self._ports
        if "Origin" in headers:
            self.writer.more = ports.access.origins.lines(headers)
        try:
            request.headers = headers
            if ports.traces is not None:
                request.trace = ports.traces(headers)
            ports.in_flight.begins(self)
            request.begins(query, headers, ports.access)
            self._begins()
        except ApiError as error:
            self.writer.last()
            self._refuse(error)
            self._over()
            return
        self.writer.watch(self._client_left)
        self._task = asyncio.ensure_future(self._walk())
        self._task.add_done_callback(self._walked)

    def _begins(self) -> None:
        """Raises ApiError."""
        if self._is_files and files.asked(self._method, self._path) is None:
            raise ApiError("not_found", f"{self._path[:200]} is not served here")
        if not self._is_files and self._method != "POST":
            raise ApiError("invalid_request", f"{self._method} {self._path}: only POST is served here", 405)
        if self._method == "POST":
            self._intake.begins(self._path, names_model=not self._is_files)

    @property
    def _is_files(self) -> bool:
        return self.request.task == "files"

    def data_received(self, chunk: bytes) -> Any:
        if self._ends is not None or self._task is None or self._task.done():
            return None
        return self._intake.comes(chunk)

    def finish(self) -> None:
        self._intake.ends()

    def on_connection_close(self) -> None:
        self._client_left()

    def _client_left(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
        self._intake.close()

    def _end(self, error: ApiError) -> None:
        """It ends with this error, whatever it is at."""
        if self._ends is None and self._task is not None and not self._task.done():
            self._ends = error
            self.writer.last()
            self._task.cancel()

    def shut_down(self) -> None:
        self.stop(ApiError("overloaded", "the proxy is shutting down", 503, retry_after=1))

    def stop(self, why: ApiError) -> None:
        """It ends here, by the proxy's own will. A client that is slow to take the end of its reply is cut off by an
        operator, and by nobody else."""
        if self._task is not None and not self._task.done():
            self._aborted = True
            self._end(why)
        elif isinstance(why, Cancelled):
            self._error = why
            self.writer.abort()

    def standing(self) -> Standing:
        route, coming = self._route, self._coming
        asked = coming is not None and coming.exchange is not None
        state = State.STREAMING if self.streaming else State.ASKING if asked else State.QUEUED
        if self._task is None or self._task.done():
            state = State.FLUSHING
        elif route is None and not self._intake.read:
            state = State.RECEIVING
        at = (route.upstream.name, route.model) if route is not None else ("", "")
        return self.request.standing(state.name, at, self._clock, self._failover.attempts, self.writer.written)

    def tick(self, seconds: float, patience_s: float) -> None:
        if self.writer.left:
            self.writer.leaves()
            self.writer.abort()
        elif not self.streaming and (why := self._intake.too_slow(self._clock.began)) is not None:
            self._end(why)

    # ---------------------------------------------------------------------------------------------- the walk

    async def _walk(self) -> None:
        await self._ask(await self._routes())

    def _walked(self, task: asyncio.Task[None]) -> None:
        """The task is over, perhaps before it began."""
        error = self._ends if task.cancelled() else task.exception()
        if isinstance(error, ApiError):  # its frames hold all of the request
            error.__traceback__ = error.__context__ = error.__cause__ = None
        if isinstance(error, ApiError):
            self._fail(error)
        elif error is not None:
            log.error("request %s failed inside the proxy: %r", self.request.key, self, exc_info=error)
            self._fail(ApiError("api", f"internal error of the proxy, see its log (request {self.request.key})"))
        self._intake.close()
        self._clock.over()
        if task.cancelled() and self._ends is None:
            self._over(left=True)
        else:
            self.writer.when_sent(lambda all_of_it: self._over(left=not all_of_it))

    async def _routes(self) -> list[Route]:
        """Where it may go: at least one. Raises ApiError."""
        request, ports = self.request, self._ports
        if ports.budgets is not None:
            spent = ports.budgets.ask(request.client, ports.unix())
            if spent is not None and (why := await spent) is not None:
                raise why
            ports.budgets.check(request.client, ports.unix())
        await self._service.charge_question(request.client)
        if self._is_files:
            about = files.asked(self._method, self._path)
            assert about is not None
            self._clock.read = ports.now()
            return [await files.route(request, about, ports)]
        await self._intake.until_the_model()
        if ports.tags is not None:
            request.tags = ports.tags(request)
        self._clock.read = ports.now()
        found = ports.router.routes(request.asked_model, request.protocol, self._facts)
        if ports.rules_of is not None and (rules := ports.rules_of(request.client)) is not None:
            found = rules.permitted(found, request.asked_model)
        found = resolving.that_have_it(found, request, ports)
        return client_keys.of_one_provider(found, request.headers, ports.access.open)

    def _facts(self) -> request_facts.Facts:
        return request_facts.facts(self.request.headers, {}, 0, self.request.asked_model)

    async def _ask(self, routes: list[Route]) -> None:
        """Raises ApiError."""
        failover = self._failover
        failover.begin(routes)
        fresh = False  # on a new connection
        while True:
            try:
                lease = await self._lease()
            except ApiError as refusal:
                failover.skip(refusal)
                continue
            self._route = lease.route
            outcome = await self._try(lease, fresh=fresh)
            fresh = False
            if outcome is None:
                return
            self._clock.lost()
            failover.judge(lease.route, outcome, own_key=self._own_key(lease.route))
            if not self._intake.replayable:
                failover.log(lease.route, outcome, "give up", "a part of the upload is gone")
            else:
                decision = failover.decide(lease.route, outcome, was_fresh=False)
                if decision.act != "give up":
                    fresh = decision.act == "again" and outcome.stale
                    self._clock.waits()
                    await asyncio.sleep(decision.wait)
                    continue
            if outcome.cause != "status":
                raise outcome.error
            self._pass_error(outcome)
            return

    async def _lease(self) -> Lease:
        """What an attempt takes, as soon as it can be had. Raises ApiError."""
        failover, ports = self._failover, self._ports
        while True:
            answered: asyncio.Future[ApiError | Wait | None] = asyncio.get_running_loop().create_future()

            def answer(lease: Lease, why: ApiError | Wait | None, to: asyncio.Future[Any] = answered) -> None:
                if not to.done():
                    to.set_result(why)

            got = failover.acquire(answer)
            self._clock.waits()
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

    async def _try(self, lease: Lease, *, fresh: bool) -> Outcome | None:
        """One attempt. None = its reply has gone to the client. Raises ApiError."""
        ports, request = self._ports, self.request
        about = files.asked(self._method, self._path) if self._is_files else None
        coming = self._coming = Coming(ports, lease, self._clock.began, raw=about is not None and bool(about.part))
        verdict: Any = "unjudged"
        span: Span | None = None
        try:
            asking = self._asking(lease.route, about)
            asking.fresh = fresh
            if request.trace is not None:
                route = lease.route
                span = request.trace.attempt(route.upstream.name, route.protocol, route.model, asking.url)
                asking.headers = request.trace.told(asking.headers, span)
            self._failover.sends(lease.route)
            lease.goes()
            self._clock.asks(ports.now())
            try:
                coming.exchange = exchange = ports.send(asking, coming)
            except ValueError as why:
                raise BadRequest(f"a header or the query string cannot be sent on: {why}") from None
            ports.observer.sent(request.info(self._failover.attempts), b"")
            if self._intake.upload is not None:
                self._intake.upload.on_more = exchange.send_on
            await coming.head.wait()
            self._clock.came = ports.now()
            if coming.streams:
                self._start(lease.route, coming)
            await coming.over.wait()
            outcome = self._outcome(lease.route, coming)
            verdict = self._verdict(outcome)
            if outcome is None and coming.streams:
                self.writer.end()
            elif outcome is None:
                await self._whole(lease.route, coming, about)
            return outcome
        finally:
            if coming.exchange is not None:
                coming.exchange.cancel()
            if span is not None:
                span.ends(coming.status, "" if verdict == "answered" else verdict)
            lease.release(verdict, ports.now(), worked=200 <= coming.status < 300)

    def _own_key(self, route: Route) -> bool:
        """Whether the upstream is asked with the client's own key."""
        takes = route.upstream.settings.forward_client_key and self._ports.access.open
        return takes and bool(keys_of(self.request.headers))

    def _asking(self, route: Route, about: files.Asked | None) -> Request:
        """Raises ApiError."""
        ports, request, upstream = self._ports, self.request, route.upstream
        endpoint = about.endpoint if about is not None else request.task
        url = upstream.settings.url(endpoint, route.model, route.protocol)
        url = query_string.onward(url, request.query, upstream.settings.query)
        lines = upstream_request.header_lines(route, request.headers, True, ports.access.open, ports.hops)
        body: bytes | Body | None = None
        if self._method == "POST":
            body, lines = self._intake.onward(route.model, lines)
        minted = upstream.minted(route.key)
        if minted is not None and minted.aws is not None and not isinstance(body, bytes | None):
            message = f"upstream '{upstream.name}' wants signed requests, and a body that passes as it comes cannot be"
            raise BadRequest(f"{message} signed: give it an API key")
        lines, signing = signed(upstream.settings, minted, lines, body if isinstance(body, bytes) else None)
        return Request(self._method, url, lines, body, upstream.whole_timeouts, upstream.way, signing=signing)

    def _outcome(self, route: Route, coming: Coming) -> Outcome | None:
        """None = it was answered. Raises ApiError for what cannot be an answer, or once a part of it has gone out."""
        name, failure, status = route.upstream.name, coming.failure, coming.status
        if failure is not None:
            outcome = Outcome("failure", retry_policy.as_error(failure, name), failure)
            if self.streaming:
                raise outcome.error
            return outcome
        if status >= 400:
            return upstream_error.outcome(status, coming.body(), coming.headers, b"", self._ports.unix())
        if status >= 300:
            raise errors.BadReply(f"upstream '{name}' answered {status}, a redirect; is its base_url right?")
        if coming.cut:
            most = self._ports.gathered.reply_bytes >> 20
            raise errors.BadReply(f"upstream '{name}': its reply has more than {most} MB ([limits] reply_mb)")
        return None

    @staticmethod
    def _verdict(outcome: Outcome | None) -> str:
        if outcome is None:
            return "answered"
        if not outcome.is_fault:
            return "answered" if outcome.failure is None and outcome.error.status != 429 else "unjudged"
        return "unreached" if outcome.failure is not None and outcome.failure.kind in UNSENT else "faulted"

    # --------------------------------------------------------------------------------------------- the reply

    def _head(self, route: Route, coming: Coming) -> bytes:
        """Its header lines, less its type."""
        bounds = charges.left(self.request, self._ports)
        theirs = header_rules.back(coming.headers, True, route.upstream.settings.reply_headers, bounds)
        own = header_rules.of_reply(coming.headers, self.request.key, route.upstream.name, [])
        clock = self._clock
        timing = header_rules.of_timing(self._failover.attempts, clock.queue, clock.upstream, clock.overhead)
        return self._ports.masked(theirs) + own + timing + header_rules.lines(bounds)

    def _start(self, route: Route, coming: Coming) -> None:
        """A reply that goes to the client as it comes."""
        self._clock.given(False)
        kind = header_rules.EVENT_STREAM
        if "event-stream" not in coming.kind.lower():
            kind = header_rules.media(coming.kind)
            kind += header_rules.line("Content-Disposition", header_rules.find(coming.headers, "content-disposition"))
        self._status = coming.status
        self.streaming = True
        self.writer.start(coming.status, kind + self._head(route, coming))
        coming.goes_to(self.writer)

    async def _whole(self, route: Route, coming: Coming, about: files.Asked | None) -> None:
        """A reply that was gathered. Raises ApiError."""
        body = coming.body()
        if about is not None:
            files.note(self.request, about, self._ports, route, body)
            if about.method == "GET" and not about.id:
                body = await files.of_owner(self.request, self._ports, body)
        self._used = usage.billed(coming.used(body))
        self._status = coming.status
        self._clock.given(True)
        self.writer.whole(coming.status, header_rules.JSON_HEAD + self._head(route, coming), body)

    def _pass_error(self, outcome: Outcome) -> None:
        """The upstream's own error, such as it is."""
        coming, route, words = self._coming, self._route, self.request.dialect.errors
        assert coming is not None and route is not None
        self._error = outcome.error
        self._clock.given(True)
        head = self._head(route, coming)
        if not self._intake.read:
            self.writer.last()
        if not coming.cut:
            self._status = coming.status
            self.writer.whole(coming.status, header_rules.content_type(coming.kind) + head, coming.body())
            return
        self._status = words.status(outcome.error)
        said = self._ports.masked(words.body(outcome.error, self.request.key))
        self.writer.whole(self._status, header_rules.JSON_HEAD + head, said)

    def _fail(self, error: ApiError) -> None:
        """It ends here: refused, or broken off, so that the client sees that the reply is not complete."""
        if self.streaming:
            self._error = error
            self.writer.abort()
            self._aborted = True
        else:
            self._refuse(error)

    def _refuse(self, error: ApiError) -> None:
        words, key = self.request.dialect.errors, self.request.key
        self._error, self._status = error, words.status(error)
        upstream = self._route.upstream.name if self._route is not None and self._failover.attempts else ""
        head = header_rules.JSON_HEAD + header_rules.of_refusal(self._status, key, upstream, error.retry_after)
        head += header_rules.lines(charges.left(self.request, self._ports))
        if not self._intake.read:
            self.writer.last()
        self.writer.whole(self._status, head, self._ports.masked(words.body(error, key)))

    # ----------------------------------------------------------------------------------------- and after it

    def _over(self, left: bool = False) -> None:
        """Nothing of it is left but the record."""
        ports, request, clock, failover = self._ports, self.request, self._clock, self._failover
        ports.in_flight.ends(self)
        clock.done = ports.now()
        failover.over(self._error)
        if self._error is not None:
            self._error.__traceback__ = self._error.__context__ = self._error.__cause__ = None
        request.let_go()
        self._intake.close()
        coming, route = self._coming, self._route
        if coming is not None and self.streaming:
            self._used = usage.billed(coming.used(b""))
        quota = ports.quota_of(request.client)
        if quota is not None and self._used is not None:
            limiter.finish(quota.correct(self._used.prompt + self._used.output))
        exchange = coming.exchange if coming is not None else None
        ports.observer.finished(Finished(
            request.key, request.client, request.protocol, request.task, request.asked_model, self._status,
            self.streaming, left, self._aborted, self._error,
            scrub.logged(self._error, request.body) if self._error else "",
            route.upstream.name if route is not None else "", route.protocol if route is not None else "",
            route.model if route is not None else "", coming.headers if coming is not None else (),
            exchange.connection if exchange is not None else "", coming.ttfb_ms if coming is not None else 0.0,
            failover.attempts, 0, failover.tried, failover.passed_over, (), 0, request.size, self.writer.written,
            self._used, clock, request.session.name, request.session.agent, request.session.parent_agent,
            ports.address_of(request.address, request.headers) if ports.address_of is not None else request.address,
            request.headers.get("User-Agent", "")[:MAX_USER_AGENT], tags=request.tags,
            trace=request.trace,
        ), self.writer)  # fmt: skip
        self.writer.over()
        self._task = self._coming = None
