"""The first request of a process finds it ready: it knows what the other workers and hosts know."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from gateway.runtime import Service
from tests.support.house import House, one_upstream

NOT_YET_S = 0.3


def test_no_request_is_served_before_the_limits_of_all_workers_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each new worker begins with all of an upstream's slots, with keys that rest, and with spent budgets."""
    knows, goes_on = threading.Event(), threading.Event()
    start = Service.start

    async def slow(service: Service) -> None:
        await start(service)
        knows.set()
        await asyncio.to_thread(goes_on.wait, 10)

    monkeypatch.setattr(Service, "start", slow)
    with ThreadPoolExecutor() as pool:
        house = House(one_upstream("http://127.0.0.1:9", "chat"))
        entered = pool.submit(house.__enter__)
        try:
            assert knows.wait(10)
            asked = pool.submit(house.get, "/healthz")
            assert not wait([asked], NOT_YET_S).done  # it waits, and is not refused
            goes_on.set()
            assert asked.result(10)[0] == 200
        finally:
            goes_on.set()
            entered.result(10)
            house.__exit__()
