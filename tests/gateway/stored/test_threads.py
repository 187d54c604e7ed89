"""Threads of Messages clients before upstreams that hold none: held here, else refused so that the SDK sends all."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from anthropic import beta_tool

from tests.support.house import House, one_upstream
from tests.support.script import Answer, Request, Upstream

CLIENTS = "\n[client alice]\nkey = alice-key-0123456789\n[client bob]\nkey = bob-key-0123456789abc\n"
ALICE, BOB = ({"x-api-key": key} for key in ("alice-key-0123456789", "bob-key-0123456789abc"))
TOOL = {"name": "get_weather", "description": "d", "input_schema": {"type": "object", "properties": {}}}
CREATE = {"type": "create"}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def says(call: bool, n: int) -> tuple[dict[str, Any], str]:
    """A Chat reply's message: a call, else text."""
    if call:
        function = {"name": "get_weather", "arguments": '{"city":"A"}'}
        calls = [{"index": 0, "id": f"call_{n}", "type": "function", "function": function}]
        return {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"
    return {"role": "assistant", "content": f"I saw {n}"}, "stop"


def chat(request: Request) -> Answer:
    """Calls the tool until a result is there; else says how many messages it was sent."""
    body = request.json
    call = bool(body.get("tools")) and not any(message["role"] == "tool" for message in body["messages"])
    message, reason = says(call, len(body["messages"]))
    base = {"id": "c", "created": 1, "model": body["model"]}
    if body.get("stream"):
        choices = [{"delta": message, "finish_reason": None}, {"delta": {}, "finish_reason": reason}]
        chunks = [base | {"choices": [{"index": 0} | choice]} for choice in choices]
        return Answer.sse("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode() + b"data: [DONE]\n\n")
    return Answer.json(base | {"choices": [{"index": 0, "message": message, "finish_reason": reason}]})


def message(id: str, n: int) -> Answer:
    content = [{"type": "text", "text": f"I saw {n}"}]
    usage = {"input_tokens": 1, "output_tokens": 1}
    return Answer.json({"id": id, "type": "message", "role": "assistant", "model": "m", "content": content,
                        "stop_reason": "end_turn", "stop_sequence": None, "usage": usage})  # fmt: skip


def ask(house: House, thread: Any, *said: dict[str, Any], headers: Any = ALICE, **more: Any) -> tuple[int, Any]:
    body = {"model": "m", "max_tokens": 50, "thread": thread, "messages": list(said)} | more
    status, _, raw = house.post("/v1/messages", body, headers)
    if status == 200 and more.get("stream"):
        events = [json.loads(line[6:]) for line in raw.decode().split("\n") if line.startswith("data: ")]
        return status, events[0]["message"]
    return status, json.loads(raw)


def on(reply: Any) -> dict[str, Any]:
    return {"type": "continue", "previous_message_id": reply["id"]}


def code(reply: Any) -> str:
    assert reply["type"] == "error" and reply["error"]["type"] == "invalid_request_error"
    return str(reply["error"]["details"]["error_code"])


@pytest.fixture
def street():
    with Upstream(chat) as up, House(one_upstream(up.url, "chat", CLIENTS)) as house:
        yield house, up


@pytest.mark.parametrize("stream", [False, True])
def test_a_thread_is_held(street, stream):
    house, up = street
    cached = {"role": "user", "content": [{"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}]}
    _, first = ask(house, CREATE, cached, system="Be brief.", stream=stream)
    _, second = ask(house, on(first), user("two"), stream=stream)
    status, third = ask(house, on(second), user("three"), stream=stream, max_tokens=20)
    assert status == 200 and len({first["id"], second["id"], third["id"]}) == 3
    last = up.requests[2].json
    assert [(m["role"], m["content"]) for m in last["messages"]] == [
        ("system", "Be brief."), ("user", "one"), ("assistant", "I saw 2"), ("user", "two"), ("assistant", "I saw 4"),
        ("user", "three"),
    ]  # fmt: skip
    assert last["max_tokens"] == 20
    status, _ = ask(house, on(first), user("else"), stream=stream)  # one may go on from the first again
    assert status == 200 and len(up.requests[3].json["messages"]) == 4


@pytest.mark.parametrize("stream", [False, True])
def test_the_tool_runner_of_the_sdk_ends_in_an_answer(street, stream):
    house, up = street
    ran = []

    @beta_tool
    def get_weather(city: str) -> str:
        """Weather of a city."""
        ran.append(city)
        return f"sunny in {city}"

    with anthropic.Anthropic(base_url=house.url, api_key=ALICE["x-api-key"], max_retries=0) as client:
        runner = client.beta.messages.tool_runner(
            model="claude-opus-5-5",
            max_tokens=100,
            tools=[get_weather],
            messages=[user("weather in A?")],
            stream=stream,
        )
        assert [block.text for block in runner.until_done().content] == ["I saw 3"] and ran == ["A"]
        first, second = (request.json for request in up.requests)
        assert second["tools"] == first["tools"] and second["messages"][0] == first["messages"][0]
        assert [m["role"] for m in second["messages"]] == ["user", "assistant", "tool"]
        assert second["messages"][2]["content"] == "sunny in A"


def test_a_thread_is_its_owners_alone(street):
    house, up = street
    _, first = ask(house, CREATE, user("one"))
    status, said = ask(house, on(first), user("two"), headers=BOB)
    assert (status, code(said)) == (400, "thread_not_found") and len(up.requests) == 1
    status, _, _ = house.get(f"/v1/responses/{first['id']}", ALICE)
    assert status == 404  # a thread is no response


def test_what_is_not_known_is_to_be_sent_whole(street):
    house, up = street
    status, said = ask(house, {"type": "continue", "previous_message_id": "msg_x"}, user("two"))
    assert (status, code(said)) == (400, "thread_not_found") and not up.requests


@pytest.mark.parametrize(("thread", "names"), [({"type": "x"}, "thread.type"), ({"type": "continue"}, "previous_mess")])
def test_what_is_no_thread_is_refused_by_name(street, thread, names):
    house, up = street
    status, said = ask(house, thread, user("one"))
    assert status == 400 and names in said["error"]["message"] and not up.requests


def test_a_thread_keeps_what_it_was_created_with(street):
    house, _ = street
    _, first = ask(house, CREATE, user("one"), system="Be brief.")
    status, said = ask(house, on(first), user("two"), system="Be long.")
    assert (status, code(said)) == (400, "thread_fingerprint_mismatch") and "system" in said["error"]["message"]
    assert ask(house, on(first), user("two"), system="Be brief.")[0] == 200


@pytest.mark.parametrize("thread", [CREATE, {"type": "continue", "previous_message_id": "msg_x"}])
def test_where_nothing_is_kept_the_sdk_is_told_so(thread):
    with Upstream(chat) as up, House(one_upstream(up.url, "chat", "\n[responses]\nstore_entries = 0\n")) as house:
        status, said = ask(house, thread, user("one"))
        assert (status, code(said)) == (400, "thread_unsupported_request") and not up.requests
        assert said["error"]["details"]["unsupported"] == ["thread"]


def two(messages: Upstream, other: Upstream, first: str = "m") -> str:
    ups = f"[upstream m]\nprotocol = messages\nbase_url = {messages.url}\n"
    ups += f"[upstream c]\nprotocol = chat\nbase_url = {other.url}\n"
    order = "m/m, c/m" if first == "m" else "c/m, m/m"
    return ups + f"[models]\n* = {order}\n[retry]\nbackoff = 0.01\n" + CLIENTS


def test_an_upstream_that_holds_threads_gets_the_bytes_as_they_are():
    script = [message("msg_up", 1), message("msg_up2", 2)]
    with Upstream(script) as up, House(one_upstream(up.url, "messages", CLIENTS)) as house:
        _, first = ask(house, CREATE, user("one"))
        assert ask(house, on(first), user("two"))[0] == 200
        assert up.requests[1].json["thread"] == on(first) and len(up.requests[1].json["messages"]) == 1
        status, said = ask(house, on(first), user("mine?"), headers=BOB)
        assert (status, code(said)) == (400, "thread_not_found") and len(up.requests) == 2


def test_failover_away_from_the_upstream_that_holds_it_asks_for_all():
    """The SDK's runner goes on by itself: the second upstream gets the whole conversation."""
    with Upstream([message("msg_up", 1), Answer.json({"error": {"message": "busy"}}, status=529)]) as up:
        with Upstream(chat) as other, House(two(up, other)) as house:
            _, first = ask(house, CREATE, user("one"))
            status, said = ask(house, on(first), user("two"))
            assert (status, code(said)) == (400, "thread_unsupported_request")
            assert "'m'" in said["error"]["message"] and not other.requests


def test_a_thread_that_is_held_here_may_go_on_anywhere():
    """What was begun at a Chat upstream comes whole to one of Messages, and is its own to hold from then on."""
    busy = Answer.json({"error": {"message": "busy"}}, status=529)
    with (
        Upstream([message("msg_up", 3)]) as up,
        Upstream(lambda request: chat(request) if len(request.json["messages"]) < 3 else busy) as other,
    ):
        with House(two(up, other, "c")) as house:
            _, first = ask(house, CREATE, user("one"), system="Be brief.")
            status, second = ask(house, on(first), user("two"))
            sent = up.requests[0].json
            assert (status, second["id"], sent["thread"], sent["system"]) == (200, "msg_up", CREATE, "Be brief.")
            assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]


def test_a_dry_run_shows_what_the_upstream_gets():
    body = {"model": "m", "max_tokens": 50, "thread": CREATE, "messages": [user("one")]}
    with Upstream(chat) as up, House(one_upstream(up.url, "chat")) as house:
        status, _, raw = house.post("/debug/translate?from=messages", body)
    assert status == 200 and "thread" not in json.loads(raw)["translated"]


@pytest.mark.parametrize("protocol", ["messages", "chat", "responses"])
def test_the_demo_is_told_all_of_a_tool_runners_conversation(protocol: str) -> None:
    @beta_tool
    def get_weather(city: str) -> str:
        """Weather."""
        return f"sunny in {city}"

    with House(f"[upstream demo]\nprotocol = {protocol}\nbase_url = demo:\n[models]\n* = demo/demo\n") as house:
        with anthropic.Anthropic(base_url=house.url, api_key="k", max_retries=0) as client:
            runner = client.beta.messages.tool_runner(
                model="demo", max_tokens=500, tools=[get_weather], messages=[{"role": "user", "content": "in Paris?"}]
            )
            last = runner.until_done().content[-1]
    assert last.type == "text" and "sunny in" in last.text and 'You wrote: "in Paris?"' in last.text
