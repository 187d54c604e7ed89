"""Lessons 36, 37 and 39: limits, names, and the headers and errors that clients act on."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import anthropic
import openai
import pytest

from tests.lessons.street import (
    ASK,
    ASKS,
    BODY,
    CROSSINGS,
    LANES,
    PATHS,
    SAME,
    STREAMED,
    WHOLE,
    Json,
    Reply,
    Street,
    okay,
)
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream

OK: dict[str, Any] = WHOLE
SDK_OF: dict[str, Any] = {"messages": anthropic, "chat": openai, "responses": openai}


def claude(street: Street, body: Json, more: str = "") -> Reply:
    return street.ask("messages", "chat", ASK | body, OK["chat"], more)


def gpt(street: Street, body: Json, more: str = "") -> Reply:
    return street.ask("chat", "messages", ASK | body, OK["messages"], more)


# --------------------------------------------------------------------------------------- 36: limits


@pytest.mark.parametrize(("asked", "sent"), [(128000, 8192), (8192, 8192), (100, 100)])
def test_36_max_tokens_is_clamped(street: Street, asked: int, sent: int) -> None:
    more = "max_tokens = 8192\n"
    assert claude(street, {"max_tokens": asked}, more).sent["max_tokens"] == sent
    assert gpt(street, {"max_tokens": asked}, more).sent["max_tokens"] == sent
    body = {"max_tokens": asked, "model": "claude-sonnet-4-5", "reasoning_effort": "high"}
    thinks = gpt(street, body, more).sent
    assert thinks["max_tokens"] == sent
    assert thinks.get("thinking", {"budget_tokens": 0})["budget_tokens"] < sent


def test_36_max_tokens_under_the_name_that_the_upstream_knows(street: Street) -> None:
    more = "max_tokens_field = max_completion_tokens\nmax_tokens = 8192\n"
    sent = claude(street, {"max_tokens": 9000}, more).sent
    assert sent["max_completion_tokens"] == 8192 and "max_tokens" not in sent
    for field in ("max_tokens", "max_completion_tokens"):
        body = {key: value for key, value in ASK.items() if key != "max_tokens"} | {field: 77}
        assert street.ask("chat", "messages", body, OK["messages"]).sent["max_tokens"] == 77
    body = {key: value for key, value in ASK.items() if key != "max_tokens"}
    assert street.ask("chat", "messages", body, OK["messages"]).sent["max_tokens"] >= 4096  # Messages demands one


def test_36_temperature_and_top_p(street: Street) -> None:
    """Some Claude models refuse the two together."""
    reply = gpt(street, {"temperature": 0.3, "top_p": 0.9})
    assert reply.sent["temperature"] == 0.3 and "top_p" not in reply.sent and reply.dropped == ["top_p"]
    assert gpt(street, {"top_p": 0.9}).sent["top_p"] == 0.9
    assert gpt(street, {"temperature": 1.7}).sent["temperature"] == 1
    sent = claude(street, {"temperature": 0.3, "top_p": 0.9}).sent
    assert (sent["temperature"], sent["top_p"]) == (0.3, 0.9)


def test_36_stop_sequences(street: Street) -> None:
    reply = claude(street, {"stop_sequences": list("abcde")})
    assert reply.sent["stop"] == list("abcd") and "stop_sequences" in reply.dropped
    assert gpt(street, {"stop": "a"}).sent["stop_sequences"] == ["a"]
    assert gpt(street, {"stop": list("abcd")}).sent["stop_sequences"] == list("abcd")
    reply = gpt(street, {"stop": ["\n", "a"]})  # Anthropic refuses white space
    assert reply.sent["stop_sequences"] == ["a"] and "stop" in reply.dropped


# ---------------------------------------------------------------------------------- 37: the model's name


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("stream", [True, False])
def test_37_the_reply_names_the_model_that_was_asked_for(lane: Any, stream: bool) -> None:
    """By an alias or by UPSTREAM/MODEL; on every chunk."""
    client, upstream = lane
    plain: Any = okay(upstream, stream)
    answer = Answer.sse(plain) if stream else Answer.json(plain)
    with Upstream([answer]) as up:
        settings = one_upstream(up.url, upstream) + 'fancy "name" = up/real\n'
        with House(settings) as house:
            for asked, sent in (('fancy "name"', "real"), ("up/real-2", "real-2")):
                body = ASKS[client] | {"model": asked, "stream": stream}
                status, headers, raw = house.post(PATHS[client], body)
                reply = Reply(client, stream, status, headers, raw, up.requests[-1])
                assert reply.said()["model"] == asked and reply.sent["model"] == sent
                objects = [json.loads(d[6:]) for d in raw.split(b"\n") if d.startswith(b"data: {")] if stream else []
                objects += [o["response"] for o in objects if "response" in o]
                assert {o["model"] for o in objects if "model" in o} <= {asked}


# ---------------------------------------------------------------------------- 39: headers, errors


HEADERS = {
    "retry-after": "7",
    "x-should-retry": "false",
    "x-ratelimit-remaining-requests": "3",
    "x-ratelimit-reset-tokens": "6m0s",
    "anthropic-ratelimit-unified-status": "allowed",
    "anthropic-ratelimit-tokens-remaining": "9",
    "request-id": "req_up",
}


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("kind", ["error", "whole", "stream"])
def test_39_headers_come_back_on_success_too(street: Street, lane: Any, kind: str) -> None:
    client, upstream = lane
    answer = {
        "error": Answer.json({"error": {"message": "slow", "type": "rate_limit_error"}}, 429, headers=HEADERS),
        "whole": Answer.json(OK[upstream], headers=HEADERS),
        "stream": Answer.sse(STREAMED[upstream], headers=HEADERS),
    }[kind]
    reply = street.ask(client, upstream, ASKS[client] | {"stream": kind == "stream"}, answer)
    assert reply.status == (429 if kind == "error" else 200)
    assert HEADERS.items() <= reply.headers.items()


def _in(seconds: float) -> str:
    return formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize(
    ("given", "seen"),
    [("7", "7"), ("0.5", "1"), ("2.01", "3"), ("-3", "0"), ("Wed, 21 Oct 2015 07:28:00 GMT", "0"), ("soon", "")],
)
def test_39_retry_after_is_in_whole_seconds(street: Street, given: str, seen: str) -> None:
    """On every lane: a client that reads an int must not stumble over another's fraction or date."""
    answer = Answer.json({"error": {"message": "slow"}}, 429, headers={"retry-after": given, "retry-after-ms": "1500"})
    for lane in (*CROSSINGS, *SAME):
        headers = street.ask(*lane, ASKS[lane[0]], answer).headers
        assert headers.get("retry-after", "") == seen and headers["retry-after-ms"] == "1500"


def test_39_a_date_of_retry_after_becomes_seconds(street: Street) -> None:
    answer = Answer.json({"error": {"message": "slow"}}, 429, headers={"retry-after": _in(120)})
    for lane in (*CROSSINGS, *SAME):
        assert 60 <= int(street.ask(*lane, ASKS[lane[0]], answer).headers["retry-after"]) <= 120


ERRORS: list[tuple[int, Any, str, str]] = [
    # status, the upstream's body, the type for a Messages client, the type for a Chat client
    (400, {"error": {"message": "bad"}}, "invalid_request_error", "invalid_request_error"),
    (401, {"error": {"message": "bad", "type": "invalid_api_key"}}, "authentication_error", "authentication_error"),
    (403, {"error": {"message": "bad"}}, "permission_error", "permission_error"),
    (404, {"error": {"message": "bad"}}, "not_found_error", "invalid_request_error"),
    (413, {"error": {"message": "bad"}}, "request_too_large", "invalid_request_error"),
    (429, {"error": {"message": "bad"}}, "rate_limit_error", "rate_limit_error"),
    (500, {"error": {"message": "bad"}}, "api_error", "server_error"),
    (503, {"error": {"message": "bad"}}, "overloaded_error", "service_unavailable_error"),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "bad"}}, "overloaded_error",
     "service_unavailable_error"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "for_messages", "for_chat"), ERRORS)
@pytest.mark.parametrize("stream", [True, False])
def test_39_errors_in_the_clients_dialect(
    street: Street, status: int, body: Any, for_messages: str, for_chat: str, stream: bool
) -> None:
    for lane in CROSSINGS:
        client = lane[0]
        reply = street.ask(*lane, ASKS[client] | {"stream": stream}, Answer.json(body, status))
        assert reply.status == (503 if status == 529 and client != "messages" else status)
        assert reply.error["type"] == (for_messages if client == "messages" else for_chat)
        assert reply.error["message"] == "bad"
        with pytest.raises(SDK_OF[client].APIStatusError, match="bad"):
            BODY[client](reply.raw, reply.status)


@pytest.mark.parametrize("lane", SAME)
@pytest.mark.parametrize(
    "raw", [b'{ "type":"error", "error":{"type":"x","message":"\\u00e9 "}}\n', b'{ "detail":"no" }']
)
@pytest.mark.parametrize("stream", [True, False])
def test_39_the_upstreams_own_error_is_verbatim(street: Street, lane: Any, raw: bytes, stream: bool) -> None:
    """Clients match on its wording."""
    answer = Answer(418, {"Content-Type": "text/odd"}, raw)
    reply = street.ask(*lane, ASKS[lane[0]] | {"stream": stream}, answer)
    assert (reply.status, reply.raw, reply.headers["content-type"]) == (418, raw, "application/json")


@pytest.mark.parametrize("lane", SAME)
@pytest.mark.parametrize(
    "raw", [b"<html><title>no way</title></html>", b"no way", b"", b'{"error":{"message":"no way', b"[]"]
)
def test_39_what_no_client_can_read_is_said_in_its_words(street: Street, lane: Any, raw: bytes) -> None:
    """A page, or nothing at all, of whatever stands before the upstream."""
    reply = street.ask(*lane, ASKS[lane[0]], Answer(418, {"Content-Type": "text/odd"}, raw))
    assert reply.status == 418 and ("no way" if b"no way" in raw else "418") in reply.error["message"]
    with pytest.raises(SDK_OF[lane[0]].APIStatusError):
        BODY[lane[0]](reply.raw, reply.status)


def test_39_our_own_refusals_are_in_whole_seconds_and_the_clients_words() -> None:
    with Upstream([Answer.drop()]) as up, House(one_upstream(up.url, "chat")) as house:
        for client in PATHS:
            status, headers, raw = house.post(PATHS[client], ASKS[client])
            reply = Reply(client, False, status, headers, raw, None)
            assert status in (502, 503) and reply.error["message"]
            assert headers.get("retry-after", "1").isdigit() and headers["request-id"]
