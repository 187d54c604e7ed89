"""What was spent in the last day or week, from the usage store: over time, and as a table; sessions with their agents.

All workers share the store, which outlives them. It is read in a thread, since a disk may be slow. In a fleet these are
the sums of all hosts, except for sessions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from typing import Protocol as Interface

from msgspec import Struct

from console.fleet_usage import FleetUsage
from gateway.shared.store import Away
from operate import sqlite_file
from operate.usage_store import Agents, Sum, UsageStore

HOUR_S = 3600
SPANS = {"24": 24, "168": 168}  # hours
BY = {"model": ("upstream", "model"), "client": ("client",), "session": ("session",)}
MOST_LINES = 7  # of the chart; the others are one
MOST_ROWS, MOST_TREE = 100, 400
DEEPEST = 8  # levels of agents
Said = dict[str, Any]


class SpentQuery(Struct, frozen=True):
    """What is asked for. now: seconds since 1970."""

    hours: int
    by: str
    now: float

    @classmethod
    def of(cls, query: Mapping[str, str], now: float) -> SpentQuery:
        by = query.get("by", "model")
        return cls(SPANS.get(query.get("hours", ""), 24), by if by in BY else "model", now)

    @property
    def start(self) -> int:
        """The beginning of the first hour; the last hour is the present one."""
        return (int(self.now) // HOUR_S - self.hours + 1) * HOUR_S


class Sums(Interface):
    """A UsageStore, or the sums of a fleet."""

    def read(self, since: str, until: str, by: Sequence[str]) -> list[tuple[tuple[str, ...], Sum]]: ...


async def shown(store: UsageStore | None, asked: SpentQuery, fleet: FleetUsage | None = None) -> Said:
    """Returns what is shown. off: why there is nothing to show. hosts: whose sums these are; none = this host is alone.
    missing: in a fleet, why the sums are only those of this host."""
    said: Said = {"hours": asked.hours, "by": asked.by, "start": asked.start, "step_s": HOUR_S, "off": "", "hosts": [],
                  "missing": ""}  # fmt: skip
    empty = {"lines": [], "rows": [], "whole": _told(Sum())}
    if store is None:
        return said | empty | {"off": "[usage] file is empty in the settings, so that nothing is kept"}
    try:
        if fleet is not None and fleet.is_on:
            if asked.by == "session":
                said["missing"] = "sessions are known to their host alone"
            else:
                try:
                    sums = await fleet.read(_hour(asked.start), _hour(asked.now))
                    return said | {"hosts": sums.hosts} | await asyncio.to_thread(_read, sums, asked)
                except Away as why:
                    said["missing"] = f"the shared store is away: {why}"
        return said | await asyncio.to_thread(_read, store, asked)
    except sqlite_file.errors() as error:
        return said | empty | {"off": f"the sums cannot be read: {error}"}


def _read(store: Sums, asked: SpentQuery) -> Said:
    since, until = _hour(asked.start), _hour(asked.now)
    groups = BY[asked.by]
    sums = {"/".join(group): sum for group, sum in store.read(since, until, groups)}
    names = _by_cost(sums)
    rows = [{"name": name, "level": 0} | _told(sums[name]) for name in names[:MOST_ROWS]]
    if isinstance(store, UsageStore) and asked.by == "session":
        rows = _tree(names[:MOST_ROWS], store.read(since, until, ("session", "client", "agent")), store.agents())
    whole = Sum()
    for each in sums.values():
        whole = whole.plus(each)
    lines = _lines(store.read(since, until, ("hour", *groups)), names, asked)
    return {"lines": lines, "rows": rows, "groups": len(names), "whole": _told(whole)}


def _lines(found: Iterable[tuple[tuple[str, ...], Sum]], names: list[str], asked: SpentQuery) -> list[Said]:
    """The values of each hour, for the groups with the highest cost; all others are one line."""
    shown = names[:MOST_LINES]
    lines = {name: [Sum()] * asked.hours for name in shown}
    others = [Sum()] * asked.hours
    hours = {_hour(asked.start + number * HOUR_S): number for number in range(asked.hours)}
    for (hour, *group), sum in found:
        at, line = hours[hour], lines.get("/".join(group), others)
        line[at] = line[at].plus(sum)
    named: list[tuple[str | None, list[Sum]]] = [*lines.items()]
    if len(names) > MOST_LINES:
        named.append((None, others))
    return [
        {
            "name": name,
            "usd": [round(sum.usd, 6) for sum in line],
            "tokens": [_tokens(sum) for sum in line],
            "requests": [sum.requests for sum in line],
        }
        for name, line in named
    ]


def _tree(names: list[str], found: Iterable[tuple[tuple[str, ...], Sum]], parents: Agents) -> list[Said]:
    """Each session and, below it, its agents, each below the one that has called it. A row has what it has spent with
    all that is below it."""
    clients: dict[str, set[str]] = {}
    sessions: dict[str, dict[str, Sum]] = {}
    for (session, client, agent), sum in found:
        clients.setdefault(session, set()).add(client)
        own = sessions.setdefault(session, {})
        own[agent] = own.get(agent, Sum()).plus(sum)
    rows: list[Said] = []
    for session in names:
        own = sessions.get(session, {})
        family = _Family(own, {agent: parent for (of, agent), parent in parents.items() if of == session})
        who = {"name": session, "level": 0, "client": ", ".join(sorted(clients.get(session, ())))}
        rows.append(who | _told(family.whole("")))
        if family.below:
            rows.append({"name": None, "level": 1} | _told(own.get("", Sum())))
            rows += family.rows("", 1)
    return rows[:MOST_TREE]


class _Family:
    """The agents of a session. below: those that each has called; the session itself is the agent ""."""

    def __init__(self, own: Mapping[str, Sum], parents: Mapping[str, str]) -> None:
        self._own = own
        self._parents = parents
        self.below: dict[str, list[str]] = {}
        for agent in own:
            if agent:
                self.below.setdefault(self._parent(agent), []).append(agent)

    def _parent(self, agent: str) -> str:
        """Returns "" also where clients tell of a circle, or of a chain without end."""
        parent = above = self._parents.get(agent, "")
        for _ in range(DEEPEST):
            if above not in self._own or not above:
                return parent if parent in self._own else ""
            above = self._parents.get(above, "")
        return ""

    def whole(self, agent: str) -> Sum:
        """The sum of an agent and of all agents below it."""
        sum = self._own.get(agent, Sum())
        for each in self.below.get(agent, ()):
            sum = sum.plus(self.whole(each))
        return sum

    def rows(self, agent: str, level: int) -> Iterator[Said]:
        sums = {each: self.whole(each) for each in self.below.get(agent, ())}
        for each in _by_cost(sums):
            yield {"name": each, "level": level} | _told(sums[each])
            yield from self.rows(each, level + 1)


def _by_cost(sums: Mapping[str, Sum]) -> list[str]:
    return sorted(sums, key=lambda name: (-sums[name].usd, -_tokens(sums[name]), name))


def _tokens(of: Sum) -> int:
    return of.input + of.cache_read + of.cache_write + of.output


def _told(of: Sum) -> Said:
    return of._asdict() | {"usd": round(of.usd, 6), "tokens": _tokens(of)}


def _hour(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H", time.gmtime(at))
