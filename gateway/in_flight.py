"""The requests in flight and the open websockets: they begin, get a ping while they are silent, and end at a shutdown.

The stages of a process are "serving", "leaving" (/readyz says so, and nothing else changes), "draining" (each reply
ends its connection) and "over" (what is left ends with an error of its protocol).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any
from typing import Protocol as Interface

from tornado.iostream import IOStream

from gateway.flow.ports import Running
from gateway.http.forwarded import Clients
from gateway.limits.per_address import PerAddress
from translate.failures.errors import ApiError

log = logging.getLogger("gateway")

TICKED_AT_ONCE = 100  # requests; each takes a few microseconds, or a millisecond if it ends
BETWEEN_S = 0.01
FLUSH_S = 1.0  # at shutdown, the time for last bytes to reach slow clients


class Session(Interface):
    """What is needed of an open websocket."""

    @property
    def context(self) -> object: ...

    @property
    def stream(self) -> IOStream: ...

    def drain(self) -> None: ...

    def hang_up(self) -> None: ...


class RequestsInFlight:
    """flows: every request whose client has not got the whole reply. sessions: websockets. askings: requests about
    responses that upstreams keep. start() and stop() need a running loop."""

    def __init__(self, housekeeping: Callable[[], None]) -> None:
        """housekeeping: is called about once a second."""
        self.stage = "serving"
        self.flows: set[Running] = set()
        self.sessions: set[Session] = set()
        self.askings: set[asyncio.Future[Any]] = set()
        self.per_address = PerAddress("requests in flight", "requests_per_address")
        self._addresses: dict[Running, str] = {}  # of requests whose address has a limit, see forwarded.py
        self._housekeeping = housekeeping
        self._idle: asyncio.Event | None = None  # while stopping: set when the last request is answered
        self._ticker: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<RequestsInFlight {self.stage}: {len(self.flows)} and {len(self.sessions)} websockets>"

    def adopt(self, clients: Clients, most_per_address: int, ping_s: float) -> None:
        """clients: tells the address of a request. ping_s: after so long a silence a stream gets a ping."""
        self._clients = clients
        self.per_address.adopt(most_per_address)
        self._ping_s = ping_s
        self._tick_s = min(1.0, ping_s / 2)

    # --------------------------------------------------------------------------------- called by requests

    def begins(self, flow: Running) -> None:
        """Adds a new request. Raises ApiError: 429 when its address has too many, 503 when the process is ending."""
        self.flows.add(flow)
        if address := self._clients.bounded(flow.request.address, flow.request.headers):
            if self.per_address.is_full(address):
                raise self.per_address.refusal(address)
            self.per_address.take(address)
            self._addresses[flow] = address
        if self.stage != "serving":
            flow.writer.last()
            if self.stage == "over":
                raise ApiError("overloaded", "the proxy is shutting down", 503, retry_after=1)

    def asks(self, asking: asyncio.Future[Any]) -> None:
        self.askings.add(asking)
        asking.add_done_callback(self._is_asked)

    def _is_asked(self, asking: asyncio.Future[Any]) -> None:
        self.askings.discard(asking)
        # Who asked gets the error. If its client has left meanwhile, nobody does, and a refusal is no fault of ours.
        why = None if asking.cancelled() else asking.exception()
        if why is not None and not isinstance(why, ApiError):
            log.error("a request's question has failed inside the proxy", exc_info=why)

    def ends(self, flow: Running) -> None:
        """Removes a request that is over."""
        self.flows.discard(flow)
        if self._addresses and (address := self._addresses.pop(flow, None)):
            self.per_address.give_back(address)
        if self._idle is not None and not self.flows:
            self._idle.set()

    # --------------------------------------------------------------------------------- from the start to the end

    def start(self) -> None:
        """Begins to tick."""
        self._tick()

    def _tick(self) -> None:
        """Runs about once a second. Streams that have been silent get a ping, and clients that have left are
        noticed."""
        self._ticker = asyncio.get_running_loop().call_later(self._tick_s, self._tick)
        self._housekeeping()
        self._tick_some(list(self.flows))

    def _tick_some(self, flows: list[Running]) -> None:
        """Ticks some requests in each turn of the loop, so that a thousand that end together delay nobody."""
        for flow in flows[:TICKED_AT_ONCE]:
            if flow in self.flows:
                flow.tick(self._tick_s, self._ping_s)
        if later := flows[TICKED_AT_ONCE:]:
            asyncio.get_running_loop().call_later(BETWEEN_S, self._tick_some, later)

    def drain(self) -> None:
        """Each reply is now the last one on its connection, and each turn the last of its websocket."""
        self.stage = "draining"
        for flow in self.flows:
            flow.writer.last()
        for session in list(self.sessions):
            session.drain()

    async def stop(self, within_s: float) -> None:
        """Lets requests finish for `within_s` seconds, then ends what is left with an error of its protocol."""
        await self._quiet(within_s)
        self.stage = "over"
        for flow in list(self.flows):
            flow.shut_down()
        await self._quiet(FLUSH_S)
        for session in list(self.sessions):
            session.hang_up()
        if self._ticker is not None:
            self._ticker.cancel()

    async def _quiet(self, within_s: float) -> None:
        """Waits until no request is in flight, for `within_s` seconds at most."""
        if self.flows:
            self._idle = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), within_s)

    async def asked(self) -> None:
        """Waits for the askings, which still answer their clients."""
        if self.askings:
            await asyncio.wait(self.askings, timeout=FLUSH_S)
