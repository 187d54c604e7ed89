"""Members of an object's top level: taken out and put in front, with every other byte as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.linear.work import grows_linearly
from translate.json import top_level, wire

NAMES = ("model", "stream", "anthropic_beta")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from([*NAMES, '"model":1', "\\"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=4) | st.sampled_from(NAMES), values, max_size=5)


@given(objects, st.booleans(), st.sampled_from([None, 1]))
def test_the_same_as_a_parser_says(body: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    raw = json.dumps(body, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    rest, found = top_level.taken(raw, NAMES)
    assert json.loads(rest) == {key: value for key, value in body.items() if key not in NAMES}
    assert {key: json.loads(value) for key, value in found.items()} == {k: v for k, v in body.items() if k in NAMES}
    where = top_level.seen(raw, ("speed", *NAMES))
    assert top_level.taken(raw, NAMES, where=where) == (rest, found), "all of them in one pass"
    assert where.keys() >= found.keys()


@given(objects)
def test_members_in_front(body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    assert json.loads(top_level.with_members(raw, b'"version":"1"')) == {"version": "1"} | body


def test_every_other_byte_stays() -> None:
    raw = b'{ "system" : [1,  2], "model":"m" ,"messages": [{"model": "x", "stream": true}],\n "stream": true }'
    rest, found = top_level.taken(raw, ("model", "stream"))
    assert rest == b'{ "system" : [1,  2], "messages": [{"model": "x", "stream": true}] }'
    assert found == {"model": b'"m"', "stream": b"true"}


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b'"model"', b"{", b'[{"model": 1}]', b"nonsense"])
def test_what_is_no_object_stays(raw: bytes) -> None:
    assert top_level.taken(raw, NAMES)[0] == raw or raw == b"{"
    assert top_level.with_members(b"[1]", b'"a":1') == b"[1]"


def test_very_many_such_words_and_odd_values() -> None:
    body = {"messages": [{"model": "x"}] * 200, "model": {"deep": 1}, "stream": True}
    rest, found = top_level.taken(wire.dumps(body), ("model", "stream"))
    assert wire.loads(rest) == {"messages": body["messages"]} and set(found) == {"model", "stream"}


@pytest.mark.parametrize(
    ("body", "is_early"),
    [
        (b'{"messages":[]}', True),
        (b' { "model" : "m" , "stream":true,\n"temperature":0.5,"user":null,"messages" :[{"input":1}]}', True),
        (b'{"input":"hi","messages":[]}', True),
        (b'{"user":"messages","input":[]}', False),  # a value
        (b'{"metadata":{"messages":"1"},"input":[]}', False),  # not of the object itself
        (b'{"tools":[{"messages":1}],"messages":[]}', False),  # after a long value: not looked for
        (b'{"user":"a\\"b","messages":[]}', False),
        (b'{"input":"hi","instructions":"\\"messages\\":"}', False),
        (b'["messages"]', False),
        (b"", False),
    ],
)
def test_an_early_key_is_one_of_the_object_itself(body: bytes, is_early: bool) -> None:
    assert bool(top_level.early(b'"messages"').match(body)) is is_early


@pytest.mark.parametrize("odd", [b'"a":1,', b" ", b'"a":"' + b"b" * 9, b'"', b'"a":', b"1"])
def test_an_early_key_is_looked_for_in_linear_time(odd: bytes) -> None:
    early = top_level.early(b'"messages"')
    grows_linearly(lambda n: b"{" + odd * n + b"[", early.match, 20_000)
