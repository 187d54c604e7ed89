"""Rows and their bounds, histograms, and Prometheus' text, of one worker and of several."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from operate import exposition, metrics
from operate.metrics import Histogram, Metrics

RECORD: dict[str, Any] = {
    "protocol": "chat", "gen_ai.operation.name": "chat", "client": "ann", "upstream": "up",
    "gen_ai.request.model": "m", "status": 200, "ended": "finished", "attempts": 1, "tried": [],
    "upstream_model": "m", "proxy.cost_usd": 0.25, "bytes_in": 10, "bytes_out": 20,
    "total_ms": 100.0, "overhead_ms": 0.5, "queue_ms": 0.0, "first_token_ms": 50.0, "stream_ms": 40.0,
    "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 5, "gen_ai.usage.cache_read.input_tokens": 60,
    "gen_ai.usage.cache_creation.input_tokens": 0, "gen_ai.usage.reasoning.output_tokens": 1,
}  # fmt: skip
UNKNOWN = {key: None for key in RECORD if key.startswith("gen_ai.usage")}


def counted(*records: dict[str, Any], models: tuple[str, ...] = ("m",)) -> Metrics:
    made = Metrics(models)
    for record in records:
        made.saw(RECORD | record)
    return made


def page(*states: tuple[str, Metrics]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(sample, its labels) -> value, once through JSON, as from another process."""
    told = [(worker, json.loads(json.dumps(made.samples()))) for worker, made in states]
    text, _ = exposition.text(told)
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def total(found: dict[Any, float], name: str, **labels: str) -> float:
    return sum(
        value for (sample, own), value in found.items() if sample == name and labels.items() <= dict(own).items()
    )


def test_a_histogram_counts_what_is_at_or_below_each_bound() -> None:
    made = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 99.0):
        made.add(value)
    assert made.counts == [2, 2, 1] and made.sum == 104.0


def test_buckets_add_up() -> None:
    found = page(("", counted({"total_ms": 5.0}, {"total_ms": 15.0}, {"total_ms": 1e9})))
    name = "gen_ai_server_request_duration_seconds"
    by_bound = {dict(own)["le"]: value for (sample, own), value in found.items() if sample == f"{name}_bucket"}
    assert by_bound["0.05"] == by_bound["300.0"] == 2 and by_bound["+Inf"] == 3
    assert total(found, f"{name}_count") == 3 and total(found, f"{name}_sum") == pytest.approx(1e6 + 0.02)


def test_what_is_not_known_is_not_counted() -> None:
    found = page(("", counted(UNKNOWN | {"first_token_ms": None, "stream_ms": None, "status": 0})))
    names = {name for name, _ in found}
    assert not any(name.startswith(("gen_ai_client", "gen_ai_server_time", "proxy_tokens")) for name in names)
    assert total(found, "proxy_requests_total", status="none") == 1


def test_time_per_token_is_of_those_after_the_first() -> None:
    found = page(("", counted({}, {"gen_ai.usage.output_tokens": 1}, {"stream_ms": None})))
    assert total(found, "gen_ai_server_time_per_output_token_seconds_sum") == pytest.approx(0.01)
    assert total(found, "gen_ai_server_time_per_output_token_seconds_count") == 1


def test_rows_of_other_labels_are_summed_by_what_a_family_asks() -> None:
    records = [{"client": client, "error.type": error} for client in "ab" for error in ("", "timeout")]
    found = page(("", counted(*records)))
    assert total(found, "proxy_client_requests_total", client="a") == 2
    assert total(found, "proxy_requests_total", error_type="timeout") == 2


def test_tries_that_a_fallback_hides_are_counted_where_they_failed() -> None:
    failed = {"upstream": "sick", "model": "s", "key": 1, "status": 503, "error": "overloaded", "message": "busy"}
    odd = failed | {"model": "made-up"}
    records = [{"attempts": 3, "tried": [failed, odd]}, {"attempts": 0}, {"attempts": 2}]  # the last had a hedge
    found = page(("", counted(*records, models=("m", "s"))))
    tries = "proxy_upstream_attempts_total"
    assert total(found, tries, upstream="sick", model="s", outcome="overloaded", status="503") == 1
    assert total(found, tries, upstream="sick", model="other") == 1
    assert total(found, tries, upstream="up", model="m", outcome="answered", status="200") == 2
    assert total(found, "proxy_retries_total", upstream="sick") == total(found, "proxy_retries_total") == 2


def test_costs_and_codes() -> None:
    found = page(("", counted({}, {}, {"status": 429, "error.type": "rate_limit"}, {"proxy.cost_usd": None})))
    assert total(found, "proxy_cost_usd_total", client="ann", upstream="up", model="m") == 0.75
    assert total(found, "proxy_requests_total", status="4xx", code="429", error_type="rate_limit") == 1
    assert total(found, "proxy_requests_total", status="2xx", code="200") == 3


# ------------------------------------------------------------------------------------------------- bounds


def test_models_that_clients_make_up_are_other() -> None:
    made = counted(*({"gen_ai.request.model": f"made-up-{n}", "status": 404} for n in range(50)))
    assert total(page(("", made)), "gen_ai_server_request_duration_seconds_count", gen_ai_request_model="other") == 50


def test_models_that_were_answered_for_have_names_but_only_so_many() -> None:
    made = counted(*({"gen_ai.request.model": f"model-{n}"} for n in range(2 * metrics.MAX_MODELS)))
    found = page(("", made))
    names = {dict(own)["model"] for sample, own in found if sample == "proxy_tokens_total"}
    assert len(names) == metrics.MAX_MODELS + 1 and "other" in names and "model-0" in names
    assert made.model("m") == "m"  # the settings' own always has its name
    assert made.model("") == ""


def test_rows_are_bounded_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_ROWS", 20)
    made = counted(*({"client": f"c{n}"} for n in range(100)))
    assert len(made._rows) <= 21
    assert total(page(("", made)), "proxy_client_requests_total") == 100


# ------------------------------------------------------------------------------------------------ workers


def test_each_worker_has_series_of_its_own() -> None:
    found = page(("0", counted({}, {})), ("1", counted({})))
    assert total(found, "proxy_requests_total", worker="0") == 2 and total(found, "proxy_requests_total") == 3


def test_one_alone_has_no_number() -> None:
    assert not any("worker" in dict(own) for _, own in page(("", counted({}))))


def test_odd_names_do_not_spoil_the_page() -> None:
    odd = 'a"b\\c\nd é'
    found = page(("", counted({"client": odd})))
    assert total(found, "proxy_client_requests_total", client=odd) == 1
