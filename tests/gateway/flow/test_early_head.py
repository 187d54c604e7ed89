"""A stream whose upstream has not even sent a head for a while: the client gets the head, and pings, all the same."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from gateway.hooks import held_reply
from tests.gateway.flow.test_left_open import CHAT, IN_MESSAGES, IN_RESPONSES, MESSAGES, RESPONSES
from tests.gateway.observe.test_record import Seen
from tests.support.house import Client, House
from tests.support.script import Answer, Gate, Request, Upstream
from tests.support.two_upstreams import QUICK, STREAM, error, house_text, late, section, streams

ASK = STREAM | {"max_tokens": 9, "input": "hi"}
SOON = "[server]\nhead_seconds = 0.2\nping_seconds = 0.1\n"
PROTOCOLS = {CHAT: "chat", MESSAGES: "messages", RESPONSES: "responses"}
EVENTS = {CHAT: streams("hello"), MESSAGES: IN_MESSAGES, RESPONSES: IN_RESPONSES}
OLLAMA, GOOGLE = "/api/chat", "/v1beta/models/m:streamGenerateContent"
PING = b": ping\n\n"


def begun(client: Client, path: str, ask: dict[str, Any]) -> tuple[dict[str, str], Iterator[bytes]]:
    """Sends a request, and returns the head of its stream and what follows, once two pings have come."""
    client.send("POST", path, ask)
    status, headers = client.head()
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    pieces, come = client.pieces(), b""
    while come.count(PING) < 2:
        come += next(pieces)
    assert come.replace(PING, b"") == b""
    return headers, pieces


def rest(pieces: Iterator[bytes]) -> bytes:
    return b"".join(pieces).replace(PING, b"")


@pytest.mark.parametrize("path", PROTOCOLS)
def test_what_the_upstream_sends_later_passes_as_it_is(path: str) -> None:
    gate, events = Gate(), EVENTS[path]
    with Upstream([late(Answer.sse(events), gate)]) as up:
        with (
            House(house_text("* = a", SOON, a=section(up.url, "", PROTOCOLS[path]))) as house,
            house.connect() as client,
        ):
            headers, pieces = begun(client, path, ASK)
            assert headers["x-request-id"] and "retry-after" not in headers
            gate.open()
            assert rest(pieces) == b"".join(events)


@pytest.mark.parametrize("path", [MESSAGES, RESPONSES])
def test_so_does_what_is_translated(path: str) -> None:
    gate = Gate()
    with Upstream([late(Answer.sse(streams("hello")), gate)]) as up:
        with House(house_text("* = a", SOON, a=up.url)) as house, house.connect() as client:
            headers, pieces = begun(client, path, ASK | {"top_k": 3})
            assert path != MESSAGES or "top_k" in headers["x-proxy-dropped"]
            gate.open()
            said = rest(pieces)
            assert b"hello" in said and (b"message_stop" in said or b"response.completed" in said)


@pytest.mark.parametrize("path", PROTOCOLS)
def test_another_target_is_still_asked(path: str) -> None:
    gate, again = Gate(), Gate()
    with (
        Upstream(lambda r: late(error(503), gate)) as a,
        Upstream([late(error(429), again), Answer.sse(streams("b"))]) as b,
    ):
        with House(house_text("* = a, b", QUICK + SOON, a=a.url, b=b.url)) as house, house.connect() as client:
            _, pieces = begun(client, path, ASK)
            gate.open()
            b.wait(lambda up: len(up.requests) == 1)
            again.open()
            said = rest(pieces)
            assert b'"b"' in said and b'"error":{' not in said.replace(b" ", b"")
            assert [len(a.requests), len(b.requests)] == [1, 2]


@pytest.mark.parametrize("path", PROTOCOLS)
@pytest.mark.parametrize("same", [True, False])
def test_comments_of_an_upstream_are_no_answer(path: str, *, same: bool) -> None:
    """So it is with OpenRouter, and with a proxy like this one whose own upstream is late."""
    gate, comment = Gate(), b": PROCESSING\n\n"
    events = EVENTS[path] if same else EVENTS[CHAT if path != CHAT else MESSAGES]
    protocol = PROTOCOLS[path] if same else "chat" if path != CHAT else "messages"
    with Upstream([Answer.sse([comment, gate, *events])]) as up:
        text = house_text("* = a", SOON, a=section(up.url, "", protocol))
        with House(text) as house, house.connect() as client:
            _, pieces = begun(client, path, ASK)
            gate.open()
            come = rest(pieces)
            assert come == comment + b"".join(events) if same else b'"error":{' not in come and b"data: " in come


def test_a_pause_after_an_error_in_a_stream_is_no_silence() -> None:
    limit = {"error": {"message": "Please try again in 3s.", "code": "rate_limit_exceeded", "type": "requests"}}
    told = Answer.sse(b"data: " + json.dumps(limit).encode() + b"\n\n")
    with Upstream([told, Answer.sse(streams("hello"))]) as up:
        with House(house_text("* = a", SOON, a=up.url)) as house, house.connect() as client:
            _, pieces = begun(client, CHAT, ASK)
            assert len(up.requests) == 1, "the head has not waited for the next attempt"
            assert b"hello" in rest(pieces)


@pytest.mark.parametrize("path", PROTOCOLS)
@pytest.mark.parametrize("same", [True, False])
def test_what_fails_then_is_an_error_in_the_stream(path: str, *, same: bool) -> None:
    """And nobody is charged for it."""
    gate = Gate()
    protocol = PROTOCOLS[path] if same else "chat" if path != CHAT else "messages"
    key = {"Authorization": "Bearer ann-key-000000001"}
    ann = "[client ann]\nkey = ann-key-000000001\ntokens_per_minute = 100000\n"
    with Upstream([late(error(400, "no such tool", type="invalid_request_error"), gate)]) as up:
        text = house_text("* = a", SOON + ann, a=section(up.url, "", protocol))
        with House(text) as house, house.connect() as client:
            client.send("POST", path, ASK, key)
            assert client.head()[0] == 200
            gate.open()
            said = rest(client.pieces())
            [data] = [json.loads(line[6:]) for line in said.splitlines() if line.startswith(b"data: {")]
            assert "no such tool" in json.dumps(data) and "error" in json.dumps(data)
            left = house.on_loop(lambda: house.proxy.service.quotas["ann"].left(house.proxy.service.ports.now()))
            assert [row.left for row in left if row.unit == "tokens"] == [100_000]


def test_sdks_raise_it() -> None:
    gates = [Gate(), Gate()]
    with Upstream([late(error(429, "slow down", type="rate_limit_error"), gate) for gate in gates]) as up:
        with House(house_text("* = a", "[retry]\nmax_attempts = 1\n" + SOON, a=up.url)) as house:
            chat = openai.OpenAI(base_url=f"{house.url}/v1", api_key="k", max_retries=0)
            messages = anthropic.Anthropic(base_url=house.url, api_key="k", max_retries=0)
            hi: Any = [{"role": "user", "content": "hi"}]
            stream = chat.chat.completions.create(model="m", messages=hi, stream=True)
            gates[0].open()
            with pytest.raises(openai.APIError, match="slow down"):
                list(stream)
            events = messages.messages.create(model="m", messages=hi, max_tokens=9, stream=True)
            gates[1].open()
            with pytest.raises(anthropic.APIError, match="slow down"):
                list(events)


def test_a_client_that_waits_for_a_slot_gets_it_too() -> None:
    gate = Gate()
    with Upstream([late(Answer.sse(streams("one")), gate), Answer.sse(streams("two"))]) as up:
        text = house_text("* = a", SOON, a=section(up.url))
        with House(text) as house, house.connect() as first, house.connect() as second:
            first.send("POST", CHAT, ASK)
            up.wait(lambda seen: len(seen.requests) == 1)
            _, pieces = begun(second, CHAT, ASK)
            gate.open()
            assert b"two" in rest(pieces) and b"one" in first.reply()[2]


def test_a_proxy_that_ends_says_so_in_the_stream() -> None:
    with (
        Upstream([Answer.silence()]) as up,
        House(house_text("* = a", SOON + "drain_seconds = 0\n", a=up.url)) as house,
    ):
        with house.connect() as client:
            _, pieces = begun(client, CHAT, ASK)
            house.on_loop(lambda: [flow.shut_down() for flow in list(house.proxy.service.flows)])
            assert b"shutting down" in rest(pieces)


@pytest.mark.parametrize(
    ("path", "ask", "server"),
    [(CHAT, ASK | {"stream": False}, SOON), (CHAT, ASK, SOON.replace("0.2", "0")), (CHAT, ASK, ""),
     (GOOGLE, {"contents": [{"parts": [{"text": "x"}]}]}, SOON)],
)  # fmt: skip
def test_others_get_the_real_status(path: str, ask: dict[str, Any], server: str) -> None:
    """A whole reply, Gemini's list, which begins with a bracket; nobody by default before 45 seconds."""
    refusal = error(400, "no such tool")
    refusal.delay = 0.6
    with Upstream([refusal]) as up, House(house_text("* = a", server, a=up.url)) as house:
        assert house.post(path, ask)[0] == 400


BEDROCK = "/model/m/invoke-with-response-stream"
VERTEX = "/v1/projects/p/locations/l/publishers/anthropic/models/m:streamRawPredict"
IN_OTHER_FORMS: dict[str, dict[str, Any]] = {
    OLLAMA: ASK,
    "/api/generate": {"model": "m", "prompt": "hi", "stream": True},
    BEDROCK: {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": ASK["messages"]},
    VERTEX: {"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": ASK["messages"], "stream": True},
    CHAT: {"model": "m", "stream": True, "input": "hi"},  # Cursor's
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("path", IN_OTHER_FORMS)
def test_streams_in_another_form_have_signs_of_life_of_their_own(path: str, *, fails: bool) -> None:
    gate = Gate()
    answer = error(400, "no such tool") if fails else Answer.sse(streams("hello"))
    with Upstream([late(answer, gate)]) as up:
        with House(house_text("* = a", SOON, a=up.url)) as house, house.connect() as client:
            client.send("POST", path, IN_OTHER_FORMS[path])
            status, headers = client.head()
            pieces = client.pieces()
            signs = [next(pieces), next(pieces)]
            gate.open()
            come = b"".join(pieces)
    assert status == 200 and signs[0] and signs[0] in signs[1]
    said = come + b"".join(map(b64decode, re.findall(rb'"bytes":"([^"]+)"', come)))  # Bedrock's
    assert (b"no such tool" if fails else b"hello") in said
    if path.startswith("/api"):
        assert headers["content-type"].startswith("application/x-ndjson")
        lines = [json.loads(line) for line in b"".join([*signs, come]).splitlines()]
        assert all(line["done"] is False for line in lines[:2])
        assert ("error" in lines[-1]) if fails else lines[-1]["done"] is True


GUARD = "[hook guard]\nurl = {}/check\n"


def judges(action: str) -> Upstream:
    """A hook that says this of each reply."""

    def says(request: Request) -> Answer:
        is_reply = request.json["event"] == "reply"
        return Answer.json({"action": action if is_reply else "allow", "message": "not for you"})

    return Upstream(says)


@pytest.mark.parametrize("path", PROTOCOLS)
@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize("action", ["allow", "refuse"])
def test_a_stream_that_a_hook_holds_has_signs_of_life(path: str, action: str, *, begins: bool) -> None:
    """Nothing of it goes out before the hook has spoken. What the hook refuses then is an error in the stream."""
    gate = Gate()
    first, *others = EVENTS[path]
    events = [first, gate, *others] if begins else [gate, *EVENTS[path]]
    with Upstream([Answer.sse(events)]) as up, judges(action) as hook:
        text = house_text("* = a", SOON + GUARD.format(hook.url), a=section(up.url, "", PROTOCOLS[path]))
        with House(text) as house, house.connect() as client:
            told = Seen(house)
            _, pieces = begun(client, path, ASK)
            gate.open()
            come, record = rest(pieces), told.last()
    if action == "allow":
        assert come == b"".join(EVENTS[path]) and "error.type" not in record
    else:
        assert b"not for you" in come and b"hello" not in come and record["error.type"] and record["status"] == 200


@pytest.mark.parametrize("path", [CHAT, OLLAMA])
@pytest.mark.parametrize("action", ["allow", "refuse"])
def test_a_hook_that_takes_its_time_does_not_keep_them_off(
    path: str, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may take ten minutes ([hook NAME] timeout), long after the upstream has said all."""
    monkeypatch.setattr(held_reply, "SIGN_S", 0.1)
    gate = Gate()

    def says(request: Request) -> Answer:
        if request.json["event"] == "request":
            return Answer.json({"action": "allow"})
        return late(Answer.json({"action": action, "message": "not yours"}), gate)

    with Upstream([Answer.sse(streams("hello"))]) as up, Upstream(says) as hook:
        with House(house_text("* = a", SOON + GUARD.format(hook.url), a=up.url)) as house, house.connect() as client:
            client.send("POST", path, ASK)
            status, _ = client.head()
            pieces = client.pieces()
            assert status == 200 and b"hello" not in next(pieces) + next(pieces)
            gate.open()
            come = b"".join(pieces)
    assert (b"hello" in come) is (action == "allow") and (b"not yours" in come) is (action == "refuse")


def test_a_held_stream_whose_upstream_fails_late_tells_it() -> None:
    gate = Gate()
    with Upstream([late(error(503, "busy"), gate)]) as up, judges("allow") as hook:
        text = house_text("* = a", "[retry]\nmax_attempts = 1\n" + SOON + GUARD.format(hook.url), a=up.url)
        with House(text) as house, house.connect() as client:
            _, pieces = begun(client, CHAT, ASK)
            gate.open()
            assert b"busy" in rest(pieces)
