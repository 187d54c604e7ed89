"""Chat -> neutral -> Chat says the same: by hand for each shape, and for all recorded traffic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import exchange_files, read_exchange
from tests.translate.chat.material import cuts, decode, short
from translate.chat import reply
from translate.chat.decode_request import decode as decode_request
from translate.chat.encode_request import encode
from translate.chat.encode_stream import Encoder
from translate.conversation import (
    Close,
    Delta,
    Event,
    Fault,
    Open,
    Refusal,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from translate.failures import errors
from translate.json import wire
from translate.target import Asked, Policy, Target

ASKED = Asked("mine", "k1", include_usage=True)

# Fields that mean the same as another one which is written instead, and why.
RESPELLED = {
    "functions": "written as tools",
    "reasoning": "written as reasoning_effort",
    "reasoning_effort": "may be reasoning's",
    "thinking": "Chat has one word for how much to think, and none for yes or no",
    "enable_thinking": "the same",
    "n": "1 is what it is without",
    "stream": "false is what it is without",
    "model": "the target's",
}

MARK = {"type": "ephemeral"}
MESSAGES: dict[str, list[dict[str, Any]]] = {
    "instructions": [
        {"role": "system", "content": "one", "name": "n"},
        {"role": "developer", "content": [{"type": "text", "text": "two", "cache_control": MARK}]},
        {"role": "user", "content": "Hi", "name": "bob", "cache_control": MARK},
        {"role": "system", "content": "later"},
        {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ],
    "user parts": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a", "cache_control": MARK},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://x"}},
                {"type": "file", "file": {"filename": "a.txt", "file_data": "QQ=="}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
                {"type": "input_audio", "input_audio": "AA"},
                {"type": "video_url", "video_url": {"url": "https://x"}},
            ],
        },
    ],
    "calls and results": [
        {
            "role": "assistant",
            "content": "so",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "a.b", "arguments": "{"}, "index": 0},
                {"id": "b", "type": "custom", "custom": {"name": "g", "input": "go"}},
            ],
            "reasoning_content": "hm",
        },
        {"role": "tool", "tool_call_id": "a", "content": "1", "name": "a.b"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}], "cache_control": MARK},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "3"},
    ],
    "an assistant's words": [
        {"role": "assistant", "content": "a", "refusal": "no", "prefix": True, "audio": {"id": "x"}},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "closed": True}]},
        {"role": "assistant", "reasoning_details": [{"type": "reasoning.text", "text": "hm", "index": 0}]},
    ],
}
FIELDS = {
    "tools": [
        {"type": "function", "function": {"name": "f", "description": "d", "strict": False}, "cache_control": MARK},
        {"type": "custom", "custom": {"name": "g", "format": {"type": "text"}}},
        {"type": "openrouter:web_search", "parameters": {}},
    ],
    "tool_choice": {"type": "custom", "custom": {"name": "g"}},
    "parallel_tool_calls": True,
    "max_completion_tokens": 5,
    "temperature": 0.5,
    "top_k": 3,
    "stop": ["a"],
    "seed": 1,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": False}},
    "reasoning_effort": "xhigh",
    "user": "u",
    "prompt_cache_key": "k",
    "service_tier": "flex",
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "logit_bias": {"1": 2},
    "metadata": {"a": "b"},
}


def there_and_back(body: dict[str, Any]) -> Any:
    fields = [key for m in body["messages"] for key in ("reasoning", "reasoning_content") if m.get(key)]
    policy = Policy(
        max_tokens_field="max_completion_tokens" if "max_completion_tokens" in body else "max_tokens",
        reasoning=fields[0] if fields else "reasoning_content",
        reasoning_history="true",
        stream_options="stream_options" in body,
    )
    out = encode(decode_request(body), Target(body.get("model", ""), policy))
    assert out.dropped == []
    assert out.tool_names == {}
    return out.body


def plain(value: Any) -> Any:
    """Without what says nothing: null, and empty strings and lists."""
    if isinstance(value, dict):
        return {k: p for k, v in value.items() if (p := plain(v)) not in (None, "", [])}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("messages", MESSAGES.values(), ids=MESSAGES.keys())
def test_messages_come_back_as_they_were(messages: list[dict[str, Any]]) -> None:
    body = {"model": "m", "messages": messages}
    assert plain(there_and_back(body)) == plain(body)


def test_fields_come_back_as_they_were() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **FIELDS}
    assert there_and_back(body) == body
    body["tool_choice"] = {"type": "function", "function": {"name": "f"}}
    assert there_and_back(body) == body


# -------------------------------------------------------------------------------------------------- recorded


def recorded(streamed: bool | None = None) -> list[Any]:
    files = [file for file in exchange_files() if file.name.startswith("chat-")]
    if streamed is not None:
        files = [file for file in files if ("-s-" in file.name) is streamed]
    return [pytest.param(file, id=file.stem) for file in files]


def load(file: Path) -> dict[str, Any]:
    return read_exchange(file)


@pytest.mark.parametrize("file", recorded())
def test_recorded_requests_come_back(file: Path) -> None:
    body = load(file)["request"]["body"]
    if not body or "messages" not in body:
        return
    if body.get("n") not in (None, 1):
        with pytest.raises(errors.BadRequest, match="only 1 is supported"):
            decode_request(body)
        return
    back, want = plain(there_and_back(body)), plain(body)
    for message in want["messages"]:
        if message.get("reasoning") == message.get("reasoning_content"):
            message.pop("reasoning_content", None)  # the same twice, said once
    if want.get("tool_choice") == "any":
        want["tool_choice"] = "required"  # Mistral's word
    if (wanted := want.get("response_format", {}).get("json_schema")) is not None:
        wanted.setdefault("name", "output")  # OpenAI wants one
    left = {key for key in want.keys() | back.keys() if want.get(key) != back.get(key)} - RESPELLED.keys()
    assert left <= ({"tools"} if "functions" in want else set())


@pytest.mark.parametrize("file", recorded(streamed=True))
def test_recorded_streams_come_back(file: Path) -> None:
    """The events are the same however the stream is cut, and after a way through the encoder."""
    raw = load(file)["response"].get("sse", "").encode("utf-8", "surrogatepass")
    if not raw:
        return
    events = decode([raw])
    told = short(events)
    for seed in range(2):
        assert short(decode(cuts(raw, seed, 25))) == told
    if len(raw) < 30_000:
        assert short(decode([raw[i : i + 1] for i in range(len(raw))])) == told
    if isinstance(events[-1], Fault):
        return
    assert said(decode([Encoder(ASKED).emit(events)])) == said(events)
    assert said(reply.explode(reply.collect(events, ASKED))) == said(events)


@pytest.mark.parametrize("file", recorded(streamed=False))
def test_recorded_bodies_come_back(file: Path) -> None:
    response = load(file)["response"]
    if response["status"] >= 400 or not isinstance(response.get("body"), dict):
        return
    try:
        events = reply.explode(response["body"])
    except errors.BadReply as error:
        assert "choices" not in response["body"], error
        return
    if isinstance(events[-1], Fault):
        assert "error" in response["body"]
        return
    assert said(reply.explode(reply.collect(events, ASKED))) == said(events)
    assert said(decode([Encoder(ASKED).emit(events)])) == said(events)


def said(events: list[Event]) -> dict[str, Any]:
    """What a reply says, whatever the order of its parts: a whole message has one text and one thought. A call
    without arguments has {}; where its id was missing, one is made up."""
    out: dict[str, Any] = {"text": "", "thinking": "", "refusal": "", "calls": [], "proofs": []}
    for event in events:
        match event:
            case Open():
                part, pieces = event.part, list[bytes]()
            case Delta():
                pieces += event.pieces
            case Close():
                words = wire.text_of(pieces)
                match part:
                    case ToolCall():
                        out["calls"].append((part.name, words or "{}"))
                    case Text():
                        out["text"] += words
                    case Thinking():
                        out["thinking"] += words
                        out["proofs"] += [part.encrypted or event.signature]
                    case Refusal():
                        out["refusal"] += words
            case Stop():
                usage = event.usage or Usage()
                out["usage"] = (usage.prompt, usage.cache_read, usage.output, usage.reasoning)
                out["stop"] = event.reason
    out["proofs"] = [proof for proof in out["proofs"] if proof]
    return out
