"""A proxy before a proxy: what the last provider has signed comes back to it when the client goes on.

The proxy next to the client speaks another protocol with the far one than the client does, and the far one another with
the provider. Each seals and opens what is its own (see translate/reasoning/sealed_reasoning.py).
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate import pair
from translate.conversation import Thinking
from translate.reasoning import sealed_reasoning
from translate.target import Asked, Encoded, Policy, Protocol, Target

Body = dict[str, Any]
KEPT = Policy(reasoning_history="true")

CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
BLOCKS = [
    {"type": "thinking", "thinking": "so", "signature": "SIG"},
    {"type": "redacted_thinking", "data": "DATA"},
    {"type": "text", "text": "a"},
    CALL,
]
ITEMS = [
    {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "so"}], "encrypted_content": "C1"},
    {"type": "reasoning", "id": "rt", "summary": [], "encrypted_content": "C2"},
    {"type": "function_call", "id": "fc", "call_id": "call_1", "name": "look", "arguments": "{}"},
]
DETAILS = [
    {"type": "reasoning.text", "text": "so", "signature": "SIG", "format": "anthropic-claude-v1", "index": 0},
    {"type": "reasoning.encrypted", "data": "DATA", "format": "anthropic-claude-v1", "index": 1},
]
FUNCTION = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
MESSAGE = {"role": "assistant", "content": None, "reasoning_details": DETAILS, "tool_calls": [FUNCTION]}

REPLIES: dict[Protocol, Body] = {
    "messages": {"type": "message", "content": BLOCKS, "stop_reason": "tool_use"},
    "responses": {"object": "response", "status": "completed", "output": ITEMS},
    "chat": {"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "tool_calls"}]},
}
ASK = {"role": "user", "content": "x"}


def told(hops: list[Protocol], streamed: bool) -> Body:
    """What the first of the hops gets of the last one's reply, as a whole body."""
    body = REPLIES[hops[-1]]
    raw = json.dumps(body).encode()
    for client, upstream in reversed(list(zip(hops, hops[1:], strict=False))):
        crossing = pair.Crossing(client, upstream, Asked("m", f"k{client}", echo={"includeThoughts": True}))
        if not streamed:
            raw = crossing.whole(raw)
            body = json.loads(raw)
            continue
        crossing.record()
        raw = crossing.whole_as_stream(raw) if upstream == hops[-1] else crossing.feed(raw) + crossing.end()
        body = crossing.recorded()
    return body


def goes_on(client: Protocol, told: Body) -> Body:
    """The client's next request."""
    if client == "responses":
        return {"model": "m", "input": [ASK, *told["output"], ASK]}
    if client == "gemini":
        ask = {"role": "user", "parts": [{"text": "x"}]}
        return {"model": "m", "stream": False, "contents": [ask, told["candidates"][0]["content"], ask]}
    said = told["choices"][0]["message"] if client == "chat" else {"role": "assistant", "content": told["content"]}
    return {"model": "m", "max_tokens": 20, "messages": [ASK, said, ASK]}


def sent(hops: list[Protocol], body: Body) -> Body:
    """What the last of the hops gets of the first one's request."""
    for client, upstream in zip(hops, hops[1:], strict=False):
        encoded: Encoded = pair.request(client, upstream, body, Target("m", KEPT))
        body = json.loads(encoded.json())
    return body


def proofs(upstream: Protocol, body: Body) -> list[Any]:
    if upstream == "responses":
        return [item for item in body["input"] if item["type"] == "reasoning"]
    if upstream == "chat":
        entries = [entry for message in body["messages"] for entry in message.get("reasoning_details", ())]
        return [entry.get("signature") or entry["data"] for entry in entries]  # Messages has no place for the format
    return [block for message in body["messages"] for block in message["content"] if "thinking" in block["type"]]


OWN: dict[Protocol, list[Any]] = {"messages": BLOCKS[:2], "responses": ITEMS[:2], "chat": ["SIG", "DATA"]}
CHAINS = [
    (client, middle, upstream)
    for client in ("messages", "chat", "responses", "gemini")
    for middle in ("messages", "chat", "responses")
    for upstream in REPLIES
    if client != middle != upstream
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("hops", CHAINS, ids="-".join)
def test_the_last_provider_gets_its_proofs_back(hops: tuple[Protocol, ...], streamed: bool) -> None:
    chain = list(hops)
    body = sent(chain, goes_on(chain[0], told(chain, streamed)))
    assert proofs(chain[-1], body) == OWN[chain[-1]]
    assert "sealed" not in json.dumps(body)


@pytest.mark.parametrize("hops", CHAINS, ids="-".join)
def test_nobody_else_gets_them(hops: tuple[Protocol, ...]) -> None:
    """The client's next target is another provider, which the proxy next to the client asks itself."""
    chain = list(hops)
    body = goes_on(chain[0], told(chain, streamed=False))
    for other in (*REPLIES, "gemini"):
        if other not in (chain[0], chain[1]):
            written = json.dumps(sent([chain[0], other], body))
            assert not any(word in written for word in ("sealed", "C1", "C2"))


def test_a_proof_grows_by_no_more_than_its_name() -> None:
    item = sealed_reasoning.of_item("rs", "C" * 3000)
    once = sealed_reasoning.of_upstream(item, "messages")
    assert len(once) < len(item) + 40
    assert sealed_reasoning.to_upstream(Thinking("so", once), "messages") == Thinking("so", item)
    assert sealed_reasoning.to_upstream(Thinking(encrypted=once), "chat") is None
    assert sealed_reasoning.of_upstream("SIG", "messages") == "SIG"
