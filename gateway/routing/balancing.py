"""The state of endpoints (whether they answer, how quickly, whether their key works), and the order to try them.

A `Place` is an endpoint: a model of an upstream with one of its keys. Upstreams count limits for each of these. A place
has its own load. It shares its breaker with the other keys of the same upstream and model, and the state of its key
with the other models of that key. `order` sorts the routes of a model for one request: the stages as configured; within
a stage, first the place of the session, so that its prompt cache is used, or without a session the better of two chosen
at random. Places that cannot be used at the moment are left out, unless all are so.
"""

from __future__ import annotations

import bisect
import hashlib
import heapq
import itertools
import math
import random
from collections import OrderedDict
from collections.abc import ItemsView, Iterator, MutableMapping, Sequence
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from gateway.limits.breaker import Breaker, BreakerLimits
from gateway.limits.rate_limit import LONGEST_S, Headroom

MAX_PLACES = 4096  # how many places are kept, since clients may send any name of a model
MODELS_OF_A_KEY = 16  # more are kept where there are so many keys that each would have fewer models

SMOOTHING = 0.2  # the weight of a new value in the moving average of first-byte times
MEMORY_S = 60.0  # the time constant with which an average without new values fades
SAMPLES = 64  # how many first-byte times are kept for the p95
MIN_SAMPLES = 20
TIRED_S = 10.0  # the pause after a 404, or after a 429 without a Retry-After
BAD_KEY_S = 60.0  # the pause of a key after a 403, which may be about one model only
REVOKED_S = 300.0  # the pause of a key after a 401
NO_CREDIT_S = 900.0  # the pause of a key without credit, since somebody must pay first
CLEARLY = 1.25  # how many times the cost of one place must be that of another to count as worse
MANY = 32  # so many routes of a stage are many
DRAWS = 12  # at random, before all of them are looked at: most of them rest
FAVOURITES = 6  # of a session, that are remembered
MAX_SESSIONS = 2048  # that are remembered for one list of routes
MAX_LISTS = 64
UNKNOWN_MS = 1000.0  # the assumed average of a place with requests that has not answered yet


class KeyState:
    """One credential of an upstream. bad_until: the key was refused (401, 403) or has no credit, and is not used until
    then. told: this has been logged. plan: of a limit that all its models have together, such as the five hours of a
    plan."""

    __slots__ = ("bad_until", "plan", "told")

    def __init__(self) -> None:
        self.bad_until = 0.0
        self.plan = Headroom()
        self.told = False

    def __repr__(self) -> str:
        return f"<KeyState bad until {self.bad_until:.1f}>"

    def rests(self, until: float) -> None:
        self.bad_until = max(self.bad_until, until)

    def works(self) -> None:
        """Records that a request with this key got an answer."""
        self.bad_until = 0.0
        self.told = False


class Place:
    """One endpoint. busy: its requests in flight. tired_until: other places are preferred until then (after a 429).
    headroom: of the limits of its model; those of its key are in key.plan."""

    __slots__ = (
        "_average_ms", "_next", "_seen_at", "_times", "breaker", "busy", "headroom", "key", "name", "tired_until",
    )  # fmt: skip

    def __init__(self, name: str, breaker: Breaker, key: KeyState) -> None:
        self.name = name
        self.breaker = breaker
        self.key = key
        self.headroom = Headroom()
        self.busy = 0
        self.tired_until = 0.0
        self._average_ms = 0.0
        self._seen_at = 0.0
        self._times: list[float] = []
        self._next = 0

    def __repr__(self) -> str:
        return f"<Place {self.name} {self.breaker.state}, {self.busy} busy, {self._average_ms:.0f} ms>"

    def usable(self, now: float) -> bool:
        return self.breaker.would_allow(now) and not self.rests(now)

    def rests(self, now: float) -> bool:
        """Whether it has said itself that it had better not be asked."""
        key = self.key
        return self.tired_until > now or key.bad_until > now or self.headroom.free_at > now or key.plan.free_at > now

    @property
    def free_at(self) -> float:
        """The upstream has said that it answers no earlier."""
        return max(self.headroom.free_at, self.key.plan.free_at)

    @property
    def resets_at(self) -> float:
        """When a used-up limit of hours or days ends; 0.0 = none is used up, as far as is known."""
        return max(self.headroom.resets_at, self.key.plan.resets_at)

    def probes(self, now: float) -> None:
        """A request is about to be sent; see Headroom."""
        self.headroom.probes(now)
        self.key.plan.probes(now)

    def works(self, sent_at: float) -> None:
        """A request was answered; see Headroom."""
        self.headroom.works(sent_at)
        self.key.plan.works(sent_at)

    def why_not(self, now: float) -> str:
        """Why it is not usable, in words."""
        if not self.breaker.would_allow(now):
            return f"its breaker is {self.breaker.state}"
        if self.key.bad_until > now:
            return f"its key was refused, and rests for {self.key.bad_until - now:.0f} s more"
        if self.resets_at > now:
            return f"its limit is used up, and ends in {self.resets_at - now:.0f} s"
        until = max(self.free_at, self.tired_until)
        return f"it has asked for a pause of {until - now:.0f} s more"

    def usable_at(self) -> float:
        reopens = self.breaker.reopens_at if self.breaker.state != "closed" else 0.0
        return max(reopens, self.tired_until, self.key.bad_until, self.free_at)

    def refused(
        self, status: int, retry_after: float | None, now: float, no_credit: bool = False, *, of_key: bool = False
    ) -> None:
        """Records a refusal because of the key, a limit, or an unknown model. of_key: the limit is one of all models of
        the key."""
        if no_credit or status == 402:
            self.key.rests(now + NO_CREDIT_S)
        elif status in (401, 403):
            self.key.rests(now + (REVOKED_S if status == 401 else BAD_KEY_S))
        elif status == 429 and retry_after is not None:
            (self.key.plan if of_key else self.headroom).refused(retry_after, now)
        elif status in (503, 529) and retry_after is not None:  # an overload is no limit, and may be over any minute
            self.headroom.refused(min(retry_after, LONGEST_S), now)
        elif status in (404, 429):  # a place that always answers 404 would look like the quickest one
            self.tired_until = now + TIRED_S

    @property
    def average_ms(self) -> float:
        """The average of its first-byte times in ms; 0.0 = there is none yet."""
        return self._average_ms

    def first_byte(self, ms: float, now: float) -> None:
        """Records a first-byte time."""
        self._average_ms += (ms - self._average_ms) * (SMOOTHING if self._average_ms else 1.0)
        self._seen_at = now
        if len(self._times) < SAMPLES:
            self._times.append(ms)
        else:
            self._times[self._next] = ms
            self._next = (self._next + 1) % SAMPLES

    def cost(self, now: float, weight: float = 1.0) -> float:
        """The expected wait at this place; a lower cost is better. A place that was never used, or not for a long time,
        has a low cost until one request is there. A place with three times the weight gets three times the load."""
        if not self.busy:
            return self._average_ms * math.exp((self._seen_at - now) / MEMORY_S) + 1.0
        return (self._average_ms or UNKNOWN_MS) * (1 + self.busy / weight) + 1.0

    def p95_ms(self) -> float | None:
        """The 95th percentile of recent first-byte times in ms; None while there are too few."""
        if len(self._times) < MIN_SAMPLES:
            return None
        return sorted(self._times)[int(len(self._times) * 0.95)]


class Places:
    """The places that were used recently. They stay when the settings change."""

    def __init__(self, limits: BreakerLimits) -> None:
        self.limits = limits
        self._places: OrderedDict[tuple[str, str, int], Place] = OrderedDict()
        # Each lives as long as its places.
        self._breakers: WeakValueDictionary[tuple[str, str], Breaker] = WeakValueDictionary()
        self._keys: dict[tuple[str, int], KeyState] = {}

    def __repr__(self) -> str:
        return f"<Places {len(self._places)}>"

    def __iter__(self) -> Iterator[Place]:
        return iter(self._places.values())

    def resize(self, limits: BreakerLimits) -> None:
        """Takes over changed settings for the breakers. Open breakers stay open."""
        self.limits = limits
        for breaker in self._breakers.values():
            breaker.resize(limits)

    def forget(self, upstream: str) -> None:
        """Drops the places of an upstream that has another address or other keys now. Requests in flight keep
        theirs."""
        _forget(self._places, upstream)
        _forget(self._breakers, upstream)
        _forget(self._keys, upstream)

    def items(self) -> ItemsView[tuple[str, str, int], Place]:
        """Pairs of (upstream, model, number of the key) and the place."""
        return self._places.items()

    def keys(self) -> ItemsView[tuple[str, int], KeyState]:
        """Pairs of (upstream, number of the key) and the state of the key."""
        return self._keys.items()

    def key(self, upstream: str, number: int) -> KeyState:
        """The state of one of the upstream's keys. number: from 0 on."""
        return self._keys.setdefault((upstream, number), KeyState())

    def of(self, upstream: str, model: str, key: int) -> Place:
        """The place of a model at an upstream. key: the number of the upstream's key, from 0 on."""
        place = self._places.get((upstream, model, key))
        if place is not None:
            self._places.move_to_end((upstream, model, key))
            return place
        breaker = self._breakers.get((upstream, model))
        if breaker is None:
            breaker = self._breakers[upstream, model] = Breaker(self.limits)
        name = f"{upstream}/{model}" + f" (key {key + 1})" * (key > 0)
        place = Place(name, breaker, self.key(upstream, key))
        self._places[upstream, model, key] = place
        if len(self._places) > MAX_PLACES and len(self._places) > MODELS_OF_A_KEY * len(self._keys):
            self._places.popitem(last=False)
        return place


class Staged(Protocol):
    """What `order` needs of a route."""

    @property
    def place(self) -> Place: ...

    @property
    def stage(self) -> int: ...

    @property
    def weight(self) -> float: ...


R = TypeVar("R", bound=Staged)
_Key = TypeVar("_Key", bound=tuple[object, ...])


def order(routes: Sequence[R], session: str, now: float, rng: random.Random) -> list[R]:
    """The routes to try, the best first; at least one. session: "" = none. If no route can be used at the moment, all
    are returned. Those that asked for a wait come last, and the one with the shortest wait at the very end, because the
    flow waits for the last one. Those whose limit is used up for hours are not last beside one that may answer soon:
    the last one is asked in any case, and what it says of the time goes to the client."""
    good = [route for route in routes if route.place.usable(now)]
    if good:
        return _staged(good, session, now, rng)
    limited = [route for route in routes if route.place.free_at > now]
    limited.sort(key=lambda route: route.place.free_at, reverse=True)
    rest = [route for route in routes if route.place.free_at <= now]
    rest = _staged(rest, session, now, rng)
    rest.sort(key=lambda route: route.place.key.bad_until > now)
    if rest and rest[0].place.key.bad_until <= now:
        used_up = [route for route in limited if route.place.resets_at > now]
        return used_up + rest + [route for route in limited if route.place.resets_at <= now]
    return rest + limited


def _staged(good: list[R], session: str, now: float, rng: random.Random) -> list[R]:
    if len(good) <= 1:
        return good
    out: list[R] = []
    for stage in sorted({route.stage for route in good}):
        members = [route for route in good if route.stage == stage]
        if len(members) > 1:
            members = _by_session(members, session) if session else _by_load(members, now, rng)
        out += members
    return out


def _by_session(members: list[R], session: str) -> list[R]:
    """Sorts by weighted rendezvous hashing: a session keeps its place, and only the sessions of a lost place move."""
    return sorted(members, key=lambda route: score(route, session), reverse=True)


def score(route: Staged, session: str) -> float:
    """How much a session likes a route."""
    digest = hashlib.blake2b(f"{session}\0{route.place.name}".encode("utf-8", "surrogatepass"), digest_size=8)
    share = (int.from_bytes(digest.digest()) + 1) / 2**64
    return -route.weight / math.log(share) if share < 1 else math.inf


def _by_load(members: list[R], now: float, rng: random.Random) -> list[R]:
    """Sorts at random by weight, then puts the better one of the first two first. A small difference does not count, so
    that among equal places only the weights decide."""
    shuffled = sorted(members, key=lambda route: rng.random() ** (1 / route.weight), reverse=True)
    first, second = (route.place.cost(now, route.weight) for route in shuffled[:2])
    if second * CLEARLY < first:
        shuffled[0], shuffled[1] = shuffled[1], shuffled[0]
    return shuffled


def _forget(known: MutableMapping[_Key, Any], upstream: str) -> None:
    """Removes all entries whose key begins with this upstream."""
    for key in [key for key in known if key[0] == upstream]:
        del known[key]


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
        """Returns the two routes that `order` would have first; fewer than two where that cannot be said
        without a look at all of them. routes: a list that does not change."""
        if len(routes) < MANY:
            return []
        pool = self._pools.get(id(routes))
        if pool is None or pool.routes is not routes:
            pool = self._pools[id(routes)] = _Pool(routes)
            if len(self._pools) > MAX_LISTS:
                self._pools.popitem(last=False)
        return pool.two(session, now, rng)
