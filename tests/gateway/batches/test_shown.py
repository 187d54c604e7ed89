"""What operators see of batches that the proxy runs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.gateway.batches.test_messages import echo, ended, requests, sdk
from tests.support.house import House
from tests.support.script import Gate, Upstream
from tests.support.two_upstreams import house_text, late


def test_its_progress_on_the_dashboard_and_in_metrics(tmp_path: Path) -> None:
    gate, more = Gate(), "[batches]\nconcurrent = 2\n"
    with Upstream(lambda request: late(echo(request), gate)) as up:
        with House(house_text("* = a", more, a=up.url), folder=tmp_path) as house, sdk(house) as client:
            made = client.messages.batches.create(requests=requests(5))
            up.wait(lambda u: len(u.requests) == 2)
            house.on_loop(house.proxy.service.batches.looks_anew)
            house.wait(lambda p: any(each["running"] for each in p.service.batches.progress))
            (row,) = json.loads(house.get("/dashboard/data/batches")[2])["batches"]
            assert (row["id"], row["total"], row["done"], row["running"]) == (made.id, 5, 0, 2)
            assert b"proxy_batch_requests_open 5.0" in house.get("/metrics")[2]
            gate.open()
            ended(client, made.id)
            house.wait(lambda p: not p.service.batches.progress)
            assert b'proxy_batch_requests_total{outcome="succeeded"} 5.0' in house.get("/metrics")[2]
