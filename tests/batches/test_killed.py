"""The short form of `python -m tests.batches`: a proxy that is killed loses no request of a batch, and pays for none
twice that its upstream had answered."""

from __future__ import annotations

from pathlib import Path

from tests.batches.killed import Killed


def test_a_proxy_that_is_killed_loses_nothing_and_asks_for_nothing_twice(tmp_path: Path) -> None:
    came = Killed(tmp_path, requests=24, kills=1, concurrent=4, seed=1).run()
    assert came.results == {f"r{n}": f"say {n}" for n in range(24)} and not came.doubled
    assert came.asked <= 24 + 4, "no more is asked for again than may be on its way at once"
