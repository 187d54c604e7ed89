"""The store goes away: requests go on, none of them waits for it, and it comes back by itself."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
import time
from pathlib import Path

import pytest

from gateway.limits.admission import Admission, AdmissionLimits, Gate
from gateway.limits.rate_limit import Quota
from gateway.shared import patience, redis_store, sqlite_store, store
from gateway.shared.gossip import Gossip
from gateway.shared.shared import Shared
from gateway.shared.shared_quota import SharedQuota
from gateway.shared.slot_leases import SlotLeases
from gateway.shared.store import Away
from tests.support import redis_server
from tests.support.redis_server import RedisServer
from tests.support.waiting import soon

PATIENT_S = 10.0  # where it is not about patience: the machine may be busy


@pytest.fixture
def soon_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LOST_S", 0.2)


def quota(shared: Shared, requests: int = 60, *, promise: bool = False) -> SharedQuota:
    return SharedQuota(shared, "client:x", Quota(requests, 0, time.monotonic(), promise))


async def taken(one: SharedQuota) -> float:
    wait_s = one.take(0, time.monotonic())
    return wait_s if isinstance(wait_s, float) else await wait_s


@redis_server.needed
@pytest.mark.gen_test
async def test_a_server_that_is_killed_and_started_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It has lost its memory; what was used stays used, and what went through meanwhile counts."""
    with redis_server.running(tmp_path) as server:
        workers = [Shared(server.url, "t", None, PATIENT_S) for _ in range(2)]
        await asyncio.gather(*(each.start() for each in workers))
        for each in workers:
            each.members = 2
        quotas = [quota(each, 600, promise=True) for each in workers]
        assert [await taken(quotas[n % 2]) for n in range(580)] == [0.0] * 580
        server.stop()
        await soon(lambda: all(each.away for each in workers))
        alone = [await taken(quotas[n % 2]) for n in range(40)]
        assert alone.count(0.0) == 20, "each has half of what is left"
        assert all(each.fallbacks == 20 for each in workers)
        server.start()
        await soon(lambda: not any(each.away for each in workers))
        assert [await taken(quotas[n % 2]) for n in range(10)].count(0.0) <= 2, "600 have gone through"
        server.stop()
        await soon(lambda: all(each.away for each in workers))
        server.start()
        await soon(lambda: not any(each.away for each in workers))
        assert [await taken(quotas[n % 2]) for n in range(10)].count(0.0) <= 2, "and so it is after another outage"
        for each in workers:
            each.stop()
    said = [record.getMessage() for record in caplog.records if "shared store" in record.getMessage()]
    assert sum("is away" in line for line in said) == 4 and sum("is back after" in line for line in said) == 4


@redis_server.needed
@pytest.mark.gen_test
async def test_a_server_that_says_nothing_holds_nobody_up(tmp_path: Path, soon_lost: None) -> None:
    with redis_server.running(tmp_path) as server:
        shared = Shared(server.url, "t", None)
        await shared.start()
        one = quota(shared, 6000)
        assert await taken(one) == 0.0
        server.freeze()
        begun = time.monotonic()
        assert await asyncio.gather(*(taken(one) for _ in range(20))) == [0.0] * 20, "by what is known here"
        assert time.monotonic() - begun < 5, "and not by its silence"
        await soon(lambda: shared.fallbacks == 20)
        begun = time.monotonic()
        for _ in range(20):
            await taken(one)
        assert time.monotonic() - begun < 5, "while it owes replies, it is not asked"
        await soon(lambda: bool(shared.away))
        server.freeze(False)
        await soon(lambda: not shared.away)
        before = shared.fallbacks
        assert await taken(one) == 0.0 and shared.fallbacks == before
        shared.stop()


@redis_server.needed
@pytest.mark.gen_test
async def test_a_server_that_is_there_later_than_the_proxy(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    shared = Shared(server.url, "t", None, PATIENT_S)
    await shared.start()
    assert shared.away and await taken(quota(shared)) == 0.0
    server.start()
    try:
        await soon(lambda: not shared.away)
        assert await shared.store.put("a", b"1", 60)
        assert server.call("SCRIPT", "FLUSH") == "+OK"
        with pytest.raises(Away):
            await shared.store.add("sums", {"n": 1}, 60)
        await soon(lambda: not shared.away)
        assert await shared.store.add("sums", {"n": 1}, 60) == {"n": 1}, "it has its scripts again"
    finally:
        shared.stop()
        server.stop()


FULL = [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")]


@redis_server.needed
@pytest.mark.gen_test
@pytest.mark.parametrize(("setting", "full", "roomy"), FULL)
async def test_a_server_that_takes_nothing_more_is_one_outage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    setting: str,
    full: str,
    roomy: str,
) -> None:
    """Requests would be counted by each worker alone, and nobody be told. What it has can still be read."""
    monkeypatch.setattr(redis_store, "FULL_S", 0.02)
    with redis_server.running(tmp_path) as server:
        shared = Shared(server.url, "t", None, PATIENT_S)
        await shared.start()
        assert await shared.store.put("k", b"kept", 60.0)
        assert server.call("CONFIG", "SET", setting, full) == "+OK"
        one = quota(shared, 6000)
        for _ in range(10):
            assert await taken(one) == 0.0 and shared.fallbacks
            with pytest.raises(Away):
                await shared.store.put("k", b"more", 60.0)
            assert await shared.store.get("k") == b"kept"
            assert shared.away and shared.outages == 1
        await asyncio.sleep(0.2)  # it is tried ten times meanwhile, and nothing of that may be heard
        assert shared.away and shared.outages == 1
        assert server.call("CONFIG", "SET", setting, roomy) == "+OK"
        await soon(lambda: not shared.away)
        before = shared.fallbacks
        assert await taken(one) == 0.0 and shared.fallbacks == before
        assert await shared.store.put("k", b"more", 60.0)
        shared.stop()
    said = [record.getMessage() for record in caplog.records if "shared store" in record.getMessage()]
    assert sum("is away" in line for line in said) == 1 and sum("is back" in line for line in said) == 1


@redis_server.needed
@pytest.mark.gen_test
@pytest.mark.parametrize("kind", ["a replica", "a user without the keys"])
async def test_a_server_that_one_may_not_write_to_is_one_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """A replica lets itself be connected to, so that each request found it there, and lost it."""
    monkeypatch.setattr(redis_store, "FULL_S", 0.02)
    replica = kind == "a replica"
    with redis_server.running(tmp_path) as server:
        right, wrong = [("REPLICAOF", "NO", "ONE"), ("REPLICAOF", "127.0.0.1", "1")] if replica else [
            ("ACL", "SETUSER", "bob", "resetkeys", "~*"), ("ACL", "SETUSER", "bob", "resetkeys", "~other:*"),
        ]  # fmt: skip
        assert server.call("ACL", "SETUSER", "bob", "on", ">secret", "~*", "+@all") == "+OK"
        shared = Shared(f"unix://bob:secret@{server.socket}", "t", None, PATIENT_S)
        await shared.start()
        assert not shared.away
        assert server.call(*wrong) == "+OK"
        one = quota(shared, 6000)
        for _ in range(20):
            assert await taken(one) == 0.0
            await asyncio.sleep(0.02)
        assert ("READONLY" if replica else "NOPERM") in shared.away
        assert shared.outages == 1 and shared.fallbacks
        assert server.call(*right) == "+OK"
        await soon(lambda: not shared.away)
        before = shared.fallbacks
        assert await taken(one) == 0.0 and shared.fallbacks == before
        shared.stop()
    said = [record.getMessage() for record in caplog.records if "shared store" in record.getMessage()]
    assert sum("is away" in line for line in said) == 1 and sum("is back" in line for line in said) == 1


@redis_server.needed
@pytest.mark.gen_test
async def test_a_password_that_is_wrong_is_said_and_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with redis_server.running(tmp_path, "", "--requirepass", "right") as server:
        shared = Shared(f"unix://:wrong-secret@{server.socket}", "t", None)
        await shared.start()
        assert "WRONGPASS" in shared.away or "invalid" in shared.away
        shared.stop()
        shared = Shared(f"unix://:right@{server.socket}", "t", None)
        await shared.start()
        assert not shared.away
        shared.stop()
    assert "wrong-secret" not in caplog.text


@redis_server.needed
@pytest.mark.gen_test
async def test_every_key_has_the_prefix_and_expires(tmp_path: Path) -> None:
    with redis_server.running(tmp_path, port=redis_server.free_port()) as server:
        shared = Shared(server.url, "fleet{a}", None)
        await shared.start()
        store = shared.store
        await asyncio.gather(
            taken(quota(shared)), store.put("v", b"1", 60), store.add("s", {"n": 1}, 60),
            store.slots("c", "me", 1, 1, 60), store.publish("f", "k", b"1", 60),
        )  # fmt: skip
        assert server.call("EVAL", "return #redis.call('KEYS', '*')", "0") == ":8"
        assert server.call("EVAL", "return #redis.call('KEYS', '{fleeta}:*')", "0") == ":8"
        lasting = "local n = 0 for _, k in ipairs(redis.call('KEYS', '*')) do n = n + redis.call('TTL', k) end return n"
        assert 8 * 55 < int(server.call("EVAL", lasting, "0")[1:]) <= 8 * 62
        shared.stop()


@pytest.mark.gen_test
async def test_a_file_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "shared.sqlite3"
    file.mkdir()
    shared = Shared("", "t", file)
    await shared.start()
    one = quota(shared)
    assert await taken(one) == 0.0 and shared.fallbacks == 1
    await soon(lambda: bool(shared.away))
    assert await taken(one) == 0.0 and shared.fallbacks == 2
    assert sum("is away" in record.getMessage() for record in caplog.records) == 1
    file.rmdir()
    await soon(lambda: not shared.away)
    before = shared.fallbacks
    assert await taken(one) == 0.0 and shared.fallbacks == before
    shared.stop()


@pytest.mark.gen_test
async def test_a_full_disk_that_can_still_be_read_is_one_outage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read does not end it: the next request would begin another one, many times a second."""
    opened = sqlite_store._opened

    def on_a_full_disk(file: Path, lock: int) -> tuple[int, sqlite3.Connection]:
        lock, db = opened(file, lock)
        db.execute("PRAGMA max_page_count = 1")  # as many as there are
        return lock, db

    shared = Shared("", "t", tmp_path / "shared.sqlite3", PATIENT_S)
    await shared.start()
    monkeypatch.setattr(sqlite_store, "_opened", on_a_full_disk)
    for _ in range(20):
        with pytest.raises(Away, match="full"):
            await shared.store.put("k", b"x" * 100_000, 60.0)
        assert await shared.store.get("k") is None
        await shared.store.news("f")
        assert shared.away and shared.outages == 1
    assert [record.getMessage() for record in caplog.records if "is back" in record.getMessage()] == []
    monkeypatch.setattr(sqlite_store, "_opened", opened)
    shared.store._work.put([_fails])  # type: ignore[attr-defined]  # so that the file is opened anew
    await soon(lambda: not shared.away)
    assert await shared.store.put("k", b"x" * 100_000, 60.0)
    shared.stop()


def _fails(db: sqlite3.Connection, now: float) -> None:
    raise sqlite3.OperationalError("it fails")


@pytest.mark.gen_test
async def test_a_file_that_somebody_holds_does_not_hold_the_start_and_the_end_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker stands still with the lock. This one has its share of the slots."""
    monkeypatch.setattr(store, "LONGER_S", 0.2)
    file = tmp_path / "shared.sqlite3"
    shared, gate = Shared("", "t", file), Gate("a", 10)
    shared.members = 2
    admission = Admission(AdmissionLimits(100, 100, 5.0), time.monotonic)
    parts = [SlotLeases(shared, "me", admission, lambda: [(gate, 10)]).rounds, Gossip(shared, "me", []).rounds]
    lock = os.open(f"{file}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        for rounds in parts:
            await asyncio.wait_for(rounds.start(), 5)
        assert gate.granted == 5
        for rounds in parts:
            await asyncio.wait_for(rounds.stop(), 5)
    finally:
        os.close(lock)
        shared.stop()


@pytest.mark.gen_test
async def test_a_file_that_hangs_does_not_hold_the_end_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite_store, "CLOSE_S", 0.1)
    file = tmp_path / "shared.sqlite3"
    shared = Shared("", "t", file)
    await shared.start()
    one = quota(shared)
    assert await taken(one) == 0.0
    lock = os.open(f"{file}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        await taken(one)
        shared.stop()  # the lock is still held
        assert f"{file} does not answer" in caplog.text
    finally:
        os.close(lock)


@pytest.mark.gen_test
async def test_a_file_that_somebody_holds_does_not_hold_requests_up(tmp_path: Path, soon_lost: None) -> None:
    file = tmp_path / "shared.sqlite3"
    shared = Shared("", "t", file)
    await shared.start()
    one = quota(shared)
    assert await taken(one) == 0.0
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        before = shared.fallbacks
        assert [await taken(one), await taken(one)] == [0.0, 0.0] and shared.fallbacks == before + 2
        other.execute("ROLLBACK")
    other.close()
    await soon(lambda: not shared.away)
    assert await taken(one) == 0.0
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    shared.stop()


def test_outages_are_logged_once_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "proxy")
    shared = Shared("redis://127.0.0.1:1", "t", None)
    for why in ("a", "b", "", "", "c", ""):
        shared._changed(why)
    assert [record.getMessage().partition(":")[0][:35] for record in caplog.records] == [
        "the shared store (redis) is away", "the shared store (redis) is back af",
        "the shared store (redis) is away", "the shared store (redis) is back af",
    ]  # fmt: skip
    assert shared.state()["outages"] == 2 and shared.state()["away"] == ""


@redis_server.needed
@pytest.mark.gen_test
async def test_what_somebody_else_has_written_is_told_and_holds_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another program has the same prefix, or an old server refuses scripts: each worker counted alone, unsaid."""
    with redis_server.running(tmp_path) as server:
        shared = Shared(server.url, "t", None, PATIENT_S)
        await shared.start()
        for words in (("SET", "{t}:quota:client:x:requests", "junk"), ("LPUSH", "{t}:k", "1"),
                      ("HSET", "{t}:totals", "name", "junk")):  # fmt: skip
            assert not server.call(*words).startswith("-")
        one = quota(shared, 6000)
        for _ in range(5):
            assert await taken(one) == 0.0 and shared.fallbacks
            with pytest.raises(Away, match="WRONGTYPE"):
                await shared.store.get("k")
            with pytest.raises(Away, match="cannot be read"):
                await asyncio.wait_for(shared.store.totals("totals"), 5)
        assert (shared.away, shared.outages) == ("", 0)
        assert await shared.store.put("other", b"1", 60.0)
        shared.stop()
    said = [record.getMessage() for record in caplog.records if "refuses a question" in record.getMessage()]
    assert len(said) == 3 and any("WRONGTYPE" in line for line in said)
