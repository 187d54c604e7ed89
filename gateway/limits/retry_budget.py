"""How many retries an upstream may get, so that retries never make its outage worse.

It may get a share of the requests of the last ten seconds, or a few retries a second, whichever is more. Whole seconds
are counted, for retries one second more than for requests. So the limit holds for any ten seconds that end with a
retry. It has no clock: `now` is given, in seconds.
"""

from __future__ import annotations

WINDOW_S = 10


class Budget:
    """Call `request` for each first attempt and `take` before each retry."""

    __slots__ = ("_least", "_seconds", "_share")

    def __init__(self, share: float, per_second: float) -> None:
        """share: retries for each request. per_second: retries that are allowed in any case."""
        self.resize(share, per_second)
        self._seconds: dict[int, list[int]] = {}  # second -> [requests, retries]

    def __repr__(self) -> str:
        counts = self._seconds.values()
        return f"<Budget {sum(c[1] for c in counts)} retries for {sum(c[0] for c in counts)} requests>"

    def resize(self, share: float, per_second: float) -> None:
        """Takes over changed settings. What was counted stays."""
        self._share = share
        self._least = per_second * WINDOW_S

    def request(self, now: float) -> None:
        self._second(now)[0] += 1

    def take(self, now: float) -> bool:
        """Returns whether one more retry may be made; if so, it is counted."""
        second = self._second(now)
        oldest = int(now) - WINDOW_S
        requests = retries = 0
        for number, (asked, again) in self._seconds.items():
            if number > oldest:
                requests += asked
            if number >= oldest:
                retries += again
        if retries + 1 > max(self._least, requests * self._share):
            return False
        second[1] += 1
        return True

    def give_back(self, at: float) -> None:
        """Gives back a retry that was taken at that time and not made."""
        if (second := self._seconds.get(int(at))) is not None and second[1]:
            second[1] -= 1

    def _second(self, now: float) -> list[int]:
        number = int(now)
        second = self._seconds.get(number)
        if second is None:
            for old in [n for n in self._seconds if n < number - WINDOW_S]:
                del self._seconds[old]
            second = self._seconds[number] = [0, 0]
        return second
