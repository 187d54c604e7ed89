"""Lesson 38: counts of tokens are local, cached and calibrated; an upstream is asked as seldom as can be."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.flow.token_counting import EVERY, FIRST, KEPT_S, MAX_KEPT, MAX_MODELS, Counting, Ratios
from tests.lessons.street import ASK, OTHER, PATHS, Json
from tests.support.house import ONCE, Client, House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream
from tests.support.streams import END, HI, ROLE, START, STOP, USAGE, chat, ending, having, messages, text
from translate.counting import tokens

COUNT = "/v1/messages/count_tokens"
INPUT_TOKENS = "/v1/responses/input_tokens"
LONG = "four words of text " * 1000
ASKED: Json = {"model": "m", "messages": [{"role": "user", "content": LONG}]}
IN_RESPONSES: Json = {"model": "m", "input": LONG}
COUNTED = Answer.json({"input_tokens": 77})


def counted(house: House, body: Any = ASKED, path: str = COUNT, **headers: str) -> tuple[int, bool]:
    """(tokens, whether they are an estimate)."""
    status, back, raw = house.post(path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    assert status == 200, raw
    assert path == COUNT or json.loads(raw)["object"] == "response.input_tokens"
    return json.loads(raw)["input_tokens"], back.get("x-proxy-estimate") == "true"


# ------------------------------------------------------------------------------------- local, calibrated


def using(prompt: int) -> Callable[[Request], Answer]:
    """A Chat upstream whose replies tell of so many tokens."""
    usage = {"prompt_tokens": prompt, "completion_tokens": 4, "total_tokens": prompt + 4}

    def answer(request: Request) -> Answer:
        if request.json.get("stream"):
            return Answer.sse(chat(ROLE, HI, END, having(USAGE, "usage", usage)))
        reply = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage}
        choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
        return Answer.json(reply | {"choices": [choice]})

    return answer


@pytest.mark.parametrize("stream", [True, False])
def test_38_estimates_learn_from_what_was_used(stream: bool) -> None:
    """By the model: its vocabulary is what is learned. message_start's seed too."""
    with Upstream(using(9_000)) as up, House(one_upstream(up.url, "chat")) as house:
        plain, is_estimate = counted(house)
        assert is_estimate and 4_000 < plain < 7_000
        first = house.post(PATHS["messages"], ASK | ASKED | {"stream": stream})
        assert first[0] == 200
        house.wait(lambda p: p.service.counting.ratios.of("up", "m", quick=False) != 1.0)
        taught, _ = counted(house)
        assert taught == pytest.approx(9_000, rel=0.02)
        assert counted(house, ASKED | {"model": "up/other"})[0] == plain
        assert counted(house, IN_RESPONSES, INPUT_TOKENS)[0] == pytest.approx(9_000, rel=0.02)
        _, _, raw = house.post(PATHS["messages"], ASK | ASKED | {"stream": True})
        start = json.loads(raw.split(b"data: ")[1].split(b"\n")[0])
        assert start["message"]["usage"]["input_tokens"] == pytest.approx(9_000, rel=0.02)
        assert len(up.requests) == 2  # a count is nobody's business


def test_38_small_requests_and_odd_usage_teach_nothing() -> None:
    small = ASK | {"messages": [{"role": "user", "content": "hi"}]}
    with Upstream(using(9_000)) as up, House(one_upstream(up.url, "chat")) as house:
        before = counted(house)[0]
        house.post(PATHS["messages"], small)
        house.wait(lambda p: not p.service.flows)
        assert counted(house)[0] == before
    with Upstream(using(0)) as up, House(one_upstream(up.url, "chat")) as house:
        house.post(PATHS["messages"], ASK | ASKED)
        house.wait(lambda p: not p.service.flows)
        assert counted(house)[0] == before


def test_38_a_messages_upstream_that_cannot_count_teaches_too() -> None:
    """What passes through to it is looked at now and then."""

    def answer(request: Request) -> Answer:
        if request.path.endswith("count_tokens"):
            return Answer.json({"error": {"message": "no"}}, 404)
        told = {"input_tokens": 1_000, "cache_read_input_tokens": 8_000, "output_tokens": 4}
        return Answer.sse(messages(START, *text(0), ending(**told), STOP))

    with Upstream(answer) as up, House(one_upstream(up.url, "messages")) as house:
        plain, is_estimate = counted(house)
        assert is_estimate and 4_000 < plain < 7_000
        for _ in range(2):
            body = json.dumps(ASK | ASKED | {"stream": True}).encode()
            house.post(PATHS["messages"], body)
            assert up.requests[-1].body == body
        house.wait(lambda p: p.service.counting.ratios.of("up", "m", quick=False) != 1.0)
        assert counted(house)[0] == pytest.approx(9_000, rel=0.02)
        assert [r.path for r in up.requests].count(COUNT) == 1  # it said that it cannot: remembered


def test_38_a_ratio_is_plausible_bounded_and_slow_to_change() -> None:
    ratios = Ratios()
    for real in (0, 1, 299, 3_501, 10**9):  # a server that leaves cached tokens out, or counts something else
        ratios.learn("up", "m", True, 1_000, real)
    assert ratios.of("up", "m", quick=True) == ratios.of("up", "m", quick=False) == 1.0
    for real in (300, 3_500):
        one = Ratios()
        one.learn("up", "m", True, 1_000, real)
        assert one.of("up", "m", quick=True) == one.of("up", "m", quick=False) == pytest.approx(real / 1_000)
    for _ in range(100):
        ratios.learn("up", "m", True, 1_000, 2_000)
    ratios.learn("up", "m", True, 1_000, 1_000)
    assert ratios.of("up", "m", quick=True) == pytest.approx(2 - tokens.LEAST_WEIGHT)
    assert ratios.of("up", "other", quick=True) == ratios.of("another", "m", quick=True) == 1.0
    for i in range(2 * MAX_MODELS):
        ratios.learn("up", f"m{i}", True, 1_000, 2_000)
    assert ratios.of("up", "m", quick=True) == 1.0 and repr(ratios) == f"<Ratios of {2 * MAX_MODELS}>"


def test_38_few_requests_are_estimated_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of each model, then one in many: a walk through a quarter of a megabyte is a millisecond."""
    walked: list[int] = []
    whole = tokens.estimate
    monkeypatch.setattr(tokens, "estimate", lambda body: walked.append(1) or whole(body))
    with Upstream(using(9_000)) as up, House(one_upstream(up.url, "chat")) as house:
        for _ in range(2 * EVERY):
            house.post(PATHS["messages"], ASK | ASKED)
    assert len(walked) == FIRST + 1


# ------------------------------------------------------------------------------------------ local, cached


def test_38_the_same_estimate_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[int] = []
    whole = tokens.estimate
    monkeypatch.setattr(tokens, "estimate", lambda body: walked.append(1) or whole(body))
    with Upstream(using(1)) as up, House(one_upstream(up.url, "chat")) as house:
        counts = {counted(house)[0] for _ in range(5)}
        assert len(counts) == 1 and len(walked) == 1
        assert counted(house, ASKED | {"messages": [{"role": "user", "content": "hi"}]})[0] not in counts
        for _ in range(2):  # nothing of a refusal is kept
            assert house.post(COUNT, {"model": "m", "messages": "x"})[0] == 400
        assert up.requests == []


def test_38_what_is_kept_is_bounded() -> None:
    with Upstream([COUNTED]) as up, House(one_upstream(up.url, "messages, chat")) as house:

        def fill() -> tuple[int, int]:
            counting: Counting = house.proxy.service.counting
            counting._estimates = {bytes([i % 256, i // 256]): i for i in range(MAX_KEPT)}
            counting._counts = {bytes([i % 256, i // 256]): (0.0, b"") for i in range(MAX_KEPT)}
            return len(counting._estimates), len(counting._counts)

        assert house.on_loop(fill) == (MAX_KEPT, MAX_KEPT)
        counted(house)
        counted(house, IN_RESPONSES, INPUT_TOKENS)
        counting = house.proxy.service.counting
        assert house.on_loop(lambda: (len(counting._estimates), len(counting._counts))) == (MAX_KEPT, MAX_KEPT)


# --------------------------------------------------------------------------------------- upstream's counts

LANES = [(COUNT, "messages", ASKED), (INPUT_TOKENS, "responses", IN_RESPONSES)]


@pytest.mark.parametrize(("path", "protocol", "body"), LANES)
def test_38_an_upstreams_count_is_kept(path: str, protocol: str, body: Json) -> None:
    answer = Answer.json({"object": "response.input_tokens", "input_tokens": 77})
    with Upstream([answer]) as up, House(one_upstream(up.url, protocol)) as house:
        assert [counted(house, body, path) for _ in range(4)] == [(77, False)] * 4
        assert [r.path for r in up.requests] == [path]
        counted(house, body | {"tools": []}, path)
        counted(house, body, f"{path}?beta=true")
        assert len(up.requests) == 3
        house.on_loop(lambda: setattr(house.proxy.service.counting, "_clock", lambda: 1e12 + KEPT_S))
        counted(house, body, path)
        assert len(up.requests) == 4


def test_38_nobody_gets_anothers_count() -> None:
    """A count proves that the key is good, and betas change it."""
    with Upstream([COUNTED]) as up, House(one_upstream(up.url, "messages", "forward_client_key = true")) as house:
        for more in ({}, {"x_api_key": "sk-1"}, {"x_api_key": "sk-2"}, {"authorization": "Bearer sk-3"}):
            counted(house, **more)
            counted(house, **more)
        counted(house, anthropic_beta="token-counting-2024-11-01")
        counted(house, anthropic_beta="another-2030-01-01")
        assert len(up.requests) == 6


def burst(house: House, n: int, body: Json = ASKED) -> list[Client]:
    clients = [house.connect() for _ in range(n)]
    for client in clients:
        client.send("POST", COUNT, body)
    return clients


def test_38_a_burst_asks_once() -> None:
    gate = Gate()
    slow = Answer.json({"input_tokens": 77}, delay=gate)
    with Upstream([slow]) as up, House(one_upstream(up.url, "messages")) as house:
        clients = burst(house, 20)
        house.wait(lambda p: len(p.service.flows) == 20)
        other = house.connect()
        other.send("POST", COUNT, ASKED | {"tools": []})  # another question is not held up
        up.wait(lambda u: len(u.requests) == 2)
        gate.open()
        for client in [*clients, other]:
            with client:
                status, _, raw = client.reply()
                assert (status, json.loads(raw)) == (200, {"input_tokens": 77})
        house.wait(lambda p: not p.service.flows and not p.service.held_bytes)
        assert len(up.requests) == 2


@pytest.mark.parametrize(
    ("answer", "status"),
    [(Answer.json({"error": {"message": "slow down"}}, 429), 429), (Answer.json({"error": "no"}, 404), 200)],
)
def test_38_all_of_a_burst_hear_why_not(answer: Answer, status: int) -> None:
    """An error is shared too, or a server in trouble would get the whole burst after all. It is not kept."""
    gate = Gate()
    answer.delay = gate
    with Upstream([answer, COUNTED]) as up, House(one_upstream(up.url, "messages") + ONCE) as house:
        clients = burst(house, 5)
        house.wait(lambda p: len(p.service.flows) == 5)
        gate.open()
        for client in clients:
            with client:
                got, headers, raw = client.reply()
                assert got == status and (b"slow down" in raw or headers["x-proxy-estimate"] == "true")
        assert len(up.requests) == 1
        if status == 429:
            assert counted(house) == (77, False)


def test_38_the_one_that_asks_may_leave() -> None:
    """Its question is cancelled with it; the next one asks. One that waits may leave as well."""
    with Upstream([Answer.silence(), COUNTED]) as up, House(one_upstream(up.url, "messages")) as house:
        asks = house.connect()
        asks.send("POST", COUNT, ASKED)
        up.wait(lambda u: len(u.requests) == 1)
        waits = burst(house, 3)
        house.wait(lambda p: len(p.service.flows) == 4)
        waits.pop(0).socket.close()
        house.wait(lambda p: len(p.service.flows) == 3)
        asks.socket.close()
        for client in waits:
            with client:
                assert json.loads(client.reply()[2]) == {"input_tokens": 77}
        up.wait(lambda u: u.requests[0].state == "gone")
        assert len(up.requests) == 2
        house.wait(lambda p: not p.service.flows and not p.service.counting._asking)


def test_38_a_dead_upstream_is_told_to_all() -> None:
    with Upstream([Answer.silence()]) as up, House(one_upstream(up.url, "messages", "request = 0.5")) as house:
        clients = burst(house, 3)
        told = [client.reply() for client in clients]
        assert [(status, headers["x-proxy-token-count"]) for status, headers, _ in told] == [(200, "estimate")] * 3
        assert len(up.requests) == 1
        for client in clients:
            client.socket.close()


@pytest.mark.parametrize("client", OTHER)
def test_38_no_count_is_a_request_to_a_model(client: Any) -> None:
    """Across protocols there is nobody to ask."""
    path, body = (COUNT, ASKED) if client == "messages" else (INPUT_TOKENS, IN_RESPONSES)
    with Upstream([COUNTED]) as up, House(one_upstream(up.url, "chat")) as house:
        assert counted(house, body, path)[1] and up.requests == []
