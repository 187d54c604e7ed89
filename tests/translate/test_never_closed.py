"""What is not whole is never closed: a reply that broke off ends with its error alone, in every crossing.

Clients run a tool call as soon as its block or item is closed. A call of which no argument had come would run with
none, so that it is not even begun; nor is it told where the reply was cut by its length or a filter.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support import streams
from tests.support.crossing import asked
from tests.translate.responses import material as responses
from translate import pair
from translate.failures import errors
from translate.json import wire
from translate.streams import sse
from translate.target import Protocol

PROTOCOLS: tuple[Protocol, ...] = ("messages", "chat", "responses")
CLOSES = {
    "messages": ('"type":"content_block_stop"', '"type":"message_', '"signature_delta"'),
    "chat": ('"finish_reason":"', "data: [DONE]"),
    "responses": ('.done"', '"type":"response.completed"', '"type":"response.incomplete"'),
}
OPENS = {"messages": "tool_use", "chat": "tool_calls", "responses": "function_call"}
LAST = {"messages": "event: error", "chat": '{"error"', "responses": "event: response.failed"}

BEGUN: dict[str, dict[str, bytes]] = {
    "messages": {
        "a text": streams.messages(streams.START, *streams.text(0)[:2]),
        "a thought": streams.messages(streams.START, *streams.THINKING[:2]),
        "half a call": streams.messages(streams.START, *streams.tool(0, '{"a')[:2]),
        "a call without arguments": streams.messages(streams.START, streams.tool(0)[0]),
        "all arguments, not closed": streams.messages(streams.START, *streams.tool(0, "{}")[:2]),
    },
    "chat": {
        "a text": streams.chat(streams.ROLE, streams.HI, end=b""),
        "a thought": streams.chat(streams.ROLE, streams.chunk({"reasoning_content": "so"}), end=b""),
        "half a call": streams.chat(streams.ROLE, streams.chunk(streams.first_call(0, '{"a')), end=b""),
        "a call without arguments": streams.chat(streams.ROLE, streams.chunk(streams.first_call(0, "")), end=b""),
        "all arguments, not closed": streams.chat(streams.ROLE, streams.chunk(streams.first_call(0, "{}")), end=b""),
    },
    "responses": {
        "a text": responses.CREATED + responses.added(0, **responses.message("", content=[])) + responses.text(0, "hi"),
        "a thought": responses.CREATED
        + responses.event(
            "response.reasoning_summary_text.delta", item_id="r", output_index=0, summary_index=0, delta="so"
        ),
        "half a call": responses.CREATED
        + responses.added(0, **responses.call(""))
        + responses.event("response.function_call_arguments.delta", item_id="fc_1", output_index=0, delta='{"a'),
        "a call without arguments": responses.CREATED + responses.added(0, **responses.call("")),
        "all arguments, not closed": responses.CREATED
        + responses.added(0, **responses.call(""))
        + responses.event("response.function_call_arguments.delta", item_id="fc_1", output_index=0, delta="{}"),
    },
}
ERRORS = {
    "messages": streams.messages(streams.error()),
    "chat": streams.chat(streams.FAULT, end=b""),
    "responses": responses.event(
        "response.failed",
        response=responses.RESPONSE | {"status": "failed", "error": {"code": "server_error", "message": "no"}},
    ),
}
_STOPPED = re.compile(r'(?:"type":"signature_delta"[^\n]*\n\n)?event: content_block_stop\ndata: [^\n]*')
BREAKS = ("an error event", "the end", "a lost connection", "no JSON")


def broken(client: Protocol, upstream: Protocol, raw: bytes, how: str) -> str:
    crossing = pair.Crossing(client, upstream, asked(client))
    out = crossing.feed(raw) + crossing.begin()  # as the gateway does while the model is silent
    match how:
        case "an error event":
            out += crossing.feed(ERRORS[upstream])
        case "the end":
            out += crossing.end()
        case "a lost connection":
            out += crossing.fail(errors.ApiError("upstream", "lost"))
        case _:
            out += crossing.feed(b"data: {x}\n\n")
    assert crossing.fault is not None and crossing.ended
    assert crossing.end() == b"" and crossing.feed(ERRORS[upstream]) == b""
    return out.decode()


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("what", BEGUN["chat"])
@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
def test_a_reply_that_broke_off_ends_with_its_error_alone(
    client: Protocol, upstream: Protocol, what: str, how: str
) -> None:
    out = broken(client, upstream, BEGUN[upstream][what], how)
    said = out.replace('"type":"message_start"', "")
    if client == "messages" and not what.startswith("a call"):  # clients keep the words of stopped blocks alone
        said = _STOPPED.sub("", said, count=1)
        assert said != out
    assert not any(word in said for word in CLOSES[client])
    assert LAST[client] in out[out[:-2].rindex("\n\n") :]
    if what == "a call without arguments":
        assert OPENS[client] not in out


CUTS: dict[str, list[bytes]] = {
    "messages": [
        streams.messages(streams.START, *streams.tool(0, ""), streams.ending(reason), streams.STOP)
        for reason in ("max_tokens", "model_context_window_exceeded", "refusal")
    ],
    "chat": [
        streams.chat(streams.ROLE, streams.chunk(streams.first_call(0, "")), streams.chunk(finish=reason))
        for reason in ("length", "content_filter")
    ],
    "responses": [
        BEGUN["responses"]["a call without arguments"]
        + more
        + responses.event(
            "response.incomplete",
            response={
                **responses.RESPONSE,
                "status": "incomplete",
                "output": output,
                "usage": responses.USAGE,
                "incomplete_details": {"reason": "max_output_tokens"},
            },
        )
        for output in ([], [responses.call("", status="incomplete")])
        for more in (b"", responses.over(0, **responses.call("", status="incomplete")))
    ],
}


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
def test_a_call_that_was_cut_before_its_first_argument_is_not_told(client: Protocol, upstream: Protocol) -> None:
    for raw in CUTS[upstream]:
        crossing = pair.Crossing(client, upstream, asked(client))
        out = (crossing.feed(raw) + crossing.end()).decode()
        assert crossing.fault is None and crossing.ended
        assert f'"{OPENS[client]}"' not in out
        assert any(
            word in out
            for word in (
                "max_tokens",
                "length",
                "incomplete",
                "refusal",
                "content_filter",
                "model_context_window_exceeded",
            )
        )


WHOLE: dict[str, Any] = {
    "messages": {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "stop_reason": "max_tokens",
        "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}],
        "usage": {"output_tokens": 1},
    },
    "chat": {
        "id": "c",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "length",
                "message": {
                    "role": "assistant",
                    "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": ""}}],
                },
            }
        ],
    },
    "responses": responses.RESPONSE
    | {
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [responses.call("", status="incomplete")],
    },
}


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
def test_nor_in_a_whole_reply(client: Protocol, upstream: Protocol) -> None:
    out = pair.Crossing(client, upstream, asked(client)).whole(json.dumps(WHOLE[upstream]).encode()).decode()
    assert f'"{OPENS[client]}"' not in out


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("client", PROTOCOLS)
def test_a_call_without_arguments_that_is_whole_is_told(client: Protocol, upstream: Protocol) -> None:
    ends = {
        "messages": streams.messages(
            streams.closed(0), *streams.tool(1, "", "toolu_2"), streams.ending("tool_use"), streams.STOP
        ),
        "chat": streams.chat(streams.chunk(streams.first_call(1, "", "call_2")), streams.chunk(finish="tool_calls")),
        "responses": responses.over(0, **responses.call(""))
        + responses.over(1, **(responses.call("") | {"id": "fc_2", "call_id": "call_2"}))
        + responses.done(output=[]),
    }
    crossing = pair.Crossing(client, upstream, asked(client))
    out = crossing.feed(BEGUN[upstream]["a call without arguments"] + ends[upstream]) + crossing.end()
    ids = [f'"{"toolu" if upstream == "messages" else "call"}_{n}"'.encode() for n in (1, 2)]
    assert all(id in out for id in ids) and crossing.fault is None


@pytest.mark.parametrize(("finish", "is_whole"), [("length", False), ("tool_calls", True)])
def test_a_free_form_call_that_was_cut_is_not_done(finish: str, is_whole: bool) -> None:
    """Half a patch or half a script looks like a whole one: Codex runs what it is told to be done."""
    call = streams.first_call(0, '{"input":"rm -rf build' + ('"}' if is_whole else ""), name="run")
    raw = streams.chat(streams.ROLE, streams.chunk(call), streams.chunk(finish=finish))
    for cut in (len(raw), 1):
        crossing = pair.Crossing("responses", "chat", replace(asked("responses"), custom=frozenset({"run"})))
        out = b"".join(crossing.feed(raw[at : at + cut]) for at in range(0, len(raw), cut)) + crossing.end()
        done = [word in out for word in (b"custom_tool_call_input.done", b"event: response.output_item.done")]
        assert done == [is_whole, is_whole]
        last = wire.loads(sse.fields(out.strip().split(b"\n\n")[-1])[1])
        assert last["type"] == ("response.completed" if is_whole else "response.incomplete")
        (item,) = last["response"]["output"]
        assert (item["type"], item["input"]) == ("custom_tool_call", "rm -rf build")
        assert item["status"] == ("completed" if is_whole else "incomplete")
