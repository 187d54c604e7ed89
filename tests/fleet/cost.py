"""What a request costs more with Redis than without: CPU time of the proxy, side by side.

    python -m tests.fleet.cost [--requests 4000] [--clients 16] [--rounds 5]

Two proxies of one worker each serve the same requests by turns; one counts its client's limit in Redis.
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
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    more: list[float] = []
    with tempfile.TemporaryDirectory(prefix="cost-", ignore_cleanup_errors=True) as name, Upstream(answer) as up:
        for folder in ("with", "without"):
            (Path(name) / folder).mkdir()
        with (
            fleets.running(Path(name) / "with", up.url, hosts=1, workers=1, client=CLIENT) as shared,
            fleets.running(Path(name) / "without", up.url, hosts=1, workers=1, client=CLIENT, redis=False) as alone,
        ):
            for number in range(options.rounds + 1):
                took = []
                for fleet in (shared, alone):
                    before = cpu_s(fleet.hosts[0])
                    asyncio.run(drive(fleet.hosts[0].port, options.requests, options.clients))
                    took.append((cpu_s(fleet.hosts[0]) - before) / options.requests * 1e6)
                if number:  # the first one warms
                    more.append(took[0] - took[1])
                    print(f"{took[0]:.0f} us with Redis, {took[1]:.0f} us without: {more[-1]:+.0f} us a request")
    print(f"median: {statistics.median(more):+.0f} us a request, {options.clients} clients")


if __name__ == "__main__":
    main()
