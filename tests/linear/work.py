"""Measures how the work grows: the same shape at n and at four times n.

Time of the processor, not of a clock on the wall, since the machine has other things to do; what C does counts too,
which a count of calls would not see. Four times the input is four times the work, sixteen times where it is quadratic:
the bound lies between the two, and a measurement that fails is repeated, since noise only ever adds. What a processor's
caches no longer hold makes a step of its own, so sixteen times the input has the last word: 16 against 256.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable
from typing import Any

from translate.failures.errors import ApiError

MOST = 8.5  # times the work, for four times the input
MOST_OF_16 = 64.0  # for sixteen times the input
TOO_LITTLE_S = 0.002  # what takes no longer is no trouble, and too short to be measured
TRIES = 5


def seconds(run: Callable[[Any], object], given: Any) -> float:
    gc.disable()
    try:
        begun = time.thread_time()
        with contextlib.suppress(ApiError):  # to refuse takes time too
            run(given)
        return time.thread_time() - begun
    finally:
        gc.enable()


def grows_linearly(make: Callable[[int], Any], run: Callable[[Any], object], n: int) -> None:
    """make(n): the input. run: reads it."""
    small, large = make(n), make(4 * n)
    one, four = min(seconds(run, small) for _ in range(3)), float("inf")  # noise in it alone would excuse all else
    for _ in range(TRIES):
        one = min(one, seconds(run, small))
        four = min(four, seconds(run, large))
        if four <= max(MOST * one, TOO_LITTLE_S):
            return
    huge = make(16 * n)
    sixteen = min(seconds(run, huge) for _ in range(2))
    said = f"{one * 1e3:.1f} ms for {n}, {four * 1e3:.1f} for 4 times, {sixteen * 1e3:.1f} for 16 times as much"
    assert sixteen <= max(MOST_OF_16 * one, TOO_LITTLE_S), said
