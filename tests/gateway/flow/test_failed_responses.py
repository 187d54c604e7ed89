"""A response that says of itself that it has failed, under status 200: the next target is asked, and where there is
none, a client of the same protocol gets it as it came."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway.observe.test_record import Seen
from tests.gateway.passing.test_opening import OPENINGS, RESPONSE, WORDS, event
from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import PATH, QUICK, house_text, section
from translate.responses import reply

ASKS: dict[str, Any] = {
    "/v1/responses": {"model": "m", "input": "hi"},
    PATH: {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "/v1/messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
}
BASE: dict[str, Any] = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": [],
                        "usage": None, "error": None, "status": "failed"}  # fmt: skip
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
           "content": [{"type": "output_text", "text": "fine", "annotations": []}]}  # fmt: skip
GOOD = BASE | {"status": "completed", "output": [MESSAGE]}
BUSY: dict[str, Any] = {
    "a server's error": BASE | {"error": {"code": "server_error", "message": "boom"}},
    "a limit": BASE | {"error": {"code": "rate_limit_exceeded", "message": "boom"}},
    "no credit": BASE | {"error": {"code": "insufficient_quota", "message": "boom"}},
    "no reason": BASE,
    "an error alone": BASE | {"status": "completed", "error": {"code": "server_error", "message": "boom"}},
}
FINAL: dict[str, Any] = {
    "it would fail again": BASE | {"error": {"code": "invalid_prompt", "message": "boom"}},
    "somebody has ended it": BASE | {"status": "cancelled"},
    "it has cost something": BASE | {"error": {"code": "server_error", "message": "boom"}, "output": [MESSAGE]},
}


def two(a: Upstream, b: Upstream, models: str = "m = a, b\nonly = a") -> House:
    return House(house_text(models, QUICK, a=section(a.url, "", "responses"), b=section(b.url, "", "responses")))


@pytest.mark.parametrize("path", ASKS)
@pytest.mark.parametrize("body", BUSY.values(), ids=BUSY)
def test_the_next_target_is_asked(body: dict[str, Any], path: str) -> None:
    with Upstream(lambda r: Answer.json(body)) as a, Upstream(lambda r: Answer.json(GOOD)) as b, two(a, b) as house:
        status, headers, raw = house.post(path, ASKS[path])
        assert (status, headers["x-proxy-upstream"], len(a.requests)) == (200, "b", 1) and b"fine" in raw


@pytest.mark.parametrize("body", FINAL.values(), ids=FINAL)
def test_it_is_not_asked_where_that_would_not_help(body: dict[str, Any]) -> None:
    with Upstream(lambda r: Answer.json(body)) as a, Upstream() as b, two(a, b) as house:
        assert json.loads(house.post("/v1/responses", ASKS["/v1/responses"])[2]) == body and not b.requests


@pytest.mark.parametrize("body", [*BUSY.values(), *FINAL.values()], ids=[*BUSY, *FINAL])
def test_the_last_one_passes_as_it_came_and_has_failed(body: dict[str, Any]) -> None:
    """In its record, and in the breaker where it speaks against the upstream. Clients of OpenAI's know such replies."""
    raw = json.dumps(body, indent=1).encode()
    answer = Answer(200, {"Content-Type": "application/json"}, raw)
    with Upstream(lambda r: answer) as up, two(up, up, "only = a/m") as house:
        told = Seen(house)
        status, headers, got = house.post("/v1/responses", ASKS["/v1/responses"] | {"model": "only"})
        assert status == 200 and headers["x-proxy-upstream"] == "a"
        assert got == raw.replace(b'"model": "m"', b'"model": "only"')
        record = told.last()
        assert record["status"] == 200 and record["error.type"]


def test_a_client_that_has_a_quota_is_charged_what_it_tells() -> None:
    quota = "[client c]\nkey = k0123456789abcdef\ntokens_per_minute = 100000\n"
    for used in (None, {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}):
        body = BASE | {"error": {"code": "invalid_prompt", "message": "boom"}, "usage": used}
        with Upstream(lambda r, body=body: Answer.json(body)) as up:
            with House(house_text("* = a", quota, a=section(up.url, "", "responses"))) as house:
                told = Seen(house)
                house.post("/v1/responses", ASKS["/v1/responses"], {"Authorization": "Bearer k0123456789abcdef"})
                record = told.last()
                found = record["gen_ai.usage.input_tokens"], record["gen_ai.usage.output_tokens"]
                assert found == ((7, 3) if used else (None, None)), record


@pytest.mark.parametrize(("last", "state"), [(s, s) for s in ("failed", "cancelled")] + [("done", "failed")])
@pytest.mark.parametrize("opening", [OPENINGS["responses"], OPENINGS["responses"][:1], []])
def test_a_stream_that_ends_so_before_its_first_word(opening: list[bytes], last: str, state: str) -> None:
    broken = [*opening, event(f"response.{last}", response=RESPONSE | {"status": state})]
    good = Answer.sse([*OPENINGS["responses"], WORDS["responses"]])
    ask = ASKS["/v1/responses"] | {"stream": True}
    with Upstream(lambda r: Answer.sse(broken)) as a, Upstream(lambda r: good) as b, two(a, b) as house:
        told = Seen(house)
        assert house.post("/v1/responses", ask)[1]["x-proxy-upstream"] == "b"
        assert house.post("/v1/responses", ask | {"model": "only"})[2].endswith(broken[-1])
        assert told.last(2)["error.type"]


def test_a_stream_that_says_it_is_done_has_ended_well() -> None:
    """Its client gets it as it came, and one that asked for a whole reply the response in it."""
    said = [*OPENINGS["responses"], WORDS["responses"], event("response.done", response=RESPONSE | GOOD)]
    with Upstream(lambda r: Answer.sse(said)) as up, two(up, up, "* = a") as house:
        told = Seen(house)
        assert house.post("/v1/responses", ASKS["/v1/responses"] | {"stream": True})[2] == b"".join(said)
        assert "error.type" not in told.last()
        assert json.loads(house.post("/v1/responses", ASKS["/v1/responses"])[2]) == RESPONSE | GOOD


@pytest.mark.parametrize("order", [("request_id", "type", "error"), ("type", "error", "request_id")])
def test_an_error_in_place_of_a_message_in_whatever_order(order: tuple[str, ...]) -> None:
    error = {"type": "error", "request_id": "r", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    body = {name: error[name] for name in order}
    good = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "fine"}], "usage": {"input_tokens": 1}}  # fmt: skip
    with Upstream(lambda r: Answer.json(body)) as a, Upstream(lambda r: Answer.json(good)) as b:
        sections = {"a": section(a.url, "", "messages"), "b": section(b.url, "", "messages")}
        with House(house_text("m = a, b", QUICK, **sections)) as house:
            assert b"fine" in house.post("/v1/messages", ASKS["/v1/messages"])[2]


@pytest.mark.parametrize("word", ['"failed"', '"cancelled"', '"error": {"message": "x"}'])
def test_a_response_that_speaks_of_failures_is_none(word: str) -> None:
    said = MESSAGE | {"content": [{"type": "output_text", "text": word, "annotations": [], "error": {"x": 1}}]}
    call = {"type": "code_interpreter_call", "id": "ci", "status": "failed", "error": {"message": "x"}}
    assert reply.broken(json.dumps(GOOD | {"output": [call, said]}).encode()) is None
