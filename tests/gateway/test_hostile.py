"""Bytes, orders of events and values that no honest client or upstream sends.

The rule behind every test: whatever comes, each request ends (the client gets a legal answer or a closed
connection, the upstream request is gone, the proxy holds nothing more of it), and nobody's bytes become
somebody else's header.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from gateway.flow import passthrough
from tests.support.house import ONCE, Client, Cut, House, one_upstream
from tests.support.script import Answer, Gate, Upstream
from translate import pair

PATH = "/v1/chat/completions"
OK = Answer.json({"id": "x", "choices": []})
BEGUN = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
DONE = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
ASKED = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
KEY = "a-client-key-of-some-length"


def nothing_is_left(house: House) -> None:
    house.wait(lambda p: not p.service.flows and p.service.client.stats()["in_flight"] == 0, 5.0)


def raw(house: House, data: bytes) -> bytes:
    """Sends bytes, and reads until the proxy closes or says no more for a while."""
    with socket.create_connection(("127.0.0.1", house.port), timeout=5) as client:
        client.sendall(data)
        got = b""
        try:
            while piece := client.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
        return got


def post(body: bytes, *lines: str, path: str = PATH, version: str = "1.1") -> bytes:
    head = [f"POST {path} HTTP/{version}", "Host: localhost", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode("latin-1") + body


# ------------------------------------------------------------------ faults of our own, in every phase


def fail(*_: Any) -> Any:
    raise KeyError("a translator's own mistake")


@pytest.mark.parametrize("path", [PATH, "/v1/messages"])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("name", ["feed", "end", "fail"])
def test_a_fault_of_ours_ends_the_request(
    monkeypatch: pytest.MonkeyPatch, path: str, begun: bool, name: str
) -> None:
    """A mistake in a translator costs its request, not a client that waits for ever."""
    gate = Gate()
    kind: Any = passthrough.Passthrough if path == PATH else pair.Crossing
    with (
        Upstream([Answer.sse([*([BEGUN] if begun else []), gate, BEGUN], end="reset")]) as up,
        House(one_upstream(up.url, "chat")) as house,
        house.connect() as client,
    ):
        client.socket.settimeout(5)
        client.send("POST", path, ASKED | {"stream": True})
        if begun:
            assert client.head()[0] == 200
        up.wait(lambda u: len(u.requests) == 1)
        monkeypatch.setattr(kind, name, fail)
        gate.open()
        with _either():
            if not begun:
                assert client.head()[0] in (200, 500, 502)
            client.body()
        nothing_is_left(house)


class _either:
    """The stream ends by an error event or by a cut, but it ends."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, *_: object) -> bool:
        return kind is None or issubclass(kind, Cut)


def test_a_ping_that_fails_does_not_stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = one_upstream("{}", "chat", "", "ping_seconds = 0.1")
    with Upstream([Answer.sse([BEGUN], end="hang")]) as up, House(settings.format(up.url)) as house:
        with monkeypatch.context() as broken:
            broken.setattr(passthrough.Passthrough, "ping", fail)
            with house.connect() as client:
                client.socket.settimeout(5)
                client.send("POST", PATH, ASKED | {"stream": True})
                with _either():
                    client.head()
                    list(client.pieces())
            nothing_is_left(house)
        with house.connect() as client:
            client.socket.settimeout(5)
            client.send("POST", PATH, ASKED | {"stream": True})
            client.head()
            pieces = client.pieces()
            assert next(pieces) == BEGUN and next(pieces) == b": ping\n\n"


@pytest.mark.parametrize(
    "usage", [b"[" * 4000, b'{"a":' + b"[" * 4000, b'{"a":NaN}', b'{"a":1e999}', b'{"a":' + b"9" * 400 + b"}"]
)
def test_odd_usage_costs_at_most_its_record(usage: bytes, tmp_path: Any) -> None:
    body = b'{"id":"x","choices":[],"usage":' + usage + b"}"
    with (
        Upstream([Answer(200, {"Content-Type": "application/json"}, body)]) as up,
        House(one_upstream(up.url, "chat"), folder=tmp_path) as house,
    ):
        house.on_loop(lambda: setattr(house.proxy.service.journal, "performance", True))
        for _ in range(2):
            status, _, got = house.post(PATH, ASKED)
            assert (status, got) == (200, body)
        nothing_is_left(house)
    lines = (tmp_path / "performance.json").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == [200, 200]


# --------------------------------------------------------------------------------- clients that leave


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
    answer: Any = (
        Answer.sse([BEGUN, 0.01, BEGUN, 0.01, DONE]) if stream else Answer.json({"choices": []}, delay=0.01)
    )
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
def test_a_client_that_takes_nothing_is_cut_off(stream: bool) -> None:
    """Else each such client would hold a connection and a reply for as long as it likes."""
    piece = b'data: {"x":"' + b"x" * 65_000 + b'"}\n\n'
    answer = Answer.sse([piece] * 1000) if stream else Answer.json({"id": "x", "choices": ["x" * 30_000_000]})
    settings = one_upstream("{}", "chat", "", "idle_timeout = 1\nping_seconds = 0.5")
    with Upstream([answer]) as up, House(settings.format(up.url)) as house, house.connect() as client:
        client.send("POST", PATH, ASKED | {"stream": stream})
        house.wait(lambda p: bool(p._server._connections))
        house.wait(lambda p: not p._server._connections, 8.0)
        nothing_is_left(house)


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


# ------------------------------------------------------------------------------- HTTP/1 of the odd kind


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


# -------------------------------------------------------------------------------- values in wrong places


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "[::1"}, 403), ({"Host": "a]b"}, 403), ({"Host": "\u2100.example".encode().decode("latin-1")}, 403),
        ({"Host": ""}, 403), ({"Host": "localhost, evil.example"}, 403), ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost@evil.example"}, 403), ({"Host": "evil.example@localhost"}, 403),
        ({"Host": "localhost/@evil.example"}, 403),
        ({"Origin": "http://["}, 403), ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "http://evil.example\\@localhost"}, 403), ({"Origin": "file://"}, 403),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [PATH, "/v1/models"])
def test_odd_hosts_and_origins_are_refused_in_words(headers: dict[str, str], status: int, path: str) -> None:
    with House(one_upstream("http://127.0.0.1:9", "chat")) as house:
        method, body = ("POST", ASKED) if path == PATH else ("GET", None)
        got, _, text = house.request(method, path, body, headers)
        assert got in (status, 400), got
        assert path != PATH or json.loads(text)["error"]["message"]
        nothing_is_left(house)


def test_field_names_do_not_become_headers() -> None:
    odd = {"x\r\nSet-Cookie: a=b\r\n\r\n": 1, "y\nX-Evil: 1": 2, "\u2603": 3, "z\0": 4, "cr\rx": 5}
    reply = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]}
    with Upstream([Answer.json(reply)]) as up, House(one_upstream(up.url, "chat")) as house, house.connect() as client:
        client.send("POST", "/v1/messages", ASKED | odd)
        while b"\r\n\r\n" not in client._held:
            client._more()
        head = client._held.partition(b"\r\n\r\n")[0]
        status, headers, _ = client.reply()
    assert status == 200 and "x-proxy-dropped" in headers
    assert "set-cookie" not in headers and "x-evil" not in headers
    assert b"\r" not in head.replace(b"\r\n", b"") and b"\n" not in head.replace(b"\r\n", b"") and b"\0" not in head


@pytest.mark.parametrize("value", ["a\rSet-Cookie: x=y", "a\r\r\n\tb", "tab\there", "\x7f", "\xe9t\xe9"])
def test_upstream_header_values_stay_values(value: str) -> None:
    headers = {"x-ratelimit-odd": value, "Content-Type": f"application/json; a={value}"}
    answer = Answer.json({"id": "x"}, headers=headers)
    with Upstream([answer]) as up, House(one_upstream(up.url, "chat")) as house, house.connect() as client:
        client.send("POST", PATH, ASKED)
        while b"\r\n\r\n" not in client._held:
            client._more()
        head = client._held.partition(b"\r\n\r\n")[0].replace(b"\r\n", b"")
        client.reply()
    assert b"\r" not in head and b"\n" not in head


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"\xff"}', b'{"model":"\\ud800"}', b'{"model":""}', b'{"model":["m"]}', b'{"model":"a\nb"}',
        b'{"model":"%b"}' % (b"m" * 100_000), b'{"model":"m","model":"n"}x', b"[" * 100_000, b'{"a":' * 100_000,
        b"\xef\xbb\xbf{}", b"\0", b'{"model":"m","stream":tru}',
    ],
)  # fmt: skip
def test_odd_bodies_are_400(body: bytes) -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        for path in (PATH, "/v1/messages"):
            status, _, got = house.post(path, body)
            assert status == 400 and len(got) < 5_000, (status, got[:300])
        assert up.requests == []


@pytest.mark.parametrize("name", ["\u2603 snow", "a b", "../../x", "m?a=b#c", "\u00e9"])
def test_model_names_stay_names(name: str) -> None:
    """Whatever a model is called, it is JSON to the upstream, never a path."""
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        assert house.post(PATH, ASKED | {"model": name})[0] == 200
        assert up.requests[0].json["model"] == name and up.requests[0].path == PATH


@pytest.mark.parametrize("name", ["a\r\nX-Evil: 1", "m\0", "\x1b[31mred", "\x85", "\ud800", "m" * 513, "\u202etxt"])
def test_what_is_no_name_goes_nowhere(name: str) -> None:
    """Names are logged and repeated: no line breaks, no terminal's commands, no megabytes."""
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        status, _, body = house.post(PATH, ASKED | {"model": name})
        assert status == 400 and len(body) < 500 and up.requests == []


@pytest.mark.parametrize("query", ["a=\xe9", "a=\x01", "a=%0d%0ax", "a=b#c", "a=\\", "a=[]{}|"])
def test_odd_query_strings(query: str) -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        status, _, _ = house.post(f"{PATH}?{query}", ASKED)
        assert status in (200, 400), status
        for request in up.requests:
            assert request.path.startswith(PATH)
        nothing_is_left(house)


def test_client_header_values_stay_values_upstream() -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat", "request_headers = x-a, x-empty")) as house:
        odd = {"X-A": "\xe9\xff", "X-Empty": "", "X-Semi;": "1"}
        data = post(json.dumps(ASKED).encode(), *(f"{name}: {value}" for name, value in odd.items() if ";" not in name))
        with house.connect() as client:
            client.socket.sendall(data)
            assert client.reply()[0] == 200
        assert up.requests[0].headers["x-a"] == "\xe9\xff"


def test_an_upstream_that_repeats_our_key_does_not_tell_it(tmp_path: Any) -> None:
    """And its error is in the log, where an operator looks first."""
    key = "sk-upstream-0123456789"
    said = {"error": {"message": f"Incorrect API key provided: {key}."}}
    settings = one_upstream("{}", "chat", f"api_key = {key}")
    with Upstream([Answer.json(said, 401)]) as up, House(settings.format(up.url), folder=tmp_path) as house:
        for path in (PATH, "/v1/messages"):
            status, _, body = house.post(path, ASKED)
            assert status == 401 and b"Incorrect API key" in body
            assert key.encode() not in body
    text = (tmp_path / "errors.json").read_text()
    assert text.count("Incorrect API key") == 2 and key not in text


# ------------------------------------------------------------------------------------- bounded memory


def test_names_that_clients_make_up_do_not_pile_up() -> None:
    with Upstream([OK]) as up, House(one_upstream(up.url, "chat")) as house:
        router = house.proxy.service.router
        for n in range(50):
            house.on_loop(lambda n=n: router.routes("m" * 400 + str(n), "chat"))
        house.on_loop(lambda: [router.routes(str(n), "chat") for n in range(10_000)])
        assert len(router._found) <= 4096


def test_a_stream_of_comments_is_not_hoarded() -> None:
    """Until its first event a stream is held back; an upstream that never sends one must not fill memory."""
    comment = b": " + b"x" * 10_000 + b"\n\n"
    with Upstream([Answer.sse([comment] * 300 + [BEGUN, DONE])]) as up, House(one_upstream(up.url, "chat")) as house:
        with house.connect() as client:
            client.send("POST", PATH, ASKED | {"stream": True})
            assert client.head()[0] == 200
            first = next(client.pieces())
            assert len(first) < 1_000_000
            assert b"".join(client.pieces()).endswith(DONE)


def test_a_line_without_end_is_not_hoarded() -> None:
    settings = "[upstream up]\nprotocol=chat\nbase_url={}\n[models]\nnick = up/m\n"
    with Upstream([Answer.sse([BEGUN + b"data: "] + [b"x" * 100_000] * 100)]) as up:
        with House(settings.format(up.url)) as house, house.connect() as client:
            client.send("POST", PATH, ASKED | {"model": "nick", "stream": True})
            client.head()
            assert max(map(len, client.pieces())) < 5_000_000


def test_bodies_in_flight_are_bounded_together() -> None:
    settings = one_upstream("{}", "chat", "", "max_body_mb = 1")
    body = json.dumps(ASKED | {"pad": "x" * 1_000_000}).encode()
    with Upstream([Answer.silence()]) as up, House(settings.format(up.url)) as house:
        clients = [house.connect() for _ in range(30)]
        for client in clients:
            client.socket.settimeout(5)
            client.send("POST", PATH, body)
        status, headers, got = _first_reply(clients)
        assert status == 503 and "retry-after" in headers and b"busy" in got
        for client in clients:
            client.socket.close()
        nothing_is_left(house)
        assert house.on_loop(lambda: house.proxy.service.held_bytes) == 0


def _first_reply(clients: list[Client]) -> tuple[int, dict[str, str], bytes]:
    import select

    ready, _, _ = select.select([client.socket for client in clients], [], [], 5)
    assert ready
    return next(client for client in clients if client.socket is ready[0]).reply()


def test_a_stream_lets_go_of_its_request() -> None:
    gate = Gate()
    with Upstream([Answer.sse([BEGUN, gate, DONE])]) as up, House(one_upstream(up.url, "chat")) as house:
        with house.connect() as client:
            client.send("POST", "/v1/messages", ASKED | {"stream": True})
            client.head()
            (found,) = house.on_loop(lambda: list(house.proxy.service.flows))
            assert not found.request.body and not found.request.data
            gate.open()
            assert b"message_stop" in b"".join(client.pieces())


# ---------------------------------------------------------------------------------- routes and endings


def test_the_same_target_twice_is_tried_twice_not_for_ever() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        dead = s.getsockname()[1]
    text = f"[upstream d]\nprotocol=chat\nbase_url=http://127.0.0.1:{dead}\n[models]\nm = d/x, d/x, d/y\n"
    with House(text) as house, house.connect() as client:
        client.socket.settimeout(5)
        client.send("POST", PATH, ASKED)
        assert client.reply()[0] == 502


@pytest.mark.parametrize("stream", [b"", b"\n\n", b": x\n\n", b"data: [DONE]\n\n", b"data:\n\n", b"data: null\n\n"])
@pytest.mark.parametrize("path", [PATH, "/v1/messages"])
def test_streams_of_nothing_end(stream: bytes, path: str) -> None:
    with Upstream([Answer.sse([stream])]) as up, House(one_upstream(up.url, "chat")) as house:
        with house.connect() as client:
            client.socket.settimeout(5)
            client.send("POST", path, ASKED | {"stream": True})
            status, _, body = client.reply()
            assert status in (200, 502) and body
        nothing_is_left(house)


@pytest.mark.parametrize("created", [10**18, -(10**18), True, 1.5, "x", None])
def test_one_odd_row_does_not_cost_the_list(created: Any) -> None:
    with Upstream([Answer.json({"data": [{"id": "m", "created": created}]})]) as up:
        with House(one_upstream(up.url, "chat")) as house:
            for headers in ({}, {"anthropic-version": "2023-06-01"}):
                status, _, body = house.get("/v1/models", headers)
                assert status == 200 and json.loads(body)["data"][0]["id"] == "m"
            assert house.get("/v1/models?limit=99999999999999999999", {"x-api-key": "a"})[0] == 200
            assert house.get("/v1/models?limit=\u00b2".encode().decode("latin-1"), {"x-api-key": "a"})[0] == 200
