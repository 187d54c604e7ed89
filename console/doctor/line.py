"""Bytes to one upstream and back, whole: no retry policy, no translation, no judgement."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from gateway.routing.upstreams import Peer
from translate.target import Protocol
from upstream.client import UpstreamClient
from upstream.failure import Failure
from upstream.request import Request, Timeouts

MAX_REPLY = 8 << 20


@dataclass(slots=True)
class Heard:
    """A whole exchange: bytes, whatever they say. status: 0 = none came."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    failure: Failure | None = None
    seconds: float = 0.0


class Line:
    """exchange() never raises: what cannot be sent is a failure too. sent: how many requests."""

    def __init__(self, client: UpstreamClient, peer: Peer) -> None:
        self.peer = peer
        self.sent = 0
        self._client = client

    def __repr__(self) -> str:
        return f"<Line to {self.peer.name}, {self.sent} requests>"

    async def exchange(
        self, protocol: Protocol, url: str, body: bytes | None, timeouts: Timeouts, key: int = 0
    ) -> Heard:
        """POST, or GET without a body. A kept-alive connection that had died is no finding: it is sent again. key: the
        number of the upstream's key, from 0 on."""
        heard = await self._once(protocol, url, body, timeouts, key, fresh=False)
        if heard.failure is not None and heard.failure.replayable and heard.failure.kind == "closed":
            heard = await self._once(protocol, url, body, timeouts, key, fresh=True)
        return heard

    async def _once(
        self, protocol: Protocol, url: str, body: bytes | None, timeouts: Timeouts, key: int, *, fresh: bool
    ) -> Heard:
        lines = [f"{name}: {value}" for name, value in self.peer.headers[key][protocol].items()]
        method = "GET" if body is None else "POST"
        gathered = _Gathered()
        began = time.monotonic()
        self.sent += 1
        try:
            request = Request(method, url, lines, body, timeouts, self.peer.way, fresh)
            running = self._client.send(request, gathered)
        except ValueError as why:
            return Heard(failure=Failure("bad_url", str(why)))
        try:
            heard = await gathered.done
        finally:
            running.cancel()
        heard.seconds = time.monotonic() - began
        return heard


class _Gathered:
    """A sink; what is over the bound is left out, and the end cannot be read then."""

    def __init__(self) -> None:
        self.done: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()
        self._heard = Heard()
        self._parts: list[bytes] = []
        self._size = 0

    def on_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self._heard.status, self._heard.headers = status, headers

    def on_data(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= MAX_REPLY:
            self._parts.append(chunk)

    def on_end(self, failure: Failure | None) -> None:
        self._heard.body, self._heard.failure = b"".join(self._parts), failure
        if not self.done.done():
            self.done.set_result(self._heard)
