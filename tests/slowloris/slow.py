"""Connections that send their head or their body byte by byte, or read nothing of their reply.

They run in a process of their own, with the upstream that sends what the readers do not read, so that what they cost is
not taken for the proxy's slowness:

    python -m tests.slowloris.slow HEADS BODIES READERS

It prints the upstream's URL, reads the proxy's port, and prints a line when all have come. When its standard input
ends, it prints with which status each head and body was let go, and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import sys
from collections import Counter

from tests.support.script import Answer, Upstream

A_SECOND = 200  # slow ones that come
CHUNK = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"a" * 60_000)
EVERY_S = 1.0  # a byte
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
STREAM = json.dumps({"model": "much/m", "stream": True, "messages": [{"role": "user", "content": "much"}]}).encode()


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


async def all_of(heads: int, bodies: int, readers: int) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    port = int(await lines.readline())
    over = asyncio.Event()
    kinds = [*(head(port) for _ in range(heads)), *(body(port) for _ in range(bodies)),
             *(reader(port, over) for _ in range(readers))]  # fmt: skip
    tasks = []
    for one in kinds:
        tasks.append(asyncio.ensure_future(one))
        await asyncio.sleep(1 / A_SECOND)
    print("come", flush=True)
    await lines.read()
    over.set()
    print(json.dumps(Counter(await asyncio.gather(*tasks))), flush=True)


def main(argv: list[str]) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with Upstream(lambda _: Answer.sse([CHUNK] * 100)) as much:
        print(much.url, flush=True)
        asyncio.run(all_of(*map(int, argv)))


if __name__ == "__main__":
    main(sys.argv[1:])
