"""Compaction before upstreams that do none: the request for a summary, the reply that is one, and its return."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from anthropic.types.beta import BetaMessage
from openai.types.responses import Response

from translate import compaction, pair
from translate.failures.errors import ApiError, BadReply, BadRequest
from translate.reasoning import sealed_reasoning
from translate.target import Asked, Encoded, Policy, Protocol, Target

Json = dict[str, Any]
ASK = {"role": "user", "content": "one"}
SAID = {"role": "assistant", "content": "two"}
TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "done"}
TRIGGER = {"type": "compaction_trigger"}
OURS = {"type": "compaction", "id": "cmp_k_0", "encrypted_content": sealed_reasoning.of_summary("so far")}
THEIRS = {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAA"}
BLOCK = {"type": "compaction", "content": "so far", "signature": sealed_reasoning.SUMMARY}
SUMMARIZE: Json = {"compaction": {"type": "summarize"}}
SO_FAR = compaction.as_text("so far")


def edit(**more: Any) -> Json:
    return {"context_management": {"edits": [{"type": "compact_20260112"} | more]}}


def messages(*turns: Json, **more: Any) -> Json:
    return {"model": "m", "max_tokens": 500, "messages": list(turns)} | more


def responses(*items: Json, **more: Any) -> Json:
    return {"model": "m", "input": list(items)} | more


def crossed(client: Protocol, upstream: Protocol, body: Json, tokens: int = 0, **policy: Any) -> Encoded:
    return pair.request(client, upstream, body, Target("gpt-5.5", Policy(**policy), tokens=tokens))


def told(encoded: Encoded) -> list[tuple[str, str]]:
    """(role, text) of what a Chat or Messages upstream is told."""
    rows: Any = encoded.body["messages"]
    return [(row["role"], _text(row["content"])) for row in rows]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n\n".join(part.get("text", "") for part in content or ())


# ------------------------------------------------------------------------------------------------ the request


@pytest.mark.parametrize("upstream", ["chat", "responses"])
def test_a_summary_is_asked_for_as_an_ordinary_request(upstream: Protocol) -> None:
    body = messages(ASK, SAID, **SUMMARIZE, tools=[TOOL], tool_choice={"type": "any"}, stop_sequences=["x"],
                    output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}})  # fmt: skip
    encoded = crossed("messages", upstream, body)
    assert encoded.compacts and encoded.dropped == []
    assert encoded.body["tool_choice"] == "none" and encoded.body["tools"]
    assert not {"stop", "response_format", "text", "compaction"} & encoded.body.keys()
    assert json.dumps(compaction.SUMMARIZE) in json.dumps(encoded.body)


def test_the_request_itself_is_not_changed() -> None:
    body = responses(ASK, TRIGGER, context_management=[{"type": "compaction", "compact_threshold": 5}])
    before = json.dumps(body)
    crossed("responses", "chat", body)
    assert json.dumps(body) == before


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (SUMMARIZE, compaction.SUMMARIZE),
        ({"compaction": {"type": "summarize", "instructions": " \n"}}, compaction.SUMMARIZE),
        ({"compaction": {"type": "summarize", "instructions": "Only names."}}, "Only names."),
        (edit(pause_after_compaction=True, instructions="Only names."), f"{compaction.SUMMARIZE}\n\nOnly names."),
    ],
)
def test_the_clients_own_words_for_the_summary(fields: Json, words: str) -> None:
    encoded = crossed("messages", "chat", messages(ASK, SAID, **fields), tokens=200_000)
    assert encoded.compacts and told(encoded)[-1] == ("user", words)


@pytest.mark.parametrize(
    ("tokens", "fields", "compacts"),
    [
        (149_999, edit(pause_after_compaction=True), False),
        (150_000, edit(pause_after_compaction=True), True),
        (60_000, edit(pause_after_compaction=True, trigger={"type": "input_tokens", "value": 50_000}), True),
        (40_000, edit(pause_after_compaction=True, trigger={"type": "input_tokens", "value": 50_000}), False),
    ],
)
def test_an_edit_is_heeded_once_the_conversation_is_as_long_as_it_says(
    tokens: int, fields: Json, compacts: bool
) -> None:
    encoded = crossed("messages", "chat", messages(ASK, **fields), tokens)
    assert encoded.compacts is compacts and encoded.dropped == []


def test_other_edits_are_reported_as_ever() -> None:
    clear = {"type": "clear_tool_uses_20250919"}
    body = messages(ASK, context_management={"edits": [clear, {"type": "compact_20260112"}]})
    assert crossed("messages", "chat", body).dropped == ["context_management"]
    assert crossed("messages", "chat", messages(ASK, context_management={"edits": [clear]})).dropped == [
        "context_management"
    ]


@pytest.mark.parametrize(
    ("body", "says", "code"),
    [
        (messages(ASK, compaction={"type": "other"}), "compaction.type", None),
        (messages(ASK, compaction=True), "compaction.type", None),
        (messages(ASK, **SUMMARIZE, **edit()), "context_management", None),
        (messages({"role": "system", "content": "x"}, **SUMMARIZE), "no message", "compaction_nothing_to_summarize"),
        (
            messages(ASK, {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
                     tools=[TOOL], **SUMMARIZE),
            "no results", "compaction_incomplete_turn",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_compacted_is_refused(body: Json, says: str, code: str | None) -> None:
    with pytest.raises(BadRequest, match=says) as caught:
        crossed("messages", "chat", body)
    assert (caught.value.details or {}).get("error_code") == code


def test_a_trigger_asks_once() -> None:
    """In a history that still has one that was answered, it is nothing."""
    assert crossed("responses", "chat", responses(ASK, CALL, OUTPUT, TRIGGER, tools=[FUNCTION])).compacts
    again = crossed("responses", "chat", responses(ASK, TRIGGER, OURS, {"role": "user", "content": "three"}))
    assert not again.compacts and [text for _, text in told(again)] == [f"one\n\n{SO_FAR}\n\nthree"]
    assert crossed("responses", "chat", responses(ASK, TRIGGER, OURS, ASK, TRIGGER)).compacts


@pytest.mark.parametrize(("client", "history"), [("messages", messages(ASK, SAID, **SUMMARIZE)),
                                                 ("responses", responses(ASK, TRIGGER))])  # fmt: skip
def test_a_server_that_speaks_the_clients_protocol_loosely_compacts_no_better(client: Protocol, history: Json) -> None:
    assert crossed(client, client, history, rebuild=True).compacts
    assert not crossed(client, client, history).compacts  # one that speaks it does it itself


# --------------------------------------------------------------------------------------- a summary that returns


@pytest.mark.parametrize(
    "first",
    [
        {"role": "assistant", "content": [BLOCK]},
        {"role": "assistant", "content": [{"type": "compaction", "content": "so far", "signature": "EqQB"}]},
        {"role": "user", "content": [BLOCK]},
    ],
    ids=["ours", "anthropic's", "in a user's turn"],
)
def test_a_block_is_told_as_what_the_user_says(first: Json) -> None:
    encoded = crossed("messages", "chat", messages(first, {"role": "user", "content": "go on"}))
    assert told(encoded) == [("user", f"{SO_FAR}\n\ngo on")] and encoded.dropped == []


def test_what_stands_before_a_block_is_in_it() -> None:
    reply = {"role": "assistant", "content": [{"type": "text", "text": "old"}, BLOCK, {"type": "text", "text": "new"}]}
    encoded = crossed("messages", "chat", messages(ASK, SAID, ASK, reply, {"role": "user", "content": "go on"}))
    assert told(encoded) == [("user", SO_FAR), ("assistant", "new"), ("user", "go on")]


def test_what_the_user_said_before_an_item_stays() -> None:
    """The answer of /responses/compact keeps it, and clients that append keep all."""
    history = [ASK, SAID, CALL, OUTPUT, OURS, {"role": "user", "content": "go on"}]
    encoded = crossed("responses", "chat", responses(*history, tools=[FUNCTION]))
    assert told(encoded) == [("user", f"one\n\n{SO_FAR}\n\ngo on")] and encoded.dropped == []


@pytest.mark.parametrize("kind", compaction.KINDS)
def test_a_cipher_of_another_provider_is_told_to_be_missing(kind: str) -> None:
    encoded = crossed("responses", "chat", responses(ASK, SAID, THEIRS | {"type": kind}, ASK))
    assert encoded.dropped == [kind]
    assert told(encoded) == [("user", "one"), ("assistant", "two"), ("user", f"{compaction.UNREADABLE}\n\none")]


def test_a_damaged_seal_is_one_that_cannot_be_read() -> None:
    encoded = crossed(
        "responses", "chat", responses(ASK, OURS | {"encrypted_content": sealed_reasoning.SUMMARY + "!"}, ASK)
    )
    assert encoded.dropped == ["compaction"] and compaction.UNREADABLE in told(encoded)[0][1]


def test_a_compaction_that_failed_stands_for_nothing() -> None:
    failed = {"role": "assistant", "content": [{"type": "compaction", "content": None}, {"type": "text", "text": "x"}]}
    encoded = crossed("messages", "chat", messages(ASK, failed, ASK))
    assert told(encoded) == [("user", "one"), ("assistant", "x"), ("user", "one")] and encoded.dropped == []


# -------------------------------------------------------------------------------------------------- the reply


def chat_events(*texts: str, reason: str = "stop", call: bool = False) -> bytes:
    deltas: list[Json] = [{"reasoning_content": "hm"}, *({"content": text} for text in texts)]
    if call:
        deltas.append({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]})
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": reason})
    chunks = [{"id": "c", "model": "m", "choices": [choice]} for choice in choices]
    usage = {"prompt_tokens": 90, "completion_tokens": 9, "total_tokens": 99}
    chunks.append({"id": "c", "model": "m", "choices": [], "usage": usage})
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"


def crossing(client: Protocol) -> pair.Crossing:
    return pair.Crossing(client, "chat", Asked("m", "k", 1, compacts=True))


def pieces_of(raw: bytes, seed: int) -> list[bytes]:
    """Whole, byte by byte, and split at random."""
    rng = random.Random(seed)
    size = {0: len(raw), 1: 1}.get(seed, 0)
    pieces = []
    while raw:
        n = size or rng.randint(1, 60)
        pieces.append(raw[:n])
        raw = raw[n:]
    return pieces


def whole(client: Protocol, raw: bytes) -> Json:
    body: Json = json.loads(crossing(client).whole(raw, True))
    return body


def streamed(client: Protocol, raw: bytes, seed: int = 0) -> list[Json]:
    reply = crossing(client)
    out = b"".join(reply.feed(piece) for piece in pieces_of(raw, seed)) + reply.end()
    assert reply.ended
    return [json.loads(line[6:]) for line in out.decode().split("\n") if line.startswith("data: {")]


def test_a_block_of_it() -> None:
    body = whole("messages", chat_events("So", " far", call=True))
    BetaMessage.model_validate(body)
    block = {"type": "compaction", "content": "So far", "signature": sealed_reasoning.SUMMARY}
    assert body["content"] == [block] and body["stop_reason"] == "compaction"
    assert (body["usage"]["input_tokens"], body["usage"]["output_tokens"]) == (90, 9)


@pytest.mark.parametrize("seed", range(4))
def test_a_streamed_block_of_it(seed: int) -> None:
    events = streamed("messages", chat_events("So", " far"), seed)
    assert [event["type"] for event in events] == [
        "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
        "message_stop",
    ]  # fmt: skip
    assert events[1]["content_block"] == {"type": "compaction", "content": None, "signature": sealed_reasoning.SUMMARY}
    assert events[2]["delta"] == {"type": "compaction_delta", "content": "So far"}
    assert events[4]["delta"]["stop_reason"] == "compaction"


@pytest.mark.parametrize("seed", range(4))
def test_an_item_of_it(seed: int) -> None:
    body = whole("responses", chat_events("So", " far", call=True))
    Response.model_validate(body)
    item = {"id": "cmp_k_0", "type": "compaction", "encrypted_content": sealed_reasoning.of_summary("So far")}
    assert body["output"] == [item] and body["status"] == "completed" and body["usage"]["total_tokens"] == 99
    events = streamed("responses", chat_events("So", " far"), seed)
    assert [event["type"] for event in events] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.output_item.done",
        "response.completed",
    ]  # fmt: skip
    assert events[3]["item"] == item and events[4]["response"]["output"] == [item]


def test_a_summary_that_was_cut_off_says_so() -> None:
    content = whole("messages", chat_events("So far", reason="length"))["content"][0]["content"]
    assert content.startswith("So far\n\n[") and "cut off" in content


def test_no_summary_is_a_failure() -> None:
    body = whole("messages", chat_events(call=True, reason="tool_calls"))
    assert body["content"] == [{"type": "compaction", "content": None}] and body["stop_reason"] == "compaction"
    with pytest.raises(BadReply, match="no summary"):
        whole("responses", chat_events(call=True, reason="tool_calls"))


@pytest.mark.parametrize("client", ["messages", "responses"])
def test_a_refusal_is_no_summary(client: Protocol) -> None:
    with pytest.raises(ApiError, match="refused") as caught:
        whole(client, chat_events("I", reason="content_filter"))
    assert caught.value.status == 400


@pytest.mark.parametrize("upstream", ["messages", "chat"])
def test_what_was_told_comes_back_as_it_was(upstream: Protocol) -> None:
    """A whole round: the item of the reply, in the next request."""
    item = whole("responses", chat_events('Ünïcode \\ " \n far'))["output"][0]
    encoded = crossed("responses", upstream, responses(ASK, item))
    assert told(encoded) == [("user", "one\n\n" + compaction.as_text('Ünïcode \\ " \n far'))]


# ------------------------------------------------------------------------------------ tools that came and went


def changed(kind: str, tool: Json) -> Json:
    return {"role": "system", "content": [{"type": kind, "tool": tool}]}


ADDED = changed("tool_addition", {"type": "tool_definition", "definition": TOOL | {"name": "late"}})
GONE = changed("tool_removal", {"type": "tool_reference", "name": "f"})
BACK = changed("tool_addition", {"type": "tool_reference", "name": "f"})


def test_tools_that_came_and_went_go_along_with_the_summary() -> None:
    """They are the tools of what goes on from it, though nothing else in it says so."""
    body = messages(ASK, SAID, GONE, ASK, SAID, BACK, GONE, ADDED, ASK, SAID, tools=[TOOL], **SUMMARIZE)
    encoded = crossed("messages", "chat", body)
    assert list(encoded.tool_changes) == [GONE["content"][0], ADDED["content"][0]]
    reply = pair.Crossing("messages", "chat", Asked("m", "k", 1, compacts=True, tool_changes=encoded.tool_changes))
    told = json.loads(reply.whole(chat_events("So far"), True))
    BetaMessage.model_validate(told)
    block = told["content"][0]
    assert block["tool_changes"] == list(encoded.tool_changes)
    after = messages({"role": "assistant", "content": [block]}, {"role": "user", "content": "go on"}, tools=[TOOL])
    tools: Any = crossed("messages", "chat", after).body["tools"]
    assert [tool["function"]["name"] for tool in tools] == ["late"]
    again = crossed("messages", "chat", after | SUMMARIZE)  # and so into the next one
    assert again.tool_changes == encoded.tool_changes
