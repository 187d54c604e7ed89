"""The prices of models: from [prices] in the settings, else from the shipped list (routing/shipped_models.py).

The list is used only for upstreams on other machines, because the cost of one's own server is not in it. An unknown
price is None, and is shown as unknown, never as 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.routing import shipped_models
from operate.settings.load import Settings

MAX_KNOWN = 1_000  # for how many models prices are kept, since clients may send any name
_PER = 1e6


class Price(NamedTuple):
    """A price in USD for a million tokens. over: with more tokens of input than this, the price is `then`."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    over: int = 0
    then: Price | None = None

    def of(self, uncached: int, read: int, written: int, output: int) -> float:
        """The cost in USD of tokens of input (not cached, read from the cache, written to it) and of output."""
        if self.then is not None and uncached + read + written > self.over:
            return self.then.of(uncached, read, written, output)
        return (
            uncached * self.input
            + read * (self.input if self.cache_read is None else self.cache_read)
            + written * (self.input if self.cache_write is None else self.cache_write)
            + output * self.output
        ) / _PER

    def saved(self, uncached: int, read: int, written: int) -> float:
        """The USD that a prompt cache has saved: tokens read from it cost less, tokens written to it cost more."""
        return self.of(uncached + read + written, 0, 0, 0) - self.of(uncached, read, written, 0)


def _row(row: list[Any]) -> Price:
    numbers = [value for value in row if not isinstance(value, list)]
    tier = row[-1] if isinstance(row[-1], list) else None
    numbers += [None] * (4 - len(numbers))
    return Price(*numbers, *((tier[0], Price(*tier[1:])) if tier else ()))


class Prices:
    """The prices of models at upstreams; of() returns None if a price is unknown."""

    def __init__(self, settings: Settings) -> None:
        self.source, self.date = shipped_models.shipped().prices, shipped_models.shipped().date
        self.adopt(settings)

    def __repr__(self) -> str:
        return f"<Prices: {len(self._own)} of the settings, the others as shipped>"

    def adopt(self, settings: Settings) -> None:
        """Takes over changed settings."""
        self._own = [(glob, _row(list(row))) for glob, row in shipped_models.by_pattern(settings.prices)]
        near = shipped_models.is_near
        self._near = {name for name, upstream in settings.upstreams.items() if near(upstream.base_url)}
        self._known: dict[tuple[str, str], Price | None] = {}

    def of(self, upstream: str, model: str) -> Price | None:
        key = upstream, model
        if key not in self._known:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[key] = self._look_up(upstream, model)
        return self._known[key]

    def _look_up(self, upstream: str, model: str) -> Price | None:
        for glob, price in self._own:
            if glob.match(f"{upstream}/{model}") or glob.match(model):
                return price
        if upstream in self._near:
            return None
        row = shipped_models.known(model).get("price")
        return _row(row) if row is not None else None
