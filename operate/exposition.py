"""The page of /metrics, which prometheus-client writes from the samples of all workers.

prometheus-client is loaded only when the page is asked for: a proxy without Prometheus does without its 2 MB.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from operate.metric_families import FAMILIES
from operate.metrics import Sample


def text(states: list[tuple[str, list[Sample]]], accept: str = "") -> tuple[bytes, str]:
    """The page and its Content-Type. states: for each worker, its number ("" if there is only one) and its samples.
    accept: the Accept header of the request, which chooses the format."""
    from prometheus_client.exposition import choose_encoder

    write: Callable[[Any], bytes]
    write, kind = choose_encoder(accept)
    return write(_Page(states)), kind


class _Page:
    """The samples in the form of a registry of prometheus-client."""

    def __init__(self, states: list[tuple[str, list[Sample]]]) -> None:
        self._states = states

    def __repr__(self) -> str:
        return f"<_Page of {len(self._states)} workers>"

    def collect(self) -> Iterator[Any]:
        found: dict[str, list[tuple[str, Sample]]] = {}
        for worker, samples in self._states:
            for one in samples:
                found.setdefault(one[0], []).append((worker, one))
        for name, family in FAMILIES.items():
            if name in found:
                yield _family(name, family.kind, family.why, family.labels, family.bounds, found[name])


def _family(
    name: str, kind: str, why: str, labels: tuple[str, ...], bounds: tuple[float, ...], found: list[tuple[str, Sample]]
) -> Any:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    makers: dict[str, Any] = {
        "counter": CounterMetricFamily,
        "gauge": GaugeMetricFamily,
        "histogram": HistogramMetricFamily,
    }
    many = any(worker for worker, _ in found)
    metric = makers[kind](name, why, labels=(*labels, "worker") if many else labels)
    for worker, (_, values, *rest) in found:
        own = [*values, worker] if many else values
        if kind == "histogram":
            metric.add_metric(own, buckets=_buckets(bounds, rest[0]), sum_value=rest[1])
        else:
            metric.add_metric(own, rest[0])
    return metric


def _buckets(bounds: tuple[float, ...], counts: list[int]) -> list[tuple[str, int]]:
    """The counts as Prometheus wants them: for each bound, all that is at or below it."""
    out, total = [], 0
    for bound, count in zip(_names(bounds), counts, strict=True):
        total += count
        out.append((bound, total))
    return out


@functools.lru_cache(maxsize=16)
def _names(bounds: tuple[float, ...]) -> list[str]:
    return [*(str(float(bound)) for bound in bounds), "+Inf"]
