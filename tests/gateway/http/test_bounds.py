"""What [limits] bounds: heads, what a request holds, what an address has at once, messages of a websocket."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from gateway.http.forwarded import Clients
from gateway.limits.rate_limit import MessageRate
from operate.settings import load
from tests.gateway.websocket.test_arriving import TEXT, Raw, frame
from tests.support.house import Client, House, one_upstream
from tests.support.script import Answer, Gate, Upstream
from tests.upstream.scripted import CERTIFICATE, KEY
from translate.failures.errors import ApiError

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
OK = Answer.json({"id": "x", "object": "chat.completion",
                  "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"},
                               "finish_reason": "stop"}]})  # fmt: skip


def limited(url: str, limits: str = "", server: str = "", protocol: str = "chat") -> str:
    return one_upstream(url, protocol, server=server) + f"[limits]\n{limits}\n"


# ------------------------------------------------------------------------------------------------------ heads


def test_a_head_has_its_time_from_its_first_byte(tmp_path: Path) -> None:
    """A kept connection waits longer for one, and a TLS handshake does not."""
    (tmp_path / "own.pem").write_text(CERTIFICATE + KEY)
    limits = "header_seconds = 1"
    with House(limited("http://127.0.0.1:9", limits, "idle_timeout = 60")) as house, house.connect() as kept:
        kept.send("GET", "/healthz")
        assert kept.reply()[0] == 200
        with Client(house.port) as slow:
            began = time.monotonic()
            slow.socket.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
            status, _, body = slow.reply()
            assert status == 408 and b"header_seconds" in body and time.monotonic() - began > 0.9
        kept.send("GET", "/healthz")
        assert kept.reply()[0] == 200
    with House(limited("http://127.0.0.1:9", limits, f"tls_cert = {tmp_path / 'own.pem'}")) as house:
        with socket.create_connection(("127.0.0.1", house.port), 10) as silent:
            assert silent.recv(1) == b""


def test_a_head_that_is_too_large_is_told_so() -> None:
    with House(limited("http://127.0.0.1:9", "header_kb = 8")) as house:
        assert house.get("/healthz", {"x-a": "a" * 7000})[0] == 200
        status, _, body = house.get("/healthz", {"x-a": "a" * 9000})
        assert status == 431 and b"8192" in body


# --------------------------------------------------------------------------------------- what a request holds


def said(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def tool(path: str, number: int) -> dict[str, Any]:
    schema = {"type": "object", "properties": {}}
    if path == CHAT:
        return {"type": "function", "function": {"name": f"t{number}", "parameters": schema}}
    if path == RESPONSES:
        return {"type": "function", "name": f"t{number}", "parameters": schema}
    return {"name": f"t{number}", "input_schema": schema}


def holding(path: str, messages: int = 1, parts: int = 0, tools: int = 0) -> dict[str, Any]:
    text = {"type": "input_text" if path == RESPONSES else "text", "text": "x"}
    items = [said("x") for _ in range(messages)] + ([said([text] * parts)] if parts else [])
    body = {"model": "m", "max_tokens": 9} if path == MESSAGES else {"model": "m"}
    return body | {"input" if path == RESPONSES else "messages": items, "tools": [tool(path, n) for n in range(tools)]}


@pytest.mark.parametrize("path", [MESSAGES, RESPONSES])
@pytest.mark.parametrize("what", ["messages", "parts", "tools"])
def test_what_is_translated_holds_no_more_than_the_settings_say(path: str, what: str) -> None:
    with Upstream([OK]) as up, House(limited(up.url, f"{what} = 5\n")) as house:
        assert house.post(path, holding(path, **{what: 5}) if what != "messages" else holding(path, 5))[0] == 200
        status, _, body = house.post(path, holding(path, **{what: 6}))
        assert status == 400 and f"[limits] {what}" in body.decode() and len(up.requests) == 1
        error = json.loads(body)["error"]
        assert error["type"] == "invalid_request_error"
        if path == RESPONSES:
            assert error["param"] == ("tools" if what == "tools" else "input")


def test_what_passes_untouched_is_for_its_upstream_to_refuse() -> None:
    with Upstream([OK]) as up, House(limited(up.url, "messages = 5\nvalues = 1000")) as house:
        assert house.post(CHAT, holding(CHAT, 900))[0] == 200 and len(up.requests[0].json["messages"]) == 900
        condition = limited(up.url, "messages = 5").replace("* = up", "* if tools = up\n* = up")
    with Upstream([OK]) as up, House(condition.replace("base_url", "base_url")) as house:
        assert house.post(CHAT, holding(CHAT, 6))[0] == 400  # a condition reads it


def test_the_most_values() -> None:
    with Upstream([OK]) as up, House(limited(up.url, "values = 1000")) as house:
        assert house.post(MESSAGES, holding(MESSAGES, 100))[0] == 200
        status, _, body = house.post(MESSAGES, holding(MESSAGES, 600))
        assert status == 413 and b"[limits] values" in body
    with Upstream([OK]) as up, House(limited(up.url, "values = 2000000\nmessages = 200000")) as house:
        assert house.post(MESSAGES, holding(MESSAGES, 100_000))[0] == 200


# -------------------------------------------------------------------------------------- what an address has


def from_address(house: House, address: str) -> Client:
    """A connection of which the proxy thinks that it comes from there."""
    client = Client(house.port)
    client.send("GET", "/healthz", None, {"X-Forwarded-For": address})
    return client


def test_requests_in_flight_of_one_address() -> None:
    """The one that the reverse proxy names; what the client has written before it counts for nothing."""
    gate, limits = Gate(), "requests_per_address = 2"
    body = {"model": "m", "messages": [said("x")], "stream": True}
    text = limited("{}", limits, "trusted_proxies = 127.0.0.1/32, 10.0.0.0/8")
    text += "[client a]\nkey = a-key-0123456789abc\n"
    begun = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    held = Answer.sse([begun, gate, b"data: [DONE]\n\n"])
    with Upstream([held]) as up, House(text.format(up.url)) as house:
        key = {"x-api-key": "a-key-0123456789abc"}

        def ask(forwarded: dict[str, str]) -> Client:
            client = house.connect()
            client.send("POST", CHAT, body, key | forwarded)
            return client

        clients = [ask({"X-Forwarded-For": f"9.9.9.{n}, 203.0.113.7, 10.1.2.3"}) for n in range(2)]
        assert [client.head()[0] for client in clients] == [200, 200]
        same = {"X-Forwarded-For": "9.9.9.9, 203.0.113.7"}, {"Forwarded": 'for="203.0.113.7:4711";proto=https'}
        for header in same:
            with ask(header) as third:
                status, _, told = third.reply()
                assert status == 429 and b"requests_per_address" in told and b"203.0.113.7" in told
        others = [ask({"X-Forwarded-For": "203.0.113.8"}), ask({"Forwarded": 'for="[2001:db8::7]"'}), ask({})]
        assert [client.head()[0] for client in others] == [200] * 3
        gate.open()
        for client in clients + others:
            client.body()
            client.socket.close()
        house.wait(lambda p: not p.service.flows)
        with ask({"X-Forwarded-For": "203.0.113.7"}) as again:
            assert again.reply()[0] == 200
        assert repr(house.on_loop(lambda: house.proxy.service.in_flight.per_address)).endswith("of 0 addresses>")


def test_connections_of_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.http.forwarded.is_own", lambda address: False)  # as if it came from elsewhere
    with House(limited("http://127.0.0.1:9", "connections_per_address = 2", protocol="responses")) as house:
        with Raw(house) as websocket, house.connect() as two:
            two.send("GET", "/healthz")
            assert two.reply()[0] == 200
            with house.connect() as third:
                status, headers, body = third.reply()
                assert status == 429 and b"connections_per_address" in body and headers["connection"] == "close"
            websocket.socket.close()
            house.wait(lambda p: not p.service.in_flight.sessions)
            with house.connect() as third:
                third.send("GET", "/healthz")
                assert third.reply()[0] == 200
        house.wait(lambda p: not p._server._connections)
        assert repr(house.on_loop(lambda: house.proxy._server._of_address)).endswith("of 0 addresses>")


def test_this_machine_and_trusted_proxies_are_not_bounded() -> None:
    with House(limited("http://127.0.0.1:9", "connections_per_address = 1\nrequests_per_address = 1")) as house:
        clients = [house.connect() for _ in range(4)]
        for client in clients:
            client.send("GET", "/healthz")
        assert [client.reply()[0] for client in clients] == [200] * 4
        for client in clients:
            client.socket.close()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "10.0.0.1"),
        ({"X-Forwarded-For": "1.2.3.4"}, "1.2.3.4"),
        ({"X-Forwarded-For": "6.6.6.6, 1.2.3.4"}, "1.2.3.4"),
        ({"X-Forwarded-For": "1.2.3.4, 10.0.0.9"}, "1.2.3.4"),
        ({"X-Forwarded-For": "10.0.0.8, 10.0.0.9"}, "10.0.0.8"),
        ({"X-Forwarded-For": "1.2.3.4:4711"}, "1.2.3.4"),
        ({"X-Forwarded-For": "[2001:db8::1]:80"}, "2001:db8::1"),
        ({"X-Forwarded-For": "2001:db8::1"}, "2001:db8::1"),
        ({"X-Forwarded-For": "nonsense"}, "10.0.0.1"),
        ({"X-Forwarded-For": "1.2.3.4, unknown"}, "10.0.0.1"),
        ({"X-Forwarded-For": ""}, "10.0.0.1"),
        ({"X-Forwarded-For": ", " * 5000 + "1.2.3.4"}, "1.2.3.4"),
        ({"Forwarded": "for=1.2.3.4;by=x, for=10.0.0.9"}, "1.2.3.4"),
        ({"Forwarded": 'proto=https;For="[2001:db8::1]:99"'}, "2001:db8::1"),
        ({"Forwarded": "for=_hidden"}, "10.0.0.1"),
    ],
)
def test_whose_word_about_an_address_counts(headers: dict[str, str], expected: str) -> None:
    assert Clients(("10.0.0.0/8",)).of("10.0.0.1", HTTPHeaders(headers)) == expected
    assert Clients(("10.0.0.0/8",)).of("8.8.8.8", HTTPHeaders(headers)) == "8.8.8.8"
    assert Clients(()).of("10.0.0.1", HTTPHeaders(headers)) == "10.0.0.1"


@pytest.mark.parametrize("text", ["10.0.0.1/8", "nginx", "10.0.0.0/33", "*"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(load.SettingsError, match="trusted_proxies"):
        load.read(limited("http://127.0.0.1:9", server=f"trusted_proxies = {text}"), "s.ini", environ={})


# --------------------------------------------------------------------------------------------------- websockets


def test_messages_of_a_websocket() -> None:
    with House(limited("http://127.0.0.1:9", "websocket_messages = 3", protocol="responses")) as house:
        with Raw(house) as client:
            for _ in range(4):
                client.socket.sendall(frame(TEXT, b'{"type":"nonsense"}'))
            told = [client.reply()[1] for _ in range(4)]
    assert all(b"nonsense" in each for each in told[:3]) and b"websocket_messages" in told[3]


def test_messages_come_back_evenly() -> None:
    rate = MessageRate(60)
    for _ in range(60):
        rate.came(1.0)
    for now, comes in ((1.0, False), (1.5, False), (2.1, True), (2.2, False), (1000.0, True)):
        try:
            rate.came(now)
            assert comes
        except ApiError as refusal:
            assert not comes and refusal.status == 429 and refusal.retry_after == 1.0
