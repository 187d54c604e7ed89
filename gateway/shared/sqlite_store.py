"""The shared store of the workers of one host: a SQLite file in write-ahead mode.

A thread does the work, so that no stream waits for a disk. What comes in one turn of the loop is one transaction. A
lock on a file beside it lets the workers in one after the other: SQLite's own way, to sleep and try again, lets one
wait for longer than a request may. The file survives kill -9 of every worker; it is for its owner alone.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gateway.limits import gcra
from gateway.limits.gcra import Level
from gateway.shared.memory_store import charged, from_now, has_more
from gateway.shared.patience import PATIENCE_S, Patience, fail
from gateway.shared.store import MOST_TOTALS, NOTHING, Away, Cell, Change, News, Row, Slots, Taken, then_taken
from operate import steady_clock

log = logging.getLogger("gateway")

T = TypeVar("T")
Work = Callable[[sqlite3.Connection, float], Any]

BUSY_S = 1.0  # time for a person who opens the file with a tool
SWEEP_S = 30.0
RETRY_S = 0.5
CLOSE_S = 3.0  # time for the last of what was asked
MAX_BYTES = 1 << 30  # of all values

_TABLES = (
    "CREATE TABLE IF NOT EXISTS vals (key BLOB PRIMARY KEY, value BLOB NOT NULL, expires REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS levels (key BLOB PRIMARY KEY, level REAL NOT NULL, opens REAL NOT NULL, "
    "expires REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS sums (key BLOB, name TEXT, amount REAL NOT NULL, expires REAL NOT NULL, "
    "PRIMARY KEY (key, name)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS totals (key BLOB, name TEXT, first REAL NOT NULL, row TEXT NOT NULL, "
    "expires REAL NOT NULL, PRIMARY KEY (key, name)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS slots (key BLOB, holder TEXT, granted INTEGER NOT NULL, wanted INTEGER NOT NULL, "
    "expires REAL NOT NULL, PRIMARY KEY (key, holder)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS feeds (version INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, "
    "key BLOB NOT NULL, value BLOB NOT NULL, expires REAL NOT NULL, UNIQUE (topic, key))",
    "CREATE TABLE IF NOT EXISTS clock (start TEXT NOT NULL, ahead REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS vals_expire ON vals (expires)",
    "CREATE INDEX IF NOT EXISTS feeds_by_topic ON feeds (topic, version)",
)
_KINDS = ("vals", "levels", "sums", "totals", "slots", "feeds")


def _same(said: Any) -> Any:
    return said


class SqliteStore:
    """close() waits for what is on its way."""

    kind = "sqlite"

    def __init__(
        self, file: Path, on_change: Callable[[str], None] = lambda why: None, patience_s: float = PATIENCE_S
    ) -> None:
        """on_change: is called with "" after work that was done, and with the reason after work that was not. A full
        disk can still be read: after a failure only what was written is work that was done.
        patience_s: how long a question waits for its answer."""
        self.file = file
        self._ahead = 0.0  # of the file's clock
        self._on_change = on_change
        self._patience_s = patience_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._patience: Patience | None = None
        self._asked: list[Work] = []
        self._work: queue.SimpleQueue[list[Work] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._is_out = False  # nothing was written since a failure

    def __repr__(self) -> str:
        return f"<SqliteStore {self.file}>"

    # ------------------------------------------------------------------------------------------- values

    def get(self, key: str) -> asyncio.Future[bytes | None]:
        return self._do(lambda db, now: _value(db, _raw(key), now))

    def put(self, key: str, value: bytes, ttl_s: float, *, absent: bool = False) -> asyncio.Future[bool]:
        raw = _raw(key)

        def work(db: sqlite3.Connection, now: float) -> bool:
            if absent and _value(db, raw, now) is not None:
                return False
            db.execute("INSERT OR REPLACE INTO vals VALUES (?, ?, ?)", (raw, value, now + ttl_s))
            return True

        return self._do(work)

    def extend(self, key: str, value: bytes, ttl_s: float) -> asyncio.Future[bool]:
        update = "UPDATE vals SET expires = ? WHERE key = ? AND value = ? AND expires > ?"
        return self._do(lambda db, now: db.execute(update, (now + ttl_s, _raw(key), value, now)).rowcount > 0)

    def delete(self, key: str, value: bytes | None = None) -> asyncio.Future[bool]:
        delete = "DELETE FROM vals WHERE key = ? AND expires > ? AND (? IS NULL OR value = ?)"
        return self._do(lambda db, now: db.execute(delete, (_raw(key), now, value, value)).rowcount > 0)

    # -------------------------------------------------------------------------------------------- counts

    def take(
        self,
        cells: Sequence[Cell],
        then: Callable[[Taken], T] = then_taken,
        otherwise: Callable[[Away], T] | None = None,
    ) -> asyncio.Future[T]:
        def work(db: sqlite3.Connection, now: float) -> Taken:
            pairs = [(_level(db, cell, now), cell) for cell in cells]
            wait_s = max((gcra.wait_for(level, cell.per_minute, cell.units, now) for level, cell in pairs), default=0.0)
            if wait_s > 0:
                return Taken(wait_s, from_now([each for each, _ in pairs], now))
            return _charge(db, pairs, now, leases=has_more(pairs, now))

        return self._do(work, then, otherwise)

    def charge(self, cells: Sequence[Cell]) -> asyncio.Future[Taken]:
        return self._do(lambda db, now: _charge(db, [(_level(db, cell, now), cell) for cell in cells], now))

    def add(
        self, key: str, amounts: Mapping[str, float], ttl_s: float, *, at_least: Mapping[str, float] = NOTHING
    ) -> asyncio.Future[dict[str, float]]:
        named, least, raw = dict(amounts), dict(at_least), _raw(key)

        def work(db: sqlite3.Connection, now: float) -> dict[str, float]:
            db.execute("DELETE FROM sums WHERE key = ? AND expires <= ?", (raw, now))
            insert = "INSERT INTO sums VALUES (?, ?, ?, ?) ON CONFLICT (key, name) DO UPDATE SET amount = "
            for amounts, grown in ((least, "MAX(amount, excluded.amount)"), (named, "amount + excluded.amount")):
                rows = [(raw, name, amount, now + ttl_s) for name, amount in amounts.items()]
                db.executemany(insert + grown, rows)
            if named or least:
                db.execute("UPDATE sums SET expires = ? WHERE key = ?", (now + ttl_s, raw))
            return dict(db.execute("SELECT name, amount FROM sums WHERE key = ?", (raw,)).fetchall())

        return self._do(work)

    def raise_totals(self, key: str, rows: Mapping[str, Row], ttl_s: float) -> asyncio.Future[int]:
        raw = _raw(key)
        told = [(raw, name, row[0], " ".join(map(repr, row))) for name, row in rows.items()]

        def work(db: sqlite3.Connection, now: float) -> int:
            db.execute("DELETE FROM totals WHERE key = ? AND expires <= ?", (raw, now))
            known = {name for (name,) in db.execute("SELECT name FROM totals WHERE key = ?", (raw,))}
            room = MOST_TOTALS - len(known)
            new = [each for each in told if each[1] not in known][:room]
            db.executemany("INSERT INTO totals VALUES (?, ?, ?, ?, 0)", new)
            update = "UPDATE totals SET first = ?3, row = ?4 WHERE key = ?1 AND name = ?2 AND first < ?3"
            db.executemany(update, told)
            db.execute("UPDATE totals SET expires = MAX(expires, ?) WHERE key = ?", (now + ttl_s, raw))
            return len(known) + len(new)

        return self._do(work)

    def totals(self, key: str) -> asyncio.Future[dict[str, Row]]:
        query = "SELECT name, row FROM totals WHERE key = ? AND expires > ?"
        return self._do(lambda db, now: {
            name: tuple(map(float, row.split())) for name, row in db.execute(query, (_raw(key), now))
        })  # fmt: skip

    def slots(self, key: str, holder: str, wanted: int, limit: int, ttl_s: float) -> asyncio.Future[Slots]:
        raw = _raw(key)

        def work(db: sqlite3.Connection, now: float) -> Slots:
            db.execute("DELETE FROM slots WHERE key = ? AND (expires <= ? OR holder = ?)", (raw, now, holder))
            sums = "COALESCE(SUM(granted), 0), COALESCE(SUM(MAX(0, wanted - granted)), 0)"
            held, lacking = db.execute(f"SELECT {sums} FROM slots WHERE key = ?", (raw,)).fetchone()
            granted = max(0, min(wanted, limit - held))
            if wanted:
                db.execute("INSERT INTO slots VALUES (?, ?, ?, ?, ?)", (raw, holder, granted, wanted, now + ttl_s))
            return Slots(granted, lacking)

        return self._do(work)

    # --------------------------------------------------------------------------------------------- feeds

    def publish(self, topic: str, key: str, value: bytes, ttl_s: float) -> asyncio.Future[int]:
        insert = "INSERT OR REPLACE INTO feeds (topic, key, value, expires) VALUES (?, ?, ?, ?)"
        return self._do(lambda db, now: db.execute(insert, (topic, _raw(key), value, now + ttl_s)).lastrowid or 0)

    def news(self, topic: str, since: int = 0) -> asyncio.Future[News]:
        def work(db: sqlite3.Connection, now: float) -> News:
            (version,) = db.execute("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'feeds'").fetchone()
            after = 0 if since > version else since
            rows = db.execute(
                "SELECT key, value, expires FROM feeds WHERE topic = ? AND version > ? AND expires > ? "
                "ORDER BY version",
                (topic, after, now),
            ).fetchall()
            changes = [
                Change(key.decode("utf-8", "surrogatepass"), value, expires - now)
                for key, value, expires in rows
                if value or after
            ]
            return News(version, changes)

        return self._do(work)

    def close(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        if self._thread is not None:
            self._flush()
            self._work.put(None)
            self._thread.join(CLOSE_S)
            if self._thread.is_alive():  # a process that ends does not wait for a disk that hangs
                log.warning("%s does not answer; what was asked of it last may be lost", self.file)
            self._thread = None
        if self._patience is not None:
            self._patience.over("closed")

    # --------------------------------------------------------------------------------------------- thread

    def _do(
        self, work: Callable[[sqlite3.Connection, float], Any], read: Callable[[Any], T] = _same,
        otherwise: Callable[[Away], T] | None = None,
    ) -> asyncio.Future[T]:  # fmt: skip
        if self._loop is None or self._patience is None:
            self._loop = asyncio.get_running_loop()
            self._patience = Patience(self._loop, self._patience_s, lambda: self._on_change("the disk does not answer"))
            self._thread = threading.Thread(target=self._run, name="shared store", daemon=True)
            self._thread.start()
        answer: asyncio.Future[T] = self._loop.create_future()
        if self._patience.is_late or self._thread is None:
            fail(answer, Away("the disk does not answer"), otherwise)
            return answer
        if not self._asked:
            self._loop.call_soon(self._flush)
        self._asked.append(work)
        self._patience.waits(answer, read, otherwise)
        return answer

    def _flush(self) -> None:
        if self._asked:
            asked, self._asked = self._asked, []
            self._work.put(asked)

    def _run(self) -> None:
        db: sqlite3.Connection | None = None
        lock = -1
        sweep_at = time.monotonic() + SWEEP_S
        wrote = False
        while (asked := self._work.get()) is not None:
            try:
                if db is None:
                    lock, db = _opened(self.file, lock)
                    known = _clock(db)
                    self._ahead = _transaction(db, lock, [_sets_clock], time.time())[0] if known is None else known
                before = db.total_changes
                results = _transaction(db, lock, asked, steady_clock.seconds() + self._ahead)
                wrote = db.total_changes > before
                if time.monotonic() > sweep_at:
                    sweep_at = time.monotonic() + SWEEP_S
                    _transaction(db, lock, [_sweep], steady_clock.seconds() + self._ahead)
            except Exception as error:
                if not isinstance(error, sqlite3.Error | OSError):
                    log.exception("an error in the proxy: the shared store failed")
                results = [Away(f"{self.file}: {error}")] * len(asked)
                if db is not None:
                    db.close()
                    db = None
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._answer, results, wrote)
        if db is not None:
            db.close()
        if lock >= 0:
            os.close(lock)

    def _answer(self, results: Sequence[Any], wrote: bool) -> None:
        for result in results:
            asked = self._patience.heard() if self._patience is not None else None
            if asked is None:
                return
            answer, read, otherwise = asked
            if isinstance(result, Away):
                fail(answer, result, otherwise)
            elif not answer.done():
                answer.set_result(read(result))
        why = str(results[0]) if isinstance(results[0], Away) else ""
        if why or wrote or not self._is_out:
            self._is_out = bool(why)
            self._on_change(why)
        if why and self._loop is not None and self._thread is not None and self._retry is None:
            self._retry = self._loop.call_later(RETRY_S, self._try_again)

    def _try_again(self) -> None:
        """Others do not ask while the file is away."""
        self._retry = None
        self.put("", b"", RETRY_S)


def _transaction(db: sqlite3.Connection, lock: int, asked: Sequence[Work], now: float) -> list[Any]:
    """Raises sqlite3.Error, OSError."""
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            results = [work(db, now) for work in asked]
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
    return results


def _opened(file: Path, lock: int) -> tuple[int, sqlite3.Connection]:
    """The lock's descriptor and the file. Raises sqlite3.Error, OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if lock < 0:
        lock = os.open(f"{file}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        db = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        for statement in _TABLES:
            db.execute(statement)
        return lock, db
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def _clock(db: sqlite3.Connection) -> float | None:
    """How far the file's clock, which counts from 1970, is ahead of the machine's. None: nobody has set it since the
    machine has started."""
    known: tuple[str, float] | None = db.execute("SELECT start, ahead FROM clock").fetchone()
    return known[1] if known is not None and known[0] and known[0] == steady_clock.start() else None


def _sets_clock(db: sqlite3.Connection, now: float) -> float:
    """now: by the clock of the day, which the first process since the machine has started goes by; the others do as it
    did, although somebody may set that clock meanwhile: set back by an hour, everybody would be refused for an hour,
    and a dead worker keep its slots. What is counted by the minute, and holders of slots, do not outlive a start."""
    if (ahead := _clock(db)) is not None:
        return ahead
    start, ahead = steady_clock.start(), now - steady_clock.seconds()
    before: tuple[str] | None = db.execute("SELECT start FROM clock").fetchone()
    for kind in ("clock", "levels", "slots") if start and before is not None else ("clock",):
        db.execute(f"DELETE FROM {kind}")
    db.execute("INSERT INTO clock VALUES (?, ?)", (start, ahead))
    return ahead


def _sweep(db: sqlite3.Connection, now: float) -> None:
    for kind in _KINDS:
        db.execute(f"DELETE FROM {kind} WHERE expires <= ?", (now,))
    (held,) = db.execute("SELECT COALESCE(SUM(LENGTH(value)), 0) FROM vals").fetchone()
    while held > MAX_BYTES:  # those that would go first anyway
        oldest = "SELECT key FROM vals ORDER BY expires LIMIT 1000"
        db.execute(f"DELETE FROM vals WHERE key IN ({oldest})")
        (held,) = db.execute("SELECT COALESCE(SUM(LENGTH(value)), 0) FROM vals").fetchone()


def _raw(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _value(db: sqlite3.Connection, key: bytes, now: float) -> bytes | None:
    found = db.execute("SELECT value FROM vals WHERE key = ? AND expires > ?", (key, now)).fetchone()
    return found[0] if found else None


def _level(db: sqlite3.Connection, cell: Cell, now: float) -> Level:
    found = db.execute("SELECT level, opens FROM levels WHERE key = ?", (_raw(cell.key),)).fetchone()
    if found:
        return Level(*found)
    level = Level(*(each + now for each in cell.level))
    if level.full > now:  # remembered whether or not it is charged now
        _keep(db, cell.key, level)
    return level


def _charge(db: sqlite3.Connection, pairs: Sequence[tuple[Level, Cell]], now: float, *, leases: bool = False) -> Taken:
    levels = charged(pairs, now, leases=leases)
    for level, (_, cell) in zip(levels, pairs, strict=True):
        _keep(db, cell.key, level)
    return Taken(0.0, from_now(levels, now), leases)


def _keep(db: sqlite3.Connection, key: str, level: Level) -> None:
    row = (_raw(key), *level, max(level) + gcra.MINUTE_S)
    db.execute("INSERT OR REPLACE INTO levels VALUES (?, ?, ?, ?)", row)
