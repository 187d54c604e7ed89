"""How many requests an upstream can take at once, learned from how it answers.

The recent time to the first byte is compared with what it is at its best: as long as it is about that, the limit grows
a little with each answer; as it rises, the limit shrinks in proportion (a gradient, as in TCP Vegas and Netflix's
concurrency-limits). One answer says little, since a long prompt takes ten times as long as a short one: both are
averages, of logarithms. A 429 or an overload halves the limit at once, though not more often than once per round trip.
No clock of its own: `now` is given, in seconds.
"""

from __future__ import annotations

import math

LEAST = 2
TOLERANCE = 2.0  # times the best time that is still as good as it
SMOOTHING = 0.2
RECENT = 0.05  # of the recent average, which one answer is; so many (1 / RECENT) there must be to judge by it
DRIFT_IDLE = 0.02  # of what recent is above the best, by which an answer moves the best: models change
DRIFT_BUSY = 0.0001  # the same while many are at work: then it may be their number that makes it slow


class Adaptive:
    """limit: whole number, LEAST to `most`."""

    __slots__ = ("_answers", "_best", "_halved_at", "_limit", "_recent", "most")

    def __init__(self, most: int, start: int = 20) -> None:
        self.most = max(LEAST, most)
        self._limit = float(min(start, self.most))
        self._answers = 0
        self._recent = 0.0  # logarithms of milliseconds
        self._best = math.inf
        self._halved_at = -math.inf

    def __repr__(self) -> str:
        return f"<Adaptive {self.limit} of {self.most}, {math.exp(self._recent):.0f} ms lately>"

    @property
    def limit(self) -> int:
        return int(self._limit)

    def answered(self, first_byte_ms: float, busy: int) -> None:
        """busy: requests at once when the answer came. Where few of the slots are used, the limit is no matter."""
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
        """A whole reply: how long it took says little, but it was not too much."""
        if busy * 2 >= self._limit:
            self._limit = min(float(self.most), self._limit + 1 / self._limit)

    def refused(self, now: float) -> None:
        """It said that this is too much: 429, 503, 529."""
        round_trip_s = math.exp(self._recent) / 1000 if self._answers else 0.0
        if now - self._halved_at < max(0.1, round_trip_s):
            return  # one wave of refusals counts once
        self._halved_at = now
        self._limit = max(float(LEAST), self._limit / 2)
