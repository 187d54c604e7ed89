"""The grammar checkers find each kind of illegal stream, and let the providers' own streams pass."""

from __future__ import annotations

import json

import pytest

from conformance.grammar import check_chat, check_messages
from conformance.grammar.responses import Responses
from tests.support import corpus
from tests.support.streams import (
    DONE,
    END,
    FAULT,
    HI,
    LEGAL_CHAT,
    LEGAL_MESSAGES,
    PING,
    ROLE,
    START,
    STOP,
    THINKING,
    USAGE,
    call,
    chat,
    chunk,
    closed,
    delta,
    ending,
    error,
    first_call,
    having,
    messages,
    opened,
    text,
    tool,
    with_usage,
    without,
)

ILLEGAL_MESSAGES: dict[str, tuple[bytes, str]] = {
    "no event line": (b"data: " + json.dumps(PING).encode() + b"\n\n" + LEGAL_MESSAGES["text"], "event None"),
    "names differ": (
        messages(START, *text(0), ending(), STOP).replace(b"event: message_stop", b"event: end"),
        "event 'end'",
    ),
    "no last blank line": (LEGAL_MESSAGES["text"][:-1], "no blank line at the end"),
    "CRLF": (LEGAL_MESSAGES["text"].replace(b"\n", b"\r\n"), "carriage return"),
    "not UTF-8": (messages(START, *text(0, "X"), ending(), STOP).replace(b"X", b"\xff"), "not UTF-8"),
    "two data lines": (LEGAL_MESSAGES["text"].replace(b"\ndata: ", b"\ndata: {}\ndata: ", 1), "2 data lines"),
    "stray line": (b"junk\n\n" + LEGAL_MESSAGES["text"], "not a field"),
    "no space": (LEGAL_MESSAGES["text"].replace(b"data: ", b"data:", 1), "not a field"),
    "event alone": (b"event: ping\n\n" + LEGAL_MESSAGES["text"], "without data"),
    "event after data": (b"data: {}\nevent: ping\n\n" + LEGAL_MESSAGES["text"], "event line after"),
    "not JSON": (LEGAL_MESSAGES["text"] + b"event: ping\ndata: {\n\n", "not JSON"),
    "no type": (b"event: ping\ndata: {}\n\n" + LEGAL_MESSAGES["text"], "not an object with a type"),
    "empty": (b"", "no end"),
    "no start": (messages(*text(0), ending(), STOP), "before message_start"),
    "two starts": (messages(START, START, *text(0), ending(), STOP), "message_start where no block"),
    "start in block": (
        messages(START, text(0)[0], START, *text(0)[1:], ending(), STOP),
        "message_start while",
    ),
    "start without message": (messages(without(START, "message"), ending(), STOP), "no message"),
    **{
        f"start without {key}": (messages(without(START, f"message.{key}"), ending(), STOP), key)
        for key in START["message"]
    },
    "start with content": (messages(having(START, "message.content", [{}]), ending(), STOP), "not empty"),
    "start with stop": (messages(having(START, "message.stop_reason", "x"), ending(), STOP), "stop_reason"),
    "start, no input count": (
        messages(without(START, "message.usage.input_tokens"), ending(), STOP),
        "input_tokens",
    ),
    "start, negative": (
        messages(having(START, "message.usage.output_tokens", -1), ending(), STOP),
        "output_tokens",
    ),
    "start, a float": (
        messages(having(START, "message.usage.input_tokens", 1.5), ending(), STOP),
        "input_tokens",
    ),
    "start, empty id": (messages(having(START, "message.id", ""), ending(), STOP), "message.id"),
    "two open": (messages(START, text(0)[0], *text(1), closed(0), ending(), STOP), "start while block 0"),
    "index from 1": (messages(START, *text(1), ending(), STOP), "starts with index 1"),
    "index gap": (messages(START, *text(0), *text(2), ending(), STOP), "starts with index 2"),
    "delta index": (
        messages(START, text(0)[0], delta(1, type="text_delta", text="x"), closed(0), ending(), STOP),
        "delta for block 1",
    ),
    "stop index": (messages(START, *text(0)[:2], closed(1), ending(), STOP), "stop for block 1"),
    "delta, no block": (
        messages(START, delta(0, type="text_delta", text="x"), ending(), STOP),
        "no block is open",
    ),
    "stop, no block": (messages(START, closed(0), ending(), STOP), "no block is open"),
    "thinking in text": (
        messages(START, text(0)[0], delta(0, type="thinking_delta", thinking="x"), *text(0)[1:], ending(), STOP),
        "thinking_delta in a block of type text",
    ),
    "text in tool": (
        messages(START, tool(0)[0], delta(0, type="text_delta", text="x"), closed(0), ending("tool_use"), STOP),
        "text_delta in a block of type tool_use",
    ),
    "unknown delta": (
        messages(START, text(0)[0], delta(0, type="x"), *text(0)[1:], ending(), STOP),
        "x in a block",
    ),
    "delta without value": (
        messages(START, text(0)[0], delta(0, type="text_delta"), *text(0)[1:], ending(), STOP),
        "text_delta.text",
    ),
    "after signature": (
        messages(START, *THINKING[:3], THINKING[1], closed(0), ending(), STOP),
        "after the signature",
    ),
    "empty signature": (
        messages(START, *THINKING[:2], delta(0, type="signature_delta", signature=""), closed(0), ending(), STOP),
        "empty signature",
    ),
    "unknown block": (messages(START, opened(0, type="x"), closed(0), ending(), STOP), "unknown type"),
    "empty text": (messages(START, text(0)[0], closed(0), ending(), STOP), "without text"),
    "text at start": (
        messages(START, opened(0, type="text", text="x"), *text(0)[1:], ending(), STOP),
        "starts with text",
    ),
    "input at start": (
        messages(START, having(tool(0)[0], "content_block.input", {"a": 1}), closed(0), ending("tool_use"), STOP),
        "starts with input",
    ),
    "no signature key": (
        messages(START, without(THINKING[0], "content_block.signature"), *THINKING[1:], ending(), STOP),
        "thinking.signature",
    ),
    "tool without input": (
        messages(START, without(tool(0)[0], "content_block.input"), *tool(0)[1:], ending("tool_use"), STOP),
        "tool_use.input",
    ),
    "odd tool id": (messages(START, *tool(0, id="a.b:0"), ending("tool_use"), STOP), "tool_use.id"),
    "no tool name": (messages(START, *tool(0, name=""), ending("tool_use"), STOP), "without a name"),
    "empty redacted": (
        messages(START, opened(0, type="redacted_thinking", data=""), closed(0), ending(), STOP),
        "without data",
    ),
    "delta in block": (messages(START, *text(0)[:2], ending(), STOP), "message_delta while block 0"),
    "stop in block": (messages(START, *text(0)[:2], STOP), "message_stop while block 0"),
    "no message_delta": (messages(START, *text(0), STOP), "message_stop where no block"),
    "no message_stop": (messages(START, *text(0), ending()), "no end"),
    "two message_deltas": (
        messages(START, *text(0), ending(), ending(), STOP),
        "message_delta after message_delta",
    ),
    "block after delta": (
        messages(START, ending(), *text(0), STOP),
        "content_block_start after message_delta",
    ),
    "two stops": (messages(START, ending(), STOP, STOP), "after the end"),
    "error after stop": (messages(START, ending(), STOP, error()), "after the end"),
    "more after error": (messages(START, error(), ending(), STOP), "after the end"),
    "odd reason": (messages(START, ending("done"), STOP), "stop_reason is 'done'"),
    "null reason": (messages(START, ending(None), STOP), "stop_reason is None"),
    "no stop_sequence": (messages(START, without(ending(), "delta.stop_sequence"), STOP), "no stop_sequence"),
    "no usage": (messages(START, without(ending(), "usage"), STOP), "usage.output_tokens"),
    "odd usage": (messages(START, ending(input_tokens=-1), STOP), "usage.input_tokens"),
    "tool_use, no tool": (messages(START, *text(0), ending("tool_use"), STOP), "without a tool_use block"),
    "end_turn with a tool": (messages(START, *tool(0), ending(), STOP), "end_turn although"),
    "tool_use on cut input": (
        messages(START, *tool(0, '{"a'), ending("tool_use"), STOP),
        "not a JSON object",
    ),
    "tool_use on a list": (messages(START, *tool(0, "[]"), ending("tool_use"), STOP), "not a JSON object"),
    "message_stop with keys": (messages(START, ending(), {**STOP, "x": 1}), "other keys"),
    "ping with keys": (messages(START, {**PING, "x": 1}, ending(), STOP), "other keys"),
    "error without object": (messages({"type": "error"}), "no error object"),
    "error of odd type": (messages(error("x")), "error: type"),
    "error without message": (messages(error(message="")), "no message"),
}


@pytest.mark.parametrize("stream", LEGAL_MESSAGES.values(), ids=LEGAL_MESSAGES.keys())
def test_a_legal_messages_stream_passes(stream: bytes) -> None:
    assert check_messages(stream) == []


@pytest.mark.parametrize(("stream", "said"), ILLEGAL_MESSAGES.values(), ids=ILLEGAL_MESSAGES.keys())
def test_an_illegal_messages_stream_is_found(stream: bytes, said: str) -> None:
    assert [p for p in check_messages(stream) if said in p], check_messages(stream)


def by_hand(exchange: corpus.Exchange) -> bool:
    """Recordings that people edited, or took apart, are no witnesses of framing and order."""
    return "edited by hand" in exchange.note or "source file holds" in exchange.note


ANTHROPICS = corpus.params(corpus.MESSAGES, keep=lambda e: bool(e.sse) and e.provider == "anthropic" and not by_hand(e))


@pytest.mark.parametrize("exchange", ANTHROPICS)
def test_anthropics_own_streams_pass(exchange: corpus.Exchange) -> None:
    assert check_messages(exchange.sse, house=False) == []


ILLEGAL_CHAT: dict[str, tuple[bytes, str]] = {
    "named event": (b"event: x\n" + LEGAL_CHAT["text"], "named event"),
    "no last blank line": (LEGAL_CHAT["text"][:-1], "no blank line"),
    "not JSON": (b"data: {\n\n" + LEGAL_CHAT["text"], "not JSON"),
    "a list": (b"data: []\n\n" + LEGAL_CHAT["text"], "not an object"),
    "empty": (b"", "no end"),
    "no DONE": (chat(ROLE, HI, END, end=b""), "no end"),
    "after DONE": (chat(ROLE, END) + chat(HI, end=b""), "after the end"),
    "two DONEs": (chat(ROLE, END) + DONE, "after the end"),
    "no finish": (chat(ROLE, HI), "without a finish_reason"),
    "only DONE": (DONE, "without a finish_reason"),
    "two finishes": (chat(ROLE, END, END), "a choice after finish_reason"),
    "text after finish": (chat(ROLE, END, HI), "a choice after finish_reason"),
    "odd finish": (chat(ROLE, chunk(finish="eos")), "finish: 'eos'"),
    "empty finish": (chat(ROLE, chunk(finish="")), "finish: ''"),
    "no finish key": (chat(ROLE, without(HI, "choices.0.finish_reason"), END), "no finish_reason key"),
    "no role": (chat(HI, END), "first chunk's role"),
    "role again": (chat(ROLE, ROLE, END), "role on a later"),
    **{
        f"no {key}": (chat(ROLE, without(HI, key), END), key) for key in ("id", "object", "created", "model", "choices")
    },
    **{
        f"{key} changes": (chat(ROLE, having(HI, key, value), END), f"{key} changes")
        for key, value in {"id": "other", "created": 2, "model": "other"}.items()
    },
    "empty id": (chat(having(ROLE, "id", ""), END), "id is ''"),
    "no choice": (chat(ROLE, chunk(choices=[]), END), "not one choice"),
    "two choices": (chat(ROLE, chunk(choices=HI["choices"] * 2), END), "not one choice"),
    "choice 1": (chat(ROLE, having(HI, "choices.0.index", 1), END), "choice index 1"),
    "no delta": (chat(ROLE, without(HI, "choices.0.delta"), END), "delta is None"),
    "content a list": (chat(ROLE, chunk({"content": ["x"]}), END), "content is ['x']"),
    "unknown key": (chat(ROLE, chunk({"x": 1}), END), "unknown key 'x'"),
    "odd details": (chat(ROLE, chunk({"reasoning_details": [{}]}), END), "reasoning_details is"),
    "null tool_calls": (chat(ROLE, chunk({"tool_calls": None}), END), "tool_calls is None"),
    "empty tool_calls": (chat(ROLE, chunk({"tool_calls": []}), END), "tool_calls is []"),
    "odd call": (chat(ROLE, chunk({"tool_calls": [{"index": 0}]}), END), "tool call: {"),
    "call from 1": (chat(ROLE, chunk(first_call(1)), chunk(finish="tool_calls")), "tool call 1 after 0"),
    "call gap": (
        chat(ROLE, chunk(first_call(0)), chunk(first_call(2)), chunk(finish="tool_calls")),
        "tool call 2 after 1",
    ),
    "call goes back": (
        chat(ROLE, chunk(first_call(0)), chunk(first_call(1)), chunk(call(0, "")), chunk(finish="tool_calls")),
        "tool call 0 after 2",
    ),
    "call without index": (chat(ROLE, chunk(first_call(None)), chunk(finish="tool_calls")), "tool call None"),  # type: ignore[arg-type]
    "call without id": (chat(ROLE, chunk(first_call(0, id="")), chunk(finish="tool_calls")), "id is ''"),
    "call without name": (
        chat(ROLE, chunk(first_call(0, name=None)), chunk(finish="tool_calls")),
        "name is None",
    ),
    "call without type": (
        chat(ROLE, chunk(call(0, "{}", id="x", function={"name": "y"})), chunk(finish="tool_calls")),
        "type is None",
    ),
    "id again": (
        chat(ROLE, chunk(first_call(0)), chunk(call(0, "", id="x")), chunk(finish="tool_calls")),
        "id on a later",
    ),
    "type again": (
        chat(ROLE, chunk(first_call(0)), chunk(call(0, "", type="function")), chunk(finish="tool_calls")),
        "type on a later",
    ),
    "name again": (
        chat(ROLE, chunk(first_call(0)), chunk(call(0, "", function={"name": "x"})), chunk(finish="tool_calls")),
        "name on a later",
    ),
    "null arguments": (
        chat(ROLE, chunk(first_call(0, None)), chunk(finish="tool_calls")),
        "arguments is None",
    ),  # type: ignore[arg-type]
    "stop with calls": (chat(ROLE, chunk(first_call(0)), END), "stop although"),
    "tool_calls, no call": (chat(ROLE, HI, chunk(finish="tool_calls")), "without a tool call"),
    "tool_calls, cut": (
        chat(ROLE, chunk(first_call(0, '{"a')), chunk(finish="tool_calls")),
        "not a JSON object",
    ),
    "usage early": (chat(ROLE, HI | {"usage": USAGE["usage"]}, END), "before the end"),
    "chunk after usage": (chat(ROLE, END, USAGE, USAGE), "after the usage chunk"),
    "null usage": (chat(ROLE, END, having(USAGE, "usage", None)), "usage: None"),
    "wrong total": (with_usage(total_tokens=8), "is not 8"),
    "negative": (with_usage(prompt_tokens=-1), "not counts"),
    "more cached than prompt": (with_usage(prompt_tokens_details={"cached_tokens": 9}), "cached_tokens is 9"),
    "negative reasoning": (
        with_usage(completion_tokens_details={"reasoning_tokens": -9}),
        "reasoning_tokens is -9",
    ),
    "DONE after error": (chat(FAULT), "after the end"),
    "error after finish": (chat(ROLE, END, FAULT, end=b""), "error after finish_reason"),
    "error a string": (chat({"error": "no"}, end=b""), "not an object"),
    "error, no message": (chat(without(FAULT, "error.message"), end=b""), "no message"),
    "error, no type": (chat(without(FAULT, "error.type"), end=b""), "error: type"),
    "error, no code": (chat(without(FAULT, "error.code"), end=b""), "no code"),
}


@pytest.mark.parametrize("stream", LEGAL_CHAT.values(), ids=LEGAL_CHAT.keys())
def test_a_legal_chat_stream_passes(stream: bytes) -> None:
    assert check_chat(stream) == []


@pytest.mark.parametrize(("stream", "said"), ILLEGAL_CHAT.values(), ids=ILLEGAL_CHAT.keys())
def test_an_illegal_chat_stream_is_found(stream: bytes, said: str) -> None:
    assert [p for p in check_chat(stream) if said in p], check_chat(stream)


def test_the_usage_chunk_is_there_exactly_when_asked_for() -> None:
    assert check_chat(chat(ROLE, HI, END, USAGE), usage=True) == []
    assert check_chat(chat(ROLE, HI, END), usage=False) == []
    assert check_chat(chat(ROLE, HI, END), usage=True) == ["usage: no usage chunk although it was asked for"]
    assert check_chat(chat(ROLE, HI, END, USAGE), usage=False) == ["usage: a usage chunk that was not asked for"]


def only_one_choice(exchange: corpus.Exchange) -> bool:
    return not exchange.features & {"n>1"} and b'"moderation"' not in exchange.sse


OPENAIS = corpus.params(corpus.CHAT, keep=lambda e: bool(e.sse) and e.provider == "openai" and only_one_choice(e))


@pytest.mark.parametrize("exchange", OPENAIS)
def test_openais_own_streams_pass(exchange: corpus.Exchange) -> None:
    assert check_chat(exchange.sse, house=False) == []


@pytest.mark.parametrize(
    ("item", "told", "problems"),
    [
        ("mcp_call", ["in_progress", "_arguments.delta", "_arguments.done", "completed"], 0),
        ("mcp_call", ["in_progress", "_arguments.delta", "_arguments.done", "failed"], 0),
        ("mcp_call", ["in_progress", "completed", "failed"], 1),
        ("mcp_list_tools", ["in_progress", "failed"], 0),
        ("code_interpreter_call", ["in_progress", "_code.delta", "_code.done", "interpreting", "completed"], 0),
        ("code_interpreter_call", ["interpreting", "_code.delta", "in_progress"], 1),
        ("web_search_call", ["in_progress", "failed"], 1),
    ],
)
def test_what_openais_own_tools_tell_is_known(item: str, told: list[str], problems: int) -> None:
    checker = Responses()
    checker.state = checker._between
    more = {"delta": "{}", "arguments": "{}", "code": "{}"}
    steps = [f"response.{item}{'' if step[0] == '_' else '.'}{step}" for step in told]
    for n, kind in enumerate(["response.output_item.added", *steps, "response.output_item.done"]):
        said = {
            "type": kind,
            "sequence_number": n,
            "output_index": 0,
            "item_id": "i",
            "item": {"id": "i", "type": item},
        }
        checker.event(kind, json.dumps(said | more))
    assert len(checker.problems) == problems
