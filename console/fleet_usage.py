"""What all hosts of a fleet have spent: each host sends the sums in its usage store to the shared store.

A row is what one host has in its file for a day or an hour, a client, a model and an upstream. It is sent as a whole,
and not as what was added, so that it may be sent twice, or late. So nothing is lost or counted twice when the store was
away: afterwards, a host sends all that it has. Sessions and agents are known only to their host.
"""

from __future__ import annotations

import asyncio
import calendar
import itertools
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gateway.shared.shared import Shared
from gateway.shared.store import Away, Row, Store, patiently
from operate.usage_store import DAYS_BY_HOUR, FleetKey, Sum, by_cost
from translate.json import wire

log = logging.getLogger("proxy")


COLUMNS = ("day", "hour", "client", "model", "upstream", "host")
DAY_S, HOUR_S = 86_400, 3600
PIECE = 200  # rows that are sent at once
AT_ONCE = 20  # periods that are asked for at once
LAST_S = 1.0  # at shutdown, the time for the last sums to arrive


class FleetUsage:
    """The part of one worker. Nothing is sent unless the shared store is that of a fleet. tells_old: whether this
    worker of its host sends what is older than two days, if the store lacks everything."""

    def __init__(self, shared: Shared, *, tells_old: bool = True) -> None:
        self._shared = shared
        self.tells_old = tells_old
        self._unsaid: dict[tuple[str, FleetKey], Sum] = {}
        self._telling: asyncio.Task[None] | None = None
        self._told_in = -1  # the number of the outage since which the store has been sent everything
        self._keep_days = 1

    def __repr__(self) -> str:
        return f"<FleetUsage {len(self._unsaid)} rows are not told>"

    @property
    def is_on(self) -> bool:
        return self._shared.store.kind == "redis"

    @property
    def lacks_all(self) -> bool:
        """Whether the store may have lost what it was sent."""
        return self.is_on and not self._shared.away and self._told_in != self._shared.outages

    def tells_all(self) -> None:
        """The next call of tells() gets everything that there is."""
        self._told_in = self._shared.outages

    def forgets(self) -> None:
        """Everything must be sent again."""
        self._told_in = -1

    def tells(self, host: str, sums: Mapping[FleetKey, Sum], keep_days: int) -> None:
        """Sends sums. sums: all that the host has of these groups."""
        self._keep_days = keep_days
        if not self.is_on or self._shared.away:
            return  # afterwards the store lacks everything
        self._unsaid |= {(host, group): sum for group, sum in sums.items()}
        if self._unsaid and (self._telling is None or self._telling.done()):
            self._telling = asyncio.ensure_future(self._tell())

    async def stop(self) -> None:
        """Gives the last rows a moment to arrive."""
        if self._telling is not None and not self._telling.done():
            await asyncio.wait([self._telling], timeout=LAST_S)
            self._telling.cancel()

    async def read(self, since: str, until: str) -> FleetSums:
        """Raises Away."""
        return await read(self._shared.store, since, until)

    async def _tell(self) -> None:
        try:
            while self._unsaid:
                period = next(iter(self._unsaid))[1].period
                same = (each for each in self._unsaid if each[1].period == period)
                piece = {each: self._unsaid.pop(each) for each in list(itertools.islice(same, PIECE))}
                rows = {_name(host, group): tuple(map(float, sum)) for (host, group), sum in piece.items()}
                days = DAYS_BY_HOUR if "T" in period else self._keep_days
                await patiently(self._shared.store.raise_totals(_key(period), rows, (days + 1) * DAY_S))
        except Away as why:
            log.debug("the sums of this host are sent later: %s", why)
            self._unsaid = {}
            self.forgets()


class FleetSums:
    """What all hosts had sent at some moment. read() is that of a UsageStore."""

    def __init__(self, rows: Iterable[tuple[str, FleetKey, Sum]]) -> None:
        self._rows = list(rows)
        self.hosts = sorted({host for host, _, _ in self._rows})

    def __repr__(self) -> str:
        return f"<FleetSums of {self.hosts}>"

    def read(self, since: str, until: str, by: Sequence[str]) -> list[tuple[tuple[str, ...], Sum]]:
        """Raises ValueError for an unknown column."""
        if unknown := [name for name in by if name not in COLUMNS]:
            raise ValueError(f"there is no column {unknown[0]!r} for all hosts; the columns are {', '.join(COLUMNS)}")
        by_hour = "hour" in by or "T" in since
        found: dict[tuple[str, ...], Sum] = {}
        for host, group, sum in self._rows:
            if by_hour == ("T" in group.period) and since <= group.period <= f"{until}~":
                said = group._asdict() | {"host": host, "day": group.period[:10], "hour": group.period}
                place = tuple(said[name] for name in by)
                found[place] = found.get(place, Sum()).plus(sum)
        return by_cost(found.items())


async def read(store: Store, since: str, until: str, *, by_hour: bool = False) -> FleetSums:
    """The sums in the store for the days, or hours, from `since` to `until`. Raises Away."""
    found: list[tuple[str, FleetKey, Sum]] = []
    periods = _periods(since, until, by_hour=by_hour or "T" in since)
    while piece := list(itertools.islice(periods, AT_ONCE)):
        asked = [store.totals(_key(period)) for period in piece]
        for period, rows in zip(piece, [await patiently(each) for each in asked], strict=True):
            found += [(*_named(period, name), _sum(row)) for name, row in rows.items()]
    return FleetSums(found)


def _periods(since: str, until: str, *, by_hour: bool) -> Iterator[str]:
    """The days or hours from `since` to `until`, each a day or an hour."""
    step_s, form = (HOUR_S, "%Y-%m-%dT%H") if by_hour else (DAY_S, "%Y-%m-%d")
    at = calendar.timegm(time.strptime(since[:13], "%Y-%m-%dT%H" if "T" in since else "%Y-%m-%d"))
    while (period := time.strftime(form, time.gmtime(at))) <= f"{until}~":
        yield period
        at += step_s


def _key(period: str) -> str:
    return f"usage:{period}"


def _name(host: str, group: FleetKey) -> str:
    return wire.dumps_text([host, *group[1:]])


def _named(period: str, name: str) -> tuple[str, FleetKey]:
    host, client, model, upstream = wire.loads(name.encode("utf-8", "surrogatepass"))
    return host, FleetKey(period, client, model, upstream)


def _sum(row: Row) -> Sum:
    """Returns the sum. While a fleet is upgraded, a host of another release may have fewer fields, or further ones
    behind these."""
    known = zip(Sum._fields, row, strict=False)
    numbers: dict[str, Any] = {name: amount if name == "usd" else int(amount) for name, amount in known}
    return Sum(**numbers)
