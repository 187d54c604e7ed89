"""`python -m tests.bench`: what a request and an event cost here, beside the floor and the peers that are installed.

Sides take turns, several rounds, medians. CPU time is what to look at: it hardly depends on what else the machine does.
`--curves` draws docs/curve-*.svg instead: how the cost grows with bytes, turns, events and connections.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from bench.client import Request
from bench.load import Run, Way, compare, percentile
from bench.speech import named
from tests.bench import curves
from tests.bench.rig import FORMS, Peer, started

TURN = "The quick brown fox jumps over the lazy dog. " * 25  # 1.1 KB
BIG_TURNS = 200


class Load(NamedTuple):
    """per: what the cost is divided by: a request has so many. events: of each stream; 0 = whole. gap_ms: between two
    events."""

    name: str
    unit: str
    requests: int
    clients: int
    turns: int = 1
    events: int = 0
    gap_ms: int = 0


LOADS = (
    Load("whole, 1 client", "ms a request", 200, 1),
    Load("whole, 16 clients", "ms a request", 800, 16),
    Load("227 KB body, 8 clients", "ms a request", 160, 8, turns=BIG_TURNS),
    Load("as fast as they go, 16 streams", "µs an event", 160, 16, events=200),
    Load("50 events a second, 16 streams", "µs an event", 32, 16, events=40, gap_ms=20),
)


def way(peer: Peer, form: str, load: Load) -> Way:
    model = peer.model + (f"-e{load.events}" if load.events else "") + (f"-g{load.gap_ms}" if load.gap_ms else "")
    body = named(form).body(model, stream=bool(load.events), words=TURN if load.turns > 1 else "Say hi.")
    message = body["messages"][0]
    body["messages"] = [message] * load.turns
    asked = named(form).of(json.dumps(body, separators=(",", ":")).encode(), "bench")
    return Way(peer.name, peer.urls[form], Request("POST", asked.path, asked.headers, asked.body), cpu=peer.cpu)


def cost(run: Run, load: Load) -> float | None:
    """Of the unit."""
    each = run.cpu_each()
    if each is None or run.failed:
        return None
    return each / load.events * 1e6 if load.events else each * 1e3


async def measure(
    peers: list[Peer], rounds: int
) -> dict[tuple[str, str, str], list[tuple[float | None, float | None]]]:
    """(form, load, peer) -> (cost, p99 in ms) of each round."""
    found: dict[tuple[str, str, str], list[tuple[float | None, float | None]]] = defaultdict(list)
    for number in range(rounds):
        for form in FORMS:
            for load in LOADS:
                sys.stderr.write(f"round {number + 1} of {rounds}: {form}, {load.name}\n")
                ways = [way(peer, form, load) for peer in peers if form in peer.urls]
                for run in await compare(ways, load.requests, load.clients, warm=load.clients):
                    p99 = percentile(run.totals(), 0.99)
                    found[form, load.name, run.way.name].append((cost(run, load), p99 and p99 * 1e3))
    return found


def median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def table(
    form: str, peers: list[Peer], found: dict[tuple[str, str, str], list[tuple[float | None, float | None]]]
) -> str:
    names = list(dict.fromkeys(peer.name for peer in peers if form in peer.urls))
    lines = ["| | " + " | ".join(f"{load.name}, {load.unit}" for load in LOADS) + " | p99 of 16 clients, ms |"]
    lines.append("| --- " * (len(LOADS) + 2) + "|")
    for name in names:
        cells = [median([each[0] for each in found[form, load.name, name]]) for load in LOADS]
        tail = median([each[1] for each in found[form, LOADS[1].name, name]])
        lines.append(f"| {name} | " + " | ".join("-" if c is None else f"{c:.3g}" for c in [*cells, tail]) + " |")
    floor = [median([each[0] for each in found[form, load.name, "floor"]]) for load in LOADS]
    ours = [median([each[0] for each in found[form, load.name, "this proxy"]]) for load in LOADS]
    ratios = (f"{a / b:.2f}" if a and b else "-" for a, b in zip(ours, floor, strict=True))
    return "\n".join([*lines, "| this proxy / floor | " + " | ".join(ratios) + " | |"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=URL=PID", help="another server that runs")
    parser.add_argument("--curves", nargs="*", choices=list(curves.CURVES), metavar="NAME", help="draw these, or all")
    parser.add_argument("--out", default="docs", metavar="FOLDER", help="for the curves")
    asked = parser.parse_args()
    with started(asked.peer) as peers:
        if asked.curves is not None:
            return asyncio.run(curves.draw(peers, asked.curves or list(curves.CURVES), Path(asked.out)))
        found = asyncio.run(measure(peers, asked.rounds))
    for form in FORMS:
        print(f"\n{form} in, Chat Completions out:\n\n{table(form, peers, found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
