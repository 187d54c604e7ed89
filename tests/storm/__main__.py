"""Rounds of everything at once; after each the proxy must be at rest, and at the end its books must be right.

    python -m tests.storm [--rounds N] [--seconds N] [--workers N] [--redis] [--events reload,upgrade,...] [--seed N]

Exit code 0: each request had one whole reply or one clear error of its protocol, nothing of another's, and one record
with the status that its client saw; records, the usage store, shared budgets and metrics agree with each other and with
what the upstreams told; nothing was asked twice that had begun to be answered; nothing is held after a round. The seed
makes the lots the same again; what the scheduler makes of them is new each time.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.storm.storm import Plan, Storm


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="of each round")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--share", type=float, default=0.3, help="of requests whose upstream misbehaves")
    parser.add_argument("--redis", action="store_true", help="the store that workers share is a redis-server")
    parser.add_argument("--events", default=",".join(Plan.events), help=(Plan.__doc__ or "").partition("events: ")[2])
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20))
    parser.add_argument("--folder", type=Path, help="where logs and settings go, and stay")
    options = vars(parser.parse_args())
    folder: Path | None = options.pop("folder")
    plan = Plan(**options | {"events": tuple(filter(None, options["events"].split(",")))})
    print(f"storm: {plan}", flush=True)
    with tempfile.TemporaryDirectory() as other:
        storm = Storm(plan, folder or Path(other))
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(storm.run())
    for what, times in sorted(storm.tally.items()):
        print(f"  {times:6} {what}")
    for line in storm.wrong[:30]:
        print("WRONG", line[:900])
    print(f"FAILED: {len(storm.wrong)}" if storm.wrong else "ok")
    return 1 if storm.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
