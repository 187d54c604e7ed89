"""A response that is kept whole, replayed as a stream: legal, the same to the SDK, the same every time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance import grammar
from tests.support import sdk_responses
from translate.responses import replay

USAGE = {
    "input_tokens": 5, "output_tokens": 3, "total_tokens": 8, "output_tokens_details": {"reasoning_tokens": 0},
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
}  # fmt: skip
RESPONSE: dict[str, Any] = {
    "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": [],
    "error": None, "incomplete_details": None, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    "usage": USAGE, "metadata": {},
}  # fmt: skip
NOTE = {"type": "url_citation", "url": "https://x.example", "title": "X", "start_index": 0, "end_index": 2}
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
    "content": [
        {"type": "output_text", "text": "Hé", "annotations": [NOTE], "logprobs": []},
        {"type": "refusal", "refusal": "no"},
    ],
}  # fmt: skip
SO = {"type": "summary_text", "text": "so"}
REASONING = {"id": "rs_1", "type": "reasoning", "summary": [SO], "encrypted_content": "C"}
CALL = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "c1", "name": "f", "arguments": "{}"}
CUSTOM = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "go"}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
ODD = [
    5, {}, {"type": "message"}, {"type": "message", "content": "text"}, {"type": "message", "content": [None, {}]},
    {"type": "function_call", "arguments": None}, {"type": "reasoning", "summary": None, "content": [{"type": "x"}]},
    {"type": "message", "id": "m", "content": [{"type": "output_text", "text": 5, "annotations": None}]},
]  # fmt: skip


def stream(response: dict[str, Any]) -> bytes:
    data = replay.events(response)
    return b"".join(b"event: %b\ndata: %b\n\n" % (json.loads(each)["type"].encode(), each) for each in data)


@pytest.mark.parametrize(
    "output",
    [[], [MESSAGE], [REASONING, CALL], [CUSTOM, SEARCH, MESSAGE], [CALL, CALL | {"id": "fc_2", "call_id": "c3"}]],
)
def test_it_is_legal_and_adds_up_to_the_response(output: list[Any]) -> None:
    response = RESPONSE | {"output": output}
    raw = stream(response)
    assert grammar.check_responses(raw) == []
    events = [json.loads(data) for data in replay.events(response)]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["response"] == response
    assert [event["item"] for event in events if event["type"] == "response.output_item.done"] == output
    got = sdk_responses.responses_stream(raw)
    assert [item["id"] for item in got["output"]] == [item["id"] for item in output]


def test_thoughts_in_the_models_own_words() -> None:
    thought = REASONING | {"summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    kinds = [json.loads(data)["type"] for data in replay.events(RESPONSE | {"output": [thought]})]
    assert "response.reasoning_text.delta" in kinds and "response.reasoning_text.done" in kinds
    sdk_responses.responses_stream(stream(RESPONSE | {"output": [thought]}))


@pytest.mark.parametrize(
    ("more", "last"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "response.incomplete"),
        ({"status": "failed", "error": {"code": "server_error", "message": "no"}}, "response.failed"),
        ({"status": "cancelled"}, "response.failed"),
        ({}, "response.completed"),
    ],
)
def test_how_it_ended(more: dict[str, Any], last: str) -> None:
    events = [json.loads(data) for data in replay.events(RESPONSE | more)]
    assert events[-1]["type"] == last and events[-1]["response"] == RESPONSE | more
    assert events[0]["response"]["status"] == "in_progress" and events[0]["response"]["error"] is None


@pytest.mark.parametrize("item", ODD)
def test_what_servers_send_for_items_breaks_nothing(item: Any) -> None:
    events = [json.loads(data) for data in replay.events(RESPONSE | {"output": [item, MESSAGE]})]
    assert events[-1]["response"]["output"] == [item, MESSAGE]
    assert json.loads(replay.events(RESPONSE | {"output": None})[-1])["response"]["output"] is None
