"""Ten minutes of random faults: three upstreams, fifty clients, one proxy, and what must hold all the same.

Exit code 0: no wrong answer, no mark where it does not belong, memory flat, nothing left behind. The same seed
makes the same choices; what the scheduler makes of them is new each time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos.clients import Client
from tests.chaos.upstream import Chaotic
from tests.support.waiting import listens, soon

ROOT = Path(__file__).resolve().parents[2]
FLAT = 1.25  # times the memory after the first fifth of the time
SETTINGS = """
[server]
port = {port}
max_connections = 500
[timeouts]
connect = 1
first_byte = 2
idle = 2
request = 5
stream = 10
[retry]
backoff = 0.05
max_backoff = 0.5
max_retry_after = 2
[breaker]
cooldown = 1
[admission]
max_concurrent = 40
[logging]
dir = {logs}
level = error
[upstream a]
protocol = chat
base_url = {a}
[upstream b]
protocol = messages
base_url = {b}
[upstream c]
protocol = responses
base_url = {c}
[models]
m = a, b, c
n = b | c, a
o = c
"""


async def main() -> int:
    options = read_options()
    lot = random.Random(options.seed)
    upstreams = {name: Chaotic(protocol, lot.randrange(1 << 30))
                 for name, protocol in (("a", "chat"), ("b", "messages"), ("c", "responses"))}  # fmt: skip
    for upstream in upstreams.values():
        await upstream.start()
    tally: Counter[str] = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        port = options.port
        urls = {name: upstream.url for name, upstream in upstreams.items()}
        config = Path(folder, "chaos.ini")
        config.write_text(SETTINGS.format(port=port, logs=Path(folder, "logs"), **urls))
        proxy = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "proxy.py"), "--config", str(config), stdout=asyncio.subprocess.DEVNULL
        )
        try:
            await up(port)
            until = asyncio.get_running_loop().time() + options.minutes * 60
            clients = [Client(n, port, lot.randrange(1 << 30), tally, wrong).run(until) for n in range(options.clients)]
            memory: list[int] = []
            watch = asyncio.ensure_future(watching(proxy.pid, list(upstreams.values()), tally, memory, lot, until))
            await asyncio.gather(*clients)
            await watch
        finally:
            proxy.send_signal(signal.SIGTERM)
            code = await asyncio.wait_for(proxy.wait(), 30)
    return report(tally, wrong, memory, code, upstreams)


async def up(port: int) -> None:
    try:
        await soon(lambda: listens(port), every_s=0.05)
    except AssertionError:
        raise SystemExit("chaos: the proxy does not start") from None


async def watching(
    pid: int, upstreams: list[Chaotic], tally: Counter[str], memory: list[int], lot: random.Random, until: float
) -> None:
    """Every second: how large is the proxy? Now and then an upstream dies for a while."""
    loop = asyncio.get_running_loop()
    told = time.monotonic()
    while loop.time() < until:
        await asyncio.sleep(1)
        memory.append(resident_mb(pid))
        if lot.random() < 0.05:
            upstream = lot.choice(upstreams)
            upstream.dead = not upstream.dead
        if time.monotonic() - told > 30:
            told = time.monotonic()
            print(f"  {dict(tally)}, {memory[-1]} MB", flush=True)


def resident_mb(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") >> 20


def report(tally: Counter[str], wrong: list[str], memory: list[int], code: int, upstreams: dict[str, Chaotic]) -> int:
    early = max(memory[: max(1, len(memory) // 5)])
    late = max(memory[-max(1, len(memory) // 5) :])
    asked = {name: upstream.requests for name, upstream in upstreams.items()}
    print(f"answers: {dict(tally)}; asked upstream: {asked}")
    print(f"memory: {memory[0]} MB at first, {early} MB in the first fifth, {late} MB in the last")
    for line in wrong[:20]:
        print("WRONG", line)
    bad = [text for text, is_bad in (
        (f"{len(wrong)} wrong answers", bool(wrong)),
        ("no right answer at all", not tally["right"]),
        ("memory grows", late > early * FLAT + 5),
        (f"the proxy ended with {code}", code != 0),
    ) if is_bad]  # fmt: skip
    print("FAILED: " + "; ".join(bad) if bad else "ok")
    return 1 if bad else 0


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run.sh chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, metavar="N", help="how long (default: %(default)g)")
    parser.add_argument("--clients", type=int, default=50, metavar="N", help="how many at once (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1 << 20), metavar="N", help="makes the same random choices again"
    )
    parser.add_argument("--port", type=int, default=18765, metavar="N", help="of the proxy (default: %(default)s)")
    options = parser.parse_args()
    print(f"chaos: {options.minutes:g} minutes, {options.clients} clients, seed {options.seed}")
    return options


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
