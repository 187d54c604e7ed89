"""Alive, ready, and /metrics: what machines ask for, and who may."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway.observe import live_metrics
from operate.metric_families import FAMILIES
from operate.version import VERSION
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Upstream

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
OK = Answer.json({"id": "x", "choices": [CHOICE], "usage": {"prompt_tokens": 10, "completion_tokens": 5}})
BEGUN = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
END = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
KEYS = "\n[client ann]\nkey = sk-ann-123456789\n[client root]\nkey = sk-root-12345678\nadmin = true\n"
NOWHERE = "http://127.0.0.1:9"


def scraped(house: House, headers: dict[str, str] | None = None) -> dict[str, Metric]:
    status, got, page = house.get("/metrics", headers)
    assert status == 200 and got["content-type"].startswith("text/plain")
    return {family.name: family for family in text_string_to_metric_families(page.decode())}


def test_the_page_is_packed_for_who_takes_it() -> None:
    with served(OK) as house:
        house.post(CHAT, ASKED)
        _, plain, page = house.get("/metrics")
        _, packed, zipped = house.get("/metrics", {"accept-encoding": "gzip"})
    assert "content-encoding" not in plain and packed["content-encoding"] == "gzip"
    assert b"proxy_requests_total{" in page and b"proxy_requests_total{" in gzip.decompress(zipped)
    assert len(zipped) * 4 < len(page)


def value(families: dict[str, Metric], sample: str, **labels: str) -> float:
    """The sum over all series of a sample that have the labels."""
    found = [
        one.value
        for family in families.values()
        for one in family.samples
        if one.name == sample and labels.items() <= one.labels.items()
    ]
    assert found, (sample, labels)
    return sum(found)


@contextmanager
def served(*answers: Answer, more: str = "", server: str = "", tail: str = "") -> Iterator[House]:
    with Upstream(list(answers)) as up, House(one_upstream(up.url, "chat", more, server) + tail) as house:
        yield house


# ---------------------------------------------------------------------------------------- alive and ready


@pytest.mark.parametrize("path", ["/", "/healthz", "/health/liveliness", "/health/liveness"])
def test_alive_needs_no_key(path: str) -> None:
    with House(one_upstream(NOWHERE, "chat") + KEYS) as house:
        assert house.get(path)[0] == house.request("HEAD", path)[0] == 200


@pytest.mark.parametrize("path", ["/readyz", "/health/readiness"])
def test_ready_needs_no_key_and_names_nobody(path: str) -> None:
    with House(one_upstream(NOWHERE, "chat") + KEYS) as house:
        status, headers, body = house.get(path)
        assert (status, json.loads(body), headers["cache-control"]) == (200, {"status": "ok"}, "no-store")
        assert house.request("HEAD", path)[0] == 200


def test_not_ready_while_it_drains() -> None:
    gate = Gate()
    with served(Answer.sse([BEGUN, gate, END])) as house, house.connect() as kept, house.connect() as streaming:
        streaming.send("POST", CHAT, ASKED | {"stream": True})
        streaming.head()
        kept.send("GET", "/healthz")
        kept.reply()
        house._loop.call_soon_threadsafe(house._stop.set)
        house.wait(lambda p: p.service.in_flight.stage == "draining")
        kept.send("GET", "/readyz")
        status, _, body = kept.reply()
        assert (status, json.loads(body)["status"]) == (503, "draining")
        gate.open()
        assert b"[DONE]" in b"".join(streaming.pieces())


def test_not_ready_while_every_upstream_is_broken() -> None:
    tail = "[retry]\nmax_attempts = 1\n[breaker]\nconsecutive = 2\ncooldown = 60\n"
    two = f"n = other\n[upstream other]\nprotocol = chat\nbase_url = {NOWHERE}\n"
    with served(Answer.json({}, 500), Answer.json({}, 500), tail=two + tail) as house:
        assert house.get("/readyz")[0] == 200  # nobody has been asked
        for _ in range(2):
            assert house.post(CHAT, ASKED)[0] == 500
        assert house.get("/readyz")[0] == 200  # the other may do
        for _ in range(2):
            house.post(CHAT, ASKED | {"model": "n"})
        status, _, body = house.get("/readyz")
        assert (status, json.loads(body)["status"]) == (503, "no usable upstream")
        assert value(scraped(house), "proxy_breaker_state", upstream="up") == 2
        # after its rest it may be asked again: whoever sends requests only to the ready must get to know
        house.on_loop(lambda: [setattr(p.breaker, "reopens_at", 0.0) for p in house.proxy.service.places])
        assert house.get("/readyz")[0] == 200


def test_not_ready_while_the_only_key_is_refused_but_a_limit_is_no_fault() -> None:
    limit = Answer.json({"error": {"message": "slow down"}}, 429, headers={"retry-after": "50"})
    tail = "[retry]\nmax_attempts = 1\nmax_retry_after = 0\n"
    with served(limit, Answer.json({"error": {"message": "key"}}, 401), tail=tail) as house:
        assert house.post(CHAT, ASKED)[0] == 429
        assert house.get("/readyz")[0] == 200
        house.on_loop(lambda: [setattr(p.headroom, "free_at", 0.0) for p in house.proxy.service.places])
        assert house.post(CHAT, ASKED)[0] == 401
        assert house.get("/readyz")[0] == 503


# --------------------------------------------------------------------------------------- who may read them


@pytest.mark.parametrize(
    ("mode", "key", "status"),
    [
        ("admin", "", 401), ("admin", "sk-ann-123456789", 403), ("admin", "sk-root-12345678", 200),
        ("open", "", 200), ("off", "sk-root-12345678", 404),
    ],
)  # fmt: skip
def test_who_may_read_the_metrics(mode: str, key: str, status: int) -> None:
    with House(one_upstream(NOWHERE, "chat", "", f"metrics = {mode}") + KEYS) as house:
        got, _, body = house.get("/metrics", {"Authorization": f"Bearer {key}"} if key else {})
    assert got == status and b"sk-" not in body


def test_without_clients_this_machine_may() -> None:
    with House(one_upstream(NOWHERE, "chat")) as house:
        assert house.get("/metrics")[0] == 200
        assert house.get("/metrics", {"Host": "evil.example"})[0] == 403


def test_open_metrics_are_given_to_who_asks_for_them() -> None:
    with House(one_upstream(NOWHERE, "chat")) as house:
        _, headers, body = house.get("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})
    assert headers["content-type"].startswith("application/openmetrics-text") and body.endswith(b"# EOF\n")


def test_off_means_not_counted() -> None:
    with served(OK, server="metrics = off") as house:
        house.post(CHAT, ASKED)
        house.wait(lambda p: not p.service.flows)
        house.on_loop(house.proxy.service.observers.flush)
        assert house.proxy.console.metrics.counted.samples() == []


def test_a_change_of_the_settings_holds_at_once() -> None:
    with served(OK, OK, OK) as house:
        service = house.proxy.service

        def counted_after(mode: str) -> tuple[int, float]:
            """(status of the page, requests that are counted) after one more."""
            chosen = replace(service.settings, server=structs.replace(service.settings.server, metrics=mode))
            house.on_loop(lambda: house.proxy.adopt(chosen))
            house.post(CHAT, ASKED)
            house.wait(lambda p: not p.service.flows)
            house.on_loop(service.observers.flush)
            samples = house.proxy.console.metrics.counted.samples()
            counted = sum(one[2] for one in samples if one[0] == "proxy_requests_total")
            return house.get("/metrics")[0], counted

        assert [counted_after(mode) for mode in ("admin", "off", "open")] == [(200, 1), (404, 1), (200, 2)]


# ------------------------------------------------------------------------------------------ what they say


def test_requests_tokens_and_times() -> None:
    stream = Answer.sse([BEGUN, 0.02, END.replace(b"]}", b'],"usage":{"prompt_tokens":7,"completion_tokens":3}}', 1)])
    with served(OK, stream, Answer.json({"error": {"message": "no"}}, 400), tail=KEYS) as house:
        mine = {"x-api-key": "sk-ann-123456789"}
        house.post(CHAT, ASKED, mine)
        house.post(MESSAGES, ASKED | {"stream": True, "top_k": 4}, mine)
        house.wait(lambda p: p.service.client.connections() == (0, 1))  # the client may have its end a moment earlier
        house.post(CHAT, ASKED, mine)
        house.post(CHAT, ASKED | {"model": "x" * 40}, {"x-api-key": "nobody"})
        house.wait(lambda p: not p.service.flows)
        got = scraped(house, {"x-api-key": "sk-root-12345678"})
    ok = {"status": "2xx", "error_type": ""}
    assert value(got, "proxy_requests_total", protocol="chat", upstream="up", **ok) == 1
    assert value(got, "proxy_requests_total", protocol="messages", upstream="up", **ok) == 1
    assert value(got, "proxy_requests_total", status="4xx", error_type="invalid_request", upstream="up") == 1
    assert value(got, "proxy_requests_total", status="4xx", error_type="authentication", upstream="") == 1
    assert value(got, "proxy_client_requests_total", client="ann") == 3
    assert value(got, "proxy_tokens_total", client="ann", model="m", type="input") == 17
    assert value(got, "gen_ai_client_token_usage_sum", gen_ai_token_type="output", gen_ai_request_model="m") == 8
    gen_ai = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "up", "gen_ai_request_model": "m"}
    assert value(got, "gen_ai_server_request_duration_seconds_count", error_type="", **gen_ai) == 2
    assert value(got, "gen_ai_server_time_to_first_token_seconds_count", **gen_ai) == 2
    assert value(got, "gen_ai_server_time_per_output_token_seconds_count", **gen_ai) == 1
    assert value(got, "gen_ai_server_time_per_output_token_seconds_sum", **gen_ai) >= 0.005
    assert value(got, "proxy_overhead_seconds_count", upstream="up") == 3
    assert value(got, "proxy_dropped_fields_total", field="top_k") == 1
    assert value(got, "proxy_pool_connections_opened_total") == 1
    assert value(got, "proxy_pool_connections_reused_total") == 2
    assert value(got, "proxy_pool_reused_ratio") == pytest.approx(2 / 3, abs=0.001)
    assert value(got, "proxy_pool_connections", state="idle") == 1


def test_what_goes_on_just_now() -> None:
    gate = Gate()
    with served(Answer.sse([BEGUN, gate, END]), OK, more="max_concurrent = 1") as house:
        with house.connect() as first, house.connect() as second:
            first.send("POST", CHAT, ASKED | {"stream": True})
            first.head()
            second.send("POST", CHAT, ASKED)
            house.wait(lambda p: p.service.admission.waiting == 1)
            got = scraped(house)
            assert value(got, "proxy_requests_in_flight") == 2 and value(got, "proxy_streams_open") == 1
            assert value(got, "proxy_upstream_busy", upstream="up") == 1
            assert value(got, "proxy_upstream_waiting") == value(got, "proxy_admission_waiting") == 1
            assert value(got, "proxy_pool_connections", state="active") == 1
            assert value(got, "proxy_pool_connections", state="idle") == 0
            assert value(got, "proxy_request_bytes_held") > 0
            gate.open()
            second.reply()
        house.wait(lambda p: not p.service.flows)
        got = scraped(house)
    assert value(got, "proxy_requests_in_flight") == value(got, "proxy_pool_connections", state="active") == 0
    assert value(got, "proxy_admission_queued_total") == 1


def test_cancellations_retries_and_kept_counts() -> None:
    busy, quick = Answer.json({"error": {"message": "busy"}}, 503), "[retry]\nbackoff = 0.01\nmax_backoff = 0.02\n"
    with served(busy, OK, Answer.silence(), tail=quick) as house:
        house.post(CHAT, ASKED)
        with house.connect() as client:
            client.send("POST", CHAT, ASKED)
            house.wait(lambda p: any(flow.failover.attempts for flow in p.service.flows))
        house.wait(lambda p: not p.service.flows)
        for _ in range(3):
            house.post("/v1/messages/count_tokens", ASKED)
        got = scraped(house)
    assert value(got, "proxy_retries_total", upstream="up") == 1
    assert value(got, "proxy_ended_total", ended="left") == value(got, "proxy_pool_cancelled_total") == 1
    assert value(got, "proxy_token_counts_total", answer="estimated") == 1
    assert value(got, "proxy_token_counts_total", answer="estimate kept") == 2


def test_a_connection_that_the_upstream_closed_is_idle_no_more() -> None:
    with served(Answer.json({"id": "x", "choices": [CHOICE]}, headers={"connection": "close"})) as house:
        house.post(CHAT, ASKED)
        house.wait(lambda p: p.service.client.connections() == (0, 0))


def test_the_loops_lag_is_sampled() -> None:
    with House(one_upstream(NOWHERE, "chat")) as house:
        house.on_loop(lambda: time.sleep(0.6))  # over the time of a sample
        house.wait(lambda p: p.console.metrics.lag.late.sum > 0.05)


def test_each_sample_is_of_a_known_family_and_has_its_labels() -> None:
    with served(OK, Answer.json({}, 500), tail="[cache]\nmodels = *\n") as house:
        house.post(MESSAGES, ASKED | {"top_k": 4})
        house.post(CHAT, ASKED)
        house.wait(lambda p: not p.service.flows)
        samples = house.on_loop(lambda: house.proxy.service.worker_rpc._own(live_metrics.PATH)["samples"])
    for name, labels, *_ in samples:
        assert len(labels) == len(FAMILIES[name].labels), name
    said = {name for name, *_ in samples}
    unsaid = {"gen_ai_server_time_per_output_token_seconds", "proxy_retries_total", "proxy_cost_usd_total",
              "proxy_hook_answers_total"}  # fmt: skip
    assert FAMILIES.keys() - said == unsaid  # there was no stream, no retry, no price and no hook


def test_a_key_that_was_refused_is_told_of() -> None:
    refused = Answer.json({"error": {"message": "no", "type": "authentication_error"}}, 401)
    with served(refused, OK, more="keys = first-key-0001, second-key-0002\n") as house:
        house.post(CHAT, ASKED)
        got = scraped(house)
    usable = [value(got, "proxy_upstream_key_usable", upstream="up", key=number) for number in ("1", "2")]
    assert sorted(usable) == [0, 1]
    assert value(got, "proxy_upstream_attempts_total", outcome="authentication", status="401") == 1
    assert value(got, "proxy_retries_total", upstream="up") == 1


def test_what_runs_and_since_when() -> None:
    with served() as house:
        got = scraped(house)
        told = house.proxy.service.loaded_at
    (build,) = got["proxy_build_info"].samples
    assert build.labels["version"] == VERSION and build.labels["libcurl"].count(".") == 2 and build.value == 1
    assert value(got, "proxy_settings_loaded_time_seconds") == round(told, 3)
    assert value(got, "proxy_settings_reloads_total", outcome="refused") == 0


def test_names_of_fields_are_bounded() -> None:
    with House(one_upstream(NOWHERE, "chat")) as house:
        service = house.proxy.service
        house.on_loop(lambda: service.observers.dropped.update({f"f{n}": 1 for n in range(400)}))
        got = scraped(house)
    assert len(got["proxy_dropped_fields"].samples) == live_metrics.MAX_FIELDS + 1
    assert value(got, "proxy_dropped_fields_total", field="other") == 400 - live_metrics.MAX_FIELDS
