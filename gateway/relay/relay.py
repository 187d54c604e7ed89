"""The walk of one relayed request: its head, the model that it names, an upstream, the reply, the record.

Files, audio and images are no JSON, or too large to hold. A Relay is Tornado's delegate for such a request, and a task
that takes it through. intake.py has what the client sends, attempt.py what an upstream is asked, incoming.py what comes
back, and reply.py what the client gets. What an attempt takes, and what comes after a failed one, is decided as for
every request (gateway/flow/failover.py, lease.py); only the bodies pass through as they come. If the client leaves, the
task is cancelled, and with it whatever is on its way.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from gateway.flow import charges, resolving
from gateway.flow.client_request import ClientRequest
from gateway.flow.failover import Failover
from gateway.flow.info import MAX_USER_AGENT, Cancelled, Finished, Standing
from gateway.flow.states import State
from gateway.flow.timing import Clock
from gateway.http.auth import keys_of
from gateway.http.response_writer import ResponseWriter, Writer
from gateway.limits import limiter
from gateway.refusals import scrub
from gateway.relay import files
from gateway.relay.attempt import Attempt, leased
from gateway.relay.files import FileRequest
from gateway.relay.incoming import Coming
from gateway.relay.intake import Intake
from gateway.relay.reply import Reply
from gateway.routing import client_rules, request_facts
from gateway.routing.client_rules import ClientRules
from gateway.routing.router import Route
from gateway.runtime import Service
from gateway.stored import references
from translate import dialects
from translate.conversation import Usage
from translate.dialect import Dialect
from translate.endpoint import Endpoint
from translate.failures.errors import ApiError

log = logging.getLogger("gateway")


def asked(method: str, target: str, headers: HTTPHeaders) -> tuple[Dialect, Endpoint] | None:
    """Returns the endpoint of a path that is relayed; None for every other path."""
    path = target.partition("?")[0]
    if not path.startswith("/v1/") or method == "OPTIONS":
        return None
    name = path.removeprefix("/v1/")
    if name == "files" or name.startswith("files/"):
        name, dialect = "files", files.dialect_of(headers)
    else:
        dialect = dialects.of("chat")
    endpoint = dialect.endpoint(name)
    return (dialect, endpoint) if endpoint is not None and endpoint.relayed else None


class Relay(HTTPMessageDelegate):
    """One relayed request. writer, request: as of every request in flight."""

    def __init__(
        self, service: Service, conn: HTTP1Connection, dialect: Dialect, endpoint: Endpoint, model: str = ""
    ) -> None:
        """model: the model's name, if the address has it; then the name in the body does not count."""
        self._ports = ports = service.ports
        self._service = service
        key = ports.next_key()
        self._clock = Clock(ports.now)
        self.writer: Writer = ResponseWriter(conn)
        self.request = ClientRequest(
            dialect, endpoint, key, ports.body_memory, ports.max_body_bytes, shape=ports.shape, model=model
        )
        self.request.address = str(getattr(conn.context, "remote_ip", ""))
        self._failover = Failover(ports, self.request)
        self._path = self._method = ""
        self._asked: FileRequest | None = None  # for a request about files
        most = service.settings.limits.upload_mb << 20
        self._intake = Intake(ports, self.request, most, self._end)
        self._reply = Reply(ports, self.request, self._clock, self._failover, self.writer)
        self._task: asyncio.Task[None] | None = None
        self._ends: ApiError | None = None  # why the task is cancelled; None = the client has left
        self._route: Route | None = None
        self._coming: Coming | None = None
        self._aborted = False

    def __repr__(self) -> str:
        return f"<Relay {self._method} {self._path} {self.request!r}>"

    @property
    def streaming(self) -> bool:
        """Whether the reply has begun."""
        return self._reply.streaming

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
            self._refuse(error)
            self._over()
            return
        self.writer.watch(self._client_left)
        self._task = asyncio.ensure_future(self._walk())
        self._task.add_done_callback(self._walked)

    def _begins(self) -> None:
        """Takes the head. Raises ApiError."""
        is_files = self.request.task == "files"
        if is_files:
            self._asked = files.asked(self._method, self._path)
            if self._asked is None:
                raise ApiError("not_found", f"{self._path[:200]} is not served here")
        elif self._method != "POST":
            raise ApiError("invalid_request", f"{self._method} {self._path}: only POST is served here", 405)
        if self._method == "POST":
            self._intake.begins(self._path, names_model=not is_files)

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
        """Ends the request with this error, whatever it is doing."""
        if self._ends is None and self._task is not None and not self._task.done():
            self._ends = error
            self._task.cancel()

    def shut_down(self) -> None:
        self.stop(ApiError("overloaded", "the proxy is shutting down", 503, retry_after=1))

    def stop(self, why: ApiError) -> None:
        """Ends the request by the proxy's own will. A client that is slow to take the end of its reply is cut off only
        if an operator has cancelled the request."""
        if self._task is not None and not self._task.done():
            self._aborted = True
            self._end(why)
        elif isinstance(why, Cancelled) and self.writer.cut_off():
            self._reply.error = why

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
        if isinstance(error, ApiError):  # its frames keep the request alive
            error.__traceback__ = error.__context__ = error.__cause__ = None
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
        """Returns where the request may go: at least one route. Raises ApiError."""
        request, ports = self.request, self._ports
        if ports.tags is not None:
            request.tags = ports.tags(request)  # of its headers, in case it is refused before its body is read
        if ports.budgets is not None:
            spent = ports.budgets.ask(request.client, ports.unix())
            if spent is not None and (why := await spent) is not None:
                raise why
            ports.budgets.check(request.client, ports.unix())
        await charges.question(request.client, ports)
        if self._asked is not None:
            self._clock.read = ports.now()
            return await files.routes(request, self._asked, ports)
        await self._intake.until_the_model()
        if ports.tags is not None:
            request.tags = ports.tags(request)
        if ports.response_store.shared and references.may_be_in(request.body):
            for lacking in resolving.names_its_own(request, ports):
                await lacking
        self._clock.read = ports.now()
        found = ports.router.routes(request.asked_model, request.protocol, self._facts)
        if ports.rules_of is not None and (rules := ports.rules_of(request.client)) is not None:
            found = await self._permitted(rules, found)
        found = resolving.that_have_it(found, request, ports)
        if ports.budgets is not None and request.client in ports.budgets.bound:
            charges.hold(request, found[0], ports, ports.budgets)
        if len(found) > 1 and references.are_plainly_in(request.body):
            for lacking in resolving.finds_keeper(request, ports):
                await lacking
        return client_rules.of_one_provider(found, request.headers, is_open=ports.access.open)

    async def _permitted(self, rules: ClientRules, found: list[Route]) -> list[Route]:
        """Returns the routes that the client's rules permit. Raises ApiError where there is none."""
        if not self.request.body:  # a form, which names one model
            return rules.permitted(found, self.request.asked_model)
        steps = resolving.permitted(rules, found, self.request, self._ports)
        while True:
            try:
                await next(steps)
            except StopIteration as end:
                routes: list[Route] = end.value
                return routes

    def _facts(self) -> request_facts.Facts:
        return request_facts.facts(self.request.headers, {}, 0, self.request.asked_model)

    async def _ask(self, routes: list[Route]) -> None:
        """Makes attempts until one is answered. Raises ApiError."""
        failover = self._failover
        failover.begin(routes)
        fresh = False  # whether the next attempt needs a new connection
        while True:
            try:
                lease = await leased(failover, self._clock, self._ports)
            except ApiError as refusal:
                failover.skip(refusal)
                continue
            self._route = lease.route
            attempt = Attempt(self._ports, self.request, self._clock, self._intake, self._reply, lease, self._asked)
            self._coming = attempt.coming
            outcome = await attempt.run(self._method, failover, fresh=fresh)
            fresh = False
            if outcome is None:
                return
            self._clock.lost()
            if self._asked is None or outcome.error.status != 404:  # that a file is missing is nobody's fault
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
            self._reply.pass_error(lease.route, attempt.coming, outcome)
            return

    def _own_key(self, route: Route) -> bool:
        """Returns whether the upstream is asked with the client's own key."""
        takes = route.upstream.settings.forward_client_key and self._ports.access.open
        return takes and bool(keys_of(self.request.headers))

    # --------------------------------------------------------------------------------------- and its end

    def _fail(self, error: ApiError) -> None:
        """Ends the request here: refused, or broken off."""
        if self.streaming:
            self._reply.breaks_off(error)
            self._aborted = True
        else:
            self._refuse(error)

    def _refuse(self, error: ApiError) -> None:
        self._reply.refuse(error, self._route.upstream.name if self._route and self._failover.attempts else "")

    def _reckoned(self, *, left: bool) -> Usage | None:
        """Estimates the usage of a reply whose upstream has not told it, or not yet. None = nothing is known."""
        request, coming, written = self.request, self._coming, self.writer.written
        if coming is None or not 200 <= self._reply.status < 300 or request.task == "files":
            return None
        if coming.has_events and (left or self._aborted):
            return charges.of_events(request.size, written)
        if charges.has_budget(request.client, self._ports):
            return charges.of_untold(request, written)
        return None

    def _over(self, left: bool = False) -> None:
        """Leaves nothing of the request but its record."""
        ports, request, clock, failover, reply = self._ports, self.request, self._clock, self._failover, self._reply
        ports.in_flight.ends(self)
        clock.done = ports.now()
        if ports.budgets is not None and ports.budgets.bound:
            ports.budgets.let_go(request.client, request.key, ports.unix())
        failover.over(reply.error)
        reply.forget()
        request.let_go()
        self._intake.close()
        coming, route = self._coming, self._route
        told = reply.used(coming)
        used = told if told is not None and (told.prompt or told.output) else self._reckoned(left=left) or told
        quota = ports.quota_of(request.client)
        if quota is not None and used is not None:
            limiter.finish(quota.correct(used.prompt + used.output))
        exchange = coming.exchange if coming is not None else None
        ports.observer.finished(Finished(
            request.key, request.client, request.protocol, request.task, request.asked_model, reply.status,
            reply.streaming, left, self._aborted, reply.error,
            scrub.logged(reply.error, request.body) if reply.error else "",
            route.upstream.name if route is not None else "", route.protocol if route is not None else "",
            route.model if route is not None else "", coming.headers if coming is not None else (),
            exchange.connection if exchange is not None else "", coming.ttfb_ms if coming is not None else 0.0,
            failover.attempts, 0, failover.tried, failover.passed_over, (), 0, request.size, self.writer.written,
            used, clock, request.session.name, request.session.agent, request.session.parent_agent,
            ports.address_of(request.address, request.headers) if ports.address_of is not None else request.address,
            request.headers.get("User-Agent", "")[:MAX_USER_AGENT], tags=request.tags,
            trace=request.trace, is_reckoned=used is not told,
        ), self.writer)  # fmt: skip
        self.writer.over()
        self._task = self._coming = None
