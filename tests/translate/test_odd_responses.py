"""Habits of servers of Responses that no specification has (see odd.py)."""

from __future__ import annotations

import pytest

from tests.support import every_way
from tests.translate.odd import COMPLETED, DELTA, Json, added, agreed, events, response

ANSWER: Json = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hi", "annotations": []}],
}
THOUGHT: Json = {"type": "reasoning", "id": "rs_1", "summary": []}
RESPONSES_TEXTS: dict[str, tuple[bytes, Json]] = {
    "content that is a text": (events(added(ANSWER | {"content": "hi"}), COMPLETED), {"text": "hi"}),
    "content that is bare texts": (events(added(ANSWER | {"content": ["hi"]}), COMPLETED), {"text": "hi"}),
    "a delta that is an object": (events(DELTA | {"delta": {"text": "hi"}}, COMPLETED), {"text": "hi"}),
    "reasoning that is a text": (
        events(added(THOUGHT | {"content": "so"}), added(ANSWER) | {"output_index": 1}, COMPLETED),
        {"text": "hi", "thinking": "so"},
    ),
    "a summary of bare texts": (
        events(added(THOUGHT | {"summary": ["so"]}), added(ANSWER) | {"output_index": 1}, COMPLETED),
        {"text": "hi", "thinking": "so"},
    ),
    "the older names of reasoning": (
        events(
            {"type": "response.reasoning.delta", "output_index": 0, "item_id": "rs_1", "delta": "so"},
            {"type": "response.reasoning.done", "output_index": 0, "item_id": "rs_1", "text": "so"},
            DELTA | {"output_index": 1},
            COMPLETED,
        ),
        {"text": "hi", "thinking": "so"},
    ),
}


@pytest.mark.parametrize("name", RESPONSES_TEXTS)
def test_texts_of_a_responses_server(name: str) -> None:
    raw, want = RESPONSES_TEXTS[name]
    agreed(every_way.told("responses", raw), **want, stop="end")
    assert every_way.problems("responses", raw) == []


CALL: Json = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look"}
BEGUN: Json = {"type": "response.output_item.added", "output_index": 0, "item": CALL | {"arguments": ""}}
WHOLE: Json = CALL | {"arguments": '{"a": 1}'}


def arguments(last: str, said: str) -> Json:
    key = "delta" if last == "delta" else "arguments"
    kind = f"response.function_call_arguments.{last}"
    return {"type": kind, "output_index": 0, "item_id": "fc_1", key: said, "obfuscation": "x"}


CIPHER = (arguments("delta", "Zm9v"), arguments("delta", "YmFy"))
RESPONSES_CALLS: dict[str, tuple[Json, ...]] = {
    "in cipher, told by the last word of its arguments": (BEGUN, *CIPHER, arguments("done", '{"a": 1}'), COMPLETED),
    "in cipher, told by its last word": (BEGUN, *CIPHER, arguments("done", ""), added(WHOLE), COMPLETED),
    "in cipher, under another id with each event": (
        BEGUN, *CIPHER, arguments("done", '{"a": 1}') | {"item_id": "fc_2"}, added(WHOLE | {"id": "fc_3"}),
        {"type": "response.completed", "response": response(WHOLE | {"id": "fc_4"})},
    ),
    "in cipher, told by the response": (
        BEGUN, *CIPHER, {"type": "response.completed", "response": response(WHOLE)},
    ),
    "after blanks": (BEGUN, arguments("delta", " "), arguments("delta", '{"a": 1}'), COMPLETED),
    "as a text within a text": (BEGUN, arguments("delta", '"{\\"a\\": 1}"'), COMPLETED),
    "at the end alone": (BEGUN, arguments("done", '{"a": 1}'), COMPLETED),
}  # fmt: skip


@pytest.mark.parametrize("name", RESPONSES_CALLS)
def test_arguments_of_a_responses_server(name: str) -> None:
    """GitHub Copilot's pieces of arguments are a cipher, and its ids differ with each event."""
    raw = events(*RESPONSES_CALLS[name])
    agreed(every_way.told("responses", raw), calls=[("look", {"a": 1})], stop="tool")
    assert every_way.problems("responses", raw) == []


@pytest.mark.parametrize("said", [None, response(), response(status="failed"), response(status=None)])
@pytest.mark.parametrize("kind", ["failed", "cancelled"])
def test_a_response_that_failed_has_failed_whatever_it_says_itself(kind: str, said: Json | None) -> None:
    raw = events(DELTA, {"type": f"response.{kind}", "response": said})
    assert all(each.failed and each.error for each in every_way.told("responses", raw).values())


def test_a_response_that_is_incomplete_is_cut_whatever_it_says_itself() -> None:
    raw = events(DELTA, {"type": "response.incomplete", "response": response()})
    agreed(every_way.told("responses", raw), text="hi", stop="length")
