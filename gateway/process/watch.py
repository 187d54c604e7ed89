"""Signs of life, from the loop itself: a process whose loop stands still gives none.

To systemd's watchdog where this process is alone, else to the supervisor, which speaks for all workers. The first one
says that this process serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

from operate import handover, systemd
from operate.supervisor import Worker

EVERY_S = 1.0


class Watch:
    """start() on a running loop when everything is there."""

    def __init__(self, worker: Worker | None) -> None:
        self._worker = worker
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Watch of {self._worker}>"

    def start(self) -> None:
        if self._worker is None:
            handover.serving()
        self._beat()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        if self._worker is None:
            systemd.alive()
        else:
            with contextlib.suppress(OSError):  # its supervisor is gone: the lifeline says so too
                os.write(self._worker.beats, bytes([self._worker.number % 256]))
        every = min(EVERY_S, systemd.watchdog_s() / 3 or EVERY_S)
        self._timer = asyncio.get_running_loop().call_later(every, self._beat)
