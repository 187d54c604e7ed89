"""Requests and tokens a minute, and what upstreams say of their limits: every shape seen, and absurd ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.limits.rate_limit import LONGEST_S, Headroom, Quota, asked_wait, resets_in, used_up

UNIX = 1_700_000_000.0  # 2023-11-14T22:13:20Z
MASKED = "X" * 3  # recorded traffic has such in place of some numbers

# ------------------------------------------------------------------------------------------- our own bounds


def test_requests_flow_in_evenly() -> None:
    quota = Quota(60, 0, 0.0)
    assert [quota.take(0, 0.0) for _ in range(60)] == [0.0] * 60, "a minute's worth at once"
    assert quota.take(0, 0.0) == pytest.approx(1.0)
    assert quota.take(0, 0.5) == pytest.approx(0.5), "what was refused is not charged"
    assert quota.take(0, 1.0) == 0.0
    assert quota.take(0, 1.0) == pytest.approx(1.0)


@pytest.mark.parametrize("burst", [1, 30, 600])
def test_a_promise_holds_in_the_first_minute_of_an_overload_and_in_each_later_one(burst: int) -> None:
    """However many come at once: no more than 600 in the minute, and about 600 in each minute after it."""
    quota, went = Quota(600, 0, 0.0, is_promise=True), [0, 0, 0]
    for tenth in range(1800):
        asked = burst if tenth == 0 else 3
        went[tenth // 600] += sum(quota.take(0, tenth / 10) == 0.0 for _ in range(asked))
    assert went[0] <= 600 and all(590 <= count <= 610 for count in went)


def test_a_promise_tells_when_the_minute_is_over() -> None:
    quota = Quota(2, 0, 0.0, is_promise=True)
    assert [quota.take(0, 5.0), quota.take(0, 6.0)] == [0.0, 0.0]
    assert quota.take(0, 10.0) == pytest.approx(55.0)
    assert quota.take(0, 65.0) == 0.0
    assert quota.take(0, 65.0) == pytest.approx(30.0), "from then on they flow in evenly"
    quota.give_back(0)
    assert quota.take(0, 65.0) == 0.0, "what did not go is not counted"


def test_no_more_than_a_minutes_worth_is_kept() -> None:
    quota = Quota(10, 0, 0.0)
    assert sum(quota.take(0, 10_000.0) == 0.0 for _ in range(30)) == 10


def test_tokens_are_charged_and_corrected() -> None:
    quota = Quota(0, 6000, 0.0)
    assert quota.take(5000, 0.0) == 0.0
    assert quota.take(2000, 0.0) == pytest.approx(10.0)
    quota.correct(-4000)
    assert quota.take(2000, 0.0) == 0.0
    quota.correct(+6000)
    assert quota.take(1, 0.0) == pytest.approx(30.01), "it may go into debt"


def test_a_correction_gives_no_more_than_a_full_bucket() -> None:
    quota = Quota(0, 6000, 0.0)
    quota.correct(-1_000_000)
    assert quota.take(6000, 0.0) == 0.0
    assert quota.take(600, 0.0) == pytest.approx(6.0)


def test_a_request_larger_than_a_minute_waits_for_a_full_bucket_and_leaves_a_debt() -> None:
    quota = Quota(0, 6000, 0.0)
    assert quota.take(600, 0.0) == 0.0
    assert quota.take(18_000, 0.0) == pytest.approx(6.0)
    assert quota.take(18_000, 6.0) == 0.0
    assert quota.take(60, 6.0) == pytest.approx(120.6)


def test_both_bounds_hold_and_neither_is_charged_for_the_other() -> None:
    quota = Quota(2, 6000, 0.0)
    assert quota.take(6000, 0.0) == 0.0
    assert quota.take(3000, 0.0) == pytest.approx(30.0), "tokens lack"
    assert quota.take(0, 0.0) == 0.0
    assert quota.take(0, 0.0) == pytest.approx(30.0), "requests lack"


@pytest.mark.parametrize(
    ("requests", "tokens", "bounds", "counts"),
    [(0, 0, False, False), (1, 0, True, False), (0, 1, True, True), (1, 1, True, True)],
)
def test_no_bound(requests: int, tokens: int, bounds: bool, counts: bool) -> None:
    quota = Quota(requests, tokens, 0.0)
    assert (quota.bounds, quota.counts_tokens) == (bounds, counts)
    if not bounds:
        quota.correct(10**9)
        assert {quota.take(10**9, 0.0) for _ in range(1000)} == {0.0}


@settings(max_examples=50)
@given(
    st.integers(1, 100_000),
    st.integers(1, 10_000_000),
    st.lists(st.tuples(st.floats(0, 30), st.floats(0, 5)), min_size=1, max_size=40),
)
def test_who_waits_as_long_as_told_may_go(
    requests_a_minute: int, tokens_a_minute: int, asked: list[tuple[float, float]]
) -> None:
    """Also though sums of floats never come out even: else one would ask again and again for the last billionth."""
    start = now = 123_456.7
    quota, spent = Quota(requests_a_minute, tokens_a_minute, start), 0
    for pause, minutes in asked:
        now += pause
        tokens = int(minutes * tokens_a_minute)
        wait = quota.take(tokens, now)
        if wait:
            assert 0 < wait < math.inf
            assert wait < 1e-3 or quota.take(tokens, now + wait / 2) > 0
            now += wait
            assert quota.take(tokens, now) == 0.0
        assert spent <= tokens_a_minute * (1 + (now - start) / 60) * 1.000001, "no debt is forgotten"
        spent += tokens


# ------------------------------------------------------------------------------------- what upstreams say

RESETS: list[tuple[str, float | None]] = [
    ("1s", 1), ("0s", 0), ("12ms", 0.012), ("6m0s", 360), ("1m12.5s", 72.5), ("8h24m0.5s", 30240.5), ("2d", 172800),
    ("1m30ms", 60.03), ("0.25s", 0.25), ("30", 30), ("0", 0), ("59.6", 59.6), (" 5 ", 5), ("1e1", 10),
    ("1700000030", 30), ("1700000030000", 30), ("1600000000", 0), ("1600000000000", 0),
    ("2023-11-14T22:13:50Z", 30), ("2023-11-14T22:13:50+00:00", 30), ("2023-11-14T23:13:50+01:00", 30),
    ("2023-11-14T22:13:50.5Z", 30.5), ("2023-11-14T22:13:50", 30), ("2020-01-01T00:00:00Z", 0), ("0001-01-01", 0),
    ("-5", 0), ("-1e400", None), ("nan", None), ("NaN", None), ("inf", None), ("-inf", None), ("1e400", None),
    ("", None), (" ", None), ("soon", None), ("1s2h", None), ("5 s", None), ("s", None), ("m", None), ("1.5h", None),
    (f"X-RATELIMIT-RESET-TOKENS-{MASKED}", None), ("9" * 400, None), ("9" * 400 + "s", None), ("9" * 400 + "d1s", None),
    ("2023-99-99T00:00:00Z", None), ("\u0664\u0662s", 42),
]  # fmt: skip


@pytest.mark.parametrize(("text", "seconds"), RESETS, ids=[repr(row[0])[:30] for row in RESETS])
def test_resets_in(text: str, seconds: float | None) -> None:
    assert resets_in(text.strip(), UNIX) == (None if seconds is None else pytest.approx(seconds))


WAITS: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry-after": "2"}, 2),
    ({"retry-after": " 2 "}, 2),
    ({"retry-after": "0.5"}, 0.5),
    ({"retry-after": "0"}, 0),
    ({"retry-after": "-3"}, 0),
    ({"retry-after": "1e400"}, None),
    ({"retry-after": "nan"}, None),
    ({"retry-after": "86400"}, 86400),
    ({"retry-after": "Tue, 14 Nov 2023 22:13:35 GMT"}, 15),
    ({"retry-after": "Tue, 14 Nov 2023 22:13:35 -0000"}, 15),
    ({"retry-after": "Tue, 14 Nov 2023 23:13:35 +0100"}, 15),
    ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0),
    ({"retry-after": "Sunday, 06-Nov-94 08:49:37 GMT"}, 0),
    ({"retry-after": "Fri, 31 Dec 99999 23:59:59 GMT"}, None),
    ({"retry-after": "later"}, None),
    ({"retry-after": f"RETRY-AFTER-{MASKED}"}, None),
    ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
    ({"retry-after-ms": "0", "retry-after": "1"}, 0),
    ({"retry-after-ms": "-1"}, 0),
    ({"retry-after-ms": "nan", "retry-after": "1"}, 1),
    ({"retry-after-ms": "", "retry-after": "1"}, 1),
    # a limit that is used up says it too, if nothing else does
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}, 20),
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s", "retry-after": "3"}, 3),
    ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "0s"}, None),
    ({"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "20s"}, None),
    ({"x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000040000"}, 40),
    ({"x-ratelimit-limit": "20", "x-ratelimit-remaining": "19", "x-ratelimit-reset": "1700000040000"}, None),
    ({"x-ratelimit-reset": "1700000040"}, 40),
    ({"x-ratelimit-reset": f"X-RATELIMIT-RESET-{MASKED}"}, None),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "seconds"), WAITS, ids=[repr(row[0])[1:60] for row in WAITS])
def test_asked_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait(list(headers.items()), UNIX) == (None if seconds is None else pytest.approx(seconds))


# Every family of names in the recorded traffic: (what is left, when it is full again), as each writes it.
FAMILIES = [
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset", "2023-11-14T22:13:50Z"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset", "2023-11-14T22:13:50Z"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset", "2023-11-14T22:13:50Z"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset", "2023-11-14T22:13:50Z"),
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", "30s"),  # OpenAI
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens", "30"),  # Azure
    ("x-ratelimit-remaining-requests-day", "x-ratelimit-reset-requests-day", "30.0"),  # Cerebras
    ("x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute", "30.0"),
    ("x-ratelimit-remaining", "x-ratelimit-reset", "1700000030000"),  # OpenRouter
    ("ratelimit-remaining", "ratelimit-reset", "30"),  # the IETF's draft
]


@pytest.mark.parametrize(("left", "reset", "value"), FAMILIES, ids=[row[0] for row in FAMILIES])
def test_headroom_learns_of_each_family(left: str, reset: str, value: str) -> None:
    for headers in ([(left, "0"), (reset, value)], [(reset, value), ("date", "x"), (left, "0")]):
        room = Headroom()
        room.learn(headers, 100.0, UNIX)
        assert room.free_at == pytest.approx(130.0)
    for nothing in ("1", "-1", "", "00000001", "nan", f"{left.upper()}-{MASKED}"):
        room = Headroom()
        room.learn([(left, nothing), (reset, value)], 100.0, UNIX)
        assert room.free_at == 0.0


OTHERS = [
    {"x-ratelimit-limit-tokens": "0", "x-ratelimit-reset-tokens": "30s"},  # a limit of nothing is none
    {"x-ratelimit-remaining-images": "0", "x-ratelimit-reset-images": "30s"},  # is not what is asked here
    {"x-ratelimit-requests": "0", "x-ratelimit-requests-reset": "30s"},
    {"x-ratelimit-remaining-requests": "0"},
    {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": f"X-RATELIMIT-RESET-REQUESTS-{MASKED}"},
    {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "-20"},
    {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "NaN"},
    {"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2020-01-01T00:00:00Z"},
    {"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-limit-tokens": "-1", "x-ratelimit-reset-tokens": "0"},
    {"x-ratelimit-abusepenalty-active": "0", "x-ratelimit-key": "0"},
]


@pytest.mark.parametrize("headers", OTHERS, ids=lambda headers: next(iter(headers)))
def test_headroom_learns_nothing_of(headers: dict[str, str]) -> None:
    room = Headroom()
    room.learn(list(headers.items()), 100.0, UNIX)
    assert room.free_at == 0.0


def test_the_last_of_several_limits_counts_and_a_later_answer_takes_nothing_back() -> None:
    both = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "12ms",
            "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6s"}  # fmt: skip
    for headers in (list(both.items()), list(both.items())[::-1]):
        room = Headroom()
        room.learn(headers, 100.0, UNIX)
        assert room.free_at == pytest.approx(106.0)
    room.learn([("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1s")], 101.0, UNIX)
    assert room.free_at == pytest.approx(106.0)


@pytest.mark.parametrize("absurd", ["8h24m0s", "9" * 300, "1e300", "9999-12-31T23:59:59Z", "99999999999"])
def test_an_absurd_reset_is_not_believed_but_told(absurd: str) -> None:
    headers = [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", absurd)]
    room = Headroom()
    room.learn(headers, 100.0, UNIX)
    assert room.free_at == 100.0 + LONGEST_S
    assert used_up(headers, UNIX) > 1000
    assert (asked_wait(headers, UNIX) or 0) > 1000, "so that the client hears it at once"


NAMES = st.sampled_from(
    ["retry-after", "retry-after-ms", "x-ratelimit-reset", *(name for row in FAMILIES for name in row[:2])]
)
VALUES = st.one_of(
    st.sampled_from(["0", *(row[0] for row in RESETS)]),
    st.text(max_size=40),
    st.floats().map(str),
    st.datetimes().map(str),
    st.from_regex(r"(\d{1,9}[dhms]{1,2}){0,5}", fullmatch=True),
    st.from_regex(r"[A-Za-z]{0,4},? ?\d{0,3}[ -][A-Z][a-z]{2}[ -]\d{0,6} [\d:]{0,9} ?[-+A-Z0-9]{0,6}", fullmatch=True),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
@example([("retry-after", "Tue, 14 Nov")])
@example([("retry-after", ",")])
def test_whatever_they_say_is_a_time_or_nothing(headers: list[tuple[str, str]]) -> None:
    wait = asked_wait(headers, UNIX)
    assert wait is None or 0 <= wait < math.inf
    room = Headroom()
    room.learn(headers, 100.0, UNIX)
    assert room.free_at == 0.0 or 100.0 < room.free_at <= 100.0 + LONGEST_S


def _recorded(found: Any) -> list[list[tuple[str, str]]]:
    """Every set of headers in a recorded exchange that speaks of limits."""
    if isinstance(found, list):
        return [headers for inner in found for headers in _recorded(inner)]
    if not isinstance(found, dict):
        return []
    pairs = [(str(name).lower(), value) for name, value in found.items() if isinstance(value, str)]
    told = [pairs] if any("ratelimit" in name or "retry-after" in name for name, _ in pairs) else []
    return told + [headers for inner in found.values() for headers in _recorded(inner)]


def test_recorded_answers_are_understood(recorded_traffic: Path) -> None:
    """None of them was used up; those that said when to come back are heard; every reset is one."""
    heard = resets = 0
    for path in sorted((recorded_traffic / "exchanges").glob("*.json")):
        text = path.read_text()
        if "ratelimit" not in text and "retry-after" not in text:
            continue
        for headers in _recorded(json.loads(text)):
            room = Headroom()
            room.learn(headers, 100.0, UNIX)
            assert 0.0 <= room.free_at <= 100.0 + LONGEST_S
            wait = asked_wait(headers, UNIX)
            if any(name == "retry-after" for name, _ in headers):
                assert wait is not None and 0 <= wait <= 60
                heard += 1
            for name, value in headers:
                if "ratelimit" in name and "reset" in name and MASKED not in value:
                    assert resets_in(value, UNIX) is not None, (name, value)
                    resets += 1
    assert heard and resets
