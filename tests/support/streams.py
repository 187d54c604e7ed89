"""Streams written by hand, from parts: what tests build legal and illegal replies of.

Messages events are dicts, `messages(...)` frames them; Chat chunks are dicts, `chat(...)` frames them and
adds [DONE]. `without` and `having` give changed copies. LEGAL_MESSAGES and LEGAL_CHAT hold one stream of each kind
that the grammar allows.
"""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]

START: Json = {
    "type": "message_start",
    "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 0},
    },
}  # fmt: skip
PING: Json = {"type": "ping"}
STOP: Json = {"type": "message_stop"}


def opened(index: int, **block: Any) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **inner: Any) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": inner}


def closed(index: int) -> Json:
    return {"type": "content_block_stop", "index": index}


def ending(reason: Any = "end_turn", **usage: Any) -> Json:
    inner = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": inner, "usage": {"output_tokens": 5} | usage}


def text(index: int, said: str = "hello") -> list[Json]:
    return [opened(index, type="text", text=""), delta(index, type="text_delta", text=said), closed(index)]


def tool(index: int, arguments: str = '{"a": 1}', id: str = "toolu_1", name: str = "look") -> list[Json]:
    return [
        opened(index, type="tool_use", id=id, name=name, input={}),
        delta(index, type="input_json_delta", partial_json=arguments),
        closed(index),
    ]


THINKING: list[Json] = [
    opened(0, type="thinking", thinking="", signature=""),
    delta(0, type="thinking_delta", thinking="so"),
    delta(0, type="signature_delta", signature="c2ln"),
    closed(0),
]


def messages(*events: Json) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


def error(kind: str = "api_error", message: str = "no") -> Json:
    return {"type": "error", "error": {"type": kind, "message": message}}


def without(event: Json, path: str) -> Json:
    """A copy of `event` without what stands at `path`."""
    copy: Json = json.loads(json.dumps(event))
    *way, last = path.split(".")
    inner: Any = copy
    for key in way:
        inner = inner[int(key)] if key.isdigit() else inner[key]
    del inner[last]
    return copy


def having(event: Json, path: str, value: Any) -> Json:
    """A copy of `event` with `value` at `path`."""
    copy: Json = json.loads(json.dumps(event))
    *way, last = path.split(".")
    inner: Any = copy
    for key in way:
        inner = inner[int(key)] if key.isdigit() else inner[key]
    inner[last] = value
    return copy


LEGAL_MESSAGES: dict[str, bytes] = {
    "text": messages(START, *text(0), ending(), STOP),
    "nothing": messages(START, ending(), STOP),
    "pings": messages(PING, START, PING, text(0)[0], PING, *text(0)[1:], PING, ending(), PING, STOP),
    "comments": b": hi\n\n" + messages(START, *text(0), ending(), STOP),
    "thinking, text, tools": messages(
        START, *THINKING, *text(1), *tool(2), *tool(3, "", "b"), ending("tool_use"), STOP
    ),
    "redacted": messages(START, opened(0, type="redacted_thinking", data="x"), closed(0), *text(1), ending(), STOP),
    "cut input": messages(START, *tool(0, '{"a'), ending("max_tokens"), STOP),
    "error first": messages(error()),
    "error in a block": messages(START, *text(0)[:2], error("overloaded_error")),
    "error between": messages(START, *text(0), error()),
    "server tool result": messages(
        START,
        opened(0, type="web_search_tool_result", tool_use_id="x", content=[]),
        closed(0),
        ending(),
        STOP,
    ),
}


# ------------------------------------------------------------------------------------------------ Chat


def chunk(delta: Json | None = None, finish: str | None = None, **more: Any) -> Json:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return head | {"choices": [choice]} | more


def call(index: Any, arguments: Any = "", **more: Any) -> Json:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments} | more.pop("function", {}), **more}]}


def first_call(index: int, arguments: str = "{}", id: Any = "call_1", name: Any = "look") -> Json:
    return call(index, arguments, id=id, type="function", function={"name": name})


ROLE = chunk({"role": "assistant", "content": ""})
HI = chunk({"content": "hi"})
END = chunk(finish="stop")
USAGE = chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})
FAULT: Json = {"error": {"message": "no", "type": "server_error", "param": None, "code": None}}
DONE = b"data: [DONE]\n\n"


def chat(*chunks: Json, end: bytes = DONE) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(c).encode() for c in chunks) + end


def with_usage(**usage: Any) -> bytes:
    return chat(ROLE, HI, END, having(USAGE, "usage", USAGE["usage"] | usage))


LEGAL_CHAT: dict[str, bytes] = {
    "text": chat(ROLE, HI, END),
    "usage": chat(ROLE, HI, END, USAGE),
    "nothing": chat(ROLE, END),
    "tools": chat(
        ROLE, chunk(first_call(0, "")), chunk(call(0, "{}")), chunk(first_call(1)), chunk(finish="tool_calls")
    ),
    "cut arguments": chat(ROLE, chunk(first_call(0, '{"a')), chunk(finish="length")),
    "comments": b": ping\n\n" + chat(ROLE, HI) .removesuffix(DONE) + b": ping\n\n" + chat(END),
    "error first": chat(FAULT, end=b""),
    "error later": chat(ROLE, HI, FAULT, end=b""),
    "thinking": chat(
        ROLE,
        chunk({"reasoning_content": "so"}),
        HI,
        chunk({"reasoning_details": [{"type": "reasoning.text"}]}),
        END,
    ),
}  # fmt: skip
