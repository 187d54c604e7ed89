"""Compaction from end to end: the SDKs before upstreams that do none, and sessions that go on from a summary."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from openai import OpenAI

from tests.gateway.stored.test_responses_state import ALICE, BOB, CLIENTS, ask, texts
from tests.gateway.websocket.sockets import Socket, with_socket
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Request, Upstream
from translate import compaction
from translate.reasoning import sealed_reasoning

TRIGGER = {"type": "compaction_trigger"}
SUMMARIZE: Any = {"type": "summarize"}
KEY = "alice-key-0123456789"


def chat(request: Request) -> Answer:
    """A summary where one is asked for; else how many messages it was sent."""
    messages = request.json["messages"]
    text = "the gist" if compaction.SUMMARIZE in texts(request)[-1][1] else f"I saw {len(messages)}"
    base = {"id": "c", "created": 1, "model": "m"}
    usage = {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55}
    message = {"role": "assistant", "content": text}
    if not request.json.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return Answer.json(base | {"choices": [choice], "usage": usage})
    rows = [{"delta": message, "finish_reason": None}, {"delta": {}, "finish_reason": "stop"}]
    chunks = [base | {"choices": [{"index": 0} | row]} for row in rows] + [base | {"choices": [], "usage": usage}]
    return Answer.sse("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode() + b"data: [DONE]\n\n")


@pytest.fixture
def street():
    with Upstream(chat) as up, House(one_upstream(up.url, "chat", CLIENTS)) as house:
        yield house, up


@pytest.mark.parametrize("stream", [False, True])
def test_a_session_of_messages_goes_on_from_its_summary(street, stream):
    house, up = street
    with anthropic.Anthropic(base_url=house.url, api_key=KEY, max_retries=0) as client:
        history: list[Any] = [{"role": "user", "content": "one"}]
        asked: dict[str, Any] = {"model": "m", "max_tokens": 99, "messages": history, "compaction": SUMMARIZE}
        if stream:
            with client.beta.messages.stream(**asked) as events:
                reply = events.get_final_message()
        else:
            reply = client.beta.messages.create(**asked)
        assert reply.stop_reason == "compaction" and [block.type for block in reply.content] == ["compaction"]
        assert reply.content[0].content == "the gist" and reply.usage.input_tokens == 50
        after = client.beta.messages.create(
            model="m", max_tokens=99, messages=[reply.to_param(), {"role": "user", "content": "two"}]
        )
        assert after.content[0].text == "I saw 1"
        assert texts(up.requests[1]) == [("user", f"{compaction.as_text('the gist')}\n\ntwo")]


@pytest.mark.parametrize("stream", [False, True])
def test_a_session_of_responses_goes_on_from_its_summary(street, stream):
    house, up = street
    _, reply = ask(house, [{"role": "user", "content": "one"}, TRIGGER], None, ALICE, stream=stream)
    assert [item["type"] for item in reply["output"]] == ["compaction"]
    ask(house, [*reply["output"], {"role": "user", "content": "two"}], None, ALICE, stream=stream)
    assert texts(up.requests[1]) == [("user", f"{compaction.as_text('the gist')}\n\ntwo")]
    ask(house, "two", reply["id"], ALICE, stream=stream)  # and so does one that names the response
    assert texts(up.requests[2])[-1][1].endswith(f"{compaction.as_text('the gist')}\n\ntwo")
    assert not any(TRIGGER["type"] in request.body.decode() for request in up.requests)


def test_the_endpoint_of_its_own(street):
    house, up = street
    with OpenAI(base_url=f"{house.url}/v1", api_key=KEY, max_retries=0) as client:
        history: list[Any] = [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two"},
            {"role": "user", "content": "three"},
        ]
        reply = client.responses.compact(model="m", input=history, instructions="Be brief.")
        assert reply.object == "response.compaction" and reply.usage.input_tokens == 50
        assert [item.type for item in reply.output] == ["message", "message", "compaction"]
        assert up.requests[0].json["messages"][0] == {"role": "system", "content": "Be brief."}
        output = [item.model_dump(exclude_unset=True, warnings=False) for item in reply.output]
        client.responses.create(model="m", input=[*output, {"role": "user", "content": "four"}])
        assert texts(up.requests[1]) == [("user", f"one\n\nthree\n\n{compaction.as_text('the gist')}\n\nfour")]
        assert house.get(f"/v1/responses/{reply.id}", ALICE)[0] == 404  # it is no response


def test_the_endpoint_builds_on_a_response(street):
    house, up = street
    _, first = ask(house, "one", None, ALICE)
    body = {"model": "m", "input": [], "previous_response_id": first["id"]}
    status, _, raw = house.post("/v1/responses/compact", body, ALICE)
    assert status == 200 and [item["type"] for item in json.loads(raw)["output"]] == ["message", "compaction"]
    assert [role for role, _ in texts(up.requests[1])] == ["user", "assistant", "user"]
    assert house.post("/v1/responses/compact", body, BOB)[0] == 400


def test_over_a_websocket(street):
    house, up = street

    async def turns(socket: Socket) -> None:
        await socket.send(input=[{"role": "user", "content": "one"}, TRIGGER], store=False)
        last = (await socket.reply())[-1]["response"]
        assert [item["type"] for item in last["output"]] == ["compaction"]
        await socket.send(input=[{"role": "user", "content": "two"}], store=False, previous_response_id=last["id"])
        assert (await socket.reply())[-1]["type"] == "response.completed"

    with_socket(house, turns, ALICE)
    assert compaction.as_text("the gist") in texts(up.requests[1])[-1][1]


def test_a_session_that_moves_to_an_upstream_of_its_own_protocol_takes_the_summary_along():
    said = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
            "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
    block = {"type": "compaction", "content": "the gist", "signature": sealed_reasoning.SUMMARY}
    history = [{"role": "assistant", "content": [block]}, {"role": "user", "content": "two"}]
    with Upstream([Answer.json(said)]) as up, House(one_upstream(up.url, "messages")) as house:
        status, headers, _ = house.post("/v1/messages", {"model": "m", "max_tokens": 9, "messages": history})
        assert status == 200 and "x-proxy-dropped" not in headers
        first = {"role": "user", "content": [{"type": "text", "text": compaction.as_text("the gist")}]}
        assert up.requests[0].json["messages"] == [first, history[1]]

    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": sealed_reasoning.of_summary("the gist")}
    theirs = {"type": "compaction", "id": "cmp_2", "encrypted_content": "gAAAA"}
    reply = {"id": "resp_1", "object": "response", "status": "completed", "output": []}
    with Upstream([Answer.json(reply)]) as up, House(one_upstream(up.url, "responses")) as house:
        status, headers, _ = house.post("/v1/responses", {"model": "m", "input": [theirs, item]})
        assert status == 200 and "x-proxy-dropped" not in headers
        text = {"type": "input_text", "text": compaction.as_text("the gist")}
        assert up.requests[0].json["input"] == [theirs, {"type": "message", "role": "user", "content": [text]}]


def test_a_session_that_another_provider_compacted_goes_on(street):
    house, up = street
    theirs = {"type": "compaction", "id": "cmp_2", "encrypted_content": "gAAAA"}
    history = [{"role": "user", "content": "one"}, theirs, {"role": "user", "content": "two"}]
    status, headers, _ = house.post("/v1/responses", {"model": "m", "input": history}, ALICE)
    assert status == 200 and headers["x-proxy-dropped"] == "compaction"
    assert compaction.UNREADABLE in texts(up.requests[0])[0][1]


# ------------------------------------------------------------------------- when the conversation has grown long


def edit(at: int, **more: Any) -> dict[str, Any]:
    return {"edits": [{"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": at}} | more]}


@pytest.mark.parametrize("stream", [False, True])
def test_an_edit_that_is_due_compacts_and_then_answers(street, stream):
    """As Anthropic does: one reply, a block and what the model says on from the summary alone."""
    house, up = street
    with anthropic.Anthropic(base_url=house.url, api_key=KEY, max_retries=0) as client:
        said: list[Any] = [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two"},
            {"role": "user", "content": "three"},
        ]
        asked: Any = {"model": "m", "max_tokens": 99, "messages": said, "context_management": edit(5)}
        if stream:
            with client.beta.messages.stream(**asked) as events:
                reply = events.get_final_message()
        else:
            reply = client.beta.messages.create(**asked)
        assert [block.type for block in reply.content] == ["compaction", "text"] and reply.stop_reason == "end_turn"
        assert reply.content[0].content == "the gist" and reply.content[1].text == "I saw 1"
        assert reply.usage.input_tokens == 100 and len(up.requests) == 2
        assert texts(up.requests[1]) == [("user", compaction.as_text("the gist"))]
        said += [reply.to_param(), {"role": "user", "content": "four"}]
        client.beta.messages.create(model="m", max_tokens=99, messages=said, context_management=edit(10_000))
        assert texts(up.requests[2]) == [
            ("user", compaction.as_text("the gist")), ("assistant", "I saw 1"), ("user", "four"),
        ]  # fmt: skip


def test_one_that_pauses_does_not_answer(street):
    house, up = street
    body = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "one"}],
            "context_management": edit(5, pause_after_compaction=True)}  # fmt: skip
    _, _, raw = house.post("/v1/messages", body, ALICE)
    assert json.loads(raw)["stop_reason"] == "compaction" and len(up.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("threshold", [0, 5])
def test_a_threshold_of_responses_that_is_reached(street, stream, threshold):
    house, up = street
    entry = {"type": "compaction", "compact_threshold": threshold}
    _, reply = ask(house, "one and more", None, ALICE, stream=stream, context_management=[entry])
    assert [item["type"] for item in reply["output"]] == ["compaction", "message"] and len(up.requests) == 2
    assert texts(up.requests[1]) == [("user", f"one and more\n\n{compaction.as_text('the gist')}")]
    assert reply["usage"]["input_tokens"] == 100


def test_where_no_summary_comes_the_answer_still_does():
    """The whole history is sent, as if nothing had been asked for."""

    def mute(request: Request) -> Answer:
        wanted = compaction.SUMMARIZE in texts(request)[-1][1]
        message = {"role": "assistant", "content": "" if wanted else "yes"}
        choice = {"index": 0, "message": message, "finish_reason": "content_filter" if wanted else "stop"}
        return Answer.json({"id": "c", "created": 1, "model": "m", "choices": [choice]})

    with Upstream(mute) as up, House(one_upstream(up.url, "chat", CLIENTS)) as house:
        body = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "one"}]}
        _, _, raw = house.post("/v1/messages", body | {"context_management": edit(1)}, ALICE)
        reply = json.loads(raw)
        assert reply["content"] == [{"type": "compaction", "content": None}, {"type": "text", "text": "yes"}]
        entry = {"type": "compaction", "compact_threshold": 1}
        _, second = ask(house, "one", None, ALICE, context_management=[entry])
        assert [item["type"] for item in second["output"]] == ["message"]
        assert [texts(up.requests[place]) for place in (1, 3)] == [[("user", "one")], [("user", "one")]]
