"""A server whose answers take longer than a request may wait for them: one in another region. What is not asked for a
request waits for them, and requests go on before they come."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.limits.budget import Bounds
from gateway.limits.rate_limit import Quota
from gateway.shared.gossip import Gossip
from gateway.shared.shared import Shared
from gateway.shared.shared_budgets import SharedBudgets
from gateway.shared.shared_quota import SharedQuota
from gateway.shared.store import Late, patiently
from tests.support import redis_server
from tests.support.redis_server import RedisServer, running
from tests.support.waiting import soon
from translate.failures.errors import ApiError

FAR_S, PATIENCE_S = 0.15, 0.05


@contextlib.asynccontextmanager
async def far(server: RedisServer) -> AsyncIterator[str]:
    """The URL of a way to the server on which each piece takes FAR_S there."""

    async def carries(source: asyncio.StreamReader, to: asyncio.StreamWriter, takes_s: float) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while piece := await source.read(65536):
                loop.call_later(takes_s, to.write, piece)
        to.close()

    async def comes(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection(server.socket)
        await asyncio.gather(carries(source, there[1], FAR_S), carries(there[0], to, 0.0))

    way = await asyncio.start_server(comes, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{way.sockets[0].getsockname()[1]}/0"
    finally:
        way.close()
        await asyncio.sleep(2 * FAR_S)  # what is on its way arrives


@redis_server.needed
@pytest.mark.gen_test
async def test_a_far_server_is_used_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(tmp_path) as server:
        async with far(server) as url:
            workers = [Shared(url, "t", None, PATIENCE_S) for _ in range(2)]
            await asyncio.gather(*(each.start() for each in workers))
            await soon(lambda: not any(each.away for each in workers))
            with pytest.raises(Late):
                await workers[0].store.put("k", b"v", 60.0)
            gossips = [Gossip(each, f"worker {n}", []) for n, each in enumerate(workers)]
            await asyncio.gather(*(each.rounds.start() for each in gossips))
            await soon(lambda: all(each.members == 2 for each in workers))
            assert (await patiently(workers[0].store.slots("s", "me", 2, 3, 60.0))).granted == 2

            quotas = [
                SharedQuota(each, "client:x", Quota(10, 0, time.monotonic(), is_promise=True)) for each in workers
            ]
            waits = [quotas[n % 2].take(0, time.monotonic()) for n in range(40)]
            let_through = [each if isinstance(each, float) else await each for each in waits]
            assert let_through.count(0.0) == 10
            await asyncio.gather(*(each.rounds.stop() for each in gossips))
            for each in workers:
                each.stop()
    said = [record.getMessage() for record in caplog.records if "patience" in record.getMessage()]
    assert len(said) == len(workers) and "the shared store took" in said[0]
    assert "is away" not in caplog.text


@redis_server.needed
@pytest.mark.gen_test
async def test_what_other_hosts_have_spent_is_known_a_request_later(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        async with far(server) as url:
            workers = [Shared(url, "t", None, PATIENCE_S) for _ in range(2)]
            await asyncio.gather(*(each.start() for each in workers))
            await soon(lambda: not any(each.away for each in workers))
            one, other = (SharedBudgets(each, f"host {n}", closed=False) for n, each in enumerate(workers))
            for each in (one, other):
                each.adopt({"ann": Bounds(usd_per_day=1.0)})
            unix = time.time()
            one.spends("ann", 2.0, 10, unix)
            await asyncio.sleep(2 * FAR_S)
            asked = other.ask("ann", unix)
            assert asked is not None and await asked is None
            other.check("ann", unix)  # the answer is still on its way

            def is_refused() -> bool:
                with contextlib.suppress(ApiError):
                    other.check("ann", unix)
                    return False
                return True

            await soon(is_refused)
            for each in workers:
                each.stop()


@redis_server.needed
@pytest.mark.gen_test
async def test_where_budgets_are_closed_a_request_waits_for_the_answer(tmp_path: Path) -> None:
    """Else a server that is far away would let nobody through who has a budget."""
    with running(tmp_path) as server:
        async with far(server) as url:
            shared = Shared(url, "t", None, PATIENCE_S)
            await shared.start()
            await soon(lambda: not shared.away)
            budgets, unix = SharedBudgets(shared, "host", closed=True), time.time()
            budgets.adopt({"ann": Bounds(usd_per_day=1.0, usd_per_month=9.0)})
            asked = budgets.ask("ann", unix)
            assert asked is not None and await asked is None
            budgets.check("ann", unix)
            shared.stop()
