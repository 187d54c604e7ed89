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
import functools
import logging
import random
import re
import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tornado.http1connection import HTTP1Connection

from gateway import wiring
from gateway.flow import charges
from gateway.flow.info import Info, session_in
from gateway.flow.learned_quirks import Lessons
from gateway.flow.reattach import Rejoin
from gateway.flow.token_counting import Counting
from gateway.http.auth import Access
from gateway.http.copied_answer import CopiedAnswer, Copier
from gateway.http.loop_guard import Address, Hops
from gateway.http.response_writer import Answer
from gateway.limits.admission import Admission
from gateway.limits.rate_limit import Quota
from gateway.observe import record
from gateway.observe.dispatcher import Observers
from gateway.observe.prices import Prices
from gateway.pages.model_list import Listing
from gateway.process.worker_rpc import Siblings
from gateway.routing.balancing import Places
from gateway.routing.router import Router
from gateway.routing.upstreams import Peer
from gateway.stored import store_sync
from gateway.stored.store import Memory
from operate.logs.journal import Journal
from operate.settings.load import Settings, Upstream
from translate import usage
from translate.errors import ApiError
from upstream.client import UpstreamClient

if TYPE_CHECKING:
    from gateway.flow.relay import Relay
    from gateway.websocket.session import Session

log = logging.getLogger("proxy")

BODIES_AT_ONCE = 16  # times the largest body: what all bodies in flight may take together
MAX_COUNTED = 500  # names of dropped fields: clients make them up
FLUSH_S = 1.0  # at shutdown, for the last words to reach clients that read slowly


class Service:
    """start() on a running loop; stop() ends what is in flight. `relays`: every request whose client has not got
    all of its answer. stage: "serving" -> "draining" (answers end their connections) -> "over"."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        ready: dict[str, Upstream] | None = None,
        siblings: Siblings | None = None,
        addresses: Iterable[Address] = (),
    ) -> None:
        """ready: upstreams whose address is only known now (the demo), by name. siblings: None = this process alone.
        addresses: where it listens."""
        self.journal = journal
        self.siblings = siblings or Siblings()
        self.hops = Hops(self.siblings.group, addresses)
        self.reloaded: dict[str, Any] = {}  # the verdict on the last change of the settings, see reload.py
        self.places = Places(wiring.breaker_limits(settings))
        self.router = Router(settings, ready, self.places)
        self.client = UpstreamClient(force_instance=True, pool=wiring.pool(settings, self.router))
        self.listing = Listing(self.router, self.client, self.hops)
        self.counting = Counting()
        self.admission = Admission(wiring.admission_limits(settings), time.monotonic)
        self.quotas: dict[str, Quota] = {}
        self.random = random.Random()
        self.rejoin: Rejoin | None = None
        self.relays: set[Relay] = set()
        self.sessions: set[Session] = set()  # websockets
        self.askings: set[asyncio.Task[Any]] = set()  # about what upstreams keep
        kept = settings.responses
        self.memory = Memory(kept.store_entries, kept.store_mb << 20, kept.store_seconds)
        self.lessons = Lessons()
        self.dropped: collections.Counter[str] = collections.Counter()  # fields that did not cross -> requests
        self.observers = Observers()
        self.copier: Copier | None = None  # who wants copies of replies
        self.prices = Prices(settings)
        self.siblings.first = self.observers.flush
        store_sync.register(self)
        self.stage = "serving"
        self.held_bytes = 0  # of request bodies that may still be sent upstream
        self._key_start = secrets.token_hex(5)
        self._keys = 0
        self._idle: asyncio.Event | None = None  # set when the last request is answered, once we are stopping
        self._ticker: asyncio.TimerHandle | None = None
        self._follow(settings)

    def _follow(self, settings: Settings) -> None:
        """What is read off the settings and holds nothing else, at the start and after each change of them."""
        self.settings = settings
        self.prices.adopt(settings)
        for name, peer in self.router.peers.items():
            if self.hops.lead_here(peer.base_url):
                log.warning("upstream '%s' is this proxy itself (%s): requests to it are refused", name, peer.base_url)
        self.access = Access(settings, self.journal.redaction, self.hops)
        self.retry = wiring.retry_policy(settings)
        self.memory.shared = len(settings.clients) > 1
        self.quotas = wiring.client_quotas(settings, self.quotas)
        self._hedged = [re.compile(fnmatch.translate(glob)) for glob in settings.retry.hedge]
        self.rejoin = wiring.rejoin(settings, self.rejoin)
        self.max_body_bytes = settings.server.max_body_bytes
        self.learns, self.strict = settings.translate.learn, settings.translate.strict
        # A websocket's session is nothing without memory.
        self.websockets = settings.server.websockets and settings.responses.store_entries > 0
        self._tick_s = min(1.0, settings.server.ping_seconds / 2)

    def adopt(self, settings: Settings, ready: dict[str, Upstream] | None = None) -> None:
        """Other settings, checked already, from the next request on. Requests on their way go on as they began; what
        was learned, counted and kept stays. ready: as at the start."""
        kept = settings.responses
        self.places.resize(wiring.breaker_limits(settings))
        before, self.router = self.router, Router(settings, ready, self.places, self.router)
        for name, peer in self.router.peers.items():
            if name in before.peers and before.peers[name].base_url != peer.base_url:
                self.lessons.forget(name)  # another server
        self.client.resize(wiring.pool(settings, self.router))
        self.listing = Listing(self.router, self.client, self.hops)
        self.memory.resize(kept.store_entries, kept.store_mb << 20, kept.store_seconds)
        self.journal.adopt(settings.logging, settings.secrets())
        self._follow(settings)
        self.admission.limits = wiring.admission_limits(settings)
        self.admission.serve()  # a limit may have grown

    def __repr__(self) -> str:
        return f"<Service {self.stage} {self.router!r} {len(self.relays)} in flight, {self.held_bytes} bytes held>"

    def next_key(self) -> str:
        """Unique over processes and restarts; letters and digits."""
        self._keys += 1
        return f"{self._key_start}{self._keys:x}"

    async def start(self) -> None:
        self._tick()
        await self.siblings.start()
        if self.settings.pool.prewarm:
            await asyncio.gather(*map(self._prewarm, self.router.peers.values()))

    async def _prewarm(self, peer: Peer) -> None:
        """As long as a connection may take, and no longer: an upstream that is mute must not hold up the start."""
        patience = dataclasses.replace(peer.whole_timeouts, total=peer.whole_timeouts.connect)
        await self.client.prewarm(peer.base_url, patience, peer.way)

    def drain(self) -> None:
        """From now on every answer is the last one on its connection, and every turn the last of its websocket."""
        self.stage = "draining"
        if self.rejoin is not None:
            self.rejoin.drain()
        for relay in self.relays:
            relay.answer.last()
        for session in list(self.sessions):
            session.drain()

    async def stop(self, within_s: float) -> None:
        """Lets requests finish for `within_s` seconds, then ends what is left with an error of its protocol."""
        if self.stage == "serving":
            self.drain()
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
        await self.siblings.stop()
        self.observers.flush()

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
        if quota is not None and relay.task != "count":
            charges.charge(quota, relay)

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
        """What goes to a client, less the secrets that only we and an upstream know, and the keys of other clients."""
        return self.journal.redaction.data(body)

    def answer(self, conn: HTTP1Connection, key: str = "") -> Answer:
        """key: of the request whose reply may be logged."""
        if self.rejoin is not None:
            return self.rejoin.answer(conn)
        most = self.to_copy(key)
        return CopiedAnswer(conn, most) if most else Answer(conn)

    def to_copy(self, key: str) -> int:
        """Bytes of the reply to this request to copy for whoever wants them."""
        return self.copier.to_copy(key) if self.copier is not None else 0

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

    def gone(self, relay: Relay) -> None:
        """It is in flight no more."""
        self.relays.discard(relay)
        if self._idle is not None and not self.relays:
            self._idle.set()

    def over(self, relay: Relay, error: ApiError | None) -> None:
        """The client has its last byte, or has left."""
        self.gone(relay)
        self.counting.left(relay)
        if relay.taught and error is not None and error.message == relay.taught_by and relay.route is not None:
            self.lessons.unlearn(relay.route.peer.name, relay.route.model, relay.taught)
        for field in map(record.field_name, relay.dropped):
            self.dropped[field if field in self.dropped or len(self.dropped) < MAX_COUNTED else "other"] += 1
        try:
            relay.used = usage.billed(relay.reply.usage) if relay.reply is not None else None
            self.counting.learn(relay)
            charges.settle(self.quotas.get(relay.client), relay)
            if self.to_copy(relay.key) and self.copier is not None and (copy := relay.answer.kept) is not None:
                self.copier.copied(relay.key, copy, relay.answer.written, error is not None)
            if self.rejoin is not None:
                self.rejoin.over(relay)
            if self.observers.on_finished:
                relay.clock.sent()
                self.observers.over(relay.key, functools.partial(record.record, relay, error))
        except Exception:  # odd values in a reply may cost the record of it, never more
            log.exception("no record of request %s", relay.key)

    # ------------------------------------------------------------------------------------------- records

    def sent(self, relay: Relay, url: str, body: bytes) -> None:
        """A try is on its way to its upstream."""
        if log.isEnabledFor(logging.DEBUG):
            log.debug("request %s: try %d of '%s' goes to %s (%d bytes)", relay.key, relay.tries, relay.asked_model,
                      url.partition("?")[0], len(body))  # fmt: skip
        if self.observers.on_sent:
            self.observers.sent(_info(relay, relay.tries), body)

    def refused(self, relay: Relay, body: bytes) -> None:
        """A request ends with an error, and was never sent."""
        if self.observers.on_sent and body:
            self.observers.sent(_info(relay, 0), body)


def _info(relay: Relay, attempt: int) -> Info:
    return Info(relay.key, relay.protocol, relay.task, relay.client, relay.asked_model, attempt,
                session_in(relay.headers), getattr(relay, "body", b""), relay.data)  # fmt: skip


def _closing() -> ApiError:
    return ApiError("overloaded", "the proxy is shutting down", 503, retry_after=1)
