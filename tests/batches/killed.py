"""Makes a batch, kills proxies (kill -9) a number of times while it runs, and counts what came of it.

One proxy with its file, or several that share a Redis. What may be asked for twice is what was on its way at a kill:
the upstream had not answered it, or its answer had just left and the proxy had not read it yet. Nobody can do better
without the upstream's help, which the Idempotency-Key asks for: the answer is in the kernel's buffers when the process
dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.redis_server import RedisServer
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import says
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SLOW_S = 0.1  # the upstream here may see a request so long after it was sent
SETTINGS = """
[server]
port = {port}
workers = {workers}
[shared]
url = {redis}
[logging]
dir = {folder}
[batches]
concurrent = {concurrent}
[upstream a]
protocol = chat
base_url = {upstream}
[models]
* = a
"""


class Came(NamedTuple):
    """What came of it. doubled: results that are there twice. asked: upstream requests. unanswered: those that were
    asked for again and that the upstream had not answered when the proxy was killed. late_s: of the others that were
    asked for again, how long before the kill their answers had left the upstream."""

    results: dict[str, str]
    doubled: int
    asked: int
    unanswered: int
    late_s: list[float]
    kills: int
    seconds: float


class Killed:
    """Proxies as processes, and an upstream that takes its time. hosts: more than one share a Redis. workers: of
    each."""

    def __init__(
        self, folder: Path, requests: int, kills: int, concurrent: int, seed: int, hosts: int = 1, workers: int = 1
    ) -> None:
        self._folder = folder
        self._requests = requests
        self._kills = kills
        self._concurrent = concurrent
        self._workers = workers
        self._random = random.Random(seed)
        self._ports = [_free_port() for _ in range(hosts)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._killed: list[tuple[float, float]] = []  # from when until when each process died
        self._came_at: defaultdict[str, list[float]] = defaultdict(list)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Killed {self._requests} requests, {self._kills} kills>"

    def run(self) -> Came:
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            up = stack.enter_context(Upstream(self._answer))
            redis = ""
            if len(self._ports) > 1:
                server = RedisServer(self._folder)
                server.start()
                stack.callback(server.stop)
                redis = server.url
            stack.callback(self._stop)
            for port in self._ports:
                self._file(port).write_text(SETTINGS.format(
                    port=port, folder=self._folder / str(port), upstream=up.url, concurrent=self._concurrent,
                    redis=redis, workers=self._workers,
                ))  # fmt: skip
                self._start(port)
            id = self._ask("POST", "/v1/messages/batches", {"requests": self._made()})["id"]
            for share in range(1, self._kills + 1):
                self._kill(up, share)
            self._until_ended(id)
            lines = self._read(f"/v1/messages/batches/{id}/results").splitlines()
        rows = [json.loads(line) for line in lines]
        results = {row["custom_id"]: row["result"]["message"]["content"][0]["text"] for row in rows}
        unanswered, late_s = self._repeated(up)
        seconds = time.monotonic() - began
        return Came(results, len(rows) - len(results), len(up.requests), unanswered, late_s, self._kills, seconds)

    def _made(self) -> list[dict[str, Any]]:
        return [
            {"custom_id": f"r{n}", "params": {"model": "m", "max_tokens": 9, "messages": [
                {"role": "user", "content": f"say {n}"}]}}
            for n in range(self._requests)
        ]  # fmt: skip

    def _answer(self, request: Any) -> Answer:
        said = request.json["messages"][-1]["content"]
        answer = says(said)
        with self._lock:
            self._came_at[said].append(time.monotonic())
            answer.delay = self._random.uniform(0.002, 0.02)
        return answer

    def _repeated(self, up: Upstream) -> tuple[int, list[float]]:
        """Of what was asked for again: how many had no answer at a kill, and how long the others had it."""
        asked = defaultdict(list)
        for request in up.requests:
            asked[request.json["messages"][-1]["content"]].append(request)
        before_s = []
        for said, same in asked.items():
            for request, came_at in zip(same[:-1], self._came_at[said], strict=False):
                at = next(at for at, dead_at in self._killed if dead_at + SLOW_S > came_at)
                before_s.append(at - request.ended_at if request.state == "answered" else 0.0)
        late_s = [each for each in before_s if each > 0]
        return len(before_s) - len(late_s), late_s

    def _kill(self, up: Upstream, nth: int) -> None:
        """After its share of all requests has been asked for."""
        share = nth * self._requests // (self._kills + 1)
        up.wait(lambda u: len(u.requests) >= share, 60)
        port = self._ports[nth % len(self._ports)]
        process = self._processes[port]
        at = time.monotonic()
        _kill_all(process)
        self._killed.append((at, time.monotonic()))
        self._start(port)

    def _file(self, port: int) -> Path:
        return self._folder / f"{port}.ini"

    def _start(self, port: int) -> None:
        command = [sys.executable, str(ROOT / "proxy.py"), "--config", str(self._file(port))]
        self._processes[port] = process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

        def is_up() -> bool:
            assert process.poll() is None, "the proxy does not start"
            with contextlib.suppress(OSError):
                self._read("/healthz", port=port)
                return True
            return False

        until(is_up, 30, 0.02)

    def _stop(self) -> None:
        for process in self._processes.values():
            _kill_all(process)

    def _until_ended(self, id: str) -> None:
        until(lambda: self._ask("GET", f"/v1/messages/batches/{id}")["processing_status"] == "ended", 120, 0.05)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return json.loads(self._read(path, method, body))

    def _read(self, path: str, method: str = "GET", body: Any = None, port: int = 0) -> bytes:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json", "anthropic-version": "2023-06-01"}
        url = f"http://127.0.0.1:{port or self._ports[0]}{path}"
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as reply:
            said: bytes = reply.read()
        return said


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """The parent first: it would start workers again."""
    if process.poll() is None:
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        process.wait()
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(worker), signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
