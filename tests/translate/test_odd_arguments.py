"""A call's arguments that are no object, as some clients and models write them: what they mean reaches the tool."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import every_way
from translate import pair
from translate.target import Protocol, Target

Json = dict[str, Any]

OBJECT = '{"a": [1.50, "\u00e9\\n"]}'
MEANT: dict[str, Json] = {
    "null": {},
    " null ": {},
    "[]": {},
    '""': {},
    json.dumps("{}"): {},
    json.dumps(OBJECT): json.loads(OBJECT),
    json.dumps(json.dumps(OBJECT)): json.loads(OBJECT),
    json.dumps("rm -rf"): {"_raw": json.dumps("rm -rf")},
    json.dumps('{"a": 1'): {"_raw": json.dumps('{"a": 1')},
    "[1]": {"_raw": "[1]"},
}
PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses", "gemini")


def history(client: Protocol, arguments: Any) -> Json:
    user: Json = {"role": "user", "content": "hi"}
    if client == "chat":
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
        turns: list[Json] = [user, {"role": "assistant", "content": None, "tool_calls": [call]}]
        return {"model": "m", "messages": [*turns, {"role": "tool", "tool_call_id": "c", "content": "r"}]}
    if client == "responses":
        item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": arguments}
        return {"model": "m", "input": [user, item, {"type": "function_call_output", "call_id": "c", "output": "r"}]}
    call = {"type": "tool_use", "id": "c", "name": "f", "input": arguments}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]}
    return {"model": "m", "max_tokens": 9, "messages": [user, {"role": "assistant", "content": [call]}, result]}


def called(upstream: Protocol, body: Json) -> Any:
    """The arguments as the upstream is told them."""
    if upstream == "chat":
        return json.loads(body["messages"][1]["tool_calls"][0]["function"]["arguments"])
    if upstream == "responses":
        return json.loads(body["input"][1]["arguments"])
    if upstream == "gemini":
        return body["contents"][1]["parts"][0]["functionCall"]["args"]
    return body["messages"][1]["content"][0]["input"]


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("written", MEANT)
def test_in_a_history(written: str, upstream: Protocol) -> None:
    for client in ("chat", "responses"):
        if client != upstream:
            sent = pair.request(client, upstream, history(client, written), Target("up")).json()
            assert called(upstream, json.loads(sent)) == MEANT[written], client


@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
@pytest.mark.parametrize("given", [None, [], "", OBJECT])
def test_in_a_messages_history(given: Any, upstream: Protocol) -> None:
    sent = pair.request("messages", upstream, history("messages", given), Target("up")).json()
    assert called(upstream, json.loads(sent)) == (json.loads(OBJECT) if given else {})


def replies(written: str, pieces: int) -> dict[Protocol, tuple[bytes, bytes]]:
    """upstream -> (the reply whole, and as a stream in which the arguments come in so many pieces)"""
    size = -(-len(written) // pieces)
    cut = [written[i : i + size] for i in range(0, len(written), size)]
    function = {"name": "f", "arguments": written}
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": function}]}
    deltas: list[Json] = [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]
    deltas += [{"index": 0, "function": {"arguments": piece}} for piece in cut]
    chunks: list[Json] = [{"choices": [{"index": 0, "delta": {"tool_calls": [each]}}]} for each in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    item = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": written}
    response = {"id": "r", "object": "response", "status": "completed", "output": [item]}
    at = {"output_index": 0, "item_id": "fc"}
    events: list[Json] = [{"type": "response.output_item.added", "item": item | {"arguments": ""}} | at]
    events += [{"type": "response.function_call_arguments.delta", "delta": piece} | at for piece in cut]
    events.append({"type": "response.function_call_arguments.done", "arguments": written} | at)
    events += [{"type": "response.output_item.done", "item": item} | at]
    events.append({"type": "response.completed", "response": response})
    whole = {"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    return {
        "chat": (json.dumps(whole).encode(), framed(chunks) + b"data: [DONE]\n\n"),
        "responses": (json.dumps(response).encode(), framed(events)),
    }


def framed(events: list[Json]) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in events)


@pytest.mark.parametrize("pieces", [1, 3, 99])
@pytest.mark.parametrize("written", MEANT)
def test_in_a_reply(written: str, pieces: int) -> None:
    for upstream, (whole, stream) in replies(written, pieces).items():
        for raw, streamed in ((whole, False), (stream, True)):
            told = every_way.told(upstream, raw, streamed)
            assert set(told) == set(every_way.clients(upstream)), (upstream, told)
            for client, said in told.items():
                meant = MEANT[written]
                assert said.calls == [("f", meant.get("_raw", meant))], (upstream, client, streamed)
            assert not every_way.problems(upstream, raw, streamed)


def test_a_call_after_such_a_one_waits_for_nothing_but_its_end() -> None:
    begun = [(0, "x", "null"), (1, "y", '{"a": 1}')]
    deltas = [{"index": i, "id": id, "function": {"name": "f", "arguments": given}} for i, id, given in begun]
    chunks: list[Json] = [{"choices": [{"index": 0, "delta": {"tool_calls": [each]}}]} for each in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    raw = framed(chunks) + b"data: [DONE]\n\n"
    for client, said in every_way.told("chat", raw).items():
        assert said.calls == [("f", {}), ("f", {"a": 1})], client
    assert not every_way.problems("chat", raw)
