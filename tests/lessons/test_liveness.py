"""Lessons 14 to 17: silence, errors that come first, and clients that leave."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from conformance.grammar import check_messages
from tests.lessons.street import ASK, ASKS, CHECK, CROSSINGS, LANES, PATHS, Street, responses, said
from tests.support.house import Client, House, one_upstream
from tests.support.script import Answer, Gate, Upstream
from tests.support.streams import (
    END,
    FAULT,
    HI,
    PING,
    ROLE,
    START,
    STOP,
    chat,
    ending,
    error,
    messages,
    text,
)
from translate.target import Protocol

STREAM = ASK | {"stream": True}
STREAMS = {protocol: body | {"stream": True} for protocol, body in ASKS.items()}
# By the upstream's protocol: how a reply begins before its first word, its first word, and the rest.
EVENTS = [event + b"\n\n" for event in responses(said("hello")).split(b"\n\n")[:-1]]
OPENING = {"chat": chat(ROLE, end=b""), "messages": messages(START, PING), "responses": b"".join(EVENTS[:2])}
FIRST = {"chat": chat(HI, end=b""), "messages": messages(*text(0)[:2]), "responses": b"".join(EVENTS[2:5])}
REST = {"chat": chat(END), "messages": messages(text(0)[2], ending(), STOP), "responses": b"".join(EVENTS[5:])}
SIGN = {"messages": b"event: ping\n", "chat": b": ping\n\n", "responses": b"event: keepalive\n"}
QUICK = "ping_seconds = 0.1"


def nothing_yet(client: Client, for_s: float = 0.15) -> bool:
    """No byte has come from the proxy."""
    client.socket.settimeout(for_s)
    try:
        client.socket.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        client.socket.settimeout(20)
    return False


@pytest.mark.parametrize("lane", LANES)
def test_14_silence_brings_signs_of_life(lane: tuple[Protocol, Protocol]) -> None:
    """In the middle of a text, and of a line of the upstream's: what comes of it is legal."""
    client_speaks, up_speaks = lane
    gate = Gate()
    body = [OPENING[up_speaks] + FIRST[up_speaks], gate, REST[up_speaks]]
    with (
        Upstream([Answer.sse(body)]) as up,
        House(one_upstream(up.url, up_speaks, server=QUICK)) as house,
        house.connect() as client,
    ):
        client.send("POST", PATHS[client_speaks], STREAMS[client_speaks])
        client.head()
        raw = b""
        for piece in client.pieces():
            raw += piece
            if raw.count(SIGN[client_speaks]) == (3 if lane == ("messages", "messages") else 2):
                gate.open()
    assert CHECK[client_speaks](raw) == [] and raw.count(SIGN[client_speaks]) >= 2


@pytest.mark.parametrize("lane", CROSSINGS)
def test_14_silence_after_a_bare_beginning(lane: tuple[Protocol, Protocol]) -> None:
    """A model that thinks for minutes behind its first, empty event. The client is told that it has begun."""
    client_speaks, up_speaks = lane
    gate = Gate()
    with (
        Upstream([Answer.sse([OPENING[up_speaks], gate, FIRST[up_speaks] + REST[up_speaks]])]) as up,
        House(one_upstream(up.url, up_speaks, server=QUICK)) as house,
        house.connect() as client,
    ):
        client.send("POST", PATHS[client_speaks], STREAMS[client_speaks])
        assert client.head()[0] == 200
        raw = b""
        for piece in client.pieces():
            raw += piece
            if SIGN[client_speaks] in raw:
                gate.open()
    assert CHECK[client_speaks](raw) == [] and (b"hi" in raw or b"hello" in raw)


@pytest.mark.parametrize("lane", LANES)
def test_14_pings_do_not_hide_a_dead_upstream(lane: tuple[Protocol, Protocol]) -> None:
    client_speaks, up_speaks = lane
    with (
        Upstream([Answer.sse(OPENING[up_speaks] + FIRST[up_speaks], end="hang")]) as up,
        House(one_upstream(up.url, up_speaks, "idle = 0.5", QUICK)) as house,
    ):
        status, _, raw = house.post(PATHS[client_speaks], STREAMS[client_speaks])
        up.wait(lambda u: u.requests[0].state == "gone")
    assert status == 200 and raw.count(SIGN[client_speaks]) >= 2
    assert CHECK[client_speaks](raw) == [] and b"idle" in raw


def failure(code: str) -> bytes:
    data = {"type": "error", "sequence_number": 9, "code": code, "message": "no", "param": None}
    return b"event: error\ndata: %b\n\n" % json.dumps(data).encode()


EARLY_ERRORS = {
    "chat": [
        chat(FAULT, end=b""),
        chat({"error": {"message": "no", "type": "rate_limit_error", "code": 429}}, end=b""),
    ],
    "messages": [messages(error("api_error")), messages(error("rate_limit_error"))],
    "responses": [failure("server_error"), failure("rate_limit_exceeded")],
}


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("lane", "before"),
    [(lane, before) for lane in LANES for before in ("", "comment")]
    # In the same protocol message_start and the role chunk are the first event, and are out.
    + [(lane, "opening") for lane in CROSSINGS],
)
def test_15_an_error_as_the_first_event_is_a_status(street: Street, lane: Any, which: int, before: str) -> None:
    up_speaks = lane[1]
    head = {"": b"", "comment": b": hi\n\n", "opening": OPENING[up_speaks]}[before]
    reply = street.ask(*lane, STREAMS[lane[0]], head + EARLY_ERRORS[up_speaks][which])
    assert reply.status == (500, 429)[which] and reply.error["message"] == "no"
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize("lane", LANES)
def test_16_headers_wait_for_the_first_useful_bytes(lane: tuple[Protocol, Protocol]) -> None:
    """Comments, pings and empty openings are not useful: what follows them may still be an error."""
    client_speaks, up_speaks = lane
    crosses = client_speaks != up_speaks
    gate, word = Gate(), Gate()
    quiet = b": queued\n\n" + (OPENING[up_speaks] if crosses else b"")
    first = FIRST[up_speaks] if crosses else OPENING[up_speaks] + FIRST[up_speaks]
    answers = [
        Answer.sse([quiet, gate, first, word, REST[up_speaks]]),
        Answer.sse([quiet, EARLY_ERRORS[up_speaks][1]]),
    ]
    with Upstream(answers) as up, House(one_upstream(up.url, up_speaks)) as house, house.connect() as client:
        client.send("POST", PATHS[client_speaks], STREAMS[client_speaks])
        up.wait(lambda u: len(u.requests) == 1)
        assert nothing_yet(client)
        gate.open()
        status, headers = client.head()
        assert status == 200 and headers["content-type"].startswith("text/event-stream")
        word.open()
        raw = client.body()
        assert CHECK[client_speaks](raw) == []
        assert house.post(PATHS[client_speaks], STREAMS[client_speaks])[0] == 429


def never_answers() -> socket.socket:
    """An address whose connections stay half open: its backlog is full."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    return server


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("phase", ["first byte", "streaming"])
def test_17_a_client_that_leaves_cancels_the_upstream(lane: Any, stream: bool, phase: str) -> None:
    client_speaks, up_speaks = lane
    begun = OPENING[up_speaks] + FIRST[up_speaks]
    answer = Answer.silence() if phase == "first byte" else Answer.sse(begun, end="hang")
    with Upstream([answer]) as up, House(one_upstream(up.url, up_speaks)) as house:
        with house.connect() as client:
            client.send("POST", PATHS[client_speaks], ASKS[client_speaks] | {"stream": stream})
            up.wait(lambda u: len(u.requests) == 1)
            if phase == "streaming" and stream:
                client.head()
        up.wait(lambda u: u.requests[0].state == "gone", 2)
        up.wait(lambda u: u.active == 0, 2)
        house.wait(lambda p: not p.service.flows)


@pytest.mark.parametrize("lane", LANES)
def test_17_a_client_that_leaves_the_queue_is_never_asked_for(lane: Any) -> None:
    client_speaks, up_speaks = lane
    gate = Gate()
    done = Answer.sse([OPENING[up_speaks] + FIRST[up_speaks], gate, REST[up_speaks]])
    with Upstream([done]) as up:
        settings = one_upstream(up.url, up_speaks) + "[pool]\nmax_connections = 1\n"
        with House(settings) as house, house.connect() as first:
            first.send("POST", PATHS[client_speaks], STREAMS[client_speaks])
            first.head()
            with house.connect() as second:
                second.send("POST", PATHS[client_speaks], STREAMS[client_speaks] | {"user": "second"})
                house.wait(lambda p: len(p.service.flows) == 2)
            house.wait(lambda p: len(p.service.flows) == 1)
            gate.open()
            assert CHECK[client_speaks](first.body()) == []
            assert house.post(PATHS[client_speaks], STREAMS[client_speaks])[0] == 200
            assert len(up.requests) == 2 and b"second" not in b"".join(r.body for r in up.requests)


@pytest.mark.parametrize("stream", [True, False])
def test_17_a_client_that_leaves_while_connecting(stream: bool) -> None:
    with never_answers() as server:
        address = server.getsockname()
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        with House(one_upstream(f"http://127.0.0.1:{address[1]}", "chat")) as house:
            with house.connect() as client:
                client.send("POST", PATHS["messages"], ASK | {"stream": stream})
                house.wait(lambda p: len(p.service.flows) == 1)
            house.wait(lambda p: not p.service.flows, 2)
        for filler in fillers:
            filler.close()


def test_17_what_is_left_running_is_nothing() -> None:
    """A cancelled request leaves neither a handle nor a task behind: the next ones find all places free."""

    def answer(request: Any) -> Answer:
        return Answer.silence() if request.json["max_tokens"] == 77 else Answer.sse(chat(ROLE, HI, END))

    with Upstream(answer) as up:
        with House(one_upstream(up.url, "chat") + "[pool]\nmax_connections = 2\n") as house:
            for _ in range(6):
                with house.connect() as client:
                    seen = len(up.requests)
                    client.send("POST", PATHS["messages"], STREAM | {"max_tokens": 77})
                    up.wait(lambda u, seen=seen: len(u.requests) == seen + 1)  # type: ignore[misc]
            for _ in range(4):
                assert check_messages(house.post(PATHS["messages"], STREAM)[2]) == []
