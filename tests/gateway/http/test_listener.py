"""How many of the connections that wait one worker takes in a turn of its loop, and whose are served at all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

import pytest
from tornado.httputil import HTTPMessageDelegate, HTTPServerConnectionDelegate
from tornado.netutil import bind_sockets

from gateway.http.idle_connections import Idle
from gateway.http.listener import MOST_AT_ONCE, Server, make_server
from operate.settings import load
from tests.support.waiting import soon


class _Door(HTTPServerConnectionDelegate):
    def start_request(self, server_conn: object, request_conn: object) -> HTTPMessageDelegate:
        return HTTPMessageDelegate()


async def taken_in_a_turn(waiting: int, workers: int) -> int:
    listening = bind_sockets(0, "127.0.0.1", backlog=1024)[0]
    server: Server = make_server(_Door(), Idle(), ())
    server.workers = workers
    clients = [socket.create_connection(listening.getsockname()) for _ in range(waiting)]
    try:
        server._ready(listening, 0)
        return len(server._connections)
    finally:
        await server.close_all_connections()
        for each in [*clients, listening]:
            each.close()


@pytest.mark.parametrize(
    ("waiting", "workers", "taken"),
    [(1, 1, 1), (5, 1, 5), (100, 1, MOST_AT_ONCE), (1, 4, 1), (20, 4, 5), (21, 4, 6), (0, 1, 0)],
)
def test_its_share_of_those_that_wait(waiting: int, workers: int, taken: int) -> None:
    assert asyncio.run(taken_in_a_turn(waiting, workers)) == taken


async def failing(server: Server, listening: socket.socket) -> bytes:
    """What a client gets whose connection cannot be served for a fault of ours."""

    def fails(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    server.handle_stream = fails  # type: ignore[method-assign]
    with socket.create_connection(listening.getsockname()) as client:
        client.settimeout(5)
        with pytest.raises(RuntimeError):
            server._ready(listening, 0)
        return client.recv(1)


@pytest.mark.parametrize("has_tls", [False, True])
def test_a_client_that_cannot_be_served_does_not_wait(has_tls: bool) -> None:
    with bind_sockets(0, "127.0.0.1")[0] as listening:

        async def run() -> bytes:
            server = make_server(_Door(), Idle(), ())
            server.ssl_options = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if has_tls else None
            return await failing(server, listening)

        assert asyncio.run(run()) == b""


CLIENT = "[client a]\nkey = a-key-0123456789abcdef\n"
UPSTREAM = "[upstream a]\nprotocol = chat\nbase_url = http://127.0.0.1:9\n"


class _ForBoth:
    """A socket that serves IPv6 and IPv4, as systemd opens it. address: of who comes."""

    family = socket.AF_INET6

    def __init__(self, listening: socket.socket, address: str) -> None:
        self._listening, self._address = listening, address

    def accept(self) -> tuple[socket.socket, tuple[str, int, int, int]]:
        return self._listening.accept()[0], (self._address, 5, 0, 0)


@pytest.mark.parametrize(
    ("address", "settings", "known_as"),
    [
        ("::ffff:192.0.2.9", UPSTREAM, None),
        ("2001:db8::9", UPSTREAM, None),
        ("::ffff:192.0.2.9", CLIENT + UPSTREAM, "192.0.2.9"),
        ("2001:db8::9", CLIENT + UPSTREAM, "2001:db8::9"),
        ("::ffff:127.0.0.1", UPSTREAM, "127.0.0.1"),
        ("::1", UPSTREAM, "::1"),
    ],
)
def test_without_clients_no_other_machine_is_served(address: str, settings: str, known_as: str | None) -> None:
    """Also where systemd has opened the socket, for whatever address. known_as: None = it is turned away."""

    async def run() -> tuple[list[str], bytes]:
        server = make_server(_Door(), Idle(), ())
        server.adopt(load.read(settings, "t.ini", [], {}))
        with bind_sockets(0, "127.0.0.1")[0] as listening, socket.create_connection(listening.getsockname()) as client:
            server._accept(_ForBoth(listening, address))  # type: ignore[arg-type]
            known = [connection.context.remote_ip for connection in server._connections]  # type: ignore[attr-defined]
            said = b""
            if not known:
                said = await asyncio.to_thread(client.recv, 4096)
            await server.close_all_connections()
            return known, said

    known, said = asyncio.run(run())
    assert known == ([known_as] if known_as else [])
    assert known_as or (said.startswith(b"HTTP/1.1 403 ") and b"[client]" in said)


def test_when_the_last_client_goes_other_machines_go_too() -> None:
    """Who had a key would be served without one, on the connection that was kept."""

    async def run() -> tuple[list[str], list[str], bytes]:
        server = make_server(_Door(), Idle(), ())
        server.adopt(load.read(CLIENT + UPSTREAM, "t.ini", [], {}))

        def known() -> list[str]:
            return sorted(connection.context.remote_ip for connection in server._connections)  # type: ignore[attr-defined]

        with bind_sockets(0, "127.0.0.1")[0] as listening:
            with contextlib.ExitStack() as open_ones:
                for address in ("::ffff:192.0.2.9", "::1"):
                    client = open_ones.enter_context(socket.create_connection(listening.getsockname(), 5.0))
                    server._accept(_ForBoth(listening, address))  # type: ignore[arg-type]
                    if address != "::1":
                        other = client
                before = known()
                server.adopt(load.read(UPSTREAM, "t.ini", [], {}))
                said = await asyncio.to_thread(other.recv, 4096)
                await soon(lambda: len(known()) == 1)
                after = known()
                await server.close_all_connections()
        return before, after, said

    assert asyncio.run(run()) == (["192.0.2.9", "::1"], ["::1"], b"")
