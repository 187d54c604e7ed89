"""Several worker processes keep one limit together, by the file that they share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.live.test_workers import ASKED, OK, PATH, workers
from tests.support.script import Answer, Upstream

ALICE = "[client alice]\nkey = alice-key-0123456789\nrequests_per_minute = 100\n[shared]\npatience = 5\n"
KEY = {"Authorization": "Bearer alice-key-0123456789"}


def test_of_four_workers_a_limit_of_100_lets_100_through(tmp_path: Path) -> None:
    with Upstream(lambda request: Answer.json(OK)) as up, workers(up, tmp_path, 4, more=ALICE) as proxy:

        def ask(_: int) -> int:
            with proxy.connect() as client:
                client.send("POST", PATH, ASKED, KEY)
                return client.reply()[0]

        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(ask, range(300)))
        assert statuses.count(200) == 100 and statuses.count(429) == 200
        assert len(up.requests) == 100
