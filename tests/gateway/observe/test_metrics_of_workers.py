"""/metrics of several processes: whichever is asked tells of all of them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from tests.support.house import Client
from tests.support.waiting import until
from tests.test_proxy import DEMO, started

ASKED = {"model": "demo", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}


def page(url: str) -> dict[str, dict[str, float]]:
    """sample -> worker -> the sum of its series."""
    with Client(urlsplit(url).port or 0) as client:
        client.send("GET", "/metrics")
        status, _, body = client.reply()
    assert status == 200, body
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            by_worker = found.setdefault(sample.name, {})
            worker = sample.labels.get("worker", "")
            by_worker[worker] = by_worker.get(worker, 0) + sample.value
    return found


def post(url: str) -> None:
    with Client(urlsplit(url).port or 0) as client:
        client.send("POST", "/v1/messages", ASKED)
        assert client.reply()[0] == 200


def test_every_worker_is_told_of_by_each_and_one_that_was_killed_begins_at_0(tmp_path: Path) -> None:
    (tmp_path / "s.ini").write_text(DEMO)
    with started("--config", str(tmp_path / "s.ini"), "--set", "server.workers=2") as (process, url, _):
        for _ in range(20):
            post(url)
        for _ in range(5):  # whoever takes the connection
            requests = page(url)["proxy_requests_total"]
            assert sum(requests.values()) == 20 and requests.keys() <= {"0", "1"}
        started_at = page(url)["process_start_time_seconds"]
        assert started_at.keys() == {"0", "1"}
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 2
        os.kill(int(children[0]), signal.SIGKILL)

        def started_again() -> dict[str, dict[str, float]] | None:
            now = page(url)
            began = now["process_start_time_seconds"]
            return now if began.keys() == {"0", "1"} and began != started_at else None

        now = until(started_again, every_s=0.1)
        assert now is not None
        kept = now.get("proxy_requests_total", {})  # none, where the other one had served them all
        assert sum(kept.values()) == sum(requests[worker] for worker in kept) and len(kept) <= 1
        process.terminate()
        assert process.wait(15) == 0
