"""The cache of several processes: replies that one keeps are found by all, and one asks for all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cache import fleet
from gateway.cache.fleet import Fleet, packed, unpacked
from gateway.cache.question import Kept, Source
from gateway.shared.shared import Shared
from tests.gateway.cache.test_cache import KEEPS, ZERO, numbered, what
from tests.gateway.cache.test_coalescing import clients
from tests.support.house import House
from tests.support.script import Answer, Gate, Upstream
from tests.support.two_upstreams import PATH, error, house_text, late, said, says, streams
from translate.conversation import Usage

BOTH = "[cache]\nmodels = *\ncoalesce = *\n"
STREAM = ZERO | {"stream": True}


@contextlib.contextmanager
def two(text: str, tmp_path: Path) -> Iterator[tuple[House, House]]:
    """Two processes with one store."""
    with House(text) as one, House(text) as other:
        for house in (one, other):
            house.on_loop(lambda house=house: shares(house, tmp_path / "shared.sqlite3"))
        yield one, other
        for house in (one, other):
            house.on_loop(house.proxy.service.cache.fleet._shared.stop)  # type: ignore[union-attr]


def shares(house: House, file: Path) -> None:
    cache: Any = house.proxy.service.cache
    cache.fleet = Fleet(Shared("", "test", file))
    cache.fleet._shared.store._patience_s = 5.0  # a busy machine is no store that is away


@pytest.mark.parametrize("ask", [ZERO, STREAM])
def test_what_one_keeps_the_other_gives(ask: dict[str, Any], tmp_path: Path) -> None:
    with Upstream(numbered()) as up, two(house_text("* = a", KEEPS, a=up.url), tmp_path) as (one, other):
        first = one.post(PATH, ask)
        one.wait(lambda p: not p.service.cache.fleet._writing and not p.service.flows)
        second = other.post(PATH, ask | {"user": "u"})
        assert what(second) == "hit" and len(up.requests) == 1
        assert second[2] == one.post(PATH, ask)[2] and what(first) == "miss"
        assert int(second[1]["age"]) >= 0


@pytest.mark.parametrize("settings", [BOTH, "[cache]\ncoalesce = *\n"])
@pytest.mark.parametrize("ask", [ZERO, STREAM])
def test_one_asks_for_all(ask: dict[str, Any], settings: str, tmp_path: Path) -> None:
    gate = Gate()
    answer = Answer.sse(streams("a")) if ask is STREAM else says("a")
    with Upstream([late(answer, gate)]) as up, two(house_text("* = a", settings, a=up.url), tmp_path) as (one, other):
        with clients(one, 2) as here, clients(other, 2) as there:
            for client in here:
                client.send("POST", PATH, ask)
            up.wait(lambda u: len(u.requests) == 1)
            one.wait(lambda p: p.service.cache.told["coalesced"] == 1)
            for client in there:
                client.send("POST", PATH, ask)
            other.wait(lambda p: len(p.service.flows) == 2)
            gate.open()
            replies = [client.reply() for client in here + there]
            assert [said(reply) for reply in replies] == ["a"] * 4 and len(up.requests) == 1
            assert [what(reply) for reply in replies].count("miss") == 1
        for house in (one, other):
            house.wait(lambda p: not p.service.flows and not p.service.cache.fleet._held)


def test_where_the_one_fails_another_asks(tmp_path: Path) -> None:
    gate = Gate()
    text = "[cache]\ncoalesce = *\n[retry]\nmax_attempts = 1\n"
    with Upstream([late(error(500), gate), says("b")]) as up:
        with two(house_text("* = a", text, a=up.url), tmp_path) as (one, other):
            with clients(one, 1) as (here,), clients(other, 1) as (there,):
                here.send("POST", PATH, ZERO)
                up.wait(lambda u: len(u.requests) == 1)
                there.send("POST", PATH, ZERO)
                other.wait(lambda p: len(p.service.flows) == 1)
                gate.open()
                assert here.reply()[0] == 500 and said(there.reply()) == "b"


def test_a_lease_whose_holder_is_gone_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "LEASE_S", 0.3)
    monkeypatch.setattr(Fleet, "_hold", lambda self, key: None)  # it is heard of no more
    gate = Gate()
    with Upstream([late(says("a"), gate), says("b")]) as up:
        with two(house_text("* = a", "[cache]\ncoalesce = *\n", a=up.url), tmp_path) as (one, other):
            with clients(one, 1) as (here,), clients(other, 1) as (there,):
                here.send("POST", PATH, ZERO)
                up.wait(lambda u: len(u.requests) == 1)
                there.send("POST", PATH, ZERO)
                assert said(there.reply()) == "b"
                gate.open()
                assert said(here.reply()) == "a"


def test_a_store_that_is_away_holds_nobody_up(tmp_path: Path) -> None:
    with Upstream(numbered()) as up, House(house_text("* = a", BOTH, a=up.url)) as house:

        def away() -> None:
            cache: Any = house.proxy.service.cache
            cache.fleet = Fleet(Shared("redis://127.0.0.1:9/0", "test", None))

        house.on_loop(away)
        assert [what(house.post(PATH, ZERO)) for _ in range(2)] == ["miss", "hit"]
        assert house.on_loop(lambda: house.proxy.service.cache.fleet._shared.fallbacks) > 0  # type: ignore[union-attr]
        house.on_loop(house.proxy.service.cache.fleet._shared.stop)  # type: ignore[union-attr]


def test_a_reply_is_read_as_it_was_written() -> None:
    used = Usage(input=1, cache_read=2, cache_write=3, output=4, reasoning=5)
    kept = Kept(Source("a", "chat", "m", ("top_k",)), True, b"data: \n\nx", 12.5, used, 0.25)
    assert unpacked(packed(kept)) == kept and unpacked(b"other") is None
