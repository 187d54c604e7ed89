"""How the process uses memory: the memory of large bodies is given back, and the garbage collector has little to do."""

from __future__ import annotations

import ctypes
import gc
import sys

_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1  # of <malloc.h>
LARGE = 1 << 20  # bytes of a block that is given back as soon as it is free


def give_back_large_blocks() -> None:
    """Fixes the size from which glibc takes a block from the kernel, and gives it back. By itself it raises that size
    with each large block that is freed, and then keeps up to 64 MB in each thread: after one body of 15 MB, what bodies
    take stays. What is free at the end of the heap is kept up to twice that size, which is glibc's own rule. Without it
    that would be 128 KB, and each request of more would get its pages anew (4 % of a translated one of 227 KB). It is
    called before the first thread is made."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # musl has none, and gives back by itself
        mallopt(_M_MMAP_THRESHOLD, LARGE)
        mallopt(_M_TRIM_THRESHOLD, 2 * LARGE)


def collect_seldom() -> None:
    """Lets what exists now stay, so that the collector need not look at it. A request leaves nothing for the collector.
    Measured with 16 clients: it does not run in 4,000 requests; by Python's own thresholds it would run 16 times a
    second, for up to 24 ms, and find nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
