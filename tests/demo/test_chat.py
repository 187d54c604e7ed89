"""The demo upstream speaks Chat Completions, as the official SDK reads it."""

from __future__ import annotations

import json
from typing import Any

import httpx2 as httpx
import openai
import pytest

from demo.answer import THINKING
from tests.demo.running import ASK, C_TOOL, PATHS, Weather, body, events


def test_chat_whole_and_stream(gpt: openai.OpenAI) -> None:
    whole = gpt.chat.completions.create(model="gpt-x", messages=ASK)
    assert whole.model == "gpt-x" and whole.choices[0].finish_reason == "stop"
    text = whole.choices[0].message.content
    assert "OPENAI_API_KEY" in text and whole.usage.completion_tokens == -(-len(text) // 4)
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    with gpt.chat.completions.stream(model="gpt-x", messages=ASK, stream_options={"include_usage": True}) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.content == text and final.usage == whole.usage


@pytest.mark.parametrize("streamed", [False, True])
def test_chat_tool_round_trip(gpt: openai.OpenAI, streamed: bool) -> None:
    def ask(messages: list[Any], **more: Any) -> Any:
        options: Any = {"model": "demo", "messages": messages, "tools": [C_TOOL], **more}
        if not streamed:
            return gpt.chat.completions.create(**options).choices[0]
        with gpt.chat.completions.stream(**options) as stream:
            for _ in stream:
                pass
            return stream.get_final_completion().choices[0]

    first = ask(ASK, tool_choice="required")
    call = first.message.tool_calls[0]
    assert first.finish_reason == "tool_calls" and first.message.content == "Let me use a tool."
    assert call.function.name == "get_weather" and json.loads(call.function.arguments) == {"city": "Paris"}
    sent = {"id": call.id, "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    history = [
        *ASK,
        {"role": "assistant", "tool_calls": [sent]},
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    assert ask(history).finish_reason == "stop"
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    assert ask([*history, {"role": "user", "content": [image]}]).finish_reason == "stop"
    assert ask([*history, {"role": "assistant", "content": "a"}, *ASK]).finish_reason == "tool_calls"
    assert ask(ASK, tool_choice="none").finish_reason == "stop"
    named = {"type": "function", "function": {"name": "get_weather"}}
    assert ask(history, tool_choice=named).finish_reason == "tool_calls"


def test_chat_other_outputs(gpt: openai.OpenAI) -> None:
    custom: Any = {"type": "custom", "custom": {"name": "sql"}}
    made = gpt.chat.completions.create(model="demo", messages=ASK, tools=[custom]).choices[0].message.tool_calls[0]
    assert made.type == "custom" and made.custom.input == "echo hello-from-tool"
    parsed = gpt.chat.completions.parse(model="demo", messages=ASK, response_format=Weather)
    assert parsed.choices[0].message.parsed == Weather(city="Paris", degrees=1)
    loose = gpt.chat.completions.create(model="demo", messages=ASK, response_format={"type": "json_object"})
    assert json.loads(loose.choices[0].message.content) == {"ok": True}
    cut = gpt.chat.completions.create(model="demo", messages=ASK, max_completion_tokens=5, max_tokens=50)
    assert cut.choices[0].finish_reason == "length" and cut.usage.completion_tokens == 5
    stopped = gpt.chat.completions.create(model="demo", messages=ASK, stop=" demo")
    assert stopped.choices[0].finish_reason == "stop"
    assert stopped.choices[0].message.content == "This is the built-in"
    thought = gpt.chat.completions.create(model="demo-think", messages=ASK)
    assert thought.choices[0].message.reasoning_content == THINKING
    assert thought.usage.completion_tokens_details.reasoning_tokens > 0
    chunks = gpt.chat.completions.create(model="demo-think", messages=ASK, stream=True)
    reasoning = [getattr(chunk.choices[0].delta, "reasoning_content", None) for chunk in chunks]
    assert "".join(filter(None, reasoning)) == THINKING


def test_chat_grammar(http: httpx.Client) -> None:
    for more in ({}, {"tools": [C_TOOL]}, {"stream_options": {"include_usage": True}}):
        reply = http.post(PATHS[1], json=body(PATHS[1], stream=True) | more)
        *chunks, done = events(reply.text)
        assert done == {"done": True} and "event:" not in reply.text
        if "stream_options" in more:
            last = chunks.pop()
            assert last["choices"] == [] and last["usage"]["total_tokens"] > 0
            assert all(chunk["usage"] is None for chunk in chunks)
        else:
            assert not any("usage" in chunk for chunk in chunks)
        assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
        assert [("role" in chunk["choices"][0]["delta"]) for chunk in chunks].count(True) == 1
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        content = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
        whole = http.post(PATHS[1], json=body(PATHS[1]) | more | {"stream_options": None}).json()
        assert content == whole["choices"][0]["message"]["content"]
        reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
        assert reasons[-1] == ("tool_calls" if "tools" in more else "stop") and set(reasons[:-1]) == {None}
        heads = [c for chunk in chunks for c in chunk["choices"][0]["delta"].get("tool_calls", []) if "id" in c]
        assert len(heads) == (1 if "tools" in more else 0)
