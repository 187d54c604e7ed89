"""Habits of servers that no specification has: how their replies are written, and whether all clients hear the same.

Each habit stands alone in a file of its protocol, and is tried with clients of every other protocol, in every way that
a reply may come (see tests/support/every_way.py): nothing is lost, nothing is doubled, and what failed is told so.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.meaning import Meaning
from tests.support.streams import START, STOP, chunk, ending, messages

Json = dict[str, Any]
CALL_END = chunk(finish="tool_calls")
ONE, TWO = '{"a": 1}', '{"a": 2}'


def calls(*entries: Json) -> Json:
    return chunk({"tool_calls": list(entries)})


def entry(**said: Any) -> Json:
    function = {key: said.pop(key) for key in ("name", "arguments") if key in said}
    return said | ({"function": function} if function else {})


def bare(*lines: str) -> bytes:
    """Chunks as they are written here."""
    return "".join(f"data: {line}\n\n" for line in lines).encode()


SPENT: Json = {"prompt_tokens": 20, "completion_tokens": 9}


def blocks(*said: Json, stop: str) -> bytes:
    return messages(START, *said, ending(stop), STOP)


def response(*output: Json, **more: Any) -> Json:
    head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed"}
    return head | {"output": list(output)} | more


DELTA: Json = {
    "type": "response.output_text.delta",
    "output_index": 0,
    "content_index": 0,
    "item_id": "msg_1",
    "delta": "hi",
}
COMPLETED: Json = {"type": "response.completed", "response": response()}


def events(*said: Json) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode()) for each in said)


def added(item: Json) -> Json:
    return {"type": "response.output_item.done", "output_index": 0, "item": item}


def spoken(*parts: Json, finish: str = "", **more: Any) -> Json:
    candidate: Json = {"content": {"role": "model", "parts": list(parts)}} | (
        {"finishReason": finish} if finish else {}
    )
    return {"candidates": [candidate]} | more


def google(*said: Json) -> bytes:
    return bare(*map(json.dumps, said))


COUNTS: Json = {"promptTokenCount": 20, "candidatesTokenCount": 9, "totalTokenCount": 29}
FIRST, LAST = spoken({"text": "hello "}), spoken({"text": "there"}, finish="STOP", usageMetadata=COUNTS)
CALL_ITEM: Json = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": ""}


def agreed(said: dict[str, Meaning], **want: Any) -> None:
    """Every client is told the same, in every way."""
    assert said
    for client, each in said.items():
        assert {key: getattr(each, key) for key in want} == want, client
        assert not each.failed, client
