"""A redis-server (or valkey-server) of a test's own, on a unix socket or a free port, which can be stopped and started
again. It keeps nothing on disk. The variable REDIS_SERVER names the one to use, else it is what the PATH has; the tests
of the stores run against all that there are."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import until

_NAMES = [os.environ["REDIS_SERVER"]] if os.environ.get("REDIS_SERVER") else ["redis-server", "valkey-server"]
PROGRAMS = tuple(found for name in _NAMES if (found := shutil.which(name)))
NONE = "neither redis-server nor valkey-server is installed (Debian: apt install redis-server)"
needed = pytest.mark.skipif(not PROGRAMS, reason=NONE)


class RedisServer:
    """port: 0 = a unix socket in the folder."""

    def __init__(self, folder: Path, program: str = "", *options: str, port: int = 0) -> None:
        self._folder, self._options, self.port = folder, options, port
        self._program = program or PROGRAMS[0]
        self._running: subprocess.Popen[bytes] | None = None
        self.socket = folder / "redis.sock"
        self.url = f"redis://127.0.0.1:{port}/0" if port else f"unix://{self.socket}?db=0"

    def start(self) -> None:
        where = ["--port", str(self.port)]
        where += ["--bind", "127.0.0.1"] if self.port else ["--unixsocket", str(self.socket)]
        quiet = ["--save", "", "--appendonly", "no", "--loglevel", "warning", "--dir", str(self._folder)]
        command = [self._program, *where, *quiet, *self._options]
        self._running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: self._answers() or self._running is None or self._running.poll() is not None)
        if self._running.poll() is not None:
            raise RuntimeError(f"{command} does not answer")

    def stop(self) -> None:
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None

    def freeze(self, on: bool = True) -> None:
        """It takes connections and says nothing any more, as a server that swaps."""
        assert self._running is not None
        self._running.send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def call(self, *words: str) -> str:
        """One command, and the first line of its answer."""
        with self._connected() as one:
            one.sendall(f"*{len(words)}\r\n".encode() + b"".join(b"$%d\r\n%b\r\n" % (len(w.encode()), w.encode())
                                                                for w in words))  # fmt: skip
            with one.makefile("rb") as said:
                return said.readline().decode().strip()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.call("PING").startswith(("+PONG", "-NOAUTH"))
        return False

    @contextlib.contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        kind = socket.AF_INET if self.port else socket.AF_UNIX
        with socket.socket(kind) as one:
            one.settimeout(2)
            one.connect(("127.0.0.1", self.port) if self.port else os.fspath(self.socket))
            yield one


@contextlib.contextmanager
def running(folder: Path, program: str = "", *options: str, port: int = 0) -> Iterator[RedisServer]:
    server = RedisServer(folder, program, *options, port=port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
