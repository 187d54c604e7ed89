"""The client for upstreams: it runs many exchanges over few connections with libcurl.

`send` gives a request to libcurl on a pooled handle. `upstream/sockets.py` runs libcurl on the event loop. After each
run, `_turn` records the exchanges that have ended, and calls the sinks with everything that has arrived. An exchange
ends through exactly one of `_done` (libcurl ends it), `_fail` (the client ends it) and `let_go` (the caller cancels
it). Connections, idle connections and the wait for a free one are bounded. One timer serves all timeouts that are not
libcurl's.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pycurl
from msgspec import structs

from upstream.addresses import Addresses
from upstream.connections import QUIET_S, OpenSockets, RecentPeak, cut_off, hang_up, has_unread, inode_of
from upstream.exchange import TURN_BYTES, Exchange, Handle
from upstream.failure import Failure, host_of
from upstream.handles import Handles
from upstream.loss import Goaways, LossFacts, failure_of
from upstream.names import Answer, Names
from upstream.overdue import overdue
from upstream.pool import Pool
from upstream.request import Request, Sink
from upstream.sockets import SocketsOnLoop
from upstream.way import Lookup

log = logging.getLogger("upstream")

SWEEP_S = 0.2  # how late a timeout of the client itself may be
TELL_S = 10.0  # the time between two warnings that all connections are in use
NOBODY_THERE = frozenset({"dns", "connect", "tls", "certificate", "connect_timeout", "tls_timeout"})
SOCKET = pycurl.ACTIVESOCKET  # type: ignore[attr-defined]  # not in the types


class UpstreamClient(SocketsOnLoop):
    """The client. Make it with force_instance=True; otherwise Tornado returns the one instance of this IOLoop."""

    def initialize(  # type: ignore[override]  # Tornado's has max_clients, which is fixed here
        self, pool: Pool | None = None, defaults: dict[str, Any] | None = None
    ) -> None:
        self.pool = pool or Pool()
        self._live: set[Exchange] = set()  # sent and not ended
        self._ready: list[Exchange] = []  # those with something for their sink
        self.on_many: Callable[[], object] = _nothing  # called before several sinks get something
        self.on_many_over: Callable[[], object] = _nothing  # called after that
        self._handles = Handles(self.pool, self._ready, self._opened_socket)
        self._peak = RecentPeak()
        self._looked_last = 0.0  # when a request may last have looked for a connection
        self._sockets = OpenSockets()
        self._sweeper: asyncio.TimerHandle | None = None
        self._tell_at = 0.0
        self._opened = self._reused = self._cancelled = self._failed = self._sent = 0
        self._goaways = Goaways()
        self._addresses = Addresses(self.pool)
        super().initialize(defaults=defaults)
        self._names = Names(self.now, self._from_thread, self._loop.call_later)

    def __repr__(self) -> str:
        return f"<UpstreamClient {'closed' if self._closed else self.stats()}>"

    def stats(self) -> dict[str, int]:
        """Counts since the start. connections_opened and connections_reused count only exchanges that have ended."""
        return {
            "in_flight": len(self._live),
            "handles": self._handles.made,
            "handles_free": self._handles.spare,
            "requests": self._sent,
            "connections_opened": self._opened,
            "connections_reused": self._reused,
            "cancelled": self._cancelled,
            "failed": self._failed,
        }

    def connections(self) -> tuple[int, int]:
        """How many connections are (active, idle)."""
        active = sum(not exchange.waits_for_connection() for exchange in self._live)
        return active, max(0, self._sockets.count() - active)

    # ---- for callers

    def send(self, request: Request, sink: Sink) -> Exchange:
        """Starts a request. Its reply comes through the sink, never before `send` has returned.

        Raises ValueError if a header or the URL cannot be sent as it is, and RuntimeError if the client is closed.
        """
        if self._closed:
            raise RuntimeError("send() on a closed UpstreamClient")
        if not self._begun:
            self._begin()
        handles = self._handles
        if free := handles.free.get(request.way):
            handles.spare -= 1
            handle = free.pop()
        else:
            handle = handles.new(request.way)
        try:
            handle.prepare(request)
        except (ValueError, pycurl.error) as error:
            # The options that the handle has now are unknown.
            self._handles.discard(handle)
            raise ValueError(f"{host_of(request.url)}: the request cannot be sent: {error}") from error
        exchange = handle.exchange = Exchange(self, handle, request, sink, self.now())
        lookup = self._addresses.lookup_of(request)
        answer = self._names.known(lookup.host, lookup.family) if lookup is not None else None
        self._live.add(exchange)
        self._sent += 1
        self._looked_last = exchange.started
        if len(self._live) > self.pool.max_connections:
            self._is_dry()
        if len(self._live) > self._peak.latest:
            self._peak.latest = len(self._live)
            self._fit_pool()
        if lookup is None:
            self._start(exchange)
        elif answer is not None:
            self._addresses.point(handle.curl, lookup, answer)
            self._start(exchange)
        else:
            self._names.look_up(lookup.host, lookup.family, functools.partial(self._named, exchange, lookup))
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        return exchange

    def _start(self, exchange: Exchange) -> None:
        assert exchange._handle is not None
        exchange.added = True
        self._multi.add_handle(exchange._handle.curl)

    def _named(self, exchange: Exchange, lookup: Lookup, answer: Answer) -> None:
        """Starts an exchange whose address has been looked up."""
        handle = exchange._handle
        if handle is None or exchange._ended or self._closed:
            return
        if not answer.addresses:
            host = host_of(exchange.request.url)
            what = "the name" if lookup.host == urlsplit(exchange.request.url).hostname else f"its proxy {lookup.host}"
            words = f"{host}: {what} cannot be resolved ({answer.error})"
            self.fail(exchange, Failure("dns", words, replayable=True, errno=pycurl.E_COULDNT_RESOLVE_HOST))
            return
        self._addresses.point(handle.curl, lookup, answer)
        handle.hurry(self.now() - exchange.started)
        self._start(exchange)

    def resize(self, pool: Pool) -> None:
        """Takes over changed settings, or changed files that they name, from the next request on. Open connections go
        on, and are used again."""
        self.pool = structs.replace(pool)  # a new object, by which the handles in use now are told from later ones
        self._handles.adopt(self.pool)
        self._addresses.adopt(self.pool)
        if self._begun:
            self._bound()

    def _bound(self) -> None:
        pool, multi = self.pool, self._multi
        self._limit = 0
        self._fit_pool()
        multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, pool.max_connections)
        multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, pool.max_connections_per_upstream or pool.max_connections)
        multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX if pool.http2 else pycurl.PIPE_NOTHING)

    def close(self) -> None:
        """Closes every connection. Exchanges in flight end with the failure "cancelled_by_pool". It may be called
        twice."""
        if self._closed:
            return
        for exchange in list(self._live):
            host = host_of(exchange.request.url)
            self.fail(exchange, Failure("cancelled_by_pool", f"{host}: the upstream client was closed"))
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._sweeper = None
        super().close()
        self._handles.discard_spare()

    def _from_thread(self, step: Callable[..., None], *args: object) -> bool:
        """Calls `step` on the loop, from any thread. Returns False if the loop has ended."""
        try:
            self._loop.call_soon_threadsafe(step, *args)
        except RuntimeError:
            return False
        return True

    # ---- connections

    def _opened_socket(self, fd: int, purpose: int) -> int:
        self._sockets.add(fd)
        if self._hangups:  # this one may get the port of one that is closed
            self._hangups = {port: seen for port, seen in self._hangups.items() if inode_of(seen.fd) == seen.inode}
        return pycurl.SOCKOPT_OK

    def _is_dry(self) -> None:
        """Warns, at most every TELL_S, that there are more requests than connections. With HTTP/2 a connection has
        many."""
        now = self.now()
        if now >= self._tell_at and not self.pool.http2:
            self._tell_at = now + TELL_S
            log.warning("the connection pool is used up: %d requests for %d connections ([pool] max_connections)",
                        len(self._live), self.pool.max_connections)  # fmt: skip

    def _fit_pool(self) -> None:
        """Sets libcurl's limit so that at most `keepalive_connections` are idle, besides those that were in use a
        moment ago (connections.py).

        When a connection becomes idle, libcurl closes the oldest idle one if it has more than M_MAXCONNECTS in all. It
        counts the busy ones too, so the limit depends on their number.
        """
        limit = max(1, self.pool.keepalive_connections + self._peak.value - 1)
        if limit != self._limit:
            self._limit = limit
            self._multi.setopt(pycurl.M_MAXCONNECTS, limit)

    def _trim(self) -> bool:
        """Closes the idle connections that are too many after a burst, the oldest first. Returns whether some are left
        for later."""
        now, busy = self.now(), len(self._live)
        if any(not exchange.status for exchange in self._live):  # it may still be looking for a connection
            self._looked_last = now
        if self._peak.value > busy or self._peak.latest != busy:
            self._peak.turn(busy)
            self._fit_pool()
            return True
        if len(self._kept) <= self.pool.keepalive_connections:
            return False
        if now - self._looked_last < QUIET_S:
            return True
        idle = [fd for fd in self._kept if self._sockets.is_open(fd)]
        if len(idle) <= self.pool.keepalive_connections:
            return False
        in_use = self._in_use()
        idle = [fd for fd in idle if fd not in in_use]  # a paused one is not watched either
        surplus = idle[: max(0, len(idle) - self.pool.keepalive_connections)]
        for fd in surplus:
            self._forget(fd)
            self._sockets.remove(fd)
        hang_up(surplus)
        return False

    def _in_use(self) -> set[int]:
        """The sockets of all that is in flight."""
        return {x._handle.curl.getinfo(SOCKET) for x in self._live if x._handle is not None}

    def _has_come(self, fd: int) -> None:
        """Ends an idle connection if bytes arrive on it without a request, such as a second reply, or the 408 of a
        server that closes it. libcurl would take it for the reply to the next request, which may be another client's.
        With HTTP/2, servers say this and that at any time, and it belongs to no request."""
        if not self._sockets.has_one_stream(fd):  # libcurl may also have closed it just now
            return
        if has_unread(fd) and fd not in self._in_use():
            self._sockets.remove(fd)
            cut_off(fd)

    # ---- the ends of an exchange

    def _done(self, curl: pycurl.Curl, errno: int, detail: str) -> None:
        """Ends the exchange of a handle that libcurl has finished."""
        handle: Handle | None = getattr(curl, "handle", None)
        if handle is None:
            self._finish(curl, errno or None, detail or None)  # a handle of Tornado's `fetch`
            self._process_queue()
            return
        exchange = handle.exchange
        if exchange is None:
            return
        self._detach(exchange, handle)
        if errno or not exchange.status:
            self._failed += 1
            if exchange._failure is None:
                exchange._failure = self._judge(exchange, handle, errno, detail)
            lookup = self._addresses.lookup_of(exchange.request)
            if lookup is not None and exchange._failure.kind in NOBODY_THERE:
                self._names.forget(lookup.host)
        exchange._ended = True
        exchange.ended_well = exchange._failure is None
        if not exchange._queued:
            exchange._queued = True
            self._ready.append(exchange)

    def _judge(self, exchange: Exchange, handle: Handle, errno: int, detail: str) -> Failure:
        curl = handle.curl
        if errno == pycurl.E_OPERATION_TIMEDOUT and curl.getinfo(pycurl.CONN_ID) < 0:
            return self.exhausted(exchange, self.now() - exchange.started)
        hangup = self._hangups.get(curl.getinfo(pycurl.LOCAL_PORT))
        seen = LossFacts(self.pool.http2, hangup, handle.stream.last, self._ran_at)
        return failure_of(exchange, handle, errno, detail, seen)

    def fail(self, exchange: Exchange, failure: Failure) -> None:
        """Ends an exchange with a failure, closes its connection, and calls its sink."""
        handle = exchange._handle
        if handle is None or exchange._ended:
            return
        self._detach(exchange, handle)
        self._failed += 1
        exchange._failure = failure
        exchange._ended = True
        exchange.deliver(self.now())

    def let_go(self, exchange: Exchange) -> None:
        """Ends an exchange that its caller has cancelled, and closes its connection. No sink is called."""
        handle = exchange._handle
        if handle is None:
            return
        if not exchange._ended:
            self._detach(exchange, handle)
            self._cancelled += 1
            exchange._ended = True
        self.recycle(exchange)

    def _detach(self, exchange: Exchange, handle: Handle) -> None:
        """Takes a handle from libcurl. If its exchange was not finished, libcurl closes the connection at once."""
        self._live.discard(exchange)
        if not exchange.added:  # its address was still being looked up
            return
        if self.pool.http2:  # first: to ask for the socket of a lost connection makes libcurl forget its number
            handle.stream.last = self._goaways.last_stream(handle, self._live)
        if handle.stream.number:
            self._sockets.speaks_http2(handle.curl.getinfo(SOCKET))
        self._multi.remove_handle(handle.curl)
        connects = handle.curl.getinfo(pycurl.NUM_CONNECTS)
        if connects:
            self._opened += connects
            secure = handle.curl.getinfo(pycurl.APPCONNECT_TIME)
            exchange.connect_ms = (secure or handle.curl.getinfo(pycurl.CONNECT_TIME)) * 1000
        elif handle.curl.getinfo(pycurl.REQUEST_SIZE):
            exchange.reused = True
            self._reused += 1

    def recycle(self, exchange: Exchange) -> None:
        """Puts the handle of an ended exchange back into the pool; the exchange cannot use it any more."""
        handle = exchange._handle
        if handle is None:
            return
        exchange._handle = handle.exchange = None
        handle.parts.clear()
        handle.room = TURN_BYTES
        if self.pool.http2:
            handle.stream.clear()
        if self._closed:
            self._handles.discard(handle)
        else:
            self._handles.put_back(handle)

    def exhausted(self, exchange: Exchange, age: float) -> Failure:
        """The failure of an exchange that got no connection within `age` seconds."""
        host = host_of(exchange.request.url)
        busy = sum(1 for x in self._live if host_of(x.request.url) == host and not x.waits_for_connection())
        words = f"connection pool exhausted: {busy} connections to {host} are in use, none was free in {age:.1f} s"
        return Failure("pool_exhausted", words, replayable=True)

    def unpause(self, curl: pycurl.Curl) -> None:
        """Lets libcurl read on. It passes on at once what it has kept, and asks to be called soon."""
        try:
            curl.pause(pycurl.PAUSE_CONT)
        except pycurl.error as error:
            # The transfer has failed because of the data that was kept; libcurl reports this like any other end, in
            # `_turn`.
            log.debug("a paused transfer failed when it was resumed: %s", error)

    def again(self, exchange: Exchange) -> None:
        """Lets the next turn of the loop deliver what the exchange has."""
        exchange._queued = True
        self._ready.append(exchange)
        self._set_timeout(0)

    # ---- after libcurl has run

    def _turn(self) -> int:
        """Runs after libcurl: records the exchanges that have ended, then calls the sinks with all that has arrived."""
        info_read = self._multi.info_read if not self._closed else None
        while info_read is not None:
            left, fine, broken = info_read()
            for curl in fine:
                self._done(curl, 0, "")
            for curl, errno, detail in broken:
                self._done(curl, errno, detail)
            if not left:
                break
        ready = self._ready
        if not ready:
            return 0
        now, served = self.now(), len(ready)
        if served > 1:
            self.on_many()
        together = ready.copy()
        ready.clear()
        for exchange in together:
            if not exchange._head_delivered:
                exchange.give_head(now)
        for exchange in together:
            exchange.give_data(now)
        for exchange in together:
            if exchange._ended:
                exchange.give_end()
        if ready:  # libcurl has passed on what it had kept of one that reads on: others have their turn first
            self._set_timeout(0)
        if served > 1:
            self.on_many_over()
        return served

    def _sweep(self) -> None:
        """Ends the exchanges that are over their first byte, idle or total timeout. It runs while any is in flight."""
        now = self.now()
        self._sweeper = None
        late = [(x, failure) for x in self._live if (failure := overdue(x, now, self.exhausted)) is not None]
        for exchange, failure in late:
            self.fail(exchange, failure)
        if not self._closed and (self._trim() or self._live) and self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)


def _nothing() -> None:
    return None
