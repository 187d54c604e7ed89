"""A SQLite file that all workers of a host share: opened for one piece of work, by whatever thread does it.

Write-ahead logging lets readers read while one writes. The file is for its owner alone: names of clients are in it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

BUSY_S = 2.0  # how long one writer waits for another


@contextlib.contextmanager
def opened(file: Path, *, create: bool, busy_s: float = BUSY_S) -> Iterator[sqlite3.Connection]:
    """create: for writing, and made where it is not there; else for reading. Raises sqlite3.Error, OSError."""
    if create and not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    mode = "rw" if create else "ro"
    db = sqlite3.connect(f"{file.resolve().as_uri()}?mode={mode}", timeout=busy_s, uri=True)
    try:
        if create:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
        yield db
    finally:
        db.close()
