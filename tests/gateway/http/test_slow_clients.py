"""Clients that send slowly, or too much: each gets to read why, on every path, and the record does not blame them."""

from __future__ import annotations

import json
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tornado.netutil import bind_unix_socket

from gateway import wiring
from gateway.http import listener
from gateway.http.listener import connections_that_fit
from operate.settings import load as settings
from tests.support.house import Client, House, one_upstream
from tests.support.script import Answer, Upstream

SETTINGS = "[server]\n{}\n[upstream up]\nprotocol = chat\nbase_url = http://127.0.0.1:9\n[models]\n* = up\n"
HOT = ["/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions", "/v1/responses"]
COLD = ["/debug/translate", "/nowhere", "/v1/models", "/dashboard/probe/up"]
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def head(path: str, *lines: bytes, length: int = 1000) -> bytes:
    framing = b"" if CHUNKED in lines else b"Content-Length: %d\r\n" % length
    return b"POST %b HTTP/1.1\r\nHost: localhost\r\n%b%b\r\n" % (path.encode(), framing, b"".join(lines))


def told(client: Client) -> tuple[int, dict[str, str], dict[str, Any]]:
    status, headers, body = client.reply()
    assert headers["connection"] == "close" and client.socket.recv(1) == b""
    return status, headers, json.loads(body)


@pytest.mark.parametrize("path", [*HOT, *COLD])
@pytest.mark.parametrize("how", ["stalls", "trickles", "chunked", "expect"])
def test_a_body_that_comes_too_slowly(path: str, how: str) -> None:
    """Nothing is lost of what it is told, though it sends on."""
    often = "ping_seconds = 0.2"  # so often does the proxy look
    with House(SETTINGS.format(f"body_timeout = 1\n{often}")) as house, house.connect() as client:
        lines = {"chunked": (CHUNKED,), "expect": (b"Expect: 100-continue\r\n",)}.get(how, ())
        client.socket.sendall(head(path, *lines))
        if how == "expect":
            client.head()
        until = time.monotonic() + 1.4
        while how != "stalls" and time.monotonic() < until:
            client.socket.sendall(b"1\r\n{\r\n" if how == "chunked" else b"{")
            time.sleep(0.05)
        status, headers, said = told(client)
        assert status == 408 and headers["x-should-retry"] == "false"
        assert "[server] body_timeout" in said["error"]["message"] and said["error"]["type"] == "timeout_error"
        assert (said.get("type") == "error") == path.startswith("/v1/messages")
        client.socket.close()
        house.wait(lambda p: not p._server._connections and not p.service.flows)


def test_the_record_says_whose_time_was_up(tmp_path: Path) -> None:
    with House(SETTINGS.format("body_timeout = 1"), folder=tmp_path) as house, house.connect() as client:
        client.socket.sendall(head("/v1/messages") + b'{"model":')
        assert "9 of 1000 bytes" in told(client)[2]["error"]["message"]
        client.socket.close()
        house.wait(lambda p: not p._server._connections)
    record = json.loads((tmp_path / "errors.json").read_text())
    assert (record["status"], record["ended"], record["error.type"]) == (408, "finished", "timeout")
    assert record["bytes_in"] == 9 and record["overhead_ms"] < 500 < record["receive_ms"]


def test_who_may_not_come_in_hears_that_rather_than_that_it_is_slow() -> None:
    text = SETTINGS.format("body_timeout = 1") + "[client a]\nkey = a-client-key-of-some-length\n"
    with House(text) as house, house.connect() as client:
        client.socket.sendall(head("/v1/messages") + b"{")
        assert told(client)[0] == 401


@pytest.mark.parametrize("expect", [(), (b"Expect: 100-continue\r\n",)])
@pytest.mark.parametrize("path", HOT)
def test_a_body_that_is_too_large_is_refused_in_words(path: str, expect: tuple[bytes, ...]) -> None:
    """To whom asks before the body is sent; to others after it, or in the midst of it when it takes too long."""
    with House(SETTINGS.format("max_body_mb = 1\nbody_timeout = 1")) as house, house.connect() as client:
        client.socket.sendall(head(path, *expect, length=300_000_000))
        if expect:
            assert told(client)[0] == 413
            return
        client.socket.sendall(b" " * 2_000_000)
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            client.socket.sendall(b" " * 1000)
            time.sleep(0.02)
        status, _, said = told(client)
        assert status == 413 and "max_body_mb" in said["error"]["message"]


def test_who_sends_without_end_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.http.response_writer.LINGER_S", 0.5)
    with House(SETTINGS.format("body_timeout = 1")) as house, house.connect() as client:
        client.socket.sendall(head("/v1/messages", length=1 << 40))
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() < began + 20:
                client.socket.sendall(b" " * 1000)
                time.sleep(0.01)
        house.wait(lambda p: not p._server._connections)


@pytest.mark.parametrize(("sent", "status"), [(b"", 0), (b"POST /v1/mess", 408), (b"POST / HTTP/1.1\r\nHost: lo", 408)])
def test_a_head_that_comes_too_slowly(sent: bytes, status: int) -> None:
    """Who has sent nothing is closed without a word: it may be about to send a request, and must not take that for
    its answer."""
    with House(SETTINGS.format("idle_timeout = 1")) as house, house.connect() as client:
        client.socket.sendall(sent)
        if status:
            got, headers, body = client.reply()
            assert got == status and headers["connection"] == "close" and b"header_seconds" in body
        assert client.socket.recv(10) == b""
        house.wait(lambda p: not p._server._connections)


def test_a_head_that_trickles_does_not_put_its_end_off() -> None:
    with House(SETTINGS.format("idle_timeout = 1")) as house, house.connect() as client:
        began = time.monotonic()
        client.socket.sendall(b"POST / HTTP/1.1\r\n")
        client.socket.settimeout(0.1)
        got = b""
        while not got and time.monotonic() < began + 10:
            client.socket.sendall(b"X-A: b\r\n")
            try:
                got = client.socket.recv(20)
            except TimeoutError:
                continue
        assert got.startswith(b"HTTP/1.1 408")


def test_idle_connections_end_in_time_and_changes_of_it_hold_at_once() -> None:
    with House(SETTINGS.format("idle_timeout = 60")) as house, house.connect() as one, house.connect() as two:
        one.send("GET", "/healthz")
        assert one.reply()[0] == 200
        house.wait(lambda p: len(p._door.idle._since) == 2)
        house.on_loop(lambda: house.proxy._door.idle.adopt(0.2, 0.2))
        assert one.socket.recv(1) == two.socket.recv(1) == b""
        assert house.get("/healthz")[0] == 200


def test_a_new_connection_counts_from_its_beginning() -> None:
    with House(SETTINGS.format("idle_timeout = 1")) as house, house.connect() as one:
        for _ in range(4):
            time.sleep(0.4)
            one.send("GET", "/healthz")
            assert one.reply()[0] == 200
        assert one.socket.recv(1) == b""


# ---------------------------------------------------------------------------------------- room for newcomers


def _at_the_limit(house: House, many: int) -> list[Client]:
    clients = [house.connect() for _ in range(many)]
    house.wait(lambda p: len(p._door.idle._since) == many)
    return clients


def test_the_longest_idle_connection_makes_room() -> None:
    with House(SETTINGS.format("max_connections = 3")) as house:
        clients = _at_the_limit(house, 3)
        clients[0].send("GET", "/healthz")  # the first is the latest now
        assert clients[0].reply()[0] == 200
        house.wait(lambda p: len(p._door.idle._since) == 3)
        with house.connect() as newcomer:
            newcomer.send("GET", "/healthz")
            assert newcomer.reply()[0] == 200
            assert clients[1].socket.recv(1) == b""
            for client in (clients[0], clients[2]):
                client.send("GET", "/healthz")
                assert client.reply()[0] == 200
        for client in clients:
            client.socket.close()


def test_a_connection_with_a_request_never_makes_room() -> None:
    with House(SETTINGS.format("max_connections = 3")) as house:
        clients = _at_the_limit(house, 3)
        for client in clients:
            client.socket.sendall(head("/v1/chat/completions", length=2))
        house.wait(lambda p: not p._door.idle._since)
        for _ in range(2):
            with house.connect() as newcomer:
                newcomer.socket.sendall(head("/v1/messages", length=100_000) + bytes(100_000))
                status, headers, body = newcomer.reply()
                assert status == 503 and headers["retry-after"] == "1" and headers["connection"] == "close"
                assert b"max_connections" in body
        for client in clients:
            client.socket.sendall(b"{}")
            assert client.reply()[0] == 400
            client.socket.close()
        house.wait(lambda p: not p._server._connections)
        assert house.get("/healthz")[0] == 200


def test_a_connection_that_begins_to_speak_is_spared() -> None:
    with House(SETTINGS.format("max_connections = 2")) as house:
        first, second = _at_the_limit(house, 2)

        def at_once() -> None:
            """In one turn of the loop, so that nothing of it is read before the newcomer is there."""
            first.send("GET", "/healthz")
            assert house.proxy._door.idle.make_room()

        house.on_loop(at_once)
        assert first.reply()[0] == 200
        assert second.socket.recv(1) == b""
        first.socket.close()
        second.socket.close()


def test_who_has_left_makes_room() -> None:
    """Whether Tornado has noticed it or not: of hundreds that leave at once it has not, and the next one is served."""
    with House(SETTINGS.format("max_connections = 2")) as house:
        clients = _at_the_limit(house, 2)

        def at_once() -> None:
            """In one turn of the loop."""
            idle = house.proxy._door.idle
            clients[0].socket.close()
            assert idle.make_room()
            [left] = idle._since
            left.stream.close()
            assert idle.make_room()
            assert not idle.make_room()

        house.on_loop(at_once)
        clients[1].socket.close()


def test_a_slow_client_that_has_left_is_told_nothing() -> None:
    with House(SETTINGS.format("max_connections = 2")) as house:
        (client,) = _at_the_limit(house, 1)
        client.socket.sendall(b"GET /healthz HTTP/1.1\r\n")
        house.wait(lambda p: all(each.stream._read_buffer_size for each in p._door.idle._since))

        def at_once() -> None:
            idle = house.proxy._door.idle
            [connection] = idle._since
            idle._look()  # it has begun
            connection.stream.close()
            idle.adopt(0.0, 0.0)
            assert not idle._since

        house.on_loop(at_once)
        client.socket.close()


def test_the_address_with_the_most_idle_ones_makes_room_first() -> None:
    with House(SETTINGS.format("max_connections = 4")) as house:
        alone = Client.__new__(Client)
        alone.socket = socket.create_connection(("127.0.0.1", house.port), timeout=20, source_address=("127.0.0.2", 0))
        alone._held = b""
        house.wait(lambda p: len(p._door.idle._since) == 1)
        many = [house.connect() for _ in range(3)]
        house.wait(lambda p: len(p._door.idle._since) == 4)
        with house.connect() as newcomer:
            newcomer.send("GET", "/healthz")
            assert newcomer.reply()[0] == 200
        assert many[0].socket.recv(1) == b""
        alone.send("GET", "/healthz")
        assert alone.reply()[0] == 200
        for client in (alone, *many):
            client.socket.close()


def test_many_are_refused_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with House(SETTINGS.format("max_connections = 1")) as house:
        (busy,) = _at_the_limit(house, 1)
        busy.socket.sendall(head("/v1/chat/completions"))
        house.wait(lambda p: not p._door.idle._since)
        house.on_loop(lambda: setattr(house.proxy._server._full, "_silent_until", 0.0))
        for _ in range(100):
            with house.connect() as refused:
                refused.send("GET", "/v1/models")
                assert b"503" in refused.socket.recv(100) or refused.socket.recv(1) == b""
        busy.socket.close()
    assert len([r for r in caplog.records if "max_connections" in r.getMessage()]) == 1


@pytest.mark.parametrize(("files", "fit"), [(256, 80), (1024, 464), (2600, 1504), (4000, 2000)])
def test_clients_have_half_of_few_files_at_least(monkeypatch: pytest.MonkeyPatch, files: int, fit: int) -> None:
    """The others are for upstreams, of which most requests need one connection, and none is opened without a file."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    chosen = settings.read(SETTINGS.format(""), "s.ini", [], {})
    assert connections_that_fit(chosen) == fit
    most = wiring.pool(chosen, cast(Any, SimpleNamespace(upstreams={}))).max_connections
    assert min(fit, 1000) <= most and most + fit + listener.OTHER_FILES <= files


# ------------------------------------------------------------------------------------------ reserved places

PAGES = ["/", "/healthz", "/readyz", "/metrics", "/dashboard", "/dashboard/data/now", "/debug/upstreams",
         "/debug/quirks"]  # fmt: skip


def _full(house: House, many: int) -> list[Client]:
    clients = _at_the_limit(house, many)
    for client in clients:
        client.socket.sendall(head("/v1/chat/completions", length=2))
    house.wait(lambda p: not p._door.idle._since)
    return clients


def test_operators_are_served_when_all_connections_are_taken() -> None:
    with House(SETTINGS.format("max_connections = 2")) as house:
        clients = _full(house, 2)
        for path in PAGES:
            status, headers, body = house.get(path)
            assert status == 200 and headers["connection"] == "close", path
            if path == "/metrics":
                assert b'proxy_client_connections{state="busy"} 3.0' in body
                assert b"proxy_client_connections_max 2.0" in body
        for path in ("/v1/models", "/v1/responses/resp_1", "/nowhere"):
            status, headers, _ = house.get(path)
            assert status == 503 and headers["connection"] == "close" and headers["retry-after"] == "1"
        assert b'proxy_client_connections_refused_total{why="full"} 3.0' in house.get("/metrics")[2]
        for client in clients:
            client.socket.sendall(b"{}")
            assert client.reply()[0] == 400
            client.socket.close()
        house.wait(lambda p: not p._server._connections and not p._server._reserved)
        assert house.get("/v1/models")[0] == 200


def test_who_waits_in_a_reserved_place_makes_room_for_the_next() -> None:
    """Those who connect and say nothing cannot keep operators out."""
    with House(SETTINGS.format("max_connections = 1")) as house:
        clients = _full(house, 1)
        silent = [house.connect() for _ in range(listener.RESERVED)]
        house.wait(lambda p: len(p._server._reserved) == listener.RESERVED)
        assert house.get("/healthz")[0] == 200
        assert silent[0].socket.recv(1) == b""
        for client in clients + silent:
            client.socket.close()


def test_a_silent_newcomer_does_not_take_the_place_of_a_client() -> None:
    with House(SETTINGS.format("max_connections = 1")) as house:
        (client,) = _full(house, 1)
        silent = house.connect()
        house.wait(lambda p: len(p._server._reserved) == 1)
        client.socket.sendall(b"{}")
        assert client.reply()[0] == 400
        client.send("GET", "/v1/models")
        assert client.reply()[0] == 200
        client.socket.close()
        silent.socket.close()


def test_the_kernel_takes_little_for_a_client_that_reads_nothing() -> None:
    """It would take megabytes, which no limit counts."""
    event = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"a" * 50_000)
    with Upstream([Answer.sse([event] * 400)]) as up, House(one_upstream(up.url, "chat")) as house:
        with socket.socket() as taker:
            taker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            taker.connect(("127.0.0.1", house.port))
            body = json.dumps({"model": "m", "stream": True, "messages": []}).encode()
            taker.sendall(head("/v1/chat/completions", length=len(body)) + body)

            def written(flow: Any) -> int:
                return flow.writer.written

            house.wait(lambda p: any(written(flow) for flow in p.service.flows))
            before = -1
            while before != (before := house.on_loop(lambda: sum(map(written, house.proxy.service.flows)))):
                time.sleep(0.2)
        assert 50_000 <= before < 1_000_000


@pytest.fixture
def by_unix(tmp_path: Path) -> Iterator[Callable[[House], socket.socket]]:
    """Connects by a Unix socket."""
    path, opened = str(tmp_path / "p.sock"), list[socket.socket]()

    def connect(house: House) -> socket.socket:
        if not opened:
            listening = bind_unix_socket(path)
            house.on_loop(lambda: house.proxy._server.add_sockets([listening]))
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        one.settimeout(20)
        one.connect(path)
        opened.append(one)
        return one

    yield connect
    for one in opened:
        one.close()


def test_who_reads_nothing_by_a_unix_socket_is_let_go(by_unix: Callable[[House], socket.socket], caplog: Any) -> None:
    """And whoever reads on, however slowly, is not."""
    word = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 30_000)
    ask = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
    sent = head("/v1/chat/completions", b"Content-Type: application/json\r\n", length=len(ask)) + ask
    with Upstream(lambda r: Answer.sse([word] * 400, end="hang")) as up:
        with House(one_upstream(up.url, "chat", "", "idle_timeout = 1")) as house:
            stuck, slow = by_unix(house), by_unix(house)
            stuck.sendall(sent)
            slow.sendall(sent)
            up.wait(lambda seen: len(seen.requests) == 2)
            until = time.monotonic() + 30
            while len(house.proxy.service.flows) == 2 and time.monotonic() < until:
                assert slow.recv(100_000)
                time.sleep(0.1)
            assert len(house.proxy.service.flows) == 1
            while stuck.recv(100_000):
                pass
            assert slow.recv(100_000), "it is still served"
    assert any("it took nothing of its reply for 1 s" in line.getMessage() for line in caplog.records)
