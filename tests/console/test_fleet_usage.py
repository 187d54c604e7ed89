"""What the hosts of a fleet have spent together: each host's sums are there once, whatever became of the store."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from console import fleet_usage, usage
from console.books import Books
from console.dashboard import spent
from console.dashboard.spent import SpentQuery
from console.fleet_usage import FleetUsage
from gateway.shared.memory_store import MemoryStore
from gateway.shared.shared import Shared
from operate.usage_store import Sum, SumKey, UsageStore
from tests.console.test_usage import SETTINGS, record
from tests.support import redis_server
from tests.support.redis_server import RedisServer
from tests.support.waiting import soon

pytestmark = redis_server.needed

NOW = time.time()
DAY, HOUR = (time.strftime(form, time.gmtime(NOW)) for form in ("%Y-%m-%d", "%Y-%m-%dT%H"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server.running(tmp_path) as one:
        yield one


@contextlib.asynccontextmanager
async def hosts(server: RedisServer, folder: Path, *names: str) -> AsyncIterator[list[Books]]:
    """One Books with a file of its own for each name; the same name twice: two workers of a host."""
    made = []
    for name in names:
        shared = Shared(server.url, "p", None, patience_s=10)
        await shared.start()
        made.append((Books(UsageStore(folder / name), 9, lambda: NOW, fleet=FleetUsage(shared)), shared))
        made[-1][0].start()
    try:
        yield [books for books, _ in made]
    finally:
        for books, shared in made:
            await books.stop()
            shared.stop()
        await asyncio.sleep(0)


def tick(*books: Books) -> None:
    for each in books:
        assert each._timer is not None
        each._timer.cancel()
        each._tick()


async def known(books: Books, *by: str) -> dict[tuple[str, ...], Sum]:
    assert books.fleet is not None
    return dict((await books.fleet.read(DAY, DAY)).read(DAY, DAY, by))


async def requests(books: Books) -> int:
    return sum(each.requests for each in (await known(books)).values())


@pytest.mark.gen_test
async def test_the_sums_of_all_hosts(server: RedisServer, tmp_path: Path) -> None:
    async with hosts(server, tmp_path, "one", "one", "two") as (one, same, two):
        for n, books in enumerate((one, same, two)):
            for client in ("ann", "bob")[: 1 + n % 2]:
                books.finished(record(time=NOW, client=client, session=f"s{n}"))
        tick(one, same, two)
        await soon(functools.partial(_is, one, 4))
        by_client = await known(two, "client")
        assert {group: each.requests for group, each in by_client.items()} == {("ann",): 3, ("bob",): 1}
        whole = (await known(one))[()]
        assert (whole.input, whole.cache_read, whole.output, round(whole.usd, 6)) == (24, 16, 8, 0.56)
        by_host = await known(two, "host")
        assert sorted(each.requests for each in by_host.values()) == [1, 3], "two workers are one host"
        assert one.fleet is not None
        by_hour = (await one.fleet.read(HOUR, HOUR)).read(HOUR, HOUR, ["hour", "client"])
        assert {group: each.requests for group, each in by_hour} == {(HOUR, "ann"): 3, (HOUR, "bob"): 1}
        with pytest.raises(ValueError, match="session"):
            await known(one, "session")


async def _is(books: Books, value: int) -> bool:
    return await requests(books) == value


@pytest.mark.gen_test
async def test_nothing_is_lost_and_nothing_counts_twice_when_the_store_goes_away(
    server: RedisServer, tmp_path: Path
) -> None:
    """It comes back with no memory: this server keeps nothing on disk."""
    async with hosts(server, tmp_path, "one", "two") as both:
        for round in range(3):
            for books in both:
                books.finished(record(time=NOW))
            tick(*both)
            await soon(functools.partial(_is, both[0], 4 * round + 2))
            server.stop()
            for books in both:
                books.finished(record(time=NOW))
            tick(*both)
            await asyncio.sleep(0.05)  # they try in vain
            server.start()

            async def told(all: int = 4 * round + 4) -> bool:
                tick(*both)
                with contextlib.suppress(ConnectionError):
                    return await requests(both[0]) == all
                return False

            await soon(told)
        tick(*both)
        await asyncio.sleep(0.1)  # nothing counts twice
        assert await requests(both[0]) == 12


@pytest.mark.gen_test
async def test_what_was_not_told_before_the_end_is_told_at_the_next_start(server: RedisServer, tmp_path: Path) -> None:
    store = UsageStore(tmp_path / "one")
    killed = Books(store, 9, lambda: NOW)
    killed.finished(record(time=NOW))
    await killed.stop()
    async with hosts(server, tmp_path, "one") as (one,):
        tick(one)
        await soon(functools.partial(_is, one, 1))
        one.finished(record(time=NOW))
    async with hosts(server, tmp_path, "two") as (two,):
        assert await requests(two) == 2, "the last sums are told at the end"


@pytest.mark.gen_test
async def test_one_worker_of_a_host_tells_what_is_old(server: RedisServer, tmp_path: Path) -> None:
    days = [time.strftime("%Y-%m-%d", time.gmtime(NOW - ago * 86_400)) for ago in (4, 1, 0)]
    store = UsageStore(tmp_path / "one")
    store.add({SumKey(day, "ann", "m", "s", "", "", f"{day}T00"): Sum(1) for day in days})
    for tells_old, known_days in ((False, days[1:]), (True, days)):
        async with hosts(server, tmp_path, "one") as (one,):
            assert one.fleet is not None
            one.fleet.tells_old = tells_old
            tick(one)
            await soon(functools.partial(_has_days, one, known_days))


async def _has_days(books: Books, days: list[str]) -> bool:
    assert books.fleet is not None
    sums = await books.fleet.read(time.strftime("%Y-%m-%d", time.gmtime(NOW - 9 * 86_400)), DAY)
    return sorted(day for (day,), _ in sums.read("0", "9", ["day"])) == days


@pytest.mark.gen_test
async def test_a_file_that_begins_anew_is_another_host(server: RedisServer, tmp_path: Path) -> None:
    for _ in range(2):
        async with hosts(server, tmp_path, "one") as (one,):
            one.finished(record(time=NOW))
        for file in tmp_path.glob("one*"):
            file.unlink()
    async with hosts(server, tmp_path, "two") as (two,):
        assert await requests(two) == 2 and len(await known(two, "host")) == 2


@pytest.mark.gen_test
async def test_sums_have_an_end(server: RedisServer, tmp_path: Path) -> None:
    async with hosts(server, tmp_path, "one") as (one,):
        one.finished(record(time=NOW))
    for period, days in ((DAY, 10), (HOUR, 9)):
        left_s = int(server.call("TTL", f"{{p}}:usage:{period}").removeprefix(":"))
        assert days * 86_400 - 60 < left_s <= days * 86_400


@pytest.mark.gen_test
async def test_the_command_and_the_dashboard_tell_of_all_hosts(
    server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with hosts(server, tmp_path, "one", "two") as (one, two):
        for books in (one, two, two):
            books.finished(record(time=NOW, session="s"))
        tick(one, two)
        await soon(functools.partial(_is, one, 3))
        said = await spent.shown(one.store, SpentQuery(24, "client", NOW), one.fleet)
        assert said["whole"]["requests"] == 3 and len(said["hosts"]) == 2 and said["lines"][0]["requests"][-1] == 3
        said = await spent.shown(one.store, SpentQuery(24, "session", NOW), one.fleet)
        assert said["whole"]["requests"] == 1 and "their host alone" in said["missing"]
        file = tmp_path / "settings.ini"
        mine = f"[shared]\nurl = {server.url}\nprefix = p\n[logging]\ndir = {tmp_path}\n[usage]\nfile = one\n"
        file.write_text(SETTINGS.format("http://127.0.0.1:9") + mine)

        async def told(*more: str) -> tuple[Any, str]:
            words = ["--config", str(file), "--json", "--since", "1d", *more]
            assert await asyncio.to_thread(usage.main, words) == 0
            out, err = capsys.readouterr()
            return [row["requests"] for row in json.loads(out)], err

        numbers, whose = await told("--by", "client")
        assert numbers == [3] and "All hosts: " in whose and whose.count(",") == 1
        assert sorted((await told("--by", "host,hour"))[0]) == [1, 2]
        assert await told("--by", "client", "--host") == ([1], "")
        numbers, whose = await told("--by", "session")
        assert numbers == [1] and "This host alone (session" in whose
        server.stop()
        said = await spent.shown(one.store, SpentQuery(24, "client", NOW), one.fleet)
        assert said["whole"]["requests"] == 1 and "away" in said["missing"] and said["hosts"] == []
    usage.PATIENCE_S, before = 0.1, usage.PATIENCE_S
    try:
        numbers, whose = await told("--by", "client")
    finally:
        usage.PATIENCE_S = before
    assert numbers == [1] and "This host alone (the shared store is away" in whose


def test_periods_are_days_or_hours() -> None:
    assert list(fleet_usage._periods("2026-02-27", "2026-03-01", by_hour=False)) == [
        "2026-02-27", "2026-02-28", "2026-03-01"
    ]  # fmt: skip
    assert list(fleet_usage._periods("2026-02-28T22", "2026-03-01T01", by_hour=True)) == [
        "2026-02-28T22", "2026-02-28T23", "2026-03-01T00", "2026-03-01T01"
    ]  # fmt: skip
    assert len(list(fleet_usage._periods("2026-02-28", "2026-03-01", by_hour=True))) == 48


@pytest.mark.gen_test
async def test_a_host_of_another_release_has_other_sums(tmp_path: Path) -> None:
    """A fleet is upgraded host by host: one may lack the last fields of a sum, or have further ones."""
    store = MemoryStore()
    rows = {
        f'["{host}","ann","m","s"]': row for host, row in (("old", (2.0, 1.0)), ("new", (*map(float, range(1, 12)),)))
    }
    await store.raise_totals(f"usage:{DAY}", rows, 60)
    found = await fleet_usage.read(store, DAY, DAY)
    assert dict(found.read(DAY, DAY, ["host"])) == {("old",): Sum(2, 1), ("new",): Sum(1, 2, 3, 4, 5, 6, 7.0, 8)}
