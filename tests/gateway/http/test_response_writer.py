"""What the kernel takes goes out at once, the rest in its order; a connection is listened to, but not without end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.http1connection import HTTP1Connection
from tornado.httputil import RequestStartLine

from gateway.http.client_stream import ClientStream
from gateway.http.response_writer import ResponseWriter
from tests.support.house import House, one_upstream
from tests.support.script import Answer as Reply
from tests.support.script import Gate, Upstream
from tests.support.waiting import soon

ASKED = b'{"model":"m","stream":false,"messages":[{"role":"user","content":"hi"}]}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
WHOLE = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":'
    b'"assistant","content":"word"},"finish_reason":"stop"}]}'
)


def pair() -> tuple[ClientStream, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    theirs.setblocking(False)
    return ClientStream(ours), theirs


def answer_on(stream: ClientStream) -> ResponseWriter:
    conn: Any = SimpleNamespace(
        stream=stream, _request_start_line=None, _disconnect_on_finish=False, _read_finished=True
    )
    return ResponseWriter(conn)


def test_a_slow_reader_gets_all_in_order() -> None:
    async def run() -> None:
        stream, theirs = pair()
        answer, said = answer_on(stream), []
        answer.on_full = lambda: said.append("full")
        answer.on_drained = lambda: said.append("drained")
        answer.start(200, b"X: y\r\n")
        pieces = [b"%06d" % number * 500 for number in range(60)]
        for piece in pieces:
            answer.write(piece)
        assert said == ["full"] and answer._full and answer._waiting > ResponseWriter.high_water
        got, loop = bytearray(), asyncio.get_running_loop()
        wanted = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        while len(got.partition(b"\r\n\r\n")[2]) < len(wanted):
            got += await asyncio.wait_for(loop.sock_recv(theirs, 4096), 5)
        await soon(lambda: said == ["full", "drained"])
        head, _, body = bytes(got).partition(b"\r\n\r\n")
        assert b"X: y" in head and body == wanted and not answer._full
        assert answer.written == sum(map(len, pieces))
        stream.close()
        theirs.close()

    asyncio.run(run())


def test_the_head_leaves_with_the_first_piece_and_at_once() -> None:
    async def run() -> None:
        stream, theirs = pair()
        answer = answer_on(stream)
        answer.start(200, b"")
        with contextlib.suppress(BlockingIOError):
            raise AssertionError(theirs.recv(1))
        answer.write(b"word")
        assert theirs.recv(4096).endswith(b"\r\n\r\n4\r\nword\r\n")  # no turn of the loop lies between
        stream.close()
        theirs.close()

    asyncio.run(run())


@pytest.mark.parametrize(("version", "wanted"), [("1.1", b"4\r\nword\r\n3\r\nend\r\n0\r\n\r\n"), ("1.0", b"wordend")])
def test_the_last_piece_leaves_with_the_end(version: str, wanted: bytes) -> None:
    async def run() -> None:
        stream, theirs = pair()
        conn = HTTP1Connection(stream, is_client=False)
        conn._request_start_line = RequestStartLine("POST", "/", f"HTTP/{version}")
        conn._read_finished = True
        answer = ResponseWriter(conn)
        answer.start(200, b"")
        answer.write_last(b"word")
        answer.write(b"end")
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        answer.end()
        assert theirs.recv(4096).partition(b"\r\n\r\n")[2] == wanted and answer.written == 7
        stream.close()
        theirs.close()

    asyncio.run(run())


def test_the_last_piece_is_not_lost_where_no_end_comes() -> None:
    async def run() -> None:
        stream, theirs = pair()
        answer = ResponseWriter(HTTP1Connection(stream, is_client=False))
        answer.start(200, b"")
        answer.write_last(b"word")
        answer.abort()
        assert theirs.recv(4096).endswith(b"\r\n\r\n4\r\nword\r\n") and stream.closed()
        theirs.close()

    asyncio.run(run())


def test_only_what_still_waits_for_its_client_is_cut_off() -> None:
    async def run() -> None:
        stream, theirs = pair()
        conn = HTTP1Connection(stream, is_client=False)
        conn._request_start_line = RequestStartLine("POST", "/", "HTTP/1.1")
        conn._read_finished = True
        answer, sent = ResponseWriter(conn), []
        answer.whole(200, b"", b"word")
        assert not answer.cut_off() and not stream.closed() and theirs.recv(4096).endswith(b"word")
        answer = ResponseWriter(conn)
        answer.whole(200, b"", b"word " * 100_000)
        assert answer.cut_off() and stream.closed() and not answer.cut_off()
        answer.when_sent(sent.append)
        assert sent == [False]
        theirs.close()

    asyncio.run(run())


def test_a_slow_reader_that_knows_no_chunks_gets_all_before_the_end() -> None:
    """Nothing is left to write at the end of such a reply, but some of it may wait for the client all the same."""

    async def run() -> None:
        stream, theirs = pair()
        conn = HTTP1Connection(stream, is_client=False)
        conn._request_start_line = RequestStartLine("POST", "/", "HTTP/1.0")
        conn._read_finished = True
        answer, sent = ResponseWriter(conn), []
        answer.start(200, b"")
        answer.write(b"word " * 100_000)
        answer.end()
        answer.when_sent(sent.append)
        assert not sent and not stream.closed()
        got, loop = bytearray(), asyncio.get_running_loop()
        while piece := await asyncio.wait_for(loop.sock_recv(theirs, 65536), 5):
            got += piece
        assert bytes(got).partition(b"\r\n\r\n")[2] == b"word " * 100_000 and sent == [True]
        theirs.close()

    asyncio.run(run())


def test_a_client_that_has_left_turns_writes_into_nothing() -> None:
    async def run() -> None:
        stream, theirs = pair()
        answer = answer_on(stream)
        answer.start(200, b"")
        theirs.close()
        for _ in range(3):
            answer.write(b"word")
        assert answer.closed

    asyncio.run(run())


@pytest.mark.parametrize("noticed", [True, False])
@pytest.mark.parametrize("streams", [True, False])
def test_a_reply_that_meets_no_client_is_not_said_to_be_sent(noticed: bool, streams: bool) -> None:
    async def run() -> None:
        stream, theirs = pair()
        conn = HTTP1Connection(stream, is_client=False)
        conn._read_finished = True
        answer, sent = ResponseWriter(conn), []
        theirs.close()
        if noticed:
            stream.close()
        if streams:
            answer.state = "streaming"
            answer.end()
        else:
            answer.whole(200, b"", b"word")
        answer.when_sent(sent.append)
        await asyncio.sleep(0)
        assert sent == [False] and answer.closed

    asyncio.run(run())


def test_what_comes_while_nobody_reads_is_left_to_the_kernel() -> None:
    """A client sends its next requests, megabytes of them, before it has its first answer."""
    gate = Gate()
    reply = Reply(headers={"Content-Type": "application/json"}, body=WHOLE, delay=gate)
    with Upstream(lambda _: reply) as up, House(one_upstream(up.url, "chat")) as house:
        with socket.create_connection(("127.0.0.1", house.port), 5) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            one = HEAD % len(ASKED) + ASKED
            client.sendall(one)
            up.wait(lambda up: bool(up.requests))
            client.settimeout(0.3)
            more = one * 40_000
            with contextlib.suppress(TimeoutError):
                client.sendall(more)
                raise AssertionError("all of it was taken")
            held = house.on_loop(lambda: [each.stream._read_buffer_size for each in house.proxy._server._connections])
            assert len(held) == 1 and held[0] <= 1024 * 1024
            client.settimeout(5)
            gate.open()
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
