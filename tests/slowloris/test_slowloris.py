"""Some of what the command does with a thousand of each kind."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.slowloris.__main__ import HONEST, IN_TIME_S, Slowloris


def test_slow_ones_are_let_go_and_honest_ones_are_answered(tmp_path: Path) -> None:
    run = Slowloris(heads=30, bodies=30, readers=30, bound=1, alone_s=0.2)
    asyncio.run(run.run(tmp_path))
    assert HONEST < run.most <= 90 + 2 * HONEST
    assert run.told[408] and run.told[408] + run.told[0] == 90  # a byte may cross with the 408, and reset it
    assert run.coming and not run.wrong
    assert run.late_s < IN_TIME_S
