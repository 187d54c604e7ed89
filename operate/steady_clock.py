"""Seconds since this machine has started.

Nobody sets this clock, all processes of the machine have the same, and it goes on while the machine sleeps, where the
system has such a clock (Linux)."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def seconds() -> float:
    return time.clock_gettime(_CLOCK)


def start() -> str:
    """The name of this start of the machine, "" = the system has none."""
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""
