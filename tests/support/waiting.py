"""Waits for what a test expects to happen, with a deadline.

A test does not sleep for it instead: a machine under load takes longer, and every other one loses the time. What stays
a sleep is time that is the subject itself: an upstream that is slow, a clock that runs out, a while in which nothing
may happen.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

WITHIN_S = 20.0
EVERY_S = 0.005


def until(true: Callable[[], T], within_s: float = WITHIN_S, every_s: float = EVERY_S) -> T:
    """What it gives, once that counts as true. every_s: between two looks; more of it where a look costs much."""
    limit = time.monotonic() + within_s
    while not (found := true()):
        assert time.monotonic() < limit, f"not within {within_s} s"
        time.sleep(every_s)
    return found


async def soon(
    true: Callable[[], Awaitable[object] | object], within_s: float = WITHIN_S, every_s: float = EVERY_S
) -> None:
    """The same on a loop, which goes on meanwhile."""
    limit = time.monotonic() + within_s
    while True:
        found = true()
        if await found if inspect.isawaitable(found) else found:
            return
        assert time.monotonic() < limit, f"not within {within_s} s"
        await asyncio.sleep(every_s)


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
