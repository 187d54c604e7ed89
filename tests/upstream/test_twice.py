"""What may have been worked on is not to be sent again, and what surely never ran is: how each loss is judged."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

import pytest

from tests.support.waiting import soon
from tests.upstream.scripted import OK, Conn, Told, Upstream, ask, client, run
from upstream.pool import Pool

WORK_S = 0.3  # far longer than a close takes to cross a request on loopback
BODIES = [b"x", b"y" * 300_000]


def after_work(then: str) -> Callable[[Conn], Awaitable[None]]:
    """The second request of a connection is worked on, then the connection breaks."""

    async def script(conn: Conn) -> None:
        await conn.request()
        conn.send(OK)
        if await conn.request() is not None:
            await asyncio.sleep(WORK_S)
            if then == "reset":
                conn.reset()

    return script


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("body", BODIES, ids=len)
def test_a_kept_connection_that_dies_at_work(then: str, body: bytes, tls: bool) -> None:
    @run
    async def test() -> None:
        async with Upstream(after_work(then), tls) as up, client() as c:
            assert (await ask(c, up.url, verify=False)).failure is None
            told = await ask(c, up.url, body, verify=False)
            assert told.failure is not None and told.exchange is not None and told.exchange.reused
            assert (told.kind, told.failure.replayable) == ("closed", False), told.failure

    test()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_connection_that_was_closed_before_the_request_came(then: str, tls: bool) -> None:
    """It dies while it is idle, and is used again before anybody has looked."""

    idle = asyncio.Event()

    async def script(conn: Conn) -> None:
        await conn.request()
        conn.send(OK)
        await idle.wait()
        if then == "reset":
            conn.reset()

    @run
    async def test() -> None:
        async with Upstream(script, tls) as up, client() as c:
            assert (await ask(c, up.url, verify=False)).failure is None
            idle.set()
            await soon(lambda: not up.open)
            told = await ask(c, up.url, verify=False)
            # libcurl may find it out by itself, and take a new one
            assert told.failure is None or (told.kind == "closed" and told.failure.replayable), told.failure

    test()


STRAYS = {
    "another's reply": OK.replace(b"ok", b"no"),
    "the 408 of a server that closes": b"HTTP/1.1 408 Late\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "half a line": b"HTTP/1.1 2",
}


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("stray", STRAYS)
def test_what_nobody_has_asked_for_is_no_reply(stray: str, closes: bool, tls: bool, http2: bool) -> None:
    """libcurl takes what has come on an idle connection for the reply to the next request, and so on with each. Also
    where HTTP/2 is permitted, and the server has HTTP/1.1 alone."""
    idle, sent = asyncio.Event(), asyncio.Event()

    async def script(conn: Conn) -> None:
        first = conn.up.connections == 1
        while await conn.request() is not None:
            conn.send(OK)
            if first:
                first = False
                await idle.wait()
                conn.send(STRAYS[stray])
                await conn.writer.drain()
                sent.set()
                if closes:
                    return

    @run
    async def test() -> None:
        async with Upstream(script, tls) as up, client(Pool(http2=http2)) as c:
            assert (await ask(c, up.url, verify=False)).failure is None
            idle.set()
            await sent.wait()
            told = await ask(c, up.url, verify=False)
            if told.failure is not None:  # as with any connection that has died meanwhile
                assert told.kind == "closed" and told.failure.replayable and not told.failure.fresh, told.failure
            for _ in range(3):
                told = await ask(c, up.url, verify=False)
                assert (told.failure, told.status, told.body) == (None, 200, b"ok")
            assert up.connections == 2

    test()


@pytest.mark.parametrize("first", [True, False])
def test_what_was_never_there_as_a_whole_was_not_worked_on(first: bool) -> None:
    """The connection breaks in the middle of an upload, be it a new or a kept one."""

    async def script(conn: Conn) -> None:
        if not first:
            await conn.request()
            conn.send(OK)
        await conn.reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(WORK_S)
        conn.reset()

    @run
    async def test() -> None:
        async with Upstream(script) as up, client() as c:
            if not first:
                assert (await ask(c, up.url)).failure is None
            told = await ask(c, up.url, b"y" * 30_000_000)
            assert told.failure is not None and told.exchange is not None
            assert (told.kind, told.failure.replayable, told.failure.fresh) == ("closed", True, first), told.failure

    test()


# ---- HTTP/2, by hand: frames of a server that says no more than it must

HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
STATUS_200 = b"\x88"  # of HPACK's static table
NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 2, 7, 8, 11


class FrameWriter:
    def __init__(self, conn: Conn) -> None:
        self.conn = conn
        conn.send(self.frame(SETTINGS))

    @staticmethod
    def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
        return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload

    def send(self, kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> None:
        self.conn.send(self.frame(kind, flags, stream, payload))

    async def request(self) -> int:
        """The stream of the next request that is there as a whole; 0 = no more come."""
        reader = self.conn.reader
        try:
            while True:
                head = await reader.readexactly(9)
                if head.startswith(b"PRI * HT"):
                    await reader.readexactly(24 - 9)
                    continue
                size, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
                await reader.readexactly(size)
                if kind == SETTINGS and not flags & ACK:
                    self.send(SETTINGS, ACK)
                stream = int.from_bytes(head[5:])
                if kind in (0, HEADERS) and flags & END_STREAM:
                    self.conn.up.requests.append(b"%d" % stream)
                    return stream
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0

    def goaway(self, last: int, error: int = NO_ERROR) -> None:
        self.send(GOAWAY, 0, 0, struct.pack(">II", last, error))

    def answer(self, stream: int) -> None:
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, STATUS_200)


Ending = Callable[[FrameWriter, int], object]


def reset(error: int) -> Ending:
    return lambda frames, stream: frames.send(RST_STREAM, 0, stream, struct.pack(">I", error))


LOSSES: dict[str, tuple[Ending, bool]] = {
    "refused": (reset(REFUSED_STREAM), True),
    "cancelled": (reset(CANCEL), False),
    "internal error": (reset(INTERNAL_ERROR), False),
    "calm down": (reset(ENHANCE_YOUR_CALM), False),
    "GOAWAY below it": (lambda frames, stream: frames.goaway(max(0, stream - 2)), True),
    "GOAWAY of all": (lambda frames, stream: frames.goaway(0, INTERNAL_ERROR), True),
    "GOAWAY at it, and the end": (lambda frames, stream: frames.goaway(stream), False),
    "GOAWAY above it, and the end": (lambda frames, stream: frames.goaway(2**31 - 1, ENHANCE_YOUR_CALM), False),
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
def test_streams_that_are_lost(loss: str, first: bool) -> None:
    ending, replayable = LOSSES[loss]

    async def script(conn: Conn) -> None:
        frames = FrameWriter(conn)
        if not first:
            frames.answer(await frames.request())
        stream = await frames.request()
        ending(frames, stream)
        await asyncio.sleep(0.02)  # then the connection ends

    @run
    async def test() -> None:
        async with Upstream(script, h2=True) as up, client(Pool(http2=True)) as c:
            if not first:
                assert (await ask(c, up.url, verify=False)).failure is None
            told: Told = await ask(c, up.url, verify=False)
            assert told.failure is not None and told.failure.replayable == replayable, told.failure
            assert not (replayable and told.failure.fresh)  # everyday life, no fault
            assert len(up.requests) == 2 - first

    test()


def test_a_goaway_counts_for_its_own_connection_alone() -> None:
    """What it says of the streams of an earlier connection is no reason to send again what the next one has worked on.
    So many connections end with one in a proxy's day."""
    endings: list[Ending] = [
        lambda frames, stream: frames.goaway(0, INTERNAL_ERROR),
        lambda frames, stream: frames.goaway(stream, INTERNAL_ERROR),
        reset(INTERNAL_ERROR),
    ]

    async def script(conn: Conn) -> None:
        frames = FrameWriter(conn)
        frames.answer(await frames.request())
        stream = await frames.request()
        endings.pop(0)(frames, stream)
        await asyncio.sleep(0.02)  # then the connection ends

    @run
    async def test() -> None:
        async with Upstream(script, h2=True) as up, client(Pool(http2=True)) as c:
            replayable = []
            while endings:
                assert (await ask(c, up.url, verify=False)).failure is None
                told: Told = await ask(c, up.url, verify=False)
                assert told.failure is not None
                replayable.append(told.failure.replayable)
            assert replayable == [True, False, False]

    test()


def test_a_stream_below_a_goaway_goes_on() -> None:
    async def script(conn: Conn) -> None:
        frames = FrameWriter(conn)
        stream = await frames.request()
        frames.goaway(stream)
        await asyncio.sleep(0.02)  # it is heard
        frames.answer(stream)
        await frames.request()

    @run
    async def test() -> None:
        async with Upstream(script, h2=True) as up, client(Pool(http2=True)) as c:
            for _ in range(2):
                told = await ask(c, up.url, verify=False)
                assert told.failure is None and told.status == 200
            assert up.connections == 2  # the next went on a new one

    test()


def test_frames_between_two_requests_end_no_connection() -> None:
    """With HTTP/2, these belong to no request."""
    idle, sent = asyncio.Event(), asyncio.Event()

    async def script(conn: Conn) -> None:
        frames = FrameWriter(conn)
        frames.answer(await frames.request())
        await idle.wait()
        frames.send(PING, 0, 0, b"12345678")
        await conn.writer.drain()
        sent.set()
        frames.answer(await frames.request())
        await frames.request()

    @run
    async def test() -> None:
        async with Upstream(script, h2=True) as up, client(Pool(http2=True)) as c:
            assert (await ask(c, up.url, verify=False)).failure is None
            idle.set()
            await sent.wait()
            await asyncio.sleep(0.05)
            assert (await ask(c, up.url, verify=False)).failure is None
            assert up.connections == 1

    test()
