"""A field that nobody knows, in an upstream's reply: what a client of another protocol does not get is reported."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.said_deeply import Place, at, places
from translate import pair
from translate.target import Asked, Protocol

Json = dict[str, Any]

NOVELTY = "novelty"
CLIENTS: tuple[Protocol, ...] = ("messages", "chat", "responses", "gemini")
REPLIES: dict[Protocol, Json] = {
    "messages": {
        "id": "m", "type": "message", "role": "assistant", "model": "c", "stop_reason": "tool_use",
        "usage": {"input_tokens": 3, "output_tokens": 2},
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "hi"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
        ],
    },
    "chat": {
        "id": "x", "object": "chat.completion", "created": 1, "model": "g",
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "hi", "reasoning_content": "hm", "tool_calls": [
                {"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}],
    },
    "responses": {
        "id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "g",
        "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        "output": [
            {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
            {"type": "function_call", "id": "f", "call_id": "t", "name": "f", "arguments": "{}"},
        ],
    },
    "gemini": {
        "candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
            {"text": "hm", "thought": True}, {"text": "hi"}, {"functionCall": {"name": "f", "args": {}}}]}}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2}, "modelVersion": "g",
    },
}  # fmt: skip
# Counters cross as sums, whatever else a server counts. The rest is no place of the reply's own words.
NO_PLACE = ("usage", "usageMetadata", "function", "summary", "input")
CASES = [
    pytest.param(client, upstream, place, id=f"{client}-{upstream}-{'.'.join(map(str, place))}")
    for upstream, reply in REPLIES.items()
    for client in CLIENTS
    if client != upstream
    for place in places(reply)
    if not set(place) & set(NO_PLACE)
]


def novel(upstream: Protocol, place: Place, name: str = NOVELTY) -> Json:
    reply = copy.deepcopy(REPLIES[upstream])
    at(reply, place)[name] = {"a": 1}
    return reply


def events(upstream: Protocol, reply: Json) -> Iterator[Json]:
    """The reply as its server streams it."""
    if upstream == "messages":
        start = {key: value for key, value in reply.items() if key not in ("content", "stop_reason")}
        yield {"type": "message_start", "message": start | {"content": []}}
        for i, block in enumerate(reply["content"]):
            yield {"type": "content_block_start", "index": i, "content_block": block}
            yield {"type": "content_block_stop", "index": i}
        yield {"type": "message_delta", "delta": {"stop_reason": reply["stop_reason"]}, "usage": reply["usage"]}
        yield {"type": "message_stop"}
    elif upstream == "chat":
        choice = {("delta" if key == "message" else key): value for key, value in reply["choices"][0].items()}
        yield reply | {"object": "chat.completion.chunk", "choices": [choice]}
    elif upstream == "responses":
        for i, item in enumerate(reply["output"]):
            yield {"type": "response.output_item.done", "output_index": i, "item": item}
        yield {"type": "response.completed", "response": reply}
    else:
        yield reply


def crossed(client: Protocol, upstream: Protocol, reply: Json, streamed: bool) -> list[str]:
    """What is reported."""
    asked = Asked("m", "k", echo={"includeThoughts": True})
    crossing = pair.Crossing(client, upstream, asked)
    if streamed:
        for event in events(upstream, reply):
            crossing.feed(b"data: %b\n\n" % json.dumps(event).encode())
        crossing.end()
        assert crossing.fault is None
    else:
        crossing.whole(json.dumps(reply).encode())
    return asked.left


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("client", "upstream", "place"), CASES)
def test_it_is_named(client: Protocol, upstream: Protocol, place: Place, streamed: bool) -> None:
    assert crossed(client, upstream, REPLIES[upstream], streamed) == []
    assert crossed(client, upstream, novel(upstream, place), streamed) == [f"reply.{NOVELTY}"]


@pytest.mark.parametrize("client", ["chat", "responses", "gemini"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_so_is_a_delta_that_nobody_knows(client: Protocol, index: int) -> None:
    asked = Asked("m", "k", echo={"includeThoughts": True})
    crossing = pair.Crossing(client, "messages", asked)
    for event in events("messages", REPLIES["messages"]):
        if event == {"type": "content_block_stop", "index": index}:
            said = {"type": "content_block_delta", "index": index, "delta": {"type": "novelty_delta", NOVELTY: "x"}}
            crossing.feed(b"data: %b\n\n" % json.dumps(said).encode())
        crossing.feed(b"data: %b\n\n" % json.dumps(event).encode())
    assert crossing.ended and crossing.fault is None and asked.left == ["reply.novelty_delta"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("upstream", ["chat", "messages", "responses"])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", ["timings", "provider", "cost", "prompt_filter_results", "base_resp"])
def test_how_a_server_has_served_it_is_not(client: Protocol, upstream: Protocol, name: str, streamed: bool) -> None:
    if client != upstream:
        assert crossed(client, upstream, novel(upstream, (), name), streamed) == []


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("client", ["messages", "responses", "gemini"])
def test_nor_is_what_is_read(client: Protocol, streamed: bool) -> None:
    """Moonshot's usage, LiteLLM's blocks and Copilot's proof stand within the choice; how far it is stands beside it at
    Perplexity, and the tier at Cerebras."""
    reply = copy.deepcopy(REPLIES["chat"]) | {"type": "message", "status": "PENDING", "service_tier_used": "flex"}
    choice = reply["choices"][0]
    choice["content_filter_raw"] = [{"category": "hate"}]
    choice["usage"] = reply.pop("usage")
    assert crossed(client, "chat", reply, streamed) == []
    choice["message"]["thinking_blocks"] = [{"type": "thinking", "thinking": "hm", "signature": "s"}]
    assert crossed(client, "chat", reply, streamed) == []
    del choice["message"]["thinking_blocks"]
    choice["message"]["reasoning_opaque"] = "o"
    assert crossed(client, "chat", reply, streamed) == []


def test_what_stands_beside_a_chat_reply_is_kept_where_it_is_written_anew() -> None:
    out = json.loads(pair.Crossing("chat", "chat", Asked("m", "k")).whole(json.dumps(novel("chat", ())).encode()))
    assert out[NOVELTY] == {"a": 1}
