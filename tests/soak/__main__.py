"""Very many mixed requests, sixteen at a time: memory stays flat, and nothing is left of them.

    python -m tests.soak [--requests 200000] [--minutes N] [--seed N]

Exit code 0: no wrong answer; the memory of the last tenth at most 5 % above that of the second; no descriptor,
connection, request, task or timer more than before.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.upstream import Chaotic
from tests.soak.clients import Mixed
from tests.support.apart import Apart, Held

CLIENTS = 16
WARM = 200  # requests until what is made once is there
FLAT = 1.05
PAUSE_S = 30.0  # the longest until the last traces of the requests are gone
SAMPLES = 200
PROTOCOLS = {"a": "chat", "b": "messages", "c": "responses"}
SETTINGS = """
[timeouts]
connect = 1
first_byte = 5
idle = 5
request = 10
stream = 10
[retry]
backoff = 0.02
max_backoff = 0.1
max_retry_after = 1
[breaker]
cooldown = 1
[responses]
store_entries = 200
[logging]
level = error
[models]
a = a
b = b
c = c
m = a, b, c
n = b | c, a
"""


class Soak:
    """memory: samples in MB, evenly over the requests. left: what is held after the requests more than before."""

    def __init__(self, requests: int, seed: int, seconds: float = float("inf")) -> None:
        self.asked = 0
        self.tally: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.memory: list[float] = []
        self.left: Held = {}
        self.took_s = 0.0
        self._requests, self._seconds = requests, seconds
        self._lot = random.Random(seed)

    async def run(self, folder: Path) -> None:
        upstreams = {
            name: Chaotic(protocol, self._lot.randrange(1 << 30), 0.05, 0.05) for name, protocol in PROTOCOLS.items()
        }
        for upstream in upstreams.values():
            upstream.statuses = tuple(status for status in upstream.statuses if status != 401)  # its key would rest
            await upstream.start()
        sections = "".join(
            f"[upstream {name}]\nprotocol = {up.protocol}\nbase_url = {up.url}\n" for name, up in upstreams.items()
        )
        with Apart(sections + SETTINGS, folder) as apart:
            await self._ask(apart, iter(range(min(WARM, self._requests))))
            before = await quiet(apart)
            began = time.monotonic()
            await self._ask(apart, self._numbers(apart, began + self._seconds))
            self.took_s = time.monotonic() - began
            after = await quiet(apart, before)
        for upstream in upstreams.values():
            upstream.stop()
        await asyncio.sleep(0.2)  # the upstreams see that their connections are closed
        self.left = {name: after[name] - before[name] for name in after if after[name] > before[name]}
        print(f"held before: {before}\nheld after:  {after}")

    async def _ask(self, apart: Apart, numbers: Iterator[int]) -> None:
        lot = self._lot
        await asyncio.gather(*(
            Mixed(n, apart.port, lot.randrange(1 << 30), self.tally, self.wrong).use_up(numbers) for n in range(CLIENTS)
        ))  # fmt: skip

    def _numbers(self, apart: Apart, until: float) -> Iterator[int]:
        every = max(1, self._requests // SAMPLES)
        for number in itertools.count(WARM):
            if self.asked == self._requests or time.monotonic() > until:
                return
            if self.asked % every == 0:
                self.memory.append(apart.resident_mb())
                if len(self.memory) % 20 == 0:
                    print(f"  {self.asked} requests, {self.memory[-1]:.0f} MB, {len(self.wrong)} wrong", flush=True)
            self.asked += 1
            yield number

    def tenths(self) -> list[float]:
        """The median of each tenth of the samples."""
        size = max(1, len(self.memory) // 10)
        return [statistics.median(self.memory[at : at + size]) for at in range(0, size * 10, size) if self.memory[at:]]


async def quiet(apart: Apart, before: Held | None = None) -> Held:
    """What is held once it is no more than before, or has not changed for a while."""
    until = time.monotonic() + (PAUSE_S if before else 3.0)
    while True:
        await asyncio.sleep(0.5)
        held = apart.held()
        if time.monotonic() > until or (before is not None and all(held[name] <= before[name] for name in held)):
            return held


def report(soak: Soak) -> int:
    tenths = soak.tenths()
    growth = tenths[-1] / tenths[min(1, len(tenths) - 1)]
    print(f"{soak.asked} requests in {soak.took_s:.0f} s ({soak.asked / soak.took_s:.0f}/s)")
    for name, number in sorted(soak.tally.items()):
        print(f"  {number:8} {name}")
    print(f"memory by tenths, MB: {' '.join(f'{mb:.1f}' for mb in tenths)} (last to second: {growth:.3f})")
    for line in soak.wrong[:20]:
        print("WRONG", line[:500])
    bad = [text for text, is_bad in (
        (f"{len(soak.wrong)} wrong answers", bool(soak.wrong)),
        ("memory grows", growth > FLAT),
        (f"left: {soak.left}", bool(soak.left)),
    ) if is_bad]  # fmt: skip
    print("FAILED: " + "; ".join(bad) if bad else "ok")
    return 1 if bad else 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--requests", type=int, default=200_000, metavar="N")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="ends after so long, with those asked")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20))
    options = parser.parse_args(argv)
    print(f"soak: {options.requests} requests, seed {options.seed}", flush=True)
    soak = Soak(options.requests, options.seed, options.minutes * 60)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(soak.run(Path(folder)))
    return report(soak)


if __name__ == "__main__":
    sys.exit(main())
