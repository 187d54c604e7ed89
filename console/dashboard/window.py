"""Counts the last hour, in buckets of a few seconds.

A bucket is a plain dict, which can be sent to another worker as it is. Buckets of several workers can be added, because
all of them begin at multiples of their width. Times are kept as a histogram whose bins are nine percent wide, which is
exact enough for percentiles. The number of buckets limits the memory.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

PER_OCTAVE = 8  # how many bins of a histogram double the time
SLOTS = PER_OCTAVE * 22  # up to 70 minutes
COUNTS = (
    *("requests", "streamed", "errors", "client_errors", "server_errors", "refusals"),
    *("input", "cached", "output", "usd", "left", "retries"),
)
MOST = ("open", "streams", "waiting")  # the most at the same time
HISTOGRAMS = ("first", "stream", "whole")

Bucket = dict[str, Any]
Bins = dict[int, int]


def bin_of(ms: float) -> int:
    """The bin for a time. All times below a millisecond share one bin."""
    return min(SLOTS, int(math.log2(ms) * PER_OCTAVE)) if ms > 1.0 else 0


def quantiles(bins: Mapping[int, int], *shares: float) -> list[float | None]:
    """The times in ms below which these shares of all times are; None if there are none. shares: ascending."""
    whole = sum(bins.values())
    if not whole:
        return [None] * len(shares)
    found: list[float | None] = []
    below = 0
    wanted = iter(shares)
    share = next(wanted)
    for number in sorted(bins):
        below += bins[number]
        while below >= share * whole:
            found.append(round(2 ** ((number + 0.5) / PER_OCTAVE), 1))
            following = next(wanted, None)
            if following is None:
                return found
            share = following
    return found


def empty(number: int) -> Bucket:
    """A new bucket. number: from 1970 on. The histograms are of times: until the first token of a stream, of a whole
    stream, and of a reply that came whole."""
    return {"n": number} | {name: {} for name in HISTOGRAMS} | dict.fromkeys(COUNTS + MOST, 0)


class Window:
    """The latest `count` buckets of `width` seconds each. Times are those of time.time()."""

    __slots__ = ("_buckets", "_last", "width")

    def __init__(self, width: float, count: int) -> None:
        self.width = width
        self._buckets: deque[Bucket] = deque(maxlen=count)
        self._last = empty(-1)

    def __repr__(self) -> str:
        return f"<Window {len(self._buckets)} of {self._buckets.maxlen} buckets of {self.width:g} s>"

    def at(self, now: float) -> Bucket:
        """The bucket of the present time. If the clock was put back, it is the latest one."""
        number = int(now / self.width)
        if number > self._last["n"]:
            self._last = empty(number)
            self._buckets.append(self._last)
        return self._last

    def since(self, now: float, seconds: float) -> list[Bucket]:
        """The buckets that are not empty, the oldest first."""
        return self.between(now - seconds, now + self.width)

    def between(self, start: float, end: float) -> list[Bucket]:
        """The buckets after that of `start`, up to that of `end`."""
        first, last = int(start / self.width), int(end / self.width)
        return [bucket for bucket in self._buckets if first < bucket["n"] <= last]


def added(buckets: Iterable[Bucket]) -> Bucket:
    """The sum of some buckets. Their numbers may differ, and their bins may be strings, as in JSON."""
    whole = empty(-1)
    for bucket in buckets:
        whole["n"] = max(whole["n"], bucket["n"])
        for count in COUNTS + MOST:
            whole[count] += bucket[count]
        for name in HISTOGRAMS:
            bins: Bins = whole[name]
            for number, times in bucket[name].items():
                bins[int(number)] = bins.get(int(number), 0) + times
    return whole


def by_number(buckets: Iterable[Bucket]) -> dict[int, Bucket]:
    """Adds the buckets of several workers that have the same number."""
    same: dict[int, list[Bucket]] = {}
    for bucket in buckets:
        same.setdefault(bucket["n"], []).append(bucket)
    return {number: added(of) for number, of in sorted(same.items())}
