"""JSON that is read and written in slices is the same as in one piece."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translate.json import sliced_json, wire

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 60), 1 << 60) | TEXTS
    | st.floats(-1e9, 1e9, allow_nan=False).map(lambda number: round(number, 6)),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=60,
)  # fmt: skip
PARTS = [{"type": "text", "text": 'é \U0001f600 \\ "'}]
MESSAGES = {"model": "m", "messages": [{"role": "user", "content": PARTS}] * 100}


@given(VALUES, st.sampled_from([None, 1, "\t"]))
def test_what_is_read(value: Any, indent: Any) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    assert sliced_json.loads(body) == wire.loads(body) == value
    escaped = json.dumps(value, indent=indent).encode()
    assert sliced_json.loads(escaped) == wire.loads(escaped)


@given(st.dictionaries(TEXTS, VALUES, max_size=5), VALUES)
def test_what_is_written(value: dict[str, Any], item: Any) -> None:
    value["many"] = [item] * 64
    assert sliced_json.dumps(value) == wire.dumps(value)


def test_a_long_conversation() -> None:
    assert sliced_json.dumps(MESSAGES) == wire.dumps(MESSAGES)
    assert sliced_json.loads(wire.dumps(MESSAGES)) == MESSAGES


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"[1,", b"[1 2]", b'{"a" 1}', b'{"a":1,}', b"[1,]", b'{a:1}', b'{"a":1}x', b'"\xff"', b"nul",
        b'{"a":NaN}', b"Infinity", b"[" * 3000, b'{"a":' * 3000, b'["\x01"]', b'{"a":1,"a":2}', b'{"a":"\\ud83d"}',
        b"1e999", b"123456789012345678901234567890", b'{"a":1.0}', b"\xef\xbb\xbf{}", b'["\\u00zz"]', b"[01]", b"-",
    ],
)  # fmt: skip
def test_odd_ones_are_read_as_ever(body: bytes) -> None:
    """Or are not read at all."""
    assert _read(sliced_json.loads, body) == _read(wire.loads, body)


def _read(loads: Any, body: bytes) -> Any:
    try:
        return repr(loads(body))
    except (ValueError, RecursionError) as error:
        return type(error)
