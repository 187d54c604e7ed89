"""How a request ends: answered, refused, broken off, or left by its client.

Each way goes through `_over`, once: what was held for the request is given back, and when the client has its last
byte (or is gone) the service makes the record of it. The walk itself is in relay.py; here is only its last step, so
that every way out can be seen at once.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate

from gateway.flow import upstream_request
from gateway.flow.passthrough import Verbatim
from gateway.flow.reattach import JoinableAnswer
from gateway.flow.timing import Clock, now
from gateway.http import body_decoding
from gateway.http import header_rules as headers
from gateway.http.response_writer import Answer
from gateway.limits.retry_policy import Full
from gateway.observe import scrub
from gateway.stored.previous_response import Recall
from gateway.stored.threads import Thread
from translate import errors
from translate.dialect import Dialect
from translate.errors import ApiError
from translate.pair import Crossing
from translate.target import Protocol

if TYPE_CHECKING:
    from gateway.flow.attempt import Try
    from gateway.runtime import Service

log = logging.getLogger("gateway")


class Ending(HTTPMessageDelegate):
    """The part of a Relay that ends it. state "done" means that all is said."""

    __slots__ = ()

    aborted: bool
    answer: Answer
    body: bytes
    clock: Clock
    conn: HTTP1Connection
    data: dict[str, Any] | None
    headers: HTTPHeaders
    refusal: ApiError | None
    size: int
    error: ApiError | None
    key: str
    lead: Try | None
    left: bool
    parts: list[bytes]
    protocol: Protocol
    dialect: Dialect
    recall: Recall | Thread | None
    said: str  # the error's words, for the log
    rivals: list[Try]
    service: Service
    state: str
    status: int
    task: str
    timer: asyncio.TimerHandle | None
    hedge_timer: asyncio.TimerHandle | None

    @property
    def reply(self) -> Verbatim | Crossing | None:
        """What became of the upstream's reply, so far."""
        return self.lead.reply if self.lead is not None else None

    def broke(self, error: Exception) -> None:
        """Whatever went wrong, the request ends here: refused, its stream ended with an error, or broken off."""
        self.cancel_tries()
        if not isinstance(error, ApiError):
            log.error("request %s failed inside the proxy: %r", self.key, self, exc_info=error)
            error = ApiError("api", f"internal error of the proxy, see its log (request {self.key})")
        try:
            self.refuse(error)
        except Exception:
            log.exception("request %s cannot be ended in words: %r", self.key, self)
            self.state = "done"
            self.aborted = True
            self.answer.abort()
            self._over(error)

    def refuse(self, error: ApiError) -> None:
        """An error of the proxy's own (or of a stream that never began), in the client's protocol."""
        if self.state == "done":
            return
        if self.state == "streaming":
            assert self.reply is not None
            self.answer.write(self.service.masked(self.reply.fail(error)))
            self.stream_done(error)
            return
        status = self.dialect.errors.status(error)
        asked = self.lead is not None and self.tries and not isinstance(error, Full)
        upstream = self.lead.route.peer.name if self.lead is not None and asked else ""
        own = headers.of_refusal(status, self.key, upstream, error.retry_after) + body_decoding.told(error)
        head = headers.JSON_HEAD + own + self.timing_head()
        body = self.service.masked(self.dialect.errors.body(error, f"req_{self.key}"))
        self.tell(status, head, body, error)

    def tell(self, status: int, head: bytes, body: bytes, error: ApiError | None = None) -> None:
        self.status = status
        self.state = "done"
        self.clock.given(True)
        self.answer.whole(status, head, body)
        if self.task:
            self.service.counting.answered(self, status, head, body, error)  # type: ignore[arg-type]
        self._over(error)

    def timing_head(self) -> bytes:
        """The header lines that tell what the reply has cost so far; here it begins."""
        self.clock.given(self.state != "streaming")
        return headers.of_timing(self.tries, self.clock.queue, self.clock.upstream, self.clock.overhead)

    def stream_done(self, error: ApiError | None = None) -> None:
        """The client has its terminal event. The exchange, if any, goes on to its last byte, so that the
        connection can be used again; it has no one to tell any more."""
        self.state = "done"
        self.answer.end()
        if self.lead is not None and self.lead.exchange is not None:
            self.lead.exchange.resume()
        self._over(error or (self.reply.fault if self.reply else None))

    def look(self) -> None:
        """Once a second: is the client still there, and does its request come in?"""
        if self.state == "reading":  # Tornado would make a timer for each request; this costs none
            if now() - self.clock.began > self.service.settings.server.body_timeout:
                self.clock.read = now()
                self.answer.last()
                self.refuse(self.refusal or self._too_slow())
        elif not self.left and self.answer.left:
            self._client_left()
            self.answer.abort()

    def _too_slow(self) -> ApiError:
        length = self.headers.get("Content-Length", "")
        of = f" of {length}" if length.isdecimal() else ""
        return upstream_request.too_slow(self.service.settings.server.body_timeout, f": {self.size}{of} bytes came")

    def _client_left(self) -> None:
        if self.state == "done":
            return
        self.left = True
        rejoin = self.service.rejoin
        if rejoin is not None and self.state != "reading" and rejoin.keep(self):  # type: ignore[arg-type]
            return
        self.orphaned()

    def orphaned(self) -> None:
        """The client has left, and none comes in its place."""
        if self.state == "done":
            return
        self.state = "done"
        self.cancel_tries()
        self._over(None)

    def adopt(self, newcomer: Ending) -> None:
        """Another request asks for the same, after its client had lost us: it gets what is here, and what comes."""
        newcomer.given_away()
        self.left = False
        self.conn = newcomer.conn
        self.conn.set_close_callback(self._client_left)
        assert isinstance(self.answer, JoinableAnswer)
        self.answer.more = newcomer.answer.more
        self.answer.attach(self.conn)

    def given_away(self) -> None:
        """Its connection belongs to an earlier request now."""
        self.state = "done"
        self._let_go()
        self.service.gone(self)  # type: ignore[arg-type]

    def cancel_tries(self, but: Try | None = None) -> None:
        """All that is on its way or planned; `but` has won."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.hedge_timer is not None:
            self.hedge_timer.cancel()
            self.hedge_timer = None
        for rival in self.rivals:
            if rival is not but:
                if but is not None:
                    rival.outrun()
                rival.cancel()
        self.rivals = [but] if but is not None else []

    def abandon(self, error: ApiError) -> None:
        """The proxy shuts down: ends the stream with a legal error event."""
        self.aborted = True
        self.broke(error)

    def _over(self, error: ApiError | None) -> None:
        """All is said. What a slow reader has not got yet still counts as in flight."""
        self.error = error
        self.clock.over()
        if error is not None:
            body = getattr(self, "body", b"")  # none of a request that was refused at its head
            reply = self.reply
            theirs = reply is not None and error is reply.fault and not isinstance(error, errors.BadReply)
            self.said = scrub.logged(error, body, theirs)
            if self.lead is None or not self.lead.sent_at:
                self.service.refused(self, body)  # type: ignore[arg-type]
        self._let_go()
        if self.recall is not None:
            self.recall.over()
        self.answer.when_sent(self._sent)

    def _sent(self, all_of_it: bool) -> None:
        self.left = self.left or not all_of_it
        self.service.over(self, self.error)

    def _let_go(self) -> None:
        """The request's body is not needed any more; a stream may go on for minutes."""
        self.body = b""
        self.data = None
        self.parts = []
        self.service.let_go(self)
