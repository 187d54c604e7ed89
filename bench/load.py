"""Makes the requests, in turns: what is compared is asked alternately, so that a noisy moment meets all sides alike."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from bench.client import Client, Reply, Request

BLOCKS = 4  # how often the sides take turns
GIVE_UP = 3  # failures in a row after which a side is asked no more: they cost, too


@dataclass(frozen=True)
class Way:
    """One side of a comparison. cpu: reads the CPU seconds that its process has used so far."""

    name: str
    url: str
    request: Request
    fresh: bool = False
    context: ssl.SSLContext | None = None
    cpu: Callable[[], float | None] = lambda: None

    def client(self) -> Client:
        return Client(self.url, fresh=self.fresh, context=self.context)


@dataclass
class Run:
    """What came of one way. cpu_s: None where it cannot be known."""

    way: Way
    clients: int
    replies: list[Reply] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float | None = 0.0
    gave_up: bool = False

    @property
    def good(self) -> list[Reply]:
        return [reply for reply in self.replies if reply.is_good]

    @property
    def failed(self) -> list[Reply]:
        return [reply for reply in self.replies if not reply.is_good]

    def totals(self) -> list[float]:
        return [reply.total_s for reply in self.good]

    def firsts(self) -> list[float]:
        return [reply.first_s for reply in self.good]

    def overheads(self) -> list[float]:
        """What the proxy says that it took itself, in seconds."""
        said = [reply.headers.get("x-proxy-overhead-ms", "") for reply in self.good]
        return [float(each) / 1e3 for each in said if each]

    def cpu_each(self) -> float | None:
        return self.cpu_s / len(self.replies) if self.cpu_s and self.replies else None


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


async def compare(ways: Sequence[Way], requests: int, clients: int = 1, warm: int = 0) -> list[Run]:
    """requests: of each way. clients: at once. warm: requests of each before it counts."""
    runs = [Run(way, clients) for way in ways]
    held = {id(run): [run.way.client() for _ in range(clients)] for run in runs}
    try:
        for run in runs:
            if warm:
                await _block(Run(run.way, clients), held[id(run)], warm)
        for block in range(BLOCKS):
            share = requests * (block + 1) // BLOCKS - requests * block // BLOCKS
            for run in runs:
                if share and not run.gave_up:
                    await _block(run, held[id(run)], share)
    finally:
        for group in held.values():
            await asyncio.gather(*(client.close() for client in group))
    return runs


async def _block(run: Run, clients: Sequence[Client], requests: int) -> None:
    before, began = run.way.cpu(), time.perf_counter()
    left = requests

    async def one(client: Client) -> None:
        nonlocal left
        in_a_row = 0
        while left > 0 and not run.gave_up:
            left -= 1
            reply = await client.ask(run.way.request)
            run.replies.append(reply)
            in_a_row = 0 if reply.is_good else in_a_row + 1
            run.gave_up = run.gave_up or in_a_row >= GIVE_UP

    await asyncio.gather(*(one(client) for client in clients))
    run.seconds += time.perf_counter() - began
    after = run.way.cpu()
    run.cpu_s = None if before is None or after is None or run.cpu_s is None else run.cpu_s + after - before
