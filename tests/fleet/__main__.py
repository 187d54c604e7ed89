"""A fleet of two hosts with two workers each, under load: restarts lose no request, and a limit is one for all.

    python -m tests.fleet [restarts] [limit] [sqlite] [--balancer haproxy|nginx] [--seconds 60]

restarts: each host is stopped and started again, and so is Redis, under load: no failed request, and each of them is
once in the usage that all hosts tell together, though this Redis forgets all when it is stopped. limit: 600 a minute
are 590 to 610 in a minute of overload, though Redis is stopped and started in between. sqlite: the same among the four
workers of one host. Without a name: all three. Exit code 0: all of that is so.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fleet import fleet as fleets
from tests.fleet.fleet import Fleet
from tests.fleet.load import Load, answer
from tests.support.script import Upstream

LIMIT = "requests_per_minute = 600"
TAKEN = range(590, 611)


async def apart(work: functools.partial[None]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, work)


async def roll(fleet: Fleet, pause_s: float) -> None:
    """Every host is stopped and started again, one after the other, and then Redis."""
    await asyncio.sleep(pause_s)
    for host in fleet.hosts:
        await apart(functools.partial(host.stop))
        await apart(functools.partial(host.start))
        await asyncio.sleep(pause_s)
    await redis_restart(fleet, pause_s)
    await asyncio.sleep(pause_s)


async def redis_restart(fleet: Fleet, pause_s: float) -> None:
    if fleet.redis is not None:
        await apart(functools.partial(fleet.redis.stop))
        await asyncio.sleep(pause_s)
        await apart(functools.partial(fleet.redis.start))


def restarts(folder: Path, balancer: str, pause_s: float = 2.0) -> list[str]:
    """What went wrong."""
    with Upstream(answer) as up, fleets.running(folder, up.url, balancer=balancer, drain_delay=3.0) as fleet:
        load = Load([fleet.port], pause_s=0.02)
        asyncio.run(load.run(0, lambda: roll(fleet, pause_s)))
        told = told_usage(folder, load.counts.total())
    took = f"the slowest took {load.slowest_s:.2f} s"
    print(f"restarts behind {balancer}: {dict(load.counts)}, {took}; usage tells {told}")
    return load.odd + ([] if told == load.counts.total() else [f"usage tells {told} requests"])


def told_usage(folder: Path, all: int, within_s: float = 10.0) -> int:
    """How many requests `./run.sh usage` tells, when these are all, or at the end of that time. Sums are told within
    some seconds."""
    until = time.monotonic() + within_s
    while True:
        command = [sys.executable, "-m", "console.usage", "--config", str(folder / "host1.ini"), "--json"]
        said = subprocess.run(command, cwd=fleets.ROOT, capture_output=True, check=True).stdout
        told = sum(row["requests"] for row in json.loads(said))
        if told == all or time.monotonic() > until:
            return int(told)
        time.sleep(0.5)


def limit(folder: Path, seconds: float, *, redis: bool) -> list[str]:
    hosts, workers = (2, 2) if redis else (1, 4)

    async def interrupted(fleet: Fleet) -> None:
        await asyncio.sleep(seconds / 3)
        await redis_restart(fleet, seconds / 12)

    with Upstream(answer) as up:
        with fleets.running(folder, up.url, hosts=hosts, workers=workers, client=LIMIT, redis=redis) as fleet:
            load = Load([host.port for host in fleet.hosts], clients=8, pause_s=0.1, streams=False)
            asyncio.run(load.run(seconds, lambda: interrupted(fleet)))
    taken = load.counts["200"]
    print(f"limit, {'Redis' if redis else 'SQLite'}: {dict(load.counts)} in {seconds:g} s")
    wrong = [] if taken in TAKEN or seconds != 60 else [f"{taken} of 600 went through"]
    return wrong + load.odd


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=["restarts", "limit", "sqlite"])
    parser.add_argument("--balancer", choices=["haproxy", "nginx"], default="haproxy")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    wrong: list[str] = []
    for what in options.what:
        with tempfile.TemporaryDirectory(prefix="fleet-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            if what == "restarts":
                wrong += restarts(folder, options.balancer)
            else:
                wrong += limit(folder, options.seconds, redis=what == "limit")
    for line in wrong:
        print(f"wrong: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
