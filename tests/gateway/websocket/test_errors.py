"""What goes wrong in a turn of a websocket is told in its events, and the session goes on."""

from __future__ import annotations

import pytest

from gateway.hooks import held_reply
from tests.gateway.stored.test_responses_state import chat_text
from tests.gateway.websocket.sockets import Socket, text_of, with_socket
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import house_text, streams


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


def test_a_client_over_its_limits_keeps_its_websocket_and_what_it_has_said_there():
    async def session(socket: Socket) -> None:
        first = await socket.turn(input="one", store=False)
        refused = await socket.turn(input="two", previous_response_id=first["response"]["id"], store=False)
        assert refused["type"] == "error" and refused["status"] == 429 and "retry-after" in refused["headers"]
        house.on_loop(house.proxy.service.quotas.clear)  # a minute has passed
        assert text_of(await socket.turn(input="two", previous_response_id=first["response"]["id"])) == "I saw 3"

    key = "a-client-key-00001"
    bound = f"[client ann]\nkey = {key}\nrequests_per_minute = 1\n"
    with Upstream(chat_text) as up, House(one_upstream(up.url, "chat") + bound) as house:
        with_socket(house, session, {"Authorization": f"Bearer {key}"})


def test_what_a_hook_refuses_late_comes_with_its_status_too(monkeypatch: pytest.MonkeyPatch):
    """A websocket needs no early head, and its signs of life are no events."""
    monkeypatch.setattr(held_reply, "SIGN_S", 0.1)

    def hook(request: Request) -> Answer:
        is_reply = request.json["event"] == "reply"
        answer = Answer.json({"action": "refuse" if is_reply else "allow", "message": "not for you"})
        answer.delay = 0.6 if is_reply else 0.0
        return answer

    async def session(socket: Socket) -> None:
        error = await socket.turn(input="x")
        assert (error["type"], error["status"]) == ("error", 400) and error["error"]["message"] == "not for you"

    with Upstream([Answer.sse(streams("hello"))]) as up, Upstream(hook) as guard:
        text = house_text("* = a", f"[server]\nhead_seconds = 0.2\n[hook guard]\nurl = {guard.url}\n", a=up.url)
        with House(text) as house:
            with_socket(house, session)
