"""Clients that were made for one provider, and take replies as that provider writes them: known by their User-Agent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway.flow.test_gemini import part, scripted, told
from tests.support import sdk
from tests.support.house import House, one_upstream
from translate.chat import clients
from translate.conversation import Text, Thinking, ToolCall

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
@pytest.mark.parametrize("agent", [PYTHON, "mistral-client-typescript/1.1", "ai-sdk/mistral/3.0.1", "ai-sdk/xai/3.0.1"])
def test_a_call_comes_in_one_piece(agent: str, upstream: str) -> None:
    raw, entries = calls(agent, upstream)
    assert [each["function"] for each in entries] == [
        {"name": "f", "arguments": '{"a": "b\\n"}'}, {"name": "g", "arguments": "{}"}]  # fmt: skip
    assert [(each["index"], each["type"]) for each in entries] == [(0, "function"), (1, "function")]
    assert all(each["id"] for each in entries)
    assert sdk.chat_stream(raw)["choices"][0]["finish_reason"] == "tool_calls"


def test_others_get_it_as_it_comes() -> None:
    assert len(calls("langchain-mistral", "messages")[1]) > 2


@pytest.mark.parametrize("agent", ["async-openai/0.29", "open-ai/1.0", "OpenAI/Python 3.57.0", "x" * 300 + " ai/5.0"])
def test_others_are_taken_for_no_such_client(agent: str) -> None:
    assert clients.habits({"User-Agent": agent}) is clients.USUAL


THOUGHT = told(part(Thinking(), "Hm, let me think.", signature="c2ln"), part(Text(""), "So be it."))
FIELDS = ("reasoning", "reasoning_content")


def message(agent: str, **more: Any) -> dict[str, Any]:
    """The whole message of a reply, or all that its stream's chunks say, put together."""
    ask = {"model": "m", "messages": ASK["messages"]} | more
    with scripted("messages", THOUGHT) as up, House(one_upstream(up.url, "messages")) as house:
        raw = house.post("/v1/chat/completions", ask, {"User-Agent": agent})[2]
    if not ask.get("stream"):
        found: dict[str, Any] = json.loads(raw)["choices"][0]["message"]
        return found
    chunks = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith(b"data: {")]
    out: dict[str, Any] = {"details": []}
    for delta in (choice["delta"] for chunk in chunks for choice in chunk["choices"]):
        for field in FIELDS:
            out[field] = out.get(field, "") + delta.get(field, "")
        out["details"] += delta.get("reasoning_details", [])
    last = chunks[-1]
    return out | {field: last[field] for field in ("usage", "x_groq") if last.get(field)}


@pytest.mark.parametrize(
    ("agent", "whole", "streamed"),
    [
        ("Groq/Python 1.7.0", {"reasoning"}, {"reasoning"}),
        ("ai-sdk/groq/3.0.71", {"reasoning"}, {"reasoning"}),
        ("unknown/None; hf_hub/2.4.0; python/3.11.7", {"reasoning"}, {"reasoning"}),
        ("ai-sdk/openrouter/2.10.0", {"reasoning"}, set()),
        ("ai/6.0.326 ai-sdk/provider-utils/4.0.56", set(FIELDS), {"reasoning_content"}),
        ("OpenAI/Python 3.57.0", {"reasoning_content"}, {"reasoning_content"}),
        ("", {"reasoning_content"}, {"reasoning_content"}),
    ],
)
def test_thoughts_are_where_the_client_reads_them(agent: str, whole: set[str], streamed: set[str]) -> None:
    said = message(agent)
    assert {field for field in FIELDS if said.get(field)} == whole
    assert all(said[field] == "Hm, let me think." for field in whole)
    in_pieces = message(agent, stream=True)
    assert {field for field in FIELDS if in_pieces[field]} == streamed
    details = in_pieces["details"]
    assert "".join(each["text"] for each in details) == "Hm, let me think."
    assert [each["signature"] for each in details if "signature" in each] == ["c2ln"]
    assert (len(details) > 1) is ("openrouter" in agent)


@pytest.mark.parametrize(
    ("agent", "fields"),
    [("ai-sdk/mistral/3.0.1", {"usage"}), ("ai-sdk/groq/3.0.71", {"usage", "x_groq"}), ("ai-sdk/cerebras/2", {"usage"}),
     ("ai-sdk/openrouter/2.10.0", {"usage"}), ("OpenAI/Python 3.57.0", set())],
)  # fmt: skip
def test_a_streams_last_chunk_tells_the_usage_to_who_expects_it_unasked(agent: str, fields: set[str]) -> None:
    said = message(agent, stream=True)
    assert {"usage", "x_groq"} & said.keys() == fields
    for field in fields:
        usage = said[field]["usage"] if field == "x_groq" else said[field]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (25, 9)
    asked = message(agent, stream=True, stream_options={"include_usage": True})
    assert asked["usage"]["total_tokens"] == 34 and "x_groq" not in asked


def test_a_kept_reply_is_for_those_who_read_it() -> None:
    """The cache takes clients of several kinds for one, except where the reply is written for one kind alone."""
    agents = ["OpenAI/Python 3.57.0", "Groq/Python 1.7.0", "curl/8", "ai-sdk/groq/3.0.71"]
    ask = {"model": "m", "messages": ASK["messages"], "stream": True}
    more = "[cache]\nalways = *\n"
    with scripted("messages", THOUGHT) as up, House(one_upstream(up.url, "messages", more)) as house:
        replies = [house.post("/v1/chat/completions", ask, {"User-Agent": agent}) for agent in agents]
    assert [headers["x-proxy-cache"] for _, headers, _ in replies] == ["miss", "miss", "hit", "hit"]
    assert [b"reasoning_content" in raw for _, _, raw in replies] == [True, False, True, False]
