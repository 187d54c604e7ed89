"""Clients that speak of functions, the older word for tools: they get function_call back, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from translate import pair
from translate.target import Asked, Protocol, Target

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTIONS = [{"name": "weather", "parameters": PARAMETERS}]
USER = {"role": "user", "content": "x"}
UPSTREAMS: list[Protocol] = ["messages", "responses"]
INPUT = {"city": "P"}


def reply(upstream: Protocol, calls: int = 1) -> bytes:
    if upstream == "messages":
        blocks = [{"type": "tool_use", "id": f"t{i}", "name": "weather", "input": INPUT} for i in range(calls)]
        content = [{"type": "text", "text": "hm"}, *blocks]
        return json.dumps({"type": "message", "content": content, "stop_reason": "tool_use", "usage": {}}).encode()
    items = [{"type": "function_call", "id": f"fc{i}", "call_id": f"t{i}", "name": "weather", "status": "completed",
              "arguments": json.dumps(INPUT)} for i in range(calls)]  # fmt: skip
    return json.dumps({"id": "r", "object": "response", "status": "completed", "output": items}).encode()


def crossing(upstream: Protocol, body: dict[str, Any]) -> pair.Crossing:
    encoded = pair.request("chat", upstream, body, Target("m"))
    return pair.Crossing("chat", upstream, Asked("m", functions=encoded.functions, tool_names=encoded.tool_names))


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("calls", [1, 2])
def test_a_whole_reply_has_one_function_call(upstream: Protocol, calls: int) -> None:
    raw = crossing(upstream, {"model": "m", "messages": [USER], "functions": FUNCTIONS}).whole(reply(upstream, calls))
    choice = ChatCompletion.model_validate_json(raw, strict=True).choices[0]
    assert choice.finish_reason == "function_call" and choice.message.tool_calls is None
    call = choice.message.function_call
    assert call is not None and (call.name, json.loads(call.arguments)) == ("weather", INPUT)


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("calls", [1, 2])
def test_a_stream_has_one_function_call(upstream: Protocol, calls: int) -> None:
    body = {"model": "m", "messages": [USER], "functions": FUNCTIONS, "stream": True}
    raw = crossing(upstream, body).whole_as_stream(reply(upstream, calls))
    lines = [line[6:] for line in raw.split(b"\n\n") if line.startswith(b"data: {")]
    choices = [ChatCompletionChunk.model_validate_json(line, strict=True).choices[0] for line in lines]
    said = [choice.delta.function_call for choice in choices if choice.delta.function_call]
    assert [call.name for call in said if call.name] == ["weather"]
    assert json.loads("".join(call.arguments or "" for call in said)) == INPUT
    assert choices[-1].finish_reason == "function_call" and not any(choice.delta.tool_calls for choice in choices)


def test_a_call_without_arguments() -> None:
    block = {"type": "tool_use", "id": "t", "name": "weather", "input": {}}
    answer = json.dumps({"type": "message", "content": [block], "stop_reason": "tool_use"}).encode()
    body = {"model": "m", "messages": [USER], "functions": FUNCTIONS}
    whole = json.loads(crossing("messages", body).whole(answer))
    assert whole["choices"][0]["message"]["function_call"] == {"name": "weather", "arguments": "{}"}
    assert b'"function_call":{"arguments":"{}"}' in crossing("messages", body).whole_as_stream(answer)


def test_one_call_is_asked_for() -> None:
    body = {"model": "m", "messages": [USER], "functions": FUNCTIONS, "function_call": {"name": "weather"}}
    sent = pair.request("chat", "messages", body, Target("m")).body
    assert sent["tool_choice"] == {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}
    sent = pair.request("chat", "responses", body | {"function_call": "none"}, Target("m")).body
    assert sent["parallel_tool_calls"] is False and sent["tool_choice"] == "none"


def test_who_speaks_of_tools_gets_tool_calls() -> None:
    tools = [{"type": "function", "function": FUNCTIONS[0]}]
    for body in ({"tools": tools}, {"tools": tools, "functions": FUNCTIONS}, {"functions": []}):
        encoded = pair.request("chat", "messages", {"model": "m", "messages": [USER]} | body, Target("m"))
        assert not encoded.functions
        assert "disable_parallel_tool_use" not in str(encoded.body.get("tool_choice"))


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_results_in_a_history_belong_to_the_call_before(upstream: Protocol) -> None:
    """Two calls of one function: each result is that of the call before it."""
    history: list[dict[str, Any]] = [USER]
    for n in ("1", "2"):
        call = {"name": "weather", "arguments": json.dumps({"city": n})}
        history += [{"role": "assistant", "content": None, "function_call": call},
                    {"role": "function", "name": "weather", "content": f"result {n}"}]  # fmt: skip
    sent = pair.request("chat", upstream, {"model": "m", "messages": history, "functions": FUNCTIONS}, Target("m")).body
    if upstream == "responses":
        items = [item for item in sent["input"] if item.get("type", "").startswith("function_call")]  # type: ignore[attr-defined]
        assert [item.get("arguments") or item["output"] for item in items] == [
            '{"city": "1"}', "result 1", '{"city": "2"}', "result 2"]  # fmt: skip
        ids = [item["call_id"] for item in items]
    else:
        blocks = [block for turn in sent["messages"] for block in turn["content"] if block["type"] != "text"]  # type: ignore[attr-defined]
        assert [block.get("input") or block["content"] for block in blocks] == [
            {"city": "1"}, "result 1", {"city": "2"}, "result 2"]  # fmt: skip
        ids = [block.get("id") or block["tool_use_id"] for block in blocks]
    assert ids[0] == ids[1] != ids[2] == ids[3]
