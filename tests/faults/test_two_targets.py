"""With a second target that is well, whatever may be tried elsewhere ends in the right answer; the rest in honesty."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import book, lanes
from tests.faults.fault import Fault
from tests.faults.lanes import Result
from tests.faults.table import FAULTS, wrong


def wrong_of_two(fault: Fault, result: Result) -> list[str]:
    """What is not as the row says; with a second target."""
    lane = result.lane
    if not fault.may_go_elsewhere(lane.home, lane.stream):
        return wrong(fault, result) + [f"{lane}: the second was asked {result.second} times"] * bool(result.second)
    out = []
    if result.outcome != "ok":
        out.append(f"{result.outcome}, not ok")
    if result.second != 1:
        out.append(f"the second was asked {result.second} times")
    # A key that was refused is left alone: other requests may not have gone to the first at all.
    asked = {0, 1} if fault.name in ("401", "403") else {1}
    if fault.place == "server" and result.asked not in asked:
        out.append(f"the first was asked {result.asked} times")
    return [f"{lane}: {problem}" for problem in out]


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if not fault.heavy], ids=lambda fault: fault.name)
def test_the_second_target_answers_where_it_may(fault: Fault, tmp_path: Path) -> None:
    run = book.TWO[fault.name] = lanes.run(fault, tmp_path, second=True)
    problems = [problem for result in run.results for problem in wrong_of_two(fault, result)]
    problems += [f"left behind: {what}" for what in run.left]
    assert not problems, "\n".join(problems)
