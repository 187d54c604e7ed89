"""Counts tokens exactly, for requests whose messages are text, to models whose vocabulary is public.

What stands around the text is known from recorded replies (translate/counting/text_turns.py), and it is checked all the
time: the usage of a reply must be what was counted. A kind of request that no recording shows is trusted once some
replies have agreed. If a reply disagrees, its kind is not trusted until many have agreed again. The same tools and
schemas take the same tokens every time: the first reply to a request with just these tells how many, and the next ones
confirm it. A request is counted as its upstream gets it, since translation may join messages. Each text is counted
once, however long the history grows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec import Struct

from gateway.routing.router import Route
from translate import dialects
from translate.counting import text_turns
from translate.counting.text_turns import FramedTexts
from translate.dialect import Dialect

MAX_KEPT = 20_000  # counts of texts
LEAST_KEPT = 64  # characters: the counts of shorter texts are not worth keeping
LARGE = 64 * 1024  # characters, which take about 2 ms: a longer text is counted in a thread
TRUSTED_AFTER = 3  # replies that agree, for a kind that no recording shows
AGAIN_AFTER = 50  # replies that agree, after one that did not
MAX_MODELS = 1_000


class Expected(Struct, frozen=True):
    """What a reply should say. has_more: the request has more than messages, such as tools."""

    tokens: int
    kind: str
    has_more: bool


class _Learned(NamedTuple):
    """more: the tokens that replies of a kind have reported beyond those that were counted. wants: how many more of
    them have to agree, 0 = it is trusted."""

    more: int
    wants: int


class ExactCounts:
    """Counts requests. count: counts a text by the vocabulary."""

    def __init__(self, count: Callable[[str], int]) -> None:
        self._count_text = count
        self._kept: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._learned: OrderedDict[tuple[str, str, str], _Learned] = OrderedDict()  # by upstream, model and kind
        self._with_more: set[tuple[str, str]] = set()  # models for which requests with tools can be counted

    def __repr__(self) -> str:
        return f"<ExactCounts of {len(self._kept)} texts>"

    def knows(self, route: Route) -> bool:
        return text_turns.is_known(route.model)

    def framed(self, route: Route, body: dict[str, Any]) -> FramedTexts | None:
        """body: as the route's upstream gets it."""
        turns = dialects.of(route.protocol).text_turns
        return text_turns.framed(route.model, turns(body)) if turns is not None else None

    def framed_alike(self, route: Route, data: dict[str, Any], client: Dialect) -> FramedTexts | None:
        """data: as the client says it, in a request that is translated. None if the upstream gets it otherwise."""
        alike = not route.home and dialects.of(route.protocol).text_turns is not None
        return text_turns.framed(route.model, client.single_turns(data)) if alike else None

    def counts_more(self, route: Route) -> bool:
        """Whether requests with some tools can be counted."""
        return (route.upstream.name, route.model) in self._with_more

    def more(self, route: Route, framed: FramedTexts) -> int | None:
        """The tokens to be added to those that are counted; None = a sum cannot be trusted."""
        learned = self._learned.get((route.upstream.name, route.model, framed.kind))
        if learned is not None:
            return None if learned.wants else learned.more
        return 0 if framed.proven else None

    def tokens(self, framed: FramedTexts) -> int:
        """Of all that can be counted of a request; 0 = it holds what is no Unicode."""
        try:
            return framed.around + sum(map(self._of_text, framed.texts))
        except UnicodeEncodeError:
            return 0

    def is_large(self, framed: FramedTexts) -> bool:
        """Whether much of it has not been counted before."""
        return sum(len(text) for text in framed.texts if (hash(text), len(text)) not in self._kept) > LARGE

    def expected(self, route: Route, body: dict[str, Any]) -> Expected | None:
        """The count that the reply to this request should confirm, if it is quickly made."""
        framed = self.framed(route, body)
        if framed is None or self.is_large(framed):
            return None
        tokens = self.tokens(framed)
        return Expected(tokens, framed.kind, framed.has_more) if tokens else None

    def learn(self, route: Route, expected: Expected, real: int) -> None:
        """A reply says how many tokens its request took."""
        key, more = (route.upstream.name, route.model, expected.kind), real - expected.tokens
        learned = self._learned.get(key)
        if learned is None:
            learned = _Learned(more, TRUSTED_AFTER + 1) if expected.has_more else _Learned(0, TRUSTED_AFTER)
        if more == learned.more and more >= 0:
            learned = _Learned(more, max(0, learned.wants - 1))
        else:
            learned = _Learned(more if expected.has_more else 0, AGAIN_AFTER)
        if expected.has_more and not learned.wants:
            self._with_more.add(key[:2])
        self._learned[key] = learned
        self._learned.move_to_end(key)
        while len(self._learned) > MAX_MODELS:
            self._learned.popitem(last=False)
            self._with_more = {(upstream, model) for upstream, model, _ in self._learned} & self._with_more

    def _of_text(self, text: str) -> int:
        if len(text) < LEAST_KEPT:
            return self._count_text(text)
        key = hash(text), len(text)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = self._count_text(text)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return found
