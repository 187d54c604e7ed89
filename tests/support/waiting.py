"""Waits for what a test expects to happen, with a deadline.

A test does not sleep for it instead: a machine under load takes longer, and every other one loses the time. What stays
a sleep is time that is the subject itself: an upstream that is slow, a clock that runs out, a while in which nothing
may happen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

WITHIN_S = 20.0
EVERY_S = 0.005


def until(true: Callable[[], object], within_s: float = WITHIN_S, every_s: float = EVERY_S) -> None:
    """every_s: between two looks; more of it where a look costs much."""
    limit = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < limit, f"not within {within_s} s"
        time.sleep(every_s)


async def soon(true: Callable[[], object], within_s: float = WITHIN_S, every_s: float = EVERY_S) -> None:
    """The same on a loop, which goes on meanwhile."""
    limit = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < limit, f"not within {within_s} s"
        await asyncio.sleep(every_s)
