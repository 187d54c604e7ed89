"""python -m tests.batches [--requests 500] [--kills 10] [--hosts 2] [--workers 2]: kill -9 while a batch runs; exit
status 1 where it is not as it should be. Of what is asked for twice the upstream had not answered most; of the others
the answer had left it a moment before the kill (at most BEFORE_S, which a machine without load never needs)."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.batches.killed import Killed

BEFORE_S = 0.25


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.batches")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--concurrent", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hosts", type=int, default=1, help="more than one share a Redis")
    parser.add_argument("--workers", type=int, default=1, help="of each host")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        how = (chosen.requests, chosen.kills, chosen.concurrent, chosen.seed, chosen.hosts, chosen.workers)
        came = Killed(Path(folder), *how).run()
    right = came.results == {f"r{n}": f"say {n}" for n in range(chosen.requests)}
    repeated = came.asked - chosen.requests
    late = ", ".join(f"{1000 * each:.1f}" for each in sorted(came.late_s)) or "none"
    print(
        f"{chosen.requests} requests, {chosen.hosts} x {chosen.workers} workers, {came.kills} kills: "
        f"{len(came.results)} results{'' if right else ' (WRONG)'}, {came.doubled} of them twice; {came.asked} "
        f"upstream calls, {repeated} of them again: {came.unanswered} had no answer at the kill, {len(came.late_s)} "
        f"had one that had left the upstream so many ms before it: {late}; {came.seconds:.1f} s"
    )
    is_bounded = repeated <= came.kills * chosen.concurrent and max(came.late_s, default=0.0) <= BEFORE_S
    return 0 if right and not came.doubled and is_bounded else 1


if __name__ == "__main__":
    sys.exit(main())
