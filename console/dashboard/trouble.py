"""The troubles of the moment, each with the panel that tells more. A trouble disappears when it is over.

Some are states, such as an open breaker. Others happen again and again, such as a full queue that turns requests away;
such a trouble is over when it has not happened for a while. Each worker tells what it knows (`raw`), and the same
trouble of several workers becomes one (`merged`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from console.books import Books
from console.dashboard.watch import Watch
from console.dashboard.window import Bins, added, bin_of, quantiles
from gateway.limits import plan_limits
from gateway.routing.upstreams import LiveUpstream
from gateway.runtime import Service

LASTS_S = 20.0  # how long something that happens again and again is shown after its last time
SLOW_S = 60.0  # an upstream is judged by its streams of so long
LEAST_LATE = 2  # it is slow if at least so many streams, and half of all, are late
Said = dict[str, Any]


class Trouble(NamedTuple):
    """One trouble. kind, about: what it is. panel: the part of the page that tells more. since: seconds since 1970, if
    known."""

    kind: str
    about: str
    text: str
    panel: str
    level: str = "bad"  # or "warn"
    since: float | None = None


class Troubles:
    """tick() comes once a second, and sees what happens again and again."""

    def __init__(self, service: Service, watch: Watch, books: Books) -> None:
        self._service = service
        self._watch = watch
        self._books = books
        self._counts: dict[str, int] = {}
        self._last: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Troubles {', '.join(each.kind for each in self._now()) or 'none'}>"

    def tick(self) -> None:
        service, now = self._service, self._watch.clock()
        connections = service.connections.refused if service.connections is not None else {}
        counts = {"queue": service.admission.turned_away, "logs": service.journal.lost}
        counts["strangers"] = connections.get("stranger", 0)
        counts["connections"] = sum(connections.values()) - counts["strangers"]
        for kind, count in counts.items():
            if count > self._counts.get(kind, 0):
                self._last[kind] = now
        self._counts = counts

    def _happens(self, kind: str) -> bool:
        return self._watch.clock() - self._last.get(kind, -LASTS_S) < LASTS_S

    def raw(self) -> Said:
        """Returns what this worker knows. first: how long streams of the last minute waited for their first token, by
        upstream; streams that still wait count once they are late."""
        upstreams = self._service.router.upstreams
        first = {name: self._first_tokens(name) for name in upstreams}
        late_ms = {name: upstream.settings.slow_after * 1e3 for name, upstream in upstreams.items()}
        for flow in self._service.flows:
            of = flow.standing()
            if of.streams and of.upstream in first and 0 < late_ms[of.upstream] < of.waits_s * 1e3:
                at = bin_of(of.waits_s * 1e3)
                first[of.upstream][at] = first[of.upstream].get(at, 0) + 1
        return {"troubles": [each._asdict() for each in self._now()], "first": first}

    def _first_tokens(self, upstream: str) -> Bins:
        window = self._watch.upstreams.get(upstream)
        buckets = window.since(self._watch.clock(), SLOW_S) if window is not None else []
        bins: Bins = added(buckets)["first"]
        return bins

    def merged(self, said: Sequence[Said]) -> list[Said]:
        """The troubles of all workers: what is bad first."""
        found: dict[tuple[str, str], Said] = {}
        missing = self._service.worker_rpc.count - len(said)
        if missing:
            text = f"{missing} of {self._service.worker_rpc.count} workers do not answer"
            found["worker", ""] = Trouble("worker", "", text, "now")._asdict()
        for trouble in (each for one in said for each in one["troubles"]):
            known = found.setdefault((trouble["kind"], trouble["about"]), trouble)
            if known["level"] != "bad" and trouble["level"] == "bad":
                found[trouble["kind"], trouble["about"]] = trouble
        for name, upstream in self._service.router.upstreams.items():
            bins: Bins = {}
            for one in said:
                for number, times in one["first"].get(name, {}).items():
                    bins[int(number)] = bins.get(int(number), 0) + times
            if (trouble := _slow(upstream, bins)) is not None:
                found["slow", name] = trouble._asdict()
        return sorted(found.values(), key=lambda trouble: trouble["level"] != "bad")

    def _now(self) -> Iterator[Trouble]:
        service = self._service
        if service.in_flight.stage != "serving":
            yield Trouble("stage", "", f"the proxy is {service.in_flight.stage}, and takes no new requests", "now")
        if (reloaded := service.reloaded) and not reloaded["taken"]:
            text = f"the changed settings were refused: {reloaded['why'][0] if reloaded['why'] else ''}"
            yield Trouble("settings", "", text, "settings", since=reloaded["time"])
        now = time.monotonic()
        for upstream in service.router.upstreams.values():
            yield from self._of_upstream(upstream, now)
        yield from self._of_writing()
        yield from self._of_bounds()

    def _of_upstream(self, upstream: LiveUpstream, now: float) -> Iterator[Trouble]:
        service, name = self._service, upstream.name
        if (drained := service.drained.shown(name)) is not None:
            by = f" by {drained['by']}" if drained["by"] else ""
            text = f"upstream '{name}' is drained{by}, and gets no new requests"
            yield Trouble("drained", name, text, "upstreams", "warn", drained["since"])
        breakers = {model: place.breaker for (upstream, model, _), place in service.places.items() if upstream == name}
        shut = [model for model, breaker in breakers.items() if not breaker.would_allow(now)]
        tried = [model for model, breaker in breakers.items() if breaker.state != "closed" and model not in shut]
        if shut:
            text = f"upstream '{name}': the breaker is open for {_some(shut)}"
            yield Trouble("breaker", name, text, "upstreams")
        elif tried:
            text = f"upstream '{name}': the breaker was open for {_some(tried)}, and the next request is a test"
            yield Trouble("breaker", name, text, "upstreams", "warn")
        for number in range(len(upstream.settings.credentials)):
            rests_s = service.places.key(name, number).bad_until - now
            if rests_s > 0:
                key = upstream.key_told(number)
                text = f"upstream '{name}': its key {key} was refused, and rests for {rests_s:.0f} s"
                yield Trouble("key", f"{name} {number + 1}", text, "upstreams")
        rest_s = {place.name: place.resets_at - now for key, place in service.places.items() if key[0] == name}
        if used_up := {place: left_s for place, left_s in rest_s.items() if left_s > 0}:
            ends = plan_limits.shown(min(used_up.values()))
            text = f"upstream '{name}': a limit is used up of {_some(list(used_up))}; the first ends in {ends}"
            yield Trouble("limit", name, text, "upstreams", "warn")

    def _of_writing(self) -> Iterator[Trouble]:
        if why := self._service.journal.trouble:
            yield Trouble("logs", "", f"log lines are not written where they should be: {why}", "now")
        elif self._happens("logs"):
            yield Trouble("logs", "", f"log lines are lost ({self._service.journal.lost} so far)", "now")
        if why := self._books.trouble:
            yield Trouble("books", "", f"the sums of usage cannot be written, and wait in memory: {why}", "spent")
        queue = self._service.batches.queue
        if queue is not None and queue.trouble:
            yield Trouble("batches", "", f"batches wait, and none is taken: {queue.trouble}", "settings")

        shared = self._service.shared.state()
        if shared["away"] and shared["outages"]:
            text = f"the shared store ({shared['store']}) is away for {shared['away_s']} s: {shared['away']}. "
            yield Trouble("shared", "", f"{text}Requests go on, with what each worker knows itself", "now")

    def _of_bounds(self) -> Iterator[Trouble]:
        admission = self._service.admission
        if self._happens("queue") or admission.waiting >= admission.limits.queue > 0:
            text = f"all slots are in use and the queue is full: {admission.waiting} requests wait, others are refused"
            yield Trouble("queue", "", text, "running")
        if self._happens("connections"):
            yield Trouble("connections", "", "connections of clients are refused, since there are too many", "now")
        if self._happens("strangers"):
            text = "connections of other machines are refused: without a [client] only this machine is served"
            yield Trouble("strangers", "", text, "settings")


def _slow(upstream: LiveUpstream, first: Bins) -> Trouble | None:
    """first: a histogram."""
    after_ms = upstream.settings.slow_after * 1e3
    if not after_ms:
        return None
    late = sum(times for number, times in first.items() if number >= bin_of(after_ms))
    [median] = quantiles(first, 0.5)
    if median is None or late < LEAST_LATE or 2 * late < sum(first.values()):
        return None
    text = f"upstream '{upstream.name}' is slow: its streams wait {median / 1e3:.0f} s for their first token"
    return Trouble("slow", upstream.name, text, "upstreams", "warn")


def _some(names: list[str]) -> str:
    shown = ", ".join(f"'{name[:60]}'" for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
