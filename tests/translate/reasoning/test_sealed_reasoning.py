"""Another provider's proofs, sealed into the field that a client's protocol has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate import pair
from translate.conversation import Thinking
from translate.reasoning import sealed_reasoning
from translate.target import Asked, Policy, Protocol, Target

DETAIL = {"type": "reasoning.text", "format": "anthropic-claude-v1"}


@pytest.mark.parametrize(
    "part",
    [
        Thinking("so", "SIG"),
        Thinking(encrypted="DATA"),
        Thinking("so", "SIG", "", {"chat": {"detail": DETAIL | {"text": "so"}}}, "anthropic-claude-v1"),
        Thinking(encrypted="DATA", ext={"chat": {"detail": {"type": "reasoning.encrypted", "id": "x"}}}),
    ],
)
def test_a_thought_comes_back_from_a_responses_client(part: Thinking) -> None:
    assert sealed_reasoning.thinking_in(sealed_reasoning.of_thinking(part, ""), "rs_1", part.text) == part


def test_an_item_comes_back_from_any_client() -> None:
    proof = sealed_reasoning.of_item("rs_1", "CIPHER")
    assert sealed_reasoning.is_of_item(proof) and not sealed_reasoning.is_of_item("SIG")
    assert sealed_reasoning.item_in(proof) == {"id": "rs_1", "encrypted_content": "CIPHER"}
    assert (
        sealed_reasoning.of_thinking(Thinking(), proof)
        == sealed_reasoning.of_thinking(Thinking(encrypted=proof), "")
        == "CIPHER"
    )


def test_a_foreign_cipher_is_sealed_as_it_is_read() -> None:
    assert sealed_reasoning.item_in(sealed_reasoning.thinking_in("C", "rs_1", "so").signature) == {
        "id": "rs_1",
        "encrypted_content": "C",
    }
    assert sealed_reasoning.item_in(sealed_reasoning.thinking_in("C", "rs_1", "").encrypted) == {
        "id": "rs_1",
        "encrypted_content": "C",
    }
    assert sealed_reasoning.thinking_in("", "rs_1", "so") == Thinking("so")


@pytest.mark.parametrize(
    "cut", ["", "SIG", sealed_reasoning.of_item("a", "b")[:-3], "~sealed.responses.1.!", "~sealed.responses.1.NQ=="]
)
def test_what_is_damaged_opens_to_nothing(cut: str) -> None:
    assert sealed_reasoning.item_in(cut) == {}


def test_a_damaged_seal_of_another_is_no_proof() -> None:
    assert sealed_reasoning.thinking_in("~sealed.other.1.!", "", "so") == Thinking("so")
    assert sealed_reasoning.thinking_in("~sealed.other.1.eyJzaWduYXR1cmUiOjd9", "", "so") == Thinking("so")
    assert sealed_reasoning.of_thinking(Thinking("so"), "") == ""


# ------------------------------------------------------------------------------ a whole turn, there and back

ITEMS = [
    {
        "type": "reasoning",
        "id": "rs",
        "summary": [{"type": "summary_text", "text": "so"}],
        "encrypted_content": "CIPHER",
    },
    {"type": "reasoning", "id": "rt", "summary": [], "encrypted_content": "HIDDEN"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
]
BLOCKS = [
    {"type": "thinking", "thinking": "so", "signature": "SIG"},
    {"type": "redacted_thinking", "data": "DATA"},
    {"type": "text", "text": "a"},
]
KEPT = Policy(reasoning_history="true")


def reply(client: Protocol, upstream: Protocol, body: dict[str, Any]) -> dict[str, Any]:
    whole = pair.Crossing(client, upstream, Asked("m", "k")).whole(json.dumps(body).encode())
    answer: dict[str, Any] = json.loads(whole)
    return answer


def next_request(client: Protocol, upstream: Protocol, said: list[Any], policy: Policy) -> dict[str, Any]:
    """What the upstream gets when the client goes on with what it was told."""
    user = {"role": "user", "content": "x"}
    body: dict[str, Any] = {"model": "m", "max_tokens": 20, "messages": [user, *said, user]}
    if client == "responses":
        body = {"model": "m", "input": [user, *said, user]}
    return dict(pair.request(client, upstream, body, Target("m", policy)).body)


@pytest.mark.parametrize("client", ["messages", "chat"])
def test_a_responses_provider_gets_its_reasoning_back(client: Protocol) -> None:
    told = reply(client, "responses", {"object": "response", "status": "completed", "output": ITEMS})
    said = {"role": "assistant", "content": told["content"]} if client == "messages" else told["choices"][0]["message"]
    back = next_request(client, "responses", [said], Policy())["input"]
    assert [item for item in back if item["type"] == "reasoning"] == ITEMS[:2]
    other: Protocol = "chat" if client == "messages" else "messages"
    written = json.dumps(next_request(client, other, [said], KEPT))
    assert "sealed" not in written and "redacted" not in written  # nobody else sees it


def test_anthropic_gets_its_signatures_back() -> None:
    told = reply("responses", "messages", {"type": "message", "content": BLOCKS, "stop_reason": "end_turn"})
    back = next_request("responses", "messages", told["output"], Policy())["messages"]
    assert back[1] == {"role": "assistant", "content": BLOCKS}


@pytest.mark.parametrize("client", ["responses", "gemini"])
def test_a_chat_providers_details_come_back_whole(client: Protocol) -> None:
    """OpenRouter's of Claude: an entry without its words, or without its signature, is none."""
    details = [DETAIL | {"text": "so", "signature": "SIG", "index": 0}]
    message = {"role": "assistant", "content": "a", "reasoning_details": details}
    told = reply(client, "chat", {"choices": [{"message": message, "finish_reason": "stop"}]})
    if client == "responses":
        back = next_request(client, "chat", told["output"], KEPT)
    else:
        ask = {"role": "user", "parts": [{"text": "x"}]}
        contents = [ask, told["candidates"][0]["content"], ask]
        body = {"model": "m", "stream": False, "contents": contents}
        back = dict(pair.request(client, "chat", body, Target("m", KEPT)).body)
    assert back["messages"][1]["reasoning_details"] == details


def test_a_responses_clients_own_ciphers_go_to_nobody_else() -> None:
    for upstream in ("messages", "chat"):
        body = next_request("responses", upstream, ITEMS, KEPT)  # type: ignore[arg-type]
        assert not any(word in json.dumps(body) for word in ("sealed", "CIPHER", "HIDDEN"))


def test_a_tool_that_waits_to_be_shown_is_not_offered() -> None:
    later = [{"type": "function", "name": f"later{i}", "defer_loading": True} for i in range(20)]
    tools = [{"type": "tool_search"}, {"type": "function", "name": "now"}, *later]
    for upstream in ("messages", "chat"):
        encoded = pair.request("responses", upstream, {"input": "x", "tools": tools}, Target("m"))  # type: ignore[arg-type]
        assert "now" in str(encoded.body["tools"]) and "later" not in str(encoded.body["tools"])
