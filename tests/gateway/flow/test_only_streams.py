"""Upstreams that stream whatever they are asked for: without saying so in their head, or refusing all else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import house_text, section, streams

USAGE = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "hello", "annotations": []}]}  # fmt: skip
HEAD = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": []}
EVENTS: dict[str, list[dict[str, Any]]] = {
    "messages": [
        {"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                                              "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ],
    "responses": [
        {"type": "response.created", "response": HEAD | {"status": "in_progress"}},
        {"type": "response.output_item.done", "output_index": 0, "item": ITEM},
        {"type": "response.completed", "response": HEAD | {"status": "completed", "output": [ITEM], "usage": USAGE}},
    ],
}  # fmt: skip
ASKS: dict[str, dict[str, Any]] = {
    "/v1/messages": {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]},
    "/v1/chat/completions": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "/v1/responses": {"model": "m", "input": "hi"},
}
TEXT = {
    "/v1/messages": lambda body: body["content"][0]["text"],
    "/v1/chat/completions": lambda body: body["choices"][0]["message"]["content"],
    "/v1/responses": lambda body: body["output"][0]["content"][0]["text"],
}
KINDS: list[dict[str, str]] = [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/json"}]
REFUSALS = [
    "Stream must be set to true",
    "This model only support stream mode, please enable the stream parameter to access the model.",
    "parameter.enable_thinking must be set to false for non-streaming calls",
    "enable thinking can not be support when `stream=False`.",
]


def stream_of(protocol: str) -> bytes:
    if protocol == "chat":
        return b"".join(streams("hello"))
    named = EVENTS[protocol]
    return b"".join(b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode()) for each in named)


@pytest.mark.parametrize("head", KINDS)
@pytest.mark.parametrize("protocol", ["messages", "chat", "responses"])
def test_a_stream_shows_by_its_first_bytes(protocol: str, head: dict[str, str]) -> None:
    """OpenAI's Codex gives its streams no Content-Type. Who asks for a whole reply gets one."""
    answer = Answer(200, head, stream_of(protocol))
    with Upstream([answer]) as up, House(house_text("* = a", a=section(up.url, "", protocol))) as house:
        for path, ask in ASKS.items():
            status, headers, raw = house.post(path, ask)
            assert (status, headers["content-type"]) == (200, "application/json"), raw
            assert TEXT[path](json.loads(raw)) == "hello"


@pytest.mark.parametrize("head", KINDS)
def test_such_a_stream_passes_as_one(head: dict[str, str]) -> None:
    sent = stream_of("responses")
    with Upstream([Answer(200, head, sent)]) as up:
        with House(house_text("* = a", a=section(up.url, "", "responses"))) as house:
            status, headers, raw = house.post("/v1/responses", ASKS["/v1/responses"] | {"stream": True})
    assert (status, headers["content-type"], raw) == (200, "text/event-stream; charset=utf-8", sent)


@pytest.mark.parametrize("words", REFUSALS)
@pytest.mark.parametrize(("protocol", "path"), [("chat", "/v1/messages"), ("responses", "/v1/messages"),
                                                ("messages", "/v1/responses")])  # fmt: skip
def test_what_gives_no_whole_replies_is_asked_for_streams(protocol: str, path: str, words: str) -> None:
    def answer(request: Request) -> Answer:
        if not request.json.get("stream"):
            return Answer.json({"error": {"message": words, "type": "invalid_request_error"}}, 400)
        return Answer.sse(stream_of(protocol))

    with Upstream(answer) as up, House(house_text("* = a", a=section(up.url, "", protocol))) as house:
        for _ in range(2):
            status, headers, raw = house.post(path, ASKS[path])
            assert (status, headers["content-type"], headers.get("x-proxy-dropped")) == (200, "application/json", None)
            assert TEXT[path](json.loads(raw)) == "hello"
        assert [bool(each.json.get("stream")) for each in up.requests] == [False, True, True]
        known = house.on_loop(lambda: house.proxy.service.quirks.all())
        assert known == {"a/m": ["a whole reply is asked for as a stream, and put together"]}


def test_a_client_cannot_teach_it() -> None:
    """An upstream that quotes what it refuses says the client's own words."""
    words = REFUSALS[0]
    with Upstream([Answer.json({"error": {"message": f"bad text: {words}"}}, 400)]) as up:
        with House(house_text("* = a", a=section(up.url, ""))) as house:
            ask = ASKS["/v1/messages"] | {"messages": [{"role": "user", "content": words}]}
            assert house.post("/v1/messages", ask)[0] == 400
            assert len(up.requests) == 1
