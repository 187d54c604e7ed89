"""What the fault tests saw, in the order in which they ran: for the table that is printed after them."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults import lanes
from tests.faults.lanes import Run

ONE: dict[str, Run] = {}
TWO: dict[str, Run] = {}
CANCELS: list[str] = []


def lines() -> Iterator[str]:
    for title, runs in (("one target", ONE), ("two targets, the second is well", TWO)):
        if runs:
            cells = sum(len(run.results) for run in runs.values())
            yield f"faults: {len(runs)} in {cells} lanes, {title}"
            yield from lanes.lines(runs)
    if CANCELS:
        yield "cancel: from the client's close until the upstream sees it"
        yield from CANCELS
