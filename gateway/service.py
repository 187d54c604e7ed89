"""What lives as long as the process: routes, access, the libcurl client, and the requests in flight.

`Service` is made of settings and given to every Relay. It also holds the two slow clocks: pings for streams
that have fallen silent, and the drain at shutdown.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from typing import TYPE_CHECKING

from gateway.access import Access
from gateway.listing import Listing
from gateway.routes import Router
from operate.logs import Journal
from operate.settings import Settings, Upstream
from translate.errors import ApiError
from upstream.client import Pool, UpstreamClient

if TYPE_CHECKING:
    from gateway.relay import Relay

log = logging.getLogger("proxy")


class Service:
    """start() on a running loop; stop() ends what is in flight. `relays`: every request not yet answered."""

    def __init__(self, settings: Settings, journal: Journal, ready: dict[str, Upstream] | None = None) -> None:
        """ready: upstreams whose address is only known now (the demo), by name."""
        self.settings = settings
        self.journal = journal
        self.access = Access(settings)
        self.router = Router(settings, ready)
        pool = settings.pool
        hosts = len({peer.base_url for peer in self.router.peers.values()})
        self.client = UpstreamClient(
            force_instance=True,
            pool=Pool(
                max_connections=pool.max_connections,
                max_connections_per_upstream=pool.max_connections_per_upstream,
                keepalive_connections=pool.keepalive_connections * min(pool.pools, max(1, hosts)),
                keepalive_expiry=pool.keepalive_expiry,
                http2=pool.http2,
                proxy=pool.proxy,
            ),
        )
        self.listing = Listing(self.router, self.client)
        self.max_body_bytes = settings.server.max_body_bytes
        self.relays: set[Relay] = set()
        self._key_start = secrets.token_hex(5)
        self._keys = 0
        self._tick_s = min(1.0, settings.server.ping_seconds / 2)
        self._idle: asyncio.Event | None = None  # set when the last request is answered, once we are stopping
        self._ticker: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Service {self.router!r} {len(self.relays)} in flight>"

    def next_key(self) -> str:
        """Unique over processes and restarts; letters and digits."""
        self._keys += 1
        return f"{self._key_start}{self._keys:x}"

    async def start(self) -> None:
        self._tick()
        if self.settings.pool.prewarm:
            peers = self.router.peers.values()
            await asyncio.gather(
                *(self.client.prewarm(p.base_url, p.whole_timeouts, p.settings.verify_tls) for p in peers)
            )

    async def stop(self, within_s: float) -> None:
        """Lets requests finish for `within_s` seconds, then ends what is left with an error of its protocol."""
        if self.relays:
            self._idle = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), within_s)
        for relay in list(self.relays):
            relay.abandon(ApiError("overloaded", "the proxy is shutting down", 503, retry_after=1))
        if self._ticker is not None:
            self._ticker.cancel()
        self.client.close()

    def _tick(self) -> None:
        """Once a second: streams that were silent for ping_seconds get a sign of life."""
        patience = self.settings.server.ping_seconds
        for relay in list(self.relays):
            if relay.state == "streaming":
                relay.quiet += self._tick_s
                if relay.quiet >= patience:
                    relay.ping()
        self._ticker = asyncio.get_running_loop().call_later(self._tick_s, self._tick)

    def over(self, relay: Relay, error: ApiError | None) -> None:
        """The request is answered, or its client has left."""
        self.relays.discard(relay)
        if self._idle is not None and not self.relays:
            self._idle.set()
        self._record(relay, error)

    # ------------------------------------------------------------------------------------------- records

    def log_request_body(self, relay: Relay, body: bytes) -> None:
        if self.journal.request_bodies:
            self.journal.body("request", relay.key, body)

    def _record(self, relay: Relay, error: ApiError | None) -> None:
        """One record per request, after the client has its last byte."""
        journal = self.journal
        if not journal.performance and (error is None or not journal.errors):
            return
        route = relay.route
        record = {
            "request_id": relay.key,
            "client": relay.client,
            "protocol": relay.protocol,
            "model": relay.asked_model,
            "upstream": route.peer.name if route else "",
            "upstream_protocol": route.protocol if route else "",
            "upstream_model": route.model if route else "",
            "stream": relay.streamed,
            "attempts": relay.tries,
            "status": relay.status,
            "ttfb_ms": round(relay.ttfb_ms, 2),
            "total_ms": round((time.perf_counter() - relay.started_at) * 1e3, 2),
            "bytes_out": relay.answer.written,
            "usage": relay.usage(),
            "dropped": relay.dropped,
            "client_left": relay.left,
        }
        if error is not None:
            journal.failed(record, error.kind, error.message)
        else:
            journal.finished(record)
