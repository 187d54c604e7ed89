"""What a process of the proxy holds, told from within: by a module that Python loads by itself at the start of each
process (sitecustomize), and which writes it to a file at a signal."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

SIGNAL = signal.SIGRTMIN + 3
REST = ("flows", "held_bytes", "sessions", "askings", "busy", "waiting", "addresses", "in_flight", "budgets")
"""What is 0 when no request is on its way."""

_MODULE = """
import asyncio, gc, json, os, signal


def tell(*_):
    gc.unfreeze()
    told = {"fds": len(os.listdir("/proc/self/fd")) - 1, "tasks": len(asyncio.all_tasks())}
    for each in gc.get_objects():
        kind = type(each).__module__, type(each).__name__
        if kind == ("gateway.runtime", "Service"):
            told |= {
                "flows": len(each.flows), "held_bytes": each.held_bytes, "sessions": len(each.in_flight.sessions),
                "askings": len(each.in_flight.askings), "busy": each.admission.busy,
                "waiting": each.admission.waiting, "addresses": len(each.in_flight._addresses),
                "in_flight": each.client.stats()["in_flight"],
            }
        elif kind[1] in ("Budgets", "SharedBudgets"):
            told["budgets"] = told.get("budgets", 0) + sum(len(held) for held in each._held.values())
    with open(f"FOLDER/{os.getpid()}.part", "w") as file:
        json.dump(told, file)
    os.rename(f"FOLDER/{os.getpid()}.part", f"FOLDER/{os.getpid()}.json")


signal.signal(NUMBER, tell)
"""


def prepare(folder: Path) -> dict[str, str]:
    """Writes the module, and returns the environment in which the proxy loads it."""
    at = folder / "insides"
    at.mkdir()
    (at / "sitecustomize.py").write_text(_MODULE.replace("FOLDER", str(at)).replace("NUMBER", str(int(SIGNAL))))
    return os.environ | {"PYTHONPATH": str(at)}


def of(folder: Path, pid: int) -> dict[str, Any]:
    """What the process holds; {} if it does not say."""
    file = folder / "insides" / f"{pid}.json"
    file.unlink(missing_ok=True)
    os.kill(pid, SIGNAL)
    until = time.monotonic() + 10
    while not file.exists():
        if time.monotonic() > until or not is_alive(pid):
            return {}
        time.sleep(0.02)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def children(pid: int) -> list[int]:
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for file in files for word in file.read_text().split()]


def parent(pid: int) -> int:
    return int(_stat(pid)[1])


def is_alive(pid: int) -> bool:
    try:
        return _stat(pid)[0] != "Z"
    except OSError:
        return False


def resident_mb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
