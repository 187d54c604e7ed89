"""Responses over a websocket, on real sockets: turns, and what they build on."""

from __future__ import annotations

import json

import pytest
from openai.types.responses import ResponsesServerEvent
from pydantic import TypeAdapter
from tornado.websocket import websocket_connect

from tests.gateway.stored.test_responses_state import ask, chat_text, texts
from tests.gateway.websocket.sockets import DEMO, TOOL, Socket, text_of, with_socket
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream


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
