"""Habits of servers of Messages that no specification has (see odd.py)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import every_way
from tests.support.streams import START, STOP, closed, delta, ending, messages, opened, text
from tests.translate.odd import Json, agreed, blocks


@pytest.mark.parametrize(
    ("given", "want"),
    [("length", "length"), ("max_output_tokens", "length"), ("content_filter", "refusal"), ("sensitive", "refusal"),
     ("stop", "end"), ("tool_calls", "end"), ("", "end"), (None, "end"), (5, "end")],
)  # fmt: skip
def test_another_protocols_word_for_the_end_of_a_message(given: Any, want: str) -> None:
    said = every_way.told("messages", messages(START, *text(0, "hi"), ending(given), STOP))
    assert {each.stop for each in said.values()} == {want}
    assert not any(each.failed for each in said.values())


@pytest.mark.parametrize("given", ["error", "abort", "network_error", "insufficient_system_resource"])
def test_a_message_that_ends_by_a_breakdown_has_failed(given: str) -> None:
    whole = {**START["message"], "content": [{"type": "text", "text": "hi"}], "stop_reason": given}
    for raw, streamed in (
        (messages(START, *text(0, "hi"), ending(given), STOP), True),
        (json.dumps(whole).encode(), False),
    ):
        said = every_way.told("messages", raw, streamed)
        assert all(each.failed and given in each.error for each in said.values())


def test_a_whole_message_whose_content_is_a_text() -> None:
    raw = json.dumps({**START["message"], "content": "hi", "stop_reason": "end_turn"}).encode()
    agreed(every_way.told("messages", raw, streamed=False), text="hi", stop="end")
    assert every_way.problems("messages", raw, streamed=False) == []


MIXED: dict[str, tuple[list[Json], Json]] = {
    "thoughts within a text": (
        [
            opened(0, type="text", text=""),
            delta(0, type="thinking_delta", thinking="so"),
            delta(0, type="text_delta", text="hi"),
            closed(0),
        ],
        {"text": "hi", "thinking": "so"},
    ),
    "a text within a call that is whole": (
        [
            opened(0, type="tool_use", id="x", name="look", input={}),
            delta(0, type="input_json_delta", partial_json='{"a":'),
            delta(0, type="input_json_delta", partial_json=" 1}"),
            delta(0, type="text_delta", text="h"),
            delta(0, type="text_delta", text="i"),
            closed(0),
        ],
        {"text": "hi", "calls": [("look", {"a": 1})], "stop": "tool"},
    ),
    "a text within a call that began whole": (
        [
            opened(0, type="tool_use", id="x", name="look", input={"a": 1}),
            delta(0, type="text_delta", text="hi"),
            closed(0),
        ],
        {"text": "hi", "calls": [("look", {"a": 1})], "stop": "tool"},
    ),
    "a text within thoughts": (
        [
            opened(0, type="thinking", thinking="", signature=""),
            delta(0, type="thinking_delta", thinking="so"),
            delta(0, type="text_delta", text="h"),
            delta(0, type="text_delta", text="i"),
            closed(0),
        ],
        {"text": "hi", "thinking": "so"},
    ),
    "a block that is null": (
        [opened(0) | {"content_block": None}, delta(0, type="text_delta", text="hi"), closed(0)],
        {"text": "hi"},
    ),
}


@pytest.mark.parametrize("name", MIXED)
def test_a_delta_of_another_kind_than_its_block_is_not_lost(name: str) -> None:
    said, want = MIXED[name]
    raw = blocks(*said, stop="end_turn")
    agreed(every_way.told("messages", raw), **{"stop": "end"} | want)
    assert every_way.problems("messages", raw) == []
