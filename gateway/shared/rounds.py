"""What a worker does again and again while it shares a store: gossip, and the leases of slots.

An error in one round is logged, and the next round follows. While nobody else shares the store, there are no rounds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.shared.shared import Shared

log = logging.getLogger("gateway")

Step = Callable[[], Awaitable[object]]


class Rounds:
    """Call start() and stop() on a running loop. make: makes one round. pause: waits between two rounds. last: is
    called at the end. failed: what an error in a round means, for the log."""

    def __init__(self, shared: Shared, make: Step, pause: Step, last: Step, failed: str) -> None:
        self._shared = shared
        self._make, self._pause, self._last = make, pause, last
        self._failed = failed
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Rounds {'going on' if self._task is not None else 'none'}>"

    async def start(self) -> None:
        """The first round is over when this returns."""
        if self._shared.several:
            await self._once(self._make)
            self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
            await self._once(self._last)

    async def _run(self) -> None:
        while True:
            await self._pause()
            await self._once(self._make)

    async def _once(self, step: Step) -> None:
        try:
            await step()
        except Exception:
            log.exception("an error in the proxy: %s", self._failed)
