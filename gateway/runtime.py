"""The objects that live as long as the process: routes, access, the libcurl client, limits, and what is learned.

`Service` is made from the settings, and makes the Ports that each Flow uses. It starts and stops its parts in order;
the requests themselves are in in_flight.py.
"""

from __future__ import annotations

import asyncio
import collections
import fnmatch
import itertools
import logging
import random
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from typing import Protocol as Interface

from msgspec import structs
from tornado.http1connection import HTTP1Connection

from gateway import wiring
from gateway.batches.desk import Desk
from gateway.batches.embeddings import Embeddings
from gateway.cache.cache import Cache
from gateway.credentials import asking
from gateway.flow.ports import Connection, Ports
from gateway.flow.reattach import Reattach
from gateway.flow.token_counting import Counting
from gateway.flow.trace import Tracing
from gateway.flow.waves import Waves
from gateway.http import framing
from gateway.http.auth import Access
from gateway.http.copied_answer import CopyingWriter
from gateway.http.forwarded import Clients
from gateway.http.loop_guard import Address, Hops
from gateway.http.response_writer import ResponseWriter
from gateway.in_flight import RequestsInFlight
from gateway.limits.admission import Admission, Gate
from gateway.limits.blame import Blame
from gateway.limits.body_memory import BodyMemory, Gathered
from gateway.limits.limiter import Limiter
from gateway.limits.shape import Shape
from gateway.observe.dispatcher import Observers
from gateway.observe.prices import Prices
from gateway.observe.tags import Tags
from gateway.passing.refusal_hold import Refusing
from gateway.process import side_thread, topics
from gateway.process.drains import Drains
from gateway.process.worker_rpc import WorkerRpc
from gateway.refusals.learned_quirks import LearnedQuirks
from gateway.routing import client_rules
from gateway.routing.balancing import Places
from gateway.routing.client_rules import ClientRules
from gateway.routing.listing import Listing
from gateway.routing.router import Router
from gateway.routing.upstreams import LiveUpstream
from gateway.shared.gossip import Gossip
from gateway.shared.shared_quota import Quotas
from gateway.shared.slot_leases import SlotLeases
from gateway.stored import store_sync
from operate.logs.journal import Journal
from operate.owner_store import OwnerStore
from operate.settings.load import Settings, Upstream
from translate import recurring
from translate.streams import sse
from upstream.client import UpstreamClient
from upstream.prewarm import prewarm

log = logging.getLogger("proxy")

AGES_S = 300.0  # parts of conversations that were not used for so long are forgotten within the same time again


class Connections(Interface):
    """What a Service knows of its server. refused: how many connections were turned away, by the reason."""

    @property
    def max_connections(self) -> int: ...

    @property
    def refused(self) -> Mapping[str, int]: ...

    def states(self) -> Mapping[str, int]:
        """Returns how many connections there are in each state."""


class Service:
    """The core of a process. start() and stop() need a running event loop. flows: every request whose client has not
    got the whole reply."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        ready: dict[str, Upstream] | None = None,
        worker_rpc: WorkerRpc | None = None,
        addresses: Iterable[Address] = (),
    ) -> None:
        """ready: upstreams whose address is known only at the start (the demo), by name. worker_rpc: None = there
        are no other workers. addresses: where the proxy listens."""
        self.journal = journal
        self.worker_rpc = worker_rpc or WorkerRpc()
        self.shared = wiring.shared(settings, journal.folder, self.worker_rpc.count)
        self.hops = Hops(self.worker_rpc.group, addresses)
        self.reloaded: dict[str, Any] = {}  # the result of the last change of the settings, see reload.py
        self.restarts = 0  # how often this worker was started again
        self.reloads = {"taken": 0, "refused": 0}
        self.loaded_at = time.time()  # when the settings in force were loaded
        self.places = Places(wiring.breaker_limits(settings))
        self.drained = Drains(self.worker_rpc)
        self.router = Router(settings, ready, self.places, None, Quotas(self.shared))
        self.client = UpstreamClient(force_instance=True, pool=wiring.pool(settings, self.router))
        self._connect()
        self.listing = Listing(self.router, self.client, self.hops, self._price)
        self.counting = Counting()
        self.admission = Admission(wiring.admission_limits(settings), time.monotonic)
        self.blame = Blame()
        self.quotas: dict[str, Limiter] = {}
        self.budgets = wiring.budgets(settings, self.shared, journal.folder)
        self.rules: dict[str, ClientRules] = {}
        self.random = random.Random()
        self.reattach: Reattach | None = None
        self.response_store = wiring.response_store(settings, self.shared)
        self.in_flight = RequestsInFlight(self._housekeep)
        self.waves = Waves(_call_soon)
        self.client.on_many, self.client.on_many_over = self.waves.hold, self.waves.let_go
        self._ages_at = 0.0
        self.flows = self.in_flight.flows
        self.quirks = LearnedQuirks()
        self.hooked: collections.Counter[tuple[str, str, str]] = collections.Counter()  # by hook, event and outcome
        self.prices = Prices(settings)
        self.observers = Observers(self.prices.of, journal.redaction.text, self.in_flight.flows.__len__)
        self.tracing = Tracing(1.0)
        self.cache: Cache | None = None
        self.batches = Desk()
        self.embeddings = Embeddings(lambda: self.ports)
        self.worker_rpc.first = self.observers.flush
        store_sync.register(self.worker_rpc, self.response_store)
        self.gossip = self._gossip()
        self.slots = SlotLeases(self.shared, self._me, self.admission, self._shared_gates)
        self.connections: Connections | None = None  # of clients; set by proxy.py
        self.bodies = BodyMemory(settings.server.max_body_bytes)
        self._key_start = secrets.token_hex(5)
        self.next_key = _ids(self._key_start)
        self.beside = side_thread.SideThread()
        self._follow(settings)

    @property
    def _me(self) -> str:
        """The name of this worker for the others that share the state."""
        return f"{self.worker_rpc.group}-{self.worker_rpc.number}"

    def _shared_gates(self) -> list[tuple[Gate, int]]:
        """Returns the upstreams whose limit all workers keep together. The other limits are for each process."""
        bounds = ((upstream.gate, upstream.settings.max_concurrent) for upstream in self.router.upstreams.values())
        return [(gate, bound) for gate, bound in bounds if bound]

    def _gossip(self) -> Gossip:
        """Makes the exchange of news between workers that share the state."""

        def router() -> Router:
            return self.router

        return Gossip(self.shared, self._me, [
            topics.Rests(router, self.places), topics.Breakers(router, self.places), topics.Faults(self.blame),
            topics.Quirks(router, self.quirks), topics.TokenRatios(router, self.counting),
            topics.Deleted(self.response_store),
        ])  # fmt: skip

    def _follow(self, settings: Settings) -> None:
        """Sets everything that follows from the settings alone, at the start and after each change."""
        self.settings = settings
        self.prices.adopt(settings)
        self._warn_of_loops()
        self.access = Access(settings, self.journal.redaction, self.hops)
        self.retry = wiring.retry_policy(settings)
        self._hedged = [re.compile(fnmatch.translate(glob)) for glob in settings.retry.hedge]
        self.reattach = wiring.reattach(settings, self.reattach)
        self.tracing.share = settings.telemetry.sample_percent / 100
        self.learns, self.strict = settings.translate.learn, settings.translate.strict
        self.cache = wiring.cache(settings, self.cache, self.prices.of, self.shared)
        self.counting.exact = wiring.exact_counts(settings, self.counting.exact)
        self._follow_clients(settings)
        self._follow_batches(settings)
        self._follow_limits(settings)
        # A websocket's session needs the response store.
        self.websockets = settings.server.websockets and settings.responses.store_entries > 0
        self.ports = self._ports(settings)

    def _warn_of_loops(self) -> None:
        for name, upstream in self.router.upstreams.items():
            if self.hops.lead_here(upstream.base_url):
                log.warning("upstream '%s' is this proxy itself (%s), so requests to it are refused; correct its "
                            "base_url", name, upstream.base_url)  # fmt: skip

    def _follow_clients(self, settings: Settings) -> None:
        """Sets what differs from client to client, and what clients share when there are several."""
        kept = settings.responses
        owners = OwnerStore(self.journal.folder / kept.owners) if kept.owners else None
        self.response_store.owners.adopt(owners, kept.owners_days)
        several = len(settings.clients) > 1
        self.response_store.shared = self.blame.several = self.admission.shares.several = self.quirks.several = several
        quotas = wiring.client_quotas(settings, self.quotas, Quotas(self.shared))
        self.quotas.clear()  # one dict for all Ports: a request that began earlier is settled with the limits of now
        self.quotas.update(quotas)
        self.budgets.adopt(wiring.client_budgets(settings))
        self.rules.clear()
        self.rules.update(client_rules.by_client(settings))
        self.clients = Clients(settings.server.trusted_proxies)
        self.in_flight.adopt(self.clients, settings.limits.requests_per_address, settings.server.ping_seconds)

    def _follow_batches(self, settings: Settings) -> None:
        self.embeddings.wait_s = settings.batches.embeddings_ms / 1e3
        self.embeddings.most = settings.batches.embeddings_inputs
        tells = self.worker_rpc.number == 0
        queue = wiring.batch_queue(settings, self.journal.folder, self.shared, self.batches.queue, tells=tells)
        self.batches.adopt(settings.batches, queue)

    def _follow_limits(self, settings: Settings) -> None:
        """Sets how large requests and replies, and what is kept of them, may be."""
        limits = settings.limits
        self.max_body_bytes = settings.server.max_body_bytes
        self.bodies.resize(self.max_body_bytes)
        self.shape = Shape(limits.values, limits.messages, limits.parts, limits.tools, limits.depth)
        self.gathered = Gathered(limits.reply_mb << 20, limits.error_kb << 10)
        recurring.MEMORY.resize(limits.remembered_mb << 20)
        sse.Most.event_bytes = limits.event_mb << 20
        framing.Most.headers = limits.headers
        ResponseWriter.high_water = limits.write_buffer_kb << 10

    def _ports(self, settings: Settings) -> Ports:
        """The Ports for requests. They are made anew after each change of the settings, and a request in flight keeps
        its own."""
        return Ports(
            now=time.monotonic,
            unix=time.time,
            call_later=_call_later,
            random=self.random,
            beside=self.beside,
            send=self.client.send,
            writer=self.answer,
            next_key=self.next_key,
            in_flight=self.in_flight,
            waves=self.waves,
            observer=self.observers,
            access=self.access,
            hops=self.hops,
            router=self.router,
            drained=self.drained,
            admission=self.admission,
            body_memory=self.bodies,
            quota_of=self.quotas.get,
            tells_bounds=bool(self.quotas),
            price_of=self.prices.of,
            masked=self.journal.redaction.data,
            quirks=self.quirks,
            counting=self.counting,
            response_store=self.response_store,
            worker_rpc=self.worker_rpc,
            retry=self.retry,
            deadline_s=settings.retry.deadline,
            max_body_bytes=self.max_body_bytes,
            shape=self.shape,
            gathered=self.gathered,
            body_timeout_s=settings.server.body_timeout,
            head_after_s=settings.server.head_seconds,
            learns=self.learns,
            strict=self.strict,
            hedges=self.hedges if self._hedged else None,
            joins=self.reattach.joins if self.reattach is not None else None,
            blame=self.blame,
            hold=Refusing if self.retry.on_refusal else None,
            budgets=self.budgets,
            rules_of=self.rules.get,
            address_of=self.clients.of,
            hooks=wiring.hooks(settings, self.client, self.gathered.reply_bytes, self.hooked),
            traces=self.tracing.begins if settings.telemetry.otlp_endpoint else None,
            tags=Tags(settings.logging.tags).of if settings.logging.tags else None,
            cache=self.cache,
            gather=self.embeddings if settings.batches.embeddings_ms else None,
        )

    def _price(self, upstream: str, model: str) -> tuple[float, float] | None:
        price = self.prices.of(upstream, model)
        return (price.input, price.output) if price is not None else None

    def adopt(self, settings: Settings, ready: dict[str, Upstream] | None = None) -> None:
        """Puts changed settings, which have been checked, in force from the next request on. Requests in flight go on
        unchanged. What was learned, counted and kept stays. ready: as for __init__."""
        kept = settings.responses
        self.places.resize(wiring.breaker_limits(settings))
        before, self.router = self.router, Router(settings, ready, self.places, self.router, Quotas(self.shared))
        for name, upstream in self.router.upstreams.items():
            if name in before.upstreams and before.upstreams[name].base_url != upstream.base_url:
                self.quirks.forget(name)  # it is another server now
        self.client.resize(wiring.pool(settings, self.router))
        self._connect()
        self.listing = Listing(self.router, self.client, self.hops, self._price)
        self.response_store.resize(kept.store_entries, kept.store_mb << 20, kept.store_seconds)
        if self.response_store.fleet is not None:
            self.response_store.fleet.seconds = kept.store_seconds
        self.journal.adopt(settings.logging, settings.secrets())
        self._follow(settings)
        self.loaded_at = time.time()
        self.admission.limits = wiring.admission_limits(settings)
        self.admission.serve()  # a limit may be higher now

    def _connect(self) -> None:
        """Tells upstreams how to have keys made, and has these keys masked everywhere."""
        for upstream in self.router.upstreams.values():
            upstream.ask = asking.asker(self.client)
            upstream.on_key = self.journal.redaction.minted

    def __repr__(self) -> str:
        return f"<Service {self.in_flight!r}, {self.router!r}, {self.held_bytes} bytes held>"

    def _housekeep(self) -> None:
        """Runs about once a second."""
        self.response_store.expire()
        if (now := time.monotonic()) > self._ages_at:
            self._ages_at = now + AGES_S
            recurring.MEMORY.age()

    async def start(self) -> None:
        self.in_flight.start()
        await asyncio.gather(self.worker_rpc.start(), self.shared.start())
        await self.drained.learn()
        await self.gossip.rounds.start()
        await self.slots.rounds.start()

    async def prewarm(self) -> None:
        if self.settings.pool.prewarm:
            await asyncio.gather(*map(self._prewarm, self.router.upstreams.values()))

    async def _prewarm(self, upstream: LiveUpstream) -> None:
        """Opens a connection to an upstream. It waits for [timeouts] connect at most, so that a silent upstream does
        not delay the start."""
        patience = structs.replace(upstream.whole_timeouts, total=upstream.whole_timeouts.connect)
        await prewarm(self.client, upstream.base_url, patience, upstream.way)

    def drain(self) -> None:
        """Begins to drain: each reply is now the last one on its connection, and each turn the last of its
        websocket."""
        if self.reattach is not None:
            self.reattach.drain()
        self.in_flight.drain()

    async def stop(self, within_s: float) -> None:
        """Lets requests finish for `within_s` seconds, then ends what is left with an error of its protocol. The shared
        store is left open for those who stop after it."""
        if self.in_flight.stage == "serving":
            self.drain()
        await self.in_flight.stop(within_s)
        for upstream in self.router.upstreams.values():
            upstream.stop()
        self.client.close()
        await self.in_flight.asked()
        await self.worker_rpc.stop()
        await self.slots.rounds.stop()
        await self.gossip.rounds.stop()
        self.beside.stop()
        self.response_store.owners.stop()
        self.observers.flush()

    def hedges(self, model: str) -> bool:
        """Whether requests for this model get a hedge."""
        return any(glob.match(model) for glob in self._hedged)

    @property
    def held_bytes(self) -> int:
        """How many bytes of request bodies are in memory."""
        return self.bodies.held

    def masked(self, body: bytes) -> bytes:
        """The bytes for a client with the secrets of the settings and the keys of other clients masked."""
        return self.journal.redaction.data(body)

    def answer(self, conn: Connection, key: str = "") -> ResponseWriter:
        """The response writer for a connection. key: the id of the request, "" = its reply is never logged."""
        http: HTTP1Connection = conn  # type: ignore[assignment]  # a websocket's turn has a writer of its own
        if self.reattach is not None:
            return self.reattach.answer(http, key)
        most = self.observers.to_copy(key)
        return CopyingWriter(http, most) if most else ResponseWriter(http)


def _ids(start: str) -> Callable[[], str]:
    """Makes a new id for each request: "req_" with letters and digits, unique over processes and restarts, as far as
    `start` is. The reply, the logs and the pages have the same id."""
    return map(f"req_{start}%x".__mod__, itertools.count(1)).__next__


def _call_soon(step: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_soon(step)


def _call_later(delay: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(delay, callback, *args)
