"""Clients that leave at any moment, or read nothing: whatever was on its way for them ends."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from gateway.http import rate_limited_warning
from tests.gateway.hostile import ASKED, BEGUN, DONE, PATH, nothing_is_left, post
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Upstream


def test_a_client_that_sends_all_and_is_gone_at_once() -> None:
    """Its close may be seen before its request is complete to us."""
    body = json.dumps(ASKED | {"pad": "x" * 600_000}).encode()
    with Upstream([Answer.silence()]) as up, House(one_upstream(up.url, "chat")) as house:
        for _ in range(20):
            with house.connect() as client:
                client.send("POST", PATH, body)
        house.wait(lambda p: not p.service.flows and p.service.client.stats()["in_flight"] == 0, 3.0)


@pytest.mark.parametrize("path", [PATH, "/v1/messages"])
@pytest.mark.parametrize("stream", [False, True])
def test_leaving_at_any_moment_leaves_nothing(path: str, stream: bool) -> None:
    """From before the head to after the last byte."""
    answer: Any = Answer.sse([BEGUN, 0.01, BEGUN, 0.01, DONE]) if stream else Answer.json({"choices": [{}]}, delay=0.01)
    data = post(json.dumps(ASKED | {"stream": stream}).encode(), path=path)
    with Upstream(lambda _: answer) as up, House(one_upstream(up.url, "chat")) as house:
        for n in range(60):
            with socket.create_connection(("127.0.0.1", house.port)) as client:
                if n % 3 == 0:  # a reset instead of a close
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.sendall(data[: 20 + n * 5] if n < 20 else data)
                time.sleep(0.001 * (n % 40))
        nothing_is_left(house)
        house.wait(lambda p: not p._server._connections, 5.0)


def test_a_client_that_reads_nothing_and_leaves() -> None:
    piece = b'data: {"x":"' + b"x" * 65_000 + b'"}\n\n'
    with Upstream([Answer.sse([piece] * 1000)]) as up, House(one_upstream(up.url, "chat")) as house:
        with house.connect() as client:
            client.send("POST", PATH, ASKED | {"stream": True})
            house.wait(lambda p: any(r.writer._full for r in p.service.flows))
        nothing_is_left(house)
        house.wait(lambda p: not p._server._connections, 5.0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_takes_nothing_is_cut_off(
    stream: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each such client would hold a connection and a reply for as long as it likes. The log tells it, since the
    client sees a reset, and the record says no more than that the client left."""
    monkeypatch.setattr(rate_limited_warning, "EVERY_S", 0.0)
    piece = b'data: {"x":"' + b"x" * 65_000 + b'"}\n\n'
    answer = Answer.sse([piece] * 1000) if stream else Answer.json({"id": "x", "choices": ["x" * 30_000_000]})
    settings = one_upstream("{}", "chat", "", "idle_timeout = 1\nping_seconds = 0.5")
    with Upstream([answer]) as up, House(settings.format(up.url)) as house, house.connect() as client:
        client.send("POST", PATH, ASKED | {"stream": stream})
        house.wait(lambda p: bool(p._server._connections))
        house.wait(lambda p: not p._server._connections, 8.0)
        nothing_is_left(house)
    assert "127.0.0.1 closed: it took nothing of its reply for 1 s ([server] idle_timeout)" in caplog.text


def test_a_slow_reader_is_not_cut_off() -> None:
    size = 12_000_000
    settings = one_upstream("{}", "chat", "", "idle_timeout = 1\nping_seconds = 0.5")
    with (
        Upstream([Answer.json({"id": "x", "choices": ["x" * size]})]) as up,
        House(settings.format(up.url)) as house,
        house.connect() as client,
    ):
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send("POST", PATH, ASKED)
        got = 0
        while got < size:
            piece = client.socket.recv(300_000)
            assert piece, got
            got += len(piece)
            if got % 7 == 0:
                time.sleep(0.05)
