"""An HTTP/1.1 client with a stopwatch: one connection, one request at a time.

It is plain asyncio, so that what it costs itself is small and the same whatever it asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

PATIENCE_S = 120.0


@dataclass(slots=True)
class Reply:
    """connect_s: 0 on a connection that was kept. first_s: until the first byte of the body. trouble: why it is not
    whole."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    connect_s: float = 0.0
    first_s: float = 0.0
    total_s: float = 0.0
    trouble: str = ""

    @property
    def is_good(self) -> bool:
        return self.status == 200 and not self.trouble

    def words(self) -> str:
        """Why it is not good, for a person."""
        said = " ".join(self.body[:300].decode(errors="replace").split())[:120]
        return self.trouble or f"{self.status}: {said}"


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Client:
    """A client of one server. fresh: it dials anew for each request."""

    def __init__(self, url: str, *, fresh: bool = False, context: ssl.SSLContext | None = None) -> None:
        address = urlsplit(url)
        self._host, self._base = address.hostname or "", address.path.rstrip("/")
        is_tls = address.scheme == "https"
        self._port = address.port or (443 if is_tls else 80)
        self._tls = (context or ssl.create_default_context()) if is_tls else None
        self._authority = address.netloc.rpartition("@")[2]
        self._fresh = fresh
        self._pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Request) -> Reply:
        reply, began = Reply(), time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._ask(request, reply, began)
        except TimeoutError:
            reply.trouble = f"no reply within {PATIENCE_S:.0f} s"
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as why:
            reply.trouble = f"{type(why).__name__}: {why}"[:160]
        reply.total_s = time.perf_counter() - began
        if self._fresh or reply.trouble or reply.headers.get("connection", "").lower() == "close":
            await self.close()
        return reply

    async def close(self) -> None:
        pair, self._pair = self._pair, None
        if pair is not None:
            pair[1].close()
            with contextlib.suppress(OSError):
                await pair[1].wait_closed()

    async def _ask(self, request: Request, reply: Reply, began: float) -> None:
        if self._pair is None:
            self._pair = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=1 << 24)
            reply.connect_s = time.perf_counter() - began
        reader, writer = self._pair
        writer.write(self._written(request))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        reply.status = int(head[0].split(" ", 2)[1])
        reply.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if "chunked" in reply.headers.get("transfer-encoding", "").lower():
            await self._chunks(reader, reply, began)
            return
        length = reply.headers.get("content-length")
        reply.body = await (reader.readexactly(int(length)) if length is not None else reader.read())
        reply.first_s = time.perf_counter() - began

    async def _chunks(self, reader: asyncio.StreamReader, reply: Reply, began: float) -> None:
        parts = []
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            parts.append((await reader.readexactly(size + 2))[:-2])
            reply.first_s = reply.first_s or time.perf_counter() - began
        while (await reader.readuntil(b"\r\n")) != b"\r\n":
            pass
        reply.body = b"".join(parts)

    def _written(self, request: Request) -> bytes:
        lines = [f"{request.method} {self._base}{request.path} HTTP/1.1", f"host: {self._authority}"]
        lines += [f"{name}: {value}" for name, value in request.headers]
        if request.method == "POST":
            lines.append(f"content-length: {len(request.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body
