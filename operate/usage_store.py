"""The usage store: a SQLite file with the sums of tokens and cost by day, which all workers of a host share.

One row is the sum of a day for one client, model, upstream, session and agent. The last days are there by hour, too,
for the dashboard. Each worker adds its sums about once a second (`add` is one transaction), so that a process that is
killed loses one second at most. Days and hours are those of UTC.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from operate.sqlite_file import Database, opened

COLUMNS = ("day", "hour", "client", "model", "upstream", "session", "agent")
"""The columns that sums are for; `read` can group by each of them."""
DAYS_BY_HOUR = 8
"""How many days there are by hour."""


class SumKey(NamedTuple):
    """What a sum is for. day: YYYY-MM-DD. hour: YYYY-MM-DDTHH. model: its name at the upstream. agent: a sub-agent of
    the client, "" = none."""

    day: str
    client: str
    model: str
    upstream: str
    session: str
    agent: str
    hour: str = ""


class FleetKey(NamedTuple):
    """What the hosts of a fleet add up. period: a day or an hour, as in a SumKey."""

    period: str
    client: str
    model: str
    upstream: str


class Sum(NamedTuple):
    """A sum. input: tokens that were not read from the cache. usd: the cost in USD, without the requests whose price is
    unknown. unpriced: the number of those requests.

    A further field stands last, since hosts of another release send and read sums by their order. It is a column of the
    tables, and the file of an older release lacks it: `_create` must add it there.
    `plus`, console/books.py and console/usage.py name each field."""

    requests: int = 0
    failed: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    usd: float = 0.0
    unpriced: int = 0

    def plus(self, other: Sum) -> Sum:
        a, b = self, other  # spelled out, since it runs for each request: in a loop it takes twice as long
        return Sum(
            a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4], a[5] + b[5], a[6] + b[6], a[7] + b[7]
        )


class _Table(NamedTuple):
    """by: the columns that its sums are for; they are the first fields of a SumKey, or all."""

    name: str
    by: tuple[str, ...]

    @property
    def create(self) -> str:
        keys = ", ".join(f"{name} TEXT NOT NULL" for name in self.by)
        sums = ", ".join(f"{name} {'REAL' if name == 'usd' else 'INTEGER'} NOT NULL" for name in Sum._fields)
        primary = ", ".join(self.by)
        return f"CREATE TABLE IF NOT EXISTS {self.name} ({keys}, {sums}, PRIMARY KEY ({primary})) WITHOUT ROWID"

    @property
    def add(self) -> str:
        columns = (*self.by, *Sum._fields)
        sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in Sum._fields)
        marks = ", ".join("?" * len(columns))
        return (
            f"INSERT INTO {self.name} ({', '.join(columns)}) VALUES ({marks}) "
            f"ON CONFLICT ({', '.join(self.by)}) DO UPDATE SET {sums}"
        )


_BY_DAY, _BY_HOUR = _Table("spent", SumKey._fields[:-1]), _Table("spent_by_hour", SumKey._fields)
_AGENTS = (
    "CREATE TABLE IF NOT EXISTS agents (session TEXT NOT NULL, agent TEXT NOT NULL, parent TEXT NOT NULL, "
    "day TEXT NOT NULL, PRIMARY KEY (session, agent)) WITHOUT ROWID"
)

_HOST = "CREATE TABLE IF NOT EXISTS host (only INTEGER PRIMARY KEY CHECK (only = 1), id TEXT NOT NULL)"

Agents = Mapping[tuple[str, str], str]
"""The agent that has called an agent, by (session, agent)."""


class UsageStore:
    """The file. Every method opens it, so that any thread may call it, and may raise what sqlite_file.errors() says."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __repr__(self) -> str:
        return f"<UsageStore {self.file}>"

    def add(self, sums: Mapping[SumKey, Sum], agents: Agents | None = None) -> None:
        """Adds sums to those of the file: all of them, or none if it raises."""
        with opened(self.file, create=True) as db, db:
            _create(db)
            for table in (_BY_DAY, _BY_HOUR):
                db.executemany(table.add, [(*key[: len(table.by)], *value) for key, value in sums.items()])
            if agents:
                day = max(key.day for key in sums)
                rows = [(session, agent, parent, day) for (session, agent), parent in agents.items()]
                db.executemany("INSERT OR REPLACE INTO agents VALUES (?, ?, ?, ?)", rows)

    def forget(self, before: str, by_hour_before: str) -> int:
        """Deletes the rows of all days before these, and returns how many days' rows there were."""
        with opened(self.file, create=True) as db, db:
            _create(db)
            db.execute("DELETE FROM spent_by_hour WHERE day < ?", (by_hour_before,))
            db.execute("DELETE FROM agents WHERE day < ?", (by_hour_before,))
            return db.execute("DELETE FROM spent WHERE day < ?", (before,)).rowcount

    def read(self, since: str, until: str, by: Sequence[str]) -> list[tuple[tuple[str, ...], Sum]]:
        """The sums from `since` to `until`, both included, for each group of `by` (names of COLUMNS), the highest cost
        first. They are days, or hours; hours are only there for the last days. [] if there is no file yet. Raises
        ValueError for an unknown column."""
        if unknown := [name for name in by if name not in COLUMNS]:
            raise ValueError(f"there is no column {unknown[0]!r}; the columns are {', '.join(COLUMNS)}")
        if not self.file.exists():
            return []
        groups = ", ".join(by) or "''"
        sums = ", ".join(f"SUM({name})" for name in Sum._fields)
        by_hour = "hour" in by or "T" in since
        table, column = (_BY_HOUR.name, "hour") if by_hour else (_BY_DAY.name, "day")
        query = f"SELECT {groups}, {sums} FROM {table} WHERE {column} BETWEEN ? AND ? GROUP BY {groups}"
        with opened(self.file, create=False) as db:
            if by_hour and not _has(db, table):
                return []  # nothing was written since the proxy keeps hours
            rows = db.execute(query, (since, f"{until}~" if by_hour else until)).fetchall()
        width = max(1, len(by))
        found = [(tuple(row[:width]) if by else (), Sum(*row[width:])) for row in rows if row[width] is not None]
        return by_cost(found)

    def host(self) -> str:
        """A name for this machine and this file: a file that begins anew has another one."""
        with opened(self.file, create=True) as db, db:
            db.execute(_HOST)
            db.execute("INSERT OR IGNORE INTO host VALUES (1, ?)", (secrets.token_hex(3),))
            return f"{socket.gethostname()}-{db.execute('SELECT id FROM host').fetchone()[0]}"

    def totals(self, keys: Iterable[SumKey]) -> dict[FleetKey, Sum]:
        """The present sums in the file, for the days and hours of these keys."""
        groups = {FleetKey(period, *key[1:4]) for key in keys for period in (key.day, key.hour) if period}
        with opened(self.file, create=False) as db:
            return {group: _total(db, group) for group in groups}

    def all_totals(self, since: str) -> dict[FleetKey, Sum]:
        """since: a day."""
        found: dict[FleetKey, Sum] = {}
        for period in ("day", "hour"):
            rows = self.read(since, "9", (period, *FleetKey._fields[1:]))
            found |= {FleetKey._make(group): sum for group, sum in rows}
        return found

    def agents(self) -> dict[tuple[str, str], str]:
        """The agent that has called each agent, in the last days."""
        if not self.file.exists():
            return {}
        with opened(self.file, create=False) as db:
            if not _has(db, "agents"):
                return {}
            return {(session, agent): parent for session, agent, parent in
                    db.execute("SELECT session, agent, parent FROM agents")}  # fmt: skip


def by_cost(found: Iterable[tuple[tuple[str, ...], Sum]]) -> list[tuple[tuple[str, ...], Sum]]:
    """The highest cost first."""
    return sorted(found, key=lambda each: (-each[1].usd, -each[1].output, each[0]))


def _total(db: Database, group: FleetKey) -> Sum:
    sums = ", ".join(f"COALESCE(SUM({name}), 0)" for name in Sum._fields)
    by_hour = "T" in group.period
    table, values = (_BY_HOUR, [*group, group.period[:10]]) if by_hour else (_BY_DAY, [*group])
    names = ("hour" if by_hour else "day", *FleetKey._fields[1:], *(["day"] if by_hour else []))
    where = " AND ".join(f"{name} = ?" for name in names)
    return Sum(*db.execute(f"SELECT {sums} FROM {table.name} WHERE {where}", values).fetchone())


def _create(db: Database) -> None:
    for table in (_BY_DAY, _BY_HOUR):
        db.execute(table.create)
    db.execute(_AGENTS)


def _has(db: Database, table: str) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None
