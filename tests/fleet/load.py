"""Clients that ask for whole and streamed replies by turns; every odd answer is kept."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.fleet.fleet import KEY
from tests.support.script import Answer, Request

ASKED = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
SAID = {"role": "assistant", "content": "hello"}
OK = {
    "id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": SAID, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
}  # fmt: skip
STREAM: list[bytes | float] = [
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"hel"}}]}\n\n', 0.05,
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
]  # fmt: skip


def answer(request: Request) -> Answer:
    """What the upstream says."""
    return Answer.sse(STREAM) if request.json.get("stream") else Answer.json(OK)


class Load:
    """counts: replies by status; "broken" is one that was cut, or none. odd: the first of these."""

    def __init__(self, ports: list[int], clients: int = 16, pause_s: float = 0.0, *, streams: bool = True) -> None:
        self._ports = itertools.cycle(ports)
        self._clients, self._pause_s, self._streams = clients, pause_s, streams
        self.counts: Counter[str] = Counter()
        self.odd: list[str] = []
        self.slowest_s = 0.0
        self._end = 0.0

    async def run(self, seconds: float, *meanwhile: Callable[[], Awaitable[None]]) -> None:
        """For so long; 0 = until `meanwhile` is done."""
        self._end = time.monotonic() + seconds if seconds else math.inf
        clients = [asyncio.ensure_future(self._client()) for _ in range(self._clients)]
        for each in meanwhile:
            await each()
        self._end = min(self._end, time.monotonic()) if not seconds else self._end
        await asyncio.gather(*clients)

    async def _client(self) -> None:
        for number in itertools.count():
            if time.monotonic() > self._end:
                return
            begun = time.monotonic()
            streams = self._streams and number % 2 == 0
            try:
                status, body = await self._ask(next(self._ports), streams)
            except (OSError, asyncio.IncompleteReadError, ValueError) as why:
                status, body = "broken", repr(why).encode()
            if status == "200" and streams and b"[DONE]" not in body:
                status = "broken"
            self.counts[status] += 1
            if status not in ("200", "429") and len(self.odd) < 10:
                self.odd.append(f"{status}: {body[:300].decode(errors='replace')}")
            self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
            await asyncio.sleep(self._pause_s)

    async def _ask(self, port: int, streams: bool) -> tuple[str, bytes]:
        body = json.dumps(ASKED | {"stream": streams}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "
                + KEY.encode() + b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )  # fmt: skip
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            rest = await reader.read()
            status, lower = head.split(" ", 2)[1], head.lower()
            if "chunked" in lower and not rest.endswith(b"0\r\n\r\n"):
                return "broken", rest
            if "content-length:" in lower:
                size = int(lower.split("content-length:")[1].split("\r\n")[0])
                if size != len(rest):
                    return "broken", rest
            return status, rest
        finally:
            writer.close()


def logged(folder: Path) -> str:
    """What the proxies' error logs say."""
    return "".join(file.read_text() for file in sorted(folder.glob("*/error*.log")))
