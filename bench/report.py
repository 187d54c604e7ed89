"""What was measured: as tables for a person, as JSON for a program."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.load import Run, percentile
from bench.plan import Step

Measured = list[tuple[Step, list[Run]]]
COLUMNS = ("p50", "p95", "p99", "first byte", "a second", "errors", "own", "CPU")
DIRECT = "direct"


@dataclass(frozen=True)
class Figure:
    """One line of the classic table. wanted: "" = nothing in particular. holds: None where nothing is wanted, or was
    measured."""

    name: str
    value: str
    wanted: str = ""
    holds: bool | None = None


@dataclass(frozen=True)
class Start:
    """Seconds from a proxy's start to its address, and to its first answer; how long that answer took. kept: how many
    requests found a connection to the upstream, and how many there were."""

    address_s: float
    answer_s: float
    first_request_s: float
    kept: tuple[int, int]
    memory: float | None


def tables(measured: Measured) -> list[str]:
    lines = [f"{'ms':<56}" + "".join(f"{name:>12}" for name in COLUMNS)]
    for step, runs in measured:
        for run in runs:
            what = f"{step.words}: {run.way.name}"
            lines.append(f"{what:<56}" + "".join(f"{cell:>12}" for cell in _cells(run)))
            if run.failed:
                lines.append(f"    {len(run.failed)} failed: {run.failed[0].words()}")
    return lines


def _cells(run: Run) -> list[str]:
    totals = run.totals()
    overheads, cpu = run.overheads(), run.cpu_each()
    return [
        *(_ms(percentile(totals, share)) for share in (0.5, 0.95, 0.99)),
        _ms(percentile(run.firsts(), 0.5)),
        f"{len(run.good) / run.seconds:.0f}" if run.seconds else "-",
        _percent(len(run.failed), len(run.replies)),
        _ms(percentile(overheads, 0.5)),
        _ms(cpu),
    ]


def classic(measured: Measured, start: Start | None) -> list[Figure]:
    """The table that proxies of this kind are known by."""
    by_kind: dict[str, list[tuple[Step, list[Run]]]] = {}
    for step, runs in measured:
        by_kind.setdefault(step.kind, []).append((step, runs))
    found = _of_the_start(start)
    for kind, name in (
        ("whole", "warm"),
        ("stream", "warm"),
        ("many whole", ""),
        ("many stream", ""),
        ("fresh", "cold"),
    ):
        for step, runs in by_kind.get(kind, []):
            found += [_against(step, run, runs, name) for run in runs if run.way.name != DIRECT]
    for _, runs in by_kind.get("models", []):
        found.append(_under("/v1/models, p95", percentile(runs[0].totals(), 0.95), 0.05))
    for _, runs in by_kind.get("logging", []):
        found += _of_logging({run.way.name.removeprefix("logging "): run for run in runs})
    for step, runs in by_kind.get("far", []):
        found += _of_the_distance(step, {run.way.name: run for run in runs})
    every = [run for _, runs in measured for run in runs if run.way.name != DIRECT]
    failed, asked = sum(len(run.failed) for run in every), sum(len(run.replies) for run in every)
    found.append(Figure("errors", f"{_percent(failed, asked)} of {asked:,}", "under 1 %", failed * 100 < asked))
    return found


def _of_the_start(start: Start | None) -> list[Figure]:
    if start is None:
        return []
    kept, asked = start.kept
    reused = Figure("connections to the upstream reused", "not seen", "over 90 %")
    if asked:
        reused = Figure(reused.name, _percent(kept, asked), reused.wanted, kept * 10 > asked * 9)
    memory = f"{start.memory / 1e6:.0f} MB" if start.memory else "-"
    return [
        Figure("cold start: from the command to the first answer", f"{start.answer_s:.2f} s"),
        Figure("first request after it", _ms(start.first_request_s) + " ms"),
        reused,
        Figure("memory after it all", memory),
    ]


def _against(step: Step, run: Run, runs: Sequence[Run], name: str) -> Figure:
    p50, p95, p99 = (percentile(run.totals(), share) for share in (0.5, 0.95, 0.99))
    value = f"P50 {_ms(p50)}, P95 {_ms(p95)}, P99 {_ms(p99)} ms"
    direct = next((percentile(each.totals(), 0.5) for each in runs if each.way.name == DIRECT), None)
    if direct and p50:
        value += f"; direct P50 {_ms(direct)}: {(p50 - direct) * 1e3:+.2f} ms"
    return Figure(f"{name} {step.words}, {run.way.name}".strip(), value)


def _of_logging(runs: dict[str, Run]) -> list[Figure]:
    off = percentile(runs["off"].totals(), 0.5) if "off" in runs else None
    found = []
    for name, run in runs.items():
        p50 = percentile(run.totals(), 0.5)
        if name != "off" and off is not None and p50 is not None:
            found.append(_under(f"logging {name}, against none, P50", max(0.0, p50 - off), 0.01))
    return found


def _of_the_distance(step: Step, runs: dict[str, Run]) -> list[Figure]:
    """A proxy keeps its connections; a client that dials anew pays for each: that is where the proxy is faster."""
    p50 = {name: percentile(run.totals(), 0.5) for name, run in runs.items()}
    anew, kept = p50.get("direct, dialled anew"), p50.get("direct, kept")
    found = []
    for name, over in (("proxy, dialled anew", ""), ("proxy, dialled anew, HTTP/2", " and HTTP/2")):
        if not (anew and kept and (proxied := p50.get(name))):
            found.append(Figure(f"{step.words}{over}", "not measured"))
            continue
        value = f"{_ms(anew)} ms direct, {_ms(proxied)} ms through the proxy: {anew / proxied:.1f} times as fast"
        honest = f"{_ms(kept)} ms direct, {_ms(proxied)} ms through the proxy: {kept / proxied:.2f} times as fast"
        found += [
            Figure(f"{step.words}{over}, for clients that dial anew", value, "faster than direct", proxied < anew),
            Figure(f"{step.words}{over}, for a client that keeps its connection", honest),
        ]
    return found


def _under(name: str, value: float | None, limit: float) -> Figure:
    wanted = f"under {limit * 1e3:.0f} ms"
    return Figure(
        name, "not measured" if value is None else f"{_ms(value)} ms", wanted, None if value is None else value < limit
    )


def figures(found: Sequence[Figure]) -> list[str]:
    width = max(len(each.name) for each in found) + 2
    marks = {True: "ok", False: "NOT MET", None: ""}
    return [
        f"{each.name:<{width}}{each.value}"
        + (f"   (wanted: {each.wanted}) {marks[each.holds]}".rstrip() if each.wanted else "")
        for each in found
    ]


def as_json(measured: Measured, found: Sequence[Figure], facts: dict[str, Any]) -> dict[str, Any]:
    rows = [
        {"step": step.words, "kind": step.kind, "way": run.way.name, "clients": run.clients, **_numbers(run)}
        for step, runs in measured
        for run in runs
    ]
    table = [{"name": each.name, "value": each.value, "wanted": each.wanted, "holds": each.holds} for each in found]
    return {**facts, "machine": machine(), "table": table, "rows": rows}


def _numbers(run: Run) -> dict[str, Any]:
    totals, firsts, overheads = run.totals(), run.firsts(), run.overheads()
    of = {"total": totals, "first_byte": firsts, "own": overheads}
    times = {
        f"{name}_{word}_ms": _rounded(percentile(values, share))
        for name, values in of.items()
        for word, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    head = {"requests": len(run.replies), "failed": len(run.failed), "gave_up": run.gave_up}
    pace = round(len(run.good) / run.seconds, 1) if run.seconds else None
    return head | times | {"per_second": pace, "cpu_ms": _rounded(run.cpu_each())}


def machine() -> dict[str, Any]:
    import os

    return {
        "system": platform.platform(terse=True), "cores": os.cpu_count(), "python": platform.python_version(),
    }  # fmt: skip


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1e3:.2f}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"
