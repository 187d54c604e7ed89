"""Clients that get their replies in another form than their protocol's own: hooks see them as all others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.passing.reframed import Reframed
from tests.gateway.flow.test_early_head import BEDROCK, CHAT, GOOGLE, IN_OTHER_FORMS, OLLAMA
from tests.support import waiting
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import house_text, says, streams

ASKS: dict[str, dict[str, Any]] = {**IN_OTHER_FORMS, GOOGLE: {"contents": [{"parts": [{"text": "x"}]}]}}
WHOLE = {OLLAMA: {"stream": False}, "/api/generate": {"stream": False}, CHAT: {"stream": False}}
CASES = [(path, ask, True) for path, ask in ASKS.items()]
CASES += [(path, ASKS[path] | more, False) for path, more in WHOLE.items()]


class Guard:
    """A hook that says this of each reply. seen: what it was shown."""

    def __init__(self, action: str) -> None:
        self.action = action
        self.seen: list[str] = []

    def __call__(self, request: Request) -> Answer:
        event = request.json
        if event["event"] != "reply":
            return Answer.json({"action": "allow"})
        self.seen.append(json.dumps(event["body"]))
        if self.action == "change":
            return Answer.json({"action": "change", "body": json.loads(self.seen[-1].replace("hello", "goodbye"))})
        return Answer.json({"action": self.action, "message": "not for you"})


def answered(path: str, ask: dict[str, Any], guard: Guard, more: str = "") -> tuple[int, dict[str, str], bytes]:
    def answer(request: Request) -> Answer:
        return Answer.sse(streams("hello")) if request.json.get("stream") else says("hello")

    with Upstream(answer) as up, Upstream(guard) as hook:
        with House(house_text("* = a", f"[hook guard]\nurl = {hook.url}\n{more}", a=up.url)) as house:
            reply = house.post(path, ask)
            if "after" in more:
                waiting.until(lambda: bool(guard.seen))
            return reply


@pytest.mark.parametrize("more", ["", "streams = after\n"])
@pytest.mark.parametrize(("path", "ask", "stream"), CASES)
def test_it_sees_what_the_client_gets(path: str, ask: dict[str, Any], stream: bool, more: str) -> None:
    guard = Guard("allow")
    status, headers, raw = answered(path, ask, guard, more)
    plain = answered(path, ask, Guard("allow"), "models = other\n")
    assert status == plain[0] == 200 and headers["content-type"] == plain[1]["content-type"]
    assert path == BEDROCK or b"hello" in raw
    assert len(guard.seen) == 1 and "hello" in guard.seen[0]


@pytest.mark.parametrize(("path", "ask", "stream"), CASES)
def test_what_it_changes_comes_in_the_clients_form(path: str, ask: dict[str, Any], stream: bool) -> None:
    status, headers, raw = answered(path, ask, Guard("change"))
    assert status == 200 and b"hello" not in raw and (path == BEDROCK or b"goodbye" in raw)
    if path.startswith("/api"):
        lines = [json.loads(line) for line in raw.splitlines()]
        assert lines[-1]["done"] is True and all("model" in line for line in lines)
        assert headers["content-type"].startswith("application/x-ndjson" if stream else "application/json")
    if path == GOOGLE:
        assert json.loads(raw)[0]["candidates"]


@pytest.mark.parametrize(("path", "ask", "stream"), CASES)
def test_its_refusal_is_an_error_in_the_clients_form(path: str, ask: dict[str, Any], stream: bool) -> None:
    status, _, raw = answered(path, ask, Guard("refuse"))
    assert status == 400 and b"hello" not in raw
    said = json.loads(raw)
    if path.startswith("/api"):
        assert said == {"error": "not for you"}
    elif path == BEDROCK:
        assert said["message"] == "not for you"
    else:
        assert "not for you" in str(said["error"])


@pytest.mark.parametrize("more", ["models = other\n", "on = request\n"])
def test_nothing_is_kept_for_a_hook_that_does_not_see_it(more: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reframed, "_keep", None)
    assert b"hello" in answered(OLLAMA, ASKS[OLLAMA], Guard("allow"), more)[2]


def test_what_the_cache_has_is_seen_too() -> None:
    guard = Guard("allow")
    cache = "[cache]\nmodels = *\n"
    ask = ASKS[OLLAMA] | {"options": {"temperature": 0}}
    with Upstream(lambda request: Answer.sse(streams("hello"))) as up, Upstream(guard) as hook:
        with House(house_text("* = a", f"[hook guard]\nurl = {hook.url}\n{cache}", a=up.url)) as house:
            for _ in range(3):
                assert b"hello" in house.post(OLLAMA, ask)[2]
    assert len(guard.seen) == 3 and all("hello" in said for said in guard.seen)
