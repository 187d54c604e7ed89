"""HTTP/1 of the odd kind: pipelining, Expect, keep-alive, smuggling."""

from __future__ import annotations

import json

import pytest

from tests.gateway.hostile import ASKED, BEGUN, DONE, KEY, OK, PATH, nothing_is_left, post, raw
from tests.support.house import ONCE, House, one_upstream
from tests.support.script import Answer, Upstream


def test_pipelined_requests_are_answered_in_order() -> None:
    with Upstream(lambda r: Answer.json({"id": r.json["n"]}, delay=0.02)) as up:
        with House(one_upstream(up.url, "chat")) as house, house.connect() as client:
            client.socket.sendall(b"".join(post(json.dumps(ASKED | {"n": n}).encode()) for n in range(5)))
            assert [json.loads(client.reply()[2])["id"] for _ in range(5)] == [0, 1, 2, 3, 4]


def test_pipelined_bytes_do_not_pile_up() -> None:
    """While a reply is awaited, what the client sends on stays in the kernel."""
    settings = one_upstream("{}", "chat", "", "drain_seconds = 0")
    with Upstream([Answer.silence()]) as up, House(settings.format(up.url)) as house, house.connect() as client:
        client.send("POST", PATH, ASKED)
        up.wait(lambda u: len(u.requests) == 1)
        client.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.socket.sendall(b"x" * 50_000_000)
        held = house.on_loop(lambda: max(c.stream._read_buffer_size for c in house.proxy._server._connections))
        assert held < 300_000


@pytest.mark.parametrize("stream", [False, True])
def test_leaving_is_seen_even_if_more_was_sent_than_the_request(stream: bool) -> None:
    """A second request, or the stray line break of an old client."""
    answer = Answer.sse([BEGUN], end="hang") if stream else Answer.silence()
    with Upstream([answer]) as up, House(one_upstream(up.url, "chat")) as house, house.connect() as client:
        client.socket.sendall(post(json.dumps(ASKED | {"stream": stream}).encode()) + b"\r\n")
        up.wait(lambda u: len(u.requests) == 1)
        if stream:
            client.head()
        client.socket.close()
        nothing_is_left(house)
        up.wait(lambda u: u.requests[0].state == "gone", 3.0)


def test_expect_100_continue() -> None:
    body = json.dumps(ASKED).encode()
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house, house.connect() as client:
        head, _, _ = post(body, "Expect: 100-continue").partition(b"\r\n\r\n")
        client.socket.sendall(head + b"\r\n\r\n")
        assert client.head()[0] == 100
        client.socket.sendall(body)
        assert client.reply()[0] == 200


@pytest.mark.parametrize(
    ("lines", "length", "status"),
    [([], 10, 401), ([f"x-api-key: {KEY}"], 3 << 30, 413), ([f"x-api-key: {KEY}"], 2 << 20, 413)],
)
def test_who_asks_first_is_told_before_it_sends(lines: list[str], length: int, status: int) -> None:
    settings = one_upstream("http://127.0.0.1:9", "chat", "", "max_body_mb = 1") + f"[client a]\nkey = {KEY}\n"
    with House(settings) as house, house.connect() as client:
        client.socket.settimeout(5)
        head = [f"POST {PATH} HTTP/1.1", "Host: localhost", f"Content-Length: {length}", "Expect: 100-continue", *lines]
        client.socket.sendall("\r\n".join([*head, "", ""]).encode())
        got, headers, body = client.reply()
        assert got == status and headers["connection"] == "close" and json.loads(body)["error"]
        assert client.socket.recv(1) == b""
        nothing_is_left(house)


@pytest.mark.parametrize("chunked", [False, True])
def test_after_a_413_of_any_size_the_connection_goes_on(chunked: bool) -> None:
    settings = one_upstream("{}", "chat", "", "max_body_mb = 1")
    with Upstream([OK]) as up, House(settings.format(up.url)) as house, house.connect() as client:
        for size in (1_200_000, 9_000_000):
            if chunked:
                head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
                client.socket.sendall(head + b"%x\r\n%b\r\n0\r\n\r\n" % (size, b" " * size))
            else:
                client.send("POST", PATH, b" " * size)
            status, _, body = client.reply()
            assert status == 413 and b"max_body_mb" in body
        client.send("POST", PATH, ASKED)
        assert client.reply()[0] == 200


def test_keep_alive_after_every_kind_of_error() -> None:
    stream = Answer.sse([BEGUN, DONE])
    answers = [Answer.json({"error": {"message": "no"}}, 429), Answer.drop(), Answer.drop(), stream, OK]
    with Upstream(answers) as up, House(one_upstream(up.url, "chat") + ONCE) as house, house.connect() as client:
        said = []
        for body in (b"{", b"", {"model": 1}, b"\xff", ASKED, ASKED, ASKED | {"stream": True}, ASKED):
            client.send("POST", PATH, body)
            said.append(client.reply()[0])
        assert said == [400, 400, 400, 400, 429, 502, 200, 200]


@pytest.mark.parametrize("stream", [False, True])
def test_connection_close_is_honoured_and_said(stream: bool) -> None:
    """Rests on Tornado's _disconnect_on_finish."""
    with Upstream([Answer.sse([BEGUN, DONE]) if stream else OK]) as up, House(one_upstream(up.url, "chat")) as house:
        with house.connect() as client:
            client.send("POST", PATH, ASKED | {"stream": stream}, {"Connection": "close"})
            status, headers, _ = client.reply()
            assert status == 200 and headers["connection"] == "close"
            assert client.socket.recv(1) == b""


def test_http10_keep_alive() -> None:
    """Rests on Tornado's _request_start_line."""
    data = post(json.dumps(ASKED).encode(), "Connection: keep-alive", version="1.0")
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house, house.connect() as client:
        for _ in range(2):
            client.socket.sendall(data)
            status, headers, _ = client.reply()
            assert status == 200 and headers["connection"] == "Keep-Alive"
        client.socket.sendall(post(json.dumps(ASKED).encode(), version="1.0"))
        assert client.reply()[0] == 200 and client.socket.recv(1) == b""


@pytest.mark.parametrize(
    "lines",
    [
        ["Transfer-Encoding: chunked"], ["Content-Length: 3"], ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: xchunked"], ["X: a\rb"], ["X: a\0b"], [" folded: x"], ["X : y"], ["Content-Length: +5"],
    ],
)  # fmt: skip
def test_smuggling_is_refused(lines: list[str]) -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        got = raw(house, post(b"0\r\n\r\nPOST /v1/messages HTTP/1.1\r\n\r\n", *lines))
        assert got.count(b"HTTP/1.1") == 1 and got.startswith(b"HTTP/1.1 400"), got
        nothing_is_left(house)
        assert up.requests == []


def test_what_the_cold_paths_are_sent_is_not_kept() -> None:
    with House(one_upstream("http://127.0.0.1:9", "chat")) as house, house.connect() as client:
        head = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n"
        client.socket.sendall(head + b"x" * 20_000_000)
        before = house.on_loop(lambda: _held_by_tornado())
        assert before < 1_000_000
        client.socket.sendall(b"x" * 30_000_000)
        assert client.reply()[0] == 404


def _held_by_tornado() -> int:
    import gc

    from tornado.web import _HandlerDelegate

    delegates = [thing for thing in gc.get_objects() if isinstance(thing, _HandlerDelegate)]
    return max((sum(map(len, d.chunks)) for d in delegates), default=0)
