"""Whatever an upstream does, its client gets the right answer or an honest error in its own protocol, in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import book, lanes
from tests.faults.fault import Fault
from tests.faults.table import FAULTS, wrong


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_lane_ends_well_or_honestly(fault: Fault, tmp_path: Path) -> None:
    run = book.ONE[fault.name] = lanes.run(fault, tmp_path)
    problems = [problem for result in run.results for problem in wrong(fault, result)]
    due = sum(fault.tries for result in run.results)
    if fault.place != "server" and run.sent != due:
        problems.append(f"{run.sent} tries in all, not {due}")
    problems += [f"left behind: {what}" for what in run.left]
    assert not problems, "\n".join(problems)
