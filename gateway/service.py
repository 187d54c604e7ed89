"""What lives as long as the process: routes, access, the libcurl client, and the requests in flight.

`Service` is made of settings and given to every Relay. It also holds the two slow clocks: pings for streams
that have fallen silent, and the drain at shutdown; and it bounds the memory that request bodies take together.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import fnmatch
import logging
import random
import re
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tornado.http1connection import HTTP1Connection

from gateway import breaker
from gateway.access import Access
from gateway.admission import CHEAP_PLACES, Admission, Limits
from gateway.answer import Answer
from gateway.attempt import Policy
from gateway.counting import Counting
from gateway.kept import KeptAnswer
from gateway.lessons import Lessons
from gateway.listing import Listing
from gateway.memory import Memory
from gateway.peers import Peer
from gateway.places import Places
from gateway.quota import Quota, used_tokens
from gateway.rejoin import Rejoin
from gateway.routes import Router
from operate.logs import MASK, Journal, worth_masking
from operate.settings import Settings, Upstream
from translate.errors import ApiError
from upstream.client import Pool, UpstreamClient

if TYPE_CHECKING:
    from gateway.relay import Relay
    from gateway.session import Session

log = logging.getLogger("proxy")

BODIES_AT_ONCE = 16  # times the largest body: what all bodies in flight may take together
MAX_COUNTED = 500  # names of dropped fields: clients make them up
FLUSH_S = 1.0  # at shutdown, for the last words to reach clients that read slowly


class Service:
    """start() on a running loop; stop() ends what is in flight. `relays`: every request whose client has not got
    all of its answer. stage: "serving" -> "draining" (answers end their connections) -> "over"."""

    def __init__(self, settings: Settings, journal: Journal, ready: dict[str, Upstream] | None = None) -> None:
        """ready: upstreams whose address is only known now (the demo), by name."""
        self.settings = settings
        self.journal = journal
        self.access = Access(settings)
        self.retry = _retry_policy(settings)
        self.places = Places(_breaker_limits(settings))
        self.router = Router(settings, ready, self.places)
        pool = settings.pool
        hosts = len({peer.base_url for peer in self.router.peers.values()})
        self.client = UpstreamClient(
            force_instance=True,
            pool=Pool(
                max_connections=pool.max_connections + CHEAP_PLACES,
                max_connections_per_upstream=pool.per_upstream + CHEAP_PLACES,
                keepalive_connections=pool.keepalive_connections * min(pool.pools, max(1, hosts)),
                keepalive_expiry=pool.keepalive_expiry,
                http2=pool.http2,
                proxy=pool.proxy,
            ),
        )
        self.listing = Listing(self.router, self.client)
        self.counting = Counting()
        queue = settings.admission
        limits = Limits(queue.max_concurrent or pool.max_connections, queue.queue, queue.queue_seconds)
        self.admission = Admission(limits, time.monotonic)
        self.quotas = _client_quotas(settings)
        self.random = random.Random()
        self._hedged = [re.compile(fnmatch.translate(glob)) for glob in settings.retry.hedge]
        rejoin = settings.retry
        self.rejoin = Rejoin(rejoin.rejoin_seconds, rejoin.rejoin_mb << 20) if rejoin.rejoin_seconds else None
        self.max_body_bytes = settings.server.max_body_bytes
        self.relays: set[Relay] = set()
        self.sessions: set[Session] = set()  # websockets
        self.askings: set[asyncio.Task[Any]] = set()  # about what upstreams keep
        kept = settings.responses
        self.memory = Memory(kept.store_entries, kept.store_mb << 20, kept.store_seconds)
        self.websockets = settings.server.websockets and kept.store_entries > 0  # a session is nothing without memory
        self.lessons = Lessons()
        self.learns, self.strict = settings.translate.learn, settings.translate.strict
        self.dropped: collections.Counter[str] = collections.Counter()  # fields that did not cross -> requests
        self.stage = "serving"
        self.held_bytes = 0  # of request bodies that may still be sent upstream
        self._secrets = [secret.encode() for secret in worth_masking(settings.secrets())]
        self.answer: Callable[[HTTP1Connection], Answer] = (
            self.rejoin.answer if self.rejoin else KeptAnswer if journal.response_bodies else Answer
        )
        self._key_start = secrets.token_hex(5)
        self._keys = 0
        self._tick_s = min(1.0, settings.server.ping_seconds / 2)
        self._idle: asyncio.Event | None = None  # set when the last request is answered, once we are stopping
        self._ticker: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Service {self.stage} {self.router!r} {len(self.relays)} in flight, {self.held_bytes} bytes held>"

    def next_key(self) -> str:
        """Unique over processes and restarts; letters and digits."""
        self._keys += 1
        return f"{self._key_start}{self._keys:x}"

    async def start(self) -> None:
        self._tick()
        if self.settings.pool.prewarm:
            await asyncio.gather(*map(self._prewarm, self.router.peers.values()))

    async def _prewarm(self, peer: Peer) -> None:
        """As long as a connection may take, and no longer: an upstream that is mute must not hold up the start."""
        patience = dataclasses.replace(peer.whole_timeouts, total=peer.whole_timeouts.connect)
        await self.client.prewarm(peer.base_url, patience, peer.settings.verify_tls)

    async def stop(self, within_s: float) -> None:
        """Lets requests finish for `within_s` seconds, then ends what is left with an error of its protocol."""
        self.stage = "draining"
        for relay in self.relays:
            relay.answer.last()
        for session in list(self.sessions):
            session.drain()
        await self._quiet(within_s)
        self.stage = "over"
        for relay in list(self.relays):
            relay.abandon(_closing())
        await self._quiet(FLUSH_S)
        for session in list(self.sessions):
            session.hang_up()
        if self._ticker is not None:
            self._ticker.cancel()
        self.client.close()
        if self.askings:  # they have a last word to say
            await asyncio.wait(self.askings, timeout=FLUSH_S)

    async def _quiet(self, within_s: float) -> None:
        """Until no request is in flight."""
        if self.relays:
            self._idle = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), within_s)

    def admit(self, relay: Relay) -> None:
        """A request has come. Raises ApiError (503) once we are shutting down."""
        if self.stage == "serving":
            return
        relay.answer.last()
        if self.stage == "over":
            raise _closing()

    def hedges(self, model: str) -> bool:
        """Whether a second try is made for this name when the first is late."""
        return bool(self._hedged) and any(glob.match(model) for glob in self._hedged)

    def charge(self, relay: Relay) -> None:
        """The request counts against its client's quota. Raises ApiError (429)."""
        quota = self.quotas.get(relay.client)
        if quota is None or relay.task == "count":
            return
        if wait := quota.take(relay.size_in_tokens(), time.monotonic()):
            message = (
                f"client '{relay.client}' has used up its requests_per_minute or tokens_per_minute ([client "
                f"{relay.client}]); the next request may come in {wait:.0f} s"
            )
            raise ApiError("rate_limit", message, 429, retry_after=wait)

    def _correct(self, relay: Relay) -> None:
        """What the request really took, for quotas that count tokens."""
        quotas = [self.quotas.get(relay.client), relay.route.peer.quota if relay.route else None]
        counting = [quota for quota in quotas if quota is not None and quota.counts_tokens]
        if counting and relay.status == 200 and (used := relay.usage()):
            more = used_tokens(used) - relay.size_in_tokens()
            for quota in counting:
                quota.correct(more)

    def hold(self, relay: Relay, size: int) -> None:
        """The request's body takes `size` bytes more. Raises ApiError (503): each body is bounded, but so must be
        their sum."""
        if self.held_bytes + size > BODIES_AT_ONCE * self.max_body_bytes:
            raise ApiError("overloaded", "the proxy is busy: too many large requests at once", 503, retry_after=1)
        self.held_bytes += size
        relay.held += size

    def let_go(self, relay: Relay) -> None:
        self.held_bytes -= relay.held
        relay.held = 0

    def masked(self, body: bytes) -> bytes:
        """What goes to a client, less the secrets that only we and an upstream know."""
        for secret in self._secrets:
            body = body.replace(secret, MASK.encode())
        return body

    def _tick(self) -> None:
        """Once a second: streams that were silent for ping_seconds get a sign of life; clients that left unseen are
        seen."""
        self._ticker = asyncio.get_running_loop().call_later(self._tick_s, self._tick)
        self.memory.expire()
        patience = self.settings.server.ping_seconds
        for relay in list(self.relays):
            relay.look()
            if relay.waits_for_more:
                relay.quiet += self._tick_s
                if relay.quiet >= patience:
                    relay.ping()

    def over(self, relay: Relay, error: ApiError | None) -> None:
        """The client has its last byte, or has left."""
        self.relays.discard(relay)
        if self._idle is not None and not self.relays:
            self._idle.set()
        self.counting.left(relay)
        for field in relay.dropped:
            self.dropped[field if field in self.dropped or len(self.dropped) < MAX_COUNTED else "other"] += 1
        try:
            self.counting.learn(relay)
            self._correct(relay)
            if self.rejoin is not None:
                self.rejoin.over(relay)
            if relay.answer.kept is not None:
                self.journal.body("response", relay.key, relay.answer.kept, relay.answer.written)
            self._record(relay, error)
        except Exception:  # odd values in a reply may cost the record of it, never more
            log.exception("no record of request %s", relay.key)

    # ------------------------------------------------------------------------------------------- records

    def sent(self, relay: Relay, url: str, body: bytes) -> None:
        """A try is on its way to its upstream."""
        if log.isEnabledFor(logging.DEBUG):
            log.debug("request %s: try %d of '%s' goes to %s (%d bytes)", relay.key, relay.tries, relay.asked_model,
                      url, len(body))  # fmt: skip
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
            "tried": relay.tried,
            "status": relay.status,
            "ttfb_ms": round(relay.lead.ttfb_ms if relay.lead else 0.0, 2),
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


def _retry_policy(settings: Settings) -> Policy:
    s = settings.retry
    return Policy(
        s.max_attempts, s.backoff, s.max_backoff, s.max_retry_after, frozenset(s.also), s.on_overflow, s.on_refusal
    )


def _breaker_limits(settings: Settings) -> breaker.Limits:
    s = settings.breaker
    return breaker.Limits(
        s.failure_percent / 100, s.window, s.min_requests, s.consecutive, s.cooldown, s.max_cooldown, s.enabled
    )


def _client_quotas(settings: Settings) -> dict[str, Quota]:
    """By the client's name; none for those without bounds."""
    now = time.monotonic()
    return {
        client.name: Quota(client.requests_per_minute, client.tokens_per_minute, now)
        for client in settings.clients
        if client.requests_per_minute or client.tokens_per_minute
    }


def _closing() -> ApiError:
    return ApiError("overloaded", "the proxy is shutting down", 503, retry_after=1)
