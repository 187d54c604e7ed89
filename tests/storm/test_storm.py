"""A few seconds of what the command does."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.storm.storm import Plan, Storm


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into processes by /proc")
def test_everything_at_once_leaves_nothing_and_the_books_are_right(tmp_path: Path) -> None:
    storm = Storm(Plan(seed=5, rounds=1, seconds=2, clients=8, share=0.2, events=("reload", "cancel")), tmp_path)
    asyncio.run(storm.run())
    assert storm.wrong == [] and storm.tally["ask right"] > 0
