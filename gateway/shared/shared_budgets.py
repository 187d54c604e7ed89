"""Budgets that several workers, or hosts, keep together: what was spent is in the shared store.

Each host adds what its clients spend to a sum of its own, of the day and of the month; a client's budget is compared
with the sums of all hosts, which a request asks for. A store that has lost its memory is told by each host what its
usage store has. While it is away, a worker goes by what it knew last and has seen since, or, by setting, lets nobody
with a budget through.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Iterable, Mapping

from gateway.limits.budget import DAY_S, Budgets, Spent
from gateway.shared.shared import Shared
from gateway.shared.store import Away, Late, patiently
from translate.failures.errors import ApiError

KEPT_S = {"day": 2 * DAY_S, "month": 40 * DAY_S}
CLOSED_S = 5.0  # after which a refused client may ask again


class SharedBudgets(Budgets):
    """host: names the usage store of this host. closed: whether a client with a budget is refused while the store is
    away."""

    def __init__(self, shared: Shared, host: str, *, closed: bool) -> None:
        super().__init__()
        self._shared = shared
        self._host = host
        self._closed = closed
        self._told: dict[tuple[str, str], tuple[Spent, int]] = {}  # -> what the store was told, in which outage

    def ask(self, client: str, unix: float) -> Awaitable[ApiError | None] | None:
        bounds = self.bound.get(client)
        if bounds is None:
            return None
        self._turn(unix)
        today, month = bool(bounds.usd_per_day or bounds.tokens_per_day), bool(bounds[1] or bounds[3])
        keys = [key for key, is_asked in zip(self._keys(client), (today, month), strict=True) if is_asked]
        asked = [self._shared.store.add(name, {}, ttl_s) for name, ttl_s in keys]
        return asyncio.ensure_future(self._learn(client, keys, asked))

    def spends(self, client: str, usd: float, tokens: int, unix: float, key: str = "") -> None:
        super().spends(client, usd, tokens, unix, key)
        if client in self.bound:
            amounts = {f"{self._host}:usd": usd, f"{self._host}:tokens": float(tokens)}
            for name, ttl_s in self._keys(client):
                self._shared.store.add(name, amounts, ttl_s)

    def told(
        self, unix: float, rows: Iterable[tuple[str, str, Spent]], since: Iterable[tuple[str, Spent]] = ()
    ) -> None:
        """The sums of this host. They count here only where the store knows less of it."""
        self._turn(unix)
        today: dict[str, Spent] = {}
        month: dict[str, Spent] = {}
        for day, client, spent in rows:
            if client in self.bound and day[:7] == self._day[:7]:
                month[client] = month.get(client, Spent()).plus(spent)
                if day == self._day:
                    today[client] = today.get(client, Spent()).plus(spent)
        for client in month:
            self._at_least(client, today.get(client, Spent()), month[client])
            for (name, ttl_s), sums in zip(self._keys(client), (today, month), strict=True):
                self._floor(client, name, ttl_s, sums.get(client, Spent()))

    # ------------------------------------------------------------------------------------------- inside

    def _keys(self, client: str) -> list[tuple[str, float]]:
        """The keys of the sums of this day and month, each with the seconds for which it is kept."""
        return [(f"spent:{self._day}:{client}", KEPT_S["day"]), (f"spent:{self._day[:7]}:{client}", KEPT_S["month"])]

    async def _learn(
        self, client: str, keys: list[tuple[str, float]], asked: list[asyncio.Future[dict[str, float]]]
    ) -> ApiError | None:
        """Learns from the store what all hosts have spent. What it says too late for this request counts for later
        ones: else a server that is far away would never be heard."""
        away = False
        for (name, _), each in zip(keys, asked, strict=True):
            try:
                # Who would be refused without the answer waits for it, as long as the store is there.
                sums = await patiently(each) if self._closed else await each
                self._knows(client, name, sums)
            except Away as why:
                away = True
                if isinstance(why, Late):
                    why.arrives.add_done_callback(functools.partial(self._knows_late, client, name))
        if away:
            self._shared.fallbacks += 1
            if self._closed:
                message = (
                    f"what client '{client}' has spent is not known now, since the shared store is away, and [shared] "
                    "budgets is closed; try again in a moment"
                )
                return ApiError("overloaded", message, 503, retry_after=CLOSED_S)
        return None

    def _knows(self, client: str, name: str, sums: Mapping[str, float]) -> None:
        (today, _), (month, _) = self._keys(client)
        if name in (today, month) and client in self.bound:  # else its day is over, or it has no budget any more
            (self._today if name == today else self._month)[client] = _spent(sums)
            self._warn(client)

    def _knows_late(self, client: str, name: str, said: asyncio.Future[dict[str, float]]) -> None:
        """The answer lacks what was spent here meanwhile, and its day may be over."""
        if said.cancelled() or said.exception() is not None or client not in self.bound:
            return
        (today, _), (month, _) = self._keys(client)
        spent = _spent(said.result())
        self._at_least(client, spent if name == today else Spent(), spent if name == month else Spent())

    def _at_least(self, client: str, today: Spent, month: Spent) -> None:
        for known, least in ((self._today, today), (self._month, month)):
            spent = known.get(client, Spent())
            known[client] = Spent(max(spent.usd, least.usd), max(spent.tokens, least.tokens))
        self._warn(client)

    def _floor(self, client: str, name: str, ttl_s: float, spent: Spent) -> None:
        """The store has at least so much of this host, once for each new sum and after each outage."""
        if self._shared.away or self._told.get((client, name)) == (spent, self._shared.outages):
            return
        while len(self._told) > 4 * len(self.bound):  # those of days that are over
            del self._told[next(iter(self._told))]
        self._told[client, name] = spent, self._shared.outages
        least = {f"{self._host}:usd": spent.usd, f"{self._host}:tokens": float(spent.tokens)}
        self._shared.store.add(name, {}, ttl_s, at_least=least)


def _spent(sums: Mapping[str, float]) -> Spent:
    return Spent(
        sum(amount for field, amount in sums.items() if field.endswith(":usd")),
        round(sum(amount for field, amount in sums.items() if field.endswith(":tokens"))),
    )
