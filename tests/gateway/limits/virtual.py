"""An event loop whose clock is moved by hand: timers and callbacks run in `advance`, in order, and nowhere else."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class VirtualLoop(asyncio.AbstractEventLoop):
    def __init__(self) -> None:
        self._now = 1000.0
        self._due: list[tuple[float, int, asyncio.Handle]] = []
        self._number = itertools.count()

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        heapq.heappush(self._due, (self._now, next(self._number), handle))
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self._now + delay, callback, args, self, context)
        heapq.heappush(self._due, (handle.when(), next(self._number), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Asked of every loop; `advance` looks for itself."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, **kwargs)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise context["exception"]

    @contextmanager
    def running(self) -> Iterator[None]:
        """What runs within takes this for its loop."""
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def advance(self, seconds: float = 0.0) -> None:
        """Moves the clock and runs all that is due until then, also what that makes due."""
        until = self._now + seconds
        with self.running():
            while self._due and self._due[0][0] <= until:
                when, _, handle = heapq.heappop(self._due)
                self._now = max(self._now, when)
                if not handle.cancelled():
                    handle._run()
        self._now = until

    @property
    def timers(self) -> int:
        """Those that have not been cancelled."""
        return sum(not handle.cancelled() for _, _, handle in self._due)
