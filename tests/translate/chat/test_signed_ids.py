"""LiteLLM has Google's signature of a call in `provider_specific_fields`, and once more in the call's id."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from translate import pair
from translate.target import Asked, Policy, Protocol, Target

Json = dict[str, Any]

SIGNATURE = "EtoBCtcBARFNMg8/fIUsPZ0fOV+iORrkBfCrYUQ+5dg27LO3z//bq7la=="
TWICE = base64.urlsafe_b64encode(SIGNATURE.encode()).decode()
FIELDS = {"thought_signature": SIGNATURE}
LONG = f"call_4f2__thought__{SIGNATURE}"
FUNCTION: Json = {"name": "f", "arguments": '{"a":1}'}

CALLS: dict[str, Json] = {
    "both": {"id": LONG, "function": FUNCTION, "provider_specific_fields": FIELDS},
    "the id alone": {"id": LONG, "function": FUNCTION},
    "the id alone, in base64 once more": {"id": f"call_4f2__thought__{TWICE}", "function": FUNCTION},
    "the field alone": {"id": "call_4f2", "function": FUNCTION, "provider_specific_fields": FIELDS},
    "the field within the function": {"id": "call_4f2", "function": FUNCTION | {"provider_specific_fields": FIELDS}},
}


def reply(call: Json) -> bytes:
    message = {"role": "assistant", "content": None, "tool_calls": [{"type": "function"} | call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    ).encode()


def stream(call: Json) -> bytes:
    first, rest = {"arguments": '{"a"'}, {"arguments": ":1}"}
    begun = {"index": 0, "type": "function"} | call | {"function": call["function"] | first}
    more = {"tool_calls": [{"index": 0, "function": rest}]}
    deltas: list[tuple[Json, str | None]] = [({"tool_calls": [begun]}, None), (more, None), ({}, "tool_calls")]
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    out = b""
    for delta, finish in deltas:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        out += b"data: %b\n\n" % json.dumps(head | {"choices": [choice]}).encode()
    return out + b"data: [DONE]\n\n"


def history(client: Protocol, told: Json) -> Json:
    """The client's next request, with the result of the call."""
    if client == "messages":
        result = {"type": "tool_result", "tool_use_id": told["content"][-1]["id"], "content": "r"}
        turns: list[Any] = [{"role": "user", "content": "q"}, {"role": "assistant", "content": told["content"]},
                            {"role": "user", "content": [result]}]  # fmt: skip
        return {"max_tokens": 50, "messages": turns}
    result = {"type": "function_call_output", "call_id": told["output"][-1]["call_id"], "output": "r"}
    return {"input": [{"role": "user", "content": "q"}, *told["output"], result]}


def sent(client: Protocol, raw: bytes, streamed: bool, target: Target, upstream: Protocol = "chat") -> Any:
    told = json.loads(pair.Crossing(client, "chat", Asked("m", "k1", 1)).whole(raw, streamed))
    return pair.request(client, upstream, {"model": "m", **history(client, told)}, target)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("client", ["messages", "responses"])
def test_the_signature_goes_back_beside_the_call(client: Protocol, streamed: bool, name: str) -> None:
    raw = stream(CALLS[name]) if streamed else reply(CALLS[name])
    encoded = sent(client, raw, streamed, Target("smart"))
    _, assistant, result = encoded.body["messages"]
    [call] = assistant["tool_calls"]
    assert call["provider_specific_fields"] == FIELDS and json.loads(call["function"]["arguments"]) == {"a": 1}
    assert call["id"] == result["tool_call_id"] == "call_4f2" and encoded.dropped == []


def test_google_itself_gets_it_in_its_own_way() -> None:
    target = Target("gemini-3-pro", Policy(tool_schema="gemini"))
    [call] = sent("messages", reply(CALLS["both"]), False, target).body["messages"][1]["tool_calls"]
    assert call["extra_content"] == {"google": FIELDS} and "provider_specific_fields" not in call
    contents = sent("messages", reply(CALLS["both"]), False, Target("gemini-3-pro"), "gemini").body["contents"]
    assert contents[1]["parts"][0]["thoughtSignature"] == SIGNATURE


def test_a_gemini_client_has_it_as_googles_own() -> None:
    told = json.loads(pair.Crossing("gemini", "chat", Asked("m", "k1", 1)).whole(reply(CALLS["both"])))
    [part] = told["candidates"][0]["content"]["parts"]
    assert part["thoughtSignature"] == SIGNATURE and part["functionCall"]["id"] == "call_4f2"


def test_no_other_provider_gets_it() -> None:
    assert b"EtoBCtcB" not in sent("messages", reply(CALLS["both"]), False, Target("m"), "responses").json()


def test_litellms_own_clients_get_the_id_where_one_form_of_reply_is_made_of_the_other() -> None:
    told = json.loads(pair.Crossing("chat", "chat", Asked("m", "k1", 1)).whole(stream(CALLS["both"]), True))
    [call] = told["choices"][0]["message"]["tool_calls"]
    assert call["id"] == LONG and call["provider_specific_fields"] == FIELDS
    begun = pair.Crossing("chat", "chat", Asked("m", "k1", 1)).whole_as_stream(reply(CALLS["both"]))
    assert json.dumps(LONG).encode() in begun


def test_an_id_without_a_signature_is_an_id_like_any_other() -> None:
    for call in (
        {"id": "call_1", "function": FUNCTION},
        {"id": "call_1", "function": FUNCTION, "provider_specific_fields": {}},
    ):
        encoded = sent("messages", reply(call), False, Target("m"))
        [got] = encoded.body["messages"][1]["tool_calls"]
        assert got["id"] == "call_1" and got.keys() == {"id", "type", "function"}
