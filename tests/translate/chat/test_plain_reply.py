"""A reply that is one text is read on a short way: it says what the long one says, whatever else stands in the body."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import exchange_files, read_exchange, traffic_dir
from translate.chat import reply
from translate.conversation import Delta, Event, Fault
from translate.failures.errors import ApiError
from translate.json import wire
from translate.target import Policy

BODY: dict[str, Any] = {
    "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}  # fmt: skip

# Names that some server has for something, where a value may change all.
NAMES = (
    "id", "model", "error", "usage", "x_groq", "citations", "search_results", "moderation", "service_tier", "detail",
    "index", "finish_reason", "stop_reason", "matched_stop", "delta", "message", "text", "role", "content", "refusal",
    "annotations", "audio", "images", "tool_calls", "function_call", "reasoning", "reasoning_content",
    "reasoning_details", "thinking_blocks", "extra_content", "logprobs", "unheard_of",
)  # fmt: skip
VALUES = (
    None, "", "x", "stop", "length", "error", 0, 1, True, 1.0, [], {}, ["x"], [{}], "half \ud83d", "é\n\"",
    {"error": "e"}, {"content": "y"}, {"name": "f"}, [{"function": {"name": "f"}}], {"message": "m"}, "priority",
    [{"url": "https://a"}], {"prompt_tokens": 3, "cached_tokens": 2, "completion_tokens": 1},
    {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 9}, "completion_tokens": True},
)  # fmt: skip


def said(body: dict[str, Any], policy: Policy, way: Any) -> list[str] | str:
    """All of the events, with the text in one piece, or what is raised."""
    try:
        events: list[Event] = way(body, policy)
    except ApiError as error:
        return repr(error)
    return [
        f"Delta {wire.text_of(event.pieces)}" if isinstance(event, Delta)
        else f"Fault {event.error}" if isinstance(event, Fault)
        else repr(event)
        for event in events
    ]  # fmt: skip


def same(body: dict[str, Any], policy: Policy = Policy()) -> None:
    assert said(body, policy, reply.explode) == said(body, policy, reply._assembled)


def test_the_short_way_is_taken() -> None:
    assert reply._plain(BODY, Policy()) is not None
    same(BODY)


@given(
    st.lists(st.tuples(st.sampled_from(("body", "choice", "message")), st.sampled_from(NAMES), st.sampled_from(VALUES)),
             max_size=4),
    st.sampled_from((Policy(), Policy(reasoning="think_tags"))),
)  # fmt: skip
def test_it_says_the_same(changes: list[tuple[str, str, Any]], policy: Policy) -> None:
    message = {"role": "assistant", "content": "Hi <think>no</think>"}
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "stop"}
    body = BODY | {"choices": [choice]}
    for place, name, value in changes:
        {"body": body, "choice": choice, "message": message}[place][name] = value
    same(body, policy)


def test_recorded_replies() -> None:
    short = 0
    for file in exchange_files():
        body = read_exchange(file)["response"].get("body")
        if isinstance(body, dict) and "choices" in body:
            same(body)
            short += reply._plain(body, Policy()) is not None
    assert short or traffic_dir() is None  # the samples have none
