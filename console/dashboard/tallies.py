"""The usage of each model and each client since the proxy started: requests, tokens, cost.

Clients may send any name of a model, so that only a limited number is counted; all others are "other". Cost is None if
no request had a known price; `unpriced` is the number of requests with an unknown price. `kept` counts the requests
that the response cache has answered (hits, and replies that several share), and `saved` is what they would have cost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MAX_NAMES = 200
OTHER = "other"
COUNTS = ("requests", "errors", "input", "cached", "output", "reasoning", "unpriced", "kept", "saved_tokens", "saved")

Tally = dict[str, Any]


def empty(name: str) -> Tally:
    return {"name": name, "cost": None, "last": 0.0} | dict.fromkeys(COUNTS, 0)


class Tallies:
    """The tallies, one for each name."""

    __slots__ = ("_by_name",)

    def __init__(self) -> None:
        self._by_name: dict[str, Tally] = {}

    def __repr__(self) -> str:
        return f"<Tallies of {len(self._by_name)}>"

    def of(self, name: str) -> Tally:
        tally = self._by_name.get(name)
        if tally is None:
            if len(self._by_name) >= MAX_NAMES:
                name = OTHER
            tally = self._by_name.setdefault(name, empty(name))
        return tally

    def all(self) -> list[Tally]:
        return list(self._by_name.values())


def added(tallies: Iterable[Tally]) -> list[Tally]:
    """The tallies of several workers, joined by name; the highest cost first, then the most requests."""
    whole: dict[str, Tally] = {}
    for tally in tallies:
        sums = whole.setdefault(tally["name"], empty(tally["name"]))
        for count in COUNTS:
            sums[count] += tally[count]
        sums["last"] = max(sums["last"], tally["last"])
        if tally["cost"] is not None:
            sums["cost"] = (sums["cost"] or 0.0) + tally["cost"]
    return sorted(whole.values(), key=lambda tally: (-(tally["cost"] or 0.0), -tally["requests"], tally["name"]))
