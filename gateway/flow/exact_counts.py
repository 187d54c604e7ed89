"""Token counts to the last token, for requests of nothing but text to models whose vocabulary is public.

What stands around the text is known from recorded replies (translate/text_turns.py) and is checked all the time: the
usage of replies must be what was counted. A kind of request of which no recording tells is trusted once some replies
have agreed; one for which a reply disagrees is trusted no more, until many have agreed again. It is counted as its
upstream gets it, since translation may join messages. Each text is counted once, however long the history grows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from gateway.routing.router import Route
from translate import dialects, text_turns
from translate.dialect import Dialect
from translate.text_turns import Framed

MAX_KEPT = 20_000  # counts of texts
LEAST_KEPT = 64  # characters of a text that is worth it
LARGE = 64 * 1024  # characters: more of them are counted in a thread, which takes about 2 ms
TRUSTED_AFTER = 3  # replies that agree, where no recording tells
AGAIN_AFTER = 50  # after one that does not
MAX_MODELS = 1_000


class Expected(NamedTuple):
    """What a reply should say."""

    tokens: int
    kind: str


class ExactCounts:
    """count: of a text, by the vocabulary."""

    def __init__(self, count: Callable[[str], int]) -> None:
        self._count_text = count
        self._kept: OrderedDict[tuple[int, int], int] = OrderedDict()
        # How many more replies have to agree, by upstream, model and kind of request; 0 = trusted.
        self._wants: OrderedDict[tuple[str, str, str], int] = OrderedDict()

    def __repr__(self) -> str:
        return f"<ExactCounts of {len(self._kept)} texts>"

    def knows(self, route: Route) -> bool:
        return text_turns.is_known(route.model)

    def framed(self, route: Route, body: dict[str, Any]) -> Framed | None:
        """body: as the route's upstream gets it."""
        turns = dialects.of(route.protocol).text_turns
        return text_turns.framed(route.model, turns(body)) if turns is not None else None

    def framed_alike(self, route: Route, data: dict[str, Any], client: Dialect) -> Framed | None:
        """data: as the client says it, in a request that is translated. None where that is not as the upstream gets it.
        """
        alike = not route.home and dialects.of(route.protocol).text_turns is not None
        return text_turns.framed(route.model, client.single_turns(data)) if alike else None

    def is_trusted(self, route: Route, framed: Framed) -> bool:
        wanted = self._wants.get((route.upstream.name, route.model, framed.kind))
        return wanted == 0 or (wanted is None and framed.proven)

    def tokens(self, framed: Framed) -> int:
        """Of a whole request; 0 = it holds what is no Unicode."""
        try:
            return framed.around + sum(map(self._of_text, framed.texts))
        except UnicodeEncodeError:
            return 0

    def is_large(self, framed: Framed) -> bool:
        """Whether much of it has not been counted before."""
        return sum(len(text) for text in framed.texts if (hash(text), len(text)) not in self._kept) > LARGE

    def expected(self, route: Route, body: dict[str, Any]) -> Expected | None:
        """What the reply to a request that goes out is to agree with, if that is quickly told."""
        framed = self.framed(route, body)
        if framed is None or self.is_large(framed):
            return None
        tokens = self.tokens(framed)
        return Expected(tokens, framed.kind) if tokens else None

    def learn(self, route: Route, expected: Expected, real: int) -> None:
        """A reply says how many tokens its request took."""
        key = route.upstream.name, route.model, expected.kind
        if real != expected.tokens:
            self._wants[key] = AGAIN_AFTER
        elif wanted := self._wants.setdefault(key, TRUSTED_AFTER):
            self._wants[key] = wanted - 1
        self._wants.move_to_end(key)
        while len(self._wants) > MAX_MODELS:
            self._wants.popitem(last=False)

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
