"""Gives signs of life from the event loop, so that a process whose loop does not run gives none.

A process without workers gives them to systemd's watchdog; a worker gives them to the supervisor. The first sign also
says that the process serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import os

from operate import handover, systemd
from operate.supervisor import Worker

EVERY_S = 1.0


class Watch:
    """Gives signs of life from start() to stop(). start() is called on a running loop, when the process serves."""

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
            with contextlib.suppress(OSError):  # the supervisor is gone, which the lifeline shows, too
                os.write(self._worker.beats, bytes([self._worker.number % 256]))
        every = min(EVERY_S, systemd.watchdog_s() / 3 or EVERY_S)
        self._timer = asyncio.get_running_loop().call_later(every, self._beat)
