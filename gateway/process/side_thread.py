"""Work beside the loop: a thread for what takes many milliseconds, such as to translate a request of megabytes.

One thread, since Python runs one at a time: more of them would only take more turns from the loop. It is made when it
is first needed. While it works, it must let the loop go on at once, and not after the 5 ms that Python waits by itself.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

TURN_S = 0.001


class SideThread:
    """Is called with what is to be done, and gives a future of the result."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"<SideThread {'of work' if self._pool is not None else 'not needed yet'}>"

    def __call__(self, work: Callable[[], T]) -> asyncio.Future[T]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "large bodies")
            sys.setswitchinterval(TURN_S)
        return asyncio.get_running_loop().run_in_executor(self._pool, work)

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
