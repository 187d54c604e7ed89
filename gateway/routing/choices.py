"""The first choice among many routes, without a look at each of them.

A pool may have a thousand keys, and a request takes one of them. What is the same for each request with these routes is
worked out once: which of them belong to the first stage, and the sums of their weights. A session's favourites are
remembered. The other routes are sorted by `balancing.order` where a request goes on to them.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import random
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from gateway.routing.balancing import CLEARLY, Staged, score

R = TypeVar("R", bound=Staged)

MANY = 32  # so many routes of a stage are many
DRAWS = 12  # at random, before all of them are looked at: most of them rest
FAVOURITES = 6  # of a session, that are remembered
MAX_SESSIONS = 2048  # that are remembered for one list of routes
MAX_LISTS = 64


class _Pool(Generic[R]):
    """The first stage of one list of routes. sums: of the weights, up to each route."""

    __slots__ = ("_favourites", "_members", "_sums", "routes")

    def __init__(self, routes: Sequence[R]) -> None:
        self.routes = routes
        stage = min(route.stage for route in routes)
        self._members = [route for route in routes if route.stage == stage]
        self._sums = list(itertools.accumulate(route.weight for route in self._members))
        self._favourites: OrderedDict[str, list[R]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<_Pool of {len(self._members)} routes, {len(self._favourites)} sessions>"

    def two(self, session: str, now: float, rng: random.Random) -> list[R]:
        if len(self._members) < MANY:
            return []
        if session:
            return [route for route in self._of_session(session) if route.place.usable(now)][:2]
        drawn = self._drawn(now, rng)
        if len(drawn) == 2:
            first, second = (route.place.cost(now, route.weight) for route in drawn)
            if second * CLEARLY < first:
                drawn.reverse()
        return drawn

    def _of_session(self, session: str) -> list[R]:
        favourites = self._favourites
        if (known := favourites.get(session)) is not None:
            favourites.move_to_end(session)
            return known
        known = heapq.nlargest(FAVOURITES, self._members, key=lambda route: score(route, session))
        favourites[session] = known
        if len(favourites) > MAX_SESSIONS:
            favourites.popitem(last=False)
        return known

    def _drawn(self, now: float, rng: random.Random) -> list[R]:
        """Up to two usable routes, as a shuffle by weight would have them first."""
        members, sums, drawn = self._members, self._sums, list[R]()
        for _ in range(DRAWS):
            route = members[min(bisect.bisect(sums, rng.random() * sums[-1]), len(members) - 1)]
            if not (drawn and drawn[0] is route) and route.place.usable(now):
                drawn.append(route)
                if len(drawn) == 2:
                    break
        return drawn


class Choices:
    """The pools of the lists of routes that were asked for lately."""

    def __init__(self) -> None:
        self._pools: OrderedDict[int, _Pool[Any]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Choices of {len(self._pools)} lists>"

    def two(self, routes: Sequence[R], session: str, now: float, rng: random.Random) -> list[R]:
        """Returns the two routes that `balancing.order` would have first; fewer than two where that cannot be said
        without a look at all of them. routes: a list that does not change."""
        if len(routes) < MANY:
            return []
        pool = self._pools.get(id(routes))
        if pool is None or pool.routes is not routes:
            pool = self._pools[id(routes)] = _Pool(routes)
            if len(self._pools) > MAX_LISTS:
                self._pools.popitem(last=False)
        return pool.two(session, now, rng)
