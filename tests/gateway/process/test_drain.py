"""The end of the process, seen by clients: what is in flight ends well, what is new is told to go elsewhere."""

from __future__ import annotations

import json
import socket
import threading
import time

from gateway.flow.states import State
from proxy import Proxy
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Upstream

PATH = "/v1/chat/completions"
ASKED = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
OK = Answer.json({"id": "x", "choices": [{}]})
BEGUN = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
DONE = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def stop(house: House) -> threading.Thread:
    """The proxy begins to stop, while the test goes on."""
    house._loop.call_soon_threadsafe(house._stop.set)
    house.wait(lambda p: p.service.in_flight.stage != "serving")
    return house._thread


def all_is_said(proxy: Proxy) -> bool:
    """There is a request, and what is left of it waits for its client."""
    return bool(proxy.service.flows) and all(flow.state is State.FLUSHING for flow in proxy.service.flows)


def test_a_slow_reader_gets_its_last_byte() -> None:
    size = 8_000_000
    with Upstream([Answer.json({"id": "x", "choices": ["x" * size]})]) as up:
        with House(one_upstream(up.url, "chat")) as house, house.connect() as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.send("POST", PATH, ASKED)
            client.head()
            assert house.on_loop(lambda: all_is_said(house.proxy))
            stop(house)
            assert len(client.body()) > size


def test_a_reader_that_takes_nothing_does_not_hold_the_end_up() -> None:
    settings = one_upstream("{}", "chat", "", "drain_seconds = 0.2")
    with Upstream([Answer.json({"id": "x", "choices": ["x" * 30_000_000]})]) as up:
        with House(settings.format(up.url)) as house, house.connect() as client:
            client.send("POST", PATH, ASKED)
            house.wait(all_is_said)
            thread = stop(house)
            thread.join(8)
            assert not thread.is_alive()


def test_kept_connections_are_served_and_told_to_go() -> None:
    gate = Gate()
    answers = [OK, Answer.sse([BEGUN, gate, DONE]), OK]
    with Upstream(answers) as up, House(one_upstream(up.url, "chat")) as house:
        with house.connect() as kept, house.connect() as streaming:
            kept.send("POST", PATH, ASKED)
            assert "connection" not in kept.reply()[1]
            streaming.send("POST", PATH, ASKED | {"stream": True})
            streaming.head()
            thread = stop(house)
            kept.send("POST", PATH, ASKED)
            status, headers, _ = kept.reply()
            assert status == 200 and headers["connection"] == "close" and kept.socket.recv(1) == b""
            gate.open()
            assert b"".join(streaming.pieces()) == BEGUN + DONE and streaming.socket.recv(1) == b""
            thread.join(5)
            assert not thread.is_alive()


def test_nothing_new_begins_once_it_is_over() -> None:
    """A stream that does not read keeps the last second open; a new request in it is refused in words."""
    settings = one_upstream("{}", "chat", "", "drain_seconds = 0")
    with Upstream([Answer.json({"id": "x", "choices": ["x" * 30_000_000]}), OK]) as up:
        with House(settings.format(up.url)) as house, house.connect() as kept, house.connect() as stuck:
            kept.send("GET", "/healthz")
            kept.reply()
            stuck.send("POST", PATH, ASKED)
            house.wait(all_is_said)
            stop(house)
            house.wait(lambda p: p.service.in_flight.stage == "over")
            kept.send("POST", PATH, ASKED)
            status, headers, body = kept.reply()
            assert status == 503 and headers["retry-after"] == "1" and headers["connection"] == "close"
            assert b"shutting down" in body and len(up.requests) == 1


def test_a_request_that_is_still_being_sent_is_told() -> None:
    settings = one_upstream("http://127.0.0.1:9", "chat", "", "drain_seconds = 0.1")
    with House(settings) as house, house.connect() as client:
        client.socket.sendall(f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n".encode())
        house.wait(lambda p: len(p.service.flows) == 1)
        stop(house).join(5)
        status, _, body = client.reply()
        assert status == 503 and b"shutting down" in body


def test_a_mute_upstream_does_not_hold_the_start_up() -> None:
    """Prewarming waits as long as a connection may take, not for a reply."""
    text = "[timeouts]\nconnect = 0.5\n[pool]\nprewarm = true\n"
    with Upstream([Answer.silence()]) as up:
        began = time.monotonic()
        with House(text + one_upstream(up.url, "chat")) as house:
            assert time.monotonic() - began < 10
            assert json.loads(house.get("/healthz")[2])["status"] == "ok"
