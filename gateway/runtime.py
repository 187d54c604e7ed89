"""What lives as long as the process: routes, access, the libcurl client, and the requests in flight.

`Service` is made of settings, and makes the Ports by which each Flow sees it. It also holds the two slow clocks: pings
for streams that have fallen silent, and the drain at shutdown.
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
from collections.abc import Callable, Iterable
from typing import Any, cast
from typing import Protocol as Interface

from tornado.http1connection import HTTP1Connection

from gateway import wiring
from gateway.flow import charges
from gateway.flow.info import Finished, Info
from gateway.flow.learned_quirks import Lessons
from gateway.flow.ports import Connection, Ports, Running
from gateway.flow.reattach import Reattach
from gateway.flow.refusal_hold import Refusing
from gateway.flow.token_counting import Counting
from gateway.http.auth import Access
from gateway.http.copied_answer import CopiedAnswer, Copier
from gateway.http.loop_guard import Address, Hops
from gateway.http.response_writer import Answer
from gateway.limits.admission import Admission
from gateway.limits.blame import Blame
from gateway.limits.body_memory import BodyMemory
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
from translate.errors import ApiError
from upstream.client import UpstreamClient

log = logging.getLogger("proxy")

MAX_COUNTED = 500  # names of dropped fields: clients make them up
FLUSH_S = 1.0  # at shutdown, for the last words to reach clients that read slowly


class Session(Interface):
    """A websocket."""

    def drain(self) -> None: ...

    def hang_up(self) -> None: ...


class Service:
    """start() on a running loop; stop() ends what is in flight. `flows`: every request whose client has not got
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
        self.reloads = {"taken": 0, "refused": 0}
        self.loaded_at = time.time()  # the settings in force
        self.places = Places(wiring.breaker_limits(settings))
        self.router = Router(settings, ready, self.places)
        self.client = UpstreamClient(force_instance=True, pool=wiring.pool(settings, self.router))
        self.listing = Listing(self.router, self.client, self.hops)
        self.counting = Counting()
        self.admission = Admission(wiring.admission_limits(settings), time.monotonic)
        self.blame = Blame()
        self.quotas: dict[str, Quota] = {}
        self.random = random.Random()
        self.reattach: Reattach | None = None
        self.flows: set[Running] = set()
        self.sessions: set[Session] = set()  # websockets
        self.askings: set[asyncio.Future[Any]] = set()  # about what upstreams keep
        kept = settings.responses
        self.memory = Memory(kept.store_entries, kept.store_mb << 20, kept.store_seconds)
        self.lessons = Lessons()
        self.dropped: collections.Counter[str] = collections.Counter()  # fields that did not cross -> requests
        self.observers = Observers()
        self.copier: Copier | None = None  # who wants copies of replies
        self.prices = Prices(settings)
        self.siblings.first = self.observers.flush
        store_sync.register(self.siblings, self.memory)
        self.stage = "serving"
        self.bodies = BodyMemory(settings.server.max_body_bytes)
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
        several = len(settings.clients) > 1
        self.memory.shared = self.blame.several = self.admission.shares.several = several
        self.quotas = wiring.client_quotas(settings, self.quotas)
        self._hedged = [re.compile(fnmatch.translate(glob)) for glob in settings.retry.hedge]
        self.reattach = wiring.reattach(settings, self.reattach)
        self.max_body_bytes = settings.server.max_body_bytes
        self.bodies.resize(self.max_body_bytes)
        self.learns, self.strict = settings.translate.learn, settings.translate.strict
        # A websocket's session is nothing without memory.
        self.websockets = settings.server.websockets and settings.responses.store_entries > 0
        self._tick_s = min(1.0, settings.server.ping_seconds / 2)
        self.ports = self._ports(settings)

    def _ports(self, settings: Settings) -> Ports:
        return Ports(
            now=time.monotonic,
            unix=time.time,
            call_later=_call_later,
            random=self.random,
            send=self.client.send,
            writer=self.answer,
            next_key=self.next_key,
            in_flight=self,
            observer=self,
            access=self.access,
            hops=self.hops,
            router=self.router,
            admission=self.admission,
            body_memory=self.bodies,
            quota_of=self._quota_of,
            priced=self._is_priced,
            masked=self.masked,
            lessons=self.lessons,
            counting=self.counting,
            memory=self.memory,
            siblings=self.siblings,
            retry=self.retry,
            deadline_s=settings.retry.deadline,
            max_body_bytes=self.max_body_bytes,
            body_timeout_s=settings.server.body_timeout,
            learns=self.learns,
            strict=self.strict,
            hedges=self.hedges,
            reattach=self.reattach,
            blame=self.blame,
            hold=Refusing if self.retry.on_refusal else None,
        )

    def _quota_of(self, client: str) -> Quota | None:
        return self.quotas.get(client)

    def charge_question(self, client: str) -> None:
        """An upstream is about to be asked for what is no reply of a model. Raises ApiError (429)."""
        quota = self.quotas.get(client)
        if quota is not None and (wait := quota.take(0, time.monotonic())) > 0:
            raise charges.used_up(client, wait)

    def _is_priced(self, upstream: str, model: str) -> bool:
        return self.prices.of(upstream, model) is not None

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
        self.loaded_at = time.time()
        self.admission.limits = wiring.admission_limits(settings)
        self.admission.serve()  # a limit may have grown

    def __repr__(self) -> str:
        return f"<Service {self.stage} {self.router!r} {len(self.flows)} in flight, {self.held_bytes} bytes held>"

    def next_key(self) -> str:
        """A request's id, the same in its reply, the logs and the pages: "req_" and letters and digits, unique over
        processes and restarts."""
        self._keys += 1
        return f"req_{self._key_start}{self._keys:x}"

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
        if self.reattach is not None:
            self.reattach.drain()
        for flow in self.flows:
            flow.writer.last()
        for session in list(self.sessions):
            session.drain()

    async def stop(self, within_s: float) -> None:
        """Lets requests finish for `within_s` seconds, then ends what is left with an error of its protocol."""
        if self.stage == "serving":
            self.drain()
        await self._quiet(within_s)
        self.stage = "over"
        for flow in list(self.flows):
            flow.shut_down()
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
        if self.flows:
            self._idle = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), within_s)

    def hedges(self, model: str) -> bool:
        """Whether a second try is made for this name when the first is late."""
        return bool(self._hedged) and any(glob.match(model) for glob in self._hedged)

    @property
    def held_bytes(self) -> int:
        """Of request bodies that may still be sent upstream."""
        return self.bodies.held

    def masked(self, body: bytes) -> bytes:
        """What goes to a client, less the secrets that only we and an upstream know, and the keys of other clients."""
        return self.journal.redaction.data(body)

    def answer(self, conn: Connection, key: str = "") -> Answer:
        """key: of the request whose reply may be logged."""
        http = cast(HTTP1Connection, conn)  # a websocket's turn brings a writer of its own
        if self.reattach is not None:
            return self.reattach.answer(http)
        most = self.to_copy(key)
        return CopiedAnswer(http, most) if most else Answer(http)

    def to_copy(self, key: str) -> int:
        """Bytes of the reply to this request to copy for whoever wants them."""
        return self.copier.to_copy(key) if self.copier is not None else 0

    def _tick(self) -> None:
        """Once a second: streams that were silent for ping_seconds get a sign of life; clients that left unseen are
        seen."""
        self._ticker = asyncio.get_running_loop().call_later(self._tick_s, self._tick)
        self.memory.expire()
        patience = self.settings.server.ping_seconds
        for flow in list(self.flows):
            flow.tick(self._tick_s, patience)

    # --------------------------------------------------------------------------------- what a Flow tells

    def begins(self, flow: Running) -> None:
        """A request has come. Raises ApiError (503) once we are shutting down."""
        self.flows.add(flow)
        if self.stage != "serving":
            flow.writer.last()
            if self.stage == "over":
                raise ApiError("overloaded", "the proxy is shutting down", 503, retry_after=1)

    def asks(self, asking: asyncio.Future[Any]) -> None:
        self.askings.add(asking)
        asking.add_done_callback(self.askings.discard)

    def ends(self, flow: Running) -> None:
        """It is in flight no more."""
        self.flows.discard(flow)
        if self._idle is not None and not self.flows:
            self._idle.set()

    def sent(self, info: Info, body: bytes) -> None:
        """An attempt is on its way to its upstream; or a request ends with an error, and was never sent."""
        if self.observers.on_sent:
            self.observers.sent(info, body)

    def finished(self, info: Finished, writer: Answer) -> None:
        """The client has its last byte, or has left."""
        for field in map(record.field_name, info.dropped):
            self.dropped[field if field in self.dropped or len(self.dropped) < MAX_COUNTED else "other"] += 1
        if self.copier is not None and self.to_copy(info.key) and (copy := writer.kept) is not None:
            self.copier.copied(info.key, copy, info.bytes_out, info.error is not None)
        if self.observers.on_finished:
            self.observers.over(info.key, functools.partial(record.record, info, self.prices.of))


def _call_later(delay: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(delay, callback, *args)
