"""Large messages, slow and silent sides, and the shutdown of websockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from tornado.websocket import WebSocketClosedError, websocket_connect

from gateway import endpoints
from gateway.websocket.writer import frame
from tests.gateway.stored.test_responses_state import chat_text, texts
from tests.gateway.websocket.sockets import DEMO, UPGRADE, Socket, text_of, with_socket
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream


@pytest.mark.parametrize(
    ("size", "head"),
    [(125, b"\x81\x7d"), (126, b"\x81\x7e\0\x7e"), (65535, b"\x81\x7e\xff\xff"),
     (65536, b"\x81\x7f\0\0\0\0\0\1\0\0")],
)  # fmt: skip
def test_a_frame_says_its_length_in_the_fewest_bytes(size, head):
    assert frame(b"x" * size, None) == head + b"x" * size


def test_large_messages_come_through_and_too_large_ones_do_not():
    async def session(socket: Socket) -> None:
        first = await socket.turn(input="x" * 700_000, store=False)
        assert text_of(first) == "I saw 1"
        beyond = await socket.turn(input="y" * 500_000, store=False, previous_response_id=first["response"]["id"])
        assert beyond["status"] == 413  # what it builds on counts
        with contextlib.suppress(WebSocketClosedError):  # it may be closed before all is sent
            await socket.send(input="x" * 1_100_000)
        assert await socket.closed() in (1009, None)  # what was not read may cost it the word

    for deflate in (False, True):
        with Upstream(chat_text) as up:
            with House(one_upstream(up.url, "chat", server="max_body_mb = 1")) as house:
                with_socket(house, session, deflate=deflate)
                assert len(up.requests) == 1


def test_a_frame_of_many_megabytes(chat):
    text = "x" * 5_000_000
    assert text_of(with_socket(chat[0], lambda socket: socket.turn(input=text))) == "I saw 1"
    assert texts(chat[1].requests[0]) == [("user", text)]


def test_a_client_that_leaves_takes_its_turn_along():
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'

    async def session(socket: Socket) -> None:
        await socket.send(input="x")
        await socket.event()
        await socket.send(input="waits")

    with Upstream([Answer.sse([chunk], end="hang")]) as up, House(one_upstream(up.url, "chat")) as house:
        with_socket(house, session)
        left: list[int] = []  # turns that go on when the session is over
        house.wait(lambda proxy: not proxy.service.in_flight.sessions and not left.append(len(proxy.service.flows)))
        assert left == [0]
        up.wait(lambda up: up.active == 0)
        assert house.on_loop(lambda: house.proxy.service.held_bytes) == 0 and len(up.requests) == 1


def test_a_client_that_does_not_read_holds_the_upstream_back():
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 8000)

    with Upstream([Answer.sse([chunk] * 20_000)]) as up, House(one_upstream(up.url, "chat")) as house:
        with house.connect() as client:
            client.send("GET", "/v1/responses", None, UPGRADE)
            assert client.head()[0] == 101
            text = json.dumps({"type": "response.create", "model": "m", "input": "x"}).encode()
            client.socket.sendall(b"\x81" + bytes([0x80 | len(text)]) + b"\0\0\0\0" + text)  # masked with zeros
            house.wait(lambda proxy: any(flow.writer._full for flow in proxy.service.flows))
            flow = next(iter(house.on_loop(lambda: list(house.proxy.service.flows))))
            assert flow.writer._waiting < 4_000_000 and up.requests[0].state == "answering"
        house.wait(lambda proxy: not proxy.service.flows)


def test_a_silent_stream_shows_that_it_lives():
    gate = Gate()
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'

    async def session(socket: Socket) -> None:
        await socket.send(input="x")
        while (await socket.event())["type"] != "keepalive":
            continue
        gate.open()

    with Upstream([Answer.sse([chunk, gate])]) as up:
        with House(one_upstream(up.url, "chat", server="ping_seconds = 0.1")) as house:
            with_socket(house, session)


def test_a_silent_turn_is_pinged_before_anything_between_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """nginx and load balancers wait 60 s; idle_timeout is longer."""
    assert endpoints.PING_S < 60
    monkeypatch.setattr(endpoints, "PING_S", 0.2)
    gate = Gate()

    async def session(socket: Socket) -> None:
        pinged = asyncio.get_running_loop().create_future()
        handle = socket.connection.protocol._handle_message  # type: ignore[union-attr]

        def heard(opcode: int, data: bytes) -> Any:
            if opcode == 9 and not pinged.done():
                pinged.set_result(None)
            return handle(opcode, data)

        socket.connection.protocol._handle_message = heard  # type: ignore[union-attr, method-assign]
        await socket.send(input="x")
        await asyncio.wait_for(pinged, 10)
        gate.open()
        assert (await socket.reply())[-1]["type"] == "response.completed"

    with Upstream(lambda request: Answer.sse([chat_text(request).body], delay=gate)) as up:
        with House(one_upstream(up.url, "chat")) as house:
            with_socket(house, session)


def test_pings_are_answered(chat):
    async def session(socket: Socket) -> None:
        answered = asyncio.get_running_loop().create_future()
        socket.connection.on_pong = lambda data: answered.set_result(data)  # type: ignore[method-assign]
        socket.connection.ping(b"there?")
        assert await asyncio.wait_for(answered, 10) == b"there?"

    with_socket(chat[0], session)


def test_at_shutdown_a_turn_ends_and_then_its_session():
    gate = Gate()

    def answer(request: Request) -> Answer:
        return Answer.sse([chat_text(request).body], delay=gate)

    with Upstream(answer) as up, House(one_upstream(up.url, "chat")) as house:

        async def session(socket: Socket) -> None:
            await socket.send(input="x")
            await asyncio.to_thread(up.wait, lambda up: len(up.requests) == 1)
            idle = Socket(await websocket_connect(f"ws://127.0.0.1:{house.port}/v1/responses"))
            house._loop.call_soon_threadsafe(house._stop.set)
            assert await idle.closed() == 1001
            idle.connection.close()
            gate.open()
            assert text_of((await socket.reply())[-1]) == "I saw 1"
            assert await socket.closed() == 1001

        with_socket(house, session)


def test_at_the_end_of_the_shutdown_turns_end_in_an_error():
    with Upstream([Answer.silence()]) as up:
        with House(one_upstream(up.url, "chat", server="drain_seconds = 0.1")) as house:

            async def session(socket: Socket) -> None:
                await socket.send(input="on")
                await socket.send(input="waits")
                await asyncio.to_thread(up.wait, lambda up: len(up.requests) == 1)
                house._loop.call_soon_threadsafe(house._stop.set)
                for _ in range(2):
                    error = (await socket.reply())[-1]
                    assert error["status"] == 503 and "shutting down" in error["message"]
                assert await socket.closed() == 1001

            with_socket(house, session)


def test_a_client_that_says_nothing_does_not_hold_up_the_shutdown():
    with House(DEMO.format("chat")) as house:
        client = house.connect()
        client.send("GET", "/v1/responses", None, UPGRADE)
        assert client.head()[0] == 101
    with client:
        assert client._held + client.socket.recv(100) == b"\x88\x02\x03\xe9"  # close, 1001
        assert client.socket.recv(100) == b""
