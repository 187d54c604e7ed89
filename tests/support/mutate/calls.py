"""A Chat server's habits in streaming tool calls."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.support import meaning
from tests.support.mutate.base import Event, Json, chat, copied, delta_of, each_choice


def _later_calls(events: list[Event], change: Callable[[Json, Json], object]) -> list[Event]:
    """change(call, its first chunk) on copies of the chunks that continue an indexed call."""
    first: dict[int, Json] = {}

    def each(choice: Json, delta: Json) -> None:
        for call in delta.get("tool_calls") or []:
            index = call.get("index")
            known = first.get(index)
            if known is None or (call.get("id") and call["id"] != known.get("id")):
                first[index] = call
            elif isinstance(index, int) and index >= 0:
                change(call, known)

    return each_choice(events, each)


@chat
def call_id_and_name_repeated(events: list[Event], rng: Random) -> list[Event]:
    def change(call: Json, known: Json) -> None:
        call["id"], call["type"] = known.get("id"), "function"
        call.setdefault("function", {})["name"] = known["function"].get("name")

    return _later_calls(events, change)


@chat
def call_nulls_on_continuation(events: list[Event], rng: Random) -> list[Event]:
    empty = rng.choice([None, ""])

    def change(call: Json, known: Json) -> None:
        call["id"], call["type"] = empty, None
        call.setdefault("function", {})["name"] = empty

    return _later_calls(events, change)


@chat
def arguments_null(events: list[Event], rng: Random) -> list[Event]:
    def change(choice: Json, delta: Json) -> None:
        for call in delta.get("tool_calls") or []:
            if call.get("function", {}).get("arguments") == "":
                if rng.random() < 0.5:
                    call["function"]["arguments"] = None
                else:
                    del call["function"]["arguments"]

    return each_choice(events, change)


def _gathered(events: list[Event]) -> tuple[list[Event], list[Json], int]:
    """(events without tool calls, whole calls without index, where the first stood)."""
    calls: list[meaning._Call] = []
    out, place = [], -1
    for name, data in events:
        data = copied(data)
        for call in delta_of(data).pop("tool_calls", None) or []:
            meaning._chat_call(calls, call)
            place = len(out) if place < 0 else place
        out.append((name, data))
    whole = [
        {
            "id": c.id,
            "type": "function",
            "function": {"name": c.name, "arguments": c.text if c.whole is None else c.whole},
        }
        for c in calls
    ]
    return out, whole, place


def _calls_at(events: list[Event], groups: list[list[Json]], place: int) -> list[Event]:
    chunks = [("", {"choices": [{"index": 0, "delta": {"tool_calls": g}, "finish_reason": None}]}) for g in groups]
    return [*events[:place], *chunks, *events[place:]]


def _distinct(calls: list[Json]) -> bool:
    return bool(calls) and len({c["id"] for c in calls}) == len(calls) and all(c["id"] for c in calls)


@chat
def whole_calls_in_one_chunk(events: list[Event], rng: Random) -> list[Event]:
    rest, calls, place = _gathered(events)
    if not _distinct(calls):
        return events
    indexed = [{"index": i} | call for i, call in enumerate(calls)] if rng.random() < 0.5 else calls
    return _calls_at(rest, [indexed], place)


@chat
def whole_calls_without_index(events: list[Event], rng: Random) -> list[Event]:
    rest, calls, place = _gathered(events)
    return _calls_at(rest, [[call] for call in calls], place) if _distinct(calls) else events


@chat
def whole_calls_without_index_and_id(events: list[Event], rng: Random) -> list[Event]:
    rest, calls, place = _gathered(events)
    bare = [[call | {"id": ""}] for call in calls]
    return _calls_at(rest, bare, place) if calls else events


@chat
def index_minus_one(events: list[Event], rng: Random) -> list[Event]:
    rest, calls, place = _gathered(events)
    return _calls_at(rest, [[{"index": -1} | calls[0]]], place) if _distinct(calls) and len(calls) == 1 else events


@chat
def one_index_for_all(events: list[Event], rng: Random) -> list[Event]:
    rest, calls, place = _gathered(events)
    return _calls_at(rest, [[{"index": 0} | call] for call in calls], place) if _distinct(calls) else events


@chat
def arguments_as_objects(events: list[Event], rng: Random) -> list[Event]:
    rest, calls, place = _gathered(events)
    for call in calls:
        given = meaning.arguments(call["function"]["arguments"])
        if isinstance(given, dict):
            call["function"]["arguments"] = given
    return _calls_at(rest, [[{"index": i} | c] for i, c in enumerate(calls)], place) if _distinct(calls) else events


@chat
def interleaved_calls(events: list[Event], rng: Random) -> list[Event]:
    rest, calls, place = _gathered(events)
    if not _distinct(calls) or not all(isinstance(c["function"]["arguments"], str) for c in calls):
        return events
    starts, pieces = [], []
    for i, call in enumerate(calls):
        text = call["function"]["arguments"]
        starts.append([{"index": i} | call | {"function": call["function"] | {"arguments": ""}}])
        pieces.append([[{"index": i, "function": {"arguments": text[at : at + 3]}}] for at in range(0, len(text), 3)])
    mixed = []
    while any(pieces):
        mixed.append(rng.choice([p for p in pieces if p]).pop(0))
    return _calls_at(rest, [*starts, *mixed], place)
