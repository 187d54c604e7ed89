"""The short form of `python -m tests.fleet`: two hosts, a Redis that is killed and started again under load."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fleet import fleet as fleets
from tests.fleet.__main__ import redis_restart
from tests.fleet.load import Load, answer
from tests.support import redis_server
from tests.support.script import Upstream


@redis_server.needed
def test_a_redis_that_restarts_under_load_fails_no_request_and_no_limit(tmp_path: Path) -> None:
    client = "requests_per_minute = 100"
    with Upstream(answer) as up, fleets.running(tmp_path, up.url, workers=1, client=client) as fleet:
        load = Load([host.port for host in fleet.hosts], clients=6, pause_s=0.01)
        asyncio.run(load.run(0, lambda: redis_restart(fleet, 0.5), lambda: asyncio.sleep(0.5)))
    assert load.odd == [] and load.counts.keys() <= {"200", "429"}
    # Each alone would let 100 through; a busy machine's Redis answers too late now and then.
    assert 0 < load.counts["200"] <= 150, "one limit for both, before and after"
