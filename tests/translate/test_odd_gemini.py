"""Habits of servers of Gemini that no specification has (see odd.py)."""

from __future__ import annotations

import json

import pytest

from tests.support import every_way
from tests.translate.odd import COUNTS, FIRST, LAST, Json, agreed, google, spoken
from translate.target import Protocol

HELLO: Json = {"text": "hello there", "stop": "end", "prompt": 20, "output": 9}
LOOKS: Json = {"calls": [("look", {"a": 1})], "stop": "tool"}
GEMINI: dict[str, tuple[bytes, Json]] = {
    "one array": (json.dumps([FIRST, LAST]).encode(), HELLO),
    "one array, indented": (json.dumps([FIRST, LAST], indent=1).encode(), HELLO),
    "[DONE]": (google(FIRST, LAST) + b"data: [DONE]\n\n", HELLO),
    "counters that the last event leaves out": (
        google(
            FIRST | {"usageMetadata": COUNTS},
            spoken({"text": "there"}, finish="STOP", usageMetadata={"promptTokenCount": 20}),
        ),
        HELLO,
    ),
    "names in snake case": (
        google(
            {
                "candidates": [
                    {
                        "content": {"parts": [{"function_call": {"name": "look", "args": {"a": 1}}}]},
                        "finish_reason": "STOP",
                    }
                ],
                "usage_metadata": {"prompt_token_count": 20},
            }
        ),
        LOOKS | {"prompt": 20},
    ),
    "a lone part": (
        google(
            {
                "candidates": [{"content": {"parts": {"text": "hello there"}}, "finishReason": "STOP"}],
                "usageMetadata": COUNTS,
            }
        ),
        HELLO,
    ),
    "two candidates without an index": (
        google(
            {
                "candidates": [*spoken({"text": "hello there"}, finish="STOP")["candidates"], *FIRST["candidates"]],
                "usageMetadata": COUNTS,
            }
        ),
        HELLO,
    ),
}


@pytest.mark.parametrize("name", GEMINI)
def test_a_gemini_server(name: str) -> None:
    raw, want = GEMINI[name]
    agreed(every_way.told("gemini", raw), **want)
    assert every_way.problems("gemini", raw) == []


def test_a_whole_reply_may_be_a_stream_as_one_array() -> None:
    """So it comes where the status line calls it JSON."""
    raw = json.dumps([FIRST, LAST]).encode()
    agreed(every_way.told("gemini", raw, streamed=False), **HELLO)
    assert every_way.problems("gemini", raw, streamed=False) == []


@pytest.mark.parametrize("upstream", ["messages", "chat", "responses", "gemini"])
def test_a_whole_reply_that_is_a_list_with_an_error(upstream: Protocol) -> None:
    raw = b'[{"error": {"code": 503, "message": "it broke", "status": "UNAVAILABLE"}}]'
    for each in every_way.told(upstream, raw, streamed=False).values():
        assert each.failed and "it broke" in each.error


@pytest.mark.parametrize("last", [b"", b"data: [DONE]\n\n"])
def test_an_array_or_a_stream_without_an_end_is_an_error(last: bytes) -> None:
    for raw in (google(FIRST) + last, json.dumps([FIRST]).encode()):
        assert all(each.failed and each.error for each in every_way.told("gemini", raw).values())
