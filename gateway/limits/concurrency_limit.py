"""How many requests an upstream can take at once, learned from how it answers.

The recent time to the first byte is compared with the best. As long as the two are about equal, the limit grows a
little with each answer; as the recent time rises, the limit shrinks in proportion (a gradient, as in TCP Vegas and
Netflix's concurrency-limits). A single answer says little, since a long prompt takes ten times as long as a short one;
so both times are averages of logarithms. A 429 or an overload halves the limit at once, but not more often than once
per round trip. It has no clock: `now` is given, in seconds.
"""

from __future__ import annotations

import math

LEAST = 2
TOLERANCE = 2.0  # a time is as good as the best if it is no longer than so many times that
SMOOTHING = 0.2
RECENT = 0.05  # the weight of one answer in the recent average; it counts after 1 / RECENT answers
DRIFT_IDLE = 0.02  # of what recent is above the best, by which an answer moves the best: models change
DRIFT_BUSY = 0.0001  # the same while many are at work: then it may be their number that makes it slow


class Adaptive:
    """A limit that adapts. limit: a whole number from LEAST to `most`."""

    __slots__ = ("_answers", "_best", "_halved_at", "_limit", "_recent", "most")

    def __init__(self, most: int, start: int = 20) -> None:
        self.most = max(LEAST, most)
        self._limit = float(min(start, self.most))
        self._answers = 0
        self._recent = 0.0  # a logarithm of milliseconds, as the best is
        self._best = math.inf
        self._halved_at = -math.inf

    def __repr__(self) -> str:
        return f"<Adaptive {self.limit} of {self.most}, {math.exp(self._recent):.0f} ms lately>"

    @property
    def limit(self) -> int:
        return int(self._limit)

    def answered(self, first_byte_ms: float, busy: int) -> None:
        """A stream has begun. busy: how many requests ran at that moment. If only few of the slots are used, the limit
        stays."""
        self._answers += 1
        share = max(RECENT, 1 / self._answers)
        self._recent += (math.log(max(first_byte_ms, 1.0)) - self._recent) * share
        if self._answers * RECENT < 1:
            return
        used = busy * 2 >= self._limit
        if self._recent < self._best:
            self._best = self._recent
        else:
            self._best += (self._recent - self._best) * (DRIFT_BUSY if used else DRIFT_IDLE)
        if not used:
            return
        gradient = max(0.5, min(1.0, TOLERANCE * math.exp(self._best - self._recent)))
        wanted = self._limit * gradient + math.sqrt(self._limit)
        self._limit += (wanted - self._limit) * SMOOTHING
        self._limit = max(float(LEAST), min(float(self.most), self._limit))

    def bore(self, busy: int) -> None:
        """A whole reply has come. How long it took says little, but there were not too many requests."""
        if busy * 2 >= self._limit:
            self._limit = min(float(self.most), self._limit + 1 / self._limit)

    def refused(self, now: float) -> None:
        """The upstream has said that there are too many requests: 429, 503, 529."""
        round_trip_s = math.exp(self._recent) / 1000 if self._answers else 0.0
        if now - self._halved_at < max(0.1, round_trip_s):
            return  # refusals of one wave count once
        self._halved_at = now
        self._limit = max(float(LEAST), self._limit / 2)
