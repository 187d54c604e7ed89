"""Leaving, silence, slow readers, dead connections: what happens around the bytes."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Request, Upstream

BEGUN = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
DONE = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
OK = Answer.json({"id": "x", "choices": [{}]})
PATH = "/v1/chat/completions"


def gone(up: Upstream) -> bool:
    return bool(up.requests) and up.requests[0].state == "gone"


@pytest.mark.parametrize(
    ("stream", "answer"),
    [
        (False, Answer.silence()),
        (True, Answer.silence()),
        (True, Answer.sse([BEGUN], end="hang")),
        (False, Answer(200, {"Content-Type": "application/json"}, [b'{"id":'], end="hang", short=99)),
    ],
)
@pytest.mark.parametrize("path", [PATH, "/v1/messages"])
def test_a_client_that_leaves_takes_its_request_along(stream: bool, answer: Answer, path: str) -> None:
    with Upstream([answer]) as up, House(one_upstream(up.url, "chat")) as house:
        with house.connect() as client:
            body = {"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "x"}]}
            client.send("POST", path, body)
            up.wait(lambda u: len(u.requests) == 1)
            if stream and answer.body:
                client.head()
        up.wait(gone, 2.0)
        house.wait(lambda p: not p.service.flows and p.service.client.stats()["in_flight"] == 0)


def test_silence_brings_pings_until_the_upstream_is_called_dead() -> None:
    settings = one_upstream("{}", "chat", "idle = 1.2", "ping_seconds = 0.2")
    with Upstream([Answer.sse([BEGUN], end="hang")]) as up, House(settings.format(up.url)) as house:
        _, _, got = house.post(PATH, {"model": "m", "stream": True})
        up.wait(gone, 2.0)
    assert got.startswith(BEGUN + b": ping\n\n: ping\n\n")
    assert b'data: {"error"' in got and b"[timeouts] idle" in got


def test_pings_of_messages_are_events() -> None:
    start = b'event: message_start\ndata: {"type":"message_start"}\n\n'
    settings = one_upstream("{}", "messages", "", "ping_seconds = 0.2")
    gate = Gate()
    with (
        Upstream([Answer.sse([start, gate, b'event: message_stop\ndata: {"type":"message_stop"}\n\n'])]) as up,
        House(settings.format(up.url)) as house,
        house.connect() as client,
    ):
        client.send("POST", "/v1/messages", {"model": "m", "stream": True})
        client.head()
        pieces = client.pieces()
        assert next(pieces) == start
        assert next(pieces) == b'event: ping\ndata: {"type": "ping"}\n\n'
        gate.open()
        assert b"message_stop" in b"".join(pieces)


@pytest.mark.parametrize(
    ("key", "stream", "answer", "says"),
    [
        ("first_byte", True, Answer.silence(), "[timeouts] first_byte"),
        ("request", False, Answer.silence(), "[timeouts] request"),
        ("stream", True, Answer.sse([BEGUN, 0.1] * 40), "[timeouts] request or stream"),
    ],
)
def test_each_timeout_has_its_own_words(key: str, stream: bool, answer: Answer, says: str) -> None:
    with Upstream([answer]) as up, House(one_upstream(up.url, "chat", f"{key} = 0.6")) as house:
        status, _, got = house.post(PATH, {"model": "m", "stream": stream})
        up.wait(gone, 2.0)
    assert says.encode() in got, got
    assert status == (200 if key == "stream" else 504)


def test_a_reader_that_stops_holds_little() -> None:
    """The upstream gets stuck in its send, instead of the proxy taking everything in."""
    piece = b'data: {"x":"' + b"x" * 65_000 + b'"}\n\n'
    with (
        Upstream([Answer.sse([piece] * 2000)]) as up,  # 130 MB
        House(one_upstream(up.url, "chat")) as house,
        house.connect() as client,
    ):
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send("POST", PATH, {"model": "m", "stream": True})
        client.head()
        last, since = -1, time.monotonic()
        while time.monotonic() - since < 1.0:
            written = house.on_loop(lambda: next(iter(house.proxy.service.flows)).writer.written)
            if written != last:
                last, since = written, time.monotonic()
            time.sleep(0.02)
        waiting = house.on_loop(lambda: next(iter(house.proxy.service.flows)).writer._waiting)
        assert waiting < 300_000
        assert last < 30_000_000  # what the kernel's buffers on both sides take
        # and it goes on as soon as the client reads again
        total = sum(map(len, client.pieces()))
        assert total >= 2000 * len(piece)


def test_a_kept_connection_that_died_is_replaced_without_the_client_noticing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The upstream closes idle connections; a POST on such a one was never worked on."""
    monkeypatch.setattr("upstream.hangup.RACE_S", 5.0)  # this upstream may be slow to close, on a busy machine
    seen: list[int] = []

    def answer(request: Request) -> Answer:
        seen.append(request.connection)
        if request.connection == 0 and seen.count(0) == 2:
            return Answer.drop()
        return OK

    with Upstream(answer) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post(PATH, {"model": "m"})[0] == 200
        assert house.post(PATH, {"model": "m"})[0] == 200
    assert seen == [0, 0, 1]


def test_a_post_that_may_have_been_worked_on_is_not_sent_again() -> None:
    with Upstream([Answer.drop()]) as up, House(one_upstream(up.url, "chat")) as house:
        status, _, body = house.post(PATH, {"model": "m"})
        assert len(up.requests) == 1
    assert status == 502 and b"upstream 'up' failed" in body


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def test_the_next_target_is_tried_when_nothing_was_sent() -> None:
    with Upstream([OK]) as up:
        dead = f"[upstream dead]\nprotocol=chat\nbase_url=http://127.0.0.1:{free_port()}\n"
        live = f"[upstream live]\nprotocol=chat\nbase_url={up.url}\n"
        with House(f"{dead}{live}[models]\nm = dead/x, live/y") as house:
            status, headers, _ = house.post(PATH, {"model": "m"})
    assert status == 200 and headers["x-proxy-upstream"] == "live"
    assert up.requests[0].json["model"] == "y"


@pytest.mark.parametrize("path", [PATH, "/v1/messages"])
def test_a_dead_upstream_is_named(path: str) -> None:
    with House(one_upstream(f"http://127.0.0.1:{free_port()}", "chat")) as house:
        body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}], "stream": True}
        status, _, got = house.post(path, body)
    assert status == 502
    message = json.loads(got)["error"]["message"]
    assert "upstream 'up' failed" in message and "127.0.0.1" in message


def test_a_thousand_requests_use_one_connection() -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house, house.connect() as client:
        for _ in range(1000):
            client.send("POST", PATH, {"model": "m"})
            assert client.reply()[0] == 200
        assert up.connections == 1


def test_a_hundred_at_once_open_no_more_than_allowed() -> None:
    pool = "[pool]\nmax_connections = 8\n"
    with (
        Upstream(lambda _: Answer.json({"id": "x"}, delay=0.02)) as up,
        House(pool + one_upstream(up.url, "chat")) as house,
    ):
        clients = [house.connect() for _ in range(100)]
        for client in clients:
            client.send("POST", PATH, {"model": "m"})
        assert [client.reply()[0] for client in clients] == [200] * 100
        for client in clients:
            client.socket.close()
        assert up.peak <= 8


def test_stopping_lets_streams_finish_or_ends_them_legally() -> None:
    begun = b'event: content_block_start\ndata: {"type":"content_block_start"}\n\n'
    settings = one_upstream("{}", "messages", "", "drain_seconds = 0.3")
    clients: list[Any] = []
    with Upstream([Answer.sse([begun], end="hang")]) as up:
        with House(settings.format(up.url)) as house:
            client = house.connect()
            clients.append(client)
            client.send("POST", "/v1/messages", {"model": "m", "stream": True})
            client.head()
        rest = b"".join(clients[0].pieces())
        clients[0].socket.close()
    assert rest.startswith(begun + b"event: error") and b"shutting down" in rest


def test_gzip_bodies_and_bombs() -> None:
    import gzip

    with Upstream([OK]) as up, House(one_upstream(up.url, "chat", "", "max_body_mb = 1")) as house:
        zipped = {"Content-Encoding": "gzip"}
        assert house.post(PATH, gzip.compress(b'{"model":"m"}'), zipped)[0] == 200
        assert up.requests[0].body == b'{"model":"m"}' and "content-encoding" not in up.requests[0].headers
        assert house.post(PATH, gzip.compress(b" " * 2_000_000), zipped)[0] == 413
        assert house.post(PATH, gzip.compress(b'{"model":"m"}')[:-9], zipped)[0] == 400
        assert house.post(PATH, b"junk", zipped)[0] == 400
        assert house.post(PATH, b"junk", {"Content-Encoding": "br"})[0] == 415
        assert house.post(PATH, b'{"model":"m"}' + b" " * 1_200_000)[0] == 413
        assert len(up.requests) == 1
