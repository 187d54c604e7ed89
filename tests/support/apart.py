"""The whole proxy in a process of its own, which tells what it holds: for tests of memory and of what is left.

A test says `with Apart(settings, folder) as apart:`, sends requests to `apart.port`, and asks `apart.held()`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from tests.support.house import House

ROOT = Path(__file__).resolve().parents[2]
Held = dict[str, int]


class Apart:
    """settings: as House takes them. folder: where the logs and the settings go."""

    def __init__(self, settings: str, folder: Path) -> None:
        file = folder / "apart.ini"
        file.write_text(settings)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(file), str(folder)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.port = 0

    def __enter__(self) -> Apart:
        self.port = int(self._line())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    @property
    def code(self) -> int | None:
        return self._process.returncode

    def held(self) -> Held:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._line())

    def resident_mb(self) -> float:
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / (1 << 20)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the proxy has ended, with {self._process.wait(10)}")
        return line


def _held(house: House) -> Held:
    """descriptors: without the connections to upstreams, which are kept for the next request."""
    service, server = house.proxy.service, house.proxy._server
    loop = asyncio.get_running_loop()
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
    return {
        "descriptors": _open_files() - service.client._sockets.count(),
        "connections": len(server._connections),
        "flows": len(service.flows),
        "websockets": len(service.in_flight.sessions),
        "bytes": service.held_bytes,
        "tasks": len(asyncio.all_tasks()),
        "timers": len(timers),
    }


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd")) - 1  # one is the listing's own


def main(settings: str, folder: str) -> None:
    logging.disable(logging.WARNING)  # what these tests do to it is worth very many
    with House(Path(settings).read_text(), folder=Path(folder)) as house:
        print(house.port, flush=True)
        for _ in sys.stdin:
            print(json.dumps(house.on_loop(lambda: _held(house))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
