"""Responses over a websocket, on real sockets: turns, their memory, errors, bounds, both sides' leaving."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from openai.types.responses import ResponsesServerEvent
from pydantic import TypeAdapter
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect

from gateway.websocket.writer import frame
from tests.gateway.stored.test_responses_state import ALICE, BOB, CLIENTS, ask, chat_text, texts
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream

DEMO = "[upstream demo]\nprotocol = {}\nbase_url = demo:\n"
TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}, "strict": False}

UPGRADE = {
    "Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "EHy7tGUYrw5MFhtCnHArLg==",
}  # fmt: skip


class Socket:
    """A client's end. `reply` reads one turn's events, to its last."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self.connection = connection
        self.ended = False

    async def send(self, **fields: Any) -> None:
        await self.connection.write_message(json.dumps({"type": "response.create", "model": "m"} | fields))

    async def event(self) -> dict[str, Any]:
        text = await asyncio.wait_for(self.connection.read_message(), 20)
        assert isinstance(text, str), f"closed: {self.connection.close_code}"
        return json.loads(text)

    async def reply(self) -> list[dict[str, Any]]:
        events = [await self.event()]
        while events[-1]["type"] not in ("response.completed", "response.failed", "response.incomplete", "error"):
            events.append(await self.event())
        return events

    async def turn(self, **fields: Any) -> dict[str, Any]:
        """The final event of a turn."""
        await self.send(**fields)
        return (await self.reply())[-1]

    async def closed(self) -> int | None:
        while await asyncio.wait_for(self.connection.read_message(), 20) is not None:
            continue
        self.ended = True
        return self.connection.close_code


def with_socket(
    house: House, work: Callable[[Socket], Awaitable[Any]], headers: dict[str, str] | None = None, deflate: bool = False
) -> Any:
    async def run() -> Any:
        request = HTTPRequest(f"ws://127.0.0.1:{house.port}/v1/responses", headers=headers)
        options = {} if deflate else None
        connection = await websocket_connect(request, compression_options=options, max_message_size=1 << 26)
        socket = Socket(connection)
        try:
            return await work(socket)
        finally:
            connection.close()
            if not socket.ended:
                await socket.closed()

    return asyncio.run(run())


def text_of(event: dict[str, Any]) -> str:
    assert event["type"] == "response.completed", event
    return "".join(part["text"] for item in event["response"]["output"] for part in item.get("content", []))


@pytest.fixture
def chat():
    with Upstream(chat_text) as up, House(one_upstream(up.url, "chat")) as house:
        yield house, up


# ------------------------------------------------------------------------------------------------ turns


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("protocol", ["chat", "messages", "responses"])
def test_a_session_as_codex_has_it(protocol, deflate):
    """Warm-up, a turn that calls a tool, its result, all built on one another and none of them stored."""

    async def session(socket: Socket) -> None:
        fields = {"model": "demo", "store": False, "stream": True, "tools": [TOOL]}
        system = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]}
        await socket.send(input=[system], generate=False, **fields)
        warm = await socket.reply()
        assert [event["type"] for event in warm] == ["response.created", "response.in_progress", "response.completed"]
        assert warm[-1]["response"]["output"] == [] and warm[-1]["response"]["usage"]["total_tokens"] == 0

        on = warm[-1]["response"]["id"]
        await socket.send(input=[{"role": "user", "content": "weather?"}], previous_response_id=on, **fields)
        events = await socket.reply()
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        calls = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        assert [call["type"] for call in calls if call["type"] != "message"] == ["function_call"]

        on = events[-1]["response"]["id"]
        output = {"type": "function_call_output", "call_id": calls[-1]["call_id"], "output": "sunny"}
        last = await socket.turn(input=[output], previous_response_id=on, **fields)
        assert "sunny" in text_of(last)

    with House(DEMO.format(protocol)) as house:
        with_socket(house, session, deflate=deflate)
        house.wait(lambda proxy: not proxy.service.in_flight.sessions and not proxy.service.response_store)
        assert house.on_loop(lambda: house.proxy.service.response_store.bytes) == 0


def test_only_what_is_new_is_sent_and_the_upstream_gets_all(chat):
    async def session(socket: Socket) -> None:
        first = await socket.turn(input="one", store=False)
        assert text_of(first) == "I saw 1"
        second = await socket.turn(input="two", store=False, previous_response_id=first["response"]["id"])
        third = await socket.turn(input="three", store=False, previous_response_id=second["response"]["id"])
        assert text_of(third) == "I saw 5"

    house, up = chat
    with_socket(house, session)
    said = [("user", "one"), ("assistant", "I saw 1"), ("user", "two"), ("assistant", "I saw 3"), ("user", "three")]
    assert texts(up.requests[2]) == said
    assert up.requests[2].json["stream"] is True


def test_what_is_not_stored_stays_in_its_session_and_what_is_stored_does_not(chat):
    house, _ = chat

    async def session(socket: Socket) -> tuple[str, str]:
        own = (await socket.turn(input="mine", store=False))["response"]["id"]
        stored = (await socket.turn(input="ours", previous_response_id=own))["response"]["id"]

        async def other(socket: Socket) -> None:
            refused = await socket.turn(input="x", previous_response_id=own)
            assert refused["type"] == "error" and refused["error"]["code"] == "previous_response_not_found"
            assert text_of(await socket.turn(input="x", previous_response_id=stored)) == "I saw 5"

        connection = await websocket_connect(f"ws://127.0.0.1:{house.port}/v1/responses")
        await other(Socket(connection))
        connection.close()
        return own, stored

    own, stored = with_socket(house, session)
    assert ask(house, "x", own)[0] == 400 and house.get(f"/v1/responses/{own}")[0] == 404
    assert ask(house, "x", stored)[0] == 200
    assert json.loads(house.get(f"/v1/responses/{stored}")[2])["previous_response_id"] == own


def test_an_upstream_of_responses_gets_the_whole_history_and_no_hollow_thinking():
    """What was not stored it cannot look up; thinking without its encrypted content would make it refuse."""
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}
    sealed = thought | {"id": "rs_2", "encrypted_content": "abc"}
    said = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}

    def answer(request: Request) -> Answer:
        events = [
            {"type": "response.created", "response": {"id": f"resp_{len(up.requests)}", "output": []}},
            *({"type": "response.output_item.done", "item": item} for item in (thought, sealed, said)),
            {"type": "response.completed", "response": {"id": f"resp_{len(up.requests)}", "output": []}},
        ]
        return Answer.sse("".join(f"data: {json.dumps(event)}\n\n" for event in events).encode())

    async def session(socket: Socket) -> None:
        first = await socket.turn(input="one", store=False, client_metadata={"a": "b"})
        await socket.turn(input="two", store=False, previous_response_id=first["response"]["id"])

    with Upstream(answer) as up, House(one_upstream(up.url, "responses")) as house:
        headers = {"OpenAI-Beta": "responses_websockets=2026-02-06", "Session-Id": "s", "Originator": "codex_exec"}
        with_socket(house, session, headers)
        first, second = up.requests
        fields = {"model": "m", "input": "one", "store": False, "client_metadata": {"a": "b"}}
        assert first.json == fields | {"stream": True}
        assert [item.get("id") for item in second.json["input"]] == [None, "rs_2", "msg_1", None]
        assert "previous_response_id" not in second.json
        assert first.headers["session-id"] == "s" and first.headers["originator"] == "codex_exec"
        assert first.headers["accept"] == "text/event-stream"
        socket_only = ("upgrade", "openai-beta", "sec-websocket-key", "sec-websocket-version")
        assert not any(name in first.headers for name in socket_only)


def test_turns_sent_ahead_are_answered_in_order_and_bounded(chat):
    gate = Gate()

    def answer(request: Request) -> Answer:
        reply = chat_text(request)
        return Answer.sse([reply.body], delay=gate)

    async def session(socket: Socket) -> None:
        for number in range(11):
            await socket.send(input=f"turn {number}", stream_id=f"lane {number}")
        refused = [await socket.event() for _ in range(2)]
        assert [event["status"] for event in refused] == [429, 429]
        gate.open()
        for number in range(9):  # one on, eight waiting
            events = await socket.reply()
            assert {event["stream_id"] for event in events} == {f"lane {number}"}

    with Upstream(answer) as up, House(one_upstream(up.url, "chat")) as house:
        with_socket(house, session)
        assert [texts(request)[0][1] for request in up.requests] == [f"turn {number}" for number in range(9)]
        house.wait(lambda proxy: proxy.service.held_bytes == 0)


def test_every_event_is_one_of_the_sdks(chat):
    """An error among them, in the shape that it has over a websocket."""
    known = TypeAdapter(ResponsesServerEvent)

    async def session(socket: Socket) -> None:
        for fields in ({"generate": False}, {}, {"stream_id": "a"}, {"previous_response_id": "resp_x"}):
            await socket.send(input="hi", **fields)
            for event in await socket.reply():
                assert type(known.validate_python(event)).__module__.startswith("openai.types.responses")
        assert event["type"] == "error" and event["error"]["param"] == "previous_response_id"

    with_socket(chat[0], session)


# ----------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ("{", "not valid JSON"),
        ("[]", "list"),
        ("{}", "send response.create"),
        ('{"type": "response.cancel"}', "response.cancel"),
        ('{"type": "response.create", "input": "x"}', "model: field required"),
        ('{"type": "response.create", "model": "m", "background": true}', "background"),
        ('{"type": "response.create", "model": "m", "input": "x", "tools": 5}', "tools"),
        (b"\x00", "binary"),
    ],
)
def test_what_is_wrong_is_an_error_event_and_the_session_goes_on(chat, message, word):
    async def session(socket: Socket) -> None:
        await socket.connection.write_message(message, binary=isinstance(message, bytes))
        error = await socket.event()
        assert error["type"] == "error" and error["status"] == 400
        assert word in error["error"]["message"] == error["message"]
        assert error["error"]["type"] == "invalid_request_error"
        assert text_of(await socket.turn(input="hi")) == "I saw 1"

    with_socket(chat[0], session)


def test_an_unknown_model_is_told_at_the_warm_up():
    async def session(socket: Socket) -> None:
        error = await socket.turn(model="nowhere", input="x", generate=False)
        assert error["status"] == 404 and error["error"]["code"] == "model_not_found"

    with Upstream() as up:
        with House(f"[upstream up]\nprotocol = chat\nbase_url = {up.url}\n[models]\nm = up\n") as house:
            with_socket(house, session)


@pytest.mark.parametrize("protocol", ["chat", "responses"])
def test_an_upstreams_refusal_comes_with_its_status_and_headers(protocol):
    body = {"error": {"message": "slow down", "type": "rate_limit_error"}}
    refusal = Answer.json(body, 429, headers={"Retry-After": "7"})

    async def session(socket: Socket) -> None:
        error = await socket.turn(input="x")
        assert error["status"] == 429 and error["error"]["message"] == "slow down"
        assert error["headers"]["retry-after"] == "7"

    with Upstream([refusal]) as up, House(one_upstream(up.url, protocol)) as house:
        with_socket(house, session)


def test_a_broken_stream_ends_in_response_failed_and_is_not_remembered(chat):
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"half"}}]}\n\n'

    async def session(socket: Socket) -> None:
        failed = await socket.turn(input="x", store=False)
        assert failed["type"] == "response.failed" and failed["response"]["error"]["message"]
        again = await socket.turn(input="y", previous_response_id=failed["response"]["id"])
        assert again["error"]["code"] == "previous_response_not_found"

    with Upstream([Answer.sse([chunk], end="reset")]) as up, House(one_upstream(up.url, "chat")) as house:
        with_socket(house, session)
        house.wait(lambda proxy: proxy.service.response_store.bytes == 0)


def test_a_whole_response_becomes_events():
    """From an upstream that was asked to stream and did not."""
    said = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}
    response = {"id": "resp_1", "object": "response", "status": "completed", "output": [said]}

    async def session(socket: Socket) -> None:
        await socket.send(input="x")
        events = await socket.reply()
        assert [event["type"].removeprefix("response.") for event in events] == [
            "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
            "output_text.done", "content_part.done", "output_item.done", "completed",
        ]  # fmt: skip
        assert events[-2]["item"] == said and text_of(events[-1]) == "yes"
        assert text_of(await socket.turn(input="y", store=False, previous_response_id="resp_1")) == "yes"

    with Upstream([Answer.json(response)]) as up, House(one_upstream(up.url, "responses")) as house:
        with_socket(house, session)
        assert len(up.requests[1].json["input"]) == 3


# ----------------------------------------------------------------------------------------------- access


@pytest.mark.parametrize(
    ("text", "headers", "status"),
    [
        ("", {"Origin": "https://evil.example"}, 403),
        ("", {"Origin": "http://evil.localhost.example"}, 403),
        ("", {"Host": "evil.example"}, 403),
        (CLIENTS, {}, 401),
        (CLIENTS, {"Authorization": "Bearer wrong-key-0123456789"}, 401),
        (CLIENTS + "[server]\norigins =\n", ALICE | {"Origin": "https://evil.example"}, 403),
        (CLIENTS, ALICE | {"Origin": "https://chat.example"}, 101),
        (CLIENTS, {"Origin": "https://evil.example"}, 401),
        ("[server]\nwebsockets = false\n", {}, 426),
        ("[responses]\nstore_entries = 0\n", {}, 426),
        ("", {"Origin": "http://localhost:3000"}, 403),  # another server on this machine, and its scripts
        ("", {"Origin": "http://127.0.0.1:8080", "Host": "127.0.0.1:8080"}, 101),  # our own page
        (CLIENTS, ALICE, 101),
        (CLIENTS, {"X-Api-Key": "bob-key-0123456789abc"}, 101),
    ],
)
def test_who_may_open_one(text, headers, status):
    with House(DEMO.format("chat") + text) as house, house.connect() as client:
        client.send("GET", "/v1/responses", None, UPGRADE | headers)
        got, _ = client.head()
        assert got == status
        if status != 101:
            assert json.loads(client.body())["error"]["message"]
            assert not house.on_loop(lambda: house.proxy.service.in_flight.sessions)


def test_a_get_without_an_upgrade_is_refused():
    with House(DEMO.format("chat")) as house:
        assert house.get("/v1/responses")[0] == 405


def test_the_sessions_of_two_clients_do_not_share_what_is_stored(chat):
    with Upstream(chat_text) as up, House(one_upstream(up.url, "chat", CLIENTS)) as house:
        first = with_socket(house, lambda socket: socket.turn(input="x"), ALICE)["response"]["id"]
        on_it = lambda socket: socket.turn(input="y", previous_response_id=first)  # noqa: E731
        assert with_socket(house, on_it, BOB)["error"]["code"] == "previous_response_not_found"
        assert with_socket(house, on_it, ALICE)["type"] == "response.completed"


def test_connections_are_bounded_with_websockets_among_them(chat):
    with House(DEMO.format("chat") + "[server]\nmax_connections = 2\n") as house:

        async def session(socket: Socket) -> None:
            second = await websocket_connect(f"ws://127.0.0.1:{house.port}/v1/responses")
            with pytest.raises((HTTPClientError, OSError)):
                await websocket_connect(f"ws://127.0.0.1:{house.port}/v1/responses")
            second.close()

        with_socket(house, session)


# ----------------------------------------------------------------------------------------- size and time


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


def test_pings_are_answered(chat):
    async def session(socket: Socket) -> None:
        answered = asyncio.get_running_loop().create_future()
        socket.connection.on_pong = lambda data: answered.set_result(data)  # type: ignore[method-assign]
        socket.connection.ping(b"there?")
        assert await asyncio.wait_for(answered, 10) == b"there?"

    with_socket(chat[0], session)


# --------------------------------------------------------------------------------------------- shutdown


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
