"""Counts finished requests for /metrics.

`Metrics` gets the record of each finished request and adds it to one row. One row has all counts of one set of labels,
so that a request costs one look-up and a few additions. The rows are summed into families (metric_families.py) only
when Prometheus asks; current values (gateway/observe/live_metrics.py) are added, and prometheus-client writes the text
(exposition.py). With several workers, every series has the number of its worker as a label: a worker that is started
again begins at 0, which Prometheus understands only if the series is its own.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from operate.metric_families import LATENCY, OVERHEAD, PER_TOKEN, TOKENS, WAIT

MAX_ROWS = 2000  # in a new set of labels beyond this number, the model and the client become "other"
MAX_MODELS = 100  # how many models that the settings do not name may be values of a label
OTHER = "other"

Sample = list[Any]
"""[family, values of its labels, value]; for a histogram [family, values of its labels, counts by bucket, sum]."""


class Labels(NamedTuple):
    """All labels of a row; each family uses some of them."""

    protocol: str
    operation: str
    client: str
    upstream: str
    model: str
    code: str
    error: str
    ended: str


class Histogram:
    """Counts values by size. counts: one for each bucket; the last one is for values above every bound."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def __repr__(self) -> str:
        return f"<Histogram of {sum(self.counts)}>"

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Row:
    """Everything counted for one set of labels."""

    __slots__ = ("bytes_in", "bytes_out", "cache_read", "cache_write", "cost_usd", "duration", "first", "input",
                 "input_tokens", "output", "output_tokens", "overhead", "per_token", "queue", "reasoning",
                 "requests")  # fmt: skip

    def __init__(self) -> None:
        self.requests = self.bytes_in = self.bytes_out = 0
        self.cost_usd = 0.0
        self.input_tokens = self.output_tokens = self.cache_read = self.cache_write = self.reasoning = 0
        self.duration, self.first, self.per_token = Histogram(LATENCY), Histogram(LATENCY), Histogram(PER_TOKEN)
        self.overhead, self.queue = Histogram(OVERHEAD), Histogram(WAIT)
        self.input, self.output = Histogram(TOKENS), Histogram(TOKENS)

    def __repr__(self) -> str:
        return f"<Row of {self.requests} requests>"

    def add(self, record: dict[str, Any]) -> None:
        self.requests += 1
        self.bytes_in += record["bytes_in"]
        self.bytes_out += record["bytes_out"]
        self.duration.add(record["total_ms"] / 1e3)
        self.overhead.add(record["overhead_ms"] / 1e3)
        self.queue.add(record["queue_ms"] / 1e3)
        first = record["first_token_ms"]
        if first is not None:
            self.first.add(first / 1e3)
        output = record["gen_ai.usage.output_tokens"]
        if output is None:
            return
        if output > 1 and record["stream_ms"]:
            self.per_token.add(record["stream_ms"] / 1e3 / (output - 1))
        prompt = record["gen_ai.usage.input_tokens"]
        self.cost_usd += record["proxy.cost_usd"] or 0.0
        self.input.add(prompt)
        self.output.add(output)
        self.input_tokens += prompt
        self.output_tokens += output
        self.cache_read += record["gen_ai.usage.cache_read.input_tokens"]
        self.cache_write += record["gen_ai.usage.cache_creation.input_tokens"]
        self.reasoning += record["gen_ai.usage.reasoning.output_tokens"]


class Metrics:
    """The counts of finished requests. models: the names in the settings. Another name becomes a label only when an
    upstream has answered for it, and only MAX_MODELS do, because clients may send any name."""

    def __init__(self, models: Collection[str] = ()) -> None:
        self.models = frozenset(models)
        self.began = time.time()  # of this process: workers are forked
        self._met: set[str] = set()
        self._rows: dict[tuple[str, ...], Row] = {}  # by Labels
        self._attempts: dict[tuple[str, str, str, str], int] = {}  # by proxy_upstream_attempts_total's labels
        self._failed: dict[str, int] = {}  # attempts that were followed by another, by upstream

    def __repr__(self) -> str:
        return f"<Metrics {len(self._rows)} rows>"

    def saw(self, record: dict[str, Any]) -> None:
        """Counts a finished request."""
        status, error = record["status"], record.get("error.type", "")
        labels = (
            record["protocol"], record["gen_ai.operation.name"], record["client"], record["upstream"],
            self.model(record["gen_ai.request.model"], status == 200), str(status) if status else "none", error,
            record["ended"],
        )  # fmt: skip
        row = self._rows.get(labels)  # a tuple finds what its like with names is kept under
        if row is None:
            row = self._new(Labels._make(labels))
        row.add(record)
        if record["attempts"]:
            for failed in record["tried"]:
                self._try(failed["upstream"], failed["model"], failed["error"], failed["status"])
                self._failed[failed["upstream"]] = self._failed.get(failed["upstream"], 0) + 1
            self._try(record["upstream"], record["upstream_model"], error or "answered", status)

    def _try(self, upstream: str, model: str, outcome: str, status: int) -> None:
        name = self.model(model, outcome == "answered") if len(self._attempts) < MAX_ROWS else OTHER
        key = upstream, name, outcome, str(status) if status else "none"
        self._attempts[key] = self._attempts.get(key, 0) + 1

    def model(self, name: str, answered: bool = False) -> str:
        """The name of a model as a value of a label."""
        if name in self.models or name in self._met:
            return name
        if answered and len(self._met) < MAX_MODELS:
            self._met.add(name)
            return name
        return OTHER if name else ""

    def _new(self, labels: Labels) -> Row:
        if len(self._rows) >= MAX_ROWS:
            labels = labels._replace(model=OTHER, client=OTHER)
        return self._rows.setdefault(labels, Row())

    # ---------------------------------------------------------------------------------------- for /metrics

    def samples(self) -> list[Sample]:
        """All counts, in types that JSON has."""
        sums: dict[tuple[str, tuple[str, ...]], Any] = {}
        for labels, row in self._rows.items():
            for family, chosen, value in _read(Labels._make(labels), row):
                key = family, chosen
                if isinstance(value, Histogram):
                    _sum_up(sums.setdefault(key, Histogram(value.bounds)), value)
                else:
                    sums[key] = sums.get(key, 0) + value
        found = [sample(family, chosen, value) for (family, chosen), value in sums.items()]
        found += [sample("proxy_upstream_attempts_total", labels, times) for labels, times in self._attempts.items()]
        found += [sample("proxy_retries_total", (upstream,), times) for upstream, times in self._failed.items()]
        return found


def sample(family: str, labels: Iterable[str], value: float | Histogram) -> Sample:
    """One sample, in types that JSON has."""
    if isinstance(value, Histogram):
        return [family, list(labels), value.counts, value.sum]
    return [family, list(labels), value]


def _read(of: Labels, row: Row) -> Iterator[tuple[str, tuple[str, ...], float | Histogram]]:
    """The values of a row, by family and labels."""
    gen_ai = of.operation, of.upstream, of.model
    yield "gen_ai_server_request_duration_seconds", (*gen_ai, of.error), row.duration
    for family, histogram in (
        ("gen_ai_server_time_to_first_token_seconds", row.first),
        ("gen_ai_server_time_per_output_token_seconds", row.per_token),
    ):
        if any(histogram.counts):
            yield family, gen_ai, histogram
    if any(row.output.counts):
        yield "gen_ai_client_token_usage", (*gen_ai, "input"), row.input
        yield "gen_ai_client_token_usage", (*gen_ai, "output"), row.output
        for kind, count in (
            ("input", row.input_tokens),
            ("output", row.output_tokens),
            ("cache_read", row.cache_read),
            ("cache_write", row.cache_write),
            ("reasoning", row.reasoning),
        ):
            yield "proxy_tokens_total", (of.client, of.upstream, of.model, kind), count
    status = f"{of.code[0]}xx" if of.code != "none" else of.code
    yield "proxy_requests_total", (of.protocol, of.upstream, status, of.code, of.error), row.requests
    yield "proxy_client_requests_total", (of.client, status), row.requests
    yield "proxy_ended_total", (of.protocol, of.ended), row.requests
    if row.cost_usd:
        yield "proxy_cost_usd_total", (of.client, of.upstream, of.model), round(row.cost_usd, 6)
    yield "proxy_overhead_seconds", (of.protocol, of.upstream), row.overhead
    yield "proxy_queue_seconds", (of.upstream,), row.queue
    yield "proxy_bytes_total", (of.protocol, "in"), row.bytes_in
    yield "proxy_bytes_total", (of.protocol, "out"), row.bytes_out


def _sum_up(to: Histogram, more: Histogram) -> None:
    to.counts = [a + b for a, b in zip(to.counts, more.counts, strict=True)]
    to.sum += more.sum
