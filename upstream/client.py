"""The libcurl client: many exchanges, few connections.

`send` hands a request to libcurl on a pooled handle; `upstream/sockets.py` runs libcurl on the loop, and after
each run `_turn` notes what ended and tells the sinks all that came.  An exchange ends through just one of
`_done` (libcurl says so), `_fail` (we say so) and `let_go` (cancelled).  Connections, idle ones, and the wait for
a free one are bounded; one sweeping timer serves all timeouts that are not libcurl's.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import itertools
import logging
import os
from collections.abc import Callable
from typing import Any

import pycurl

from upstream.addresses import Addresses
from upstream.exchange import NO_GOAWAY, TURN_BYTES, Exchange, Handle
from upstream.failure import Failure, from_curl, host_of
from upstream.names import Answer, Names
from upstream.pool import Pool, Roots, options
from upstream.request import DIRECT, Request, Sink, Timeouts, Warm
from upstream.sockets import SocketsOnLoop
from upstream.way import Place, Way

log = logging.getLogger("upstream")

SWEEP_S = 0.2  # how late one of our own timeouts may be
TELL_S = 10.0  # between two warnings that all connections are in use
MAX_GOAWAYS = 256  # remembered
NOBODY_THERE = frozenset({"dns", "connect", "tls", "certificate", "connect_timeout", "tls_timeout"})
SPARE_HANDLES = 1024  # unused libcurl handles that are kept; each is a few KB


class UpstreamClient(SocketsOnLoop):
    """`UpstreamClient(force_instance=True, pool=Pool(...))`; else, by Tornado's rule, one per IOLoop."""

    def initialize(  # type: ignore[override]  # Tornado's takes max_clients, which nobody chooses here
        self, pool: Pool | None = None, defaults: dict[str, Any] | None = None
    ) -> None:
        self.pool = pool or Pool()
        self._live: set[Exchange] = set()  # given to libcurl and not ended
        self._ready: list[Exchange] = []  # have something to tell their sink
        self._free: dict[Way, list[Handle]] = {}
        self._spare = 0  # of these, in all
        self._handles = 0
        self._sockets: dict[int, int] = {}  # that libcurl has opened: descriptor -> what the kernel calls it
        self._sweeper: asyncio.TimerHandle | None = None
        self._tell_at = 0.0
        self._opened = self._reused = self._cancelled = self._failed = self._sent = 0
        self._goaways: dict[int, int] = {}  # HTTP/2: connection -> the last stream that it serves
        self._roots = Roots(self.pool)
        self._addresses = Addresses(self.pool)
        super().initialize(defaults=defaults)
        self._names = Names(self.now, self._from_thread, self._loop.call_later)
        self._bound()

    def __repr__(self) -> str:
        return f"<UpstreamClient {'closed' if self._closed else self.stats()}>"

    def stats(self) -> dict[str, int]:
        """Counts. `connections_opened` and `connections_reused` are of exchanges that have ended."""
        return {
            "in_flight": len(self._live),
            "handles": self._handles,
            "handles_free": self._spare,
            "requests": self._sent,
            "connections_opened": self._opened,
            "connections_reused": self._reused,
            "cancelled": self._cancelled,
            "failed": self._failed,
        }

    def connections(self) -> tuple[int, int]:
        """(active, idle). libcurl does not tell: a descriptor that is no longer the same socket has been closed."""
        self._sockets = {fd: inode for fd, inode in self._sockets.items() if _inode(fd) == inode}
        active = sum(not exchange._waits_for_connection() for exchange in self._live)
        return active, max(0, len(self._sockets) - active)

    # ---- for callers

    def send(self, request: Request, sink: Sink) -> Exchange:
        """Start a request; everything else comes through the sink, never before `send` has returned.

        ValueError: a header or the URL cannot be sent as it is.  RuntimeError: the client is closed.
        """
        if self._closed:
            raise RuntimeError("send() on a closed UpstreamClient")
        free = self._free.get(request.way)
        if free:
            handle = free.pop()
            self._spare -= 1
        else:
            handle = self._new_handle(request.way)
        try:
            handle.prepare(request)
        except (ValueError, pycurl.error) as error:
            # What the handle keeps is unknown now.
            self._discard(handle)
            raise ValueError(f"{host_of(request.url)}: request cannot be sent: {error}") from error
        exchange = handle.exchange = Exchange(self, handle, request, sink, self.now())
        place = self._addresses.place_of(request)
        answer = self._names.known(place.host, place.family) if place is not None else None
        self._live.add(exchange)
        self._sent += 1
        if len(self._live) > self.pool.max_connections:
            self._is_dry()
        self._fit_pool(len(self._live))
        if place is None:
            self._start(exchange)
        elif answer is not None:
            self._addresses.point(handle.curl, place, answer)
            self._start(exchange)
        else:
            self._names.look_up(place.host, place.family, functools.partial(self._named, exchange, place))
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        return exchange

    def _start(self, exchange: Exchange) -> None:
        assert exchange._handle is not None
        exchange._added = True
        self._multi.add_handle(exchange._handle.curl)

    def _named(self, exchange: Exchange, place: Place, answer: Answer) -> None:
        """An exchange waited for this address, and can be sent now."""
        handle = exchange._handle
        if handle is None or exchange._ended or self._closed:
            return
        if not answer.addresses:
            host = host_of(exchange.request.url)
            words = f"{host}: name not resolved ({answer.error})"
            self._fail(exchange, Failure("dns", words, True, pycurl.E_COULDNT_RESOLVE_HOST))
            return
        self._addresses.point(handle.curl, place, answer)
        handle.hurry(self.now() - exchange.started)
        self._start(exchange)

    def resize(self, pool: Pool) -> None:
        """Other settings, or other files behind them, from the next request on; connections that are open go on, and
        are used again."""
        self.pool = dataclasses.replace(pool)  # another object: handles at work go when they are done (`recycle`)
        self._roots.adopt(pool)
        self._addresses.adopt(self.pool)
        self._bound()
        free, self._free, self._spare = self._free, {}, 0
        for handle in itertools.chain.from_iterable(free.values()):  # each has the options of its time
            self._discard(handle)

    def _bound(self) -> None:
        pool, multi = self.pool, self._multi
        self._limit = max(1, pool.keepalive_connections + max(0, len(self._live) - 1))
        multi.setopt(pycurl.M_MAXCONNECTS, self._limit)
        multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, pool.max_connections)
        multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, pool.max_connections_per_upstream or pool.max_connections)
        multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX if pool.http2 else pycurl.PIPE_NOTHING)

    async def prewarm(self, url: str, timeouts: Timeouts | None = None, way: Way = DIRECT) -> bool:
        """Open a connection to the URL's origin and leave it in the pool.  False, and a warning, if not.

        It sends HEAD "/": libcurl's CONNECT_ONLY connections do not go back to the pool. Any status will do.
        """
        origin = "/".join(url.split("/", 3)[:3]) + "/"
        warm = Warm(self._loop)
        request = Request("HEAD", origin, [], None, timeouts or Timeouts(total=10.0), way)
        try:
            exchange = self.send(request, warm)
        except ValueError as error:
            log.warning("prewarm: %s", error)
            return False
        try:
            failure = await warm.ended
        finally:
            exchange.cancel()
        if failure is not None:
            log.warning("prewarm: %s", failure.message)
        return failure is None

    def close(self) -> None:
        """Close every connection; exchanges in flight end with a "cancelled_by_pool" failure.  Idempotent."""
        if self._closed:
            return
        for exchange in list(self._live):
            host = host_of(exchange.request.url)
            self._fail(exchange, Failure("cancelled_by_pool", f"{host}: the upstream client was closed"))
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._sweeper = None
        super().close()
        for handle in itertools.chain.from_iterable(self._free.values()):
            handle.curl.close()
        self._free.clear()

    # ---- handles

    def _from_thread(self, step: Callable[..., None], *args: object) -> bool:
        """Calls `step` on the loop. Returns False where the loop has ended meanwhile."""
        try:
            self._loop.call_soon_threadsafe(step, *args)
        except RuntimeError:
            return False
        return True

    def _new_handle(self, way: Way) -> Handle:
        curl, pool = pycurl.Curl(), self.pool
        curl.setopt(pycurl.SOCKOPTFUNCTION, self._opened_socket)
        for option, value in options(pool).items():
            curl.setopt(option, value)
        way.put(curl, self._roots.path, pool.proxy, pool.family)
        handle = Handle(curl, self._ready, way)
        handle.pool = pool
        if pool.http2:
            handle.listen()
        curl.handle = handle
        self._handles += 1
        return handle

    def _opened_socket(self, fd: int, purpose: int) -> int:
        self._sockets[fd] = _inode(fd)
        return pycurl.SOCKOPT_OK

    def _discard(self, handle: Handle) -> None:
        self._handles -= 1
        handle.curl.close()

    def _is_dry(self) -> None:
        """More requests than connections; with HTTP/2 these hold many. Said now and then."""
        now = self.now()
        if now >= self._tell_at and not self.pool.http2:
            self._tell_at = now + TELL_S
            log.warning("connection pool is used up: %d requests want one of %d connections ([pool] max_connections)",
                        len(self._live), self.pool.max_connections)  # fmt: skip

    def _fit_pool(self, busy: int) -> None:
        """Keep at most `keepalive_connections` idle.

        libcurl closes the oldest idle connection when one becomes idle and there are more than M_MAXCONNECTS
        in all, busy ones included: so the limit moves with the number of busy ones.
        """
        limit = max(1, self.pool.keepalive_connections + busy - 1)
        if limit != self._limit:
            self._limit = limit
            self._multi.setopt(pycurl.M_MAXCONNECTS, limit)

    # ---- the ends of an exchange

    def _done(self, curl: pycurl.Curl, errno: int, detail: str) -> None:
        """libcurl has finished with a handle."""
        handle: Handle | None = getattr(curl, "handle", None)
        if handle is None:
            self._finish(curl, errno or None, detail or None)  # one of Tornado's, from `fetch`
            self._process_queue()
            return
        exchange = handle.exchange
        if exchange is None:
            return
        self._detach(exchange, handle)
        if errno or not exchange.status:
            self._failed += 1
            if exchange._failure is None:
                exchange._failure = self._judge(exchange, curl, errno, detail)
            place = self._addresses.place_of(exchange.request)
            if place is not None and exchange._failure.kind in NOBODY_THERE:
                self._names.forget(place.host)
        exchange._ended = True
        if not exchange._queued:
            exchange._queued = True
            self._ready.append(exchange)

    def _judge(self, exchange: Exchange, curl: pycurl.Curl, errno: int, detail: str) -> Failure:
        url, now = exchange.request.url, self.now()
        if not errno:  # libcurl is content with a connection that ends within the head
            return Failure("closed", f"{host_of(url)}: connection lost within the reply's head")
        if errno == pycurl.E_OPERATION_TIMEDOUT and curl.getinfo(pycurl.CONN_ID) < 0:
            return self.exhausted(exchange, now - exchange.started)
        sent, replied = curl.getinfo(pycurl.REQUEST_SIZE) > 0, exchange._head_bytes > 0
        connected = curl.getinfo(pycurl.CONNECT_TIME) > 0
        handle: Handle = curl.handle
        # libcurl may want to send again what it could not send, and then 65 is what it reports.
        could_not_send = errno == pycurl.E_SEND_ERROR or (errno == pycurl.E_SEND_FAIL_REWIND and "Send f" in detail)
        if could_not_send and not curl.getinfo(pycurl.NUM_CONNECTS):
            exchange.reused = True
        last_stream = self._last_stream(handle) if self.pool.http2 else NO_GOAWAY
        return from_curl(
            errno,
            detail,
            url,
            reused=exchange.reused,
            replied=replied,
            sent=sent,
            connected=connected,
            unworked=not replied and self._is_unworked(exchange, handle, could_not_send, last_stream < NO_GOAWAY),
            refused=handle.refused or handle.stream > last_stream,
        )

    def _is_unworked(self, exchange: Exchange, handle: Handle, could_not_send: bool, told_last: bool) -> bool:
        """A connection died with no byte of reply: whether the upstream surely has not worked on the request."""
        if not exchange.is_sent:
            return True
        many = self.pool.http2 and exchange.request.url.startswith("https:")  # its bytes may be other requests' too
        if could_not_send and not many:
            return True  # the kernel did not even take all of it
        hangup = self._hangups.get(handle.curl.getinfo(pycurl.LOCAL_PORT))
        if hangup is not None and hangup.unread and not many:
            return True
        if told_last or not exchange.reused:  # a GOAWAY tells what was not worked on
            return False
        if exchange.sent_at >= self._ran_at:
            return True  # libcurl found it dead in the call in which it sent the request
        return hangup is not None and hangup.at - exchange.sent_at <= hangup.race_s

    def _last_stream(self, handle: Handle) -> int:
        """The last one of its connection that the upstream may have worked on, by its GOAWAY."""
        connection = handle.curl.getinfo(pycurl.CONN_ID)
        told = [self._goaways.get(connection, NO_GOAWAY), handle.last_stream]
        for other in self._live:
            if (their := other._handle) is not None and their.last_stream < NO_GOAWAY:
                if their.curl.getinfo(pycurl.CONN_ID) == connection:
                    told.append(their.last_stream)
        if (last := min(told)) < NO_GOAWAY:
            while len(self._goaways) >= MAX_GOAWAYS:
                del self._goaways[next(iter(self._goaways))]
            self._goaways[connection] = last
        return last

    def _fail(self, exchange: Exchange, failure: Failure) -> None:
        """We end it: the connection is closed, the sink is told."""
        handle = exchange._handle
        if handle is None or exchange._ended:
            return
        self._detach(exchange, handle)
        self._failed += 1
        exchange._failure = failure
        exchange._ended = True
        exchange.deliver(self.now())

    def let_go(self, exchange: Exchange) -> None:
        """The sink's owner ends it: the connection is closed, nobody is told."""
        handle = exchange._handle
        if handle is None:
            return
        if not exchange._ended:
            self._detach(exchange, handle)
            self._cancelled += 1
            exchange._ended = True
        self.recycle(exchange)

    def _detach(self, exchange: Exchange, handle: Handle) -> None:
        """Out of libcurl's hands; if it was not finished, libcurl closes the connection here and now."""
        self._live.discard(exchange)
        if not exchange._added:  # it was waiting for its address
            self._fit_pool(len(self._live))
            return
        self._multi.remove_handle(handle.curl)
        if handle.last_stream < NO_GOAWAY:
            self._last_stream(handle)
        connects = handle.curl.getinfo(pycurl.NUM_CONNECTS)
        if connects:
            self._opened += connects
            secure = handle.curl.getinfo(pycurl.APPCONNECT_TIME)
            exchange.connect_ms = (secure or handle.curl.getinfo(pycurl.CONNECT_TIME)) * 1000
        elif handle.curl.getinfo(pycurl.REQUEST_SIZE):
            exchange.reused = True
            self._reused += 1
        self._fit_pool(len(self._live))

    def recycle(self, exchange: Exchange) -> None:
        """The handle goes back to the pool; a stale exchange cannot reach it any more."""
        handle = exchange._handle
        if handle is None:
            return
        exchange._handle = handle.exchange = None
        handle.parts.clear()
        handle.room = TURN_BYTES
        if self._closed or handle.pool is not self.pool or self._spare >= SPARE_HANDLES:
            self._discard(handle)
        else:
            self._free.setdefault(handle.way, []).append(handle)
            self._spare += 1

    def exhausted(self, exchange: Exchange, age: float) -> Failure:
        host = host_of(exchange.request.url)
        busy = sum(1 for x in self._live if host_of(x.request.url) == host and not x._waits_for_connection())
        words = f"connection pool exhausted: {busy} connections to {host} in use, none came free in {age:.1f} s"
        return Failure("pool_exhausted", words, replayable=True)

    def unpause(self, curl: pycurl.Curl) -> None:
        """Let libcurl read on.  What it held back it hands over here and now, and asks to be called soon."""
        try:
            curl.pause(pycurl.PAUSE_CONT)
        except pycurl.error as error:
            # The transfer failed with what was held back; libcurl reports it as any other end, in `_collect`.
            log.debug("resume: %s", error)

    # ---- after libcurl has run

    def _turn(self) -> None:
        """After libcurl has run: note what ended, then tell the sinks all that came."""
        info_read = self._multi.info_read if not self._closed else None
        while info_read is not None:
            left, fine, broken = info_read()
            for curl in fine:
                self._done(curl, 0, "")
            for curl, errno, detail in broken:
                self._done(curl, errno, detail)
            if not left:
                break
        if self._hangups:  # another connection may have the port of one that is closed
            self._hangups = {port: seen for port, seen in self._hangups.items() if _inode(seen.fd) == seen.inode}
        ready = self._ready
        if ready:
            now = self.now()
            for exchange in ready:  # a sink that resumes may lengthen the list while we walk it
                exchange.deliver(now)
            ready.clear()

    def _sweep(self) -> None:
        """The one timer behind first byte, idle and total timeouts; it runs while something is in flight."""
        now = self.now()
        self._sweeper = None
        late = [(x, failure) for x in self._live if (failure := x.overdue(now)) is not None]
        for exchange, failure in late:
            self._fail(exchange, failure)
        if self._live and self._sweeper is None and not self._closed:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)


def _inode(fd: int) -> int:
    """Returns the inode of a descriptor, or 0 where it is closed."""
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return 0
