"""The counts behind the dashboard: windows, histograms, tallies. All of them bounded, and they add up."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.dashboard import merging, tallies, window
from console.dashboard.tallies import Tallies
from console.dashboard.watch import MAX_CAPTURED_BYTES, MAX_RECENT, MAX_UPSTREAMS, Captured, Watch
from console.dashboard.window import Window
from gateway.flow.info import Info
from operate.settings import load
from tests.console.dashboard.records import record

FAR = "[upstream far]\nprotocol = chat\nbase_url = https://api.example.com\n"
NEAR = "[upstream near]\nprotocol = chat\nbase_url = http://10.1.2.3:8080\n"


def watch(more: str = "") -> Watch:
    settings = load.read(FAR + NEAR + more, environ={})
    return Watch(settings, clock=lambda: 1_000_000.0)


# ---------------------------------------------------------------------------------------------- windows


@given(st.lists(st.floats(0.01, 3e6), min_size=1, max_size=300))
def test_percentiles_are_near_the_truth(times: list[float]) -> None:
    bins: dict[int, int] = {}
    for ms in times:
        bins[window.bin_of(ms)] = bins.get(window.bin_of(ms), 0) + 1
    for share, told in zip((0.5, 0.95, 0.99), window.quantiles(bins, 0.5, 0.95, 0.99), strict=True):
        truth = sorted(times)[math.ceil(share * len(times)) - 1]
        assert told is not None and (told == pytest.approx(max(truth, 1.0), rel=0.06))


def test_no_times_have_no_percentiles() -> None:
    assert window.quantiles({}, 0.5, 0.99) == [None, None]


def test_a_window_is_bounded_and_forgets() -> None:
    of_hour = Window(5.0, 720)
    for second in range(0, 20_000, 5):
        of_hour.at(1e6 + second)["requests"] += 1
    assert len(of_hour.since(1e6 + 20_000, 1e9)) == 720
    assert sum(bucket["requests"] for bucket in of_hour.since(1e6 + 19_999, 60)) == 12
    assert of_hour.since(1e6 + 30_000, 60) == []


def test_a_clock_that_is_put_back_loses_nothing() -> None:
    of_hour = Window(5.0, 10)
    of_hour.at(1000.0)["requests"] += 1
    of_hour.at(400.0)["requests"] += 1
    assert [bucket["requests"] for bucket in of_hour.since(1000.0, 60)] == [2]


def test_buckets_of_two_processes_add_up_also_through_json() -> None:
    one, two = window.empty(7), window.empty(7)
    one |= {"requests": 2, "first": {10: 1}, "streams": 3}
    two |= {"requests": 5, "first": {10: 2, 11: 1}, "streams": 1}
    both = window.by_number([one, json.loads(json.dumps(two))])
    assert both[7]["requests"] == 7 and both[7]["first"] == {10: 3, 11: 1} and both[7]["streams"] == 4


# ----------------------------------------------------------------------------------------------- tallies


def test_names_that_clients_make_up_are_bounded() -> None:
    of = Tallies()
    for n in range(1000):
        of.of(f"model-{n}")["requests"] += 1
    kept = {tally["name"]: tally["requests"] for tally in of.all()}
    assert len(kept) == tallies.MAX_NAMES + 1 and kept["other"] == 1000 - tallies.MAX_NAMES


def test_an_unknown_cost_stays_unknown_and_a_known_one_is_a_sum() -> None:
    one = tallies.empty("a") | {"requests": 1, "unpriced": 1}
    assert tallies.added([one, dict(one)])[0]["cost"] is None
    two = tallies.empty("a") | {"requests": 2, "cost": 0.5}
    [both] = tallies.added([one, two])
    assert both["cost"] == 0.5 and both["requests"] == 3 and both["unpriced"] == 1


# ------------------------------------------------------------------------------------------------- watch


def test_a_request_is_counted_everywhere_once() -> None:
    on = watch()
    on.finished(record("a", cached=500, output=50, cost=0.00065))
    tried = [{"upstream": "near", "status": 502}] * 2
    more = {"input": None, "output": None, "first_token_ms": None, "attempts": 4}  # a connection had died
    on.finished(record("b", status=502, error="upstream", tried=tried, **more))
    whole = window.added(on.hour.since(1_000_000.0, 60))
    assert (whole["requests"], whole["errors"], whole["retries"]) == (2, 1, 2)
    assert (whole["input"], whole["cached"], whole["output"]) == (1000, 500, 50)
    [model], [client] = on.models.all(), on.clients.all()
    assert model["name"] == "far/gpt-5.1" and client["name"] == "me"
    assert model["cost"] == client["cost"] == 0.00065
    assert [entry.cost is None for entry in on.recent] == [False, True]
    assert on.upstreams["far"].since(1_000_000.0, 300)[0]["requests"] == 2


def test_a_record_is_remembered_as_it_was() -> None:
    big = record("c", input=2**70, output=10**30)
    on, said = watch(), [record("a"), record("b", upstream_model="half \ud83d"), big]
    for each in said:
        on.finished(each)
    assert [entry.key for entry in on.recent] == ["a", "b", "c"]
    assert [entry.record for entry in on.recent] == said
    assert [type(entry.said) for entry in on.recent] == [bytes, dict, bytes]


def test_counts_of_tokens_are_listed_but_hide_nothing() -> None:
    on = watch()
    on.finished(record(operation="count_tokens", first_token_ms=0.1, total_ms=0.1))
    assert len(on.recent) == 1 and not on.hour.since(1_000_000.0, 60) and not on.models.all()


def test_everything_that_is_remembered_is_bounded() -> None:
    on = watch()
    for n in range(MAX_RECENT + 50):
        on.finished(record(str(n), upstream=f"u{n}", upstream_model=f"m{n}", client=f"c{n}"))
    assert len(on.recent) == MAX_RECENT and on.recent[0].record["request_id"] == "50"
    assert len(on.upstreams) <= MAX_UPSTREAMS
    assert max(len(on.models.all()), len(on.clients.all())) <= tallies.MAX_NAMES + 1
    for n in range(60):
        on._capture(str(n), Captured("chat", b"x" * 500_000, b"y" * 500_000))
    on._capture("huge", Captured("chat", b"x" * 2_000_000, b""))
    assert on._captured_bytes <= MAX_CAPTURED_BYTES and "huge" not in on.captured
    assert on._captured_bytes == sum(len(each.original) + len(each.sent) for each in on.captured.values())
    on._capture("59", Captured("chat", b"again", b""))
    assert on._captured_bytes == sum(len(each.original) + len(each.sent) for each in on.captured.values())


@pytest.mark.parametrize("more, errors", [({}, 0), ({"error": "api_error"}, 1)])
def test_what_was_tried_elsewhere_before_is_counted_there(more: dict[str, Any], errors: int) -> None:
    on = watch()
    on.finished(record(attempts=2, tried=[{"upstream": "near", "status": 500}], **more))
    sums = {name: [(each["requests"], each["errors"]) for each in window.since(1e6, 60)]
            for name, window in on.upstreams.items()}  # fmt: skip
    assert sums == {"near": [(1, 1)], "far": [(1, errors)]}
    for tally in (on.models.of("far/gpt-5.1"), on.clients.of("me")):
        assert (tally["requests"], tally["errors"]) == (1, errors)


def test_looking_into_prompts_takes_no_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look takes 30 ms here: four at once, then one in a second and a half."""
    spent, wall = [0.0], [1000.0]
    monkeypatch.setattr("console.dashboard.watch.time.thread_time", lambda: spent[0])
    settings = load.read(FAR, environ={})
    on = Watch(settings, clock=lambda: wall[0])
    looked: list[bool] = []

    def asked(key: str, session: str, client: str, model: str, data: object) -> None:
        looked.append(data is not None)
        spent[0] += 0.03 if data is not None else 0.0

    monkeypatch.setattr(on.cache, "asked", asked)
    info = Info("k", "chat", "", "", "m", 1, "s", b"", {"messages": []})
    for _ in range(10):
        on._asked(info)
    assert looked == [True] * 4 + [False] * 6
    wall[0] += 2.0
    on._asked(info)
    on._asked(info)
    assert looked[10:] == [True, False]


# ----------------------------------------------------------------------------------------------- merging


def test_the_worst_state_of_any_worker_is_told() -> None:
    def said(breaker: str) -> dict[str, Any]:
        place = {"name": "far/m", "breaker": breaker, "opened_times": 1, "busy": 2, "first_byte_ms": 5.0,
                 "usable_in_s": 0.0}  # fmt: skip
        return {"upstreams": {"far": {"protocols": ["chat"], "busy": 2, "limit": 10, "waiting": 1, "places": [place],
                                      "drained": None, "buckets": []}, "idle": {"off": "no key"}}}  # fmt: skip

    both = said("closed")
    both["upstreams"]["far"]["places"].append(said("open")["upstreams"]["far"]["places"][0] | {"name": "far/other"})
    assert merging.upstreams([both])[0]["breaker"] == "open"
    far, idle = merging.upstreams([said("closed"), said("open"), said("half-open")])
    assert far["breaker"] == "open" and far["busy"] == 6 and far["limit"] == 30 and far["waiting"] == 3
    assert far["places"][0]["opened_times"] == 3 and idle["off"] == "no key" and far["off"] is None


def test_a_session_of_two_workers_is_one() -> None:
    def said(last: float, prompt: int, cached: int) -> dict[str, object]:
        change = {"time": last, "where": "tools[0]"}
        session = {"session": "s", "client": "me", "model": "m", "requests": 1, "looked": 1, "prompt": prompt,
                   "cached": cached, "last_hit": 0.5, "last": last, "changes": [change]}  # fmt: skip
        return {"parses": False, "sessions": [session], "replies": {}}

    [both] = merging.cache([said(2.0, 100, 50), said(1.0, 300, 50)])["sessions"]
    assert both["hit"] == 0.25 and both["requests"] == 2 and both["last"] == 2.0
    assert [change["time"] for change in both["changes"]] == [1.0, 2.0]


def test_prices_are_settings_like_others() -> None:
    chosen = load.read(FAR + "[prices]\nm = 1, 2\n", environ={})
    assert dict(chosen.prices) == {"m": (1.0, 2.0)}
    assert any(line.startswith("m = 1, 2") for line in chosen.describe())


def test_a_request_that_fell_back_counts_where_it_failed_and_where_it_went() -> None:
    seen = watch()
    seen.finished(record(tried=[{"upstream": "near", "status": 502}], attempts=2))
    far, near = (seen.upstreams[name].at(1_000_000.0) for name in ("far", "near"))
    assert (near["requests"], near["errors"]) == (1, 1)
    assert (far["requests"], far["errors"], far["retries"]) == (1, 0, 1)
    hour = seen.hour.at(1_000_000.0)
    assert (hour["requests"], hour["errors"]) == (1, 0)
    assert [tally["errors"] for tally in (*seen.models.all(), *seen.clients.all())] == [0, 0]
