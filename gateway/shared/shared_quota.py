"""Requests and tokens a minute that several workers count together: a Limiter whose numbers are in the shared store.

A worker keeps a copy of what the store said last. While the store is away, it decides by that copy, and counts each
request as many times as there are workers: so all workers together let through about what the limit says. When the
store is back, it is told what has gone through meanwhile; a store that has lost its memory also gets back its own last
numbers.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence

from gateway.limits.gcra import Level
from gateway.limits.limiter import Left, Limiter
from gateway.limits.rate_limit import Quota
from gateway.shared.shared import Shared
from gateway.shared.store import Away, Cell, Late, Taken

NOTHING = 0.0, 0.0
NO_LEVEL = Level()
LEASE_S = 0.5
LEASED_PART = 20  # a lease takes at most this part of a worker's share of what is left
MOST_LEASED = 16  # requests
SOON_S = 0.05  # corrections wait for the next question, but no longer than this


class SharedQuota:
    """The quota of a client or an upstream. name: such as "client:alice". copy: what is known here."""

    def __init__(self, shared: Shared, name: str, copy: Quota) -> None:
        self.copy = copy
        self._shared = shared
        self._name = name
        rows = (("requests", copy.requests, 0), ("tokens", copy.tokens, 1))
        self._buckets = [(f"quota:{name}:{unit}", each, at) for unit, each, at in rows if each is not None]
        self._said: tuple[Level, ...] = ()  # what the store has said, on this worker's clock
        self._leased: list[float] = []  # requests and tokens that were charged ahead, for later requests
        self._is_leasing = False
        self._lease_timer: asyncio.TimerHandle | None = None
        self._asked_at = -math.inf
        self._told_in = -1  # the number of outages when the store last answered
        self._owed = 0.0, 0.0  # corrections that are not sent to the store yet: requests and tokens
        self._gone = 0.0, 0.0  # what went through here while the store was away
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<SharedQuota {self._name} {self.copy!r}>"

    def resized(self, requests_per_minute: int, tokens_per_minute: int, now: float) -> SharedQuota:
        self._gives_lease_back()
        self._tell(now)
        return SharedQuota(self._shared, self._name, self.copy.resized(requests_per_minute, tokens_per_minute, now))

    @property
    def bounds(self) -> bool:
        return self.copy.bounds

    @property
    def counts_tokens(self) -> bool:
        return self.copy.counts_tokens

    @property
    def tokens_per_minute(self) -> int:
        return self.copy.tokens_per_minute

    def left(self, now: float) -> list[Left]:
        return self.copy.left(now)

    def take(self, tokens: int, now: float) -> float | asyncio.Future[float]:
        if self._leased and self._uses_lease(tokens):
            return 0.0
        if self._shared.away:
            return self._alone(tokens, now)
        if self._timer is not None or self._gone != NOTHING:
            self._tell(now)
        loop = asyncio.get_running_loop()
        ahead = now - loop.time()  # of the loop's clock

        more = self._to_lease(tokens, now)
        if more != NOTHING:
            self._is_leasing = True

        def then(taken: Taken) -> float:
            self._learn(taken.levels, loop.time() + ahead)
            if more != NOTHING:
                self._is_leasing = False
            if taken.leased:
                self._leases(*more)
            return taken.wait_s

        def otherwise(why: Away) -> float:
            if more != NOTHING:
                self._is_leasing = False
            if isinstance(why, Late):
                return self._before(why.arrives, tokens, now)
            return self._alone(tokens, now)

        return self._shared.store.take(self._cells(1, tokens, now, more), then, otherwise)

    def owe(self) -> None:
        self._owes(1, 0)

    def give_back(self, tokens: int) -> None:
        self._owes(-1, -tokens)

    def correct(self, tokens: int) -> None:
        self._owes(0, tokens)

    # ------------------------------------------------------------------------------- leased for later requests

    def _to_lease(self, tokens: int, now: float) -> tuple[float, float]:
        """Returns how many requests and tokens to lease with this one. Far from the limit, the next requests then need
        not ask."""
        if self._told_in != self._shared.outages or self._is_leasing:
            return NOTHING
        parts = {at: bucket.left(now) / (LEASED_PART * self._shared.members) for _, bucket, at in self._buckets}
        count = min(MOST_LEASED, parts.get(0, math.inf), parts[1] / max(1, tokens) if 1 in parts else math.inf)
        if now - self._asked_at > LEASE_S or count < 2:  # if requests are rare, they would only give it back
            count = 0
        self._asked_at = now
        return (float(int(count)), float(int(count) * tokens)) if count else NOTHING

    def _leases(self, requests: float, tokens: float) -> None:
        rest = self._leased or [0.0, 0.0]
        self._leased = [rest[0] + requests, rest[1] + tokens]
        if self._lease_timer is not None:
            self._lease_timer.cancel()
        self._lease_timer = asyncio.get_running_loop().call_later(LEASE_S, self._gives_lease_back)

    def _uses_lease(self, tokens: int) -> bool:
        requests, left = self._leased
        if requests < 1 or (left < tokens and self.counts_tokens):
            return False
        self._leased[0] -= 1
        self._leased[1] -= tokens
        return True

    def _gives_lease_back(self) -> None:
        self._lease_timer = None
        leased, self._leased = self._leased, []
        if leased:
            self._owes(-int(leased[0]), -int(leased[1]))

    # ------------------------------------------------------------------------------------------- inside

    def _alone(self, tokens: int, now: float) -> float:
        """Decides without the store, which is away."""
        shared = self._shared
        shared.fallbacks += 1
        wait_s = self.copy.take(tokens * shared.members, now, shared.members)
        if wait_s == 0.0:
            self._gone = _plus(self._gone, (1, tokens))
        return wait_s

    def _before(self, arrives: asyncio.Future[float], tokens: int, now: float) -> float:
        """Decides before the late answer of the store, and corrects the decision when the answer comes."""
        shared = self._shared
        shared.fallbacks += 1
        wait_s = self.copy.take(tokens * shared.members, now, shared.members)

        def said(arrived: asyncio.Future[float]) -> None:
            if arrived.exception() is not None:
                self._gone = _plus(self._gone, (1, tokens)) if wait_s == 0.0 else self._gone
                return
            its_wait_s = arrived.result()
            if wait_s == 0.0 < its_wait_s:
                self._owes(1, tokens)
            elif its_wait_s == 0.0 < wait_s:
                self._owes(-1, -tokens)

        arrives.add_done_callback(said)
        return wait_s

    def _learn(self, levels: Sequence[Level], now: float) -> None:
        self._told_in = self._shared.outages
        self._said = tuple([Level(full + now, opens + now) for full, opens in levels])
        for (_, bucket, _), level in zip(self._buckets, self._said):  # noqa: B905  # of the same length; this is hot
            bucket.level = level

    def _owes(self, requests: int, tokens: int) -> None:
        if not (requests and self.copy.requests is not None) and not (tokens and self.copy.tokens is not None):
            return
        self._owed = _plus(self._owed, (requests, tokens))
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(SOON_S, lambda: self._tell(loop.time()))

    def _tell(self, now: float) -> None:
        """Tells the store what is owed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        shared, owed = self._shared, self._owed
        self._owed = NOTHING
        if shared.away:
            self.copy.charge(*(each * shared.members for each in owed))
            self._gone = _plus(self._gone, owed)
            return
        if self._gone != NOTHING:
            owed, self._gone = _plus(owed, self._share_of(self._gone)), NOTHING
        if owed == NOTHING:
            return

        def said(asked: asyncio.Future[Taken]) -> None:
            why = asked.exception()
            if why is not None and not isinstance(why, Late):
                self._gone = _plus(self._gone, owed)

        shared.store.charge(self._cells(*owed, now)).add_done_callback(said)

    def _share_of(self, gone: tuple[float, float]) -> tuple[float, float]:
        """Of what has gone through in an outage, however long, no more than this worker's part of a minute's worth is
        still missing in the bucket."""
        most = {at: bucket.per_minute / self._shared.members for _, bucket, at in self._buckets}
        requests, tokens = gone
        return min(requests, most.get(0, 0.0)), min(tokens, most.get(1, 0.0))

    def _cells(self, requests: float, tokens: float, now: float, more: tuple[float, float] = NOTHING) -> list[Cell]:
        units = requests, tokens
        if self._told_in == self._shared.outages or not self._said:
            return [
                Cell(key, bucket.per_minute, units[at], bucket.pause_s, NO_LEVEL, more[at])
                for key, bucket, at in self._buckets
            ]
        return [  # the store may have lost its memory: it hears what it had said
            Cell(
                key, bucket.per_minute, units[at], bucket.pause_s,
                Level(max(0.0, level.full - now), level.opens - now if level.full > now else 0.0),
            )
            for (key, bucket, at), level in zip(self._buckets, self._said, strict=True)
        ]  # fmt: skip


class Quotas:
    """Makes the quotas of clients and upstreams. shared: None = this process counts alone."""

    def __init__(self, shared: Shared | None = None) -> None:
        self._shared = shared if shared is not None and shared.several else None

    def of(
        self, name: str, bounds: tuple[int, int], before: Limiter | None, is_promise: bool = False
    ) -> Limiter | None:
        """name: as in SharedQuota. bounds: requests and tokens a minute, 0 = none. before: the present one; what it has
        used stays used. is_promise: see Quota."""
        now = time.monotonic()
        if not any(bounds):
            return None
        if isinstance(before, Quota | SharedQuota):
            return before.resized(*bounds, now)
        quota = Quota(*bounds, now, is_promise)
        return quota if self._shared is None else SharedQuota(self._shared, name, quota)


def _plus(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return one[0] + other[0], one[1] + other[1]
