"""Keys of an upstream: which one goes on, which one rests, and what belongs to one of them."""

from __future__ import annotations

import itertools
import json
import logging
import time
from typing import Any

import pytest

from tests.gateway.observe.test_record import Seen
from tests.support.house import House
from tests.support.script import Answer, Gate, Request, Upstream
from tests.support.two_upstreams import (
    ASK,
    PATH,
    QUICK,
    STREAM,
    error,
    held,
    house_text,
    late,
    said,
    says,
    section,
    streams,
)
from translate.failures import error_words, errors

KEYS = "keys = sk-first-000000001, sk-other-000000002\n"
CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."


def first_gets(refusal: Answer) -> Any:
    def answer(request: Request) -> Answer:
        return refusal if "first" in request.headers.get("authorization", "") else says("other")

    return answer


@pytest.mark.parametrize(
    ("refusal", "why"),
    [
        (error(400, CREDIT, type="invalid_request_error"), "credit balance is too low"),
        (error(400, "This organization has been disabled.", type="invalid_request_error"),
         "a closed account, and rests for 900 s: 400 organization has been disabled"),
        (error(402, "Insufficient Balance"), "has no credit"),
        (Answer.json({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}), "has no credit"),
        (Answer.json({"base_resp": {"status_code": 2049, "status_msg": "bad key"}, "choices": None}), "was refused"),
        (error(429, "You exceeded your current quota, please check your plan and billing details.",
               type="insufficient_quota", code="insufficient_quota"), "check your plan and billing details"),
        (error(403, "Your team has run out of credits."), "out of credits"),
        (error(401, "invalid key"), "was refused"),
        (error(403, "no"), "was refused"),
    ],
)  # fmt: skip
def test_a_key_that_is_no_good_rests_and_is_told_once(refusal: Answer, why: str, caplog: Any) -> None:
    with Upstream(first_gets(refusal)) as up, House(house_text("* = a", QUICK, a=section(up.url, KEYS))) as house:
        assert [said(house.post(PATH, ASK)) for _ in range(12)] == ["other"] * 12
    asked = [request for request in up.requests if "first" in request.headers["authorization"]]
    assert len(asked) == 1
    told = [line for line in caplog.records if line.levelno == logging.ERROR and "rests" in line.getMessage()]
    assert len(told) == 1 and "its key 1 (...0001)" in told[0].getMessage() and "sk-first" not in told[0].getMessage()
    assert why in told[0].getMessage()


def test_without_another_key_the_next_target_is_asked_and_the_last_one_still_is() -> None:
    broke = error(400, CREDIT, type="invalid_request_error")
    with Upstream(lambda r: broke) as a, Upstream(lambda r: says("b")) as b:
        with House(house_text("m = a, b\nonly = a", QUICK, a=a.url, b=b.url)) as house:
            assert [said(house.post(PATH, ASK)) for _ in range(3)] == ["b"] * 3 and len(a.requests) == 1
            assert [house.post(PATH, ASK | {"model": "only"})[0] for _ in range(2)] == [400, 400]
            assert len(a.requests) == 3


def test_a_client_cannot_lay_a_key_to_rest_by_its_own_words() -> None:
    def echo(request: Request) -> Answer:
        return error(400, f"unknown model {request.json['model']}") if "low" in request.json["model"] else says("a")

    with Upstream(echo) as up, House(house_text("* = a", a=section(up.url, "api_key = sk-first-000000001\n"))) as house:
        assert house.post(PATH, ASK | {"model": "credit balance is too low"})[0] == 400
        assert all(place.key.bad_until == 0 for place in house.on_loop(lambda: list(house.proxy.service.places)))


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, CREDIT, "billing"),
        (400, "You have reached your specified API usage limits.", "billing"),
        (429, "Insufficient balance or no resource package. Please recharge.", "billing"),
        (400, "Access denied, please make sure your account is in good standing. Arrearage", "billing"),
        (400, "This organization has been disabled.", "billing"),
        (400, "Organization has been restricted. Please reach out to support.", "billing"),
        (400, "The free tier is not available in your country. Please enable billing on your project.", "billing"),
        (400, "User location is not supported for the API use.", "billing"),
        (403, "Country, region, or territory not supported", "billing"),
        (403, "You've reached your usage limit for this billing cycle. Your quota will be refreshed in the next cycle.",
         "billing"),
        (429, "Your access was terminated due to violation of our policies, please check your email.", "billing"),
        (400, "Your account org-1 is suspended, please check your plan.", "billing"),
        (429, "You exceeded your current quota, please check your plan and billing details. Please retry in 23.5s.",
         "rate_limit"),
        (429, "Rate limit reached for requests per minute", "rate_limit"),
        (400, "max_tokens is too large", "invalid_request"),
        (500, CREDIT, "api"),
    ],
)  # fmt: skip
def test_the_words_for_no_credit(status: int, message: str, kind: str) -> None:
    raw = json.dumps({"error": {"message": message, "type": "x"}}).encode()
    assert errors.parse(status, raw).kind == kind
    assert bool(error_words.no_credit(message)) == (kind == "billing" or status == 500)


NO_MODEL: list[dict[str, Any]] = [
    {"error": {"message": "Model Not Exist", "type": "invalid_request_error", "code": "invalid_request_error"}},
    {"error": {"message": "The supported API model names are deepseek-v4-flash or deepseek-v4-pro, but you passed x."}},
    {"error": {"message": "foo/bar is not a valid model ID", "code": 400}},
    {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"},
    {"error": {"code": "1211", "message": "Unknown Model, please check the model code."}},
    {"message": "The provided model identifier is invalid."},
    {"message": "Invocation of model ID a.x with on-demand throughput isn't supported. Retry with a profile."},
    {"error": {"message": "The requested model 'x' does not exist.", "param": "model", "code": "model_not_found"}},
    {"code": "Client specified an invalid argument", "error": "Model not found: grok-9"},
    {"error": {"message": "/chat/completions: Invalid model name passed in model=x. Call `/v1/models`", "code": "400"}},
    {"error": {"code": 400, "message": "Publisher Model `projects/p/models/x` was not found or has no access to it."}},
    {"error": {"message": "The model `mixtral-8x7b` has been decommissioned", "code": "model_decommissioned"}},
    {"error": {"message": "The requested model is not supported.", "code": "model_not_supported", "param": "model"}},
    {"error": {"message": "Model glm-5 is not available for this API key", "type": "invalid_request_error"}},
    {"error": {"message": "The model `x/y` is not available in your region."}},
    {"detail": "The 'gpt-9' model is not supported when using Codex with a ChatGPT account."},
]


@pytest.mark.parametrize("said_there", NO_MODEL, ids=lambda body: json.dumps(body)[:60])
def test_a_model_that_a_service_does_not_have_is_asked_for_elsewhere(said_there: dict[str, Any]) -> None:
    """Under 400, as about half of the services say it, and not only under 404."""
    with Upstream(lambda r: Answer.json(said_there, 400)) as a, Upstream(lambda r: says("b")) as b:
        with House(house_text("m = a, b\nonly = a", QUICK, a=a.url, b=b.url)) as house:
            assert said(house.post(PATH, ASK)) == "b"
            status, _, body = house.post(PATH, ASK | {"model": "only"})
            assert status == 400 and json.loads(body) == said_there and len(a.requests) == 2
            assert house.post("/v1/messages", ASK | {"model": "only", "max_tokens": 9})[0] == 404


@pytest.mark.parametrize(
    "message",
    [
        "messages: model output must not be empty", "Invalid model parameters: top_k", "tool 'unknown' was not found",
        "This model does not support image input", "Unsupported parameter: 'x' is not supported with this model.",
        "previous response not found", "The model's maximum context length is 8",
        "tools.0: this tool is not available", "thinking is not supported by this model", "capacity must be positive",
        "input.busy: the model is asked for a value", "web_search: with this model is not available",
        "Streaming for model x is not enabled", "tool_choice: the model is not allowed to call g",
        "This model is not supported when using tools",
    ],
)  # fmt: skip
def test_other_words_about_models_are_about_the_request(message: str) -> None:
    assert errors.parse(400, json.dumps({"error": {"message": message}}).encode()).status == 400


@pytest.mark.parametrize("words", ["model x does not exist", "the model is at capacity", "Your account is suspended"])
@pytest.mark.parametrize("status", [400, 200])
def test_a_client_cannot_lay_a_model_to_rest_by_its_own_words(words: str, status: int) -> None:
    def answer(request: Request) -> Answer:
        said_there = {"type": "invalid_request_error", "message": request.json["messages"][0]["content"]}
        return Answer.json({"error": said_there}, status)

    with Upstream(answer) as up, Upstream([says("b")]) as second:
        with House(house_text("* = a, b", QUICK, a=up.url, b=second.url)) as house:
            assert house.post(PATH, ASK | {"messages": [{"role": "user", "content": words}]})[0] == 400
        assert not second.requests and len(up.requests) == 1


def test_a_stream_that_fails_for_no_known_reason_is_tried_elsewhere_whatever_it_quotes() -> None:
    def answer(request: Request) -> Answer:
        failed = {"type": "server_error", "message": f"failed: {request.json['messages'][0]['content']}"}
        return Answer.sse(b"data: %b\n\n" % json.dumps({"error": failed}).encode())

    ask = STREAM | {"messages": [{"role": "user", "content": "the server is busy"}]}
    with Upstream(answer) as up, Upstream(lambda r: Answer.sse(streams("b"))) as second:
        with House(house_text("* = a, b", QUICK, a=up.url, b=second.url)) as house:
            assert b'"b"' in house.post(PATH, ask)[2] and second.requests


CAPACITY = "Selected model is at capacity. Please try a different model."
BUSY = [CAPACITY, "This model is currently experiencing high demand. Please try again later.", "The server is too busy"]


@pytest.mark.parametrize("message", BUSY)
@pytest.mark.parametrize("status", [400, 422, 500, 200])
def test_an_overload_that_only_its_words_tell_is_one(message: str, status: int) -> None:
    """Of another target the request is asked at once, of the same one after a pause."""
    busy = Answer.json({"error": {"type": "invalid_request_error", "message": message}}, status)
    with Upstream([busy, says("a")]) as a, Upstream([busy, says("b")]) as b:
        with House(house_text("m = b, a\nonly = a", QUICK, a=a.url, b=b.url)) as house:
            assert said(house.post(PATH, ASK | {"model": "only"})) == "a" and len(a.requests) == 2
            assert said(house.post(PATH, ASK)) == "a" and len(b.requests) == 1


@pytest.mark.parametrize("inner", [True, False])
def test_an_overload_is_told_as_one_to_clients_of_another_protocol(*, inner: bool) -> None:
    """Also where it is the only reason of a failed response, and stands beside it."""
    reason = {"error": {"type": "invalid_request_error", "message": CAPACITY}}
    failed = {"type": "response.failed"} | ({"response": {"status": "failed"} | reason} if inner else reason)
    events = [{"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}}, failed]
    stream = b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)
    with Upstream(lambda r: Answer.sse(stream)) as a, Upstream(lambda r: Answer.sse(streams("b"))) as b:
        responses = section(a.url, "", "responses")
        text = house_text("m = a, b\nonly = a", "[retry]\nmax_attempts = 1\n", a=responses, b=b.url)
        with House(text) as house:
            for path, ask in (
                (PATH, STREAM),
                ("/v1/messages", STREAM | {"max_tokens": 9}),
                ("/v1/responses", {"model": "m", "input": "hi", "stream": True}),
            ):
                assert b'"b"' in house.post(path, ask)[2], path
            status, _, body = house.post("/v1/messages", STREAM | {"model": "only", "max_tokens": 9})
            assert status == 529 and json.loads(body)["error"]["type"] == "overloaded_error"


ODD: list[tuple[dict[str, Any], int]] = [
    ({"code": 401, "msg": "token expired", "success": False}, 401),
    ({"error": {"code": "1113", "message": "no"}}, 402),
    ({"code": "Throttling.RateQuota", "message": "no", "request_id": "x"}, 429),
    ({"code": 20012, "message": "no", "data": None}, 404),
    ({"code": 50505, "message": "no", "data": None}, 529),
    ({"success": False, "errors": [{"code": 3040, "message": "no"}], "messages": [], "result": None}, 429),
    ({"id": "x", "object": "chat.completion", "choices": None, "code": 503, "msg": "no"}, 503),
    ({"id": "", "choices": None, "base_resp": {"status_code": 1002, "status_msg": "no"}}, 429),
]


@pytest.mark.parametrize("form", ["whole", "event"])
@pytest.mark.parametrize(("told", "status"), ODD, ids=lambda body: json.dumps(body)[:60])
def test_what_a_vendors_own_code_means_is_known_under_a_good_status(
    told: dict[str, Any], status: int, form: str
) -> None:
    """The next target is asked, as after a status that says the same; and clients hear that status."""
    answer = Answer.json(told) if form == "whole" else Answer.sse([b"data: %b\n\n" % json.dumps(told).encode()])
    good = says("b") if form == "whole" else Answer.sse(streams("b"))
    ask = (ASK if form == "whole" else STREAM) | {"max_tokens": 9}
    with Upstream(lambda r: answer) as a, Upstream(lambda r: good) as b:
        with House(house_text("m = a, b\nonly = a", "[retry]\nmax_attempts = 1\n", a=a.url, b=b.url)) as house:
            assert said(house.post(PATH, ask)) == "b"
            for path in (PATH, "/v1/messages"):
                got, _, body = house.post(path, ask | {"model": "only"})
                assert got == status or (got == 503 and status == 529 and path == PATH)  # OpenAI has no 529
                assert b'"no"' in body or b"token expired" in body


def test_a_code_of_a_request_that_is_refused_is_a_400_and_asked_nowhere_else() -> None:
    refusal = {"error": {"code": "1301", "message": "unsafe content"}, "contentFilter": [{"level": 1}]}
    with Upstream(lambda r: Answer.json(refusal)) as a, Upstream(lambda r: says("b")) as b:
        with House(house_text("m = a, b", QUICK, a=a.url, b=b.url)) as house:
            assert house.post(PATH, ASK)[0] == 400 and not b.requests and len(a.requests) == 1


def test_when_all_rest_all_are_asked_in_order() -> None:
    well = {"a": False, "b": False}

    def answers(name: str) -> Any:
        return lambda r: says(name) if well[name] else error(503)

    more = "[retry]\nmax_attempts = 1\n[breaker]\nconsecutive = 2\ncooldown = 60\n"
    with Upstream(answers("a")) as a, Upstream(answers("b")) as b:
        with House(house_text("m = a, b", more, a=a.url, b=b.url)) as house:
            assert [house.post(PATH, ASK)[0] for _ in range(4)] == [503] * 4
            assert len(a.requests) == len(b.requests) == 4
            well["b"] = True
            assert said(house.post(PATH, ASK)) == "b"


ASKED_TO_WAIT = {"retry-after": "60"}


@pytest.mark.parametrize("refusal", [error(503), error(502), error(504), error(503, headers=ASKED_TO_WAIT)])
@pytest.mark.parametrize("ask", [ASK, STREAM])
def test_an_attempt_that_is_repeated_goes_with_another_key(refusal: Answer, ask: dict[str, Any]) -> None:
    """As many attempts as ever, after the same pause: what the upstream has for the other account may be free."""

    def answer(request: Request) -> Answer:
        if "first" in request.headers["authorization"]:
            return refusal
        return Answer.sse(streams("other")) if ask is STREAM else says("other")

    with Upstream(answer) as up, House(house_text("* = a", QUICK, a=section(up.url, KEYS))) as house:
        assert [said(house.post(PATH, ask)) for _ in range(8)] == ["other"] * 8
        assert len(up.requests) > 8
        keys = ["first" in request.headers["authorization"] for request in up.requests]
        assert (True, True) not in zip(keys, keys[1:], strict=False)


def test_all_keys_together_have_no_more_attempts_than_one() -> None:
    keys = "keys = sk-one-0000000001, sk-two-0000000002, sk-three-000000003, sk-four-0000000004\n"
    with Upstream(lambda r: error(503)) as up, House(house_text("* = a", QUICK, a=section(up.url, keys))) as house:
        assert house.post(PATH, ASK)[0] == 503 and len(up.requests) == 3
        assert len({request.headers["authorization"] for request in up.requests}) >= 2


OVERLOADED = b'data: {"error":{"message":"overloaded","type":"overloaded_error","code":529}}\n\n'


@pytest.mark.parametrize(
    "overload", [error(529), error(529, headers=ASKED_TO_WAIT), error(503), Answer.sse([OVERLOADED])]
)
def test_after_an_overload_another_key_is_asked_at_once(overload: Answer) -> None:
    """Each account has servers of its own, or a part of them; but only the first time: all may be full."""
    slow = "[retry]\nbackoff = 60\nmax_backoff = 60\n"
    with Upstream([overload, says("ok")]) as up, House(house_text("* = a", slow, a=section(up.url, KEYS))) as house:
        told = Seen(house)
        assert said(house.post(PATH, ASK)) == "ok"
        assert len({request.headers["authorization"] for request in up.requests}) == 2
        record = told.last()
    assert record["attempts"] == 2 and len(record["tried"]) == 1


def test_an_overload_of_all_keys_is_waited_for() -> None:
    keys = "keys = sk-one-0000000001, sk-two-0000000002, sk-three-000000003, sk-four-0000000004\n"
    with Upstream(lambda r: error(529)) as up, House(house_text("* = a", QUICK, a=section(up.url, keys))) as house:
        told = Seen(house)
        assert house.post(PATH, ASK)[0] in (503, 529) and len(up.requests) == 3
        assert told.last()["attempts"] == 3


# ------------------------------------------------------------------------------------------ what belongs to one key


class Project:
    """Two keys of two projects, which do not see each other's responses, nor models."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}
        self.numbers = itertools.count(1)

    def __call__(self, request: Request) -> Answer:
        key = request.headers["authorization"]
        if request.path.startswith("/v1/models"):
            name = "one" if "first" in key else "two"
            return Answer.json({"data": [{"id": "both"}, {"id": name}]})
        if request.method == "GET":
            id = request.path.rpartition("/")[2]
            return Answer.json({"id": id}) if self.owners.get(id) == key else error(404)
        before = request.json.get("previous_response_id")
        if before and self.owners[before] != key:
            return error(400, "not found", code="previous_response_not_found")
        id = f"resp_{next(self.numbers)}"
        self.owners[id] = key
        return Answer.json({"id": id, "object": "response", "status": "completed", "output": []})


def test_what_builds_on_a_response_goes_with_its_key() -> None:
    with Upstream(Project()) as up:
        with House(house_text("* = a", a=section(up.url, KEYS, "responses"))) as house:
            for _ in range(10):
                id = json.loads(house.post("/v1/responses", {"model": "m", "input": "x"})[2])["id"]
                again = {"model": "m", "input": "y", "previous_response_id": id}
                assert house.post("/v1/responses", again)[0] == 200
                assert house.get(f"/v1/responses/{id}")[0] == 200
            assert len({request.headers["authorization"] for request in up.requests}) == 2


def test_model_lists_are_of_all_keys() -> None:
    with Upstream(Project()) as up:
        with House(house_text("m = a", a=section(up.url, KEYS, "responses"))) as house:
            ids = [model["id"] for model in json.loads(house.get("/v1/models")[2])["data"]]
    assert ids == ["m", "a/both", "a/one", "a/two"]


# ------------------------------------------------------------------------------------------ the proxy's own fullness


def test_places_are_waited_for_once() -> None:
    gates = Gate(), Gate()
    more = "[admission]\nqueue_seconds = 0.5\n"
    with Upstream([held(gates[0])]) as a, Upstream([held(gates[1])]) as b:
        with House(house_text("m = a, b\nx = a\ny = b", more, a=section(a.url), b=section(b.url))) as house:
            told = Seen(house)
            with house.connect() as one, house.connect() as two:
                one.send("POST", PATH, STREAM | {"model": "x"})
                two.send("POST", PATH, STREAM | {"model": "y"})
                one.head()
                two.head()
                status, headers, raw = house.post(PATH, ASK)
                record = told.last()
                gates[0].open()
                gates[1].open()
                one.body()
                two.body()
    assert status == 503 and b"[upstream b] max_concurrent = 1" in raw and "x-proxy-upstream" not in headers
    assert 450 < record["queue_ms"] < 950
    assert (record["upstream"], record["tried"], record["attempts"]) == ("", [], 0)
    assert len(record["passed_over"]) == 1 and "[upstream a] max_concurrent = 1" in record["passed_over"][0]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("[pool]\nmax_connections = 1\n", b"[pool] max_connections = 1)"),
        ("[pool]\nmax_connections_per_upstream = 1\n", b"[pool] max_connections_per_upstream = 1)"),
        ("[admission]\nmax_concurrent = 1\n", b"[admission] max_concurrent = 1)"),
    ],
)
def test_the_key_that_binds_is_named(more: str, named: bytes) -> None:
    gate = Gate()
    more += "queue = 0\n" if "admission" in more else "[admission]\nqueue = 0\n"
    with Upstream([held(gate)]) as up, House(house_text("* = a", more, a=up.url)) as house, house.connect() as first:
        first.send("POST", PATH, STREAM)
        first.head()
        status, _, raw = house.post(PATH, ASK)
        assert status == 503 and named in raw and b"[admission] queue = 0" in raw
        gate.open()
        first.body()


@pytest.mark.parametrize(("also", "status"), [("", 504), ("also = 504\n", 200)])
def test_a_time_out_may_go_to_the_next_target(also: str, status: int) -> None:
    gate = Gate()
    with Upstream([late(says("a"), gate)]) as a, Upstream(lambda r: says("b")) as b:
        text = house_text("m = a, b", f"[retry]\n{also}", a=section(a.url, "request = 0.5\n"), b=b.url)
        with House(text) as house:
            assert house.post(PATH, ASK)[0] == status
            gate.open()


def test_a_record_names_only_some_of_the_many_keys_that_rest() -> None:
    """Most keys of a large pool may have had their share of the day; they would be 60 KB in each line of the log."""
    keys = "keys = " + ", ".join(f"sk-number-{number:09}" for number in range(100)) + "\n"
    with Upstream([says("yes")]) as up, House(house_text("m = a", a=section(up.url, keys))) as house:
        told = Seen(house)

        def rest() -> None:
            ours = house.proxy.service.router.upstreams["a"]
            for number in range(99):
                ours.place("m", number).headroom.free_at = time.monotonic() + 60

        house.on_loop(rest)
        assert house.post(PATH, ASK)[0] == 200
        record = told.last()
    assert len(record["passed_over"]) == 17 and record["passed_over"][-1] == "and 83 more that rest"
    assert record["attempts"] == 1
