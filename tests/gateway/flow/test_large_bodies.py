"""A large body that must be read is read and written anew in a thread, and the loop goes on with others meanwhile."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from gateway.flow import outline
from gateway.flow.client_request import LARGE
from gateway.flow.flow import Flow
from gateway.flow.states import Event
from gateway.refusals import learned_quirks
from tests.support.house import House
from tests.support.script import Answer, Upstream
from translate.json import wire

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
REPLY = Answer.json({"type": "message", "role": "assistant", "content": [{"type": "text", "text": "a"}], "usage": {}})
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * LARGE}}
SEEN: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [PICTURE]}]}
TEXTS = [{"role": "user", "content": f"{n} \u00e9 " + "x" * 9_000} for n in range(150)]
LONG: dict[str, Any] = SEEN | {"messages": TEXTS}
ITEMS: dict[str, Any] = {"model": "m", "input": LONG["messages"], "store": False}


def settings(url: str, more: str = "") -> str:
    return f"[upstream up]\nprotocol = messages\nbase_url = {url}\n{more}[models]\n* = up\n"


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is done with bodies, and in which thread."""
    done: list[tuple[str, str]] = []
    for module, name in ((outline, "parse"), (learned_quirks, "crossed")):
        before = getattr(module, name)

        def noted(*args: Any, _name: str = name, _before: Any = before, **more: Any) -> Any:
            done.append((_name, threading.current_thread().name.partition("_")[0]))
            return _before(*args, **more)

        monkeypatch.setattr(module, name, noted)
    return done


@pytest.mark.parametrize(("path", "body"), [(CHAT, SEEN), (CHAT, LONG), (RESPONSES, ITEMS)])
def test_it_is_read_and_written_in_a_thread(path: str, body: dict[str, Any], threads: list[tuple[str, str]]) -> None:
    with Upstream([REPLY]) as up, House(settings(up.url)) as house:
        assert house.post(path, body)[0] == 200
        assert house.on_loop(lambda: house.proxy.service.held_bytes) == 0
        said = [message["content"] for message in up.requests[0].json["messages"]]
        if body is not SEEN:
            texts = [part["text"] for content in said for part in content if isinstance(part, dict)]
            sent = [each["content"] for each in LONG["messages"]]
            assert "".join(texts or said).replace("\n", "") == "".join(sent)
    assert threads == [("parse", "large bodies"), ("crossed", "large bodies")]


def test_a_small_one_is_not(threads: list[tuple[str, str]]) -> None:
    with Upstream([REPLY]) as up, House(settings(up.url)) as house:
        assert house.post(CHAT, SEEN | {"messages": [{"role": "user", "content": "hi"}]})[0] == 200
    assert [name for name, _ in threads] == ["parse", "crossed"]
    assert all(thread != "large bodies" for _, thread in threads)


def test_what_passes_through_is_not_read(threads: list[tuple[str, str]]) -> None:
    with Upstream([REPLY]) as up, House(settings(up.url)) as house:
        assert house.post(MESSAGES, LONG)[0] == 200
        assert up.requests[0].body == json.dumps(LONG).encode() or up.requests[0].json == LONG
    assert threads == []


def test_others_are_answered_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, goes_on = threading.Event(), threading.Event()
    before = outline.parse

    def waits(body: bytes, *args: Any, **more: Any) -> Any:
        if len(body) >= LARGE:
            reads.set()
            assert goes_on.wait(10)
        return before(body, *args, **more)

    monkeypatch.setattr(outline, "parse", waits)
    with Upstream([REPLY, REPLY]) as up, House(settings(up.url)) as house, house.connect() as client:
        client.send("POST", CHAT, LONG)
        assert reads.wait(10)
        assert house.post(CHAT, SEEN | {"messages": [{"role": "user", "content": "hi"}]})[0] == 200
        goes_on.set()
        assert client.reply()[0] == 200


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{" + b" " * LARGE + b'"model": "m", "messages": [', 400, "not valid JSON"),
        (wire.dumps(LONG | {"messages": LONG["messages"] * 2, "stream": "x"}), 400, "stream"),
        (wire.dumps(LONG | {"messages": [7, *LONG["messages"]]}), 400, "messages"),
        (wire.dumps(LONG | {"messages": [{"role": "user", "content": "x" * 60}] * 21_000}), 400, "21000 are too many"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_it_is_told(body: bytes, status: int, said: str) -> None:
    with Upstream([REPLY]) as up, House(settings(up.url)) as house:
        told = house.request("POST", CHAT, body)
        assert told[0] == status and said in told[2].decode() and not up.requests
        assert house.on_loop(lambda: house.proxy.service.held_bytes) == 0


def test_what_cannot_cross_is_told() -> None:
    with Upstream([REPLY]) as up, House("[translate]\nstrict = true\n" + settings(up.url)) as house:
        status, _, said = house.post(CHAT, LONG | {"seed": 7})  # which Messages has no word for
        assert status == 400 and json.loads(said)["error"]["param"] == "seed" and not up.requests


def test_who_leaves_meanwhile_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    left: list[object] = []
    monkeypatch.setattr(Flow, "_start", lambda flow, *args: started.append(flow))
    takes_event = Flow.on

    def leaves(flow: Flow, event: Event, *args: Any) -> None:
        if event is Event.RESOLVED:
            left.append(flow)
            flow._client_left()
        takes_event(flow, event, *args)

    monkeypatch.setattr(Flow, "on", leaves)
    with Upstream([REPLY]) as up, House(settings(up.url)) as house, house.connect() as client:
        client.send("POST", CHAT, SEEN)
        house.wait(lambda p: left and not p.service.flows)
        assert not started and not up.requests and house.on_loop(lambda: house.proxy.service.held_bytes) == 0
