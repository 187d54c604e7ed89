"""What the model writes by a fitted schema, as the client's has it: whole, byte by byte and cut anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.strategies import VALUES
from translate.conversation import Close, Delta, Event, Open, Stop, Text, Thinking, ToolCall
from translate.json import wire
from translate.schemas import names
from translate.schemas.restored import ANSWER, RestoredSchemas
from translate.target import Asked, Reshaped

NAMES = {"filter_1": "$filter", "id_2": 'an "id"\\\n', "e_3": "é \ud83d\ude00"}


def said(text: str, shape: Reshaped, pieces: list[bytes] | None = None, part: Any = None) -> str:
    """The arguments that a client gets; pieces: how they come."""
    asked = Asked("m", tool_names={"sent": "f"}, reshaped={("", "f"): shape, ANSWER: shape})
    passing = RestoredSchemas(asked)
    events: list[Event] = [Open(part or ToolCall("1", "sent"))]
    events += [Delta([piece]) for piece in pieces or [wire.inside(text)]]
    events += [Close(), Stop("end")]
    out = [each for event in events for each in passing.passed([event])]
    assert isinstance(out[0], Open) and out[-2:] == events[-2:]
    assert passing.passed(events[:1]) == events[:1]
    return wire.text_of([piece for event in out if isinstance(event, Delta) for piece in event.pieces])


def everywhere(text: str, shape: Reshaped) -> str:
    """The same however it is cut, also within an escape of the event that it comes in."""
    raw = wire.inside(text)
    whole = said(text, shape)
    sound = [raw[i : i + 1] for i in range(len(raw))] if raw.isascii() else [wire.inside(char) for char in text]
    assert said(text, shape, sound) == whole
    for at in range(len(raw) + 1):
        if not raw[at : at + 1] or raw[at] & 0xC0 != 0x80:
            assert said(text, shape, [raw[:at], raw[at:]]) == whole
    return whole


RENAMED: list[tuple[str, str]] = [
    ('{"filter_1": "a"}', '{"$filter": "a"}'),
    ('{"x": {"filter_1": [ {"filter_1":1} ]}, "id_2" : 2}',
     '{"x": {"$filter": [ {"$filter":1} ]}, "an \\"id\\"\\\\\\n" : 2}'),
    ('{"f\\u0069lter_1": 1}', '{"$filter": 1}'),  # the name with an escape
    ('{"e_3":"\\ud83d"}', '{"é 😀":"\\ud83d"}'),
    ('{"x": "filter_1", "y": ["filter_1", "}{\\"filter_1\\":"]}',
     '{"x": "filter_1", "y": ["filter_1", "}{\\"filter_1\\":"]}'),
    ('["filter_1", {"filter_1": 1}, "filter_1"]', '["filter_1", {"$filter": 1}, "filter_1"]'),
    ('{"filter_1": "cut of', '{"$filter": "cut of'),
    ('{"a": 1, "filter_', '{"a": 1, "filter_'),
    ('{"a\\', '{"a\\'),
    ("no JSON \"filter_1\": at all }}]] , :", "no JSON \"filter_1\": at all }}]] , :"),
    ('{"' + "long" * 99 + '": 1, "filter_1": 2}', '{"' + "long" * 99 + '": 1, "$filter": 2}'),
    ('{"bad\x01key": 1}', '{"bad\x01key": 1}'),
    ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), RENAMED)
def test_names_are_mapped_back(text: str, wanted: str) -> None:
    assert everywhere(text, Reshaped(NAMES)) == wanted


WRAPPED: list[tuple[str, str]] = [
    ('{"value": [1, {"value": 2}]}', ' [1, {"value": 2}]'),
    ('{"value":"a\\"}b"}', '"a\\"}b"'),
    (' { "value" : {"a":{}} } ', ' {"a":{}} '),
    ('{"value":5}', "5"),
    ('{"value":5,"more":[1,"x"]}', "5"),
    ('{"other":5}', '{"other":5}'),
    ("[1,2]", "[1,2]"),
    ('"text"', '"text"'),
    ("I am sorry", "I am sorry"),
    ("{", "{"),
    ('{"val', '{"val'),
    ('{"value"', ""),
    ('{"value":[1,', "[1,"),
    ("{}", "{}"),
]


@pytest.mark.parametrize(("text", "wanted"), WRAPPED)
def test_what_was_wrapped_comes_out(text: str, wanted: str) -> None:
    assert everywhere(text, Reshaped(wrapped=True)) == wanted


BARE: list[tuple[str, str]] = [
    ('{"value": "a \\"b\\" \\u00e9"}', 'a "b" é'),
    (' "word"', "word"),
    ("word", "word"),
    ("  I am sorry", "I am sorry"),
    ('{"value":"cut of', '{"value":"cut of'),
    ('{"value":5}', '{"value":5}'),
    ('{"other":"a"}', '{"other":"a"}'),
    ('{"value":"a","more":1}', '{"value":"a","more":1}'),
    ("", ""),
]


@pytest.mark.parametrize(("text", "wanted"), BARE)
def test_a_string_that_the_client_reads_bare(text: str, wanted: str) -> None:
    assert everywhere(text, Reshaped(wrapped=True, bare=True)) == wanted
    assert everywhere(text, Reshaped(bare=True)) == wanted


def test_both_at_once() -> None:
    assert everywhere('{"value":[{"filter_1":{"value":1}}]}', Reshaped(NAMES, True)) == '[{"$filter":{"value":1}}]'


def test_the_reply_itself_and_nothing_else() -> None:
    shape = Reshaped(NAMES)
    assert said('{"filter_1":1}', shape, part=Text("")) == '{"$filter":1}'
    for part in (Thinking(), ToolCall("1", "other")):
        assert said('{"filter_1":1}', shape, part=part) == '{"filter_1":1}'


def test_a_tool_in_a_namespace() -> None:
    asked = Asked("m", namespaces={"n__f": ("n", "f")}, reshaped={("n", "f"): Reshaped(NAMES)})
    out = RestoredSchemas(asked).passed([Open(ToolCall("1", "n__f")), Delta([b'{\\"id_2\\":1}']), Close()])
    assert wire.text_of(out[1].pieces) == '{"an \\"id\\"\\\\\\n":1}'  # type: ignore[union-attr]


KEYS = st.sampled_from([*NAMES.values(), "a", "value", "filter", ""])
TREES = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(KEYS, TREES, max_size=4), st.booleans(), st.booleans(), st.data())
@example({"$filter": {"$filter": [{"$filter": ""}]}}, True, True, None)
def test_there_and_back_is_the_same(value: Any, wrapped: bool, compact: bool, data: Any) -> None:
    sent = names.in_value(value, {name: new for new, name in NAMES.items()})
    text = json.dumps({"value": sent} if wrapped else sent, separators=(",", ":") if compact else None)
    raw = wire.inside(text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=5))) if data else [3, 9]
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert json.loads(said(text, Reshaped(NAMES, wrapped), pieces)) == json.loads(json.dumps(value))
