"""What operators see of the cache: metrics and the dashboard."""

from __future__ import annotations

import json

from tests.gateway.cache.test_cache import KEEPS, ZERO, numbered
from tests.support.house import House
from tests.support.script import Upstream
from tests.support.two_upstreams import PATH, house_text

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


def test_nothing_of_it_where_it_is_off() -> None:
    with Upstream(numbered()) as up, House(house_text("* = a", a=up.url)) as house:
        assert b"proxy_cache_" not in house.get("/metrics")[2]
        assert json.loads(house.get("/dashboard/data/cache")[2])["replies"] is None
