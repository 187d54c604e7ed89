"""A scripted upstream on real sockets, and a sink that writes down what it is told.

    async with Upstream(script) as up, client(pool) as c:
        told = await ask(c, up.url, body=b"x")

`script(conn)` is run for every connection: `await conn.request()` reads one request (None at its end),
`conn.send(bytes)` answers, returning closes.  `up` counts connections and keeps all requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

from upstream.client import UpstreamClient
from upstream.exchange import Exchange
from upstream.failure import Failure
from upstream.pool import Pool
from upstream.request import DIRECT, Request, Timeouts
from upstream.way import Way

UNCHECKED = Way(verify=False)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

# A certificate for localhost and 127.0.0.1 that signs itself; of no use anywhere else.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUPzJRwj6DBkxU14AWn45vqJ/CrMMwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzE3MTMwNloYDzIxMjYxMDMw
MTcxMzA2WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARAhiZFwL6G1+m5rDfmd4QdcHFmbgnrjZq5e+jQOB9lxXd8NMRpYJXl
UwdLY+gKsFNslJ7Dk2+06/Md0IFbJxR1o28wbTAdBgNVHQ4EFgQUHoIdj4n1QlQX
r/Q7eMDe8k+jb0owHwYDVR0jBBgwFoAUHoIdj4n1QlQXr/Q7eMDe8k+jb0owDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgXZKC1IblPmqI40lTxpLk9ZrRUQ4CyLHeBt+Ih6C9sNwCIQCO
g10G6c2Nwlj03z/9KB/qzerrh1VBHu7SCq1Y8fNFoQ==
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgT+SXa1qYMYDuyQwC
FwBbI0lt43OfVvobGlwgU2zCTsShRANCAARAhiZFwL6G1+m5rDfmd4QdcHFmbgnr
jZq5e+jQOB9lxXd8NMRpYJXlUwdLY+gKsFNslJ7Dk2+06/Md0IFbJxR1
-----END PRIVATE KEY-----
"""


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; b"" is the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Conn:
    """One connection that the upstream accepted."""

    def __init__(self, up: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.up, self.reader, self.writer = up, reader, writer

    async def request(self) -> bytes | None:
        """The next request, head and body together; None when the other side has closed."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            size = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    size = int(line[15:])
            body = await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        self.up.requests.append(head + body)
        return head + body

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def gone(self) -> None:
        """Until the other side closes; notes the time."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        self.up.closed_at.append(asyncio.get_running_loop().time())
        self.up.saw_close.set()

    def reset(self) -> None:
        """Close with a RST."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Conn], Awaitable[None]]


async def answer_ok(conn: Conn) -> None:
    """Every request: 200 "ok", the connection is kept."""
    while (request := await conn.request()) is not None:
        conn.send(OK[:-2] if request.startswith(b"HEAD") else OK)


class Upstream:
    """A server on a port of its own; `tls` serves CERTIFICATE, `h2` over TLS that speaks HTTP/2."""

    def __init__(self, script: Script = answer_ok, tls: bool = False, sndbuf: int = 0, h2: bool = False) -> None:
        self.script, self.tls, self.sndbuf, self.h2 = script, tls or h2, sndbuf, h2
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.most_open = 0
        self.requests: list[bytes] = []
        self.closed_at: list[float] = []
        self.saw_close = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Upstream:
        context = None
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem:
                pem.write(CERTIFICATE + KEY)
                pem.flush()
                context.load_cert_chain(pem.name)
            if self.h2:
                context.set_alpn_protocols(["h2"])
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, ssl=context, backlog=1024)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{port}/v1/x"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self.open):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open.add(writer)
        self.most_open = max(self.most_open, len(self.open))
        if self.sndbuf:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.sndbuf)
        try:
            await self.script(Conn(self, reader, writer))
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            self.open.discard(writer)
            self._tasks.discard(task)
            writer.close()


class Told:
    """A sink that keeps everything. `then` is called with (self, "head" | "data" | "end") after each call."""

    def __init__(self, then: Callable[[Told, str], None] | None = None, keep: bool = True) -> None:
        self.calls: list[str] = []
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.size = 0
        self.largest = 0
        self.failure: Failure | None = None
        self.ended = asyncio.Event()
        self.began = asyncio.Event()
        self.exchange: Exchange | None = None
        self._then = then
        self._keep = keep

    def on_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.calls.append("head")
        self.status, self.headers = status, headers
        self.began.set()
        if self._then:
            self._then(self, "head")

    def on_data(self, chunk: bytes) -> None:
        self.calls.append("data")
        self.size += len(chunk)
        self.largest = max(self.largest, len(chunk))
        if self._keep:
            self.body += chunk
        if self._then:
            self._then(self, "data")

    def on_end(self, failure: Failure | None) -> None:
        self.calls.append("end")
        self.failure = failure
        self.ended.set()
        if self._then:
            self._then(self, "end")

    @property
    def kind(self) -> str:
        """The failure's kind; "" without one."""
        return self.failure.kind if self.failure else ""


@contextlib.asynccontextmanager
async def client(pool: Pool | None = None) -> AsyncIterator[UpstreamClient]:
    made = UpstreamClient(force_instance=True, pool=pool or Pool())
    try:
        yield made
    finally:
        made.close()


def begin(
    c: UpstreamClient,
    url: str,
    body: bytes | None = b"hello",
    told: Told | None = None,
    *,
    method: str = "",
    headers: list[str] | None = None,
    timeouts: Timeouts | None = None,
    verify: bool = True,
    **more: Any,
) -> Told:
    """Send; the exchange is at `told.exchange`."""
    told = told or Told()
    method = method or ("GET" if body is None else "POST")
    way = DIRECT if verify else UNCHECKED
    request = Request(method, url, headers or ["X-Test: 1"], body, timeouts or Timeouts(), way, **more)
    told.exchange = c.send(request, told)
    return told


async def ask(c: UpstreamClient, url: str, body: bytes | None = b"hello", **options: Any) -> Told:
    """Send and wait for the end."""
    told = begin(c, url, body, **options)
    await asyncio.wait_for(told.ended.wait(), 20)
    return told


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A coroutine as a plain test, on a loop of its own, and bounded."""

    def wrapper() -> None:
        async def bounded() -> None:
            await asyncio.wait_for(test(), 50)

        asyncio.run(bounded())

    wrapper.__name__, wrapper.__doc__ = test.__name__, test.__doc__
    return wrapper


def says(*replies: bytes, close: bool = False):
    """A script that answers the requests of each connection with these, over and over."""

    async def script(conn: Conn) -> None:
        while True:
            for reply in replies:
                if await conn.request() is None:
                    return
                conn.send(reply)
                if close:
                    return

    return script
