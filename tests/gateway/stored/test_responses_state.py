"""Responses that build on one another, and those asked for again by their id: kept here, or by an upstream."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import OpenAI

from gateway.stored.previous_response import PreviousResponse
from gateway.stored.store import ResponseStore
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Request, Upstream

CLIENTS = "\n[client alice]\nkey = alice-key-0123456789\n[client bob]\nkey = bob-key-0123456789abc\n"
ALICE, BOB = ({"Authorization": f"Bearer {key}"} for key in ("alice-key-0123456789", "bob-key-0123456789abc"))


def chat_text(request: Request) -> Answer:
    """Says how many messages it was sent, streamed or not."""
    body = request.json
    text = f"I saw {len(body['messages'])}"
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    base = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
    if body.get("stream"):
        chunks = [
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": usage},
        ]
        events = [json.dumps(base | {"object": "chat.completion.chunk"} | chunk) for chunk in chunks]
        return Answer.sse("".join(f"data: {event}\n\n" for event in (*events, "[DONE]")).encode())
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Answer.json(base | {"object": "chat.completion", "choices": [choice], "usage": usage})


def ask(house: House, text: Any, on: str | None = None, headers: dict[str, str] | None = None, **more: Any) -> Any:
    """(status, body) of a response; of a streamed one, its last event's."""
    body = {"model": "m", "input": text} | ({"previous_response_id": on} if on else {}) | more
    status, _, raw = house.post("/v1/responses", body, headers)
    if more.get("stream") and status == 200:
        events = [json.loads(line[6:]) for line in raw.decode().split("\n") if line.startswith("data: ")]
        assert events[-1]["type"] == "response.completed"
        return status, events[-1]["response"]
    return status, json.loads(raw)


def texts(request: Request) -> list[tuple[str, str]]:
    """(role, text) of each message that a Chat upstream got."""
    out = []
    for message in request.json["messages"]:
        content = message["content"]
        out.append((message["role"], content if isinstance(content, str) else content[0]["text"]))
    return out


@pytest.fixture
def chat():
    with Upstream(chat_text) as up, House(one_upstream(up.url, "chat", CLIENTS)) as house:
        yield house, up


# ------------------------------------------------------------------------------------------- kept here


@pytest.mark.parametrize("stream", [False, True])
def test_a_chain_builds_on_what_was_said(chat, stream):
    house, up = chat
    _, first = ask(house, "one", None, ALICE, stream=stream)
    _, second = ask(house, [{"role": "user", "content": "two"}], first["id"], ALICE, stream=stream)
    _, third = ask(house, "three", second["id"], ALICE, stream=stream)
    assert [each["previous_response_id"] for each in (first, second, third)] == [None, first["id"], second["id"]]
    assert texts(up.requests[2]) == [
        ("user", "one"), ("assistant", "I saw 1"), ("user", "two"), ("assistant", "I saw 3"), ("user", "three"),
    ]  # fmt: skip
    _, beside = ask(house, "else", first["id"], ALICE, stream=stream)  # the first may be built on again
    assert texts(up.requests[3])[2:] == [("user", "else")]
    assert len({first["id"], second["id"], third["id"], beside["id"]}) == 4


def test_an_unknown_response_is_refused_by_the_name_of_its_field(chat):
    house, up = chat
    status, body = ask(house, "hi", "resp_never", ALICE)
    assert status == 400
    assert body["error"]["code"] == "previous_response_not_found"
    assert body["error"]["param"] == "previous_response_id"
    assert body["error"]["type"] == "invalid_request_error"
    assert "resp_never" in body["error"]["message"] and up.requests == []


def test_one_client_never_gets_to_anothers_response(chat):
    house, up = chat
    _, first = ask(house, "secret", None, ALICE)
    status, body = ask(house, "what did she say", first["id"], BOB)
    assert status == 400 and body["error"]["code"] == "previous_response_not_found"
    for method, path in (("GET", ""), ("GET", "/input_items"), ("DELETE", ""), ("POST", "/cancel")):
        status, _, raw = house.request(method, f"/v1/responses/{first['id']}{path}", None, BOB)
        assert status == 404 and b"secret" not in raw and b"I saw" not in raw
    assert house.get(f"/v1/responses/{first['id']}", ALICE)[0] == 200
    assert len(up.requests) == 1


def test_without_clients_the_key_that_comes_along_tells_them_apart():
    with Upstream(chat_text) as up, House(one_upstream(up.url, "chat")) as house:
        _, first = ask(house, "hi", None, {"Authorization": "Bearer one"})
        assert ask(house, "more", first["id"], {"Authorization": "Bearer one"})[0] == 200
        assert ask(house, "more", first["id"], {"X-Api-Key": "one"})[0] == 200
        assert ask(house, "more", first["id"], {"Authorization": "Bearer two"})[0] == 400
        assert ask(house, "more", first["id"])[0] == 400


def test_what_is_not_to_be_stored_is_not(chat):
    house, _ = chat
    _, first = ask(house, "hi", None, ALICE, store=False)
    assert ask(house, "more", first["id"], ALICE)[0] == 400
    assert house.get(f"/v1/responses/{first['id']}", ALICE)[0] == 404


def test_the_store_can_be_off_and_is_bounded():
    for setting, kept in (("store_entries = 0", 0), ("store_entries = 2", 2)):
        with Upstream(chat_text) as up:
            with House(one_upstream(up.url, "chat", f"[responses]\n{setting}\n")) as house:
                ids = [ask(house, "hi")[1]["id"] for _ in range(3)]
                assert [ask(house, "more", id, store=False)[0] for id in ids] == [400] * (3 - kept) + [200] * kept


def test_a_failed_reply_is_not_kept():
    with Upstream([Answer.json({"error": {"message": "no"}}, 500)]) as up, House(one_upstream(up.url, "chat")) as house:
        assert ask(house, "hi")[0] == 500
        house.wait(lambda proxy: proxy.service.response_store.bytes == 0 and not proxy.service.response_store)


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
def test_of_responses_that_are_done_those_that_have_failed_are_not_kept(status):
    store = ResponseStore(9, 1_000_000, 60)
    previous = PreviousResponse(store, "ann")
    previous.note({"input": "hi"})
    done = {"id": "resp_1", "status": status, "output": [{"type": "message", "role": "assistant", "content": []}]}
    previous.saw(json.dumps({"type": "response.done", "response": done}, separators=(",", ":")).encode())
    previous.over()
    assert len(store) == (status in ("completed", "incomplete")) and (store.bytes > 0) == bool(len(store))


def test_a_response_that_a_client_leaves_is_not_kept():
    endless = Answer.sse([b'data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'], end="hang")
    with Upstream([endless]) as up, House(one_upstream(up.url, "chat")) as house, house.connect() as client:
        client.send("POST", "/v1/responses", {"model": "m", "input": "hi", "stream": True})
        client.head()
        assert house.on_loop(lambda: house.proxy.service.response_store.bytes) > 0
        client.socket.close()
        house.wait(lambda proxy: proxy.service.response_store.bytes == 0)


# ---------------------------------------------------------------------------------------- by their id


def test_a_stored_response_comes_again_and_goes_for_good(chat):
    house, _ = chat
    _, first = ask(house, "one", None, ALICE)
    _, second = ask(house, "two", first["id"], ALICE)
    with OpenAI(base_url=f"{house.url}/v1", api_key="alice-key-0123456789", max_retries=0) as client:
        with client:
            again = client.responses.retrieve(second["id"])
            assert again.output_text == "I saw 3" and again.previous_response_id == first["id"]
            assert again.usage.total_tokens == 8
            items = list(client.responses.input_items.list(second["id"], order="asc", limit=2))
            assert [item.role for item in items] == ["user", "assistant", "user"]
            assert [item.content[0].text for item in items] == ["one", "I saw 1", "two"]
            newest = client.responses.input_items.list(second["id"], limit=1)
            assert newest.data[0].content[0].text == "two" and newest.has_more
            with pytest.raises(Exception, match="complete"):
                client.responses.cancel(second["id"])
            client.responses.delete(second["id"])
            with pytest.raises(Exception, match="no response"):
                client.responses.retrieve(second["id"])


@pytest.mark.parametrize("path", ["", "/input_items"])
def test_what_is_not_kept_anywhere_is_not_found(chat, path):
    house, up = chat
    status, _, raw = house.get(f"/v1/responses/resp_x{path}", ALICE)
    error = json.loads(raw)["error"]
    assert status == 404 and error["code"] == "response_not_found" and "speaks Responses" in error["message"]
    assert up.requests == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "x"), ("POST", "x"), ("DELETE", "x/input_items"), ("GET", "x/cancel"), ("GET", "compact")],
)
def test_other_methods_are_refused(chat, method, path):
    assert chat[0].request(method, f"/v1/responses/{path}", None, ALICE)[0] == 405


def test_these_too_ask_for_a_key(chat):
    house, _ = chat
    assert house.get("/v1/responses/resp_x")[0] == 401
    assert house.post("/v1/responses/input_tokens", {"model": "m", "input": "x"})[0] == 401
    assert house.post("/v1/responses/compact", {"model": "m", "input": "x"})[0] == 401


# ----------------------------------------------------------------------------- kept by their upstreams


def kept_by(name: str) -> Upstream:
    """A Responses upstream that remembers nothing, but says what it was asked."""

    def answer(request: Request) -> Answer:
        if request.method == "POST" and request.path == "/v1/responses":
            return Answer.json({"id": f"resp_{name}", "object": "response", "status": "completed", "output": []})
        return Answer.json({"from": name, "asked": f"{request.method} {request.path}"})

    return Upstream(answer)


def test_an_upstream_that_keeps_them_is_asked_itself():
    with kept_by("a") as a, kept_by("b") as b:
        text = "".join(f"[upstream {n}]\nprotocol = responses\nbase_url = {u.url}\n" for n, u in (("a", a), ("b", b)))
        with House(text + CLIENTS) as house:
            for name in "ab":
                assert ask(house, "hi", None, ALICE, model=f"{name}/m")[1]["id"] == f"resp_{name}"
            for name, up in (("a", a), ("b", b)):
                asks = (("GET", "?include=x"), ("GET", "/input_items?limit=3"), ("POST", "/cancel"), ("DELETE", ""))
                for method, part in asks:
                    status, headers, raw = house.request(method, f"/v1/responses/resp_{name}{part}", None, ALICE)
                    asked = f"{method} /v1/responses/resp_{name}{part}"
                    assert (status, json.loads(raw)) == (200, {"from": name, "asked": asked})
                    assert headers["x-proxy-upstream"] == name
                assert "authorization" not in up.requests[-1].headers
            assert house.get("/v1/responses/resp_other", ALICE)[0] == 404  # it may be anybody's
            assert house.get("/v1/responses/resp_b", BOB)[0] == 404
            assert house.get("/v1/responses/..%2Fmodels", ALICE)[0] == 404


def test_a_previous_response_that_an_upstream_keeps_goes_to_it_untouched():
    with kept_by("a") as up, House(one_upstream(up.url, "responses")) as house:
        body = b'{"model": "m",  "input": "x", "previous_response_id": "resp_a"}'
        house.post("/v1/responses", body)
        assert up.requests[0].body == body
        assert house.on_loop(lambda: len(house.proxy.service.response_store)) == 0


def test_what_is_kept_here_can_be_built_on_at_an_upstream_of_responses():
    with Upstream(chat_text) as chat, kept_by("a") as up:
        text = f"[upstream c]\nprotocol = chat\nbase_url = {chat.url}\n[upstream r]\nprotocol = responses\n"
        with House(text + f"base_url = {up.url}\n") as house:
            _, first = ask(house, "one", model="c/m")
            assert ask(house, "two", first["id"], model="r/m")[0] == 200
            sent = up.requests[0].json
            assert "previous_response_id" not in sent
            assert [item["role"] for item in sent["input"]] == ["user", "assistant", "user"]


def test_errors_and_failures_of_the_keeper_come_through():
    script = [Answer.json({"error": {"message": "gone", "code": "nope"}}, 404), Answer(302, {"Location": "/x"})]
    with Upstream([*script, Answer.drop()]) as up, House(one_upstream(up.url, "responses")) as house:
        status, _, raw = house.get("/v1/responses/resp_a")
        assert status == 404 and json.loads(raw)["error"]["code"] == "nope"
        assert [house.get("/v1/responses/resp_a")[0] for _ in range(2)] == [502, 502]


# -------------------------------------------------------------------------------- counting, compacting


def test_tokens_are_counted_by_the_upstream_or_estimated():
    def answer(request: Request) -> Answer:
        return Answer.json({"object": "response.input_tokens", "input_tokens": 77})

    with Upstream(answer) as up, House(one_upstream(up.url, "responses")) as house:
        status, headers, raw = house.post("/v1/responses/input_tokens", {"model": "m", "input": "hello"})
        assert (status, json.loads(raw)["input_tokens"]) == (200, 77) and "x-proxy-estimate" not in headers
        assert up.requests[0].path == "/v1/responses/input_tokens"
    with Upstream([Answer.json({}, 404)]) as up, House(one_upstream(up.url, "responses")) as house:
        for _ in range(2):
            status, headers, raw = house.post("/v1/responses/input_tokens", {"model": "m", "input": "hello"})
            assert status == 200 and headers["x-proxy-estimate"] == "true"
            assert json.loads(raw)["object"] == "response.input_tokens"
        assert len(up.requests) == 1  # remembered


def test_tokens_are_estimated_with_what_a_request_builds_on(chat):
    house, up = chat
    _, first = ask(house, "a long word " * 200, None, ALICE)
    with OpenAI(base_url=f"{house.url}/v1", api_key="alice-key-0123456789", max_retries=0) as client:
        with client:
            alone = client.responses.input_tokens.count(model="m", input="hi").input_tokens
            on_it = client.responses.input_tokens.count(model="m", input="hi", previous_response_id=first["id"])
        assert alone < 20 < 100 < on_it.input_tokens  # measured by what the upstream has said of the first
        assert len(up.requests) == 1
        assert house.post("/v1/responses/input_tokens", {"model": "m", "input": 5}, ALICE)[0] == 400
        unknown = {"model": "m", "input": "hi", "previous_response_id": "resp_x"}
        status, _, raw = house.post("/v1/responses/input_tokens", unknown, ALICE)
        assert status == 400 and json.loads(raw)["error"]["param"] == "previous_response_id"


def test_compacting_is_left_to_an_upstream_that_can():
    with Upstream([Answer.json({"object": "response.compaction", "id": "c"})]) as up:
        with House(one_upstream(up.url, "responses")) as house:
            body = b'{"model": "m",  "input": "x"}'
            status, _, raw = house.post("/v1/responses/compact", body)
            assert (status, json.loads(raw)["id"]) == (200, "c")
            assert up.requests[0].path == "/v1/responses/compact" and up.requests[0].body == body


# ------------------------------------------------------------------------------ kept by an upstream, and whose


def test_one_client_cannot_build_on_what_an_upstream_keeps_for_another():
    """The upstream is asked with one key for both."""
    with kept_by("a") as up, House(one_upstream(up.url, "responses", CLIENTS)) as house:
        _, first = ask(house, "secret", None, ALICE)
        for path in ("", "/input_tokens", "/compact"):
            body = {"model": "m", "input": "what did she say", "previous_response_id": first["id"]}
            status, _, raw = house.post(f"/v1/responses{path}", body, BOB)
            assert status == 400 and json.loads(raw)["error"]["code"] == "previous_response_not_found"
        assert len(up.requests) == 1
        assert ask(house, "go on", first["id"], ALICE)[0] == 200
        assert up.requests[1].json["previous_response_id"] == first["id"]
        assert ask(house, "go on", "resp_of_old", BOB)[0] == 400  # nobody knows whose it is


ODD = {
    "an escaped name": '{"model":"m","input":"q","previous_response\\u005fid":"ID"}',
    "an escaped value": '{"model":"m","input":"q","previous_response_id":"\\u0072esp_a"}',
    "twice, null last": '{"model":"m","input":"q","previous_response_id":"ID","previous_response_id":null}',
    "twice, null first": '{"model":"m","input":"q","previous_response_id":null,"previous_response_id":"ID"}',
    "odd input": '{"model":"m","input":{"a":1},"previous_response_id":"ID"}',
    "a conversation": '{"model":"m","input":"q","conversation":"conv_1"}',
    "a conversation's id": '{"model":"m","input":"q","c\\u006fnversation":{"id":"conv_1"}}',
}


@pytest.mark.parametrize("said", ODD)
def test_however_it_is_named_nobody_builds_on_anothers(said):
    with kept_by("a") as up, House(one_upstream(up.url, "responses", CLIENTS)) as house:
        _, first = ask(house, "secret", None, ALICE)
        status, _, _ = house.post("/v1/responses", ODD[said].replace("ID", first["id"]).encode(), BOB)
        for request in up.requests[1:]:
            assert "previous_response_id" not in request.json or request.json["previous_response_id"] is None
            assert first["id"].encode() not in request.body
        assert status == (200 if said == "twice, null last" else 400)


def test_after_a_restart_nobody_gets_what_may_be_anothers():
    with kept_by("a") as up:
        with House(one_upstream(up.url, "responses", CLIENTS)) as house:
            _, first = ask(house, "secret", None, ALICE)
        with House(one_upstream(up.url, "responses", CLIENTS)) as house:
            for method, part in (("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")):
                assert house.request(method, f"/v1/responses/{first['id']}{part}", None, BOB)[0] == 404
            assert ask(house, "go on", first["id"], BOB)[0] == 400
        with House(one_upstream(up.url, "responses")) as house:  # one user: it can be nobody else's
            assert house.request("GET", f"/v1/responses/{first['id']}", None, {})[0] == 200


@pytest.mark.parametrize(("forwarded", "status"), [("true", 200), ("false", 400)])
def test_an_upstream_that_sees_each_clients_own_key_tells_them_apart_itself(forwarded, status):
    """A token that is renewed every hour is still the same person's."""
    with kept_by("a") as up:
        with House(one_upstream(up.url, "responses", f"forward_client_key = {forwarded}")) as house:
            _, first = ask(house, "hi", None, {"Authorization": "Bearer token-of-noon"})
            later = {"Authorization": "Bearer token-of-one"}
            assert ask(house, "go on", first["id"], later)[0] == status
            assert house.get(f"/v1/responses/{first['id']}", later)[0] == (200 if status == 200 else 404)
