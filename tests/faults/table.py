"""The rows of the fault table, and what speaks against a result."""

from __future__ import annotations

from tests.faults.before import CONNECTION, STATUSES
from tests.faults.fault import Fault
from tests.faults.lanes import SHORT_S, SLACK_S, Result
from tests.faults.within import BROKEN, EMPTY, NONSENSE

FAULTS = [*CONNECTION, *STATUSES, *EMPTY, *BROKEN, *NONSENSE]


def wrong(fault: Fault, result: Result) -> list[str]:
    """What is not as the row says; with one target."""
    lane = result.lane
    out = []
    right = fault.right(lane.stream, lane.home)
    if "529" in right and lane.client != "messages":
        right |= {"503"}  # 529 is Anthropic's own
    if result.outcome not in right:
        out.append(f"{result.outcome}, not {'|'.join(sorted(right))}")
    times = fault.tries
    if fault.place == "server" and result.asked != times:
        out.append(f"asked {result.asked} times, not {times}")
    if fault.retry_after and result.headers.get("retry-after") != fault.retry_after:
        out.append(f"Retry-After: {result.headers.get('retry-after')}")
    if result.seconds < fault.waits:
        out.append(f"after only {result.seconds:.2f} s")
    longest = times * (sum(SHORT_S[name] for name in fault.ends_by) + 1) + SLACK_S
    if result.seconds > longest:
        out.append(f"after {result.seconds:.1f} s")
    return [f"{lane}: {problem}" for problem in out]
