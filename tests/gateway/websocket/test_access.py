"""Who may open a websocket, and how many there may be."""

from __future__ import annotations

import json

import pytest
from tornado.httpclient import HTTPClientError
from tornado.websocket import websocket_connect

from tests.gateway.stored.test_responses_state import ALICE, BOB, CLIENTS, chat_text
from tests.gateway.websocket.sockets import DEMO, UPGRADE, Socket, with_socket
from tests.support.house import House, one_upstream
from tests.support.script import Upstream


@pytest.mark.parametrize(
    ("text", "headers", "status"),
    [
        ("", {"Origin": "https://evil.example"}, 403),
        ("", {"Origin": "http://evil.localhost.example"}, 403),
        ("", {"Host": "evil.example"}, 403),
        (CLIENTS, {}, 401),
        (CLIENTS, {"Authorization": "Bearer wrong-key-0123456789"}, 401),
        (CLIENTS + "[server]\norigins =\n", ALICE | {"Origin": "https://evil.example"}, 403),
        (CLIENTS, ALICE | {"Origin": "https://chat.example"}, 101),
        (CLIENTS, {"Origin": "https://evil.example"}, 401),
        ("[server]\nwebsockets = false\n", {}, 426),
        ("[responses]\nstore_entries = 0\n", {}, 426),
        ("", {"Origin": "http://localhost:3000"}, 403),  # another server on this machine, and its scripts
        ("", {"Origin": "http://127.0.0.1:8080", "Host": "127.0.0.1:8080"}, 101),  # our own page
        (CLIENTS, ALICE, 101),
        (CLIENTS, {"X-Api-Key": "bob-key-0123456789abc"}, 101),
    ],
)
def test_who_may_open_one(text, headers, status):
    with House(DEMO.format("chat") + text) as house, house.connect() as client:
        client.send("GET", "/v1/responses", None, UPGRADE | headers)
        got, _ = client.head()
        assert got == status
        if status != 101:
            assert json.loads(client.body())["error"]["message"]
            assert not house.on_loop(lambda: house.proxy.service.in_flight.sessions)


def test_a_handshake_whose_upgrade_was_taken_out_is_told_to_post():
    """nginx does so unless it is told otherwise. Clients try again and again after a 405; after a 426 they use POST."""
    hop_by_hop = ("Upgrade", "Connection")
    left = {name: value for name, value in UPGRADE.items() if name not in hop_by_hop}
    assert "Sec-WebSocket-Key" in left and len(left) < len(UPGRADE)
    with House(DEMO.format("chat")) as house:
        status, _, body = house.get("/v1/responses", left)
    assert status == 426 and "reverse proxy" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize("headers", [{}, {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c"}])
def test_a_get_without_an_upgrade_to_a_websocket_is_refused(headers):
    """Java's clients offer HTTP/2 with any request."""
    with House(DEMO.format("chat")) as house:
        status, _, body = house.get("/v1/responses", headers)
    assert status == 405 and json.loads(body)["error"]["message"]


def test_the_sessions_of_two_clients_do_not_share_what_is_stored(chat):
    with Upstream(chat_text) as up, House(one_upstream(up.url, "chat", CLIENTS)) as house:
        first = with_socket(house, lambda socket: socket.turn(input="x"), ALICE)["response"]["id"]
        on_it = lambda socket: socket.turn(input="y", previous_response_id=first)  # noqa: E731
        assert with_socket(house, on_it, BOB)["error"]["code"] == "previous_response_not_found"
        assert with_socket(house, on_it, ALICE)["type"] == "response.completed"


def test_connections_are_bounded_with_websockets_among_them(chat):
    with House(DEMO.format("chat") + "[server]\nmax_connections = 2\n") as house:

        async def session(socket: Socket) -> None:
            second = await websocket_connect(f"ws://127.0.0.1:{house.port}/v1/responses")
            with pytest.raises((HTTPClientError, OSError)):
                await websocket_connect(f"ws://127.0.0.1:{house.port}/v1/responses")
            second.close()

        with_socket(house, session)
