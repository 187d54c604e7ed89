"""The SQLite file that all workers of a host share."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from operate import sqlite_file


def _locked(file: Path) -> sqlite3.Connection:
    """Somebody who has just made the file, and writes to it."""
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_who_makes_the_file_together_with_another_waits_for_it(tmp_path: Path) -> None:
    file = tmp_path / "usage.sqlite3"
    other = _locked(file)
    leaves = threading.Timer(0.1, other.execute, ["COMMIT"])
    leaves.start()
    with sqlite_file.opened(file, create=True) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    leaves.join()
    other.close()


def test_who_waits_too_long_is_told(tmp_path: Path) -> None:
    file = tmp_path / "usage.sqlite3"
    other = _locked(file)
    with pytest.raises(sqlite3.OperationalError, match="locked"), sqlite_file.opened(file, create=True, busy_s=0.05):
        raise AssertionError("the file is another's")
    other.close()
