"""Requests and streams while the proxy is replaced again and again: none may fail.

`python -m tests.upgrade_load [REQUESTS] [STREAMS] [UPGRADES] [WORKERS]` does it at any scale; the suite at a small one.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[1]
HELLO = [{"role": "user", "content": "hello"}]


class Load:
    """failures: what went wrong, in words. Clients keep their connections, as real ones do."""

    def __init__(self, port: int, requests: int, streams: int, certificate: str = "") -> None:
        self._trusted = ssl.create_default_context(cafile=certificate) if certificate else None
        self.port, self.failures, self.done = port, list[str](), 0
        self._left, self._lock = requests, threading.Lock()
        self._threads = [threading.Thread(target=self._client) for _ in range(8)]
        self._threads += [threading.Thread(target=self._stream, args=(n * 0.02,)) for n in range(streams)]
        self.streams = 0

    def run(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(300)

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self._trusted is not None:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self._trusted)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def _client(self) -> None:
        connection = self._connection(60)
        body = json.dumps({"model": "demo", "max_tokens": 99, "messages": HELLO})
        while True:
            with self._lock:
                if not self._left:
                    break
                self._left -= 1
            self._once(connection, "/v1/messages", body, lambda said: b'"end_turn"' in said)
        connection.close()

    def _stream(self, after_s: float) -> None:
        time.sleep(after_s)
        connection = self._connection(120)
        body = json.dumps({"model": "demo-slow", "stream": True, "messages": HELLO})
        if self._once(connection, "/v1/chat/completions", body, lambda said: said.rstrip().endswith(b"data: [DONE]")):
            self.streams += 1
        connection.close()

    def _once(self, connection: http.client.HTTPConnection, path: str, body: str, good: object) -> bool:
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            said = reply.read()
            fine = reply.status == 200 and b'"error"' not in said and good(said)  # type: ignore[operator]
            if not fine:
                self.failures.append(f"{path}: {reply.status} {said[-200:]!r}")
        except (OSError, http.client.HTTPException) as why:
            fine = False
            self.failures.append(f"{path}: {why!r}")
            connection.close()
        with self._lock:
            self.done += fine
        return bool(fine)


def start(folder: Path, workers: int, certificate: str = "") -> tuple[subprocess.Popen[str], int]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    options = ["--port", "0", "--set", f"server.workers={workers}", "--set", f"logging.dir={folder}"]
    options += ["--set", f"server.tls_cert={certificate}"]
    command = [sys.executable, str(ROOT / "proxy.py"), *options, "--set", "server.upgrade_seconds=60"]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"https?://[^:]+:(\d+)", line)
    assert found, line + process.stdout.read()
    return process, int(found[1])


def listener(port: int) -> set[int]:
    """Processes that have the listening socket, by /proc."""
    wanted = f":{port:04X} 00000000:0000 0A"
    inodes = {line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines() if wanted in line}
    found = set()
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = os.readlink(fd)
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1] in inodes:
            found.add(int(fd.parts[2]))
    return found


def upgrade(pid: int, port: int) -> int:
    """The process id of the new one, once it serves and the old one listens no more."""
    before = listener(port)
    os.kill(pid, signal.SIGUSR2)

    def others() -> set[int]:
        now = listener(port)
        return set() if now & before else now

    now = until(others, 60, 0.05)
    parents = {each: int(Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()[1]) for each in now}
    return next((each for each in now if parents[each] not in now), min(now))


def run(folder: Path, requests: int, streams: int, upgrades: int, workers: int, certificate: str = "") -> Load:
    """certificate: a PEM file with its key; then all of it goes over TLS."""
    process, port = start(folder, workers, certificate)
    assert process.stdout is not None
    reading = threading.Thread(target=process.stdout.read, daemon=True)
    reading.start()  # else they would stand still once the pipe is full
    pid = process.pid
    load = Load(port, requests, streams, certificate)
    try:
        load.run()
        for _ in range(upgrades):
            time.sleep(0.3)  # of load on each process
            pid = upgrade(pid, port)
        load.wait()
    finally:
        os.kill(pid, signal.SIGTERM)
        process.wait(90)
        reading.join(90)
        process.stdout.close()
    return load


def main() -> int:
    import tempfile

    requests, streams, upgrades, workers = [*map(int, sys.argv[1:]), *(10_000, 100, 5, 1)[len(sys.argv) - 1 :]]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        load = run(Path(folder), requests, streams, upgrades, workers)
    print(*load.failures[:20], sep="\n")
    took = time.monotonic() - begun
    print(f"{load.done} of {requests + streams} answered ({load.streams} streams), {upgrades} upgrades, {took:.0f} s")
    print(f"{load.done} passed, {len(load.failures)} failed")
    return bool(load.failures) or load.done != requests + streams


if __name__ == "__main__":
    sys.exit(main())
