"""Counters and think tags: the small tables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translate.chat import usage
from translate.chat.think import ThinkTags
from translate.conversation import Usage

COUNTS: list[tuple[dict[str, Any], Usage]] = [
    ({"prompt_tokens": 10, "completion_tokens": 4}, Usage(input=10, output=4)),
    (
        {"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 7}},
        Usage(input=3, cache_read=7, output=4),
    ),
    (
        {"prompt_tokens": 10, "completion_tokens": 4, "prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 4},
        Usage(input=4, cache_read=6, output=4),
    ),
    ({"prompt_tokens": 10, "cached_tokens": 6, "prompt_tokens_details": None}, Usage(input=4, cache_read=6)),
    (
        {
            "prompt_tokens": 10,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 3},
            "cache_read_input_tokens": 5,
            "cache_creation": {"ephemeral_1h_input_tokens": 3},
        },
        Usage(input=2, cache_read=5, cache_write=3, cache_write_1h=3),
    ),
    (
        {"prompt_tokens": 9, "completion_tokens": 8, "completion_tokens_details": {"reasoning_tokens": 5}},
        Usage(input=9, output=8, reasoning=5),
    ),
    ({"prompt_tokens": 9, "completion_tokens": 8, "reasoning_tokens": 5}, Usage(input=9, output=8, reasoning=5)),
    # a cache counter beyond the prompt (Grok at Azure): the total stands
    ({"prompt_tokens": 29, "prompt_tokens_details": {"cached_tokens": 157}}, Usage(cache_read=29)),
    ({"prompt_tokens": None, "completion_tokens": -3}, Usage()),
    ({"prompt_tokens": 3.0, "completion_tokens": float("nan")}, Usage(input=3)),
    ({"prompt_tokens": "3", "completion_tokens": 1}, Usage(input=3, output=1)),
    ({"prompt_tokens": "x3", "completion_tokens": 1}, Usage(output=1)),
]


@pytest.mark.parametrize(("raw", "counted"), COUNTS)
def test_counters_are_read(raw: dict[str, Any], counted: Usage) -> None:
    counted.ext = {"chat": raw}
    assert usage.usage_of(raw) == counted


@pytest.mark.parametrize("raw", [None, {}, [], "x", {"total_tokens": 3}])
def test_no_usage(raw: Any) -> None:
    assert usage.usage_of(raw) is None


def test_counters_come_back() -> None:
    told = Usage(input=2, cache_read=5, cache_write=3, output=8, reasoning=4)
    back = usage.usage_of(usage.usage_body(told))
    assert back is not None
    back.ext = {}
    assert back == told


TAGGED = [
    ("<think>hm</think>ok", "hm", "ok"),
    ("\n <think>\n\nhm\n</think>\n\n ok </think>", "hm\n", "ok </think>"),
    ("no <think>tag</think>", "", "no <think>tag</think>"),
    ("<thinker>", "", "<thinker>"),
    ("<think>never closed <", "never closed <", ""),
    ("<think></think>ok", "", "ok"),
    ("<think>a</thin</think>b", "a</thin", "b"),
    ("<th", "", "<th"),
    ("<think>\n", "", ""),
    ("<think>a</think>\n", "a", ""),
]


@pytest.mark.parametrize(("text", "thought", "answer"), TAGGED)
@given(st.data())
def test_think_tags_however_they_are_cut(text: str, thought: str, answer: str, data: st.DataObject) -> None:
    at = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    tags = ThinkTags()
    pieces = [p for a, b in zip([0, *at], [*at, len(text)], strict=True) for p in tags.feed(text[a:b])] + tags.rest()
    assert "".join(t for is_thought, t in pieces if is_thought) == thought
    assert "".join(t for is_thought, t in pieces if not is_thought) == answer
    assert all(t for _, t in pieces)
    assert tags.settled
