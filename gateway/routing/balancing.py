"""The state of the places where requests go: is it answering, how quickly, has its key had enough?

A `Place` is an upstream's model under one of its keys: limits are counted so. It has a load of its own, and shares its
breaker with the other keys of that upstream and model, its key's good name with the other models of that key. `order`
turns the routes of a model into the order for one request: the stages as configured; within a stage the session's own
place, so that its prompt cache keeps hitting, else the better of two taken at random. Places that had better be left
alone are left out, unless all are such.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections import OrderedDict
from collections.abc import ItemsView, Iterator, MutableMapping, Sequence
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

from gateway.limits.breaker import Breaker, Limits
from gateway.limits.rate_limit import LONGEST_S, Headroom

MAX_PLACES = 4096  # clients make up names of models

SMOOTHING = 0.2  # of the moving average of first-byte times
MEMORY_S = 60.0  # after that long without an answer an average says little: it fades
SAMPLES = 64  # first-byte times kept for the p95
MIN_SAMPLES = 20
TIRED_S = 10.0  # after a 404, or a 429 that says nothing
BAD_KEY_S = 60.0  # after a 403, which may be about one model only
REVOKED_S = 300.0  # after a 401
NO_CREDIT_S = 900.0  # somebody must pay first
CLEARLY = 1.25  # times the cost: a difference that is no chance
UNKNOWN_MS = 1000.0  # taken for the average of a place that has not answered yet, once a request is there to find out


class Key:
    """One credential of an upstream. bad_until: it was refused (401, 403), or has no credit; time may have put that
    right by then. told: the operator knows."""

    __slots__ = ("bad_until", "told")

    def __init__(self) -> None:
        self.bad_until = 0.0
        self.told = False

    def __repr__(self) -> str:
        return f"<Key bad until {self.bad_until:.1f}>"

    def rests(self, until: float) -> None:
        self.bad_until = max(self.bad_until, until)

    def works(self) -> None:
        """It was answered."""
        self.bad_until = 0.0
        self.told = False


class Place:
    """Where a request may go. busy: requests there now. tired_until: others are better asked before (a 429).
    headroom.free_at: it said itself that it will not answer earlier."""

    __slots__ = (
        "_average_ms", "_next", "_seen_at", "_times", "breaker", "busy", "headroom", "key", "name", "tired_until",
    )  # fmt: skip

    def __init__(self, name: str, breaker: Breaker, key: Key) -> None:
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
        return (
            self.breaker.would_allow(now)
            and self.tired_until <= now
            and self.key.bad_until <= now
            and self.headroom.free_at <= now
        )

    def usable_at(self) -> float:
        reopens = self.breaker.reopens_at if self.breaker.state != "closed" else 0.0
        return max(reopens, self.tired_until, self.key.bad_until, self.headroom.free_at)

    def refused(self, status: int, retry_after: float | None, now: float, no_credit: bool = False) -> None:
        """It answered that its key, or its limit, does not let us."""
        if no_credit or status == 402:
            self.key.rests(now + NO_CREDIT_S)
        elif status in (401, 403):
            self.key.rests(now + (REVOKED_S if status == 401 else BAD_KEY_S))
        elif status in (429, 503, 529) and retry_after is not None:
            self.headroom.free_at = max(self.headroom.free_at, now + min(retry_after, LONGEST_S))
        elif status in (404, 429):  # 404: it has no such model, and would be the quickest place of all
            self.tired_until = now + TIRED_S

    @property
    def average_ms(self) -> float:
        """Returns the average of its first-byte times; 0.0 means that there is none yet."""
        return self._average_ms

    def first_byte(self, ms: float, now: float) -> None:
        self._average_ms += (ms - self._average_ms) * (SMOOTHING if self._average_ms else 1.0)
        self._seen_at = now
        if len(self._times) < SAMPLES:
            self._times.append(ms)
        else:
            self._times[self._next] = ms
            self._next = (self._next + 1) % SAMPLES

    def cost(self, now: float, weight: float = 1.0) -> float:
        """What it would cost to wait there: lower is better. A place never tried, or long ago, is tried by one. A place
        of three times the weight bears three times the load."""
        if not self.busy:
            return self._average_ms * math.exp((self._seen_at - now) / MEMORY_S) + 1.0
        return (self._average_ms or UNKNOWN_MS) * (1 + self.busy / weight) + 1.0

    def p95_ms(self) -> float | None:
        """Returns the 95th percentile of recent first-byte times, and None while there are too few."""
        if len(self._times) < MIN_SAMPLES:
            return None
        return sorted(self._times)[int(len(self._times) * 0.95)]


class Places:
    """Every place that was asked for lately. It outlives a change of the settings."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._places: OrderedDict[tuple[str, str, int], Place] = OrderedDict()
        self._breakers: WeakValueDictionary[tuple[str, str], Breaker] = WeakValueDictionary()  # as long as a place
        self._keys: dict[tuple[str, int], Key] = {}

    def __repr__(self) -> str:
        return f"<Places {len(self._places)}>"

    def __iter__(self) -> Iterator[Place]:
        return iter(self._places.values())

    def resize(self, limits: Limits) -> None:
        """Takes over other settings for the breakers; those that are open stay open."""
        self.limits = limits
        for breaker in self._breakers.values():
            breaker.resize(limits)

    def forget(self, upstream: str) -> None:
        """It is another one now, or has other keys. Requests on their way there keep the places that they have."""
        _forget(self._places, upstream)
        _forget(self._breakers, upstream)
        _forget(self._keys, upstream)

    def items(self) -> ItemsView[tuple[str, str, int], Place]:
        """Returns pairs of (upstream, model, number of the key) and the place."""
        return self._places.items()

    def key(self, upstream: str, number: int) -> Key:
        """Returns what is known of one of the upstream's keys. number: from 0 on."""
        return self._keys.setdefault((upstream, number), Key())

    def of(self, upstream: str, model: str, key: int) -> Place:
        """key: its number among the upstream's."""
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
        if len(self._places) > MAX_PLACES:
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
    """Those worth a try, best first: at least one. session: "" for none. Where all had better be left alone, all are
    worth one: who has asked for some time comes last, and the one whose time is up first at the very end, since that
    one is waited for."""
    good = [route for route in routes if route.place.usable(now)]
    if good:
        return _staged(good, session, now, rng)
    limited = [route for route in routes if route.place.headroom.free_at > now]
    limited.sort(key=lambda route: route.place.headroom.free_at, reverse=True)
    rest = [route for route in routes if route.place.headroom.free_at <= now]
    rest = _staged(rest, session, now, rng)
    rest.sort(key=lambda route: route.place.key.bad_until > now)
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
    """Weighted rendezvous hashing: a session keeps its place, and only those of a lost place move."""

    def score(route: R) -> float:
        digest = hashlib.blake2b(f"{session}\0{route.place.name}".encode("utf-8", "surrogatepass"), digest_size=8)
        share = (int.from_bytes(digest.digest()) + 1) / 2**64
        return -route.weight / math.log(share) if share < 1 else math.inf

    return sorted(members, key=score, reverse=True)


def _by_load(members: list[R], now: float, rng: random.Random) -> list[R]:
    """The better of two comes first, the others follow as chance (by weight) has them. What is hardly better is not:
    among equals the weights alone decide."""
    shuffled = sorted(members, key=lambda route: rng.random() ** (1 / route.weight), reverse=True)
    first, second = (route.place.cost(now, route.weight) for route in shuffled[:2])
    if second * CLEARLY < first:
        shuffled[0], shuffled[1] = shuffled[1], shuffled[0]
    return shuffled


def _forget(known: MutableMapping[_Key, Any], upstream: str) -> None:
    """Removes all entries whose key begins with this upstream's name."""
    for key in [key for key in known if key[0] == upstream]:
        del known[key]
