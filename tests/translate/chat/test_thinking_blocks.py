"""LiteLLM's `thinking_blocks`: what Claude has signed comes to clients of all protocols, and back to LiteLLM."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate import dialects, pair
from translate.chat.decode_stream import Decoder
from translate.conversation import Close, Open, Thinking
from translate.target import Asked, Policy, Protocol, Target

Json = dict[str, Any]

CALL = {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SIGNED = {"type": "thinking", "thinking": "let me see", "signature": "SIG=="}
REDACTED = {"type": "redacted_thinking", "data": "CIPHER=="}
PIECE = {"type": "thinking", "signature": ""}


def chunk(finish: str | None = None, **delta: Any) -> Json:
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}  # fmt: skip


def sse(*chunks: Json) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in chunks) + b"data: [DONE]\n\n"


def whole(*blocks: Json) -> bytes:
    thought = "".join(block.get("thinking", "") for block in blocks)
    message = {"role": "assistant", "content": None, "reasoning_content": thought, "thinking_blocks": list(blocks),
               "tool_calls": [CALL]}  # fmt: skip
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    ).encode()


TWO_PIECES = (
    chunk(role="assistant", reasoning_content="let me ", thinking_blocks=[PIECE | {"thinking": "let me "}]),
    chunk(reasoning_content="see", thinking_blocks=[PIECE | {"thinking": "see"}]),
)
AT_THE_END = (chunk(tool_calls=[CALL | {"index": 0}]), chunk(finish="tool_calls"))
STREAMS = {
    "the signature alone": sse(*TWO_PIECES, chunk(thinking_blocks=[SIGNED | {"thinking": ""}]), *AT_THE_END),
    "the words once more": sse(*TWO_PIECES, chunk(reasoning_content="", thinking_blocks=[SIGNED]), *AT_THE_END),
    "all at once": sse(chunk(reasoning_content="let me see", thinking_blocks=[SIGNED]), *AT_THE_END),
}


def thoughts(raw: bytes) -> list[tuple[str, str]]:
    """(a thought's words, its proof) of a stream."""
    decoder = Decoder()
    found, text = [], b""
    for event in [*decoder.feed(raw), *decoder.end()]:
        if isinstance(event, Open):
            part, text = event.part, b""
        elif isinstance(event, Close) and isinstance(part, Thinking):
            found.append((text.decode(), event.signature or part.encrypted))
        elif hasattr(event, "pieces"):
            text += b"".join(event.pieces)
    return found


@pytest.mark.parametrize("name", STREAMS)
def test_a_block_is_one_thought_with_its_signature(name: str) -> None:
    [(text, proof)] = thoughts(STREAMS[name])
    assert text == "let me see" and proof.endswith("SIG==")


def said_back(client: Protocol, reply: Json) -> list[Any]:
    """The client's history after a reply, with the result of its call."""
    if client == "messages":
        result = {"type": "tool_result", "tool_use_id": reply["content"][-1]["id"], "content": "r"}
        return [{"role": "assistant", "content": reply["content"]}, {"role": "user", "content": [result]}]
    if client == "responses":
        result = {"type": "function_call_output", "call_id": reply["output"][-1]["call_id"], "output": "r"}
        return [*reply["output"], result]
    content = reply["candidates"][0]["content"]
    return [content, {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "r"}}}]}]


def asked(client: Protocol, reply: Json, upstream: Protocol = "chat", policy: Policy = Policy()) -> Any:
    ask: Any = {"role": "user", "content": "q"} if client != "gemini" else {"role": "user", "parts": [{"text": "q"}]}
    history = [ask, *said_back(client, reply)]
    field = {"messages": "messages", "responses": "input", "gemini": "contents"}[client]
    body = {"model": "m", field: history} | ({"max_tokens": 5000} if client == "messages" else {})
    return pair.request(client, upstream, body, Target("m", policy))


@pytest.mark.parametrize("blocks", [[SIGNED], [SIGNED, REDACTED], [REDACTED], [SIGNED, SIGNED | {"thinking": "so"}]])
@pytest.mark.parametrize("client", ["messages", "responses", "gemini"])
def test_blocks_go_back_as_they_came(client: Protocol, blocks: list[Json]) -> None:
    echo = {"includeThoughts": True} if client == "gemini" else {}
    reply = json.loads(pair.Crossing(client, "chat", Asked("m", "k1", 1, echo=echo)).whole(whole(*blocks)))
    encoded = asked(client, reply)
    message = encoded.body["messages"][1]
    assert message["thinking_blocks"] == blocks and "reasoning_details" not in message
    assert message["tool_calls"] and encoded.dropped == []


def test_no_other_provider_gets_them() -> None:
    reply = json.loads(pair.Crossing("messages", "chat", Asked("m", "k1", 1)).whole(whole(SIGNED)))
    for upstream in ("responses", "gemini"):
        assert b"SIG==" not in asked("messages", reply, upstream).json()


def test_a_block_without_a_signature_does_not_go_back_as_one() -> None:
    """Gemini's thoughts at LiteLLM have none."""
    unsigned = {"type": "thinking", "thinking": "hm"}
    echo = {"includeThoughts": True}
    reply = json.loads(pair.Crossing("gemini", "chat", Asked("m", "k1", 1, echo=echo)).whole(whole(unsigned)))
    body = asked("gemini", reply, policy=Policy(reasoning_history="true")).body
    assert "thinking_blocks" not in body["messages"][1] and body["messages"][1]["reasoning_content"] == "hm"


def test_a_clients_own_blocks_reach_claude_and_stay_as_they_are_at_home() -> None:
    said = {"role": "assistant", "content": None, "reasoning_content": "let me see", "tool_calls": [CALL],
            "thinking_blocks": [SIGNED, REDACTED]}  # fmt: skip
    result = {"role": "tool", "tool_call_id": "toolu_1", "content": "r"}
    body: Json = {"model": "m", "messages": [{"role": "user", "content": "q"}, said, result]}
    content: Any = pair.request("chat", "messages", body, Target("claude-sonnet-4-5")).body["messages"]
    assert content[1]["content"][:2] == [SIGNED, REDACTED]
    home = dialects.of("chat").encode_request(dialects.of("chat").decode_request(body), Target("m")).body
    assert home["messages"][1] == said


@pytest.mark.parametrize("raw", [whole(SIGNED, REDACTED), STREAMS["the words once more"]])
def test_litellms_own_clients_get_blocks_where_one_form_of_reply_is_made_of_the_other(raw: bytes) -> None:
    asked = Asked("m", "k1", 1)
    if raw.startswith(b"{"):
        told = pair.Crossing("chat", "chat", asked).whole_as_stream(raw)
        found = [json.loads(line[6:]) for line in told.split(b"\n\n") if line.startswith(b"data: {")]
        deltas = [each["choices"][0]["delta"] for each in found]
        assert [block for delta in deltas for block in delta.get("thinking_blocks", [])] == [SIGNED, REDACTED]
    else:
        told = pair.Crossing("chat", "chat", asked).whole(raw, True)
        assert json.loads(told)["choices"][0]["message"]["thinking_blocks"] == [SIGNED]
    assert b"sealed" not in told and b"reasoning_details" not in told


PART = {
    "type": "thinking",
    "thinking": json.dumps({"functionCall": {"name": "f", "args": {}}}),
    "signature": "GOOGLES==",
}


def test_a_part_of_geminis_answer_is_no_thought() -> None:
    """LiteLLM gives it as a block of Gemini's, for the sake of its signature."""
    message = json.loads(whole(PART))["choices"][0]["message"] | {"reasoning_content": "I look"}
    raw = json.dumps({"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}).encode()
    reply = json.loads(pair.Crossing("messages", "chat", Asked("m", "k1", 1)).whole(raw))
    assert [block.get("thinking") for block in reply["content"]] == ["I look", None]
    assert b"GOOGLES==" not in json.dumps(reply).encode()
    streamed = sse(chunk(reasoning_content="I look"), chunk(thinking_blocks=[PART]), *AT_THE_END)
    assert [text for text, _ in thoughts(streamed)] == ["I look"]


def test_such_a_part_in_a_clients_history_reaches_no_other_provider() -> None:
    said = {"role": "assistant", "content": "hi", "thinking_blocks": [PART]}
    body: Json = {"model": "m", "messages": [{"role": "user", "content": "q"}, said, {"role": "user", "content": "r"}]}
    assert b"GOOGLES==" not in pair.request("chat", "messages", body, Target("claude-sonnet-4-5")).json()
    home = dialects.of("chat").encode_request(dialects.of("chat").decode_request(body), Target("m")).body
    assert home["messages"][1] == said
