"""Measures how late the event loop is, with a timer that runs twice a second.

All work of a process is done on one loop. Whatever delays the loop, such as a large body or a busy machine, delays
every stream for the same time; this shows how much.
"""

from __future__ import annotations

import asyncio

from operate.metric_families import LAG
from operate.metrics import Histogram

EVERY_S = 0.5


class Lag:
    """Measures from start() to stop(), on a running loop. late: a histogram of the delays in seconds."""

    def __init__(self) -> None:
        self.late = Histogram(LAG)
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Lag {self.late!r}>"

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(EVERY_S, self._look, loop)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._timer is not None
        self.late.add(max(0.0, loop.time() - self._timer.when()))
        self._timer = loop.call_later(EVERY_S, self._look, loop)
