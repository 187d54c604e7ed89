"""A SQLite file that all workers of a host share: opened for one piece of work, by whatever thread does it.

Write-ahead logging lets readers read while one writes. The file is for its owner alone: names of clients are in it.
sqlite3 is loaded with the first file: a proxy that nobody asks anything does without its megabyte.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from typing import Protocol as Interface

BUSY_S = 2.0  # how long one writer waits for another
AGAIN_S = 0.01


class Rows(Interface):
    """What is used of a sqlite3.Cursor."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def close(self) -> None: ...

    def __iter__(self) -> Iterator[Any]: ...


class Database(Interface):
    """What is used of a sqlite3.Connection. `with` it, all is written or nothing."""

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Rows: ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Rows: ...

    def __enter__(self) -> Any: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> Any: ...


def errors() -> tuple[type[Exception], ...]:
    """The errors that work with such a file may raise."""
    import sqlite3

    return sqlite3.Error, OSError


def told(error: Exception) -> str:
    """Why the work failed, for operators, and what to do where nothing else helps."""
    words = str(error) or repr(error)
    is_lost = any(each in words for each in _LOST)
    return f"{words}; move the file away, and a new one is made" if is_lost else words


_LOST = ("file is not a database", "disk image is malformed")
"""What SQLite says of a file that it will never read again."""


@contextlib.contextmanager
def opened(file: Path, *, create: bool, busy_s: float = BUSY_S) -> Iterator[Database]:
    """create: for writing, and made where it is not there; else for reading. Raises what errors() says."""
    import sqlite3

    if create and not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    mode = "rw" if create else "ro"
    db = sqlite3.connect(f"{file.resolve().as_uri()}?mode={mode}", timeout=busy_s, uri=True)
    try:
        if create:
            _log_ahead(db, busy_s)
            db.execute("PRAGMA synchronous = NORMAL")
        yield db
    finally:
        db.close()


def _log_ahead(db: Database, busy_s: float) -> None:
    """Switches to write-ahead logging. SQLite waits for other writers, but not with this, which happens where several
    processes make the file at once."""
    import sqlite3

    until = time.monotonic() + busy_s
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(AGAIN_S)  # noqa: TID251  # whoever writes such a file waits for it
