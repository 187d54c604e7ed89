"""The prices of models: from [prices] in the settings, else from the shipped list (routing/shipped_models.py).

The list is used only for upstreams on other machines, because the cost of one's own server is not in it. An unknown
price is None, and is shown as unknown, never as 0. Service tiers and the like change a price by factors, which are
those of the shipped list for the prices of the settings, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import structs

from gateway.routing import shipped_models
from operate.settings.load import Settings
from translate.conversation import Usage

MAX_KNOWN = 1_000  # for how many models prices are kept, since clients may send any name
_PER = 1e6
_NONE: Mapping[str, float] = MappingProxyType({})


class Price(NamedTuple):
    """A price in USD for a million tokens. over: with more tokens of input than this, the price is `then`. factors: by
    what the price depends on besides; "hour": how many times the price of input is paid for what is written to a cache
    for an hour."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    over: int = 0
    then: Price | None = None
    factors: Mapping[str, float] = _NONE

    def of(self, used: Usage) -> float:
        """The cost in USD."""
        if self.then is not None and used.prompt > self.over:
            return self.then.of(used)
        write = self.input if self.cache_write is None else self.cache_write
        usd = (
            used.input * self.input
            + used.cache_read * (self.input if self.cache_read is None else self.cache_read)
            + used.cache_write * write
            + used.output * self.output
        ) / _PER
        if used.cache_write_1h and self.cache_write is not None and "hour" in self.factors:
            usd += min(used.cache_write_1h, used.cache_write) * (self.input * self.factors["hour"] - write) / _PER
        for factor in self.factors_of(used).values():
            usd *= factor
        return usd

    def factors_of(self, used: Usage) -> dict[str, float]:
        """By how much each of the usage's terms that has a factor changes the cost."""
        return {term: self.factors[term] for term in used.terms if term in self.factors}

    def saved(self, used: Usage) -> float:
        """The USD that a prompt cache has saved: tokens read from it cost less, tokens written to it cost more."""
        plain = Usage(input=used.prompt, terms=used.terms)
        return self.of(plain) - self.of(structs.replace(used, output=0))


def _row(row: list[Any], factors: Mapping[str, float]) -> Price:
    numbers = [value for value in row if not isinstance(value, list)]
    tier = row[-1] if isinstance(row[-1], list) else None
    numbers += [None] * (4 - len(numbers))
    over, then = (tier[0], _row(tier[1:], factors)) if tier else (0, None)
    return Price(numbers[0], numbers[1], numbers[2], numbers[3], over, then, factors)


class Prices:
    """The prices of models at upstreams; of() returns None if a price is unknown."""

    def __init__(self, settings: Settings) -> None:
        self.source, self.date = shipped_models.shipped().prices, shipped_models.shipped().date
        self.adopt(settings)

    def __repr__(self) -> str:
        return f"<Prices: {len(self._own)} of the settings, the others as shipped>"

    def adopt(self, settings: Settings) -> None:
        """Takes over changed settings."""
        self._own = [(glob, list(row)) for glob, row in shipped_models.by_pattern(settings.prices)]
        self._lines = tuple(settings.prices)
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

    def lacks_all(self, upstream: str) -> bool:
        """Tells whether no model of this upstream has a price, whatever its name."""
        return upstream in self._near and not any(
            "/" not in line or fnmatchcase(upstream, line.partition("/")[0]) for line in self._lines
        )

    def _look_up(self, upstream: str, model: str) -> Price | None:
        known = shipped_models.known(model)
        factors: Mapping[str, float] = known.get("factors", _NONE)
        for glob, row in self._own:
            if glob.match(f"{upstream}/{model}") or glob.match(model):
                return _row(row, factors)
        if upstream in self._near or "price" not in known:
            return None
        return _row(known["price"], factors)
