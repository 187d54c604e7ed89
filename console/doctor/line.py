"""Exchanges whole bodies with one upstream, without retry policy, translation or judgement."""

from __future__ import annotations

import time

from gateway.credentials.signing import signed
from gateway.routing.upstreams import LiveUpstream
from translate.failures.errors import ApiError
from translate.target import Protocol
from upstream.client import UpstreamClient
from upstream.failure import Failure
from upstream.request import Request, Timeouts
from upstream.small_reply import SmallReply, SmallReplySink

MAX_REPLY = 8 << 20


class Heard(SmallReply):
    """A whole reply as bytes. seconds: from the send to the end."""

    seconds: float = 0.0


class Line:
    """The requests to one upstream. sent: how many there were."""

    def __init__(self, client: UpstreamClient, upstream: LiveUpstream) -> None:
        self.upstream = upstream
        self.sent = 0
        self._client = client

    def __repr__(self) -> str:
        return f"<Line to {self.upstream.name}, {self.sent} requests>"

    async def exchange(
        self, protocol: Protocol, url: str, body: bytes | None, timeouts: Timeouts, key: int = 0
    ) -> Heard:
        """Sends a POST, or a GET if body is None, and returns the reply. It never raises: a request that cannot be sent
        is a failure of the reply. If an idle connection was lost, the request is sent again. key: the number of the
        upstream's key, from 0 on."""
        heard = await self._once(protocol, url, body, timeouts, key, fresh=False)
        if heard.failure is not None and heard.failure.replayable and heard.failure.kind == "closed":
            heard = await self._once(protocol, url, body, timeouts, key, fresh=True)
        return heard

    async def _once(
        self, protocol: Protocol, url: str, body: bytes | None, timeouts: Timeouts, key: int, *, fresh: bool
    ) -> Heard:
        try:
            await self.upstream.ready(key)
        except ApiError as why:
            return Heard(failure=Failure("no_key", why.message))
        lines = [f"{name}: {value}" for name, value in self.upstream.headers_with(key)[protocol].items()]
        method = "GET" if body is None else "POST"
        sink = SmallReplySink(MAX_REPLY)
        began = time.monotonic()
        self.sent += 1
        try:
            lines, signing = signed(self.upstream.settings, self.upstream.minted(key), lines, body)
            request = Request(method, url, lines, body, timeouts, self.upstream.way, fresh, signing)
            running = self._client.send(request, sink)
        except ValueError as why:
            return Heard(failure=Failure("bad_url", str(why)))
        try:
            reply = await sink.done
        finally:
            running.cancel()
        return Heard(reply.status, reply.headers, reply.body, reply.failure, time.monotonic() - began)
