"""Sends one fault through every lane (client protocol x upstream protocol x streamed or not) and reads what came of it.

A proxy of its own for each fault, its lanes all at once, so that their waits overlap. Each request has a mark, which is
its model's name: the upstream knows by it whose request it is, and the right answer repeats it, so that answers
which are mixed up are seen. When all clients are served nothing may be left in the proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import proxy
from tests.faults import place
from tests.faults.fault import Asked, Fault, good
from tests.faults.reading import outcome
from tests.support.faulty import PATHS, PROTOCOLS, Protocol, ask
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream

SHORT_S = {"connect": 1, "first_byte": 1.5, "idle": 1.5, "request": 3, "stream": 5}
LONG_S = 20.0
SLACK_S = 15.0  # for a machine that has much else to do; what hangs without an end, hangs longer

_RETRY = "backoff = 0.05\nmax_backoff = 0.1\nbudget_per_second = 1000\n"


@dataclass(frozen=True, slots=True)
class Lane:
    client: Protocol
    upstream: Protocol
    stream: bool

    def __str__(self) -> str:
        return f"{self.client} -> {self.upstream}, {'stream' if self.stream else 'whole'}"

    @property
    def home(self) -> bool:
        return self.client == self.upstream

    @property
    def mark(self) -> str:
        return f"{self.upstream}.{self.client}.{'stream' if self.stream else 'whole'}"


LANES = [Lane(client, upstream, stream) for client in PROTOCOLS for upstream in PROTOCOLS for stream in (True, False)]


@dataclass(slots=True)
class Result:
    """outcome: see fault.py, or "bad: why". asked: how often the upstream was; second: how often the other one was."""

    lane: Lane
    outcome: str
    asked: int
    seconds: float
    headers: dict[str, str]
    second: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Run:
    """sent: tries that the proxy has made, of all lanes. left: what it still held afterwards."""

    fault: Fault
    results: list[Result]
    sent: int
    left: list[str]


class Script:
    """The upstream's script: the fault, except for requests that only warm a connection."""

    def __init__(self, fault: Fault | None) -> None:
        self._fault = fault
        self._lock = threading.Lock()
        self._connections: set[int] = set()
        self.counts: Counter[str] = Counter()
        self.last: dict[str, Answer] = {}  # mark -> what was answered

    def __call__(self, request: Request) -> Answer:
        body = request.json
        protocol = next(name for name in PROTOCOLS if request.path == PATHS[name])
        mark, usage = body["model"], bool((body.get("stream_options") or {}).get("include_usage"))
        with self._lock:
            reused = request.connection in self._connections
            self._connections.add(request.connection)
            asked = Asked(protocol, bool(body.get("stream")), mark, self.counts[mark], reused, usage)
            self.counts[mark] += 1
        if self._fault is None or self._fault.answer is None or mark.endswith(".warm"):
            return good(asked)
        answer = self.last[mark] = self._fault.answer(asked)
        return answer


def run(fault: Fault, folder: Path, second: bool = False) -> Run:
    """Every lane. second: there is another target, of another protocol, which is well."""
    script, well = Script(fault), Script(None)
    with contextlib.ExitStack() as stack:
        if fault.place == "server":
            url = stack.enter_context(Upstream(script)).url
        else:
            url = stack.enter_context(place.opened(fault.place, folder))
        other = stack.enter_context(Upstream(well)).url if second else ""
        house = stack.enter_context(House(_settings(fault, url, other)))
        tasks = house.on_loop(lambda: len(asyncio.all_tasks()))
        if fault.warm:
            results = [_warmed(house, lane, script) for lane in LANES]
        else:
            with ThreadPoolExecutor(2 if fault.heavy else len(LANES)) as pool:
                results = list(pool.map(lambda lane: _one(house, lane, script), LANES))
        sent = house.on_loop(lambda: house.proxy.service.client.stats()["requests"]) - len(LANES) * fault.warm
        left = settled(house, tasks)
        for result in results:
            result.asked = script.counts[result.lane.mark]
            result.second = well.counts[result.lane.mark]
    return Run(fault, results, sent, left)


def settled(house: House, tasks: int) -> list[str]:
    """What is left in the proxy, once that is nothing, or five seconds later."""
    until = time.monotonic() + 5
    while (left := house.on_loop(lambda: leftovers(house.proxy, tasks))) and time.monotonic() < until:
        time.sleep(0.01)
    return list(left)


def leftovers(p: proxy.Proxy, tasks: int) -> list[str]:
    """What the proxy still holds for requests that are over. tasks: how many ran before. To be called on its loop."""
    service, client = p.service, p.service.client.stats()
    upstreams = service.router.upstreams.values()
    held = {
        "flows": len(service.flows),
        "bytes of requests": service.held_bytes,
        "exchanges": client["in_flight"],
        "handles": client["handles"] - client["handles_free"],
        "places taken": service.admission.busy,
        "in the queue": service.admission.waiting,
        "at an upstream": sum(up.gate.busy + up.gate.cheap + len(up.gate.waiting) for up in upstreams),
        "busy at a place": sum(place.busy for place in service.places),
        "tasks": len(asyncio.all_tasks()) - tasks,
    }
    return [f"{count} {what}" for what, count in held.items() if count]


def _settings(fault: Fault, url: str, other: str) -> str:
    timeouts = "".join(f"{name} = {short if name in fault.ends_by else LONG_S}\n" for name, short in SHORT_S.items())
    out = f"[timeouts]\n{timeouts}[retry]\n{_RETRY}"
    for protocol in PROTOCOLS:
        out += f"[upstream {protocol}]\nprotocol = {protocol}\nbase_url = {url}\n"
        if other:
            out += f"[upstream well-{protocol}]\nprotocol = {protocol}\nbase_url = {other}\n"
    out += "[models]\n"
    for number, protocol in enumerate(PROTOCOLS):
        then = f", well-{PROTOCOLS[(number + 1) % len(PROTOCOLS)]}" if other else ""
        out += f"{protocol}.* = {protocol}{then}\n"
    return out


def _warmed(house: House, lane: Lane, script: Script) -> Result:
    """On a connection that the pool has kept, of a request of the same lane."""
    warm = _post(house, lane.client, ask(lane.client, f"{lane.mark}.warm", False))
    assert warm[0] == 200, warm
    return _one(house, lane, script)


def _one(house: House, lane: Lane, script: Script) -> Result:
    start = time.monotonic()
    try:
        status, headers, body = _post(house, lane.client, ask(lane.client, lane.mark, lane.stream))
    except (OSError, http.client.HTTPException) as why:
        return Result(lane, f"bad: {why!r}"[:200], 0, time.monotonic() - start, {})
    answer = script.last.get(lane.mark)
    items = [answer.body] if answer is not None and isinstance(answer.body, bytes) else answer.body if answer else []
    upstream = b"".join(item for item in items if isinstance(item, bytes))  # type: ignore[union-attr]
    got = outcome(lane.client, lane.stream, status, headers.get("content-type", ""), body, lane.mark,
                  upstream if lane.home else None)  # fmt: skip
    return Result(lane, got, 0, time.monotonic() - start, headers)


def _post(house: House, protocol: Protocol, body: object) -> tuple[int, dict[str, str], bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", house.port, timeout=30)) as conn:
        conn.request("POST", PATHS[protocol], json.dumps(body), {"Content-Type": "application/json"})
        reply = conn.getresponse()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return reply.status, headers, reply.read()


def lines(runs: dict[str, Run]) -> Iterator[str]:
    """The table, a line for each fault: what came of it, how often it was asked for, how long the slowest lane took."""
    head = ("fault", "stream", "same protocol", "whole", "same protocol", "tries", "seconds")
    row = "{:31} {:9} {:13} {:9} {:13} {:>5} {:>8}"
    yield row.format(*head)
    for name, each in runs.items():
        kinds = [(stream, home) for stream in (True, False) for home in (False, True)]
        cells = (
            "|".join(sorted({r.outcome[:9] for r in each.results if (r.lane.stream, r.lane.home) == kind}))
            for kind in kinds
        )
        tries = f"{each.sent / len(each.results):.1f}".removesuffix(".0")
        yield row.format(name[:31], *cells, tries, f"{max(r.seconds for r in each.results):.2f}")
