"""Steps that many requests take one after the other."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gateway.flow import prepare, waves
from gateway.flow.waves import Step, Waves, Work
from tests.gateway.flow import test_scenarios, test_scenarios_ending, test_scenarios_failover, test_scenarios_waiting
from tests.gateway.flow.playbook import Book, asks, leaves, replies, shuts_down
from tests.gateway.flow.stories import ONE_SLOT, QUOTA, opens, story
from tests.gateway.limits.virtual import VirtualLoop
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream

STORIES = {
    f"{module.__name__.rpartition('.')[2]}: {name}": steps
    for module in (test_scenarios, test_scenarios_ending, test_scenarios_failover, test_scenarios_waiting)
    for name, steps in module.STORIES.items()
}
CLIENTS = 24


class Soon:
    """The next turn of a loop."""

    def __init__(self) -> None:
        self.calls: list[Work] = []
        self.done: list[str] = []

    def later(self, work: Work) -> None:
        self.calls.append(work)

    def turn(self) -> list[str]:
        """Returns what was done in it."""
        self.done = []
        now, self.calls = self.calls, []
        for call in now:
            call()
        return self.done

    def notes(self, what: str) -> Callable[[], None]:
        return lambda: self.done.append(what)


def ends_many(of: Waves, count: int = waves.MANY) -> None:
    of.hold()
    for _ in range(count):
        of.add(Step.CLOSE, lambda: None)
    of.let_go()


def test_who_is_alone_waits_for_nobody() -> None:
    soon = Soon()
    one = Waves(soon.later)
    for step in Step:
        one.add(step, soon.notes(step.name))
    assert soon.done == [step.name for step in Step] and not soon.calls


def test_replies_that_come_together_take_each_step_together() -> None:
    soon = Soon()
    many = Waves(soon.later)

    def answers(name: str) -> None:
        soon.notes(f"answer {name}")()
        many.add(Step.GIVE, soon.notes(f"give {name}"))
        many.add(Step.CLOSE, soon.notes(f"close {name}"))

    many.hold()
    for name in "ab":
        many.add(Step.ANSWER, lambda name=name: answers(name))  # type: ignore[misc]
    assert soon.done == []
    many.let_go()
    assert soon.done == ["answer a", "answer b", "give a", "give b", "close a", "close b"] and not soon.calls


def test_requests_wait_for_each_other_where_many_replies_have_just_ended() -> None:
    soon = Soon()
    many = Waves(soon.later)
    many.add(Step.READ, soon.notes("at once"))
    assert soon.done == ["at once"]
    ends_many(many, waves.MANY - 1)
    many.add(Step.READ, soon.notes("still at once"))
    assert soon.done == ["at once", "still at once"]
    ends_many(many)
    many.add(Step.READ, soon.notes("a"))
    many.add(Step.READ, soon.notes("b"))
    assert len(soon.calls) == 1 and soon.turn() == ["a", "b"]
    many.add(Step.READ, soon.notes("the wave is over"))
    assert not soon.calls and soon.done[-1] == "the wave is over"


def test_some_go_on_before_all_others_have_begun() -> None:
    soon = Soon()
    many = Waves(soon.later)
    ends_many(many, waves.AT_ONCE)
    for number in range(waves.AT_ONCE + 1):
        many.add(Step.READ, lambda n=number: many.add(Step.SEND, soon.notes(str(n))))  # type: ignore[misc]
    assert soon.turn() == [str(n) for n in range(waves.AT_ONCE)]
    assert soon.turn() == [str(waves.AT_ONCE)]


def test_who_has_a_reply_is_closed_before_he_asks_again() -> None:
    """What a request holds, as of the requests that an address may have at once, would be in the way of the next."""
    soon = Soon()
    many = Waves(soon.later)
    many.hold()
    for number in range(waves.AT_ONCE * 3):
        many.add(Step.CLOSE, soon.notes(str(number)))
    many.let_go()
    assert len(soon.done) == waves.AT_ONCE * 3 and not soon.calls


def test_an_error_of_one_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    soon = Soon()
    many = Waves(soon.later)

    def fails() -> None:
        raise ValueError("of one")

    many.hold()
    many.add(Step.ANSWER, fails)
    many.add(Step.ANSWER, soon.notes("the other"))
    many.let_go()
    assert soon.done == ["the other"] and "of one" in caplog.text


# ---- requests whose every step waits for the next turn of the loop


class Waiting(Waves):
    def add(self, step: Step, work: Work) -> None:
        self._waiting[step].append(work)
        self._ask()


@pytest.fixture
def all_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Book, "waves", staticmethod(lambda loop: Waiting(loop.call_soon)))


@pytest.mark.usefixtures("all_wait")
@pytest.mark.parametrize("name", STORIES)
def test_a_wait_changes_nothing_of_a_story(name: str) -> None:
    assert story(*STORIES[name]).is_clean()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> Soon:
    """The turn comes when the test says so."""
    turns = Soon()

    def made(loop: VirtualLoop) -> Waves:
        return Waiting(turns.later)

    monkeypatch.setattr(Book, "waves", staticmethod(made))
    return turns


def goes_on(book: Book, soon: Soon) -> None:
    with book.loop.running():
        while soon.calls:
            soon.turn()
    book.loop.advance()


def client_leaves(book: Book) -> None:
    book.flow.writer.closed = True  # type: ignore[misc]
    book.flow.writer.leaves()


@pytest.mark.parametrize(("ends", "said"), [(client_leaves, "over"), (shuts_down, "503, over")])
def test_a_request_may_end_before_it_is_read(soon: Soon, ends: Callable[[Book], None], said: str) -> None:
    book = Book()
    book >> asks(stream=False) << ""
    book >> ends
    goes_on(book, soon)
    book << said
    assert book.is_clean()


@pytest.mark.parametrize(("ends", "said"), [(leaves(), "over"), (shuts_down, "503, over")])
def test_a_request_may_end_before_its_reply_is_given(soon: Soon, ends: Any, said: str) -> None:
    book = Book()
    book >> asks(stream=False)
    goes_on(book, soon)
    book << "ask a"
    book >> replies("a") << ""
    book >> ends
    goes_on(book, soon)
    book << said
    assert book.is_clean()


def test_a_large_request_goes_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Soon()
    monkeypatch.setattr(Book, "waves", staticmethod(lambda loop: Waves(turns.later)))
    book = Book()
    ends_many(book.ports.waves)
    book >> asks(stream=False) << ""
    book >> asks(stream=False, messages=[{"role": "user", "content": "x" * waves.LARGE}]) << "ask a"
    goes_on(book, turns)
    book << "ask a"


# ---- what is translated before an upstream is asked


@pytest.fixture
def translated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The upstreams that requests are translated for, one after the other."""
    found: list[str] = []
    before = prepare.crossed

    def crossed(request: Any, route: Any, ports: Any) -> Any:
        found.append(route.upstream.name)
        return before(request, route, ports)

    monkeypatch.setattr(prepare, "crossed", crossed)
    return found


def test_a_request_is_translated_once_for_whoever_is_asked(translated: list[str]) -> None:
    """The first one of the model's line is not the first one of the plan where it rests, or others are better."""
    book = Book()
    book >> opens("a") >> asks(protocol="messages", stream=False) << "ask b" >> replies("b") << "200, over"
    assert translated == ["b"] and book.is_clean()


def test_who_waits_holds_his_body_alone(translated: list[str]) -> None:
    """What is read of it takes many times the memory, and only bodies are counted."""
    book = Book(QUOTA)
    for _ in range(12):
        book >> asks(model="one", protocol="messages", stream=False) << "ask a" >> replies("a") << "200, over"
    book >> asks(model="one", protocol="messages", stream=False) << ""
    request = book.flow.request
    assert request.data is None and request.crossed is None and request.body
    book >> 6.0 << "ask a" >> replies("a") << "200, over"
    assert translated == ["a"] * 14 and book.is_clean()


def test_what_was_translated_for_another_is_dropped() -> None:
    text = ONE_SLOT.replace("[upstream b]\nprotocol = chat", "[upstream b]\nprotocol = messages")
    book = Book(text.replace("m = a, b", "m = a | b"))
    book >> asks(model="a/m") << "ask a" >> asks(protocol="messages") << "ask b"
    assert book.flow.request.crossed is None
    book >> leaves() << "cancel b, over" >> leaves(0) << "cancel a, over"


# ---- many clients at once


@pytest.mark.parametrize("protocol", ["chat", "messages"])
def test_each_of_many_gets_its_own_answer(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of them in one piece, half as a stream, some leave: through a proxy where all waits."""
    monkeypatch.setattr(waves, "MANY", 0)
    gate = Gate()

    def answer(seen: Request) -> Answer:
        asked = seen.json["messages"][0]["content"]
        if seen.json.get("stream"):
            chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": asked}, "finish_reason": "stop"}]}
            return Answer.sse([gate, b"data: " + json.dumps(chunk).encode() + b"\n\n", b"data: [DONE]\n\n"])
        message = {"role": "assistant", "content": asked}
        reply = Answer.json({"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        reply.delay = gate
        return reply

    paths = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}
    got: dict[int, bytes] = {}
    with Upstream(answer) as up, House(one_upstream(up.url, "chat")) as house:

        def ask(number: int) -> None:
            said = {"role": "user", "content": f"<{number}>"}
            body = {"model": "m", "max_tokens": 9, "stream": number % 2 == 0, "messages": [said]}
            with house.connect() as client:
                client.send("POST", paths[protocol], body)
                if number % 6:  # the others leave
                    got[number] = client.reply()[2]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        up.wait(lambda up: len(up.requests) >= CLIENTS * 5 // 6)
        gate.open()
        for thread in threads:
            thread.join(20)
        house.wait(lambda p: not p.service.flows)
    assert set(got) == {number for number in range(CLIENTS) if number % 6}
    for number, body in got.items():
        assert body.decode().count("<") == 1 and f"<{number}>" in body.decode(), (number, body)
