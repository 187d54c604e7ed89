"""Sends traces, and metrics if wanted, to an OpenTelemetry collector (OTLP over HTTP) with the official SDK.

A request has a span, and each of its attempts a span below it, with OpenTelemetry's names for generative AI. They are
made of the request's record when it is over. A thread makes and sends them, so that a slow collector delays no request:
the number that waits is limited, and what does not fit is counted as dropped. Only this module imports the SDK, and it
is imported only if the settings name a collector.
"""

from __future__ import annotations

import collections
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import export as metrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from gateway.flow.trace import Span, Trace, Tracing
from operate.metric_families import FAMILIES, Family
from operate.metrics import Sample
from operate.settings.sections import Telemetry
from operate.version import VERSION

log = logging.getLogger("proxy")

MOST_WAITING = 4096  # requests
BATCH = 256  # requests
SOON_S = 1.0
TIMEOUT_S = 10.0
ENDS_WITHIN_S = 3.0  # at the end of the process
TELL_S = 60.0  # between two lines in the log about a collector that does not answer

Record = Mapping[str, Any]
_SCOPE = InstrumentationScope("anthropic-proxy", VERSION)
_COPIED = (
    "gen_ai.operation.name", "gen_ai.request.model", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.reasoning.output_tokens", "url.path", "client.address", "user_agent.original", "error.type",
    "proxy.cost_usd",
)  # fmt: skip
_OWN = {
    "request_id": "proxy.request_id", "client": "proxy.client", "upstream": "proxy.upstream",
    "attempts": "proxy.attempts", "ended": "proxy.ended", "queue_ms": "proxy.queue_ms",
    "overhead_ms": "proxy.overhead_ms", "protocol": "proxy.protocol", "session": "gen_ai.conversation.id",
    "agent": "gen_ai.agent.id", "stream": "gen_ai.request.stream", "status": "http.response.status_code",
}  # fmt: skip


class Sender:
    """provider_of(upstream, default): what OpenTelemetry calls the provider of an upstream. read_metrics: the samples
    of this process, None = metrics are not sent. It has a thread from its making to stop(), so that it is made in the
    process that uses it."""

    def __init__(
        self,
        settings: Telemetry,
        tracing: Tracing,
        worker: int,
        provider_of: Callable[[str, str], str],
        read_metrics: Callable[[], list[Sample]] | None = None,
    ) -> None:
        named = {"service.name": settings.service_name, "service.version": VERSION, "service.instance.id": str(worker)}
        self._resource = Resource.create(named)
        self._tracing = tracing
        self._provider_of = provider_of
        self._read = read_metrics if settings.metrics else None
        base, headers = settings.otlp_endpoint.rstrip("/"), {each.name.lower(): each.value for each in settings.headers}
        self._spans = OTLPSpanExporter(
            f"{base}/v1/traces", headers=headers, timeout=TIMEOUT_S, compression=Compression.Gzip
        )
        self._metrics = OTLPMetricExporter(
            f"{base}/v1/metrics", headers=headers, timeout=TIMEOUT_S, compression=Compression.Gzip
        )
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # failures are logged here, and not every second
        self._every_s = settings.metrics_seconds
        self._waiting: collections.deque[tuple[Trace, Record]] = collections.deque()
        self._news = threading.Event()
        self._ending = False
        self._told_at = -TELL_S
        self._began_ns = time.time_ns()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Sender {len(self._waiting)} waiting, {self._tracing!r}>"

    def traced(self, trace: Trace, record: Record) -> None:
        """A request is over."""
        if not trace.sampled:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._tracing.dropped += 1 + len(trace.attempts)
            return
        self._waiting.append((trace, record))
        if len(self._waiting) >= BATCH:
            self._news.set()

    def stop(self) -> None:
        """Sends what waits, for a few seconds at most."""
        self._ending = True
        self._news.set()
        self._thread.join(ENDS_WITHIN_S)
        self._spans.shutdown()  # type: ignore[no-untyped-call]  # also ends its waits between two attempts
        self._metrics.shutdown()

    # ------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        due = time.monotonic() + self._every_s
        while True:
            self._news.wait(SOON_S)
            self._news.clear()
            ending = self._ending
            while self._waiting:
                self._send([self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))])
            if self._read is not None and (ending or time.monotonic() >= due):
                due = time.monotonic() + self._every_s
                self._send_metrics(self._read)
            if ending:
                return

    def _send(self, batch: Sequence[tuple[Trace, Record]]) -> None:
        spans: list[ReadableSpan] = []
        for trace, record in batch:
            try:
                spans += self._of_request(trace, record)
            except Exception:  # an odd value must not end the thread
                log.exception("an error in the proxy: request %s has no spans", record.get("request_id"))
        try:
            sent = self._spans.export(spans) is SpanExportResult.SUCCESS
        except Exception as why:
            log.debug("spans: %r", why)
            sent = False
        if sent:
            self._tracing.sent += len(spans)
        else:
            self._tracing.dropped += len(spans)
            self._tell(f"{len(spans)} spans were not taken")

    def _send_metrics(self, read: Callable[[], list[Sample]]) -> None:
        try:
            sent = self._metrics.export(self._measured(read())) is metrics.MetricExportResult.SUCCESS
        except Exception as why:
            log.debug("metrics: %r", why)
            sent = False
        if not sent:
            self._tell("the metrics were not taken")

    def _tell(self, what: str) -> None:
        now = time.monotonic()
        if now - self._told_at >= TELL_S:
            self._told_at = now
            log.warning("the collector of [telemetry] otlp_endpoint does not answer as it should: %s", what)

    # ------------------------------------------------------------------------------------------------ spans

    def _of_request(self, trace: Trace, record: Record) -> list[ReadableSpan]:
        ended, operation = record["time"], record["gen_ai.operation.name"]
        attributes = {name: record[name] for name in _COPIED if record.get(name) not in (None, "")}
        attributes |= {to: record[name] for name, to in _OWN.items() if record.get(name) not in (None, "")}
        attributes |= {f"proxy.tag.{name}": value for name, value in record.get("tags", {}).items()}
        if record["dropped"]:
            attributes["proxy.dropped"] = list(record["dropped"])
        if record["first_token_ms"] is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = record["first_token_ms"] / 1e3
        attributes |= self._of_upstream(record["upstream"], record["upstream_model"])
        failed = "error.type" in record
        status = Status(StatusCode.ERROR, record.get("error.message", "")) if failed else Status(StatusCode.UNSET)
        spans = [
            self._span(
                trace, trace.span, trace.parent, SpanKind.SERVER, f"{operation} {record['gen_ai.request.model']}",
                attributes, status, (trace.began, ended),
            )
        ]  # fmt: skip
        for attempt in trace.attempts:
            won = not failed and not attempt.error
            spans.append(self._of_attempt(trace, attempt, record, ended, won=won))
        return spans

    def _of_attempt(self, trace: Trace, span: Span, record: Record, ended: float, *, won: bool) -> ReadableSpan:
        url, operation = urlsplit(span.url), record["gen_ai.operation.name"]
        attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.request.model": span.model,
            "server.address": url.hostname or "",
            "server.port": url.port or (443 if url.scheme == "https" else 80),
            "proxy.upstream": span.upstream,
            "proxy.protocol": span.protocol,
        } | self._of_upstream(span.upstream, span.model if won else "")
        if span.status:
            attributes["http.response.status_code"] = span.status
        if won:
            usage = {name: record[name] for name in _COPIED if "usage" in name and record.get(name) is not None}
            attributes |= usage
        elif span.error:
            attributes["error.type"] = span.error
        status = Status(StatusCode.ERROR, span.error) if span.error and not won else Status(StatusCode.UNSET)
        times = span.began, span.ended or ended
        return self._span(
            trace, span.id, trace.span, SpanKind.CLIENT, f"{operation} {span.model}", attributes, status, times
        )

    def _of_upstream(self, upstream: str, model: str) -> dict[str, Any]:
        found: dict[str, Any] = {"gen_ai.provider.name": self._provider_of(upstream, upstream)} if upstream else {}
        return found | ({"gen_ai.response.model": model} if model else {})

    def _span(
        self, trace: Trace, id: int, parent: int, kind: SpanKind, name: str, attributes: Mapping[str, Any],
        status: Status, times: tuple[float, float],
    ) -> ReadableSpan:  # fmt: skip
        flags, state = TraceFlags(TraceFlags.SAMPLED), TraceState.from_header([trace.state] if trace.state else [])
        began, ended = times
        return ReadableSpan(
            name.strip(),
            SpanContext(trace.id, id, is_remote=False, trace_flags=flags, trace_state=state),
            SpanContext(trace.id, parent, is_remote=parent == trace.parent, trace_flags=flags) if parent else None,
            self._resource,
            attributes,
            kind=kind,
            status=status,
            start_time=int(began * 1e9),
            end_time=int(max(began, ended) * 1e9),
            instrumentation_scope=_SCOPE,
        )

    # ---------------------------------------------------------------------------------------------- metrics

    def _measured(self, samples: list[Sample]) -> metrics.MetricsData:
        """The families of /metrics, with OpenTelemetry's own names where it has some."""
        now = time.time_ns()
        by_family: dict[str, list[Sample]] = {}
        for sample in samples:
            by_family.setdefault(sample[0], []).append(sample)
        made = [self._metric(name, FAMILIES[name], rows, now) for name, rows in by_family.items()]
        scope = metrics.ScopeMetrics(_SCOPE, made, "")
        return metrics.MetricsData([metrics.ResourceMetrics(self._resource, [scope], "")])

    def _metric(self, name: str, family: Family, rows: list[Sample], now: int) -> metrics.Metric:
        data: metrics.Sum | metrics.Gauge | metrics.Histogram
        if family.kind == "histogram":
            points = [
                metrics.HistogramDataPoint(
                    _labels(family, row), self._began_ns, now, sum(row[2]), row[3], row[2], family.bounds, 0.0, 0.0
                )
                for row in rows
            ]
            data = metrics.Histogram(points, metrics.AggregationTemporality.CUMULATIVE)
        else:
            numbers = [metrics.NumberDataPoint(_labels(family, row), self._began_ns, now, row[2]) for row in rows]
            if family.kind == "counter":
                data = metrics.Sum(numbers, metrics.AggregationTemporality.CUMULATIVE, True)
            else:
                data = metrics.Gauge(numbers)
        return metrics.Metric(_named(name), family.why, "s" if "seconds" in name else "", data)


def _named(name: str) -> str:
    if not name.startswith("gen_ai_"):
        return name
    for side in ("gen_ai_server_", "gen_ai_client_"):
        if name.startswith(side):
            return side.replace("gen_ai_", "gen_ai.").rstrip("_") + "." + _DOTTED[name.removeprefix(side)]
    return name


_DOTTED = {
    "request_duration_seconds": "request.duration",
    "time_to_first_token_seconds": "time_to_first_token",
    "time_per_output_token_seconds": "time_per_output_token",
    "token_usage": "token.usage",
}


def _labels(family: Family, row: Sample) -> dict[str, str]:
    named = dict(zip(family.labels, map(str, row[1]), strict=True))
    return {_LABELS.get(name, name): value for name, value in named.items()}


_LABELS = {
    "gen_ai_operation_name": "gen_ai.operation.name",
    "gen_ai_provider_name": "gen_ai.provider.name",
    "gen_ai_request_model": "gen_ai.request.model",
    "gen_ai_token_type": "gen_ai.token.type",
    "error_type": "error.type",
}
