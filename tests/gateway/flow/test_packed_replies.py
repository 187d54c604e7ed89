"""Upstreams that compress their replies, though every request asks for none of it, are read; what cannot be is told."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import ASK, house_text, says, streams

CHAT, MESSAGES, EMBEDDINGS = "/v1/chat/completions", "/v1/messages", "/v1/embeddings"


def raw_deflate(data: bytes) -> bytes:
    making = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return making.compress(data) + making.flush()


def two_members(data: bytes) -> bytes:
    return gzip.compress(data[:20]) + gzip.compress(data[20:])


def packed(answer: Answer, how: object, said: str) -> Answer:
    body = answer.body if isinstance(answer.body, bytes) else b"".join(x for x in answer.body if isinstance(x, bytes))
    answer.body = how(body)  # type: ignore[operator]  # a function of bytes
    answer.headers["Content-Encoding"] = said
    return answer


WAYS = [
    (gzip.compress, "gzip"),
    (two_members, "x-gzip"),
    (zlib.compress, "deflate"),
    (raw_deflate, "deflate"),
    (gzip.compress, "identity, GZIP"),
    (bytes, "gzip"),  # a server in between has unpacked it, and left the header
    (bytes, "br"),
    (bytes, "utf-8"),
]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_further_member_is_read_wherever_it_is_cut(at: int) -> None:
    body = says("hello there").body
    assert isinstance(body, bytes)
    first, second = gzip.compress(body[:20]), gzip.compress(body[20:])
    reply = Answer(200, {"Content-Type": "application/json", "Content-Encoding": "gzip"},
                   [first + second[:at], 0.05, second[at:]])  # fmt: skip
    with Upstream([reply]) as up, House(house_text("* = a", a=up.url)) as house:
        status, _, said = house.post(CHAT, ASK)
    assert status == 200 and json.loads(said)["choices"]


def test_sound_that_is_called_compressed_and_is_not_passes_as_it_is() -> None:
    sound = b"ID3\x04" + bytes(range(200))
    reply = Answer(200, {"Content-Type": "audio/mpeg", "Content-Encoding": "gzip"}, sound)
    with Upstream([reply]) as up, House(house_text("* = a", a=up.url)) as house:
        status, _, said = house.post("/v1/audio/speech", {"model": "m", "input": "hi", "voice": "alloy"})
    assert (status, said) == (200, sound)


@pytest.mark.parametrize(("how", "said"), WAYS)
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_reply_is_unpacked(path: str, how: object, said: str) -> None:
    def answers(asked: object) -> Answer:
        whole = says("hello there")
        return packed(Answer.sse(streams("hello there")) if asked.json.get("stream") else whole, how, said)  # type: ignore[attr-defined]  # a Request

    with Upstream(answers) as up, House(house_text("* = a", a=up.url)) as house:
        for stream in (False, True):
            status, headers, body = house.post(path, ASK | {"max_tokens": 9, "stream": stream})
            assert status == 200 and b"hello there" in body and "content-encoding" not in headers
            assert not stream or b"[DONE]" in body or b"message_stop" in body


def test_a_stream_comes_piece_by_piece() -> None:
    making = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    pieces = [making.compress(each) + making.flush(zlib.Z_SYNC_FLUSH) for each in streams("hello there")]
    answer = Answer.sse([*pieces[:2], 0.05, *pieces[2:], making.flush()])
    answer.headers["Content-Encoding"] = "gzip"
    with Upstream([answer]) as up, House(house_text("* = a", a=up.url)) as house:
        status, _, body = house.post(CHAT, ASK | {"stream": True})
    assert status == 200 and body == b"".join(streams("hello there"))


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_an_error_is_unpacked(path: str) -> None:
    answer = packed(Answer.json({"error": {"message": "too long, friend", "code": "x"}}, 400), gzip.compress, "gzip")
    with Upstream([answer]) as up, House(house_text("* = a", a=up.url)) as house:
        status, _, body = house.post(path, ASK | {"max_tokens": 9})
    assert status == 400 and b"too long, friend" in body


def test_a_relayed_reply_is_unpacked() -> None:
    with Upstream([packed(says("hello"), gzip.compress, "gzip")]) as up, House(house_text("* = a", a=up.url)) as house:
        status, _, body = house.post(EMBEDDINGS, {"model": "m", "input": "x"})
    assert status == 200 and b"hello" in body


BAD = [
    (lambda data: b"\x8b\x02\x80" + data, "br", b"'br'"),
    (lambda data: gzip.compress(gzip.compress(data)), "gzip, gzip", b"'gzip, gzip'"),
    (lambda data: b"\x1f\x8bnonsense", "gzip", b"'gzip'"),
    (lambda data: gzip.compress(data)[:-12], "gzip", b"ends too soon"),
    (lambda data: gzip.compress(data + b" " * (20 << 20)), "gzip", b"unpacked"),
]


@pytest.mark.parametrize(("how", "said", "told"), BAD)
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_what_cannot_be_unpacked_is_told(path: str, how: object, said: str, told: bytes) -> None:
    with Upstream(lambda r: packed(says("hello"), how, said)) as up:
        with House(house_text("* = a", a=up.url)) as house:
            status, _, body = house.post(path, ASK | {"max_tokens": 9})
            assert status == 502 and told in body
            assert house.get("/healthz")[0] == 200
