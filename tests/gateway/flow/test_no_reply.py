"""What comes under status 200 and is no reply: errors in a reply's form, pages, nothing at all."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from tests.gateway.flow.test_left_open import IN_MESSAGES, IN_RESPONSES, event
from tests.gateway.observe.test_record import Seen
from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import ASK, PATH, QUICK, house_text, said, says, section, streams

CHAT = ASK | {"max_tokens": 9}
ASKS: dict[str, Any] = {PATH: CHAT, "/v1/messages": CHAT, "/v1/responses": {"model": "m", "input": "hi"}}
USAGE = {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1}
ERROR = {"code": 502, "message": "Provider returned error", "metadata": {"provider_name": "X"}}


def reply(choice: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    whole = {"index": 0, "message": {"role": "assistant", "content": "half"}, "finish_reason": "stop"} | (choice or {})
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [whole],
        "usage": USAGE,
    } | more


FAILED: dict[str, dict[str, Any]] = {
    "finish_reason": reply({"finish_reason": "error"}),
    "finish_reason of another": reply({"finish_reason": "network_error"}),
    "a choice's error": reply({"error": ERROR, "finish_reason": "error"}),
    "a choice's error alone": reply({"error": ERROR}),
    "an error beside choices": reply(error=ERROR),
    "an error and no choices": reply(choices=[], error=ERROR),
}
EMPTY: dict[str, Any] = {
    "no choices": {"id": "c", "object": "chat.completion", "choices": []},
    "null choices": {"id": "c", "object": "chat.completion", "choices": None},
    "an empty object": {},
}
PAGE = Answer(200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><title>Sign in to the WiFi</title>")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ASKS)
@pytest.mark.parametrize("body", [*FAILED.values(), *EMPTY.values()], ids=[*FAILED, *EMPTY])
def test_the_next_target_is_asked_and_without_one_the_client_hears_of_it(
    body: dict[str, Any], path: str, *, stream: bool
) -> None:
    good = Answer.sse(streams("b")) if stream else says("b")
    with Upstream(lambda r: Answer.json(body)) as a, Upstream(lambda r: good) as b:
        with House(house_text("m = a, b\nonly = a", QUICK, a=a.url, b=b.url)) as house:
            status, _, raw = house.post(path, ASKS[path] | {"stream": stream})
            assert status == 200 and b"b" in raw and b"half" not in raw
            asked = len(a.requests)
            status, headers, raw = house.post(path, ASKS[path] | {"stream": stream, "model": "only"})
            assert (status, headers["content-type"]) == (502, "application/json") and json.loads(raw)
            assert (asked, len(a.requests)) == (1, 4), "it is asked again, as with a 502"


@pytest.mark.parametrize("path", ASKS)
@pytest.mark.parametrize("said", [b"data: [DONE]\n\n", b": waits\n\n: waits\n\n", b""])
def test_a_stream_that_says_nothing_lets_the_next_target_answer(said: bytes, path: str) -> None:
    with Upstream(lambda r: Answer.sse([said])) as a, Upstream(lambda r: Answer.sse(streams("b"))) as b:
        with House(house_text("m = a, b", QUICK, a=a.url, b=b.url)) as house:
            status, _, raw = house.post(path, ASKS[path] | {"stream": True})
    assert status == 200 and b"b" in raw and len(a.requests) == len(b.requests) == 1


@pytest.mark.parametrize("path", ASKS)
def test_a_page_in_place_of_a_reply_is_asked_for_elsewhere_and_not_again(path: str) -> None:
    """A network's login page, or a wrong address."""
    with Upstream(lambda r: PAGE) as a, Upstream(lambda r: says("b")) as b:
        with House(house_text("m = a, b\nonly = a", QUICK, a=a.url, b=b.url)) as house:
            assert house.post(path, ASKS[path])[0] == 200
            status, _, raw = house.post(path, ASKS[path] | {"model": "only"})
            assert status == 502 and b"HTML page" in raw and len(a.requests) == 2


@pytest.mark.parametrize("answer", [PAGE, Answer.json({}), Answer(200, {}, b"")], ids=["page", "{}", "nothing"])
def test_nor_do_a_page_and_nothing_answer_what_passes_unread(answer: Answer) -> None:
    found = {"object": "list", "data": [], "model": "m"}
    with Upstream(lambda r: answer) as a, Upstream(lambda r: Answer.json(found)) as b:
        with House(house_text("m = a, b", QUICK, a=a.url, b=b.url)) as house:
            status, _, raw = house.post("/v1/embeddings", {"model": "m", "input": "x"})
            assert (status, json.loads(raw)) == (200, found)


def test_what_has_cost_something_is_not_asked_for_again() -> None:
    """A client of the same protocol gets it as it is."""
    with Upstream(lambda r: Answer.json(reply(choices=[]))) as a, Upstream() as b:
        with House(house_text("m = a, b", QUICK, a=a.url, b=b.url)) as house:
            assert json.loads(house.post(PATH, CHAT)[2]) == reply(choices=[])
            status, _, raw = house.post("/v1/messages", CHAT)
            assert status == 502 and b"no choice" in raw and len(a.requests) == 2 and not b.requests


@pytest.mark.parametrize("path", ASKS)
def test_a_stream_without_a_choice_is_no_reply(path: str) -> None:
    empty = [b'data: {"id":"c","object":"chat.completion.chunk","choices":[]}\n\n', b"data: [DONE]\n\n"]
    with Upstream(lambda r: Answer.sse(empty)) as a, Upstream(lambda r: Answer.sse(streams("b"))) as b:
        with House(house_text("m = a, b", QUICK, a=a.url, b=b.url)) as house:
            status, _, raw = house.post(path, ASKS[path] | {"stream": True})
            assert status == 200 and b'"b"' in raw and len(b.requests) == 1


GOOD: list[dict[str, Any]] = [
    reply({"message": {"role": "assistant", "content": 'it said "error": {"finish_reason": "error", "choices": []}'}}),
    reply(error=None),
    reply({"finish_reason": "length"}),
    reply({"finish_reason": "content_filter", "message": {"role": "assistant", "content": ""}}),
    reply({"message": {"role": "assistant", "content": None, "tool_calls": [
        {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"error": {"message": "x"}}'}}]}}),
]  # fmt: skip


@pytest.mark.parametrize("body", GOOD)
def test_a_reply_that_speaks_of_errors_passes_as_it_is(body: dict[str, Any]) -> None:
    raw = json.dumps(body, indent=1).encode()
    with Upstream([Answer(200, {"Content-Type": "application/json"}, raw)]) as up:
        with House(house_text("* = a", QUICK, a=up.url)) as house:
            assert house.post(PATH, CHAT)[::2] == (200, raw)


def test_the_log_says_why(caplog: Any) -> None:
    caplog.set_level(logging.INFO, "gateway")
    with Upstream(lambda r: Answer.json(FAILED["a choice's error"])) as a, Upstream([says("b")]) as b:
        with House(house_text("m = a, b", QUICK, a=a.url, b=b.url)) as house:
            assert said(house.post(PATH, ASK)) == "b"
    assert any("attempt 1 at a/m: 502" in line.getMessage() for line in caplog.records)


BOOM = {"code": 500, "message": "boom"}
FAILED_CHUNK = {"id": "c", "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}], "error": BOOM}
BROKEN_OFF: dict[str, tuple[str, list[bytes], str]] = {
    "chat": ("chat", [*streams("hi")[:2], b'data: {"error":{"message":"boom","code":500}}\n\n'], "api"),
    "chat with its end": (
        "chat",
        [*streams("hi")[:2], b"data: %b\n\n" % json.dumps(FAILED_CHUNK).encode(), b"data: [DONE]\n\n"],
        "api",
    ),
    "messages": ("messages", [*IN_MESSAGES[:3], event("error", error={"type": "overloaded_error", "message": "boom"})],
                 "overloaded"),
    "responses": ("responses", [*IN_RESPONSES[:2], event("response.failed", response={"id": "r", "error": {
        "code": "rate_limit_exceeded", "message": "boom"}})], "rate_limit"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_OFF)
def test_a_stream_that_passes_and_ends_in_an_error_has_failed(name: str) -> None:
    """In record and breaker, as one that is translated. The client gets the same bytes."""
    protocol, events, kind = BROKEN_OFF[name]
    path = {"chat": PATH, "messages": "/v1/messages", "responses": "/v1/responses"}[protocol]
    with Upstream(lambda r: Answer.sse(events)) as up:
        with House(house_text("* = a", QUICK, a=section(up.url, "", protocol))) as house:
            told = Seen(house)
            assert house.post(path, ASKS[path] | {"stream": True})[2] == b"".join(events)
            record = told.last()
            assert (record["status"], record["error.type"]) == (200, kind)
            assert [place.breaker._row for place in house.proxy.service.places] == [1]


@pytest.mark.parametrize("said", ['the "error": {"message": "x"} is', "event: error", "response.failed", "an error"])
def test_a_stream_that_speaks_of_errors_has_not(said: str) -> None:
    with Upstream(lambda r: Answer.sse(streams(said))) as up, House(house_text("* = a", QUICK, a=up.url)) as house:
        told = Seen(house)
        house.post(PATH, CHAT | {"stream": True})
        assert "error.type" not in told.last()
