"""GitHub Copilot's `reasoning_opaque`, which proves all that a message has of thoughts, and goes back with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate import pair
from translate.target import Asked, Protocol, Target

Json = dict[str, Any]

OPAQUE = "lgxMQq0m/J6c=="
CALL = {"id": "call_1", "index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}}
DELTAS: list[Json] = [
    {"role": "assistant", "content": None, "reasoning_text": "let me "},
    {"role": "assistant", "content": None, "reasoning_text": "see"},
    {"role": "assistant", "content": "I look."},
    {"role": "assistant", "content": None, "reasoning_opaque": OPAQUE, "tool_calls": [CALL]},
    {"role": "assistant", "content": None, "reasoning_opaque": OPAQUE},
]


def stream() -> bytes:
    head = {"id": "c", "created": 1, "model": "gemini-3-pro-preview"}
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in DELTAS]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    return b"".join(b"data: %b\n\n" % json.dumps(head | each).encode() for each in chunks) + b"data: [DONE]\n\n"


def whole() -> bytes:
    message = {"role": "assistant", "content": "I look.", "reasoning_text": "let me see", "reasoning_opaque": OPAQUE,
               "tool_calls": [CALL]}  # fmt: skip
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return json.dumps({"id": "c", "created": 1, "model": "m", "choices": [choice]}).encode()


def history(client: Protocol, told: Json) -> Json:
    if client == "messages":
        result = {"type": "tool_result", "tool_use_id": "call_1", "content": "r"}
        return {"max_tokens": 50, "messages": [{"role": "user", "content": "q"},
                {"role": "assistant", "content": told["content"]}, {"role": "user", "content": [result]}]}  # fmt: skip
    result = {"type": "function_call_output", "call_id": "call_1", "output": "r"}
    return {"input": [{"role": "user", "content": "q"}, *told["output"], result]}


@pytest.mark.parametrize("raw", [whole(), stream()], ids=["whole", "stream"])
@pytest.mark.parametrize("client", ["messages", "responses"])
def test_it_goes_back_with_the_thoughts(client: Protocol, raw: bytes) -> None:
    told = json.loads(pair.Crossing(client, "chat", Asked("m", "k1", 1)).whole(raw, not raw.startswith(b"{")))
    encoded = pair.request(client, "chat", {"model": "m", **history(client, told)}, Target("m"))
    message: Any = encoded.body["messages"][1]  # type: ignore[index]
    assert message["reasoning_opaque"] == OPAQUE and message["reasoning_text"] == "let me see"
    assert message["content"] == "I look." and message["tool_calls"] and encoded.dropped == []
    other = pair.request(client, "gemini", {"model": "m", **history(client, told)}, Target("m"))
    assert OPAQUE.encode() not in other.json()


def test_copilots_own_clients_get_it_where_one_form_of_reply_is_made_of_the_other() -> None:
    told = json.loads(pair.Crossing("chat", "chat", Asked("m", "k1", 1)).whole(stream(), True))
    message = told["choices"][0]["message"]
    assert message["reasoning_opaque"] == OPAQUE and "reasoning_details" not in message
