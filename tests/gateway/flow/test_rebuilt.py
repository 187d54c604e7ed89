"""Upstreams that speak their own protocol loosely: what would pass through is read, checked and written anew; and
requests for a reply by a JSON schema take the way that the upstream heeds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance import grammar
from tests.support import sdk_responses
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream
from translate.tools.answer_tool import NAME

HI = [{"role": "user", "content": "hi"}]
ASK: dict[str, dict[str, Any]] = {
    "messages": {"model": "m", "max_tokens": 9, "messages": HI},
    "chat": {"model": "m", "messages": HI},
    "responses": {"model": "m", "input": "hi"},
}
PATH = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
FORMAT = {"type": "json_schema", "name": "x", "schema": SCHEMA}
BY_SCHEMA: dict[str, dict[str, Any]] = {
    "messages": {"output_config": {"format": FORMAT}},
    "chat": {"response_format": {"type": "json_schema", "json_schema": FORMAT}},
    "responses": {"text": {"format": FORMAT}},
}
MESSAGE = {"role": "assistant", "content": '{"n":1}'}
COMPLETION = {"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}
REPLY: dict[str, dict[str, Any]] = {
    "messages": {"id": "x", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "ok"}],
                 "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}},
    "chat": COMPLETION,
    "responses": {"id": "resp_1", "status": "completed", "output": [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]}]},
}  # fmt: skip


def event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | more)}\n\n".encode()


ITEM = {"id": "msg_1", "role": "assistant", "status": "in_progress", "type": "message", "content": []}
LOOSE_STREAM = [  # as llama.cpp sends it, but for the empty output at its end: no numbers, no places
    event("response.created", response={"id": "resp_1", "object": "response", "status": "in_progress"}),
    event("response.output_item.added", item=ITEM),
    event("response.content_part.added", item_id="msg_1", part={"type": "output_text", "text": ""}),
    event("response.output_text.delta", item_id="msg_1", delta="Hello"),
    event("response.output_text.delta", item_id="msg_1", delta=" you"),
    event("response.output_text.done", item_id="msg_1", text="Hello you"),
    event("response.output_item.done", item=ITEM | {"content": [{"type": "output_text", "text": "Hello you"}]}),
    event("response.completed", response={"id": "resp_1", "object": "response", "status": "completed", "output": [],
                                          "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}),
]  # fmt: skip


def loose(up: Upstream, protocol: str, more: str = "") -> House:
    return House(one_upstream(up.url, protocol, "rebuild = true\n" + more))


def test_a_loose_stream_becomes_a_legal_one() -> None:
    ask = ASK["responses"] | {"stream": True}
    with Upstream([Answer.sse(LOOSE_STREAM)]) as up:
        with House(one_upstream(up.url, "responses")) as house:
            assert house.post("/v1/responses", ask)[2] == b"".join(LOOSE_STREAM), "untouched unless asked for"
        with loose(up, "responses") as house:
            status, _, body = house.post("/v1/responses", ask)
    assert status == 200 and grammar.check_responses(body) == []
    response = sdk_responses.responses_stream(body)
    assert response["output"][0]["content"][0]["text"] == "Hello you"
    assert (response["model"], response["usage"]["total_tokens"]) == ("m", 5)


@pytest.mark.parametrize("protocol", PATH)
def test_a_whole_reply_is_written_anew(protocol: str) -> None:
    answer = Answer.json(REPLY[protocol] | {"model": "y"})
    answer.headers["X-Digest"] = "of other bytes"
    with Upstream([answer]) as up, loose(up, protocol) as house:
        status, headers, body = house.post(PATH[protocol] + "?beta=true", ASK[protocol], {"Anthropic-Beta": "b"})
        said = json.loads(body)
        request = up.requests[0]
    assert (status, said["model"], headers["content-type"]) == (200, "m", "application/json")
    assert "x-digest" not in headers
    assert said["usage"] and ("created" in said or "created_at" in said or "stop_sequence" in said)
    assert request.path == PATH[protocol] + "?beta=true" and request.headers["anthropic-beta"] == "b"


@pytest.mark.parametrize(
    ("protocol", "more", "field"),
    [
        ("messages", {"messages": []}, "messages"),
        ("messages", {"max_tokens": 0}, "max_tokens"),
        ("chat", {"messages": "x"}, "messages"),
        ("responses", {"input": 3}, "input"),
    ],
)
def test_a_request_is_checked(protocol: str, more: dict[str, Any], field: str) -> None:
    with Upstream([Answer.json(REPLY[protocol])]) as up, loose(up, protocol) as house:
        status, _, body = house.post(PATH[protocol], ASK[protocol] | more)
        assert (status, up.requests) == (400, [])
    assert field in json.loads(body)["error"]["message"] + str(json.loads(body)["error"].get("param"))


def test_nothing_of_the_request_is_lost() -> None:
    ask = ASK["chat"] | {
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "enable_thinking": False,
        "some_knob": {"a": 1},
        "messages": [*HI, {"role": "assistant", "content": "a", "reasoning_content": "because"}, *HI],
    }
    with Upstream([Answer.json(COMPLETION)]) as up, loose(up, "chat") as house:
        status, headers, _ = house.post("/v1/chat/completions", ask)
        assert status == 200 and up.requests[0].json == ask and "x-proxy-dropped" not in headers


def test_an_error_is_told_in_the_clients_dialect() -> None:
    wrong = {"error": {"code": 400, "message": "no such thing", "type": "invalid_request_error"}}
    with Upstream([Answer.json(wrong, 400)]) as up, loose(up, "messages") as house:
        status, _, body = house.post("/v1/messages", ASK["messages"])
    said = json.loads(body)
    assert (status, said["type"], said["error"]["type"]) == (400, "error", "invalid_request_error")
    assert "no such thing" in said["error"]["message"]


def test_counting_passes_through() -> None:
    with Upstream([Answer.json({"input_tokens": 7})]) as up, loose(up, "messages") as house:
        ask = {"model": "m", "messages": HI}
        assert json.loads(house.post("/v1/messages/count_tokens", ask)[2]) == {"input_tokens": 7}
        assert up.requests[0].json == ask


def test_responses_are_kept_here() -> None:
    """A server that is loose about its own protocol keeps none: llama.cpp refuses previous_response_id."""
    with Upstream([Answer.json(REPLY["responses"])]) as up, loose(up, "responses") as house:
        first = json.loads(house.post("/v1/responses", ASK["responses"])[2])
        ask = {"model": "m", "input": "more", "previous_response_id": first["id"]}
        assert house.post("/v1/responses", ask)[0] == 200
        sent = up.requests[1].json
        assert "previous_response_id" not in sent and len(sent["input"]) == 3
        assert house.get(f"/v1/responses/{first['id']}")[0] == 200
        assert house.request("DELETE", f"/v1/responses/{first['id']}")[0] == 200
        assert house.get(f"/v1/responses/{first['id']}")[0] == 404 and len(up.requests) == 2, "it was asked for it"
        status, _, body = house.post("/v1/responses", ask | {"previous_response_id": "resp_other"})
        assert status == 400 and b"previous_response_not_found" in body


def test_items_are_known_by_their_ids() -> None:
    with Upstream([Answer.json(REPLY["messages"])]) as up, House(one_upstream(up.url, "messages")) as house:
        [item] = json.loads(house.post("/v1/responses", ASK["responses"])[2])["output"]
        named = {"type": "item_reference", "id": item["id"]}
        more = {"role": "user", "content": "more"}
        asks = [{"model": "m", "input": [*HI, named, more]}, {"model": "m", "input": [*HI, named | {"id": "msg_x_0"}]}]
        answers = [house.post("/v1/responses", ask, {"Authorization": "Bearer b"}) for ask in asks[:1]]
        assert [answer[0] for answer in answers] == [400], "it is another's"
        statuses = [house.post("/v1/responses", ask)[0] for ask in asks]
        assert statuses == [200, 400]
        said = up.requests[1].json["messages"]
    assert [turn["role"] for turn in said] == ["user", "assistant", "user"] and "ok" in json.dumps(said[1])


def test_custom_tools_go_as_functions() -> None:
    """They are left out in silence otherwise, and what they gave is refused."""
    call = {"type": "function_call", "call_id": "c2", "name": "patch", "arguments": '{"input":"*** Begin"}'}
    history = [
        {"role": "user", "content": "hi"},
        {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
    ]
    ask = {"model": "m", "input": history, "tools": [{"type": "custom", "name": "patch", "description": "Edits."}]}
    answer = Answer.json({"id": "resp_1", "status": "completed", "output": [call]})
    with Upstream([answer]) as up, loose(up, "responses") as house:
        output = json.loads(house.post("/v1/responses", ask)[2])["output"]
        sent = up.requests[0].json
    assert sent["tools"][0]["type"] == "function"
    assert [item["type"] for item in sent["input"]] == ["message", "function_call", "function_call_output"]
    assert json.loads(sent["input"][1]["arguments"]) == {"input": "x"}
    assert [(item["type"], item["input"]) for item in output] == [("custom_tool_call", "*** Begin")]


# ------------------------------------------------------------------------------------------- replies by a schema


@pytest.mark.parametrize("protocol", PATH)
@pytest.mark.parametrize("rebuild", ["", "rebuild = true\n"])
@pytest.mark.parametrize("client", PATH)
def test_a_schema_goes_by_chat(client: str, rebuild: str, protocol: str) -> None:
    with Upstream(lambda request: Answer.json(COMPLETION if "chat" in request.path else REPLY[protocol])) as up:
        with House(one_upstream(up.url, protocol, rebuild + "output_schema = chat\n")) as house:
            assert house.post(PATH[client], ASK[client])[0] == 200
            status, _, body = house.post(PATH[client], ASK[client] | BY_SCHEMA[client])
    assert status == 200 and json.dumps('{"n":1}').encode() in body
    plain, by_schema = up.requests
    assert (plain.path, by_schema.path) == (PATH[protocol], PATH["chat"])
    assert by_schema.json["response_format"]["json_schema"]["schema"] == SCHEMA


def test_beside_tools_it_goes_as_one_of_them() -> None:
    """llama.cpp's Chat forgets all tools over a schema."""
    tools = [{"name": "look", "input_schema": {"type": "object"}}]
    with Upstream([Answer.json(COMPLETION)]) as up, loose(up, "messages", "output_schema = chat\n") as house:
        assert house.post("/v1/messages", ASK["messages"] | BY_SCHEMA["messages"] | {"tools": tools})[0] == 200
        sent = up.requests[0].json
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["look", NAME]
    assert sent["tool_choice"] == "required" and "response_format" not in sent


@pytest.mark.parametrize("protocol", PATH)
def test_a_schema_goes_as_a_tool(protocol: str) -> None:
    call = {"name": NAME, "arguments": '{"n":1}'}
    message = {"role": "assistant", "tool_calls": [{"id": "t", "type": "function", "function": call}]}
    called: dict[str, dict[str, Any]] = {
        "messages": {"content": [{"type": "tool_use", "id": "t", "name": NAME, "input": {"n": 1}}],
                     "stop_reason": "tool_use"},
        "chat": {"choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}]},
        "responses": {"output": [{"type": "function_call", "call_id": "t"} | call]},
    }  # fmt: skip
    answers = [Answer.json(REPLY[protocol]), Answer.json(REPLY[protocol] | called[protocol])]
    with Upstream(answers) as up, House(one_upstream(up.url, protocol, "output_schema = tool\n")) as house:
        said = house.post(PATH[protocol], ASK[protocol])[2]
        assert json.loads(said) == REPLY[protocol] and up.requests[0].json == ASK[protocol], "others pass untouched"
        status, _, body = house.post(PATH[protocol], ASK[protocol] | BY_SCHEMA[protocol])
        sent = up.requests[1].json
    assert status == 200 and json.dumps('{"n":1}').encode() in body and NAME.encode() not in body
    assert NAME in json.dumps(sent["tools"]) and "response_format" not in sent and "output_config" not in sent


def test_a_text_that_mentions_a_schema_asks_for_none() -> None:
    ask = ASK["messages"] | {"messages": [{"role": "user", "content": 'say "json_schema"'}]}
    with Upstream([Answer.json(REPLY["messages"])]) as up:
        with House(one_upstream(up.url, "messages", "output_schema = chat\n")) as house:
            assert house.post("/v1/messages", ask)[2] == json.dumps(REPLY["messages"]).encode()
        assert up.requests[0].path == "/v1/messages"


def test_the_rehearsal_shows_it() -> None:
    with Upstream() as up, loose(up, "messages", "output_schema = chat\n") as house:
        told = json.loads(house.post("/debug/translate?from=messages", ASK["messages"] | BY_SCHEMA["messages"])[2])
        assert told["to"] == "chat" and told["translated"]["response_format"]["type"] == "json_schema"
        told = json.loads(house.post("/debug/translate?from=messages", ASK["messages"])[2])
        assert told["to"] == "messages" and told["translated"]["messages"][0]["content"][0]["text"] == "hi"
