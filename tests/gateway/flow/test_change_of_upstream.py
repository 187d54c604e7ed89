"""A session that goes on at another upstream: nobody is sent the thinking that another provider signed, or nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from translate.reasoning import sealed_reasoning

PATHS = {"messages": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "EqQBCgIYAhIM"}
HM = {"type": "summary_text", "text": "hm"}
ITEM = {"type": "reasoning", "id": "rs_up", "summary": [HM], "encrypted_content": "gAAA"}
USER = {"role": "user", "content": "hi"}


def answer(request: Request) -> Answer:
    """One upstream for all protocols, which thinks and proves it, each in its way; Chat's proves nothing."""
    protocol = next(name for name, path in PATHS.items() if request.path.startswith(path))
    said = {"type": "message", "id": "msg_up", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "yes", "annotations": []}]}  # fmt: skip
    message = {"role": "assistant", "content": "yes", "reasoning_content": "hm"}
    return Answer.json({
        "messages": {"id": "msg_up", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
                     "content": [SIGNED, {"type": "text", "text": "yes"}],
                     "usage": {"input_tokens": 1, "output_tokens": 1}},
        "chat": {"id": "c", "object": "chat.completion", "created": 1, "model": "m",
                 "choices": [{"index": 0, "finish_reason": "stop", "message": message}]},
        "responses": {"id": "resp_up", "object": "response", "created_at": 1, "status": "completed", "model": "m",
                      "output": [ITEM, said]},
    }[protocol])  # fmt: skip


def settings(url: str, more: str = "") -> str:
    return more + "".join(f"[upstream {name}]\nprotocol = {name}\nbase_url = {url}\n" for name in PATHS)


@pytest.fixture(scope="module")
def street() -> Iterator[tuple[House, Upstream]]:
    with Upstream(answer) as up, House(settings(up.url)) as house:
        yield house, up


def turn(client: str, model: str, history: list[Any], **more: Any) -> dict[str, Any]:
    key = "input" if client == "responses" else "messages"
    return {"model": f"{model}/m", "max_tokens": 2000, key: [*history, USER]} | more


def heard(client: str, reply: dict[str, Any]) -> list[Any]:
    """What the client will say of the reply in its history."""
    if client == "messages":
        return [{"role": "assistant", "content": reply["content"]}]
    if client == "chat":
        return [reply["choices"][0]["message"]]
    return list(reply["output"])


def post(house: House, client: str, body: Any) -> tuple[dict[str, Any], dict[str, str]]:
    status, headers, raw = house.post(PATHS[client], body)
    assert status == 200, raw
    return json.loads(raw), headers


@pytest.mark.parametrize(
    ("client", "first"),
    [
        ("messages", "chat"), ("messages", "responses"), ("responses", "chat"), ("responses", "messages"),
        ("chat", "responses"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("task", ["", "/count_tokens", "/compact"])
def test_thinking_from_elsewhere_stays_behind(street: Any, client: str, first: str, task: str) -> None:
    if task and (client, task) not in (("messages", "/count_tokens"), ("responses", "/compact")):
        return
    house, up = street
    reply, _ = post(house, client, turn(client, first, [USER]))
    history = [USER, *heard(client, reply)]
    assert sealed_reasoning.MARK in json.dumps(history).encode()
    status, headers, _ = house.post(PATHS[client] + task, turn(client, client, history))
    assert status == 200 and sealed_reasoning.MARK not in up.requests[-1].body and b"yes" in up.requests[-1].body
    words = {"messages": "messages.thinking", "chat": "messages.reasoning_details", "responses": "input.reasoning"}
    if task != "/count_tokens":
        assert headers["x-proxy-dropped"] == words[client]
    post(house, client, turn(client, first, history))  # and back again: what it signed is its own
    if first == "responses":
        assert up.requests[-1].json["input"][1]["encrypted_content"] == "gAAA"
    if (client, first) == ("responses", "messages"):
        assert up.requests[-1].json["messages"][1]["content"][0] == SIGNED


@pytest.mark.parametrize("client", list(PATHS))
def test_what_an_upstream_has_signed_itself_goes_back_to_it_to_the_byte(street: Any, client: str) -> None:
    house, up = street
    reply, _ = post(house, client, turn(client, client, [USER]))
    text = f'"{sealed_reasoning.EMPTY} is what stands for no signature'
    body = turn(client, client, [USER, *heard(client, reply), {"role": "user", "content": text}]) | {"model": "m"}
    sent = json.dumps(body, indent=1).encode().replace(b'"m"', b'"%b/m"' % client.encode())
    _, headers = post(house, client, sent)
    assert up.requests[-1].body == sent.replace(b"%b/m" % client.encode(), b"m")
    assert "x-proxy-dropped" not in headers


def test_thinking_that_is_kept_here_does_not_go_to_an_upstream_that_never_gave_it(street: Any) -> None:
    """previous_response_id: the history is ours to put before."""
    house, up = street
    reply, _ = post(house, "responses", turn("responses", "chat", []))
    body = {"model": "responses/m", "input": "go on", "previous_response_id": reply["id"]}
    _, headers = post(house, "responses", body)
    kinds = [item.get("type", "message") for item in up.requests[-1].json["input"]]
    assert kinds == ["message", "message", "message"] and headers["x-proxy-dropped"] == "input.reasoning"


def test_strict_leaves_nothing_out() -> None:
    with Upstream(answer) as up, House(settings(up.url, "[translate]\nstrict = true\n")) as house:
        history = [USER, {"role": "assistant", "content": [SIGNED | {"signature": sealed_reasoning.EMPTY}]}]
        status, _, raw = house.post("/v1/messages", turn("messages", "messages", history))
        assert status == 400 and b"messages.thinking" in raw and b"strict" in raw and up.requests == []


def test_an_upstream_that_is_such_a_proxy_gets_its_seals_back() -> None:
    def proxy(request: Request) -> Answer:
        told = answer(request)
        told.headers["X-Proxy-Upstream"] = "farther"
        return told

    history = [
        USER,
        {"role": "assistant", "content": [SIGNED | {"signature": sealed_reasoning.of_item("rs_1", "gAAA")}]},
    ]
    with Upstream(proxy) as up, House(settings(up.url)) as house:
        assert "x-proxy-dropped" in post(house, "messages", turn("messages", "messages", history))[1]
        _, headers = post(house, "messages", turn("messages", "messages", history))
        assert headers["x-proxy-upstream"] == "messages" and "x-proxy-dropped" not in headers
        assert up.requests[-1].json["messages"] == [*history, USER]


def test_a_signature_that_no_seal_is_on_is_between_client_and_upstream() -> None:
    refusal = b'{"type":"error", "error":{"type":"invalid_request_error","message":"Invalid `signature`"}}'
    with Upstream([Answer(400, {"Content-Type": "application/json"}, refusal)]) as up, House(settings(up.url)) as house:
        history = [USER, {"role": "assistant", "content": [SIGNED]}]
        status, _, raw = house.post("/v1/messages", turn("messages", "messages", history))
        assert (status, raw, len(up.requests)) == (400, refusal, 1)
