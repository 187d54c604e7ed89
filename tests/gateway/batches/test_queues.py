"""What every queue of batches does, whichever it is: SQLite on a host, Redis and Valkey for a fleet."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from gateway.batches import fleet_queue
from gateway.batches.fleet_queue import FleetQueue
from gateway.batches.host_queue import QUIET_S, HostQueue
from gateway.batches.queue import Queue
from gateway.shared.redis_store import RedisStore
from gateway.shared.redis_wire import packed
from operate.batch_store import CANCELED, ERRORED, EXPIRED, SUCCEEDED, WAITING, Batch, File, Result, Work
from tests.gateway.shared.conftest import KINDS, redis_servers
from tests.support import redis_server
from translate.failures.errors import ApiError

__all__ = ["redis_servers"]

Queues = Callable[..., AbstractAsyncContextManager[list[Any]]]
KEEP_S = 1000.0
LEASE_S = 60.0
FLEETS = [kind for kind in KINDS if kind.endswith("-server")]


def opener(kind: str, folder: Path, servers: Any) -> Queues:
    @contextlib.asynccontextmanager
    async def opened(count: int = 1) -> AsyncIterator[list[Queue]]:
        """So many queues that share their batches, as so many hosts have them."""
        made: list[Queue]
        if kind == "host":
            made = [HostQueue(folder / "batches.sqlite3") for _ in range(count)]
        else:
            program = next(each for each in redis_server.PROGRAMS if Path(each).name == kind)
            stores = [RedisStore(servers(program).url, folder.name) for _ in range(count)]
            made = [FleetQueue(store, KEEP_S, lease_s=LEASE_S) for store in stores]
        try:
            yield made
        finally:
            for queue in made:
                queue.close()
            await asyncio.sleep(0)

    return opened


def test_a_file_that_cannot_be_used_is_told_once_and_its_end_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is looked at every second, all night."""
    file, now = tmp_path / "batches.sqlite3", [1000.0]
    file.write_text("this is no database, but it is not empty")

    async def run() -> None:
        queue = HostQueue(file, lambda: now[0])
        for _ in range(5):
            now[0] += 1
            with pytest.raises(ApiError):
                await queue.get("batch_1")
        assert "not a database; move the file away" in queue.trouble
        file.unlink()
        for wait_s in (1, QUIET_S):
            assert queue.trouble
            now[0] += wait_s
            await queue.get("batch_1")
        assert queue.trouble == ""
        queue.close()

    asyncio.run(run())
    first, last = (record.getMessage() for record in caplog.records)
    assert str(file) in first and "move the file away" in first and "can be used again" in last


@pytest.fixture(params=["host", *FLEETS])
def queues(request: pytest.FixtureRequest, tmp_path: Path, redis_servers: Any) -> Queues:
    if request.param != "host" and not redis_server.PROGRAMS:
        pytest.skip(redis_server.NONE)
    return opener(request.param, tmp_path, redis_servers)


@pytest.fixture(params=FLEETS)
def fleets(request: pytest.FixtureRequest, tmp_path: Path, redis_servers: Any) -> Queues:
    if not redis_server.PROGRAMS:
        pytest.skip(redis_server.NONE)
    return opener(request.param, tmp_path, redis_servers)


def batch(id: str, total: int, *, owner: str = "ann", lasts_s: float = 100.0, ago_s: float = 0.0) -> Batch:
    now = time.time() - ago_s
    return Batch(id, "messages", owner, "client", now, now + lasts_s, None, None, total, '{"a":"\u00e4"}')


def requests(count: int) -> list[tuple[str, bytes]]:
    return [(f"r{n}\n\u00e4", b"request %d\n\x00" % n) for n in range(count)]


async def claimed(queue: Queue, most: int = 100, running: int = 0) -> list[Work]:
    """All that there is for it."""
    found: list[Work] = []
    await queue.tend(KEEP_S)
    while (work := await queue.claim(running + len(found), most)) is not None:
        found.append(work)
    return found


def numbers(works: list[Work]) -> list[tuple[str, int]]:
    return [(work.batch, work.nth) for work in works]


async def every_result(queue: Queue, id: str) -> list[Result]:
    found: list[Result] = []
    while rows := await queue.results(id, found[-1].nth if found else -1, 500):
        found += rows
    return found


@pytest.mark.gen_test
async def test_large_results_are_read_a_few_at_a_time(queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operate.batch_store.PIECE_BYTES", 1000)
    monkeypatch.setattr(fleet_queue, "READ_ROWS", 3)
    async with queues() as (queue,):
        await queue.add(batch("b1", 7), requests(7))
        for work in await claimed(queue):
            await queue.answered(work, SUCCEEDED, b"%03d" % work.nth * 120)
        await queue.tend(KEEP_S)
        assert len(await queue.results("b1", -1, 500)) == 3
        assert [int(row.result[:3]) for row in await every_result(queue, "b1")] == list(range(7))


@pytest.mark.gen_test
async def test_a_batch_is_there_whole_and_ends_with_its_last_result(queues: Queues) -> None:
    async with queues() as (queue,):
        made = batch("b1", 703)
        await queue.add(made, requests(703))
        assert await queue.get("b1") == made and await queue.get("b2") is None
        assert await queue.counts("b1") == {WAITING: 703}
        works = await claimed(queue, 2000)
        assert numbers(works) == [("b1", n) for n in range(703)]
        assert works[7] == Work("b1", 7, "r7\n\u00e4", b"request 7\n\x00", 0)
        for work in works[1:]:
            assert await queue.answered(work, ERRORED if work.nth == 5 else SUCCEEDED, b"\nresult %d" % work.nth)
        (told,) = await queue.tend(KEEP_S)
        assert (told["id"], told["total"], told["done"], told["running"], told["errored"]) == ("b1", 703, 702, 1, 1)
        assert await queue.answered(works[0], SUCCEEDED, b"")
        assert await queue.tend(KEEP_S) == []
        found = await queue.get("b1")
        assert found is not None and found.ended is not None and time.time() - 60 < found.ended
        assert await queue.counts("b1") == {SUCCEEDED: 702, ERRORED: 1}
        results = await every_result(queue, "b1")
        assert results[4] == Result(4, "r4\n\u00e4", SUCCEEDED, b"\nresult 4")
        assert results[5] == Result(5, "r5\n\u00e4", ERRORED, b"\nresult 5")
        assert [row.nth for row in results] == list(range(703)) and await queue.results("b1", 702, 10) == []
        assert await claimed(queue) == []


@pytest.mark.gen_test
async def test_a_request_has_one_result(queues: Queues) -> None:
    async with queues() as (queue,):
        await queue.add(batch("b1", 2), requests(2))
        work, _ = await claimed(queue)
        assert await queue.answered(work, SUCCEEDED, b"first")
        assert not await queue.answered(work, ERRORED, b"second")
        assert await queue.counts("b1") == {SUCCEEDED: 1, WAITING: 1}
        gone = Work("b9", 0, "r", b"")
        assert not await queue.answered(gone, SUCCEEDED, b"x"), "its batch was deleted"


@pytest.mark.gen_test
async def test_so_many_at_once_and_batches_by_turns(queues: Queues) -> None:
    async with queues() as (queue,):
        await queue.add(batch("large", 50), requests(50))
        await queue.add(batch("small", 2), requests(2))
        works = await claimed(queue, 4)
        assert len(works) == 4 and await claimed(queue, 4, running=4) == []
        for work in works:
            await queue.answered(work, SUCCEEDED, b"x")
        works += await claimed(queue, 4)
        assert len(works) == 8 and {work.batch for work in works} == {"large", "small"}
        await queue.answered(works[-1], SUCCEEDED, b"x")
        assert len(await claimed(queue, 4, running=3)) == 1


@pytest.mark.gen_test
async def test_what_is_postponed_comes_again(queues: Queues) -> None:
    async with queues() as (queue,):
        await queue.add(batch("b1", 1), requests(1))
        (work,) = await claimed(queue)
        await queue.postpone(work, 0.1)
        assert await claimed(queue) == []
        await asyncio.sleep(0.11)
        (again,) = await claimed(queue)
        assert again == work._replace(tries=1)
        assert await queue.answered(again, SUCCEEDED, b"x")
        assert (await queue.results("b1", -1, 9))[0].result == b"x"


@pytest.mark.gen_test
async def test_cancelled_what_runs_is_finished_and_the_rest_is_not(queues: Queues) -> None:
    async with queues() as (queue,):
        await queue.add(batch("b1", 5), requests(5))
        one, two, *_ = works = await claimed(queue, 3)
        at = float(int(time.time()))
        await queue.cancel("b1", at)
        await queue.cancel("b1", at + 9)
        await queue.tend(KEEP_S)
        found = await queue.get("b1")
        assert found is not None and (found.cancelled, found.ended) == (at, None)
        assert await queue.counts("b1") == {CANCELED: 2, WAITING: 3} and await claimed(queue) == []
        await queue.answered(one, SUCCEEDED, b"x")
        await queue.answered(two, ERRORED, b"y")
        await queue.postpone(works[2], 0.01)  # "not now", which is never now
        await queue.tend(KEEP_S)
        assert await queue.counts("b1") == {CANCELED: 3, SUCCEEDED: 1, ERRORED: 1}
        kinds = [(row.outcome, row.result) for row in await queue.results("b1", -1, 9)]
        assert kinds == [(SUCCEEDED, b"x"), (ERRORED, b"y"), *[(CANCELED, b"")] * 3]
        found = await queue.get("b1")
        assert found is not None and found.ended is not None
        await queue.delete("b1")
        assert await queue.get("b1") is None and await queue.listed("messages", "ann") == []
        assert await queue.results("b1", -1, 9) == []


@pytest.mark.gen_test
async def test_a_clock_that_is_set_back_keeps_no_request_waiting(tmp_path: Path) -> None:
    """It waits for some milliseconds, and not until that time of the day comes again."""
    queue, hour_s = HostQueue(tmp_path / "batches.sqlite3"), 0.0
    queue._unix = lambda: time.time() - hour_s
    await queue.add(batch("b1", 1), requests(1))
    (work,) = await claimed(queue, 1)
    await queue.postpone(work, 0.01)
    hour_s = 3600.0
    for _ in range(1000):
        if (again := await queue.claim(0, 1)) is not None:
            break
        await asyncio.sleep(0.005)
    assert again is not None and (again.nth, again.tries) == (work.nth, work.tries + 1)
    queue.close()


@pytest.mark.gen_test
async def test_a_batch_expires(queues: Queues) -> None:
    async with queues() as (queue,):
        await queue.add(batch("b1", 3), requests(3))
        (work, *_) = await claimed(queue, 1)
        if isinstance(queue, FleetQueue):
            await queue._ask(packed(b"HSET", queue._key(b"b1"), b"expires", b"1"))
        else:
            queue._unix = lambda: time.time() + 101
        await queue.tend(KEEP_S)
        assert await queue.claim(1, 9) is None
        assert await queue.counts("b1") == {EXPIRED: 2, WAITING: 1}
        await queue.answered(work, SUCCEEDED, b"late")
        await queue.tend(KEEP_S)
        assert [row.outcome for row in await queue.results("b1", -1, 9)] == [SUCCEEDED, EXPIRED, EXPIRED]


@pytest.mark.gen_test
async def test_an_owner_sees_its_own_the_latest_first(queues: Queues) -> None:
    async with queues(2) as (one, other):
        for n in range(4):
            mine = batch(f"b{n}", 1, owner=("ann", "bob")[n == 2], ago_s=9.0 - n)
            await one.add(mine, requests(1))
        assert [each.id for each in await other.listed("messages", "ann")] == ["b3", "b1", "b0"]
        assert await other.listed("openai", "ann") == [] == await one.listed("messages", "")


@pytest.mark.gen_test
async def test_files_are_kept_listed_and_deleted(queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_queue, "PIECE_BYTES", 10)
    async with queues(2) as (one, other):
        files = [File(f"file-{n}", "ann", 100.5 + n, "\u00e4.jsonl", "batch", 30 + n) for n in range(3)]
        for file in files:
            await one.add_file(file, bytes(range(file.size)))
        await one.add_file(File("file-9", "bob", 1.0, "x", "batch", 0), b"")
        assert await other.files("ann") == files[::-1] and await other.one_file("file-1") == files[1]
        assert await other.content("file-2") == bytes(range(32)) and await one.content("file-9") == b""
        await other.delete_file("file-1")
        assert await one.one_file("file-1") is None and await one.content("file-1") == b""
        assert await one.files("ann") == [files[2], files[0]]


# ------------------------------------------------------------------------------------------- of a fleet alone


async def lapse(queue: FleetQueue, *works: Work) -> None:
    """Their leases are over."""
    for work in works:
        member = b"%b %08d" % (work.batch.encode(), work.nth)
        await queue._ask(packed(b"ZADD", queue._key(b"held"), b"XX", b"1", member))


@pytest.mark.gen_test
async def test_hosts_share_the_work_and_the_bound(fleets: Queues) -> None:
    async with fleets(2) as (one, other):
        await one.add(batch("b1", 20), requests(20))
        assert await other.claim(0, 4) is not None and await one.claim(0, 4) is not None
        works = [await one.claim(1, 4), await one.claim(2, 4), await other.claim(1, 4), await other.claim(2, 4)]
        assert [work is not None for work in works] == [True, False, True, False], "each has its part"
        assert works[0] is not None and await other.answered(works[0], SUCCEEDED, b"x"), "anybody may answer"


@pytest.mark.gen_test
async def test_what_a_killed_host_had_claimed_is_claimed_again(fleets: Queues) -> None:
    async with fleets(3) as (killed, slow, other):
        await killed.add(batch("b1", 4), requests(4))
        lost = [await killed.claim(n, 6) for n in range(2)]
        held = [work for n in range(2) if (work := await slow.claim(n, 6)) is not None]
        assert len(held) == 2 and None not in lost
        await lapse(other, *lost, *held)
        await slow.keep(held)
        assert await other.claim(0, 99) is None, "it does not know for long enough that the others say nothing"
        other._clock = lambda: time.monotonic() + 2 * LEASE_S
        again = await claimed(other)
        assert again == lost, "those of the dead one, and none of the slow one"
        assert lost[0] is not None and await killed.answered(lost[0], SUCCEEDED, b"first"), "it was only cut off"
        assert not await other.answered(again[0], SUCCEEDED, b"second")
        for work in (*held, again[1]):
            assert await other.answered(work, SUCCEEDED, b"x")
        assert (await other.get("b1")).ended is not None
        assert [row.result for row in await other.results("b1", -1, 9)][lost[0].nth] == b"first"


@pytest.mark.gen_test
async def test_what_was_claimed_by_a_dead_host_ends_with_its_batch(fleets: Queues) -> None:
    async with fleets(2) as (killed, other):
        await killed.add(batch("b1", 3), requests(3))
        work = await killed.claim(0, 2)
        await killed.cancel("b1", time.time())
        assert await other.counts("b1") == {CANCELED: 2, WAITING: 1}
        await lapse(other, work)
        other._clock = lambda: time.monotonic() + 2 * LEASE_S
        assert await other.claim(0, 99) is None
        assert await other.counts("b1") == {CANCELED: 3} and (await other.get("b1")).ended is not None
        assert not await killed.answered(work, SUCCEEDED, b"late") and await other.counts("b1") == {CANCELED: 3}


@pytest.mark.gen_test
async def test_all_that_is_kept_has_an_end(fleets: Queues, redis_servers: Any, tmp_path: Path) -> None:
    async with fleets() as (queue,):
        await queue.add(batch("b1", 3), requests(3))
        await queue.add_file(File("file-1", "ann", 1.0, "x", "batch", 3), b"abc")
        works = await claimed(queue)
        await queue.keep(works)
        await queue.answered(works[0], SUCCEEDED, b"x")
        await queue.postpone(works[1], 5.0)
        names = await queue._ask(packed(b"KEYS", b"*%b*" % tmp_path.name.encode()))
        ends = {name: await queue._ask(packed(b"PTTL", name)) for name in names}
        assert len(ends) >= 13 and all(0 < left <= 86_400_000 for left in ends.values()), ends


@redis_server.needed
@pytest.mark.gen_test
async def test_a_server_that_is_not_made_for_batches_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for options, words in (
        (["--appendonly", "no", "--maxmemory-policy", "volatile-lru"], ["may forget", "volatile-lru"]),
        (["--appendonly", "yes"], []),
    ):
        caplog.clear()
        with redis_server.running(tmp_path, "", *options) as server:
            queue = FleetQueue(RedisStore(server.url, "p"), KEEP_S)
            for n in range(2):
                await queue.add(batch(f"b{n}", 1), requests(1))
            queue.close()
            await asyncio.sleep(0)
        said = [each.message for each in caplog.records if each.levelname == "WARNING"]
        assert len(said) == len(words) and all(word in line for word, line in zip(words, said, strict=True))


@redis_server.needed
@pytest.mark.gen_test
async def test_a_server_that_was_away_is_no_reason_to_take_over(tmp_path: Path) -> None:
    """Nobody could renew a lease. And what it has forgotten, it says."""
    with redis_server.running(tmp_path) as server:
        made = [FleetQueue(RedisStore(server.url, "p"), KEEP_S, lease_s=LEASE_S) for _ in range(2)]
        one, other = made
        await one.add(batch("b1", 1), requests(1))
        work = await one.claim(0, 1)
        assert work is not None and await other.claim(0, 1) is None
        await lapse(one, work)
        other._clock = lambda: time.monotonic() + 2 * LEASE_S
        server.call("SAVE")
        server.stop()
        with pytest.raises(ApiError, match="shared store"):
            await one.get("b1")
        server.start()
        assert await until_there(other) is None, "it has heard of nobody for as long as a lease lasts"
        other._clock = lambda: time.monotonic() + 4 * LEASE_S
        assert await other.claim(0, 1) == work
        assert await one.answered(work, SUCCEEDED, b"x")
        server.stop()
        (tmp_path / "dump.rdb").unlink()
        server.start()
        await until_there(one)
        assert await one.get("b1") is None and not await one.answered(work, SUCCEEDED, b"x")
        for queue in made:
            queue.close()
        await asyncio.sleep(0)


async def until_there(queue: Queue) -> Work | None:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(ApiError):
                return await queue.claim(0, 1)
            await asyncio.sleep(0.02)
