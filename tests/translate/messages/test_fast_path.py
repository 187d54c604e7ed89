"""The fast path: it may refuse whatever it likes, but what it takes is exactly what a JSON parser would give."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translate.json import wire
from translate.messages.fast_path import Template, learn


def event(text: str, pad: int = 0, index: int = 0) -> bytes:
    body = wire.dumps({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}})
    return b"event: content_block_delta\ndata: " + body[:-1] + b" " * pad + b"}"


def lane() -> Template:
    found = learn(event("Hello", pad=3), "text", "Hello")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (event("text"), "text"),  # the word stands elsewhere too
        (event("text_delta"), "text_delta"),
        (rb'data: {"delta":{"text":"\u0041bc"}}', "Abc"),  # escaped in another way than ours
        (rb'data: {"delta":{"other":"Abc","text":"\u0041bc"}}', "Abc"),  # found, but not as the text
        (rb'data: {"delta":{"text":"a\/b"}}', "a/b"),
        (b'data: {"text":"Abc","delta":{"text":"Abc"}}', "Abc"),
    ],
)
def test_not_learnt(line: bytes, text: str) -> None:
    assert learn(line, "text", text) is None


def test_keys_in_any_order() -> None:
    line = b'data: {"delta":{"text" : "%b","type":"text_delta"},"index":0}'
    found = learn(line % b"Hello", "text", "Hello")
    assert found is not None
    assert found.run([line % b"a", line % b"b", line % b'c","index":9,"x":"'], 0) == [b"a", b"b"]
    assert found.run([line % b"a" + b" "], 0) == []


TAKEN = ["Hi", " ", "é😀", 'a "quoted" word', "back\\slash", "tab\tand\nline", '"', "\\", '"}}', '\\"', "}"]


@pytest.mark.parametrize("text", TAKEN)
@pytest.mark.parametrize("pad", [0, 3, 9])
def test_a_plain_delta_takes_the_fast_path(text: str, pad: int) -> None:
    (piece,) = lane().run([event(text, pad)], 0)
    assert wire.text_of([piece]) == text


REFUSED: dict[str, bytes] = {
    "another index": event("x", index=1),
    "another key after it": event("x").replace(b'"}}', b'","estimated_tokens":5}}'),
    "another key after it, a string": event("x").replace(b'"}}', b'","stop":"y"}}'),
    "a raw control byte": event("x").replace(b'"x"', b'"a\x01"'),
    "a line break in the data": event("x").replace(b'"x"', b'"a\ndata: b"'),
    "an escape that is none": event("x").replace(b'"x"', rb'"\x"'),
    "half an escape": event("x").replace(b'"x"', rb'"\u12"'),
    "half a character": event("x").replace(b'"x"', b'"\xc3"'),
    "no end": event("x")[:-3],
    "more than one event": event("x") + b"\ndata: 1",
    "nothing": b"",
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_events_do_not_take_the_fast_path(name: str) -> None:
    good = event("good")
    assert lane().run([REFUSED[name]], 0) == []
    assert lane().run([good, REFUSED[name], good], 0) == [b"good"]
    assert lane().run([REFUSED[name], good], 1) == [b"good"]


def test_two_halves_do_not_make_a_whole() -> None:
    halves = [event("x").replace(b'"x"', half) for half in (b'"\xc3"', b'"\xa9"')]
    assert lane().run(halves, 0) == []
    escapes = [event("x").replace(b'"x"', half) for half in (rb'"\u00"', rb'"e9"')]
    assert lane().run(escapes, 0) == []


@given(st.lists(st.tuples(st.text(max_size=8), st.integers(0, 4)), max_size=8))
def test_it_reads_what_a_parser_reads(said: list[tuple[str, int]]) -> None:
    pieces = lane().run([event(text, pad) for text, pad in said], 0)
    assert [wire.text_of([piece]) for piece in pieces] == [text for text, _ in said][: len(pieces)]
    assert len(pieces) == len(said)


@given(st.binary(max_size=12))
def test_bytes_that_are_taken_are_json(inside: bytes) -> None:
    line = event("x").replace(b'"x"', b'"' + inside + b'"')
    if pieces := lane().run([line], 0):
        data: Any = wire.loads(line.split(b"data: ", 1)[1])
        assert wire.text_of(pieces) == data["delta"]["text"]
