"""Connections that send their head or their body byte by byte, or read nothing of their reply."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

EVERY_S = 1.0  # a byte
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
STREAM = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "much"}]}).encode()


async def head(port: int) -> int:
    """The status with which it is let go."""
    return await _trickle(port, b"", HEAD + b"X-Long: " + b"a" * 10_000)


async def body(port: int) -> int:
    return await _trickle(port, HEAD + b"Content-Length: 10000\r\n\r\n", b'{"model": "' + b"a" * 10_000)


async def reader(port: int, over: asyncio.Event) -> int:
    """Asks for a long stream and reads nothing until `over`, so that it sees no end either."""
    taker = socket.socket()
    try:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        taker.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(taker, ("127.0.0.1", port))
        await loop.sock_sendall(taker, HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(STREAM), STREAM))
        await over.wait()
    finally:
        taker.close()
    return 0


async def _trickle(port: int, at_once: bytes, slowly: bytes) -> int:
    source, sink = await asyncio.open_connection("127.0.0.1", port)
    sink.write(at_once)
    answer = asyncio.ensure_future(source.read())
    try:
        for at in range(len(slowly)):
            if answer.done():
                break
            sink.write(slowly[at : at + 1])
            await asyncio.wait({answer}, timeout=EVERY_S)
        said = await answer
    except ConnectionError:  # closed while another byte was on its way
        return 0
    finally:
        answer.cancel()
        sink.close()
        with contextlib.suppress(ConnectionError):
            await sink.wait_closed()
    return int(said.split()[1]) if said else 0
