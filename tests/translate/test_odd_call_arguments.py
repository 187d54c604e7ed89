"""Odd habits with the arguments of calls, of servers of any protocol (see odd.py)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import every_way
from tests.support.streams import HI, ROLE, chat, chunk, closed, delta, first_call, tool
from tests.translate.odd import (
    CALL_END,
    CALL_ITEM,
    COMPLETED,
    ONE,
    TWO,
    Json,
    agreed,
    blocks,
    calls,
    entry,
    events,
    google,
    response,
    spoken,
)
from translate.target import Protocol


def in_pieces(upstream: Protocol, *pieces: Any) -> bytes:
    """A reply with one call, whose arguments come so."""
    if upstream == "chat":
        return chat(
            ROLE, chunk(first_call(0, "")), *(calls(entry(index=0, arguments=each)) for each in pieces), CALL_END
        )
    if upstream == "messages":
        deltas = [delta(0, type="input_json_delta", partial_json=each) for each in pieces]
        return blocks(tool(0)[0], *deltas, closed(0), stop="tool_use")
    said = {"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc_1"}
    begun = {"type": "response.output_item.added", "output_index": 0, "item": CALL_ITEM}
    return events(begun, *(said | {"delta": each} for each in pieces), COMPLETED)


@pytest.mark.parametrize("upstream", ["chat", "messages", "responses"])
@pytest.mark.parametrize(
    ("pieces", "want"),
    [
        (["{}", '{"a": 1}'], {"a": 1}),
        (["{}", '{"a"', ": 1}"], {"a": 1}),
        (["{ }", " ", '{"a": 1}'], {"a": 1}),
        (["{}"], {}),
        (["{}", "{}"], {}),
        (["{}", "\n"], {}),
        (['{"a": {}}'], {"a": {}}),
        (["{", "}"], {}),
    ],
)
def test_an_empty_object_before_the_arguments_is_none_of_them(
    upstream: Protocol, pieces: list[str], want: Json
) -> None:
    raw = in_pieces(upstream, *pieces)
    agreed(every_way.told(upstream, raw), calls=[("look", want)], stop="tool")
    assert every_way.problems(upstream, raw) == []


def test_calls_that_take_nothing_stay_apart() -> None:
    both = [first_call(0, "{}", "x"), first_call(1, "{}", "y", "see")]
    raw = chat(ROLE, *map(chunk, both), HI, CALL_END)
    agreed(every_way.told("chat", raw), calls=[("look", {}), ("see", {})], text="hi")
    unnamed = calls(entry(index=0, name="look", arguments="{}")), calls(entry(index=0, name="see", arguments="{}"))
    agreed(every_way.told("chat", chat(ROLE, *unnamed, CALL_END)), calls=[("look", {}), ("see", {})])


@pytest.mark.parametrize("upstream", ["chat", "messages", "responses"])
def test_a_call_that_breaks_off_after_an_empty_object_is_not_seen(upstream: Protocol) -> None:
    """Its arguments may have been to come."""
    raw = in_pieces(upstream, "{}")
    end = {"chat": b"data: {", "messages": b"event: content_block_stop", "responses": b"event: response.completed"}
    cut = raw.rindex(end[upstream])
    for each in every_way.told(upstream, raw[:cut]).values():
        assert each.failed and each.calls == []


def test_arguments_in_other_places() -> None:
    object_delta = in_pieces("messages", {"a": 1})
    agreed(every_way.told("messages", object_delta), calls=[("look", {"a": 1})], stop="tool")
    begun = {"type": "response.output_item.added", "output_index": 0, "item": CALL_ITEM | {"arguments": ONE}}
    agreed(every_way.told("responses", events(begun, COMPLETED)), calls=[("look", {"a": 1})], stop="tool")
    done = {"type": "response.function_call_arguments.done", "output_index": 0, "item_id": "fc_1", "arguments": ONE}
    with_done = in_pieces("responses", "{}").replace(events(COMPLETED), events(done, COMPLETED))
    agreed(every_way.told("responses", with_done), calls=[("look", {"a": 1})], stop="tool")


SAME_ID: dict[Protocol, bytes] = {
    "messages": blocks(*tool(0, ONE), *tool(1, TWO), stop="tool_use"),
    "responses": events(
        {
            "type": "response.completed",
            "response": response(
                *(CALL_ITEM | {"id": f"fc_{i}", "arguments": each} for i, each in enumerate((ONE, TWO)))
            ),
        }
    ),
    "gemini": google(
        spoken(*({"functionCall": {"id": "x", "name": "look", "args": {"a": i}}} for i in (1, 2)), finish="STOP")
    ),
}


@pytest.mark.parametrize("upstream", SAME_ID)
def test_two_calls_of_one_id_can_be_told_apart(upstream: Protocol) -> None:
    raw = SAME_ID[upstream]
    agreed(every_way.told(upstream, raw), calls=[("look", {"a": 1}), ("look", {"a": 2})], stop="tool")
    assert every_way.problems(upstream, raw) == []
    whole = every_way.whole("chat", upstream, raw, True)
    assert len({call["id"] for call in json.loads(whole)["choices"][0]["message"]["tool_calls"]}) == 2
