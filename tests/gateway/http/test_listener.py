"""How many of the connections that wait one worker takes in a turn of its loop."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
from tornado.httputil import HTTPMessageDelegate, HTTPServerConnectionDelegate
from tornado.netutil import bind_sockets

from gateway.http.idle_connections import Idle
from gateway.http.listener import MOST_AT_ONCE, Server, make_server


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
