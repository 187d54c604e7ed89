"""What a websocket's client hears of what did not cross: frames have no headers, the first event has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import ResponsesServerEvent
from pydantic import TypeAdapter

from gateway.websocket import writer
from tests.gateway.stored.test_responses_state import chat_text
from tests.gateway.websocket.sockets import Socket, with_socket
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream
from translate.reasoning import sealed_reasoning

SDKS: TypeAdapter[Any] = TypeAdapter(ResponsesServerEvent)
LOST = {"truncation": "auto", "top_logprobs": 3}


def turns(house: House, *asked: dict[str, Any]) -> list[list[dict[str, Any]]]:
    async def session(socket: Socket) -> list[list[dict[str, Any]]]:
        replies = []
        for fields in asked:
            await socket.send(**fields)
            replies.append(await socket.reply())
        return replies

    replies: list[list[dict[str, Any]]] = with_socket(house, session)
    return replies


def told(reply: list[dict[str, Any]]) -> list[str]:
    """The fields that its first event names; no other event says anything of headers."""
    assert not any("headers" in event for event in reply[1:])
    names: str = reply[0].get("headers", {}).get("x-proxy-dropped", "")
    return [name for name in names.split(", ") if name]


@pytest.mark.parametrize("lane", [{}, {"stream_id": "a"}])
def test_the_first_event_names_what_did_not_cross(lane: dict[str, str]) -> None:
    with Upstream(chat_text) as up, House(one_upstream(up.url, "chat")) as house:
        plain, lost, again = turns(
            house, {"input": "hi", **lane}, {"input": "hi", **lane, **LOST}, {"input": "hi", **lane}
        )
    for reply in (plain, lost, again):
        assert reply[0]["type"] == "response.created" and reply[-1]["type"] == "response.completed"
        assert all(event.get("stream_id") == lane.get("stream_id") for event in reply)
        assert all(type(SDKS.validate_python(event)).__module__.startswith("openai.types.responses") for event in reply)
    assert told(plain) == told(again) == [] and "headers" not in plain[0]
    assert "truncation" in told(lost) and lost[0]["headers"]["x-proxy-upstream"] == "up"


def test_so_does_that_of_a_response_that_came_whole() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed_reasoning.EMPTY}
    whole = {"id": "resp_1", "object": "response", "status": "completed", "output": []}
    with Upstream([Answer.json(whole)]) as up, House(one_upstream(up.url, "responses")) as house:
        (reply,) = turns(house, {"input": [thought, {"role": "user", "content": "hi"}]})
        assert up.requests[0].json["input"] == [{"role": "user", "content": "hi"}]
    assert told(reply) == ["input.reasoning"] and reply[-1]["type"] == "response.completed"


def test_an_error_has_its_headers_where_it_always_had_them() -> None:
    refusal = Answer.json({"error": {"message": "no"}}, 400)
    with Upstream([refusal]) as up, House(one_upstream(up.url, "chat")) as house:
        (reply,) = turns(house, {"input": "hi", **LOST})
    assert reply[0]["type"] == "error" and "truncation" in told(reply)


@pytest.mark.parametrize("event", ['{"a": 1}', '{"a": 1} \n', '{"a": {}}'])
def test_a_field_is_put_at_the_end(event: str) -> None:
    assert json.loads(writer._with(event.encode(), b',"b":2}')) == json.loads(event) | {"b": 2}


@pytest.mark.parametrize("event", ["{}", '{"a": 1', "[1]", ""])
def test_what_has_no_place_for_it_stays(event: str) -> None:
    assert writer._with(event.encode(), b',"b":2}') == event.encode()


# ------------------------------------------------------------------------------------ what both sides keep


def test_what_an_upstream_keeps_too_is_deleted_there_too() -> None:
    def answer(request: Any) -> Answer:
        if request.method == "DELETE":
            return Answer.json({"id": "resp_1", "object": "response", "deleted": True})
        return Answer.json({"id": "resp_1", "object": "response", "status": "completed", "output": []})

    with Upstream(answer) as up, House(one_upstream(up.url, "responses")) as house:
        turns(house, {"input": "hi"})
        assert json.loads(house.get("/v1/responses/resp_1")[2])["id"] == "resp_1" and len(up.requests) == 1
        assert house.request("DELETE", "/v1/responses/resp_1")[0] == 200
        assert (up.requests[1].method, up.requests[1].path) == ("DELETE", "/v1/responses/resp_1")
        assert house.on_loop(lambda: len(house.proxy.service.response_store)) == 0


@pytest.mark.parametrize("protocol", ["chat", "responses"])
def test_a_warm_up_does_not_forget_what_it_builds_on(protocol: str) -> None:
    with Upstream(chat_text) as up, House(one_upstream(up.url, protocol)) as house:
        ((refused,),) = turns(house, {"input": "hi", "generate": False, "previous_response_id": "resp_x"})
        assert refused["type"] == "error" and refused["error"]["code"] == "previous_response_not_found"
        assert up.requests == []
