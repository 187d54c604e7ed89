"""The usage store: a SQLite file with the sums of tokens and cost by day, which all workers of a host share.

One row is the sum of a day for one client, model, upstream, session and agent. Each worker adds its sums about once a
second (`add` is one transaction), so that a process that is killed loses one second at most. Days are those of UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from operate.sqlite_file import opened

COLUMNS = ("day", "client", "model", "upstream", "session", "agent")
"""The columns that sums are for; `read` can group by each of them."""


class Key(NamedTuple):
    """What a sum is for. day: YYYY-MM-DD. model: its name at the upstream. agent: a sub-agent of the client, "" =
    none."""

    day: str
    client: str
    model: str
    upstream: str
    session: str
    agent: str


class Sum(NamedTuple):
    """A sum. input: tokens that were not read from the cache. usd: the cost in USD, without the requests whose price is
    unknown. unpriced: the number of those requests."""

    requests: int = 0
    failed: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    usd: float = 0.0
    unpriced: int = 0

    def plus(self, other: Sum) -> Sum:
        counts = [a + b for a, b in zip(self, other, strict=True)]
        return Sum._make(counts)


_KEYS, _SUMS = ", ".join(Key._fields), ", ".join(Sum._fields)
_CREATE = (
    "CREATE TABLE IF NOT EXISTS spent ("
    + ", ".join(f"{name} TEXT NOT NULL" for name in Key._fields)
    + ", "
    + ", ".join(f"{name} {'REAL' if name == 'usd' else 'INTEGER'} NOT NULL" for name in Sum._fields)
    + f", PRIMARY KEY ({_KEYS})) WITHOUT ROWID"
)
_ADD = (
    f"INSERT INTO spent ({_KEYS}, {_SUMS}) VALUES ({', '.join('?' * (len(Key._fields) + len(Sum._fields)))}) "
    f"ON CONFLICT ({_KEYS}) DO UPDATE SET " + ", ".join(f"{name} = {name} + excluded.{name}" for name in Sum._fields)
)


class UsageStore:
    """The file. Every method opens it, so that any thread may call it, and may raise sqlite3.Error or OSError."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __repr__(self) -> str:
        return f"<UsageStore {self.file}>"

    def add(self, sums: Mapping[Key, Sum]) -> None:
        """Adds sums to those of the file: all of them, or none if it raises."""
        with opened(self.file, create=True) as db, db:
            db.execute(_CREATE)
            db.executemany(_ADD, [(*key, *value) for key, value in sums.items()])

    def forget(self, before: str) -> int:
        """Deletes the rows of all days before this one, and returns their number."""
        with opened(self.file, create=True) as db, db:
            db.execute(_CREATE)
            return db.execute("DELETE FROM spent WHERE day < ?", (before,)).rowcount

    def read(self, since: str, until: str, by: Sequence[str]) -> list[tuple[tuple[str, ...], Sum]]:
        """The sums of the days from `since` to `until`, both included, for each group of `by` (names of COLUMNS), the
        highest cost first. [] if there is no file yet. Raises ValueError for an unknown column."""
        if unknown := [name for name in by if name not in COLUMNS]:
            raise ValueError(f"there is no column {unknown[0]!r}; the columns are {', '.join(COLUMNS)}")
        if not self.file.exists():
            return []
        groups = ", ".join(by) or "''"
        sums = ", ".join(f"SUM({name})" for name in Sum._fields)
        query = f"SELECT {groups}, {sums} FROM spent WHERE day BETWEEN ? AND ? GROUP BY {groups}"
        with opened(self.file, create=False) as db:
            rows = db.execute(query, (since, until)).fetchall()
        width = max(1, len(by))
        found = [(tuple(row[:width]) if by else (), Sum(*row[width:])) for row in rows if row[width] is not None]
        return sorted(found, key=lambda each: (-each[1].usd, -each[1].output, each[0]))
