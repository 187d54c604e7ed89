"""How likely the tokens were: between OpenAI's two protocols it is asked for and told; others name it as dropped."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.support import sdk_types
from translate import pair
from translate.target import Asked, Protocol, Target

Json = dict[str, Any]

WISH = "message.output_text.logprobs"
ASKS: dict[Protocol, Json] = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "x"}], "logprobs": True, "top_logprobs": 2},
    "responses": {"model": "m", "input": "x", "include": [WISH], "top_logprobs": 2},
}
TOKENS: list[Json] = [
    {"token": "h", "bytes": [104], "logprob": -0.5, "top_logprobs": [{"token": "H", "bytes": [72], "logprob": -2}]},
    {"token": "\u00e9", "bytes": [195, 169], "logprob": -0.1, "top_logprobs": []},
]


def sent(client: Protocol, upstream: Protocol, body: Json, model: str = "gpt-4.1") -> tuple[Json, list[str]]:
    out = pair.request(client, upstream, body, Target(model))
    return out.body, out.dropped


def test_the_wish_crosses() -> None:
    body, dropped = sent("chat", "responses", ASKS["chat"])
    assert (body["include"], body["top_logprobs"], dropped) == ([WISH], 2, [])
    body, dropped = sent("responses", "chat", ASKS["responses"])
    assert (body["logprobs"], body["top_logprobs"], dropped) == (True, 2, [])
    body, dropped = sent("chat", "responses", {**ASKS["chat"], "top_logprobs": 0}, "local")
    assert WISH in body["include"] and "reasoning.encrypted_content" in body["include"]
    assert "top_logprobs" not in body and dropped == []


def test_what_else_is_to_be_included_is_reported() -> None:
    body, dropped = sent("responses", "chat", ASKS["responses"] | {"include": [WISH, "file_search_call.results"]})
    assert body["logprobs"] is True and dropped == ["include"]


@pytest.mark.parametrize("client", ASKS)
def test_it_is_dropped_where_it_cannot_be_told(client: Protocol) -> None:
    wish = {"chat": ["logprobs", "top_logprobs"], "responses": ["include", "top_logprobs"]}[client]
    own: Protocol = "responses" if client == "chat" else "chat"
    for upstream, model in (("messages", "claude-sonnet-4-5"), ("gemini", "gemini-3-pro"), (own, "gpt-5.2")):
        body, dropped = sent(client, upstream, ASKS[client], model)  # type: ignore[arg-type]
        assert set(dropped) == set(wish) and "logprobs" not in json.dumps(body)


def of_chat() -> tuple[Json, list[Json]]:
    """A whole reply, and the chunks of a stream."""
    about = {"id": "c", "created": 1, "model": "m"}
    likely = {"content": TOKENS, "refusal": None}
    message = {"role": "assistant", "content": "h\u00e9"}
    whole = {"index": 0, "message": message, "logprobs": likely, "finish_reason": "stop"}
    chunks: list[Json] = [
        {"index": 0, "delta": {"content": token["token"]}, "logprobs": {"content": [token]}, "finish_reason": None}
        for token in TOKENS
    ]
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    return about | {"choices": [whole]}, [about | {"choices": [each]} for each in [*chunks, end]]


def of_responses() -> tuple[Json, list[Json]]:
    part = {"type": "output_text", "text": "h\u00e9", "annotations": [], "logprobs": TOKENS}
    message = {"type": "message", "id": "a", "role": "assistant", "status": "completed", "content": [part]}
    whole = {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [message]}
    place = {"item_id": "a", "output_index": 0, "content_index": 0}
    told: list[Json] = [
        {"type": "response.output_text.delta", **place, "delta": token["token"],
         "logprobs": [{key: token[key] for key in ("token", "logprob", "top_logprobs")}]}
        for token in TOKENS
    ]  # fmt: skip
    done = {"type": "response.output_item.done", "output_index": 0, "item": message}
    return whole, [*told, done, {"type": "response.completed", "response": whole | {"output": []}}]


def stream(events: list[Json]) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)


@pytest.mark.parametrize("streams", [False, True])
def test_chat_tells_responses(streams: bool) -> None:
    whole, chunks = of_chat()
    raw = stream(chunks) if streams else json.dumps(whole).encode()
    out = json.loads(pair.Crossing("responses", "chat", Asked("m", "k")).whole(raw, streams))
    Response.model_validate(out, strict=True)
    assert out["output"][0]["content"][0]["logprobs"] == TOKENS
    told = pair.Crossing("responses", "chat", Asked("m", "k")).feed(stream(chunks) + b"data: [DONE]\n\n")
    assert sdk_types.stream_problems("responses", told) == [] and told.count(b'"token":"h"') == 4


@pytest.mark.parametrize("streams", [False, True])
def test_responses_tells_chat(streams: bool) -> None:
    whole, events = of_responses()
    raw = stream(events) if streams else json.dumps(whole).encode()
    out = json.loads(pair.Crossing("chat", "responses", Asked("m", "k")).whole(raw, streams))
    ChatCompletion.model_validate(out, strict=True)
    assert out["choices"][0]["logprobs"] == {"content": TOKENS, "refusal": None}
    told = pair.Crossing("chat", "responses", Asked("m", "k")).feed(stream(events))
    assert sdk_types.stream_problems("chat", told) == [] and told.count(b'"token":"h"') == 1


def test_deltas_alone_tell_it_too() -> None:
    _, events = of_responses()
    out = json.loads(pair.Crossing("chat", "responses", Asked("m", "k")).whole(stream([*events[:2], events[-1]]), True))
    assert out["choices"][0]["logprobs"]["content"] == [
        token | {"top_logprobs": [each | {"bytes": [72]} for each in token["top_logprobs"]]} for token in TOKENS
    ]


@pytest.mark.parametrize("odd", [5, "x", [], {}, {"content": 5}, {"content": [5]}, {"content": [{}]}])
def test_what_is_odd_harms_nothing(odd: Any) -> None:
    whole, chunks = of_chat()
    for each in (whole, *chunks):
        each["choices"][0]["logprobs"] = odd
    for raw, streams in ((json.dumps(whole).encode(), False), (stream(chunks), True)):
        out = json.loads(pair.Crossing("responses", "chat", Asked("m", "k")).whole(raw, streams))
        Response.model_validate(out, strict=True)
        assert out["output"][0]["content"][0]["text"] == "h\u00e9"


@pytest.mark.parametrize("said", ["-Infinity", "NaN", "-1e400", '"-1"', "true", "null"])
def test_a_probability_that_is_no_number_is_that_of_a_token_far_from_likely(said: str) -> None:
    raw = json.dumps(of_chat()[0]).replace("-0.5", said).encode()
    out = pair.Crossing("responses", "chat", Asked("m", "k")).whole(raw)
    assert json.loads(out)["output"][0]["content"][0]["logprobs"][0]["logprob"] == -9999
