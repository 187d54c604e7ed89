"""Bodies that go to an upstream of the client's own protocol, less the thinking of other providers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate import dialects
from translate.conversation import Thinking
from translate.json import wire
from translate.reasoning import foreign_reasoning, sealed_reasoning
from translate.target import Protocol

ITEM = sealed_reasoning.of_item("rs_1", "CIPHER")
OTHER = sealed_reasoning.of_thinking(Thinking("so", "SIGNATURE"), "")
ASK = {"role": "user", "content": "hi"}
OWN = {"type": "thinking", "thinking": "hm", "signature": "EqQBCgIYAhIM"}
SAID = {"type": "text", "text": "yes"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"b": 1, "a": [1.5, "ü/"]}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}]}


def thinking(signature: Any) -> dict[str, Any]:
    return OWN | {"signature": signature}


def turn(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def less(protocol: Protocol, body: Any) -> tuple[Any, list[str]]:
    raw = wire.dumps(body)
    sent, dropped = foreign_reasoning.request(dialects.of(protocol), raw)
    assert dropped or sent is raw
    return json.loads(sent), dropped


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([turn(thinking(ITEM), SAID)], [turn(SAID)]),
        ([turn(thinking(sealed_reasoning.EMPTY), SAID, CALL), RESULT], [turn(SAID, CALL), RESULT]),
        ([turn({"type": "redacted_thinking", "data": ITEM}, OWN, SAID)], [turn(OWN, SAID)]),
        ([turn(thinking(ITEM)), ASK], [ASK]),
        ([turn(OWN, SAID), ASK, turn(thinking(ITEM), CALL), RESULT], [turn(OWN, SAID), ASK, turn(CALL), RESULT]),
        ([turn(thinking(OTHER), SAID)], [turn(SAID)]),
    ],
)
def test_foreign_thinking_is_taken_out_of_messages(before: list[Any], after: list[Any]) -> None:
    body = {"model": "m", "max_tokens": 9, "thinking": {"type": "adaptive"}, "messages": [ASK, *before]}
    assert less("messages", body) == (body | {"messages": [ASK, *after]}, ["messages.thinking"])


@pytest.mark.parametrize(
    ("protocol", "body"),
    [
        ("messages", {"messages": [ASK, turn(OWN, SAID), {"role": "user", "content": ITEM}]}),
        ("messages", {"messages": [ASK, turn(OWN | {"thinking": ITEM}), {"role": "user", "content": []}]}),
        ("messages", {"messages": [ITEM, None, {"content": [ITEM, 5, {"type": "text", "signature": ITEM}]}]}),
        ("messages", {"messages": ITEM}),
        ("chat", {"messages": [{"role": "assistant", "content": ITEM, "reasoning_content": ITEM}]}),
        ("chat", {"messages": [{"role": "assistant", "reasoning_details": [{"type": "x", "text": ITEM}]}]}),
        ("chat", {"messages": [{"reasoning_details": ITEM}, ITEM]}),
        ("responses", {"input": OTHER}),
        ("responses", {"input": [OTHER, {"role": "user", "content": OTHER}]}),
        ("responses", {"input": [{"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}]}),
        ("responses", [OTHER]),
    ],
)  # fmt: skip
def test_what_only_looks_like_it_stays_to_the_byte(protocol: Protocol, body: Any) -> None:
    raw = json.dumps(body, indent=1).encode()
    assert foreign_reasoning.request(dialects.of(protocol), raw) == (raw, [])


def test_what_is_no_json_stays() -> None:
    assert foreign_reasoning.request(dialects.of("messages"), b'{"sealed.') == (b'{"sealed.', [])


CLEAR = {"type": "clear_thinking_20251015", "keep": "all"}
TOOL_USES = {"type": "clear_tool_uses_20250919"}


@pytest.mark.parametrize(
    ("management", "left", "told"),
    [
        (None, None, []),
        ({"edits": [CLEAR]}, None, ["context_management"]),
        ({"edits": [CLEAR, TOOL_USES]}, {"edits": [TOOL_USES]}, ["context_management"]),
        ({"edits": [TOOL_USES]}, {"edits": [TOOL_USES]}, []),
    ],
)
def test_a_tool_loop_that_has_lost_its_thinking_goes_on_without(management: Any, left: Any, told: list[str]) -> None:
    """Anthropic: with a budget, the last assistant turn must begin with thinking when tool results follow."""
    more = {"context_management": management} if management else {}
    history = [ASK, turn(thinking(ITEM), CALL), RESULT]
    body = {"thinking": {"type": "enabled", "budget_tokens": 2000}, "messages": history}
    after = {"messages": [ASK, turn(CALL), RESULT]} | ({"context_management": left} if left else {})
    assert less("messages", body | more) == (after, ["messages.thinking", "thinking", *told])


@pytest.mark.parametrize(
    "loop", [[turn(OWN, CALL), RESULT], [turn(SAID), ASK], [turn(thinking(ITEM), OWN, CALL), RESULT]]
)
def test_thinking_stays_on_where_the_last_turn_has_some_or_needs_none(loop: list[Any]) -> None:
    body = {"thinking": {"type": "enabled"}, "messages": [ASK, turn(thinking(ITEM), SAID), ASK, *loop]}
    sent, dropped = less("messages", body)
    assert dropped == ["messages.thinking"] and sent["thinking"] == {"type": "enabled"}


def test_foreign_thinking_is_taken_out_of_chat() -> None:
    entries = [
        {"type": "reasoning.encrypted", "data": ITEM, "index": 0},
        {"type": "reasoning.text", "text": "hm", "signature": ITEM, "index": 1},
        {"type": "reasoning.text", "text": "hm", "signature": "SIG", "index": 2},
    ]
    said = {"role": "assistant", "content": "x", "reasoning_content": "hm"}
    body = {"messages": [ASK, said | {"reasoning_details": entries}, said | {"reasoning_details": entries[:2]}]}
    after = {"messages": [ASK, said | {"reasoning_details": entries[2:]}, said]}
    assert less("chat", body) == (after, ["messages.reasoning_details"])


def test_foreign_thinking_is_taken_out_of_responses() -> None:
    def item(encrypted: str) -> dict[str, Any]:
        return {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": encrypted}

    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    body = {"input": [ASK, item(OTHER), call, item("gAAA"), item(sealed_reasoning.EMPTY)]}
    assert less("responses", body) == ({"input": [ASK, call, item("gAAA")]}, ["input.reasoning"])


@pytest.mark.parametrize("before", [b"", b"~", b"~ ~~", b"~x" * sealed_reasoning.MAX_HITS, b"~" * 5000])
def test_the_mark_is_found_wherever_it_stands(before: bytes) -> None:
    assert sealed_reasoning.may_be_in(before + sealed_reasoning.MARK) and sealed_reasoning.may_be_in(
        before + sealed_reasoning.MARK + before
    )
    assert not sealed_reasoning.may_be_in(before) and not sealed_reasoning.may_be_in(
        before + sealed_reasoning.MARK[:-1]
    )


def test_every_seal_has_the_mark() -> None:
    assert all(
        sealed_reasoning.MARK in json.dumps({"x": proof}).encode() for proof in (ITEM, OTHER, sealed_reasoning.EMPTY)
    )
    assert all(map(sealed_reasoning.is_seal, (ITEM, OTHER, sealed_reasoning.EMPTY)))
    assert not any(map(sealed_reasoning.is_seal, ("", None, 5, "EqQB", "sealed.")))
