"""What operators see of the cache: metrics and the dashboard."""

from __future__ import annotations

import json

import pytest

from tests.gateway.cache.test_cache import KEEPS, ZERO, numbered
from tests.support.browser import Browser, needed
from tests.support.house import House
from tests.support.script import Upstream
from tests.support.two_upstreams import ASK, PATH, house_text

PRICES = "[prices]\na/m = 1, 3\n"


def test_hits_are_counted_apart_with_what_they_saved() -> None:
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS + PRICES, a=up.url)) as house:
        for _ in range(3):
            house.post(PATH, ZERO)
        lines = house.get("/metrics")[2].decode().splitlines()
        for line in (
            'proxy_cache_requests_total{outcome="hit"} 2.0',
            'proxy_cache_requests_total{outcome="miss"} 1.0',
            'proxy_cache_saved_tokens_total{outcome="hit",type="output"} 2.0',
            'proxy_cache_saved_usd_total{outcome="hit"} 8e-06',
            "proxy_cache_entries 1.0",
        ):
            assert line in lines, line
        house.wait(lambda p: not p.service.flows)
        replies = json.loads(house.get("/dashboard/data/cache")[2])["replies"]
        assert (replies["hit"], replies["hit_tokens"], replies["miss"], replies["entries"]) == (2, 4, 1, 1)


def test_the_dashboard_counts_them_apart_from_what_upstreams_have_answered() -> None:
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS + PRICES, a=up.url)) as house:
        for _ in range(3):
            house.post(PATH, ZERO)
        house.post(PATH, ASK)
        house.wait(lambda p: not p.service.flows)
        usage = json.loads(house.get("/dashboard/data/usage")[2])
        for row in (*usage["models"], *usage["clients"]):
            assert (row["requests"], row["kept"], row["saved_tokens"], row["unpriced"]) == (4, 2, 4, 0)
            assert (row["saved"], row["cost"]) == (pytest.approx(8e-6), pytest.approx(8e-6))
        (upstream,) = json.loads(house.get("/dashboard/data/upstreams")[2])["upstreams"]
        assert upstream["tries"] == 2, "it was asked for no more"
        rows = json.loads(house.get("/dashboard/data/requests")[2])["requests"]
        assert sorted(((row["kept"], row["saved"]) for row in rows), key=str) == [
            ("bypass", None), ("hit", 4e-6), ("hit", 4e-6), ("miss", None)
        ]  # fmt: skip


@needed
def test_and_shows_it() -> None:
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS + PRICES, a=up.url)) as house, Browser() as page:
        for _ in range(3):
            house.post(PATH, ZERO)
        page.open(f"{house.url}/dashboard")
        page.wait("return document.querySelectorAll('#replies-rows tr').length === 4")
        page.wait("return document.querySelectorAll('#request-rows tr[data-key^=req]').length === 3")
        hit, coalesced, *_ = page.text("#replies-rows").splitlines()
        assert hit.split("(hit)")[1].split() == ["2", "66.7", "%", "4", "$0.0000080"]
        assert coalesced.split("(coalesced)")[1].split()[:2] == ["0", "0"]
        assert page.text("#request-rows").count("hit, $0.0000040 saved") == 2
        assert "2, $0.0000080 saved" in page.text("#model-rows")
        assert page.complaints() == []


def test_nothing_of_it_where_it_is_off() -> None:
    with Upstream(numbered()) as up, House(house_text("* = a", a=up.url)) as house:
        assert b"proxy_cache_" not in house.get("/metrics")[2]
        assert json.loads(house.get("/dashboard/data/cache")[2])["replies"] is None
