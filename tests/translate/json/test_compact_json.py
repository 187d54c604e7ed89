"""The members of objects without blanks, against a reader of all JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strategies import OBJECTS, few
from translate.json import compact_json, top_level, wire

NAMES = ("model", "stream", "a", "tools")


@few
@given(said=OBJECTS, own=st.dictionaries(st.sampled_from(NAMES), OBJECTS | st.text(max_size=3) | st.integers()),
       order=st.randoms(), first=st.sampled_from([b"", b'"x":1', b'"x":1,"y":[2]']))  # fmt: skip
def test_they_are_found_and_taken_out(said: dict, own: dict, order: object, first: bytes) -> None:
    items = list((said | own).items())
    order.shuffle(items)  # type: ignore[attr-defined]  # a Random
    body = json.dumps(dict(items), separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    found = compact_json.members(body)
    if found is None:
        assert not items or any(not name.isascii() or json.dumps(name) != f'"{name}"' for name, _ in items)
        return
    assert {name: json.loads(bytes(raw)) for name, raw in found.items()} == json.loads(body)
    for names in ((), ("model", "stream"), NAMES):
        out = compact_json.without(body, found, names, first)
        assert out == top_level.taken(body, names, first)[0]
        assert json.loads(out) == json.loads(b"{%b}" % first) | {k: v for k, v in json.loads(body).items()
                                                                 if k not in names}  # fmt: skip


@pytest.mark.parametrize("body", [
    b"", b"{}", b"[1]", b'{"a":1', b'{"a":1}x', b'{"a": 1}', b' {"a":1}', b'{"a":1}\n', b'{"a":1 }', b'{"a":1,"a":2}',
    b'{"\\u0061":1}', b'{"a":1,"\\u0061":2}', '{"é":1}'.encode(), b'{"a":NaN}', b'{"a":"\n"}', b'{"a":[1,]}',
    b'{"a":{"x":0,"b":1}      ,"b":1,"a":1}', b"\xef\xbb\xbf{}", b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
])  # fmt: skip
def test_what_is_not_plain_is_left_to_others(body: bytes) -> None:
    assert compact_json.members(body) is None


def test_no_pair_of_members_hides_behind_the_lengths() -> None:
    """Whatever stands in the first of two members of one name."""
    for inner in (b'{"model":"evil"}', b'"x"', b"1", b'{"z":0,"model":"evil","y":""}'):
        for more in range(40):
            body = b'{"a":%b,"model":"good","a":%b}' % (inner, b"1" * (more + 1))
            assert compact_json.members(body) is None


def test_wire_writes_such_bodies() -> None:
    assert list(compact_json.members(wire.dumps({"model": "m", "n": [1, {"a": None}]})) or ()) == ["model", "n"]
