"""What every shared store does, whichever it is: values, bounds, sums, slots and feeds."""

from __future__ import annotations

import asyncio

import pytest

from gateway.limits.gcra import Level
from gateway.shared.store import Cell, digest
from tests.gateway.shared.conftest import Stores

BINARY = bytes(range(256)) + b"\r\n$3\r\n"


@pytest.mark.gen_test
async def test_a_value_is_there_for_all_until_its_time_is_over(stores: Stores) -> None:
    async with stores(2) as (one, other):
        assert await one.get("a") is None
        assert await one.put("a", BINARY, 60)
        assert await other.get("a") == BINARY
        assert await one.put("a", b"", 60), "another value takes its place, an empty one too"
        assert await other.get("a") == b""
        assert await one.put("short", b"x", 0.02)
        await asyncio.sleep(0.05)
        assert await other.get("short") is None


@pytest.mark.gen_test
async def test_a_lease_has_one_holder(stores: Stores) -> None:
    async with stores(4) as each:
        got = await asyncio.gather(*(store.put("lease", b"%d" % n, 60, absent=True) for n, store in enumerate(each)))
        assert sum(got) == 1
        holder = got.index(True)
        other = (holder + 1) % 4
        assert await each[holder].get("lease") == b"%d" % holder
        assert not await each[other].extend("lease", b"%d" % other, 60)
        assert not await each[other].delete("lease", b"%d" % other)
        assert await each[holder].extend("lease", b"%d" % holder, 60)
        assert await each[holder].delete("lease", b"%d" % holder)
        assert not await each[holder].extend("lease", b"%d" % holder, 60), "it is gone"
        assert await each[other].put("lease", b"next", 0.02, absent=True)
        await asyncio.sleep(0.05)
        assert await each[holder].put("lease", b"again", 60, absent=True), "a holder that died loses it"
        assert await each[holder].delete("lease")
        assert not await each[holder].delete("lease")


@pytest.mark.gen_test
async def test_of_four_workers_a_bound_of_100_lets_100_through(stores: Stores) -> None:
    async with stores(4) as each:
        cells = [Cell("bound", 100, 1, 60.0)]
        taken = await asyncio.gather(*(store.take(cells) for store in each for _ in range(50)))
        waits = [one.wait_s for one in taken]
        assert waits.count(0.0) == 100
        assert all(59 < wait <= 61 for wait in waits if wait), "the next one comes when the minute is over"


@pytest.mark.gen_test
async def test_a_pace_flows_in_at_once(stores: Stores) -> None:
    async with stores(1) as (store,):
        cells = [Cell("pace", 60, 60)]
        assert (await store.take(cells)).wait_s == 0.0
        assert 0.9 < (await store.take([Cell("pace", 60, 1)])).wait_s <= 1.0
        assert 0.4 < (await store.take([Cell("pace", 60, 0.5)])).wait_s <= 0.5


@pytest.mark.gen_test
async def test_all_cells_are_charged_or_none(stores: Stores) -> None:
    async with stores(1) as (store,):
        both = [Cell("requests", 10, 1), Cell("tokens", 1000, 900)]
        assert (await store.take(both)).wait_s == 0.0
        refused = await store.take(both)
        assert refused.wait_s == pytest.approx(48, abs=1), "800 tokens lack"
        assert refused.levels[0].full == pytest.approx(6, abs=0.5), "the request was not charged"
        assert (await store.charge([Cell("tokens", 1000, -900)])).wait_s == 0.0
        assert (await store.take(both)).wait_s == 0.0
        debt = await store.charge([Cell("tokens", 1000, 1900)])
        assert debt.wait_s == 0.0 and debt.levels[0].full == pytest.approx(168, abs=1)
        assert (await store.take([Cell("tokens", 1000, 5000)])).wait_s == pytest.approx(168, abs=1)
        # More than a minute's worth waits for a full bucket, and then leaves a debt.
        assert (await store.take([Cell("large", 1000, 5000)])).wait_s == 0.0
        assert (await store.take([Cell("large", 1000, 1)])).wait_s == pytest.approx(240, abs=1)


@pytest.mark.gen_test
async def test_a_store_that_began_anew_goes_on_from_what_the_asker_knows(stores: Stores) -> None:
    async with stores(2) as (one, other):
        known = Level(30.0, 0.0)
        assert (await one.take([Cell("known", 60, 40, 0.0, known)])).wait_s == pytest.approx(10, abs=0.5)
        assert (await one.take([Cell("known", 60, 20, 0.0, known)])).wait_s == 0.0
        assert (await one.take([Cell("known", 60, 1, 0.0, Level(99.0, 0.0))])).wait_s == 0.0, "it knows better"
        assert (await one.charge([Cell("known", 60, -1)])).wait_s == 0.0
        assert (await one.take([Cell("full", 60, 40, 0.0, known)])).wait_s > 0
        assert (await other.take([Cell("full", 60, 40)])).wait_s > 0, "also where it had to refuse the first one"
        said = await other.take([Cell("known", 60, 20)])
        assert said.wait_s == pytest.approx(10, abs=1), "the others have it from the store"
        assert said.levels[0].full == pytest.approx(50, abs=1)


@pytest.mark.gen_test
async def test_sums_add_up_in_all_stores(stores: Stores) -> None:
    async with stores(2) as (one, other):
        assert await one.add("sums", {}, 60) == {}
        assert await one.add("sums", {"usd": 0.25, "tokens": 10}, 60) == {"usd": 0.25, "tokens": 10}
        assert await other.add("sums", {"usd": 0.5}, 60) == {"usd": 0.75, "tokens": 10}
        assert await one.add("sums", {}, 60) == {"usd": 0.75, "tokens": 10}
        least = {"usd": 0.5, "tokens": 40.0, "new": 3.0}
        assert await one.add("sums", {"usd": 1.0}, 60, at_least=least) == {"usd": 1.75, "tokens": 40, "new": 3.0}
        assert await one.add("brief", {"n": 1}, 0.02) == {"n": 1}
        await asyncio.sleep(0.05)
        assert await one.add("brief", {"n": 1}, 60) == {"n": 1}, "what has expired begins with nothing"


@pytest.mark.gen_test
async def test_slots_are_never_more_than_the_limit(stores: Stores) -> None:
    async with stores(3) as (one, two, three):
        assert await one.slots("s", "one", 6, 10, 60) == (6, 0)
        assert await two.slots("s", "two", 6, 10, 60) == (4, 0)
        assert await three.slots("s", "three", 2, 10, 60) == (0, 2)
        assert await one.slots("s", "one", 3, 10, 60) == (3, 4), "it hears that two others lack four"
        assert await three.slots("s", "three", 2, 10, 60) == (2, 2)
        assert await two.slots("s", "two", 0, 10, 60) == (0, 0)
        assert await one.slots("s", "one", 9, 10, 0.02) == (8, 0)
        await asyncio.sleep(0.05)
        assert await two.slots("s", "two", 9, 10, 60) == (8, 0), "one is dead, and its slots are free"


@pytest.mark.gen_test
async def test_a_feed_is_followed(stores: Stores) -> None:
    async with stores(2) as (one, other):
        assert (await other.news("f")).changes == []
        await one.publish("f", "a", b"1", 60)
        await one.publish("f", "b", BINARY, 60)
        await one.publish("other", "c", b"3", 60)
        first = await other.news("f")
        assert [(change.key, change.value) for change in first.changes] == [("a", b"1"), ("b", BINARY)]
        assert all(59 < change.left_s <= 60 for change in first.changes)
        assert (await other.news("f", first.version)).changes == []
        await one.publish("f", "a", b"2", 60)
        second = await other.news("f", first.version)
        assert [(change.key, change.value) for change in second.changes] == [("a", b"2")]
        await one.publish("f", "b", b"", 60)
        third = await other.news("f", second.version)
        assert [(change.key, change.value) for change in third.changes] == [("b", b"")], (
            "followers hear that it is gone"
        )
        assert [change.key for change in (await other.news("f")).changes] == ["a"], "newcomers need not"
        assert [change.key for change in (await other.news("f", third.version + 1_000)).changes] == ["a"]


@pytest.mark.gen_test
async def test_what_has_expired_is_no_news(stores: Stores) -> None:
    async with stores(1) as (store,):
        await store.publish("f", "brief", b"1", 0.02)
        await store.publish("f", "long", b"1", 60)
        await asyncio.sleep(0.05)
        assert [change.key for change in (await store.news("f")).changes] == ["long"]


@pytest.mark.gen_test
async def test_odd_keys_and_many_at_once(stores: Stores) -> None:
    async with stores(2) as (one, other):
        keys = ["a b", "a:b", "ä\ud800", "{x}", "\r\n", "%d", *(f"k{n}" for n in range(200))]
        await asyncio.gather(*(one.put(key, key.encode("utf-8", "surrogatepass"), 60) for key in keys))
        found = await asyncio.gather(*(other.get(key) for key in keys))
        assert found == [key.encode("utf-8", "surrogatepass") for key in keys]


def test_a_digest_tells_words_apart() -> None:
    assert digest("ab", "c") != digest("a", "bc") != digest("abc")
    assert digest("ab", b"c") == digest(b"ab", "c")


@pytest.mark.gen_test
async def test_totals_only_grow_however_often_they_are_told(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stores(2) as (one, other):
        assert await one.totals("t") == {}
        first, second = (1.0, 0.1 + 0.2, 5.0), (3.0, 1e-9, 2.0**53)
        assert await one.raise_totals("t", {"a": first, 'b "\n': first}, 60) == 2
        assert await other.raise_totals("t", {"a": second}, 60) == 2
        assert await one.raise_totals("t", {"a": first, 'b "\n': first}, 60) == 2, "late, and twice"
        assert await other.totals("t") == {"a": second, 'b "\n': first}
        await one.raise_totals("short", {"a": first}, 0.02)
        await asyncio.sleep(0.05)
        assert await other.totals("short") == {}
        await one.raise_totals("short", {"a": first}, 60)
        await other.raise_totals("short", {"a": second}, 0.02)
        await asyncio.sleep(0.05)
        assert await one.totals("short") == {"a": second}, "they live as long as whoever told of them first asked for"
        for kind in ("memory_store", "sqlite_store", "redis_store"):
            monkeypatch.setattr(f"gateway.shared.{kind}.MOST_TOTALS", 3)
        assert await one.raise_totals("t", dict.fromkeys("abcd", second), 60) == 3
        assert set(await one.totals("t")) == {"a", 'b "\n', "b"} and (await one.totals("t"))["a"] == second
