"""Mistral's own libraries, and the AI SDK's for it: they take a call of a stream in one piece, as Mistral sends it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway.flow.test_gemini import part, scripted, told
from tests.support import sdk
from tests.support.house import House, one_upstream
from translate.conversation import ToolCall

PYTHON = "speakeasy-sdk/python 3.7.0 2.935.1 1.0.0 mistralai"
ASK: dict[str, Any] = {
    "model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True,
    "tools": [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in "fg"],
}  # fmt: skip
SAID = told(part(ToolCall("call_1", "f"), '{"a": "b\\n"}'), part(ToolCall("call_2", "g"), ""), reason="tool_calls")


def calls(agent: str, upstream: str) -> tuple[bytes, list[dict[str, Any]]]:
    """What a client with this User-Agent gets: the stream, and the entries of its deltas."""
    with scripted(upstream, SAID) as up, House(one_upstream(up.url, upstream)) as house:
        status, _, raw = house.post("/v1/chat/completions", ASK, {"User-Agent": agent})
    assert status == 200
    chunks = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith(b"data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return raw, [call for delta in deltas for call in delta.get("tool_calls", [])]


@pytest.mark.parametrize("upstream", ["messages", "responses"])
@pytest.mark.parametrize("agent", [PYTHON, "mistral-client-typescript/1.10.0", "ai/6.0.3 ai-sdk/mistral/3.0.1"])
def test_a_call_comes_in_one_piece(agent: str, upstream: str) -> None:
    raw, entries = calls(agent, upstream)
    assert [each["function"] for each in entries] == [
        {"name": "f", "arguments": '{"a": "b\\n"}'}, {"name": "g", "arguments": "{}"}]  # fmt: skip
    assert [(each["index"], each["type"]) for each in entries] == [(0, "function"), (1, "function")]
    assert all(each["id"] for each in entries)
    assert sdk.chat_stream(raw)["choices"][0]["finish_reason"] == "tool_calls"


def test_others_get_it_as_it_comes() -> None:
    assert len(calls("langchain-mistral", "messages")[1]) > 2
