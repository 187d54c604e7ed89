"""Orders of events that no honest client or upstream brings about, faults of our own, and bounded memory.

The rule behind every test, here and in the files beside it: whatever comes, each request ends (the client gets a legal
answer or a closed connection, the upstream request is gone, the proxy holds nothing more of it), and nobody's bytes
become somebody else's header.
"""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from gateway.passing import passthrough
from tests.gateway.hostile import ASKED, BEGUN, DONE, OK, PATH, nothing_is_left
from tests.support.house import Client, Cut, House, one_upstream
from tests.support.script import Answer, Gate, Upstream
from translate import pair


def fail(*_: Any) -> Any:
    raise KeyError("a translator's own mistake")


@pytest.mark.parametrize("path", [PATH, "/v1/messages"])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("name", ["feed", "end", "fail"])
def test_a_fault_of_ours_ends_the_request(monkeypatch: pytest.MonkeyPatch, path: str, begun: bool, name: str) -> None:
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
            assert house.get("/v1/models?limit=99999999999999999999", {"x-api-key": "a"})[0] == 400
            assert house.get("/v1/models?limit=\u00b2".encode().decode("latin-1"), {"x-api-key": "a"})[0] == 400
