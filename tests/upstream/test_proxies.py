"""What clients hear of a proxy before the upstream that does not do its part, and that the next target is asked."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.house import House
from tests.support.script import Answer, Upstream
from tests.support.two_upstreams import ASK, QUICK, house_text, says, section

PATH = "/v1/chat/completions"


@pytest.fixture
def silent() -> Iterator[str]:
    """host:port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def behind(proxy: str, scheme: str) -> str:
    return section(f"{scheme}://api.example.test", f"proxy = {proxy}\n")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_one_that_asks_for_a_password(scheme: str) -> None:
    """It is no refusal of the client's own key, and the upstream has seen nothing of the request."""
    refusal = Answer(407, {"Proxy-Authenticate": 'Basic realm="x"'}, b'{"error": {"message": "who are you?"}}')
    with Upstream([refusal]) as proxy, Upstream(lambda r: says("from b")) as b:
        text = house_text("m = a\ntwo = a, b", QUICK, a=behind(proxy.url, scheme), b=b.url)
        with House(text) as house:
            status, _, body = house.post(PATH, ASK)
            assert status == 502 and b"its proxy asks for a password (407)" in body
            assert house.post(PATH, ASK | {"model": "two"})[0] == 200


def test_a_407_where_no_proxy_is_set_is_the_upstreams_own() -> None:
    refusal = Answer(407, {"Content-Type": "application/json"}, b'{"error": {"message": "who are you?"}}')
    with Upstream([refusal]) as up, House(house_text("* = a", QUICK, a=up.url)) as house:
        status, _, body = house.post(PATH, ASK)
    assert status == 407 and b"who are you?" in body and b"its proxy" not in body


@pytest.mark.parametrize(("proxy", "scheme"), [("http", "https"), ("socks5h", "http"), ("socks5h", "https")])
def test_one_that_is_silent_is_no_handshake_of_the_upstreams(silent: str, proxy: str, scheme: str) -> None:
    text = house_text("* = a", f"{QUICK}max_attempts = 1\n[timeouts]\nconnect = 0.5\n",
                      a=behind(f"{proxy}://{silent}", scheme))  # fmt: skip
    with House(text) as house:
        status, _, body = house.post(PATH, ASK)
    assert status == 504 and b"its proxy did not open the way in time" in body and b"TLS" not in body


def test_the_name_that_is_unknown_is_the_proxys() -> None:
    text = house_text("* = a", f"{QUICK}max_attempts = 1\n", a=behind("http://proxy.invalid:3128", "https"))
    with House(text) as house:
        status, _, body = house.post(PATH, ASK)
    assert status == 502 and b"its proxy proxy.invalid cannot be resolved" in body


def test_a_socket_where_nobody_listens_is_no_port() -> None:
    with House(house_text("* = a", QUICK, a=section("http://localhost", "socket = /nowhere/at-all.sock\n"))) as house:
        status, _, body = house.post(PATH, ASK)
    assert status == 502 and b"over its Unix socket" in body and b"nowhere" not in body
