"""How the cost grows: with the bytes and the turns of a request, the events of a stream, and streams at once.

Each point is the CPU time of the process, floor and proxy in turns. What is linear lies along the dotted line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench import drawing
from bench.client import Client, Reply
from bench.load import Way, compare
from bench.speech import named
from tests.bench.rig import FORMS, Peer

LINE = "The quick brown fox jumps over the lazy dog. "
TOGETHER = "-e6-g500"  # streams that are held at once: 6 events, half a second apart
RAMP, RAMP_S = 100, 0.05  # so many connections a time


class Kind(NamedTuple):
    """sizes: what is measured. body: makes a request of a form's name, a model and a size. model: adds to its name."""

    title: str
    x_name: str
    sizes: tuple[int, ...]
    body: Callable[[str, str, int], dict[str, Any]]
    model: Callable[[int], str] = lambda size: ""
    requests: Callable[[int], int] = lambda size: 1


def _of_bytes(form: str, model: str, size: int) -> dict[str, Any]:
    return named(form).body(model, stream=False, words=(LINE * (size // len(LINE) + 1))[:size])


def _of_turns(form: str, model: str, size: int) -> dict[str, Any]:
    body = named(form).body(model, stream=False)
    body["messages"] = [{"role": "user" if n % 2 == 0 else "assistant", "content": LINE * 10} for n in range(size)]
    return body


def _of_events(form: str, model: str, _: int) -> dict[str, Any]:
    return named(form).body(model, stream=True)


CURVES = {
    "bytes": Kind(
        "CPU time by the size of a request", "bytes of one text",
        (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 44_000_000), _of_bytes,
        requests=lambda size: max(4, min(200, 20_000_000 // size)),
    ),
    "turns": Kind(
        "CPU time by the turns of a request", "turns of 450 bytes", (1, 10, 100, 500, 1_000, 2_000), _of_turns,
        requests=lambda size: max(8, min(200, 10_000 // size)),
    ),
    "events": Kind(
        "CPU time by the events of a stream", "events", (1, 10, 100, 1_000, 10_000, 100_000), _of_events,
        lambda size: f"-e{size}", requests=lambda size: max(4, min(200, 100_000 // size)),
    ),
    "connections": Kind(
        "CPU time by streams at once", "streams of 6 events", (1, 10, 100, 1_000, 5_000), _of_events,
        lambda size: TOGETHER,
    ),
}  # fmt: skip


async def draw(peers: list[Peer], names: list[str], out: Path) -> int:
    for name in names:
        kind, lines = CURVES[name], []
        for form in FORMS:
            for peer in (each for each in peers if form in each.urls and each.name in ("floor", "this proxy")):
                way = "translated" if form == "messages" else "passed through"
                points = [(float(size), await _point(kind, peer, form, size)) for size in kind.sizes]
                known = tuple((x, y) for x, y in points if y)
                lines.append(drawing.Curve(f"{peer.name}, {way}", known))
                print(f"{name}: {lines[-1].name}: " + ", ".join(f"{x:g} {y:.3g} ms" for x, y in known), flush=True)
        unit = "ms of CPU time" + (" of all" if kind is CURVES["connections"] else "")
        (out / f"curve-{name}.svg").write_text(drawing.curves(kind.title, lines, kind.x_name, unit))
    return 0


async def _point(kind: Kind, peer: Peer, form: str, size: int) -> float | None:
    """ms of CPU time of a request; of all, where streams are held at once."""
    body = kind.body(form, peer.model + kind.model(size), size)
    asked = named(form).of(json.dumps(body, separators=(",", ":")).encode(), "bench")
    way = Way(peer.name, peer.urls[form], asked, cpu=peer.cpu)
    if kind is CURVES["connections"]:
        return await _together(way, size)
    (run,) = await compare([way], kind.requests(size), warm=2)
    for failed in run.failed[:1]:
        sys.stderr.write(f"{peer.name}, {form}, {size}: {failed.words()}\n")
    each = run.cpu_each()
    return None if each is None or run.failed else each * 1e3


async def _together(way: Way, streams: int) -> float | None:
    """Of all of them, from the first connection to the last event: a machine that is busy with other work takes longer
    for that, and the work is the same."""
    clients = [Client(way.url) for _ in range(streams)]
    replies: list[asyncio.Task[Reply]] = []
    before = way.cpu()
    for at in range(0, streams, RAMP):
        replies += [asyncio.create_task(client.ask(way.request)) for client in clients[at : at + RAMP]]
        await asyncio.sleep(RAMP_S)
    done = await asyncio.gather(*replies)
    after = way.cpu()
    await asyncio.gather(*(client.close() for client in clients))
    if bad := [reply for reply in done if not reply.is_good]:
        sys.stderr.write(f"{way.name}, {streams} streams: {len(bad)} failed: {bad[0].words()}\n")
    return None if before is None or after is None or bad else (after - before) * 1e3
