"""A key that expires: one run at a time, anew before its end and after a refusal, no storm of runs after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.credentials.minted import EARLIEST_S, RETRY_S, Mint, Minted, NoKey
from gateway.limits.retry_policy import Unasked


class Source:
    """Gives out key 1, key 2, ... once `gate` is set. lives: for how many seconds each says that it lives."""

    def __init__(self, lives: float | None = None) -> None:
        self.now = 1000.0
        self.runs = 0
        self.lives = lives
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = ""
        self.told: list[str] = []
        self.mint = Mint("up", "cmd:x", self.make, 100.0, lambda: self.now, lambda: self.now)
        self.mint.on_new = lambda minted: self.told.append(minted.key)

    async def make(self) -> Minted:
        self.runs += 1
        await self.gate.wait()
        if self.fails:
            raise NoKey(f"log: {self.fails}", self.fails)
        return Minted(f"key {self.runs}", None if self.lives is None else self.now + self.lives)

    async def key(self) -> str:
        return (await self.mint.have()).key


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(_as_coroutine(test), 10))


async def _as_coroutine(test: Callable[[], Awaitable[None]]) -> None:
    await test()


def test_all_who_wait_share_one_run() -> None:
    async def test() -> None:
        source = Source()
        source.gate.clear()
        waiting = [asyncio.ensure_future(source.key()) for _ in range(20)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # one client leaves: the others still get the key
        source.gate.set()
        assert set(await asyncio.gather(*waiting[1:])) == {"key 1"} and source.runs == 1
        assert await source.key() == "key 1" and source.runs == 1 and source.told == ["key 1"]

    run(test)


@pytest.mark.parametrize(("lives", "early"), [(None, 25.0), (40.0, 10.0), (36_000.0, EARLIEST_S)])
def test_the_next_key_is_made_before_the_end_and_nobody_waits_for_it(lives: float | None, early: float) -> None:
    async def test() -> None:
        source = Source(lives)
        await source.key()
        life = lives or 100.0
        source.now += life - early - 1
        assert source.mint.is_ready() and source.runs == 1
        source.now += 2
        source.gate.clear()
        assert source.mint.is_ready() and await source.key() == "key 1"
        await asyncio.sleep(0)
        assert source.mint.is_ready() and source.runs == 2
        source.gate.set()
        while not source.told[1:]:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await source.key() == "key 2" and source.runs == 2

    run(test)


def test_a_key_that_is_over_is_not_used() -> None:
    async def test() -> None:
        source = Source()
        await source.key()
        source.now += 100.0
        assert not source.mint.is_ready() and await source.key() == "key 2"

    run(test)


def test_a_source_that_says_the_end_is_past_is_not_run_for_each_request() -> None:
    async def test() -> None:
        source = Source(-50.0)
        assert [await source.key() for _ in range(5)] == ["key 1"] * 5

    run(test)


def test_after_a_failure_nobody_asks_again_for_a_while() -> None:
    async def test() -> None:
        source = Source()
        source.fails = "it did not end"
        for _ in range(5):
            with pytest.raises(Unasked, match="upstream 'up' cannot be asked: it did not end; the proxy's log") as why:
                await source.key()
            assert (why.value.status, source.runs) == (503, 1) and why.value.retry_after is not None
        source.now += RETRY_S
        source.fails = ""
        assert await source.key() == "key 2"

    run(test)


def test_a_key_outlives_a_failure_to_renew_it() -> None:
    async def test() -> None:
        source = Source()
        await source.key()
        source.fails, source.now = "no", source.now + 80
        for _ in range(3):
            assert await source.key() == "key 1"
            await asyncio.sleep(0.001)
        assert source.runs == 2
        source.now += 19
        assert source.mint.is_ready()

    run(test)


def test_a_refused_key_is_had_anew_unless_it_is_fresh() -> None:
    async def test() -> None:
        source = Source()
        first = await source.mint.have()
        assert not source.mint.refused(first), "it was just made: another one would be no better"
        source.now += RETRY_S
        assert source.mint.refused(first) and not source.mint.is_ready()
        assert await source.key() == "key 2"
        assert source.mint.refused(first), "who was sent with the old one may use the new one"
        assert source.mint.is_ready() and source.runs == 2

    run(test)


def test_a_clock_that_is_set_back_does_not_keep_a_key_that_is_refused() -> None:
    """By the clock of the day the key is younger than nothing for an hour, and is never made anew."""

    async def test() -> None:
        unix = 1_800_000_000.0
        source = Source()
        source.mint = Mint("up", "cmd:x", source.make, 100.0, lambda: source.now, lambda: unix)
        assert await source.key() == "key 1"
        source.now, unix = source.now + RETRY_S, unix - 3600.0
        assert source.mint.refused(source.mint.minted)
        assert await source.key() == "key 2"

    run(test)


def test_an_end_that_the_source_tells_is_by_the_clock_of_the_day() -> None:
    async def test() -> None:
        unix, source = 1_800_000_000.0, Source()

        async def make() -> Minted:
            source.runs += 1
            return Minted(f"key {source.runs}", unix + 50.0)

        source.mint = Mint("up", "cmd:x", make, 100.0, lambda: source.now, lambda: unix)
        assert await source.key() == "key 1"
        source.now += 49.0
        assert source.mint.is_ready()
        source.now += 2.0
        assert not source.mint.is_ready()
        await source.key()

    run(test)
