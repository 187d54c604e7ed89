"""A thousand slow heads, bodies and readers at once, and honest requests beside them.

    python -m tests.slowloris [--heads 1000] [--bodies 1000] [--readers 1000] [--seconds 5]

It prints the 99th percentile of honest requests without the slow ones, while they come and while they stay, the memory,
and how long after the bounds of the settings the last slow one is closed. Exit code 0: each honest request is answered,
and the slow ones are closed in time. How fast it is depends on the machine, and is only told.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.slowloris import slow
from tests.support.apart import Apart
from tests.support.script import Answer, Upstream

IN_TIME_S = 30.0  # after the bound
HONEST = 4  # clients
ALONE_S = 5.0
SAID = {"role": "assistant", "content": "hello"}
OK = {"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": SAID, "finish_reason": "stop"}]}
ASKED = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()
SETTINGS = """
[server]
max_connections = {most}
body_timeout = {bound}
idle_timeout = {bound}
[limits]
header_seconds = {bound}
[pool]
max_connections = {most}
[upstream up]
protocol = chat
base_url = {url}
[upstream much]
protocol = chat
base_url = {much}
[models]
* = up
"""


class Slowloris:
    """Seconds of each honest request: alone; while the slow ones come; while they stay. memory: in MB. late_s: how long
    after its bound the last slow one is closed. told: statuses of the slow heads and bodies."""

    def __init__(self, heads: int, bodies: int, readers: int, bound: int, alone_s: float = ALONE_S) -> None:
        self.alone: list[float] = []
        self.coming: list[float] = []
        self.staying: list[float] = []
        self.wrong = 0
        self.memory: dict[str, float] = {}
        self.most = 0
        self.late_s = 0.0
        self.told: Counter[int] = Counter()
        self._numbers = heads, bodies, readers
        self._bound, self._alone_s = bound, alone_s

    async def run(self, folder: Path) -> None:
        many = sum(self._numbers)
        words = [sys.executable, "-m", "tests.slowloris.slow", *map(str, self._numbers)]
        slow_ones = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert slow_ones.stdin is not None and slow_ones.stdout is not None
        much = (await slow_ones.stdout.readline()).decode().strip()
        with Upstream(lambda _: Answer.json(OK)) as up:
            text = SETTINGS.format(most=many + 100, bound=self._bound, url=up.url, much=much)
            with Apart(text, folder) as apart:
                await self._for(self._alone_s, apart.port, self.alone)
                self.memory["before"] = apart.resident_mb()
                slow_ones.stdin.write(b"%d\n" % apart.port)
                await self._beside(apart, slow_ones.stdout, many)
                slow_ones.stdin.close()
                statuses = json.loads(await slow_ones.stdout.read())
                self.told.update({int(status): number for status, number in statuses.items()})
                await slow_ones.wait()
                await self._for(self._alone_s, apart.port, [])
                self.memory["after"] = apart.resident_mb()

    async def _for(self, seconds: float, port: int, times: list[float]) -> None:
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, over.set)
        await self._honest(port, times, over)

    async def _beside(self, apart: Apart, said: asyncio.StreamReader, many: int) -> None:
        over = asyncio.Event()
        honest = asyncio.ensure_future(self._honest(apart.port, self.coming, over))
        await said.readline()
        over.set()
        await honest
        over = asyncio.Event()
        honest = asyncio.ensure_future(self._honest(apart.port, self.staying, over))
        begun = time.monotonic()
        self.memory["during"] = 0.0
        connections = many
        while connections > HONEST and time.monotonic() < begun + self._bound + IN_TIME_S:
            connections = (await asyncio.to_thread(apart.held))["connections"]
            self.most = max(self.most, connections)
            self.memory["during"] = max(self.memory["during"], apart.resident_mb())
            await asyncio.sleep(0.2)
        self.late_s = time.monotonic() - begun - self._bound if connections <= HONEST else float("inf")
        over.set()
        await honest

    async def _honest(self, port: int, times: list[float], over: asyncio.Event) -> None:
        async def client() -> None:
            source, sink = await asyncio.open_connection("127.0.0.1", port)
            while not over.is_set():
                began = time.monotonic()
                sink.write(slow.HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(ASKED), ASKED))
                head = (await source.readuntil(b"\r\n\r\n")).lower()
                await source.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
                times.append(time.monotonic() - began)
                self.wrong += head.split()[1] != b"200"
                await asyncio.sleep(0.02)
            sink.close()
            await sink.wait_closed()

        await asyncio.gather(*(client() for _ in range(HONEST)))


def p99(times: list[float]) -> float:
    return 1000 * sorted(times)[int(0.99 * len(times))]


def report(run: Slowloris) -> int:
    alone = p99(run.alone)
    print(f"honest requests: {len(run.alone)} alone, p99 {alone:.1f} ms")
    for when, times in (("come", run.coming), ("stay", run.staying)):
        print(f"while slow ones {when}: {len(times)}, p99 {p99(times):.1f} ms, {p99(times) / alone:.2f} times")
    print(f"connections at once: {run.most}; slow heads and bodies by status (0: closed): {dict(run.told)}")
    print("memory: " + ", ".join(f"{mb:.0f} MB {when}" for when, mb in run.memory.items()))
    print(f"the last slow one is closed {run.late_s:.1f} s after its bound")
    bad = [text for text, is_bad in (
        (f"{run.wrong} honest requests without their answer", bool(run.wrong)),
        ("slow ones stay", run.late_s > IN_TIME_S),
    ) if is_bad]  # fmt: skip
    print("FAILED: " + "; ".join(bad) if bad else "ok")
    return 1 if bad else 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.slowloris", description=(__doc__ or "").partition("\n\n")[0])
    for name in ("heads", "bodies", "readers"):
        parser.add_argument(f"--{name}", type=int, default=1000, metavar="N")
    parser.add_argument("--seconds", type=int, default=5, help="what the settings allow a head, a body and a reader")
    options = parser.parse_args(argv)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    run = Slowloris(options.heads, options.bodies, options.readers, options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run.run(Path(folder)))
    return report(run)


if __name__ == "__main__":
    sys.exit(main())
