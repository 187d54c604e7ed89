"""The fast path of a Chat stream: chunks that differ only in their text are not parsed."""

from __future__ import annotations

import json

import pytest

from tests.translate.chat.material import DONE, ROLE, STOP, call, chunk, every_way, sse
from translate.chat import details
from translate.chat.decode_stream import Decoder, learn
from translate.conversation import Delta, Event, Fault, Stop
from translate.json import wire


class Counting(Decoder):
    """Counts the events that were parsed."""

    __slots__ = ("slow",)

    def __init__(self) -> None:
        super().__init__()
        self.slow = 0

    def _slow(self, event: bytes) -> None:
        self.slow += 1
        super()._slow(event)


def lane(*texts: str, field: str = "content", **more: object) -> tuple[list[Event], int]:
    """The events of all but the first two chunks, and how many of them were parsed."""
    decoder = Counting()
    decoder.feed(sse(ROLE, chunk({field: "first"}, **more)))
    decoder.slow = 0
    return decoder.feed(sse(*(chunk({field: text}, **more) for text in texts))), decoder.slow


@pytest.mark.parametrize("field", ["content", "reasoning_content", "reasoning"])
def test_chunks_that_differ_in_their_text_only_are_not_parsed(field: str) -> None:
    events, slow = lane("one", " two\n", 'a "quote"', "é\t", "back\\slash\\", field=field)
    assert slow == 0
    [delta] = events
    assert isinstance(delta, Delta)
    assert [wire.text_of([piece]) for piece in delta.pieces] == ["one", " two\n", 'a "quote"', "é\t", "back\\slash\\"]


def test_arguments_are_not_parsed() -> None:
    decoder = Counting()
    decoder.feed(sse(chunk(call("", 0, "a", "f")), chunk(call('{"x":"'))))
    decoder.slow = 0
    events = decoder.feed(sse(chunk(call("y")), chunk(call('"}'))))
    assert (decoder.slow, events) == (0, [Delta([b"y", b'\\"}'])])


def test_padding_at_the_end_of_each_chunk_does_not_hinder() -> None:
    decoder = Counting()
    decoder.feed(sse(chunk({"content": "first"}, obfuscation="aB3")))
    decoder.slow = 0
    events = decoder.feed(sse(chunk({"content": "a"}, obfuscation="x"), chunk({"content": "b"}, obfuscation="Zz9")))
    assert (decoder.slow, events) == (0, [Delta([b"a", b"b"])])

    def compact(text: str, pad: str) -> bytes:
        return b'data: {"choices":[{"delta":{"content":"%b"}}],"p":"%b"}\n\n' % (text.encode(), pad.encode())

    decoder.feed(compact("c", "abc"))
    decoder.slow = 0
    assert decoder.feed(compact("d", "a") + compact("e", "abcdef")) == [Delta([b"d", b"e"])]
    assert decoder.slow == 0
    decoder.feed(compact("f", 'x","finish_reason":"stop'))
    assert decoder.slow == 1


@pytest.mark.parametrize(
    "odd",
    [b'a","finish_reason":"stop', b"raw \x01 control", b"bad \\x escape", b"half \\u12", b"cut \xe2\x82", b"back\\"],
)
def test_what_is_no_legal_text_is_parsed(odd: bytes) -> None:
    """And the legal neighbours in the same read are not lost."""
    decoder = Counting()
    frame = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n'
    decoder.feed(frame % b"first")
    decoder.slow = 0
    events = decoder.feed(frame % b"one" + frame % odd + frame % b"two")
    assert decoder.slow >= 1
    assert isinstance(events[0], Delta)
    assert events[0].pieces[0] == b"one"
    assert b"two" in events[0].pieces or isinstance(events[-1], Fault)


@pytest.mark.parametrize("after", [chunk({"content": "x"}, id="other"), b"[DONE]", {"broken": 1}])
def test_nothing_comes_after_a_chunk_that_cannot_be_read(after: object) -> None:
    """It is found among those that differ in their text only, and another event stands behind them in the same read."""
    decoder = Decoder()
    frame = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n'
    data = after if isinstance(after, bytes) else json.dumps(after).encode()
    events = decoder.feed(frame % b"first") + decoder.feed(frame % b'a","b":,"c":"' + b"data: %b\n\n" % data)
    events += decoder.end()
    assert [type(event) for event in events if isinstance(event, Stop | Fault)] == [Fault]
    assert isinstance(events[-1], Fault) and decoder.ended


def test_an_empty_text_in_the_lane_is_nothing() -> None:
    assert lane("", "") == ([], 0)
    events, _ = lane("", "a")
    assert events == [Delta([b"a"])]


def thought(text: str, detail: str | None = None) -> dict[str, object]:
    """As OpenRouter says it."""
    entry = {"type": "reasoning.text", "text": text if detail is None else detail, "format": "unknown", "index": 0}
    return chunk({"content": "", "reasoning": text, "reasoning_details": [entry]})


def test_a_text_that_each_chunk_says_twice_is_not_parsed() -> None:
    decoder = Counting()
    decoder.feed(sse(ROLE, thought("first")))
    decoder.slow = 0
    events = decoder.feed(sse(thought("a"), thought(' "b"\n'), thought("cc"), thought("é")))
    assert decoder.slow == 0 and isinstance(events[0], Delta)
    assert [wire.text_of([piece]) for piece in events[0].pieces] == ["a", ' "b"\n', "cc", "é"]


@pytest.mark.parametrize("other", ["", "b", "aa", "a,", 'a","text":"a'])
def test_two_texts_that_are_not_the_same_are_parsed(other: str) -> None:
    decoder = Counting()
    decoder.feed(sse(ROLE, thought("first")))
    decoder.slow = 0
    decoder.feed(sse(thought("a", other)))
    assert decoder.slow == 1


@pytest.mark.parametrize(
    "frame",
    [
        '{"choices":[{"delta":{"content":"TEXT"},"index":0}],"obfuscation":"%d","usage":null}',
        '{"id":"chatcmpl-%d","choices":[{"delta":{"content":"TEXT"}}]}',
        '{"created":%d,"choices":[{"index":0,"delta":{"reasoning":"TEXT"}}],"model":"m"}',
        '{"id":"a","choices":[{"text":"TEXT","delta":{"token_id":%d,"role":"assistant","content":"TEXT"}}]}',
        *('{"created":%d,"choices":[{"delta":{"NAME":"TEXT"}}]}'.replace("NAME", name) for name in details.NAMES),
    ],
)
def test_what_is_different_in_each_chunk_does_not_hinder(frame: str) -> None:
    def said(number: int, text: str) -> bytes:
        return f"data: {frame.replace('%d', str(number)).replace('TEXT', text)}\n\n".encode()

    decoder = Counting()
    decoder.feed(said(1, "first") + said(22, "second"))
    decoder.slow = 0
    assert decoder.feed(said(3, "a") + said(3, '\\"b') + said(456, "c")) == [Delta([b"a", b'\\"b', b"c"])]
    assert decoder.slow == 0
    decoder.feed(said(7, 'x","finish_reason":"stop'))
    assert decoder.slow == 1


def test_the_id_of_a_call_is_never_one_of_a_chunk() -> None:
    frame = '{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"%s","function":{"arguments":"%s"}}]}}]}'
    chunks = [json.loads(frame % pair) for pair in ((id, "{}") for id in "abcd")]
    for one in chunks:
        one["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] = "f"
    assert every_way(sse(*chunks, STOP, DONE)) == [f"call f#{id}: {{}}" for id in "abcd"] + ["stop tool_calls"]


def test_the_lane_learns_only_from_the_fields_that_say_it() -> None:
    thrice = b'{"choices":[{"delta":{"content":"ab"},"message":{"content":"ab"},"text":"ab"}]}'
    assert learn(thrice, b"ab") is None
    assert learn(b'{"choices":[{"delta":{"content":"ab"},"text":"abab"}]}', b"ab") is None
    assert learn(b'{"delta":{"content":"xy"}}', b"ab") is None
    assert learn(b'{"delta":{"content":"\\u00e9"}}', "é".encode()) is not None
    assert learn(b'{"delta":{"content":"\\q"}}', b"ab") is None


def test_a_call_that_is_named_again_is_never_taken_for_more_arguments() -> None:
    """Whole calls without ids, alike but for their arguments: two calls, not one."""
    entry = [chunk(call(f'{{"n":{n}}}', 0, None, "f")) for n in range(3)]
    assert every_way(sse(*entry, STOP, DONE)) == [f'call f#: {{"n":{n}}}' for n in range(3)] + ["stop tool_calls"]
