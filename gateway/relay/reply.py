"""What the client of a relayed request gets: a reply as it comes, a gathered reply, or an error."""

from __future__ import annotations

from gateway.flow import charges, outcomes
from gateway.flow.client_request import ClientRequest
from gateway.flow.failover import Failover
from gateway.flow.ports import Ports
from gateway.flow.timing import Clock
from gateway.http import header_rules
from gateway.http.response_writer import Writer
from gateway.limits.retry_policy import Outcome
from gateway.relay.incoming import Coming
from gateway.routing.router import Route
from translate.conversation import Usage
from translate.failures.errors import ApiError


class Reply:
    """The reply. status, error: what the client got. streaming: the reply has begun, and more of it comes."""

    def __init__(self, ports: Ports, request: ClientRequest, clock: Clock, failover: Failover, writer: Writer) -> None:
        self.status = 0
        self.error: ApiError | None = None
        self.streaming = False
        self._ports = ports
        self._request = request
        self._clock = clock
        self._failover = failover
        self._writer = writer
        self._used: Usage | None = None

    def __repr__(self) -> str:
        return f"<Reply {self.status}{' streaming' * self.streaming}>"

    def used(self, coming: Coming | None) -> Usage | None:
        """Returns the usage that counts in the end."""
        if coming is not None and self.streaming:
            return coming.used(b"")
        return self._used

    # ---------------------------------------------------------------------------------------- an upstream's

    def _head(self, route: Route, coming: Coming) -> bytes:
        """Returns the header lines of the reply, except for its type."""
        bounds = charges.left(self._request, self._ports)
        theirs = header_rules.back(
            coming.headers, same=True, let_through=route.upstream.settings.reply_headers, own=bounds
        )
        own = header_rules.of_reply(coming.headers, self._request.key, route.upstream.name, [])
        clock = self._clock
        timing = header_rules.of_timing(self._failover.attempts, clock.queue, clock.upstream, clock.overhead)
        return self._ports.masked(theirs) + own + timing + header_rules.lines(bounds)

    def start(self, route: Route, coming: Coming) -> None:
        """Begins a reply that goes to the client as it comes."""
        self._clock.given(whole=False)
        kind = header_rules.EVENT_STREAM
        if "event-stream" not in coming.kind.lower():
            kind = header_rules.media(coming.kind)
            kind += header_rules.line("Content-Disposition", header_rules.find(coming.headers, "content-disposition"))
        self.status = coming.status
        self.streaming = True
        self._writer.start(coming.status, kind + self._head(route, coming))
        coming.goes_to(self._writer)

    def end(self) -> None:
        """Ends it: all of it has come."""
        self._writer.end()

    def whole(self, route: Route, coming: Coming, body: bytes) -> None:
        """Writes a reply that was gathered."""
        self._used = coming.used(body)
        self.status = coming.status
        self._clock.given(whole=True)
        self._writer.whole(coming.status, header_rules.JSON_HEAD + self._head(route, coming), body)

    def pass_error(self, route: Route, coming: Coming, outcome: Outcome) -> None:
        """Writes the upstream's own error, unchanged if the client can read it."""
        words = self._request.dialect.errors
        self.error = outcome.error
        self._clock.given(whole=True)
        head = self._head(route, coming)
        is_told = coming.status >= 400  # else an error under a good status
        self.status = coming.status if is_told and not coming.cut else words.status(outcome.error)
        if not coming.cut and outcomes.is_readable(body := coming.body()):
            self._writer.whole(self.status, header_rules.content_type(coming.kind) + head, body)
            return
        said = self._ports.masked(words.body(outcome.error, self._request.key))
        self._writer.whole(self.status, header_rules.JSON_HEAD + head, said)

    # ------------------------------------------------------------------------------------------- the proxy's

    def refuse(self, error: ApiError, upstream: str) -> None:
        """Writes an error of the proxy. upstream: the one that was asked, "" = none."""
        words, key = self._request.dialect.errors, self._request.key
        self.error, self.status = error, words.status(error)
        head = header_rules.JSON_HEAD + header_rules.of_refusal(self.status, key, upstream, error.retry_after)
        head += header_rules.lines(charges.left(self._request, self._ports))
        self._writer.whole(self.status, head, self._ports.masked(words.body(error, key)))

    def breaks_off(self, error: ApiError) -> None:
        """Closes the connection, so that the client sees that the reply is not complete."""
        self.error = error
        self._writer.abort()

    def forget(self) -> None:
        """Drops the frames of an error, which keep the request alive."""
        if self.error is not None:
            self.error.__traceback__ = self.error.__context__ = self.error.__cause__ = None
