"""Budgets: what a client may spend in a day and in a month, in USD and in tokens. Days and months are those of UTC.

`Budgets` holds the sums of now. It is told what the usage store has (of all workers, and of before the last start), and
counts what this worker has seen since. So a budget outlives restarts, and holds among workers to within a second or two
of spending. A request is refused once its client has spent the budget: what is on its way then is still finished, since
nobody knows before the end what a reply costs. Each request in flight reserves what it may cost. If that may use up the
rest of the budget, further requests wait. So many requests at once cannot spend many times the budget.
"""

from __future__ import annotations

import calendar
import logging
import math
import time
from collections.abc import Awaitable, Iterable, Mapping
from typing import NamedTuple

from operate.logs.fields import fields
from translate.failures.errors import ApiError

log = logging.getLogger("gateway")

WARN_AT = 0.8  # the part of a budget at which the operator is warned, once
DAY_S = 86_400
MOST_HELD = 4  # a request holds a fourth of a budget at most, so that some may always go at once
RECORDED_S = 2.0  # within which a request that is over has its record
AGAIN_S = 2.0  # a client may ask again after this, if its other requests reserve what is left


class Bounds(NamedTuple):
    """The budget of one client, with the names of the settings; 0 = no limit."""

    usd_per_day: float = 0.0
    usd_per_month: float = 0.0
    tokens_per_day: int = 0
    tokens_per_month: int = 0


class Spent(NamedTuple):
    """What was spent. tokens: input and output together."""

    usd: float = 0.0
    tokens: int = 0

    def plus(self, other: Spent) -> Spent:
        return Spent(self.usd + other.usd, self.tokens + other.tokens)


class _Held(NamedTuple):
    """most: what a request may cost. until: when it holds that no longer."""

    most: Spent
    until: float = math.inf


class Budgets:
    """check() before a request, hold() when it is sent, let_go() when it is over, and spends() with what it took.

    bound: the clients that have a budget."""

    def __init__(self) -> None:
        self.bound: dict[str, Bounds] = {}
        self._day = ""  # YYYY-MM-DD, of the sums
        self._today: dict[str, Spent] = {}
        self._month: dict[str, Spent] = {}
        self._held: dict[str, dict[str, _Held]] = {}  # by client and request
        self._warned: set[tuple[str, str]] = set()

    def __repr__(self) -> str:
        return f"<Budgets of {len(self.bound)} clients on {self._day}>"

    @property
    def any(self) -> bool:
        return bool(self.bound)

    def adopt(self, bounds: Mapping[str, Bounds]) -> None:
        """Takes over the limits by client; clients without any are left out."""
        self.bound = {client: each for client, each in bounds.items() if any(each)}
        # Without a budget nobody says that a request is over: it would hold for ever, once there is one again.
        self._held = {client: held for client, held in self._held.items() if client in self.bound}
        self._warned.clear()

    def check(self, client: str, unix: float) -> None:
        """Raises ApiError (429) with the time when the client may spend again."""
        bounds = self.bound.get(client)
        if bounds is None:
            return
        self._turn(unix)
        for name, bound, spent in self._sums(client, bounds):
            if spent >= bound:
                raise _used_up(client, name, bound, spent, unix)

    def hold(self, client: str, key: str, most: Spent, unix: float) -> None:
        """A request is about to be sent. key: its own. most: what it may cost. Raises ApiError (429) where what is on
        its way for this client may use up the budget; who has nothing on its way may always go."""
        bounds = self.bound.get(client)
        if bounds is None:
            return
        self._turn(unix)
        held = {key: each for key, each in self._held.get(client, {}).items() if each.until > unix}
        usd, tokens = sum(each.most.usd for each in held.values()), sum(each.most.tokens for each in held.values())
        for name, bound, spent in self._sums(client, bounds):
            if held and spent + (usd if name.startswith("usd") else tokens) >= bound:
                raise _may_be_used_up(client, name, len(held))
        held[key] = _Held(_within(most, bounds))
        self._held[client] = held

    def let_go(self, client: str, key: str, unix: float) -> None:
        """A request is over, whether it held anything or not. What it took is known a moment later, when its record is
        made; until then it holds on."""
        held = self._held.get(client)
        if held is not None and key in held:
            held[key] = _Held(held[key].most, unix + RECORDED_S)

    def ask(self, client: str, unix: float) -> Awaitable[ApiError | None] | None:
        """Returns what must be awaited before check() knows what other hosts have spent; its result may be a refusal.
        None = nothing must be awaited."""
        return None

    def spends(self, client: str, usd: float, tokens: int, unix: float, key: str = "") -> None:
        """A request of the client is over. key: its own."""
        if client not in self.bound:
            return
        if (held := self._held.get(client)) is not None:
            held.pop(key, None)
            if not held:
                del self._held[client]
        self._turn(unix)
        self._add(client, Spent(usd, tokens))

    def told(
        self, unix: float, rows: Iterable[tuple[str, str, Spent]], since: Iterable[tuple[str, Spent]] = ()
    ) -> None:
        """Replaces the sums that were counted here by those of the store. rows: (day, client, its sum) of this month.
        since: what was spent here and is not in the store yet."""
        self._turn(unix)
        self._today, self._month = {}, {}
        for day, client, spent in rows:
            if client in self.bound and day[:7] == self._day[:7]:
                self._month[client] = self._month.get(client, Spent()).plus(spent)
                if day == self._day:
                    self._today[client] = self._today.get(client, Spent()).plus(spent)
        for client, spent in since:
            if client in self.bound:
                self._add(client, spent)
        for client in self.bound:
            self._warn(client)

    # ------------------------------------------------------------------------------------------------ inside

    def _add(self, client: str, spent: Spent) -> None:
        self._today[client] = self._today.get(client, Spent()).plus(spent)
        self._month[client] = self._month.get(client, Spent()).plus(spent)
        self._warn(client)

    def _turn(self, unix: float) -> None:
        """Begins a new day, or a new month, with nothing spent."""
        day = day_of(unix)
        if day == self._day:
            return
        if day[:7] != self._day[:7]:
            self._month.clear()
        self._today.clear()
        self._warned.clear()
        self._day = day

    def _sums(self, client: str, bounds: Bounds) -> Iterable[tuple[str, float, float]]:
        """Yields (name of the setting, limit, spent) for each limit that is set."""
        today, month = self._today.get(client, Spent()), self._month.get(client, Spent())
        spent = (today.usd, month.usd, today.tokens, month.tokens)
        return [row for row in zip(Bounds._fields, bounds, spent, strict=True) if row[1]]

    def _warn(self, client: str) -> None:
        for name, bound, spent in self._sums(client, self.bound[client]):
            if spent >= WARN_AT * bound and (client, name) not in self._warned:
                self._warned.add((client, name))
                log.warning("client '%s' has spent %.0f %% of its %s ([client %s])", client, 100 * spent / bound, name,
                            client, extra=fields(event="budget", client=client, budget=name, spent=spent,
                                                 bound=bound))  # fmt: skip


def day_of(unix: float) -> str:
    """Returns the day as YYYY-MM-DD."""
    return time.strftime("%Y-%m-%d", time.gmtime(unix))


def _within(most: Spent, bounds: Bounds) -> Spent:
    """No more than a share of the smallest budget of each kind."""
    usd = min((bound for bound in bounds[:2] if bound), default=0.0) / MOST_HELD
    tokens = min((bound for bound in bounds[2:] if bound), default=0) // MOST_HELD
    return Spent(min(most.usd, usd), min(most.tokens, tokens))


def _may_be_used_up(client: str, name: str, others: int) -> ApiError:
    message = (
        f"the requests of client '{client}' in flight ({others}) may use up the rest of its {name} ([client {client}] "
        "in settings.ini); try again when some of them are over"
    )
    return ApiError("rate_limit", message, 429, retry_after=AGAIN_S)


def _used_up(client: str, name: str, bound: float, spent: float, unix: float) -> ApiError:
    begins = _next_month(unix) if name.endswith("month") else (int(unix) // DAY_S + 1) * DAY_S
    money = name.startswith("usd")
    most, now = (f"${n:,.2f}" if money else f"{n:,.0f} tokens" for n in (bound, spent))
    message = (
        f"client '{client}' has spent its {name} of {most} ([client {client}] in settings.ini): {now} so far; it may "
        f"spend again from {time.strftime('%Y-%m-%d %H:%M', time.gmtime(begins))} UTC"
    )
    return ApiError("rate_limit", message, 429, code="insufficient_quota", retry_after=begins - unix)


def _next_month(unix: float) -> int:
    now = time.gmtime(unix)
    year, month = (now.tm_year + 1, 1) if now.tm_mon == 12 else (now.tm_year, now.tm_mon + 1)
    return calendar.timegm((year, month, 1, 0, 0, 0))
