"""What a request costs more with Redis than without: CPU time of the proxy, side by side.

    python -m tests.fleet.cost [--requests 2000] [--clients 16] [--rounds 20]

Two proxies of one worker each serve the same requests by turns; one counts its client's limit in Redis. Other work on
the machine only ever adds to what a round costs, so that the lower quartiles of the rounds are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from pathlib import Path

from tests.fleet import fleet as fleets
from tests.fleet.fleet import KEY, Host
from tests.fleet.load import ASKED, answer
from tests.support.script import Upstream

CLIENT = "requests_per_minute = 10000000"


def cpu_s(host: Host) -> float:
    assert host.process is not None
    words = Path(f"/proc/{host.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


async def drive(port: int, requests: int, clients: int) -> None:
    body = json.dumps(ASKED).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    whole = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(requests // clients):
            writer.write(whole)
            said = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert said.startswith(b"http/1.1 200"), said
            await reader.readexactly(int(said.split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet.cost")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    rounds: list[list[float]] = []
    with tempfile.TemporaryDirectory(prefix="cost-", ignore_cleanup_errors=True) as name, Upstream(answer) as up:
        for folder in ("with", "without"):
            (Path(name) / folder).mkdir()
        with (
            fleets.running(Path(name) / "with", up.url, hosts=1, workers=1, client=CLIENT) as shared,
            fleets.running(Path(name) / "without", up.url, hosts=1, workers=1, client=CLIENT, redis=False) as alone,
        ):
            for number in range(options.rounds + 1):
                took = [0.0, 0.0]
                for which, fleet in ((0, shared), (1, alone))[:: 1 if number % 2 else -1]:
                    before = cpu_s(fleet.hosts[0])
                    asyncio.run(drive(fleet.hosts[0].port, options.requests, options.clients))
                    took[which] = (cpu_s(fleet.hosts[0]) - before) / options.requests * 1e6
                if number:  # the first one warms
                    rounds.append(took)
    both = list(zip(*rounds, strict=True))
    for name, quartile in (("lower quartile", 0), ("median", 1)):
        with_it, without = (statistics.quantiles(each, n=4)[quartile] for each in both)
        print(f"{name}: {with_it:.0f} us with Redis, {without:.0f} us without: {with_it - without:+.0f} us a request")
    more = statistics.quantiles([with_it - without for with_it, without in rounds], n=4)
    print(f"of the differences of the rounds: quartiles {', '.join(f'{each:+.0f}' for each in more)} us; "
          f"{options.clients} clients, {len(rounds)} rounds of {options.requests}")  # fmt: skip


if __name__ == "__main__":
    main()
