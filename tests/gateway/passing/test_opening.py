"""The opening of a stream that passes as it is (message_start, response.created, a chunk with the role alone) waits for
the first word: an overload or an empty account is told right after it, and then another attempt may be made."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.passing.passthrough import Passthrough
from tests.gateway.flow.playbook import ROLE, asks, closes, data, ends, says
from tests.gateway.flow.stories import HEDGED, warm
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Upstream
from tests.support.two_upstreams import house_text, section
from translate import dialects
from translate.streams import sse
from translate.target import Protocol

PATHS: dict[Protocol, str] = {
    "messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses",
}  # fmt: skip
ASK = {"model": "m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "x"}]}
ASKS: dict[Protocol, Any] = {
    "messages": ASK, "chat": ASK, "responses": {"model": "m", "stream": True, "input": "x"},
}  # fmt: skip


def event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | more)}\n\n".encode()


def chunk(delta: Any, finish: str | None = None) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: %b\n\n" % json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": choices}).encode()


def ended_in_failure(choice: Any = None, **more: Any) -> bytes:
    """As OpenRouter tells it: within a chunk like any other."""
    choices = [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"} | (choice or {})]
    return b"data: %b\n\n" % json.dumps({"id": "c", "choices": choices} | more).encode()


STARTED = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 1}}
RESPONSE = {"id": "r", "status": "in_progress", "error": None, "output": [], "instructions": "i" * 20_000}
OPENINGS: dict[Protocol, list[bytes]] = {
    "messages": [
        event("message_start", message=STARTED),
        event("ping"),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    ],
    "chat": [
        b': OPENROUTER PROCESSING\n\ndata: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}\n\n',
        chunk({"role": "assistant", "content": "", "refusal": None}),
    ],
    "responses": [
        event("response.created", response=RESPONSE),
        event("response.in_progress", response=RESPONSE),
        event("response.output_item.added", item={"id": "i", "type": "message", "content": []}),
        event("response.content_part.added", part={"type": "output_text", "text": ""}),
    ],
}
WORDS: dict[Protocol, bytes] = {
    "messages": event("content_block_delta", index=0, delta={"type": "text_delta", "text": "fine"})
    + event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 1})
    + event("message_stop"),
    "chat": chunk({"content": "fine"}) + chunk({}, "stop") + b"data: [DONE]\n\n",
    "responses": event("response.output_text.delta", delta="fine")
    + event("response.completed", response=RESPONSE | {"status": "completed"}),
}
OVERLOADED = {"type": "overloaded_error", "message": "Overloaded"}
QUOTA = {"code": "insufficient_quota", "message": "You exceeded your current quota"}
BUSY = {"code": "server_is_overloaded", "message": "busy"}
BAD = {"type": "invalid_request_error", "message": "no such tool"}
ERRORS: dict[Protocol, list[list[bytes]]] = {
    "messages": [[event("error", error=OVERLOADED)]],
    "chat": [
        [b"data: %b\n\n" % json.dumps({"error": QUOTA}).encode(), b"data: [DONE]\n\n"],
        [b"data: %b" % json.dumps({"error": OVERLOADED}).encode()],
        [ended_in_failure(error={"code": 502, "message": "Provider returned error"}), b"data: [DONE]\n\n"],
        [ended_in_failure({"error": {"code": 429, "message": "Rate limited upstream"}})],
        [ended_in_failure()],
    ],
    "responses": [
        [event("error", **QUOTA), event("response.failed", response=RESPONSE | {"status": "failed", "error": QUOTA})],
        [event("response.failed", response=RESPONSE | {"status": "failed", "error": BUSY})],
    ],
}
CASES = [(protocol, said) for protocol, many in ERRORS.items() for said in many]


def two(first: Upstream, second: Upstream, protocol: Protocol, more: str = "") -> House:
    sections = {"a": section(first.url, "", protocol), "b": section(second.url, "", protocol)}
    return House(house_text("* = a, b", f"[retry]\nmax_attempts = 1\n{more}", **sections))


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize(("protocol", "said"), CASES)
def test_an_error_after_the_opening_leads_to_the_next_target(
    protocol: Protocol, said: list[bytes], apart: bool
) -> None:
    events = [*OPENINGS[protocol], *said]
    broken = Answer.sse([item for each in events for item in (each, 0.01)] if apart else b"".join(events))
    good = Answer.sse([*OPENINGS[protocol], WORDS[protocol]])
    with Upstream([broken]) as first, Upstream([good]) as second, two(first, second, protocol) as house:
        status, headers, body = house.post(PATHS[protocol], ASKS[protocol])
        assert (len(first.requests), len(second.requests)) == (1, 1)
    assert status == 200 and headers["x-proxy-upstream"] == "b"
    assert body == b"".join(OPENINGS[protocol]) + WORDS[protocol]


@pytest.mark.parametrize(("protocol", "said"), CASES)
def test_where_nobody_else_is_asked_the_client_gets_it_as_it_came(protocol: Protocol, said: list[bytes]) -> None:
    """Codex acts on response.failed, which follows the error, and on its code."""
    events = [*OPENINGS[protocol], *said]
    with Upstream([Answer.sse([item for each in events for item in (each, 0.01)])]) as up:
        with House(one_upstream(up.url, protocol) + "[retry]\nmax_attempts = 1\n") as house:
            status, headers, body = house.post(PATHS[protocol], ASKS[protocol])
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert body == b"".join(events)


def test_an_upstream_that_leaves_the_stream_open_after_its_error_is_not_waited_for() -> None:
    broken = Answer.sse([*OPENINGS["messages"], event("error", error=OVERLOADED)], end="hang")
    good = Answer.sse([*OPENINGS["messages"], WORDS["messages"]])
    with Upstream([broken]) as first, Upstream([good]) as second:
        sections = {"a": section(first.url, "", "messages"), "b": section(second.url, "", "messages")}
        with House(house_text("* = a, b", "[server]\nping_seconds = 0.1\n", **sections)) as house:
            _, headers, body = house.post(PATHS["messages"], ASK)
    assert headers["x-proxy-upstream"] == "b" and b"fine" in body and b"Overloaded" not in body


@pytest.mark.parametrize("protocol", PATHS)
def test_an_error_after_which_the_connection_is_lost_is_the_error(protocol: Protocol) -> None:
    """A lost connection alone would not be asked again: the upstream may have worked."""
    broken = Answer.sse([*OPENINGS[protocol], *ERRORS[protocol][0], 0.05], end="reset")
    good = Answer.sse([*OPENINGS[protocol], WORDS[protocol]])
    with Upstream([broken]) as first, Upstream([good]) as second, two(first, second, protocol) as house:
        _, headers, body = house.post(PATHS[protocol], ASKS[protocol])
    assert headers["x-proxy-upstream"] == "b" and body == b"".join(OPENINGS[protocol]) + WORDS[protocol]


def test_a_client_of_another_form_gets_the_reply_of_the_next_target_too() -> None:
    """Ollama's clients get lines of JSON."""
    broken = Answer.sse([*OPENINGS["chat"], ERRORS["chat"][0][0]], end="hang")
    good = Answer.sse([*OPENINGS["chat"], WORDS["chat"]])
    with Upstream([broken]) as first, Upstream([good]) as second:
        sections = {"a": section(first.url, ""), "b": section(second.url, "")}
        with House(house_text("* = a, b", "[server]\nping_seconds = 0.1\n", **sections)) as house:
            _, headers, body = house.post("/api/chat", {"model": "m", "messages": ASK["messages"], "stream": True})
    assert headers["x-proxy-upstream"] == "b" and b"fine" in body and b"quota" not in body


def test_it_is_tried_again_at_the_same_target() -> None:
    answers = [Answer.sse([*OPENINGS["messages"], event("error", error=OVERLOADED)]),
               Answer.sse([*OPENINGS["messages"], WORDS["messages"]])]  # fmt: skip
    with Upstream(answers) as up, House(one_upstream(up.url, "messages") + "[retry]\nbackoff = 0.01\n") as house:
        _, headers, body = house.post(PATHS["messages"], ASK)
    assert headers["x-proxy-attempts"] == "2" and b"fine" in body and b"Overloaded" not in body


def test_an_error_that_would_come_again_is_not_tried_again() -> None:
    said = [*OPENINGS["messages"], event("error", error=BAD)]
    with Upstream([Answer.sse(said)]) as first, Upstream([Answer.sse(WORDS["messages"])]) as second:
        with two(first, second, "messages") as house:
            status, _, body = house.post(PATHS["messages"], ASK)
        assert not second.requests
    assert status == 200 and body == b"".join(said)


@pytest.mark.parametrize("protocol", PATHS)
def test_a_model_that_thinks_long_after_its_opening_is_alive(protocol: Protocol) -> None:
    """After ping_seconds the opening goes out, and whatever comes then is the client's, an error too."""
    gate, opening = Gate(), b"".join(OPENINGS[protocol])
    for last in (WORDS[protocol], b"".join(ERRORS[protocol][0])):
        with (
            Upstream([Answer.sse([opening, gate, last])]) as up,
            House(one_upstream(up.url, protocol, server="ping_seconds = 0.1\n")) as house,
            house.connect() as client,
        ):
            client.send("POST", PATHS[protocol], ASKS[protocol])
            assert client.head()[0] == 200
            come = b""
            for piece in client.pieces():
                come += piece
                if opening in come and dialects.of(protocol).marks.ping in come.replace(opening, b""):
                    gate.open()
            assert come.startswith(opening) and come.endswith(last)


@pytest.mark.parametrize("client", PATHS)
@pytest.mark.parametrize("protocol", PATHS)
def test_while_another_target_may_be_asked_the_client_gets_the_head_alone(protocol: Protocol, client: Protocol) -> None:
    """What fails long after its opening is another target's; what does not fail, or fails everywhere, is as it came."""
    opening, errors = b"".join(OPENINGS[protocol]), b"".join(ERRORS[protocol][0])
    for last, whole in ((errors, WORDS[protocol]), (WORDS[protocol], b""), (errors, errors)):
        gate = Gate()
        with (
            Upstream([Answer.sse([opening, gate, last])]) as a,
            Upstream([Answer.sse([opening, whole])]) as b,
            two(a, b, protocol, "[server]\nping_seconds = 0.1\n") as house,
            house.connect() as talk,
        ):
            talk.send("POST", PATHS[client], ASKS[client])
            assert talk.head()[0] == 200
            come = b""
            for piece in talk.pieces():
                come += piece
                if come.count(b": ping\n\n") > 1:
                    gate.open()
            rest = come.replace(b": ping\n\n", b"")
            assert len(b.requests) == (last is errors) and (b"fine" in rest) == (whole is not errors)
            if client == protocol:
                assert rest == opening + (whole or last)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(("protocol", "said"), CASES)
def test_however_the_bytes_come(protocol: Protocol, said: list[bytes], end: bytes) -> None:
    raw = b"".join([*OPENINGS[protocol], *said]).replace(b"\n", end)
    for size in (1, 7, 4096, len(raw)):
        reply = Passthrough(protocol)
        assert not any(reply.feed(raw[at : at + size]) for at in range(0, len(raw), size))
        assert reply.end() == b"" and reply.fault is not None and not reply.started and reply.opened
        assert reply.fail(reply.fault) == raw


@pytest.mark.parametrize("protocol", PATHS)
def test_what_has_opened_is_bounded(protocol: Protocol) -> None:
    reply, opening = Passthrough(protocol), b"".join(OPENINGS[protocol])
    come = b""
    for _ in range(600_000 // len(opening) + 1):
        come += reply.feed(opening)
    assert len(come) > 256 * 1024


@pytest.mark.parametrize("begins", [b"", b"event: response.created\ndata: {"])
def test_the_beginning_of_a_large_event_is_looked_at_once(begins: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of comments without a blank one took ten milliseconds for each that came."""
    sizes: list[int] = []
    fields = sse.fields
    monkeypatch.setattr(sse, "fields", lambda event: sizes.append(len(event)) or fields(event))
    reply = Passthrough("responses")
    assert not any(reply.feed(piece) for piece in [begins] + [b":\n"] * 20_000)
    assert sum(sizes) < 40_000 and reply.fault is None and not reply.started


def test_a_stream_that_stops_after_its_opening_ends_with_an_error() -> None:
    opening = b"".join(OPENINGS["messages"])
    with Upstream([Answer.sse(opening)]) as up, House(one_upstream(up.url, "messages")) as house:
        status, _, body = house.post(PATHS["messages"], ASK)
    assert status == 200 and body.startswith(opening + b"event: error\n")


def test_a_stream_that_stops_after_its_opening_leaves_the_client_to_its_rival() -> None:
    book = warm(HEDGED)
    book >> asks() << "ask a"
    book >> 0.2 << "ask b"
    book >> data("a", ROLE) >> closes("a") << ""
    book >> says("b", "x") << "200, write x"
    book >> ends("b") << "write done, end, over"
    assert book.is_clean()


def test_where_a_reply_without_sense_is_asked_for_again_so_is_one_that_stops_after_its_opening() -> None:
    answers = [Answer.sse(OPENINGS["chat"]), Answer.sse([*OPENINGS["chat"], WORDS["chat"]])]
    text = "[retry]\nbackoff = 0.01\nalso = 200\n"
    with Upstream(answers) as up, House(one_upstream(up.url, "chat") + text) as house:
        _, headers, body = house.post(PATHS["chat"], ASK)
    assert headers["x-proxy-attempts"] == "2" and b"fine" in body


def test_an_error_that_goes_out_as_it_came_has_no_part_of_a_key() -> None:
    """It need not have the word error."""
    told = b'data: {"detail":"no such token: ...9876543210fedcba"}\n\n'
    with Upstream([Answer.sse([*OPENINGS["chat"], told])]) as up:
        text = house_text("* = a", "", a=section(up.url, "api_key = sk-9876543210fedcba\n"))
        with House(text + "[retry]\nmax_attempts = 1\n") as house:
            _, _, body = house.post(PATHS["chat"], ASK)
    assert body.startswith(b"".join(OPENINGS["chat"])) and b"no such token" in body
    assert b"3210fedcba" not in body


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize(("asked", "code", "rests"), [
    ("insufficient quota", None, False), ("something else", None, True),
    ("insufficient quota", "insufficient_quota", True),
])  # fmt: skip
def test_an_error_that_repeats_the_clients_words_lays_no_key_to_rest(
    asked: str, code: str | None, *, rests: bool, opened: bool
) -> None:
    """As with an error that has a status of its own. A code is not the client's word."""
    said = {"type": "invalid_request_error", "code": code, "message": "bad name of a tool: 'insufficient quota'"}
    broken = Answer.sse([*(OPENINGS["messages"] if opened else []), event("error", error=said)])
    with Upstream([broken]) as up, House(one_upstream(up.url, "messages") + "[retry]\nmax_attempts = 1\n") as house:
        house.post(PATHS["messages"], ASK | {"system": f"Use {asked}"})
        (route,) = house.on_loop(lambda: house.proxy.service.router.routes("m", "messages"))
        assert (route.place.key.bad_until > 0) is rests
