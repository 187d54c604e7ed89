"""Which client got which response of an upstream that keeps its responses: a SQLite file that outlives the process.

An id is there by its hash only, so that the file gives nobody a response. A row goes when it is older than upstreams
keep a response, or when there are too many rows, the oldest first: a response that nobody is known to own is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from operate.sqlite_file import Database, opened

MOST_ROWS = 1_000_000
HASH_BYTES = 16  # nobody makes two ids with one hash, and nobody gains by it: the later owner counts
_AT_ONCE = 500  # ids of one question

_CREATE = (
    "CREATE TABLE IF NOT EXISTS owned (id BLOB PRIMARY KEY, owner TEXT NOT NULL, upstream TEXT NOT NULL, "
    "key TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS owned_at ON owned (at)",
)


class Owned(NamedTuple):
    """Whose a response, a file or a batch is, and which upstream keeps it. owner: a client. key: the name of the
    upstream's key that it was made with."""

    owner: str
    upstream: str
    key: str


class OwnerStore:
    """Any thread may call its methods. All of them raise what sqlite_file.errors() says."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __repr__(self) -> str:
        return f"<OwnerStore {self.file}>"

    def add(self, owned: Mapping[str, Owned], at: float) -> None:
        """owned: by the ids of responses. All of them are written, or none."""
        rows = [(_hash(id), *each, int(at)) for id, each in owned.items()]
        with opened(self.file, create=True) as db, db:
            _create(db)
            db.executemany("INSERT OR REPLACE INTO owned (id, owner, upstream, key, at) VALUES (?, ?, ?, ?, ?)", rows)

    def find(self, ids: Sequence[str]) -> dict[str, Owned]:
        """The known ones of these ids."""
        if not self.file.exists():
            return {}
        asked = {_hash(id): id for id in ids}
        hashes = list(asked)
        rows: list[Any] = []
        with opened(self.file, create=True) as db:
            _create(db)
            for at in range(0, len(hashes), _AT_ONCE):
                some = hashes[at : at + _AT_ONCE]
                marks = ", ".join("?" * len(some))
                rows += db.execute(f"SELECT id, owner, upstream, key FROM owned WHERE id IN ({marks})", some)
        return {asked[found]: Owned(*fields) for found, *fields in rows}

    def forget(self, before: float, most: int = MOST_ROWS) -> int:
        """Rows from before that time are gone, and the oldest of more than `most`. Returns how many those were."""
        with opened(self.file, create=True) as db, db:
            _create(db)
            gone = db.execute("DELETE FROM owned WHERE at < ?", (int(before),)).rowcount
            (left,) = db.execute("SELECT COUNT(*) FROM owned").fetchone()
            if left > most:
                oldest = "SELECT id FROM owned ORDER BY at LIMIT ?"
                gone += db.execute(f"DELETE FROM owned WHERE id IN ({oldest})", (left - most,)).rowcount
            return gone


def _create(db: Database) -> None:
    for statement in _CREATE:
        db.execute(statement)


def _hash(id: str) -> bytes:
    return hashlib.sha256(id.encode("utf-8", "surrogatepass")).digest()[:HASH_BYTES]
