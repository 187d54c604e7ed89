"""Some of what the command does very often."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.soak.__main__ import Soak
from tests.soak.clients import KINDS


def test_nothing_is_left_of_mixed_requests(tmp_path: Path) -> None:
    soak = Soak(requests=400, seed=5)
    asyncio.run(soak.run(tmp_path))
    assert soak.asked == 400 and not soak.wrong
    assert {name.partition(" ")[0] for name in soak.tally} == set(KINDS)
    assert not soak.left
