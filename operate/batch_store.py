"""Batches that the proxy runs itself: a SQLite file with their requests and results, and with uploaded files.

It outlives the process. A batch is there once all of its requests are (they are written in pieces, so that a large
batch does not keep others from writing). A result is there as soon as its upstream has answered. So a process that is
killed has lost only the requests that were on their way, and these are sent again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from operate import sqlite_file
from operate.sqlite_file import BUSY_S, Database, opened

PIECE = 500  # rows of one transaction
PIECE_BYTES = 4 << 20  # of results that are read at once
QUICK_S = 0.005  # how long a quick store waits for another writer
HALF = -1  # the total of a batch that is still being written
HALF_S = 3600.0  # no batch takes longer to be written

_CREATE = (
    "CREATE TABLE IF NOT EXISTS batches (id TEXT PRIMARY KEY, form TEXT NOT NULL, owner TEXT NOT NULL, "
    "client TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL, cancelled REAL, ended REAL, "
    "total INTEGER NOT NULL, about TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS requests (batch TEXT NOT NULL, nth INTEGER NOT NULL, name TEXT NOT NULL, "
    "request BLOB NOT NULL, outcome TEXT NOT NULL, result BLOB, PRIMARY KEY (batch, nth)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS requests_by_outcome ON requests (batch, outcome, nth)",
    "CREATE TABLE IF NOT EXISTS files (id TEXT PRIMARY KEY, owner TEXT NOT NULL, created REAL NOT NULL, "
    "name TEXT NOT NULL, purpose TEXT NOT NULL, size INTEGER NOT NULL, content BLOB NOT NULL)",
)

Outcome = str
"""WAITING, or how a request ended."""
WAITING, SUCCEEDED, ERRORED, CANCELED, EXPIRED = "", "succeeded", "errored", "canceled", "expired"


class Batch(NamedTuple):
    """A batch. form: the protocol of its API. owner: to whom it belongs. client: the [client] that it runs for. Times
    are Unix times. about: JSON that only its form reads."""

    id: str
    form: str
    owner: str
    client: str
    created: float
    expires: float
    cancelled: float | None
    ended: float | None
    total: int
    about: str


class Work(NamedTuple):
    """A request of a batch that has no result yet. name: the custom_id. tries: how often it was refused for now."""

    batch: str
    nth: int
    name: str
    request: bytes
    tries: int = 0


class Result(NamedTuple):
    nth: int
    name: str
    outcome: Outcome
    result: bytes


class File(NamedTuple):
    id: str
    owner: str
    created: float
    name: str
    purpose: str
    size: int


_BATCH, _FILE = ", ".join(Batch._fields), ", ".join(File._fields)


class BatchStore:
    """The file, for one thread, which keeps it open: a result must be on disk as soon as it is there. All methods raise
    what sqlite_file.errors() says. quick: it waits for no other writer, and never for the disk; then another BatchStore
    must call tidy() now and then."""

    def __init__(self, file: Path, *, quick: bool = False) -> None:
        self.file = file
        self._quick = quick
        self._opening = contextlib.ExitStack()
        self._db: Database | None = None

    def __repr__(self) -> str:
        return f"<BatchStore {self.file}>"

    @property
    def exists(self) -> bool:
        return self.file.exists()

    # ------------------------------------------------------------------------------------------- batches

    def add(self, batch: Batch, requests: Iterable[tuple[str, bytes]]) -> None:
        """requests: (name, request). The batch is there when all of them are."""
        rows = ((batch.id, nth, name, request, WAITING) for nth, (name, request) in enumerate(requests))
        half = batch._replace(total=HALF)
        with self._open() as db:
            with db:
                db.execute(f"INSERT INTO batches ({_BATCH}) VALUES ({', '.join('?' * len(half))})", half)
            while piece := list(islice(rows, PIECE)):
                with db:
                    db.executemany("INSERT INTO requests VALUES (?, ?, ?, ?, ?, NULL)", piece)
            with db:
                db.execute("UPDATE batches SET total = ? WHERE id = ?", (batch.total, batch.id))

    def get(self, id: str) -> Batch | None:
        rows = self._read(f"SELECT {_BATCH} FROM batches WHERE id = ? AND total >= 0", (id,))
        return Batch(*rows[0]) if rows else None

    def open_batches(self) -> list[Batch]:
        """Returns the batches that have not ended, the oldest first."""
        rows = self._read(f"SELECT {_BATCH} FROM batches WHERE ended IS NULL AND total >= 0 ORDER BY created, id", ())
        return [Batch(*row) for row in rows]

    def listed(self, form: str, owner: str) -> list[Batch]:
        """The latest first."""
        query = (
            f"SELECT {_BATCH} FROM batches WHERE form = ? AND owner = ? AND total >= 0 ORDER BY created DESC, id DESC"
        )
        return [Batch(*row) for row in self._read(query, (form, owner))]

    def counts(self, id: str) -> dict[Outcome, int]:
        return dict(self._read("SELECT outcome, COUNT(*) FROM requests WHERE batch = ? GROUP BY outcome", (id,)))

    def waiting(self, id: str, after: int, most: int) -> list[Work]:
        """Requests without a result, whose number is greater than `after`."""
        query = (
            "SELECT batch, nth, name, request FROM requests WHERE batch = ? AND outcome = '' AND nth > ? "
            "ORDER BY nth LIMIT ?"
        )
        return [Work(*row) for row in self._read(query, (id, after, most))]

    def results(self, id: str, after: int, most: int) -> list[Result]:
        """In the order of the requests; fewer than `most` where they are large."""
        query = (
            "SELECT nth, name, outcome, result FROM requests WHERE batch = ? AND outcome != '' AND nth > ? "
            "ORDER BY nth LIMIT ?"
        )
        if not self.file.exists():
            return []
        found: list[Result] = []
        size = 0
        with self._open() as db, contextlib.closing(db.execute(query, (id, after, most))) as rows:
            for row in rows:
                found.append(Result(*row))
                if (size := size + len(found[-1].result)) >= PIECE_BYTES:
                    break
        return found

    def answered(self, id: str, nth: int, outcome: Outcome, result: bytes) -> bool:
        """Whether this is its first result: no request has two."""
        with self._open() as db, db:
            return self._set(db, id, [nth], outcome, result) == 1

    def give_up(self, id: str, but: Sequence[int], outcome: Outcome) -> None:
        """Ends all requests without a result in this way, except for `but`, those that are on their way."""
        with self._open() as db, db:
            query = "SELECT nth FROM requests WHERE batch = ? AND outcome = ''"
            left = {nth for (nth,) in db.execute(query, (id,))} - set(but)
            self._set(db, id, sorted(left), outcome, b"")

    @staticmethod
    def _set(db: Database, id: str, numbers: Sequence[int], outcome: Outcome, result: bytes) -> int:
        rows = [(outcome, result, id, nth) for nth in numbers]
        query = "UPDATE requests SET outcome = ?, result = ? WHERE batch = ? AND nth = ? AND outcome = ''"
        return db.executemany(query, rows).rowcount if rows else 0

    def cancel(self, id: str, at: float) -> None:
        with self._open() as db, db:
            query = "UPDATE batches SET cancelled = ? WHERE id = ? AND ended IS NULL AND cancelled IS NULL"
            db.execute(query, (at, id))

    def end(self, id: str, at: float) -> None:
        with self._open() as db, db:
            db.execute("UPDATE batches SET ended = ? WHERE id = ? AND ended IS NULL", (at, id))

    def delete(self, id: str) -> None:
        with self._open() as db, db:
            db.execute("DELETE FROM batches WHERE id = ?", (id,))
            db.execute("DELETE FROM requests WHERE batch = ?", (id,))

    def forget(self, before: float, now: float) -> None:
        """Deletes what is older: batches that have ended, and files; and batches whose writer was killed before their
        end."""
        with self._open() as db, db:
            db.execute("DELETE FROM batches WHERE ended < ? OR (total < 0 AND created < ?)", (before, now - HALF_S))
            db.execute("DELETE FROM files WHERE created < ?", (before,))
            db.execute("DELETE FROM requests WHERE batch NOT IN (SELECT id FROM batches)")

    # --------------------------------------------------------------------------------------------- files

    def add_file(self, file: File, content: bytes) -> None:
        with self._open() as db, db:
            db.execute(f"INSERT INTO files ({_FILE}, content) VALUES ({', '.join('?' * (len(file) + 1))})",
                       (*file, content))  # fmt: skip

    def files(self, owner: str) -> list[File]:
        """The latest first."""
        query = f"SELECT {_FILE} FROM files WHERE owner = ? ORDER BY created DESC, id DESC"
        return [File(*row) for row in self._read(query, (owner,))]

    def one_file(self, id: str) -> File | None:
        rows = self._read(f"SELECT {_FILE} FROM files WHERE id = ?", (id,))
        return File(*rows[0]) if rows else None

    def content(self, id: str) -> bytes:
        rows = self._read("SELECT content FROM files WHERE id = ?", (id,))
        return bytes(rows[0][0]) if rows else b""

    def delete_file(self, id: str) -> None:
        with self._open() as db, db:
            db.execute("DELETE FROM files WHERE id = ?", (id,))

    # -------------------------------------------------------------------------------------------- inside

    @contextlib.contextmanager
    def _open(self) -> Iterator[Database]:
        if self._db is None:
            busy_s = QUICK_S if self._quick else BUSY_S
            db = self._opening.enter_context(opened(self.file, create=True, busy_s=busy_s))
            for statement in _CREATE:
                db.execute(statement)
            if self._quick:
                db.execute("PRAGMA wal_autocheckpoint = 0")
            self._db = db
        try:
            yield self._db
        except sqlite_file.errors():
            self.close()  # it may be another file next time
            raise

    def tidy(self) -> None:
        """Moves what was written quickly to where it belongs."""
        with self._open() as db:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        self._db = None
        self._opening.close()

    def _read(self, query: str, values: Sequence[object]) -> list[Any]:
        if not self.file.exists():
            return []
        with self._open() as db:
            return db.execute(query, values).fetchall()
