"""Websockets: a turn that waits for the one before it, and one that asks what a client by HTTP had asked."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.gateway.websocket.sockets import Socket, text_of, with_socket
from tests.support.house import House
from tests.support.script import Answer, Gate, Upstream
from tests.support.two_upstreams import held, house_text, streams


def test_a_turn_that_waits_for_the_one_before_is_no_slow_request() -> None:
    gate = Gate()
    failed: list[dict[str, Any]] = []
    with Upstream([held(gate), Answer.sse(streams("second"))]) as up:
        text = "[server]\nbody_timeout = 1\nping_seconds = 0.1\n" + house_text("* = a", a=up.url)
        with House(text) as house:
            service = house.proxy.service

            def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
                failed.append(context)

            def waits_for_long() -> object:
                """-> the clock's present tick."""
                asyncio.get_running_loop().set_exception_handler(handle)
                (turn,) = next(iter(service.in_flight.sessions))._waiting
                turn.flow.clock.began -= 1000
                return service.in_flight._ticker

            async def session(socket: Socket) -> None:
                await socket.send(input="x")
                await socket.send(input="y")
                house.wait(lambda p: any(len(session._waiting) == 1 for session in p.service.in_flight.sessions))
                for _ in range(2):
                    tick = house.on_loop(waits_for_long)
                    house.wait(lambda p: p.service.in_flight._ticker is not tick)  # noqa: B023  # it is waited for right here
                gate.open()
                assert [text_of((await socket.reply())[-1]) for _ in range(2)] == ["first", "second"]

            with_socket(house, session)
            assert not failed


def test_a_turn_does_not_join_the_answer_of_a_client_by_http() -> None:
    gate = Gate()
    with Upstream([held(gate), Answer.sse(streams("second"))]) as up:
        with House(house_text("* = a", "[retry]\nrejoin_seconds = 20\n", a=up.url)) as house:
            with house.connect() as client:
                client.send("POST", "/v1/responses", b'{"model":"m","input":"x","stream":true}')
                up.wait(lambda u: len(u.requests) == 1)
            house.wait(lambda p: len(p.service.reattach.orphans) == 1)

            async def session(socket: Socket) -> None:
                assert text_of(await socket.turn(input="x", stream=True)) == "second"

            with_socket(house, session)
            assert house.on_loop(lambda: house.proxy.service.reattach.joined) == 0
            gate.open()
