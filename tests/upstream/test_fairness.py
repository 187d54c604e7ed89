"""An upstream that sends faster than its reader reads: the other requests of the loop have their turns all the same."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import socket
import threading
import time
from collections.abc import Awaitable, Callable

from tests.upstream.scripted import STREAM, Conn, Told, Upstream, begin, chunk, client, run
from upstream.client import UpstreamClient
from upstream.packed import PIECE
from upstream.request import Timeouts


class Torrent:
    """An upstream in a thread of its own, which sends as fast as it can until the client leaves. piece: the data of
    each chunk."""

    def __init__(self, piece: bytes = b"x" * 65536) -> None:
        self._sent = chunk(piece) * (65536 // len(piece))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        conn, _ = self._listening.accept()
        with conn, contextlib.suppress(OSError):
            conn.recv(65536)
            conn.sendall(STREAM)
            while True:
                conn.sendall(self._sent)

    def close(self) -> None:
        self._thread.join(10)
        self._listening.close()


async def turns_of_a_torrent(c: UpstreamClient, url: str, pieces: int, work_s: float) -> tuple[list[int], list[int]]:
    """(how often the sink was called, how many bytes it got) in each turn of the loop. work_s: of the sink, for each
    16 KB."""
    loop, calls, sizes, seen = asyncio.get_running_loop(), [0], [0], [0]
    done = asyncio.Event()

    def turn() -> None:
        if done.is_set():
            return
        calls.append(0)
        sizes.append(0)
        loop.call_soon(turn)

    def then(told: Told, now: str) -> None:
        if now != "data":
            return
        got = told.size - seen[0]
        seen[0] = told.size
        calls[-1] += 1
        sizes[-1] += got
        until = time.perf_counter() + work_s * got / 16384
        while time.perf_counter() < until:
            pass
        if sum(calls) >= pieces and not done.is_set():
            done.set()
            assert told.exchange is not None
            told.exchange.cancel()

    turn()
    begin(c, url, told=Told(then, keep=False))
    await asyncio.wait_for(done.wait(), 60)
    return calls, sizes


@run
async def test_an_upstream_that_is_faster_than_its_reader_leaves_turns_to_others() -> None:
    """Each event of its socket had libcurl called once more in each turn, so that nobody else was served after a
    while."""
    torrent = Torrent()
    async with client() as c:
        calls, _ = await turns_of_a_torrent(c, torrent.url, 400, 0.0005)
    torrent.close()
    assert max(calls) <= 4, calls


@run
async def test_a_reader_that_is_slow_gets_less_in_each_turn() -> None:
    torrent = Torrent()
    async with client() as c:
        _, sizes = await turns_of_a_torrent(c, torrent.url, 40, 0.01)
    torrent.close()
    assert max(sizes[-10:]) <= 2 * 16384, sizes


@run
async def test_of_bytes_that_come_one_by_one_a_turn_brings_fewer() -> None:
    """What a piece costs hardly depends on its size."""
    torrent = Torrent(b"x")
    async with client() as c:
        _, sizes = await turns_of_a_torrent(c, torrent.url, 40, 0.0)
    torrent.close()
    assert max(sizes) < 24_000, sizes  # libcurl may have joined 16 KB of them while it was paused


def gzipped(data: bytes, *, cut: int = 0) -> bytes:
    body = gzip.compress(data)
    body = body[: len(body) - cut]
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def of_packed(reply: bytes) -> Callable[[Conn], Awaitable[None]]:
    async def script(conn: Conn) -> None:
        while await conn.request() is not None:
            conn.send(reply)

    return script


@run
async def test_what_is_unpacked_comes_in_pieces_and_others_have_turns_between() -> None:
    """Megabytes that are a few KB on the wire came at once."""
    data = b"".join(b"data: %d\n\n" % (number // 1000) for number in range(1_000_000))
    turns, at, over = [0], list[tuple[int, int]](), asyncio.Event()

    def turn() -> None:
        turns[0] += 1
        if not over.is_set():
            asyncio.get_running_loop().call_soon(turn)

    def then(told: Told, now: str) -> None:
        if now == "data":
            at.append((turns[0], told.size))

    async with Upstream(of_packed(gzipped(data))) as up, client() as c:
        turn()
        told = begin(c, up.url, told=Told(then))
        await told.ended.wait()
        over.set()
        assert told.body == data and told.failure is None
        again = begin(c, up.url, told=Told())
        await again.ended.wait()
        assert again.body == data and up.connections == 1, "the connection is used again"
    sizes = [after[1] - before[1] for before, after in itertools.pairwise([(0, 0), *at])]
    assert len(at) > 50 and max(sizes) <= 2 * PIECE
    assert len({number for number, _ in at}) == len(at), "each in a turn of its own"


@run
async def test_a_reader_that_pauses_gets_no_more_of_what_is_unpacked() -> None:
    data = b"data: word\n\n" * 300_000

    def then(told: Told, now: str) -> None:
        if now == "data" and told.size > 10 * PIECE and not paused.is_set():
            assert told.exchange is not None
            told.exchange.pause()
            paused.set()

    paused = asyncio.Event()
    async with Upstream(of_packed(gzipped(data))) as up, client() as c:
        told = begin(c, up.url, told=Told(then))
        await paused.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        held = told.size
        assert held <= 14 * PIECE
        await asyncio.sleep(0.1)
        assert told.size == held and not told.ended.is_set()
        assert told.exchange is not None
        told.exchange.resume()
        await told.ended.wait()
        assert told.body == data


@run
async def test_a_packed_reply_that_is_cut_or_left_ends_at_once() -> None:
    data = b"data: word\n\n" * 300_000
    async with Upstream(of_packed(gzipped(data, cut=20))) as up, client() as c:
        told = begin(c, up.url, told=Told())
        await told.ended.wait()
        assert told.failure is not None and "ends too soon" in told.failure.message
        left = begin(c, up.url, told=Told(lambda told, now: told.exchange.cancel() if now == "data" else None))
        while not left.size:
            await asyncio.sleep(0)
        good = begin(c, up.url, told=Told())
        await good.ended.wait()
        assert left.size <= 2 * PIECE and not left.ended.is_set()


@run
async def test_what_came_before_a_connection_was_lost_is_unpacked_to_its_end() -> None:
    """The last event may be among it, and the connection lost only because its server is careless."""
    data = b"data: word\n\n" * 300_000

    async def cuts(conn: Conn) -> None:
        await conn.request()
        body = gzip.compress(data)
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body) + 9, body))

    async with Upstream(cuts) as up, client() as c:
        told = begin(c, up.url, told=Told())
        await told.ended.wait()
        assert told.failure is not None and told.failure.kind == "closed"
        assert told.body == data


@run
async def test_a_reply_that_takes_too_long_ends_though_more_is_to_be_unpacked() -> None:
    data = b"data: word\n\n" * 300_000

    def then(told: Told, now: str) -> None:
        if now == "data" and told.exchange is not None:
            told.exchange.pause()

    async def goes_on(conn: Conn) -> None:
        await conn.request()
        body = gzip.compress(data)
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(body) + 9, body))
        await conn.request()

    async with Upstream(goes_on) as up, client() as c:
        told = begin(c, up.url, told=Told(then), timeouts=Timeouts(total=0.5))
        await asyncio.wait_for(told.ended.wait(), 10)
        assert told.failure is not None and told.failure.kind == "total_timeout"
