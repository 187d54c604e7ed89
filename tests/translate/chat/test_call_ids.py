"""Ids of calls that some models' servers refuse, or some models do not know their own calls by."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support import every_way
from translate import pair, recurring
from translate.target import Protocol, Target

Json = dict[str, Any]

LONG = "mcp__a_server_with_a_long_name__and_a_tool_of_one"
IDS = ["toolu_01A09q90qw90lq917835lq9", "functions_f_0_d6bdd4de", "call_k1_0", "D681PevKs"]
NINE = re.compile(r"[a-zA-Z0-9]{9}")


def messages(ids: list[str]) -> Json:
    """Each call in a turn of its own, but for the last two, which are parallel."""
    names = ["f", LONG, "f", "g"]
    calls = [{"type": "tool_use", "id": id, "name": name, "input": {}} for id, name in zip(ids, names, strict=False)]
    turns: list[Json] = [{"role": "user", "content": "hi"}]
    for together in (calls[:1], calls[1:2], calls[2:]):
        results = [{"type": "tool_result", "tool_use_id": call["id"], "content": call["id"]} for call in together]
        turns += [{"role": "assistant", "content": together}, {"role": "user", "content": results}]
    return {"model": "m", "max_tokens": 9, "messages": turns}


def responses(ids: list[str]) -> Json:
    items: list[Json] = [{"role": "user", "content": "hi"}]
    for id, name in zip(ids, ["f", LONG, "f", "g"], strict=False):
        items.append({"type": "function_call", "call_id": id, "name": name, "arguments": "{}"})
        items.append({"type": "function_call_output", "call_id": id, "output": id})
    return {"model": "m", "input": items}


def sent(client: Protocol, model: str) -> list[tuple[str, str, str]]:
    """(id, tool, what its result says), of each call as the upstream has it."""
    body = messages(IDS) if client == "messages" else responses(IDS)
    turns = json.loads(pair.request(client, "chat", body, Target(model)).json())["messages"]
    results = {turn["tool_call_id"]: turn["content"] for turn in turns if turn["role"] == "tool"}
    calls = [call for turn in turns for call in turn.get("tool_calls", [])]
    assert len(results) == len(calls) == len(IDS)
    return [(call["id"], call["function"]["name"], results[call["id"]]) for call in calls]


@pytest.mark.parametrize("client", ["messages", "responses"])
@pytest.mark.parametrize("model", ["mistral-large-latest", "devstral-2512", "mistralai/Magistral-Small", "codestral"])
def test_mistral_takes_nine_letters_and_digits(client: Protocol, model: str) -> None:
    found = sent(client, model)
    assert all(NINE.fullmatch(id) for id, _, _ in found) and len({id for id, _, _ in found}) == len(IDS)
    assert [said for _, _, said in found] == IDS, "each result is its own call's"
    assert found[3][0] == IDS[3] and found == sent(client, model), "its own ids stay, others are the same each time"


@pytest.mark.parametrize("client", ["messages", "responses"])
@pytest.mark.parametrize("model", ["kimi-k2-0905-preview", "moonshotai/Kimi-K2-Instruct", "kimi-k2.7"])
def test_kimi_counts_its_calls(client: Protocol, model: str) -> None:
    ids = ["functions.f:0", f"functions.{LONG}:1", "functions.f:2", "functions.g:3"]
    assert [id for id, _, _ in sent(client, model)] == ids
    assert [said for _, _, said in sent(client, model)] == IDS


@pytest.mark.parametrize("client", ["messages", "responses"])
def test_others_get_them_as_they_are_but_for_those_too_long(client: Protocol) -> None:
    assert [id for id, _, _ in sent(client, "gpt-5.2")] == IDS
    long = responses(["c" * 64])
    turns = json.loads(pair.request("responses", "chat", long, Target("gpt-5.2")).json())["messages"]
    assert len(turns[2]["tool_call_id"]) == 40


def test_what_kimi_calls_itself_comes_back_as_it_was() -> None:
    """Anthropic's clients take fewer letters, so that they have had another id."""
    call = {"index": 0, "id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    chunks: list[Json] = [{"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    raw = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in chunks) + b"data: [DONE]\n\n"
    reply = json.loads(every_way.whole("messages", "chat", raw, streamed=True))
    assert reply["content"][0]["id"] != "functions.f:0"
    result = {"type": "tool_result", "tool_use_id": reply["content"][0]["id"], "content": "r"}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": reply["content"]},
        {"role": "user", "content": [result]},
    ]
    body = {"model": "m", "max_tokens": 9, "messages": turns}
    told = json.loads(pair.request("messages", "chat", body, Target("kimi-k2")).json())["messages"]
    assert told[1]["tool_calls"][0]["id"] == told[2]["tool_call_id"] == "functions.f:0"


def test_a_turn_from_memory_is_counted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same turn stands elsewhere once the conversation was shortened."""
    for name, value in (("LEAST_BODY", 0), ("LEAST_AVERAGE", 0), ("LEAST", 0), ("MEMORY", recurring.Memory(1 << 20))):
        monkeypatch.setattr(recurring, name, value)
    whole = messages(IDS)
    short = whole | {"messages": [whole["messages"][0], *whole["messages"][3:]]}
    for body in (whole, short, whole):
        told = pair.request("messages", "chat", recurring.loads(json.dumps(body).encode()), Target("kimi-k2")).json()
        assert json.loads(told) == json.loads(pair.request("messages", "chat", body, Target("kimi-k2")).json())


@pytest.mark.parametrize("model", ["mistral-large", "kimi-k2"])
def test_a_turn_from_memory_is_written_once(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LEAST_BODY", 0), ("LEAST_AVERAGE", 0), ("LEAST", 0), ("MEMORY", recurring.Memory(1 << 20))):
        monkeypatch.setattr(recurring, name, value)
    raw = json.dumps(messages(IDS)).encode()
    first, second = (pair.request("messages", "chat", recurring.loads(raw), Target(model)).body for _ in range(2))
    before, after = first["messages"], second["messages"]
    assert isinstance(before, list) and isinstance(after, list) and len(before) == len(after)
    with_ids = [n for n, said in enumerate(after) if "tool_calls" in said or "tool_call_id" in said]
    assert len(with_ids) == 3 + len(IDS) and all(after[n] is before[n] for n in with_ids)
