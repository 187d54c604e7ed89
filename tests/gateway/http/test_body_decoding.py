"""Request bodies with a Content-Encoding."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import resource
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.httputil import HTTPMessageDelegate

from gateway.endpoints import PACKED_PIECE, Entrance
from gateway.http import body_decoding
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream
from translate.failures.errors import ApiError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 1 << 20
PLAIN = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello " * 500}]}).encode()
HALF = len(PLAIN) // 2


def bare(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


def streamed_zstd(data: bytes) -> bytes:
    """As clients write it that do not say how long it is."""
    made = zstd.ZstdCompressor(level=3)
    return made.compress(data) + made.flush()


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)  # the same whenever it is made: tests are named by it


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzipped, "deflate": zlib.compress, "bare": bare, "zstd": zstd.compress,
    "zstd, streamed": streamed_zstd,
}  # fmt: skip
SKIPPABLE = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"

GOOD = [
    ("gzip", PACK["gzip"](PLAIN)),
    ("GZip", PACK["gzip"](PLAIN)),
    ("x-gzip", PACK["gzip"](PLAIN)),
    ("gzip", PACK["gzip"](PLAIN[:HALF]) + PACK["gzip"](b"") + PACK["gzip"](PLAIN[HALF:])),
    ("gzip", PACK["gzip"](PLAIN) + bytes(512)),
    ("deflate", PACK["deflate"](PLAIN)),
    ("deflate", PACK["bare"](PLAIN)),
    ("deflate", PACK["gzip"](PLAIN)),
    ("zstd", PACK["zstd"](PLAIN)),
    ("zstd", PACK["zstd, streamed"](PLAIN)),
    ("zstd", PACK["zstd"](PLAIN[:HALF]) + SKIPPABLE + PACK["zstd"](PLAIN[HALF:])),
    ("gzip, zstd", PACK["zstd"](PACK["gzip"](PLAIN))),
    ("zstd,gzip", PACK["gzip"](PACK["zstd"](PLAIN))),
    ("identity, gzip ,", PACK["gzip"](PLAIN)),
    ("gzip, gzip, deflate", PACK["deflate"](PACK["gzip"](PACK["gzip"](PLAIN)))),
]


def unpacked(encoding: str, data: bytes, cuts: list[int], limit: int = LIMIT) -> bytes:
    unpacker = body_decoding.unpacker(encoding, limit)
    assert unpacker is not None
    edges = [0, *sorted(cuts), len(data)]
    out = [piece for a, b in zip(edges, edges[1:], strict=False) for piece in unpacker.feed(data[a:b])]
    unpacker.end()
    return b"".join(out)


@pytest.mark.parametrize(("encoding", "data"), GOOD)
def test_however_it_comes_it_is_the_same(encoding: str, data: bytes) -> None:
    assert unpacked(encoding, data, []) == PLAIN
    assert unpacked(encoding, data, list(range(1, len(data)))) == PLAIN
    rng = random.Random(1)
    for _ in range(20):
        assert unpacked(encoding, data, [rng.randrange(len(data)) for _ in range(5)]) == PLAIN


def test_large_ones_come_in_pieces() -> None:
    large = bytes(range(256)) * 3000
    for name, encoding in (("gzip", "gzip"), ("bare", "deflate"), ("zstd", "zstd"), ("zstd, streamed", "zstd")):
        assert unpacked(encoding, PACK[name](large), [7, 1000]) == large


@pytest.mark.parametrize("encoding", [None, "", "identity", " Identity , ", "identity,identity"])
def test_nothing_to_unpack(encoding: str | None) -> None:
    assert body_decoding.unpacker(encoding, LIMIT) is None


BAD = [
    *((encoding, data[:-n], "too soon") for encoding, data in GOOD[:1] + GOOD[5:6] + GOOD[8:10] for n in (1, 4, 9)),
    ("gzip", GOOD[0][1][:1], "too soon"),
    ("gzip", PACK["gzip"](PLAIN) + b"\x1f\x8b\x08", "too soon"),
    ("gzip", PACK["gzip"](PLAIN) + b"{}", "goes on"),
    ("deflate", PACK["deflate"](PLAIN) + PACK["deflate"](PLAIN), "goes on"),
    ("deflate", PACK["bare"](PLAIN) + b"abc", "goes on"),
    ("zstd", PACK["zstd"](PLAIN) + b"abcdefgh", "not valid zstd"),
    ("gzip", PLAIN, "not valid gzip"),
    ("deflate", PLAIN, "not valid deflate"),
    ("zstd", PLAIN, "not valid zstd"),
    ("gzip", PACK["gzip"](PLAIN)[:-8] + bytes(8), "not valid gzip"),
    ("gzip, zstd", PACK["zstd"](PACK["gzip"](PLAIN)[:-3]), "gzip data ends too soon"),
    ("gzip, zstd", PACK["zstd"](PLAIN), "not valid gzip"),
    ("gzip", PACK["gzip"](b"") * 10_001, "members"),
]


@pytest.mark.parametrize(("encoding", "data", "why"), BAD)
def test_what_is_broken_is_said(encoding: str, data: bytes, why: str) -> None:
    with pytest.raises(ApiError, match=why) as refused:
        unpacked(encoding, data, [])
    assert refused.value.status == 400


@pytest.mark.parametrize("encoding", ["br", "compress", "gzip, br", "aws-chunked", "*", "gzip;q=1", "ze\x7fstd"])
def test_what_is_not_understood(encoding: str) -> None:
    with pytest.raises(body_decoding.UnknownCoding) as refused:
        body_decoding.unpacker(encoding, LIMIT)
    assert refused.value.status == 415 and refused.value.message.isprintable()
    assert body_decoding.told(refused.value) == b"Accept-Encoding: gzip, deflate, zstd\r\n"


def test_too_many_codings() -> None:
    with pytest.raises(ApiError, match="at most 3") as refused:
        body_decoding.unpacker("gzip, gzip, gzip, gzip", LIMIT)
    assert refused.value.status == 400


BOMB = 512 << 20


def _bomb(coding: str) -> bytes:
    zeros = bytes(1 << 20)
    if coding == "gzip":
        made = zlib.compressobj(wbits=31)
        return b"".join([*(made.compress(zeros) for _ in range(BOMB >> 20)), made.flush()])
    frame = zstd.ZstdCompressor(level=1)
    return b"".join([*(frame.compress(zeros) for _ in range(BOMB >> 20)), frame.flush()])


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "gzip, zstd", "zstd, gzip"])
def test_a_bomb_costs_no_more_than_its_bound(encoding: str) -> None:
    """What is made of it is counted, not timed: no more than a piece beyond the bound."""
    first, _, second = encoding.partition(", ")
    data = _bomb(first)
    if second:
        data = PACK[second](data)
    tracemalloc.start()
    try:
        with pytest.raises(ApiError, match="when unpacked") as refused:
            unpacked(encoding, data, [])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.status == 413 and peak < 8 * LIMIT


def test_a_frame_that_wants_too_much_memory() -> None:
    options = {zstd.CompressionParameter.window_log: 25, zstd.CompressionParameter.compression_level: 1}
    made = zstd.ZstdCompressor(options=options)
    data = made.compress(b"x" * 1000) + made.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ApiError, match="window") as refused:
        unpacked("zstd", data, [])
    assert refused.value.status == 413
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024
    assert unpacked("zstd", data, [], 64 << 20) == b"x" * 1000


# ------------------------------------------------------------------------------------- by way of the proxy

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
OK = Answer.json({"id": "x", "choices": [CHOICE]})


@pytest.mark.parametrize(("encoding", "data"), GOOD)
def test_the_upstream_gets_it_plain(encoding: str, data: bytes) -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post("/v1/chat/completions", data, {"Content-Encoding": encoding})[0] == 200
        assert up.requests[0].body == PLAIN and "content-encoding" not in up.requests[0].headers


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/input_tokens", "/debug/translate"])
def test_every_endpoint_reads_them(path: str) -> None:
    asked = json.dumps({"model": "m", "input": "hello"}).encode()
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post(path, zstd.compress(asked), {"Content-Encoding": "zstd"})[0] == 200
        status, headers, body = house.post(path, asked, {"Content-Encoding": "br"})
        assert status == 415 and headers["accept-encoding"] == "gzip, deflate, zstd" and b"'br'" in body
        assert house.post(path, zstd.compress(asked)[:-2], {"Content-Encoding": "zstd"})[0] == 400
        status, headers, _ = house.post(path, b"a=1", {"Content-Type": "application/x-www-form-urlencoded"})
        assert status == 415 and "accept-encoding" not in headers  # it is not the coding that is wrong


async def turns_of_the_ends(count: int, size: int) -> list[int]:
    """In which turns of the loop so many compressed bodies end that come together."""
    turn, ended = 0, []
    door: Any = SimpleNamespace(ends_packed=asyncio.Lock())

    async def body() -> None:
        await Entrance(door, None, None)._in_turns(HTTPMessageDelegate(), bytes(size))  # type: ignore[arg-type]
        ended.append(turn)

    bodies = [asyncio.ensure_future(body()) for _ in range(count)]
    while len(ended) < count:
        await asyncio.sleep(0)
        turn += 1
    await asyncio.gather(*bodies)
    return ended


@pytest.mark.parametrize(("size", "turns"), [(5 * PACKED_PIECE, 6), (PACKED_PIECE, 1)])
def test_large_ones_that_come_together_do_not_end_in_one_turn(size: int, turns: int) -> None:
    """Their whole bodies are read then, and everybody else would wait for all of them."""
    assert len(set(asyncio.run(turns_of_the_ends(6, size)))) == turns


def test_a_bound_before_and_one_after_unpacking() -> None:
    text = "[server]\nmax_body_mb = 1\n[upstream up]\nprotocol = chat\nbase_url = http://127.0.0.1:9\n"
    noise = random.Random(3).randbytes(1_200_000)
    with House(text) as house:
        packed = {"Content-Encoding": "gzip"}
        status, _, body = house.post("/v1/chat/completions", gzip.compress(bytes(2 << 20)), packed)
        assert status == 413 and b"when unpacked" in body
        assert house.post("/v1/chat/completions", gzip.compress(noise), packed)[0] == 413
        assert house.on_loop(lambda: house.proxy.service.held_bytes) == 0
