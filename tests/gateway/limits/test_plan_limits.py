"""Limits of hours and days: how upstreams say when they end, and what the proxy does until then."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest

from gateway.flow import outcomes
from gateway.limits import plan_limits
from gateway.limits.rate_limit import MOST_S, PROBE_S, Headroom
from gateway.limits.retry_policy import Policy, _same_endpoint_may_do
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import ASK, PATH, QUICK, STREAM, error, house_text, said, says, section, streams
from translate.failures import errors

UNIX = 1_760_000_000.0  # 2025-10-09T08:53:20Z, 01:53:20 in California
TO_MIDNIGHT = 22 * 3600 + 6 * 60 + 40.0
CLAUDES = "anthropic-ratelimit-unified-"
DAY = {"@type": "type.googleapis.com/google.rpc.QuotaFailure",
       "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "x": 1}]}  # fmt: skip
MINUTE = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]}
SOON = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}


def google(*details: dict[str, Any]) -> dict[str, Any]:
    message = "You exceeded your current quota, please check your plan and billing details. Please retry in 37.4s."
    return {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": message, "details": list(details)}}


def says_only(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


CODEX = {"type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "plus"}
# What comes (headers, body), after how many seconds it may be asked again, and whether it is a limit of hours.
TOLD: dict[str, tuple[dict[str, str], dict[str, Any], float | None, bool]] = {
    "Claude's plan": (
        {f"{CLAUDES}status": "rejected", f"{CLAUDES}reset": "1760013262", f"{CLAUDES}5h-status": "rejected"},
        {"type": "error", "error": {"type": "rate_limit_error", "message": "This request would exceed your account's"}},
        13262, False),
    "its window alone": (
        {f"{CLAUDES}5h-status": "allowed", f"{CLAUDES}5h-reset": "1760000100",
         f"{CLAUDES}7d-status": "rejected", f"{CLAUDES}7d-reset": "1760300000"}, says_only("no"), 300_000, False),
    "beside a short backoff": (
        {f"{CLAUDES}status": "rejected", f"{CLAUDES}reset": "1760013262", "retry-after": "0"}, says_only("no"), 13262,
        False),
    "a plan that is not used up": (
        {f"{CLAUDES}status": "allowed", f"{CLAUDES}reset": "1760013262", "retry-after": "2"}, says_only("no"), 2,
        False),
    "ChatGPT's plan": ({}, {"error": CODEX | {"resets_at": 1760018000, "resets_in_seconds": 17_999}}, 17_999, True),
    "its moment alone": ({}, {"error": CODEX | {"resets_at": 1760018000}}, 18_000, True),
    "its words alone": ({}, {"error": CODEX}, None, True),
    "its headers": (
        {"x-codex-primary-used-percent": "100", "x-codex-primary-reset-after-seconds": "471285",
         "x-codex-secondary-used-percent": "3", "x-codex-secondary-reset-after-seconds": "9999999"},
        says_only("no"), 471_285, False),
    "Gemini's day": ({}, google(DAY, SOON), TO_MIDNIGHT, True),
    "Gemini's minute": ({}, google(MINUTE, SOON), 37, False),
    "its plan's delay": (
        {}, google({"reason": "QUOTA_EXHAUSTED", "metadata": {"quotaResetDelay": "1h16m0.5s"}}), 4560.5, False),
    "OpenRouter's day": (
        {}, {"error": {"message": "Rate limit exceeded: free-models-per-day. Add 10 credits", "code": 429,
                       "metadata": {"headers": {"X-RateLimit-Remaining": "0",
                                                "X-RateLimit-Reset": "1760054400000"}}}}, 54_400, True),
    "OpenRouter's header": ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1760054400000"}, says_only("no"),
                            54_400, False),
    "Groq's day": ({}, says_only("Rate limit reached on tokens per day (TPD). Please try again in 1h4m48.5s. Visit"),
                   3888.5, True),
    "Copilot": ({}, says_only("Sorry, your request was rate-limited. Please wait 9 hours 23 minutes and try again!"),
                33_780, False),
    "Copilot's week": ({}, says_only("no", code="user_weekly_rate_limited"), None, True),
    "z.ai": ({}, says_only("Usage limit reached for 5 hour. Your limit will reset at 2025-11-05 03:38:21", code="1308"),
             None, True),
    "Cerebras": ({"x-ratelimit-remaining-requests-day": "0", "x-ratelimit-reset-requests-day": "33011.4"},
                 says_only("Requests per day limit exceeded"), 33011.4, True),
    "Azure": ({"retry-after-ms": "1500", "retry-after": "2"}, says_only("Please retry after 26 seconds."), 1.5, False),
    "Mistral": ({}, says_only("Requests rate limit exceeded"), None, False),
    "days": ({}, says_only("Try again in 3 days 4 hours 5 minutes."), 273_900, False),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_when_a_limit_ends(name: str) -> None:
    headers, body, wait, is_long = TOLD[name]
    outcome = outcomes.of_status(429, json.dumps(body).encode(), list(headers.items()), b"{}", UNIX)
    assert (outcome.error.kind, outcome.error.status) == ("rate_limit", 429)
    assert outcome.retry_after == outcome.error.retry_after == (None if wait is None else pytest.approx(wait, abs=0.01))
    assert outcome.error.reset.is_long is is_long
    assert _same_endpoint_may_do(Policy(), outcome) is not (is_long and wait is None)


def test_a_plans_headers_beside_another_error_say_nothing() -> None:
    headers = [("x-codex-primary-used-percent", "100"), ("x-codex-primary-reset-after-seconds", "471285")]
    assert outcomes.of_status(503, b"{}", headers, b"{}", UNIX).retry_after is None


ODD: list[dict[str, Any]] = [
    {"resets_at": True}, {"resets_in_seconds": "x"}, {"resets_at": 1e400}, {"resets_at": -5}, {"resets_at": "9" * 400},
    {"resets_at": [1]}, {"metadata": {"headers": [1]}}, {"metadata": {"headers": {"X-RateLimit-Reset": {}}}},
    {"details": [{"violations": [1]}]}, {"details": [{"violations": "PerDay"}]}, {"details": [{"metadata": 5}]},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_odd_fields_are_no_times(odd: dict[str, Any]) -> None:
    error = errors.of_object({"error": {"message": "no", **odd}}, 429)
    assert error is not None and error.reset.wait(UNIX) is None


def test_what_a_client_has_said_itself_lays_nothing_to_rest() -> None:
    body = json.dumps(says_only("cannot serve 'try again in 5 hours, usage limit'")).encode()
    asked = json.dumps({"messages": [{"role": "user", "content": "Try again in 5 hours, usage limit"}]}).encode()
    assert outcomes.of_status(429, body, [], asked, UNIX).retry_after is None
    assert outcomes.of_status(429, body, [], b"{}", UNIX).retry_after == 18_000


def test_a_day_of_google_is_one_of_california() -> None:
    error = errors.parse(429, json.dumps(google(DAY)).encode())
    winter = 1_767_000_000.0  # 2025-12-29T09:20:00Z, 01:20:00 in California
    assert plan_limits.wait((), error, winter) == pytest.approx(22 * 3600 + 40 * 60)


@pytest.mark.parametrize(("seconds", "text"), [(30, "1 min"), (3600, "1 h 0 min"), (13262, "3 h 42 min"),
                                               (90_000, "1 d 1 h"), (600_000, "6 d 22 h")])  # fmt: skip
def test_long_times_are_shown_for_people(seconds: float, text: str) -> None:
    assert plan_limits.shown(seconds) == text


# ------------------------------------------------------------------------------------------ until it ends


def test_one_request_at_a_time_finds_out_whether_it_is_over() -> None:
    room = Headroom()
    room.refused(18_000, 100.0)
    assert (room.free_at, room.resets_at) == (100 + PROBE_S, 18_100)
    room.probes(400.0)
    assert room.free_at > 400, "the others go elsewhere while one asks"
    room.works(99.0)
    assert room.resets_at == 18_100, "it was sent before the limit was reached"
    room.works(400.0)
    assert (room.free_at, room.resets_at) == (0.0, 0.0)
    room.refused(1e9, 100.0)
    assert room.resets_at == 100 + MOST_S


def test_short_limits_are_as_they_were() -> None:
    room = Headroom()
    room.refused(20.0, 100.0)
    room.probes(130.0)
    assert (room.free_at, room.resets_at) == (120.0, 0.0)


KEYS = "keys = sk-first-000000001, sk-other-000000002\n"
USED_UP = [
    ("chat", Answer.json({"error": CODEX | {"resets_in_seconds": 17_999}}, 429)),
    ("chat", error(429, "Usage limit reached for 5 hour. Your limit will reset at 2025-11-05 03:38:21", code="1308")),
    ("chat", Answer.json(google(DAY, SOON), 429)),
    ("chat", error(429, headers={f"{CLAUDES}status": "rejected", f"{CLAUDES}reset": str(int(time.time()) + 13_262)})),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "refusal"), USED_UP)
def test_a_used_up_plan_costs_one_attempt_and_is_told_once(protocol: str, refusal: Answer, caplog: Any) -> None:
    """The place would be asked again after ten seconds, or a minute. A look at its state needs no wait for them."""
    with Upstream(lambda r: refusal if "first" in r.headers["authorization"] else says("other")) as up:
        with House(house_text("* = a", QUICK, a=section(up.url, KEYS, protocol))) as house:
            assert [said(house.post(PATH, ASK)) for _ in range(8)] == ["other"] * 8
            now = time.monotonic()
            [place] = [each for each in house.proxy.service.places if each.headroom.resets_at]
            assert place.name == "a/m" and not place.usable(now + 200) and place.usable(now + PROBE_S + 1)
            assert place.usable_at() > now + 200 and "its limit is used up" in place.why_not(now)
    assert len([each for each in up.requests if "first" in each.headers["authorization"]]) == 1
    told = [line.getMessage() for line in caplog.records if "used up a limit" in line.getMessage()]
    assert len(told) == 1 and "its key 1 (...0001)" in told[0] and caplog.records[0].levelno <= logging.WARNING


IN_A_HOUR = str(int(time.time()) + 3600)
CODEX_ALL = {"x-codex-primary-used-percent": "100", "x-codex-primary-reset-after-seconds": "3600"}
OF_ALL_MODELS = {
    "five hours": {f"{CLAUDES}status": "rejected", f"{CLAUDES}5h-status": "rejected", f"{CLAUDES}5h-reset": IN_A_HOUR},
    "a week": {f"{CLAUDES}status": "rejected", f"{CLAUDES}7d-status": "rejected", f"{CLAUDES}7d-reset": IN_A_HOUR},
    "Codex": CODEX_ALL,
}
OF_ONE = {
    "a week of Opus": {f"{CLAUDES}status": "rejected", f"{CLAUDES}reset": IN_A_HOUR, f"{CLAUDES}5h-status": "allowed",
                       f"{CLAUDES}7d-status": "allowed", f"{CLAUDES}7d_opus-status": "rejected"},
    "another of Codex's": CODEX_ALL | {"x-codex-primary-used-percent": "9", "Retry-After": "3600"},
    "Google's day": {},
}  # fmt: skip


@pytest.mark.parametrize("name", [*OF_ALL_MODELS, *OF_ONE])
def test_a_limit_of_the_key_lets_it_rest_for_all_models(name: str, caplog: Any) -> None:
    headers = OF_ALL_MODELS.get(name) or OF_ONE[name]
    refusal = error(429, "used up", headers=headers) if headers else Answer.json(google(DAY, SOON), 429)
    with Upstream(lambda r: refusal if "first" in r.headers["authorization"] else says("other")) as up:
        with House(house_text("* = a", QUICK, a=section(up.url, KEYS))) as house:
            for model in ("m", "n"):
                assert [said(house.post(PATH, ASK | {"model": model})) for _ in range(12)] == ["other"] * 12
            first = [each.json["model"] for each in up.requests if "first" in each.headers["authorization"]]
            assert first == ["m"] if name in OF_ALL_MODELS else first == ["m", "n"]
            now, key = time.monotonic(), house.proxy.service.places.key("a", 0)
            assert (key.plan.resets_at > now) is (name in OF_ALL_MODELS)
            place = house.proxy.service.places.of("a", "new", 0)
            assert place.usable(now) is (name in OF_ONE) and place.usable(now + PROBE_S + 1)
    told = [line.getMessage() for line in caplog.records if "used up a limit" in line.getMessage()]
    assert len(told) == len(first) and ("for all its models" in told[0]) is (name in OF_ALL_MODELS)


def test_another_model_finds_out_that_the_keys_limit_is_over() -> None:
    refusal = error(429, "used up", headers=OF_ALL_MODELS["a week"])
    with Upstream(lambda r: refusal if r.json["model"] == "m" else says("again")) as up:
        with House(house_text("* = a", QUICK, a=up.url)) as house:
            assert house.post(PATH, ASK)[0] == 429
            plan = house.proxy.service.places.key("a", 0).plan
            plan.free_at = 0.0  # five minutes are over
            assert said(house.post(PATH, ASK | {"model": "n"})) == "again"
            assert (plan.free_at, plan.resets_at) == (0.0, 0.0)


def test_what_is_asked_of_files_does_not_find_out_whether_the_keys_limit_is_over() -> None:
    refusal = error(429, "used up", headers=OF_ALL_MODELS["a week"])
    with Upstream(lambda r: refusal if r.method == "POST" else Answer.json({"data": []})) as up:
        with House(house_text("* = a", QUICK, a=up.url)) as house:
            assert house.post(PATH, ASK)[0] == 429
            plan = house.proxy.service.places.key("a", 0).plan
            plan.free_at, until = 0.0, plan.resets_at
            assert house.get("/v1/files")[0] == 200
            assert (plan.free_at, plan.resets_at) == (0.0, until)


def test_of_two_windows_that_are_used_up_the_later_end_counts() -> None:
    headers = [(f"{CLAUDES}status", "rejected"), (f"{CLAUDES}reset", str(UNIX + 60))]
    for window, end in (("5h", 60), ("7d", 90_000)):
        headers += [(f"{CLAUDES}{window}-status", "rejected"), (f"{CLAUDES}{window}-reset", str(UNIX + end))]
    assert outcomes.of_status(429, b"{}", headers, b"{}", UNIX).retry_after == 90_000


def test_a_probe_that_is_answered_wakes_it() -> None:
    answers = [Answer.json({"error": CODEX | {"resets_in_seconds": 17_999}}, 429), says("again"), says("again")]

    def first(request: Request) -> Answer:
        return answers.pop(0) if "first" in request.headers["authorization"] else says("other")

    with Upstream(first) as up, House(house_text("* = a", QUICK, a=section(up.url, KEYS))) as house:
        while len(answers) == 3:
            assert said(house.post(PATH, ASK)) == "other"
        [place] = [each for each in house.proxy.service.places if each.headroom.resets_at]
        place.headroom.free_at = 0.0  # five minutes are over
        while len(answers) == 2:
            house.post(PATH, ASK)
        assert (place.headroom.free_at, place.headroom.resets_at) == (0.0, 0.0)


def test_it_is_not_asked_while_another_key_is_at_its_limit_of_a_minute() -> None:
    """Nor does its client hear of hours, when it may come again in seconds."""
    used_up = Answer.json({"error": CODEX | {"resets_in_seconds": 17_999}}, 429)

    def answers(request: Request) -> Answer:
        return used_up if "first" in request.headers["authorization"] else error(429, "too many at once")

    with Upstream(answers) as up, House(house_text("* = a", QUICK, a=section(up.url, KEYS))) as house:
        for nth in range(4):
            status, headers, body = house.post(PATH, ASK)
            assert status == 429
            assert nth == 0 or (b"too many at once" in body and "retry-after" not in headers)
    assert len([each for each in up.requests if "first" in each.headers["authorization"]]) == 1


@pytest.mark.parametrize("status", [503, 529])
def test_an_overload_is_no_limit_that_is_used_up(status: int, caplog: Any) -> None:
    """However long the wait that it asks for: of maintenance, say."""
    refusal = error(status, headers={"Retry-After": "3600"})
    with Upstream(lambda r: refusal) as a, Upstream(lambda r: says("b")) as b:
        with House(house_text("* = a, b", QUICK, a=a.url, b=b.url)) as house:
            assert said(house.post(PATH, ASK)) == "b"
            now = time.monotonic()
            place = next(each for each in house.proxy.service.places if each.name == "a/m")
            assert not place.headroom.resets_at and now + 50 < place.headroom.free_at < now + 61
    assert not [line for line in caplog.records if "used up a limit" in line.getMessage()]


def test_a_count_of_tokens_tells_nothing_of_it() -> None:
    """Services count without looking at the limit of a plan. The key would be asked again after each count."""
    used_up = Answer.json({"error": CODEX | {"resets_in_seconds": 17_999}}, 429)

    def answers(request: Request) -> Answer:
        return Answer.json({"input_tokens": 5}) if "count_tokens" in request.path else used_up

    with Upstream(answers) as up:
        with House(house_text("* = a", QUICK, a=section(up.url, "", "messages"))) as house:
            ask = ASK | {"max_tokens": 9}
            assert house.post("/v1/messages", ask)[0] == 429
            [place] = [each for each in house.proxy.service.places if each.headroom.resets_at]
            for free_at in (place.headroom.free_at, 0.0):  # at rest, and when it may be tried
                place.headroom.free_at = free_at
                status, headers, _ = house.post("/v1/messages/count_tokens", ASK | {"n": free_at})
                assert (status, headers["x-proxy-token-count"]) == (200, "upstream")
                assert place.headroom.resets_at and place.headroom.free_at == free_at


@pytest.mark.parametrize("path", [PATH, "/v1/messages"])
def test_without_another_target_the_client_hears_when_to_come_again(path: str) -> None:
    """Also where its own protocol is the upstream's, whose body stays as it is."""
    used_up = {"error": CODEX | {"resets_in_seconds": 17_999}}
    with Upstream(lambda r: Answer.json(used_up, 429)) as up, House(house_text("* = a", QUICK, a=up.url)) as house:
        for _ in range(2):
            status, headers, body = house.post(path, ASK | {"max_tokens": 9})
            assert (status, headers["retry-after"]) == (429, "17999")
            assert path != PATH or json.loads(body) == used_up
        assert len(up.requests) == 2, "each is asked once, since it alone knows"


def test_a_limit_that_a_stream_tells_counts_too() -> None:
    told = b'data: {"error": {"code": "1308", "message": "Usage limit reached for 5 hour."}}\n\n'
    with Upstream(lambda r: Answer.sse(told)) as a, Upstream(lambda r: Answer.sse(streams("b"))) as b:
        with House(house_text("* = a, b", QUICK, a=a.url, b=b.url)) as house:
            assert [said(house.post(PATH, STREAM)) for _ in range(3)] == ["b"] * 3
            place = next(each for each in house.proxy.service.places if each.name == "a/m")
            assert place.headroom.resets_at > time.monotonic() + 600
    assert len(a.requests) == 1
