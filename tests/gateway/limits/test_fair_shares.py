"""Several clients: what one of them does is its own affair, for slots, faults and quotas alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from gateway.limits.blame import WINDOW_S, Blame
from gateway.limits.shares import Shares, share
from gateway.refusals.own_words import OwnWords
from tests.support.house import ONCE, House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream
from tests.support.two_upstreams import error, says

PATH = "/v1/chat/completions"
CLIENTS = "[client alice]\nkey = alice-key-0123456789\n[client mallory]\nkey = mallory-key-012345678\n"
ALICE, MALLORY = {"x-api-key": "alice-key-0123456789"}, {"x-api-key": "mallory-key-012345678"}


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}]} | more


def test_a_fault_of_one_client_alone_is_not_the_upstreams() -> None:
    blame = Blame()
    assert blame.is_the_upstreams("a/m", "403", "mallory", 0)  # as long as there is nobody else
    blame.several = True
    assert not any(blame.is_the_upstreams("a/m", "403", "mallory", now) for now in range(100))
    assert blame.is_the_upstreams("a/m", "403", "alice", 100)
    assert not blame.is_the_upstreams("a/m", "fault", "alice", 100)
    blame.answered("a/m", "fault")
    assert not blame.is_the_upstreams("a/m", "fault", "mallory", 101)
    assert not blame.is_the_upstreams("a/m", "403", "alice", 102 + 2 * WINDOW_S)


def test_nobody_takes_everything() -> None:
    assert [share(n) for n in (1, 2, 5, 20, 100)] == [1, 1, 4, 16, 80]
    shares = Shares()
    for _ in range(16):
        shares.takes("m", "up")
    assert shares.may_take("m", "up", 20, 20)
    shares.several = True
    assert not shares.may_take("m", "up", 20, 20) and shares.may_take("a", "up", 20, 20)
    assert shares.may_take("m", "other", 20, 40) and not shares.may_take("m", "other", 20, 20)
    for _ in range(16):
        shares.takes("m", "up", -1)
    assert repr(shares) == "<Shares {}>"


@pytest.mark.parametrize(
    "quoted", ["credit balance is too low", "Credit  balance is\\ntoo low", "credit-balance is too l\\u006fw"]
)
def test_a_quotation_is_known_however_it_is_written(quoted: str) -> None:
    body = f'{{"a":["x {quoted} y"]}}'.encode()
    assert OwnWords(body).holds("credit balance is too low") and not OwnWords(body).holds("no credits")


def bad_for(word: str, answer: Answer) -> Callable[[Request], Answer]:
    return lambda request: answer if word.encode() in request.body else says("first")


@pytest.mark.parametrize("answer", [error(403), error(404), error(500), Answer.drop()])
def test_others_stay_where_they_were(answer: Answer) -> None:
    with Upstream(bad_for("evil", answer)) as a, Upstream(lambda r: says("second")) as b:
        text = f"[upstream a]\nprotocol = chat\nbase_url = {a.url}\n[upstream b]\nprotocol = chat\nbase_url = {b.url}\n"
        with House(text + "[models]\nm = a, b\n" + CLIENTS + ONCE) as house:
            for _ in range(8):
                house.post(PATH, ask("evil", model="a/m"), MALLORY)
            assert house.get("/readyz")[0] == 200
            _, headers, _ = house.post(PATH, ask("hello"), ALICE)
            assert headers["x-proxy-upstream"] == "a"


def test_once_others_meet_it_too_it_counts() -> None:
    with Upstream(lambda r: error(500)) as a, House(one_upstream(a.url, "chat", CLIENTS) + ONCE) as house:
        for _ in range(6):
            house.post(PATH, ask("x"), MALLORY)
        assert house.get("/readyz")[0] == 200
        for _ in range(6):
            house.post(PATH, ask("x"), ALICE)
        assert house.get("/readyz")[0] == 503


def test_one_client_leaves_places_for_others() -> None:
    gate = Gate()

    def slow(request: Request) -> Answer:
        return replace(says("slow"), delay=gate) if b"slow" in request.body else says("quick")

    bounds = "[admission]\nmax_concurrent = 5\nqueue = 5\nqueue_seconds = 5\n"
    with Upstream(slow) as up, House(one_upstream(up.url, "chat", CLIENTS) + bounds) as house, ExitStack() as open_ones:
        clients = [open_ones.enter_context(house.connect()) for _ in range(10)]
        for client in clients:
            client.send("POST", PATH, ask("slow"), MALLORY)
        house.wait(lambda p: p.service.admission.busy == 4 and p.service.admission.waiting == 4)
        assert house.post(PATH, ask("hello"), ALICE)[0] == 200
        gate.open()
        statuses = sorted(client.reply()[0] for client in clients)
        assert statuses == [200] * 8 + [503] * 2
        house.wait(lambda p: repr(p.service.admission.shares) == "<Shares {}>")


BOUND = "[client alice]\nkey = alice-key-0123456789\n{}\n"


@pytest.mark.parametrize("more", [{}, {"max_tokens": 5_000}, {"max_completion_tokens": 9_999}])
def test_many_at_once_are_charged_before_their_replies_come(more: dict[str, Any]) -> None:
    gate = Gate()
    bound = BOUND.format("tokens_per_minute = 10000")
    chat = lambda url: House(one_upstream(url, "chat", bound))  # noqa: E731
    with Upstream(lambda r: replace(says("x"), delay=gate)) as up, chat(up.url) as house, ExitStack() as open_ones:
        clients = [open_ones.enter_context(house.connect()) for _ in range(8)]
        for client in clients:
            client.send("POST", PATH, ask("x", **more), ALICE)
        house.wait(lambda p: len(up.requests) >= 3)
        gate.open()
        assert sorted(client.reply()[0] for client in clients) == [200] * 3 + [429] * 5


def test_a_background_response_is_paid_for() -> None:
    queued = Answer.json({"id": "resp_1", "object": "response", "status": "queued", "output": [], "usage": None})
    bound = BOUND.format("tokens_per_minute = 10000")
    with Upstream([queued]) as up, House(one_upstream(up.url, "responses", bound)) as house:
        statuses = [house.post("/v1/responses", ask("x", input="x", background=True), ALICE)[0] for _ in range(6)]
    assert statuses == [200] * 3 + [429] * 3


def test_questions_to_an_upstream_are_requests() -> None:
    def answer(request: Request) -> Answer:
        return Answer.json({"input_tokens": 77} if "count" in request.path else {"id": "resp_1"})

    bound = BOUND.format("requests_per_minute = 3")
    with Upstream(answer) as up, House(one_upstream(up.url, "messages, responses", bound)) as house:
        assert [house.get(f"/v1/responses/resp_{n}", ALICE)[0] for n in range(4)] == [200, 200, 200, 429]
        status, headers, body = house.post("/v1/messages/count_tokens", ask("hello"), ALICE)
        assert status == 200 and headers["x-proxy-estimate"] == "true" and json.loads(body)["input_tokens"] > 0
        assert len(up.requests) == 3


def test_a_count_that_asks_nobody_costs_nothing() -> None:
    bound = BOUND.format("requests_per_minute = 2")
    with Upstream([Answer.json({"input_tokens": 77})]) as up, House(one_upstream(up.url, "messages", bound)) as house:
        for _ in range(5):
            assert house.post("/v1/messages/count_tokens", ask("hello"), ALICE)[0] == 200
        assert len(up.requests) == 1
        assert house.post("/v1/messages", ask("x", max_tokens=5), ALICE)[0] == 200
