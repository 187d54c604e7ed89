"""GET /v1/responses/{id}?stream=true: what is kept here made up again, an upstream's passed through as it comes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance import grammar
from tests.gateway.flow.test_broken_streams import BEGUN, RESPONSE, events, stream
from tests.gateway.stored.test_responses_state import ALICE, BOB, CLIENTS, ask, chat_text
from tests.support import sdk
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream

DONE = stream({"type": "response.completed", "sequence_number": 4, "response": RESPONSE | {"status": "completed"}})
PATH = "/v1/responses/resp_up?stream=true"


@pytest.fixture
def chat():
    with Upstream(chat_text) as up, House(one_upstream(up.url, "chat", CLIENTS)) as house:
        yield house, up


# ---------------------------------------------------------------------------------------------- kept here


def test_what_is_kept_here_comes_as_events(chat) -> None:
    house, _ = chat
    _, kept = ask(house, "hi", None, ALICE)
    status, headers, raw = house.get(f"/v1/responses/{kept['id']}?stream=true", ALICE)
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert grammar.check_responses(raw) == [] and events(raw)[-1]["response"] == kept
    with sdk.openai_client(house.url, api_key=ALICE["Authorization"][7:]) as client:
        with client.responses.stream(response_id=kept["id"]) as again:
            assert again.get_final_response().output_text == "I saw 1"
        later = list(client.responses.retrieve(kept["id"], stream=True, starting_after=3))
    assert [event.sequence_number for event in later] == list(range(4, len(events(raw))))
    assert house.get(f"/v1/responses/{kept['id']}?stream=true", BOB)[0] == 404


@pytest.mark.parametrize(("after", "number"), [("8", 9), ("500", 501), ("0", None)])
def test_the_last_event_always_comes(chat, after: str, number: int | None) -> None:
    """Whoever broke off while the response was made has counted its many deltas."""
    house, _ = chat
    _, kept = ask(house, "hi", None, ALICE)
    got = events(house.get(f"/v1/responses/{kept['id']}?stream=true&starting_after={after}", ALICE)[2])
    assert got[-1]["type"] == "response.completed" and got[-1]["response"] == kept
    assert number is None or [event["sequence_number"] for event in got] == [number]


@pytest.mark.parametrize("after", ["-1", "x", "%D9%A3", "1" * 30])
def test_what_is_no_number_is_refused(chat, after: str) -> None:
    house, _ = chat
    _, kept = ask(house, "hi", None, ALICE)
    status, _, raw = house.get(f"/v1/responses/{kept['id']}?stream=true&starting_after={after}", ALICE)
    assert (status, json.loads(raw)["error"]["param"]) == (400, "starting_after")


# ---------------------------------------------------------------------------------- kept by an upstream


def test_an_upstreams_stream_comes_as_it_comes() -> None:
    gate = Gate()
    with Upstream([Answer.sse([BEGUN, gate, DONE], headers={"x-request-id": "r1"})]) as up:
        with House(one_upstream(up.url, "responses")) as house, house.connect() as client:
            client.send("GET", PATH + "&starting_after=7")
            status, headers = client.head()
            assert (status, headers["request-id"], headers["x-proxy-upstream"]) == (200, "r1", "up")
            assert headers["content-type"].startswith("text/event-stream")
            pieces = client.pieces()
            assert next(pieces) == BEGUN
            gate.open()
            assert b"".join(pieces) == DONE
        assert up.requests[0].path == PATH + "&starting_after=7"


@pytest.mark.parametrize("end", ["keep", "close", "reset"])
def test_a_stream_that_breaks_ends_in_an_error(end: Any) -> None:
    with Upstream([Answer.sse([BEGUN], end=end)]) as up, House(one_upstream(up.url, "responses")) as house:
        status, _, raw = house.get(PATH)
    assert status == 200 and raw.startswith(BEGUN)
    last = events(raw)[-1]
    assert last["type"] == "response.failed" and last["response"]["id"] == "resp_up" and last["sequence_number"] == 4


@pytest.mark.parametrize(
    ("answer", "status", "word"),
    [
        (Answer.json({"error": {"message": "not in the background", "code": "no"}}, 400), 400, "background"),
        (Answer.json(RESPONSE), 200, "resp_up"),
        (Answer.drop(), 502, "up"),
        (Answer.sse([b'event: error\ndata: {"type":"error","error":{"message":"busy","type":"x"}}\n\n']), 500, "busy"),
        (Answer.sse([b""]), 502, "empty"),
        (Answer(302, {"Location": "/x"}), 502, "base_url"),
    ],
)
def test_what_is_no_stream_has_a_status(answer: Answer, status: int, word: str) -> None:
    with Upstream([answer]) as up, House(one_upstream(up.url, "responses")) as house:
        got, headers, raw = house.get(PATH)
        assert got == status and word in raw.decode() and headers["content-type"] == "application/json"


def test_silence_is_bridged_between_events() -> None:
    gate = Gate()
    with Upstream([Answer.sse([BEGUN, gate, DONE])]) as up:
        with House(one_upstream(up.url, "responses", server="ping_seconds = 1")) as house, house.connect() as client:
            client.send("GET", PATH)
            client.head()
            pieces = client.pieces()
            assert next(pieces) == BEGUN and b"keepalive" in next(pieces)
            gate.open()
            assert b"".join(pieces).endswith(DONE)


def test_a_client_that_leaves_takes_the_exchange_along() -> None:
    with Upstream([Answer.sse([BEGUN], end="hang")]) as up, House(one_upstream(up.url, "responses")) as house:
        with house.connect() as client:
            client.send("GET", PATH)
            client.head()
        up.wait(lambda up: up.requests[0].state == "gone")


def test_a_client_that_does_not_read_holds_the_upstream_back() -> None:
    sent: list[int] = []
    delta = stream({"type": "response.output_text.delta", "sequence_number": 5, "delta": "x" * 60_000})

    def answer(_: Request) -> Answer:
        class Body(list[Any]):
            def __iter__(self) -> Any:
                for number in range(1000):
                    sent.append(number)
                    yield delta

        return Answer.sse(Body([b"x"]), end="close")

    with Upstream(answer) as up, House(one_upstream(up.url, "responses")) as house, house.connect() as client:
        client.send("GET", PATH)
        client.head()
        house.wait(lambda proxy: any(exchange.paused for exchange in proxy.service.client._live))
        assert 0 < len(sent) < 900


def test_at_shutdown_it_ends_in_an_error() -> None:
    with Upstream([Answer.sse([BEGUN], end="hang")]) as up:
        with House(one_upstream(up.url, "responses", server="drain_seconds = 0")) as house:
            client = house.connect()
            client.send("GET", PATH)
            client.head()
            pieces = client.pieces()
            assert next(pieces) == BEGUN
        assert b"response.failed" in next(pieces)
        client.socket.close()
