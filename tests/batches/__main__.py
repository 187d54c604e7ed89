"""python -m tests.batches [--requests 500] [--kills 10]: kill -9 while a batch runs; exit status 1 where it is not
as it should be."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.batches.killed import Killed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.batches")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--concurrent", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        came = Killed(Path(folder), chosen.requests, chosen.kills, chosen.concurrent, chosen.seed).run()
    right = came.results == {f"r{n}": f"say {n}" for n in range(chosen.requests)}
    most = chosen.requests + came.in_flight
    print(
        f"{chosen.requests} requests, {came.kills} kills: {len(came.results)} results{'' if right else ' (WRONG)'}, "
        f"{came.repeated} of them twice; {came.asked} upstream calls, {came.in_flight} of them in flight at a kill "
        f"(at most {most} may be); {came.seconds:.1f} s"
    )
    return 0 if right and not came.repeated and came.asked <= most else 1


if __name__ == "__main__":
    sys.exit(main())
