"""Makes a batch, kills the proxy (kill -9) a number of times while it runs, and counts what came of it."""

from __future__ import annotations

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
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import says

MOMENT_S = 0.03  # for which an answer may be on its way, on a busy machine
ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """
[server]
port = {port}
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
    """What came of it. repeated: results that are there twice. asked: upstream requests; in_flight: those that were on
    their way when the proxy was killed, all kills together."""

    results: dict[str, str]
    repeated: int
    asked: int
    in_flight: int
    kills: int
    seconds: float


class Killed:
    """The proxy as a process, and an upstream that takes its time."""

    def __init__(self, folder: Path, requests: int, kills: int, concurrent: int, seed: int) -> None:
        self._folder = folder
        self._requests = requests
        self._kills = kills
        self._concurrent = concurrent
        self._random = random.Random(seed)
        self._port = _free_port()
        self._url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Killed {self._requests} requests, {self._kills} kills>"

    def run(self) -> Came:
        began = time.monotonic()
        with Upstream(self._answer) as up:
            text = SETTINGS.format(port=self._port, folder=self._folder, upstream=up.url, concurrent=self._concurrent)
            (self._folder / "settings.ini").write_text(text)
            try:
                self._start()
                id = self._ask("POST", "/v1/messages/batches", {"requests": self._made()})["id"]
                in_flight = sum(self._kill(up, share) for share in range(1, self._kills + 1))
                self._until_ended(id)
                lines = self._read(f"/v1/messages/batches/{id}/results").splitlines()
            finally:
                self._stop()
            rows = [json.loads(line) for line in lines]
            results = {row["custom_id"]: row["result"]["message"]["content"][0]["text"] for row in rows}
            seconds = time.monotonic() - began
            return Came(results, len(rows) - len(results), len(up.requests), in_flight, self._kills, seconds)

    def _made(self) -> list[dict[str, Any]]:
        return [
            {"custom_id": f"r{n}", "params": {"model": "m", "max_tokens": 9, "messages": [
                {"role": "user", "content": f"say {n}"}]}}
            for n in range(self._requests)
        ]  # fmt: skip

    def _answer(self, request: Any) -> Answer:
        answer = says(request.json["messages"][-1]["content"])
        with self._lock:
            answer.delay = self._random.uniform(0.002, 0.02)
        return answer

    def _kill(self, up: Upstream, nth: int) -> int:
        """After its share of all requests has been asked for; gives how many were in flight then: the proxy had not had
        their answers, as far as can be told from the other side. A process takes some milliseconds to die, in which the
        upstream may be asked once more."""
        share = nth * self._requests // (self._kills + 1)
        up.wait(lambda u: len(u.requests) >= share, 60)
        assert self._process is not None
        before = list(up.requests)
        now = time.monotonic()
        in_flight = sum(each.state == "answering" or now - each.ended_at < MOMENT_S for each in before)
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        up.wait(lambda u: all(each.state != "answering" for each in u.requests), 10)
        in_flight = min(in_flight + len(up.requests) - len(before), self._concurrent)
        self._start()
        return in_flight

    def _start(self) -> None:
        command = [sys.executable, str(ROOT / "proxy.py"), "--config", str(self._folder / "settings.ini")]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 30
        while True:
            try:
                self._read("/healthz")
                return
            except OSError:
                assert time.monotonic() < until and self._process.poll() is None, "the proxy does not start"
                time.sleep(0.02)

    def _stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _until_ended(self, id: str) -> None:
        until = time.monotonic() + 120
        while self._ask("GET", f"/v1/messages/batches/{id}")["processing_status"] != "ended":
            assert time.monotonic() < until, "the batch does not end"
            time.sleep(0.05)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return json.loads(self._read(path, method, body))

    def _read(self, path: str, method: str = "GET", body: Any = None) -> bytes:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json", "anthropic-version": "2023-06-01"}
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as reply:
            said: bytes = reply.read()
        return said


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
