"""Somebody, or the time service, sets the machine's clock back by an hour while several workers share a file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.shared.sqlite_store import SqliteStore
from gateway.shared.store import Cell
from operate import steady_clock

HOUR_S = 3600.0
CELL = Cell("client:x", 60, 60, 60.0)


def sets_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - HOUR_S)


@pytest.mark.gen_test
async def test_nobody_is_refused_for_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "shared.sqlite3"
    before = SqliteStore(file, patience_s=10)
    assert (await before.take([CELL])).wait_s == 0.0
    assert (await before.slots("s", "dead", 1, 1, 0.2)).granted == 1
    sets_back(monkeypatch)
    later = SqliteStore(file, patience_s=10)  # a worker that begins afterwards
    for store in (before, later):
        assert 110.0 < (await store.take([CELL])).wait_s <= 120.0
    while (await later.slots("s", "me", 1, 1, 10.0)).granted == 0:
        continue  # the dead one holds it for 0.2 s
    before.close()
    later.close()


@pytest.mark.gen_test
async def test_a_machine_that_starts_with_a_clock_that_is_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no clock that goes on while it is off."""
    file = tmp_path / "shared.sqlite3"
    store = SqliteStore(file, patience_s=10)
    await store.take([CELL])
    await store.slots("s", "gone", 1, 1, 10.0)
    assert await store.put("k", b"kept", HOUR_S)
    store.close()
    sets_back(monkeypatch)
    monkeypatch.setattr(steady_clock, "start", lambda: "another start")
    store = SqliteStore(file, patience_s=10)
    assert (await store.take([CELL])).wait_s == 0.0
    assert (await store.slots("s", "me", 1, 1, 10.0)).granted == 1
    assert await store.get("k") == b"kept"
    store.close()


@pytest.mark.gen_test
async def test_a_system_without_a_name_for_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady_clock, "start", lambda: "")
    file = tmp_path / "shared.sqlite3"
    stores = [SqliteStore(file, patience_s=10) for _ in range(2)]
    assert [(await store.take([CELL])).wait_s > 0 for store in stores] == [False, True]
    for store in stores:
        store.close()
