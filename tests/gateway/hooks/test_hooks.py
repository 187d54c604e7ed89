"""Hooks: they see requests and whole replies, may refuse or change them, and are waited for only so long."""

from __future__ import annotations

import gc
import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.flow.client_request import ClientRequest
from gateway.flow.flow import Flow
from gateway.hooks.held_reply import HeldReply
from operate.settings.load import SettingsError, read
from tests.support.house import House
from tests.support.script import Answer, Gate, Request, Upstream

PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
CHUNKS = [b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"he"}}]}\n\n',
          b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"llo"}}]}\n\n',
          b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
          b"data: [DONE]\n\n"]  # fmt: skip


OF_ONE = re.compile(rb'"(?:id|item_id)":\s*"[^"]*"|"(?:created|created_at|completed_at)":\s*\d+')
"""What is of one reply alone."""


def says(text: str) -> Answer:
    message = {"role": "assistant", "content": text}
    return Answer.json({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
                        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})  # fmt: skip


def body(protocol: str, text: str = "hi", **more: Any) -> dict[str, Any]:
    if protocol == "responses":
        return {"model": "m", "input": text} | more
    return {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": text}]} | more


def settings(up: Upstream, hooks: str) -> str:
    once = "[models]\n* = up\n[retry]\nmax_attempts = 1\n"
    return f"[upstream up]\nprotocol = chat\nbase_url = {up.url}\n{once}{hooks}\n"


def by_url(hook: Upstream, more: str = "") -> str:
    return f"[hook guard]\nurl = {hook.url}/check\nheaders =\n    X-Key: hook-secret-key-1\n{more}\n"


def action(said: dict[str, Any]) -> Any:
    return lambda request: Answer.json(said)


def text_of(protocol: str, raw: bytes) -> str:
    said = json.loads(raw)
    if protocol == "chat":
        return str(said["choices"][0]["message"]["content"])
    return str(said["content"][0]["text"] if protocol == "messages" else said["output"][0]["content"][0]["text"])


@pytest.mark.parametrize("protocol", PATHS)
def test_a_hook_sees_the_request_and_the_whole_reply(protocol: str) -> None:
    with Upstream(action({"action": "allow"})) as hook, Upstream([says("hello")]) as up:
        with House(settings(up, by_url(hook))) as house:
            status, headers, raw = house.post(PATHS[protocol], body(protocol), {"x-session-id": "s"})
            page = house.get("/metrics")[2].decode()
    assert status == 200 and text_of(protocol, raw) == "hello" and headers["x-proxy-upstream"] == "up"
    first, second = [request.json for request in hook.requests]
    assert (first["event"], first["protocol"], first["model"]) == ("request", protocol, "m")
    assert first["body"] == body(protocol)
    assert second["event"] == "reply" and second["request"] == body(protocol) and second["body"] == json.loads(raw)
    assert first["request_id"] == second["request_id"] == headers["x-request-id"]
    assert hook.requests[0].path == "/check" and hook.requests[0].headers["x-key"] == "hook-secret-key-1"
    assert 'proxy_hook_answers_total{event="reply",hook="guard",outcome="allowed"} 1.0' in page


@pytest.mark.parametrize("protocol", PATHS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("event", ["request", "reply"])
def test_a_refusal_is_an_error_of_the_protocol(protocol: str, stream: bool, event: str, tmp_path: Path) -> None:
    refuses = {"action": "refuse", "message": "no secrets, please", "status": 422}
    reply = Answer.sse(CHUNKS) if stream else says("hello")
    with Upstream(action(refuses)) as hook, Upstream([reply]) as up:
        with House(settings(up, by_url(hook, f"on = {event}")), folder=tmp_path) as house:
            status, headers, raw = house.post(PATHS[protocol], body(protocol, stream=stream))
    said = json.loads(raw)
    assert status == 422 and said["error"]["message"].startswith("no secrets, please")
    assert (said.get("type") == "error") == (protocol == "messages") and headers["content-type"] == "application/json"
    assert len(up.requests) == (event == "reply")
    record = json.loads((tmp_path / "errors.json").read_text())
    assert record["status"] == 422 and record["request_id"] == headers["x-request-id"]


@pytest.mark.parametrize("protocol", PATHS)
def test_a_hook_may_change_both(protocol: str) -> None:
    def judge(request: Request) -> Answer:
        said = request.json["body"]
        if request.json["event"] == "request":
            return Answer.json({"action": "change", "body": body(protocol, "[masked]")})
        return Answer.json({"action": "change", "body": json.loads(json.dumps(said).replace("hello", "bye"))})

    with Upstream(judge) as hook, Upstream([says("hello")]) as up, House(settings(up, by_url(hook))) as house:
        status, _, raw = house.post(PATHS[protocol], body(protocol, "my card is 4111"))
    assert status == 200 and text_of(protocol, raw) == "bye"
    assert "[masked]" in up.requests[0].body.decode() and "4111" not in up.requests[0].body.decode()


@pytest.mark.parametrize("protocol", PATHS)
def test_a_stream_is_held_and_may_be_another_one(protocol: str) -> None:
    """What is allowed has the same bytes as without a hook."""
    plain = streamed(protocol, "")
    with Upstream(action({"action": "allow"})) as hook:
        assert streamed(protocol, by_url(hook)) == plain
        assert "hello" in json.dumps(hook.requests[1].json["body"])

    def judge(request: Request) -> Answer:
        changed = json.loads(json.dumps(request.json["body"]).replace("hello", "bye"))
        return Answer.json({"action": "change", "body": changed})

    with Upstream(judge) as hook:
        got = streamed(protocol, by_url(hook, "on = reply"))
    assert b"bye" in got and b"hello" not in got and b'"llo"' not in got
    ends = {"chat": b"[DONE]", "messages": b"message_stop", "responses": b"response.completed"}
    assert ends[protocol] in got


def streamed(protocol: str, hooks: str) -> bytes:
    with Upstream([Answer.sse(CHUNKS)]) as up, House(settings(up, hooks)) as house:
        status, headers, raw = house.post(PATHS[protocol], body(protocol, stream=True))
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    return OF_ONE.sub(b"", raw)


@pytest.mark.parametrize("stream", [False, True])
def test_a_changed_body_that_is_no_reply(stream: bool) -> None:
    """Of a whole reply it is the hook's own business; a stream cannot be made of it."""
    reply = Answer.sse(CHUNKS) if stream else says("hello")
    nonsense = {"action": "change", "body": {"choices": "x"}}
    with Upstream(action(nonsense)) as hook, Upstream([reply]) as up:
        with House(settings(up, by_url(hook, "on = reply"))) as house:
            status, _, raw = house.post(PATHS["chat"], body("chat", stream=stream))
            house.wait(lambda p: not p.service.flows)
    assert (status, json.loads(raw)) == (200, nonsense["body"]) if not stream else status >= 500


def test_nothing_of_a_stream_goes_out_before_the_hook_has_spoken() -> None:
    gate = Gate()
    slow = Answer.json({"action": "refuse", "message": "no"}, delay=gate)
    with Upstream([slow]) as hook, Upstream([Answer.sse(CHUNKS)]) as up:
        with House(settings(up, by_url(hook, "on = reply"))) as house, house.connect() as client:
            client.send("POST", PATHS["chat"], body("chat", stream=True))
            hook.wait(lambda h: len(h.requests) == 1)
            client.socket.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.head()
            gate.open()
            client.socket.settimeout(10)
            assert client.reply()[0] == 400


@pytest.mark.parametrize("stream", [False, True])
def test_an_operator_may_cancel_what_a_hook_holds_and_the_client_is_told(stream: bool) -> None:
    answer = Answer.sse(CHUNKS) if stream else says("hello")
    with Upstream([Answer.silence()]) as hook, Upstream([answer]) as up:
        with House(settings(up, by_url(hook, "on = reply"))) as house, house.connect() as client:
            client.send("POST", PATHS["messages"], body("messages", stream=stream))
            hook.wait(lambda h: len(h.requests) == 1)
            (key,) = house.on_loop(lambda: [flow.request.key for flow in house.proxy.service.flows])
            assert house.post(f"/dashboard/cancel/{key}", {})[0] == 200
            status, _, raw = client.reply()
            assert status == 403 and b"an operator of the proxy has cancelled this request" in raw
            house.wait(lambda p: not p.service.flows and not p.service.in_flight.askings)


def test_a_hook_that_fails_when_the_client_has_left_is_no_error_of_the_proxy(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with Upstream([Answer(500, delay=gate)]) as hook, Upstream([says("hello")]) as up:
        with House(settings(up, by_url(hook, "on = request"))) as house:
            with house.connect() as client:
                client.send("POST", PATHS["chat"], body("chat"))
                hook.wait(lambda h: len(h.requests) == 1)
            house.wait(lambda p: not p.service.flows)
            gate.open()
            house.wait(lambda p: not p.service.in_flight.askings)
            gc.collect()
    assert "gave no answer" in caplog.text and "never retrieved" not in caplog.text
    assert not up.requests


def test_a_hook_may_see_a_stream_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    with Upstream(action({"action": "refuse", "message": "too late"})) as hook, Upstream([Answer.sse(CHUNKS)]) as up:
        with House(settings(up, by_url(hook, "on = reply\nstreams = after"))) as house:
            assert b"[DONE]" in house.post(PATHS["chat"], body("chat", stream=True))[2]
            hook.wait(lambda h: len(h.requests) == 1)
            house.wait(lambda p: not p.service.in_flight.askings)
    assert any("too late" in line.getMessage() for line in caplog.records)


@pytest.mark.parametrize("fail", ["closed", "open"])
@pytest.mark.parametrize(
    "answer",
    [Answer.silence(), Answer.drop(), Answer(500), Answer(200, {}, b"no json"), Answer.json([]),
     Answer.json({"action": "explode"}), Answer.json({"action": "change"})],
    ids=["silent", "gone", "500", "text", "list", "unknown", "no body"],
)  # fmt: skip
def test_a_hook_without_an_answer(answer: Answer, fail: str) -> None:
    with Upstream([answer]) as hook, Upstream([says("hello")]) as up:
        with House(settings(up, by_url(hook, f"timeout = 0.2\nfail = {fail}"))) as house:
            status, _, raw = house.post(PATHS["chat"], body("chat"))
    assert status == (200 if fail == "open" else 503)
    assert fail == "open" or b"the hook 'guard' of the proxy did not answer" in raw


def test_an_empty_answer_allows() -> None:
    with Upstream([Answer(204), Answer(200)]) as hook, Upstream([says("hello")]) as up:
        with House(settings(up, by_url(hook))) as house:
            assert house.post(PATHS["chat"], body("chat"))[0] == 200


def test_several_hooks_and_their_models() -> None:
    """Each sees what the one before has made of it."""
    first = action({"action": "change", "body": body("chat", "changed")})
    allows = action({})
    with Upstream(first) as one, Upstream(allows) as two, Upstream(allows) as never, Upstream([says("x")]) as up:
        hooks = by_url(one, "on = request") + by_url(two).replace("guard", "two")
        hooks += by_url(never, "models = gpt-*").replace("guard", "never")
        with House(settings(up, hooks)) as house:
            assert house.post(PATHS["chat"], body("chat"))[0] == 200
    assert two.requests[0].json["body"] == body("chat", "changed") and not never.requests


# ------------------------------------------------------------------------------------------------- Python

FILE = """
import asyncio, time

def request(event):
    text = event["body"]["messages"][0]["content"]
    if "slow" in text:
        time.sleep(0.5)
    if "broken" in text:
        raise RuntimeError("a mistake")
    if "secret" in text:
        return {"action": "refuse", "message": "it is secret"}

async def reply(event):
    await asyncio.sleep(0)
    event["body"]["choices"][0]["message"]["content"] += "!"
    return {"action": "change", "body": event["body"]}
"""


@pytest.mark.parametrize(("text", "status"), [("hi", 200), ("a secret", 400), ("broken", 503), ("slow", 503)])
def test_a_python_file(text: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "guard.py").write_text(FILE)
    hook = f"[hook guard]\npython = {tmp_path}/guard.py\ntimeout = 0.2\n"
    with Upstream([says("hello")]) as up, House(settings(up, hook)) as house:
        got, _, raw = house.post(PATHS["chat"], body("chat", text))
    assert got == status and (status != 200 or text_of("chat", raw) == "hello!")


def test_a_file_that_cannot_be_loaded_lets_nothing_through(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "guard.py").write_text("import no_such_module_here")
    hook = f"[hook guard]\npython = {tmp_path}/guard.py\n"
    with Upstream([says("hello")]) as up, House(settings(up, hook)) as house:
        assert house.post(PATHS["chat"], body("chat"))[0] == 503
    assert any("no_such_module_here" in line.getMessage() for line in caplog.records)


@pytest.mark.parametrize(
    "hook",
    ["", "url = http://a\npython = /etc/hostname", "python = /no/such/file.py", "url = ftp://a",
     "url = http://a\non = x", "url = http://a\nfail = maybe"],
)  # fmt: skip
def test_settings_that_are_none(hook: str) -> None:
    with pytest.raises(SettingsError):
        read(f"[upstream a]\nprotocol = chat\nbase_url = http://a\n[hook h]\n{hook}\n", environ={})


def test_a_hooks_key_is_a_secret() -> None:
    found = read("[upstream a]\nprotocol = chat\nbase_url = http://a\n[hook h]\nurl = http://b\nheaders =\n"
                 "    X-Key: hook-secret-key-1\n", environ={})  # fmt: skip
    assert "hook-secret-key-1" in found.secrets() and "hook-secret" not in "\n".join(found.describe())


def test_without_hooks_a_request_meets_nothing_of_them() -> None:
    with Upstream([says("x")]) as up, House(settings(up, "")) as house:
        assert house.on_loop(lambda: house.proxy.service.ports.hooks) is None


def test_a_request_leaves_nothing_behind() -> None:
    """Nothing of it waits for the collector, whatever the hook has said."""

    def judge(request: Request) -> Answer:
        refuses = "secret" in json.dumps(request.json["request"]) if request.json["event"] == "reply" else False
        return Answer.json({"action": "refuse", "message": "no"} if refuses else {"action": "allow"})

    def script(request: Request) -> Answer:
        return Answer.sse(CHUNKS) if request.json.get("stream") else says("hello")

    def ours() -> list[object]:
        return [each for each in gc.get_objects() if isinstance(each, HeldReply | Flow | ClientRequest)]

    with Upstream(judge) as hook, Upstream(script) as up, House(settings(up, by_url(hook))) as house:
        house.post(PATHS["chat"], body("chat"))
        house.wait(lambda p: not p.service.flows)
        gc.collect()
        kept = ours()  # of tests before this one
        others = set(map(id, kept))
        gc.disable()
        try:
            for text, stream in [("hi", False), ("hi", True), ("secret", False), ("secret", True)]:
                house.post(PATHS["chat"], body("chat", text, stream=stream))
            house.wait(lambda p: not p.service.flows and not p.service.in_flight.askings and not p._server._connections)
            assert [each for each in house.on_loop(ours) if id(each) not in others] == []
        finally:
            gc.enable()
            del kept
