"""AWS's binary event stream, with botocore's reader as the oracle: the same messages, however the bytes are cut."""

from __future__ import annotations

import base64
import json
import random
import struct
import time
import tracemalloc
from zlib import crc32

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer, ParserError
from hypothesis import given
from hypothesis import strategies as st

from translate.envelopes.bedrock import Events
from translate.envelopes.eventstream import MAX_PAYLOAD, Decoder, Message, encode, encode_headers
from translate.failures.errors import BadReply

HEADERS = {":message-type": "event", ":event-type": "chunk", ":content-type": "application/json"}
messages = st.lists(
    st.tuples(
        st.dictionaries(st.text(min_size=1, max_size=10), st.text(max_size=30), max_size=4), st.binary(max_size=200)
    ),
    max_size=5,
)


def written(said: list[tuple[dict[str, str], bytes]]) -> bytes:
    return b"".join(encode(encode_headers(headers), payload) for headers, payload in said)


def botocores(data: bytes) -> list[Message]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(dict(each.headers), each.payload) for each in buffer]


@given(messages, st.randoms(use_true_random=False))
def test_what_is_written_is_read_however_it_is_cut(
    said: list[tuple[dict[str, str], bytes]], dice: random.Random
) -> None:
    data = written(said)
    want = list(said)
    assert botocores(data) == want
    cuts = sorted(dice.choices(range(len(data) + 1), k=dice.randint(0, 20)))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    for parts in (pieces, [data[at : at + 1] for at in range(len(data))], [data]):
        decoder = Decoder()
        assert [message for part in parts for message in decoder.feed(part)] == want and not decoder._buffer


def test_headers_of_other_types_are_passed_over() -> None:
    values = [b"\x00", b"\x01", b"\x02a", b"\x03ab", b"\x04abcd", b"\x05abcdefgh", b"\x06\0\x03abc", b"\x08abcdefgh",
              b"\x09" + b"u" * 16, b"\x07\0\x02hi"]  # fmt: skip
    head = b"".join(bytes((2,)) + b"h%d" % number + value for number, value in enumerate(values))
    data = encode(head, b"payload")
    (theirs,) = botocores(data)
    (ours,) = Decoder().feed(data)
    assert ours == ({"h9": "hi"}, b"payload")
    assert {name: value for name, value in theirs[0].items() if isinstance(value, str)} == ours[0]


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_is_noticed_where_botocore_notices_it(at: int, flip: int) -> None:
    data = bytearray(written([(HEADERS, b'{"bytes":"eyJ0eXBlIjoicGluZyJ9"}')]))
    data[at % len(data)] ^= flip
    with pytest.raises((ChecksumMismatch, ParserError)):
        if not botocores(bytes(data)):
            raise ParserError
    decoder = Decoder()
    with pytest.raises(BadReply, match="event stream"):
        decoder.feed(bytes(data))


def prelude(total: int, headers: int) -> bytes:
    lengths = struct.pack(">II", total, headers)
    return lengths + struct.pack(">I", crc32(lengths))


@pytest.mark.parametrize(
    ("total", "headers"),
    [
        (2**32 - 1, 0),
        (2**31, 2**31),
        (16 + MAX_PAYLOAD + 1, 0),
        (15, 0),
        (0, 0),
        (16, 1),
        (200_000, 131_073),
        (20, 2**32 - 1),
    ],
)
def test_lengths_are_bounded_before_anything_is_kept(total: int, headers: int) -> None:
    with pytest.raises(BadReply):
        Decoder().feed(prelude(total, headers))


@pytest.mark.parametrize(
    "head", [b"\x05ab", b"\x01a", b"\x01a\x07\xff\xffx", b"\x01a\x0a", b"\x01\xff\x00", b"\x01a\x00\x01a\x00", b"\xff"]
)
def test_headers_that_cannot_be_read(head: bytes) -> None:
    with pytest.raises(BadReply):
        Decoder().feed(encode(head, b""))


def test_it_takes_no_more_memory_than_the_message_and_time_in_proportion() -> None:
    payload = b"x" * 4_000_000
    data = written([(HEADERS, payload)])
    decoder = Decoder()
    tracemalloc.start()
    began = time.process_time()
    found = [message for at in range(0, len(data), 1000) for message in decoder.feed(data[at : at + 1000])]
    spent = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [len(payload) for _, payload in found] == [4_000_000]
    assert peak < 5 * len(data)
    assert spent < 20, "a reader that looks at all of it for each piece takes minutes"


BYTES = b'{"bytes":"'
DELTA = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%b}}'
ORDERS = [HEADERS, dict(reversed(HEADERS.items())), HEADERS | {"x": "y"}]


def chunks(texts: list[str], headers: dict[str, str]) -> list[bytes]:
    payloads = [BYTES + base64.b64encode(DELTA % json.dumps(text).encode()) + b'","p":"ab"}' for text in texts]
    return [encode(encode_headers(headers), payload) for payload in payloads]


@given(st.lists(st.text(max_size=9), min_size=1, max_size=6), st.sampled_from(ORDERS), st.integers(1, 400))
def test_deltas_are_read_at_once_and_are_the_same(texts: list[str], headers: dict[str, str], size: int) -> None:
    data = b"".join(chunks(texts, headers))
    want = b"".join(b"event: content_block_delta\ndata: %b\n\n" % (DELTA % json.dumps(t).encode()) for t in texts)
    for cut in (size, len(data)):
        events = Events()
        assert b"".join(events.feed(data[at : at + cut]) for at in range(0, len(data), cut)) == want


def test_a_stream_with_headers_in_another_order_is_learned() -> None:
    events, (first, second) = Events(), chunks(["a", "b"], ORDERS[1])
    assert events.feed(first) == events.feed(second).replace(b'"b"', b'"a"') != b""
    assert events._usual.headers == len(encode_headers(HEADERS)) and events._usual.begins in second


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_changed_byte_of_a_usual_message_is_noticed(at: int, flip: int) -> None:
    """What came before it is given first, and nothing of what comes after."""
    good, bad, after = chunks(["good", "bad", "after"], {":event-type": "chunk", ":content-type": "application/json",
                                                        ":message-type": "event"})  # fmt: skip
    spoilt = bytearray(bad)
    spoilt[at % len(bad)] ^= flip
    events = Events()
    said = events.feed(good + spoilt + after)
    assert said.count(b"event: ") == 1 and b'"good"' in said
    if not events._decoder._buffer:  # else it waits for more than there is
        with pytest.raises(BadReply):
            events.feed(after)


def test_line_breaks_between_values_are_no_line_breaks_of_the_stream() -> None:
    odd = b'{"type":"content_block_delta",\n"index":0,\r\n"delta":{}}'
    head = encode_headers({":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"})
    said = Events().feed(encode(head, BYTES + base64.b64encode(odd) + b'"}'))
    assert said.count(b"\n") == 3 and b"\r" not in said
    assert json.loads(said.partition(b"data: ")[2]) == json.loads(odd)


def test_messages_of_botocore_mean_the_same() -> None:
    data = written([({":message-type": "exception", ":exception-type": "throttlingException"}, b'{"message":"slow"}')])
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    (message,) = buffer
    assert message.to_response_dict()["status_code"] == 400 and Decoder().feed(data)[0][1] == message.payload
