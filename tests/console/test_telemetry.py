"""Traces to a collector: a real receiver of OTLP over HTTP, which reads what it gets with OpenTelemetry's own types."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.flow.trace import Tracing
from operate.settings.load import SettingsError, read
from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import ASK, PATH, QUICK, STREAM, event, house_text, says

pytest.importorskip(
    "opentelemetry.exporter.otlp.proto.http", reason="not installed: OpenTelemetry (pip install -r extras/otel.txt)"
)

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from console import telemetry

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{}"


class Collector(http.server.ThreadingHTTPServer):
    """spans: all that came. metrics: by name. headers: of each request. It answers with `status` after `gate`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.metrics: dict[str, Any] = {}
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.gate = threading.Event()
        self.gate.set()
        self.changed = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def wait(self, spans: int) -> list[Any]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.spans) >= spans, 10), self.spans
        return self.spans


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        raw = gzip.decompress(raw) if self.headers.get("Content-Encoding") == "gzip" else raw
        self.server.gate.wait(10)
        with self.server.changed:
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
            if self.server.status == 200:
                self._take(raw)
            self.server.changed.notify_all()
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _take(self, raw: bytes) -> None:
        if self.path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(raw).resource_spans:
                self.server.resources.append(attributes(resource.resource))
                self.server.spans += [span for scope in resource.scope_spans for span in scope.spans]
        else:
            for metrics in ExportMetricsServiceRequest.FromString(raw).resource_metrics:
                self.server.metrics |= {each.name: each for scope in metrics.scope_metrics for each in scope.metrics}

    def log_message(self, *args: object) -> None:
        """Says nothing."""


def attributes(of: Any) -> dict[str, Any]:
    found = {}
    for each in of.attributes:
        kind = each.value.WhichOneof("value")
        found[each.key] = getattr(each.value, kind) if kind else None
    return found


@contextmanager
def collector() -> Iterator[Collector]:
    with Collector() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield made
        made.gate.set()
        made.shutdown()
        thread.join()


def text(up: Upstream, to: Collector, more: str = "", models: str = "* = a", **others: str) -> str:
    head = "[logging]\ntags = team\n[telemetry]\notlp_endpoint = {}\nheaders =\n    Authorization: Bearer {}-secret\n"
    return head.format(to.url, "collector") + more + "\n" + house_text(models, QUICK, a=up.url, **others)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A sender that was not waited for at the end has gone before the next test: it would speak into its log."""
    monkeypatch.setattr(telemetry, "SOON_S", 0.02)
    yield
    for thread in threading.enumerate():
        if thread.name == "telemetry":
            thread.join(20)
            assert not thread.is_alive()


def test_a_request_is_a_span_with_one_below_it(tmp_path: Path) -> None:
    headers = {"X-Proxy-Tags": "team=core", "x-session-id": "s-1", "User-Agent": "me/1"}
    with collector() as to, Upstream([says("hi")]) as up, House(text(up, to), folder=tmp_path) as house:
        assert house.post(PATH, ASK, headers)[0] == 200
        outer, inner = to.wait(2)
        asked = up.requests[0].headers["traceparent"]
    assert inner.parent_span_id == outer.span_id and inner.trace_id == outer.trace_id and not outer.parent_span_id
    assert asked == f"00-{inner.trace_id.hex()}-{inner.span_id.hex()}-01"
    assert (outer.name, inner.name, outer.kind, inner.kind) == ("chat m", "chat m", 2, 3)
    said = attributes(outer)
    assert said["gen_ai.operation.name"] == "chat" and said["gen_ai.request.model"] == "m"
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (1, 1)
    assert said["gen_ai.provider.name"] == "a" and said["http.response.status_code"] == 200
    assert said["url.path"] == PATH and said["user_agent.original"] == "me/1" and said["proxy.tag.team"] == "core"
    below = attributes(inner)
    assert below["server.address"] == "127.0.0.1" and below["server.port"] == up.port
    assert below["gen_ai.response.model"] == "m" and below["gen_ai.usage.output_tokens"] == 1
    assert outer.start_time_unix_nano <= inner.start_time_unix_nano <= inner.end_time_unix_nano
    assert inner.end_time_unix_nano <= outer.end_time_unix_nano + 50_000_000
    assert to.headers[0]["authorization"] == "Bearer collector-secret" and to.resources[0]["service.name"]
    record = json.loads((tmp_path / "performance.json").read_text())
    assert record["trace_id"] == outer.trace_id.hex() and record["request_id"] == said["proxy.request_id"]


def test_each_attempt_is_a_span_and_says_why_it_failed() -> None:
    busy = Answer.json({"error": {"message": "busy"}}, 503)
    with collector() as to, Upstream([busy]) as up, Upstream([says("b")]) as other:
        with House(text(up, to, models="* = a, b", b=other.url)) as house:
            house.post(PATH, ASK, {"traceparent": PARENT.format("01"), "tracestate": "v=1"})
            outer, first, second = to.wait(3)
        assert other.requests[0].headers["tracestate"] == "v=1"
    assert outer.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c" and outer.trace_state == "v=1"
    assert outer.parent_span_id.hex() == "b7ad6b7169203331" and outer.status.code == 0
    assert attributes(first)["error.type"] == "overloaded" and first.status.code == 2
    assert attributes(first)["http.response.status_code"] == 503 and "error.type" not in attributes(second)
    assert {span.parent_span_id for span in (first, second)} == {outer.span_id}


def test_a_refusal_and_a_stream() -> None:
    with collector() as to, Upstream([Answer.sse([event({"content": "x"}, "stop"), b"data: [DONE]\n\n"])]) as up:
        with House(text(up, to)) as house:
            assert house.post(PATH, STREAM)[0] == 200
            to.wait(2)
            assert house.post(PATH, {"messages": []})[0] == 400
            refused = to.wait(3)[2]
    assert attributes(to.spans[0])["gen_ai.response.time_to_first_chunk"] > 0
    assert refused.status.code == 2 and attributes(refused)["error.type"] == "invalid_request"


@pytest.mark.parametrize(("flags", "percent", "spans"), [("00", "100", 0), ("01", "0", 2), ("", "0", 0)])
def test_what_is_recorded(flags: str, percent: str, spans: int) -> None:
    """The client's decision counts; the upstream is told in any case."""
    headers = {"traceparent": PARENT.format(flags)} if flags else {}
    with collector() as to, Upstream([says("hi")] * 2) as up:
        with House(text(up, to, f"sample_percent = {percent}")) as house:
            house.post(PATH, ASK, headers)
        assert len(to.spans) == spans
    assert up.requests[0].headers["traceparent"].endswith("01" if spans else "00")


def test_without_a_collector_the_clients_traceparent_goes_on() -> None:
    with Upstream([says("hi")]) as up, House(house_text("* = a", a=up.url)) as house:
        house.post(PATH, ASK, {"traceparent": PARENT.format("01")})
    assert up.requests[0].headers["traceparent"] == PARENT.format("01")


def test_a_collector_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is dropped and counted, and the end of the process does not wait for it."""
    monkeypatch.setattr(telemetry, "MOST_WAITING", 3)
    monkeypatch.setattr(telemetry, "ENDS_WITHIN_S", 0.2)
    monkeypatch.setattr(telemetry, "TIMEOUT_S", 0.3)
    with collector() as to, Upstream(lambda r: says("hi")) as up, House(text(up, to)) as house:
        to.gate.clear()
        began = time.monotonic()
        for _ in range(20):
            assert house.post(PATH, ASK)[0] == 200
        house.on_loop(house.proxy.service.observers.flush)
        assert time.monotonic() - began < 5
        dropped = house.on_loop(lambda: house.proxy.service.tracing.dropped)
        page = house.get("/metrics")[2].decode()
        assert dropped >= 2 and "proxy_spans_dropped_total" in page


def test_a_collector_that_refuses_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with collector() as to, Upstream(lambda r: says("hi")) as up, House(text(up, to)) as house:
        to.status = 400
        for _ in range(3):
            house.post(PATH, ASK)
            house.on_loop(house.proxy.service.observers.flush)
        house.wait(lambda p: p.service.tracing.dropped == 6)
    said = [line.getMessage() for line in caplog.records if "otlp_endpoint" in line.getMessage()]
    assert len(said) == 1 and "spans were not taken" in said[0]


def test_metrics_by_choice() -> None:
    with collector() as to, Upstream([says("hi")]) as up, House(text(up, to, "metrics = true")) as house:
        house.post(PATH, ASK)
    duration = to.metrics["gen_ai.server.request.duration"].histogram.data_points[0]
    assert duration.count == 1 and attributes(duration)["gen_ai.request.model"] == "m"
    assert to.metrics["proxy_requests_total"].sum.data_points[0].as_int == 1
    assert to.metrics["proxy_requests_in_flight"].gauge.data_points
    assert "gen_ai.client.token.usage" in to.metrics


def test_settings_may_change(tmp_path: Path) -> None:
    with collector() as to, collector() as other, Upstream(lambda r: says("hi")) as up:
        file = tmp_path / "s.ini"
        with House(text(up, to), file=file) as house:
            house.post(PATH, ASK)
            file.write_text(text(up, other))
            house.wait(lambda p: p.service.settings.telemetry.otlp_endpoint == other.url)
            house.post(PATH, ASK)
            other.wait(2)
        assert len(to.spans) == 2


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_traces(share: float) -> None:
    seen = sum(Tracing(share).begins({}).sampled for _ in range(4000))
    assert abs(seen - 4000 * share) < 200  # 7 deviations


@pytest.mark.parametrize("said", ["", "00-0-0-01", PARENT.format("01")[:-1], "ff" + PARENT.format("01")[2:],
                                  "00-" + "0" * 32 + "-b7ad6b7169203331-01"])  # fmt: skip
def test_a_parent_that_is_none(said: str) -> None:
    found = Tracing(1.0).begins({"traceparent": said})
    assert found.parent == 0 and found.id and found.sampled


@pytest.mark.parametrize("url", ["localhost:4318", "ftp://x", "http://u:p@x", "http://x/?k=1"])
def test_an_endpoint_that_is_none(url: str) -> None:
    with pytest.raises(SettingsError):
        read(f"[telemetry]\notlp_endpoint = {url}\n[upstream a]\nprotocol = chat\nbase_url = http://a\n", environ={})
