"""Messages streams in odd frames, cut anywhere, or of odd shapes: the events are the same, and nothing raises."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.translate.messages.material import check_order, decode, ended, sse, start, view, ways
from tests.translate.messages.reading import HI
from tests.translate.messages.test_decode_stream import BLOCKS

FRAMINGS = {
    "crlf": lambda raw: raw.replace(b"\n", b"\r\n"),
    "cr": lambda raw: raw.replace(b"\n", b"\r"),
    "no event lines": lambda raw: b"".join(
        line + b"\n" for line in raw.split(b"\n")[:-1] if not line.startswith(b"event:")
    ),
    "no space after data": lambda raw: raw.replace(b"data: ", b"data:"),
    "comments": lambda raw: raw.replace(b"event:", b": hello\n\n: again\nevent:"),
    "no final blank line": lambda raw: raw.rstrip(b"\n"),
    "padding": lambda raw: raw.replace(b"}}\n", b"}   }\n").replace(b" there", b" there"),
    "type only in the event line": lambda raw: raw.replace(b'"type":"message_stop"', b'"x":1'),
    "an event line each, ids and retries": lambda raw: raw.replace(b"event:", b"id: 5\nretry: 3\nevent:"),
    "done at the end": lambda raw: raw + b"event: data\ndata: [DONE]\n\n",
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_every_framing_of_events_is_read(name: str) -> None:
    raw = sse(start(), *HI, *ended())
    expected = view(decode([raw]))
    for chunks in ways(FRAMINGS[name](raw)):
        assert view(decode(chunks)) == expected


@given(cuts=st.lists(st.integers(0, 3000), max_size=12))
def test_any_split(cuts: list[int]) -> None:
    events = [event for block in ("thinking", "tool use", "server tool", "citations") for event in BLOCKS[block][0]]
    raw = sse(start(), *events, *ended("tool_use"))
    at = [0, *sorted(cut % len(raw) for cut in cuts), len(raw)]
    assert view(decode(raw[a:b] for a, b in zip(at, at[1:], strict=False))) == view(decode([raw]))


@given(st.binary(max_size=300), st.integers(0, 900))
def test_nothing_raises(noise: bytes, at: int) -> None:
    raw = sse(start(), *HI, *ended())
    check_order(decode([raw[:at] + noise + raw[at:]]))
    check_order(decode([noise]))


SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(
        ["type", "index", "message", "content", "content_block", "delta", "usage", "text", "stop_reason", "input"]
    ), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
KINDS = ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"]


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.dictionaries(
    st.sampled_from(["index", "message", "content_block", "delta", "usage", "error"]), SHAPES
)), max_size=6))  # fmt: skip
def test_odd_shapes_do_not_raise(odd: list[tuple[str, dict[str, Any]]]) -> None:
    check_order(decode([sse(*({"type": kind} | body for kind, body in odd), *ended())]))
