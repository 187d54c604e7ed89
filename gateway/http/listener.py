"""Where clients' connections come in: Tornado's server, with limits that it does not have.

These are: how many connections there are at once, how long a client may leave a reply unread, and which worker gets a
new connection if several listen on the same socket. Without a [client], other machines get no connection: a socket that
systemd has opened may have another address than the settings. Requests on connections go through endpoints.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import resource
import socket
import ssl
import sys
from collections.abc import Collection, Iterable
from typing import Protocol, cast

from tornado.httpserver import HTTPServer, _HTTPRequestContext
from tornado.httputil import HTTPServerConnectionDelegate
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, StreamClosedError

from gateway.http import connection
from gateway.http.client_stream import ClientStream
from gateway.http.forwarded import Clients, is_own
from gateway.http.idle_connections import Idle, ServerConnection
from gateway.http.rate_limited_warning import Seldom
from gateway.http.tls_stream import TlsStream, write_no_more
from gateway.http.unread import Unread
from gateway.limits.per_address import PerAddress, holder
from operate import tls
from operate.settings.load import Settings

log = logging.getLogger("proxy")

READ_BUFFER_BYTES = 1 << 20  # of a client's connection, in Tornado; more than a head and one read
RESERVED = 32  # places beyond max_connections, for one request each: operators get their pages, others a 503
OTHER_FILES = 64 + RESERVED  # files besides connections: logs, listening sockets, the loop's own
UNSENT_BYTES = 128 * 1024  # that the kernel may hold for a client, besides what is on its way
MOST_TOLD = 32  # how many are told at once that there is no place
TELLING_S = 1.0
_BODY = b'{"type":"error","error":{"type":"%b","code":"%b","param":null,"message":"%b"}}'
_HEAD = (
    b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b"
)


def _refusal(status: bytes, kind: bytes, code: bytes, message: bytes) -> bytes:
    body = _BODY % (kind, code, message)
    return _HEAD % (status, len(body), body)


_FULL = _refusal(
    b"503 Service Unavailable", b"overloaded_error", b"overloaded",
    b"the proxy has no place for a further connection ([server] max_connections)",
)  # fmt: skip
_MANY = _refusal(
    b"429 Too Many Requests", b"rate_limit_error", b"rate_limit_exceeded",
    b"this address has too many connections here already ([limits] connections_per_address)",
)  # fmt: skip
_STRANGE = _refusal(
    b"403 Forbidden", b"permission_error", b"permission_denied",
    b"without a [client] section in settings.ini only this machine is served",
)  # fmt: skip
_HERE = "127.0.0.1", 0
"""The address of who comes by a Unix socket: from this machine, as a reverse proxy in front of us may."""

_MAPPED = "::ffff:"
"""Before an IPv4 address, where a socket serves IPv6 and IPv4: ours do not, those of systemd do (ListenStream=8082)."""

MOST_AT_ONCE = 8  # connections that are taken in one turn of the loop, which takes a few milliseconds
WAITING_AT = 24  # in Linux' struct tcp_info: tcpi_unacked, of a listening socket those that wait to be accepted


class Addressed(Protocol):
    """A connection, or a websocket."""

    @property
    def context(self) -> object: ...

    @property
    def stream(self) -> IOStream: ...


class Server(HTTPServer):
    """Tornado's server with two limits: on connections, and on how long a client may leave what waits for it unread.
    refused: how many connections were turned away, by the reason."""

    max_connections = 2000
    websockets: Collection[Addressed] = ()  # Tornado does not count them as connections
    write_timeout_ms = 75_000
    workers = 1  # how many accept from the same sockets
    idle: Idle
    clients = Clients(())
    _of_address: PerAddress
    _unread_here: Unread
    _many = Seldom(log, "connection from %s refused: it has too many already ([limits] connections_per_address)")
    _stranger = Seldom(log, "connection from %s refused: without a [client] section only this machine is served")
    _full = Seldom(log, "connection from %s refused: %d are open, and none is idle ([server] max_connections)")
    _unread = Seldom(log, "connection of %s closed: it took nothing of its reply for %g s ([server] idle_timeout)")
    refused: dict[str, int]
    serves_others = False  # whether other machines are served: there are clients with keys
    _reserved: set[object]  # connections in reserved places
    _told: set[asyncio.Future[None]]  # those who are being told that there is no place
    _gone: asyncio.Event | None = None  # set when the last connection closes, while the server stops

    def adopt(self, settings: Settings) -> None:
        """Takes over the limits of the settings. The one for idle connections also holds for open ones."""
        self.max_connections = connections_that_fit(settings)
        self.write_timeout_ms = int(settings.server.idle_timeout * 1000)
        self._unread_here.patience_s = settings.server.idle_timeout
        self.workers = settings.server.workers
        before, self.serves_others = self.serves_others, bool(settings.clients)
        if before and not self.serves_others:
            self._part_with_others()
        self.ssl_options = self._context(settings)
        self.clients = Clients(settings.server.trusted_proxies)
        self._of_address.adopt(settings.limits.connections_per_address)
        self.conn_params.max_header_size = settings.limits.header_kb << 10
        self.idle.adopt(settings.server.idle_timeout, settings.limits.header_seconds)

    def _part_with_others(self) -> None:
        """Who has come from another machine, with the key of a client that there is no more, would be served without
        one. That can be where systemd has opened the port; other ports are this machine's alone then."""
        for each in cast(list[Addressed], [*self._connections, *self.websockets]):
            if not is_own(getattr(each.context, "remote_ip", "")):
                each.stream.close()

    def _context(self, settings: Settings) -> ssl.SSLContext | None:
        """Returns the context for new connections. If the files have changed since they were read and are not valid any
        more, it is the old one."""
        chosen = settings.server
        if not chosen.tls_cert:
            return None
        try:
            return tls.server_context(chosen.tls_cert, chosen.tls_key, chosen.tls_key_password, chosen.tls_client_ca)
        except tls.Fault as fault:
            if not isinstance(self.ssl_options, ssl.SSLContext):
                raise
            log.error("%s; the earlier certificate stays in force", fault)
            return self.ssl_options

    def _handle_connection(self, accepted: socket.socket, address: tuple[str, int]) -> None:
        stream: IOStream | None
        if isinstance(self.ssl_options, ssl.SSLContext):
            stream = self._secured(accepted, self.ssl_options)
        else:
            stream = ClientStream(accepted, max_buffer_size=self.max_buffer_size)
        if stream is None:
            return
        try:
            self.handle_stream(stream, address)
        except BaseException:  # our fault, but the client must not wait for nothing
            stream.close()
            raise

    def _secured(self, accepted: socket.socket, context: ssl.SSLContext) -> TlsStream | None:
        """Returns the stream with TLS; None if the client has left meanwhile."""
        try:
            secured = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        except OSError:
            accepted.close()
            return None
        return TlsStream(secured, max_buffer_size=self.max_buffer_size, read_chunk_size=self.read_chunk_size)

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        if not self.serves_others and not is_own(address[0]):
            self.refused["stranger"] += 1
            self._stranger.tell(address[0])
            self._turn_away(stream, _STRANGE)
            return
        if not self.clients.is_unbounded(address[0]) and self._has_too_many(address[0]):
            self.refused["address"] += 1
            self._many.tell(address[0])
            self._turn_away(stream, _MANY)
            return
        reserved = self.open_ones >= self.max_connections and not self.idle.make_room()
        if reserved and len(self._reserved) >= RESERVED and not self.idle.make_room(reserved=True):
            self._is_full(address[0])
            self._turn_away(stream, _FULL)
            return
        # The kernel knows whether the other side takes anything; Tornado has no timeout for writing.
        if stream.socket.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
            stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self.write_timeout_ms)
        else:
            self._unread_here.watch(stream)
        context = _HTTPRequestContext(stream, address, self.protocol, self.trusted_downstream)
        context.remote_ip = address[0]  # for a Unix socket Tornado has another value
        client = connection.Connection(stream, self.conn_params, context)
        if reserved:
            client.turned_away = functools.partial(self._is_full, address[0])
            self._reserved.add(cast(ServerConnection, client))
        self._connections.add(client)
        self._of_address.take(address[0])
        client.start_serving(self)

    @property
    def open_ones(self) -> int:
        """Connections and websockets, without those in reserved places."""
        return len(self._connections) - len(self._reserved) + len(self.websockets)

    def states(self) -> dict[str, int]:
        """How many connections wait for a request, have one, and are websockets."""
        idle = len(self.idle)
        return {"idle": idle, "busy": max(0, len(self._connections) - idle), "websocket": len(self.websockets)}

    def _is_full(self, address: str) -> None:
        self.refused["full"] += 1
        self._full.tell(address, self.max_connections)

    def _has_too_many(self, address: str) -> bool:
        of = holder(address)
        sockets = sum(1 for each in self.websockets if holder(getattr(each.context, "remote_ip", "")) == of)
        return self._of_address.is_full(address, sockets)

    def _turn_away(self, stream: IOStream, why: bytes) -> None:
        """Refuses a connection in words, as long as few are being told: each of them takes a file, too."""
        if len(self._told) >= MOST_TOLD:
            stream.close()
            return
        telling = asyncio.ensure_future(_tell(stream, why))
        self._told.add(telling)
        telling.add_done_callback(self._told.discard)

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Each turn of the loop takes this worker's share of the connections that wait (`_ready`). Tornado's own way
        takes all of them, and with several workers the first to wake would have them."""
        loop = IOLoop.current()
        for each in sockets:
            _bound_unsent(each)
            self._sockets[each.fileno()] = each
            self._handlers[each.fileno()] = functools.partial(loop.remove_handler, each)
            loop.add_handler(each, self._ready, IOLoop.READ)

    def _ready(self, listening: socket.socket, events: int) -> None:
        """Takes one connection if one waits, so that the worker with the least to do takes the most. If more wait, no
        worker is idle, and a turn may be long (hundreds of streams): with one connection in each turn, new ones would
        wait for seconds."""
        for _ in range(self._share(_waiting(listening))):
            if not self._accept(listening):
                return

    def _share(self, waiting: int) -> int:
        return min(MOST_AT_ONCE, max(1, -(-waiting // self.workers)))

    def _accept(self, listening: socket.socket) -> bool:
        """Accepts a connection. Returns False if none waits."""
        try:
            accepted, address = listening.accept()
            if listening.family == socket.AF_UNIX:
                address = _HERE
            elif address[0].startswith(_MAPPED):
                address = address[0].removeprefix(_MAPPED), address[1]
        except (BlockingIOError, ConnectionAbortedError):
            return False
        self._handle_connection(accepted, address)
        return True

    def stop(self) -> None:
        """Accepts no more. Clients that have connected already are not turned away."""
        for each in self._sockets.values() if not self._stopped else ():
            with contextlib.suppress(OSError):  # no files left: then they are, after all
                while self._accept(each):
                    pass
        super().stop()

    async def emptied(self, within_s: float) -> None:
        """Waits until no connection is open, or until the time is over."""
        if self._connections:
            self._gone = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), within_s)

    def on_close(self, server_conn: object) -> None:
        super().on_close(server_conn)
        client = cast(ServerConnection, server_conn)  # Tornado promises an object; it gives one of its own
        if getattr(client.stream.error, "errno", None) == errno.ETIMEDOUT:
            self._unread.tell(client.context.remote_ip, self.write_timeout_ms / 1000)
        self.idle.ends(client)
        self._reserved.discard(client)
        self._of_address.give_back(client.context.remote_ip)
        if self._gone is not None and not self._connections:
            self._gone.set()


def _bound_unsent(listening: socket.socket) -> None:
    """Connections inherit it. Without it, the kernel takes megabytes for each client that reads nothing: the proxy
    spends its time on streams that nobody reads, and no limit of its settings counts that memory."""
    if listening.family != socket.AF_UNIX and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def _waiting(listening: socket.socket) -> int:
    """Connections that the kernel holds for whoever accepts them; 0 where it does not say (no Linux)."""
    if not hasattr(socket, "TCP_INFO"):
        return 0
    try:
        info = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, WAITING_AT + 4)
    except OSError:
        return 0
    return int.from_bytes(info[WAITING_AT:], sys.byteorder)


async def _tell(stream: IOStream, why: bytes) -> None:
    """Why it is not served. What the client sends meanwhile is read: to close on it would take the answer back."""
    with contextlib.suppress(OSError, TimeoutError, StreamClosedError):
        async with asyncio.timeout(TELLING_S):
            await stream.write(why)
            write_no_more(stream)
        await connection.drop(stream, TELLING_S)
    stream.close()


def make_server(door: HTTPServerConnectionDelegate, idle: Idle, websockets: Collection[Addressed]) -> Server:
    """Makes the server without its settings; adopt() comes next."""
    server = Server(
        door,
        max_body_size=sys.maxsize,  # the gateway says 413, and reads on for body_timeout so that it is read
        max_buffer_size=READ_BUFFER_BYTES,
    )
    server.conn_params.header_timeout = None  # `idle` does it, for all of them at once
    server.idle = idle
    server._told = set()
    server._reserved = set()
    server._unread_here = Unread()
    server.refused = {"full": 0, "address": 0, "stranger": 0}
    server._of_address = PerAddress("connections", "connections_per_address")
    server.websockets = websockets
    return server


def connections_that_fit(chosen: Settings) -> int:
    """[server] max_connections, or as many as the system gives us files for, said in a warning. Without a file left,
    accepting fails, and is tried again without end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = chosen.pool.max_connections + OTHER_FILES
    wanted = chosen.server.max_connections + others
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return chosen.server.max_connections
    fit = _fit(chosen, soft)
    log.warning("only %d client connections instead of %d ([server] max_connections): the limit of open files is %d; "
                "raise it by ulimit -n or LimitNOFILE=", fit, chosen.server.max_connections, soft)  # fmt: skip
    return fit


def files_for_upstreams(chosen: Settings) -> int:
    """How many connections to upstreams the system gives us files for. Without a file left, a connection fails, and the
    upstream would be blamed for it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if hard == resource.RLIM_INFINITY else max(1, hard - OTHER_FILES - _fit(chosen, hard))


def _fit(chosen: Settings, files: int) -> int:
    """How many connections of clients so many files are enough for. Most requests need one connection to an upstream,
    so that half of few files are for clients."""
    left = files - OTHER_FILES
    return min(chosen.server.max_connections, max(1, left - chosen.pool.max_connections, left // 2))
