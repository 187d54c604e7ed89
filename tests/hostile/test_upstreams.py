"""Every reply of upstream/ ends what it answers: each client gets what the .expect file says, in its own protocol.

A reply is NNN-name.http, in the language of recipe.py, after which the upstream closes; NNN-name.expect beside it has a
line for each way: a whole reply and a stream, to a client of the same protocol (Chat) and to one of another (Messages).
A line has the status, and what the body is: an error in the client's protocol, "reply" (whole, with a message in it),
"stream" (to its last event), "error" (a stream that ends with one), or "raw" (the upstream's bytes, which pass within
one protocol).
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hostile import recipe, talk
from tests.support.house import House

HERE = Path(__file__).parent
DEADLINE_S = 8.0
REPLIES = {path.stem: path for path in sorted(HERE.glob("upstream/*.http"))}
SETTINGS = """
[upstream c]
protocol = chat
base_url = {url}
api_key = {key}
[models]
* = c
[breaker]
enabled = false
[retry]
max_attempts = 1
[timeouts]
first_byte = 2
idle = 2
request = 4
[translate]
learn = false
"""
KEY = "sk-of-the-upstream-0123456789"
BROWSERS_ACT = re.compile(
    rb"(?im)^(set-cookie|location|link|refresh|clear-site-data|access-control-[a-z-]*|www-authenticate|x-a|x-b):"
)
_MODEL = re.compile(rb'"model":"([^"]+)"')
_LENGTH = re.compile(rb"(?i)content-length: (\d+)")


class Replies:
    """An upstream whose reply is the file that the request's model names. The model "honest" is one that is right."""

    HONEST = b'{"id":"c","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"a"}}]}'

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client:
            got = b""
            while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < int(_LENGTH.findall(got)[0]):
                if not (piece := client.recv(65536)):
                    return
                got += piece
            name = _MODEL.findall(got)[0].decode()
            try:
                client.sendall(self._reply(name))
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            except OSError:  # the proxy had enough of it
                return

    def _reply(self, name: str) -> bytes:
        if name == "honest":
            return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + self.HONEST
        return recipe.request(REPLIES[name].read_bytes())

    def close(self) -> None:
        self._socket.close()


def asked(path: str, model: str, stream: bool) -> bytes:
    body = '{"model":"%s","max_tokens":5,"stream":%s,"messages":[{"role":"user","content":"hi"}]}'
    sent = body % (model, "true" if stream else "false")
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(sent)}\r\n\r\n{sent}".encode()


def results(port: int, name: str) -> list[str]:
    return [
        f"{path} {'stream' if stream else 'whole'}: {result(port, path, name, stream)}"
        for path in ("/v1/chat/completions", "/v1/messages")
        for stream in (False, True)
    ]


def result(port: int, path: str, name: str, stream: bool) -> str:
    got, closed = talk.heard(port, asked(path, name, stream), DEADLINE_S)
    head, _, body = got.partition(b"\r\n\r\n")
    assert not BROWSERS_ACT.search(head), head
    assert b"nosniff" in head and b"sandbox" in head and KEY.encode() not in got
    line = talk.told(got, closed)
    if line != "200":
        return line
    return f"200 {_streamed(body) if b'text/event-stream' in head else _whole(body)}"


def _streamed(chunked: bytes) -> str:
    assert chunked.endswith(b"0\r\n\r\n"), "the proxy broke it off"
    events = re.sub(rb"(?:^|\r\n)[0-9a-f]+\r\n", b"", chunked)
    last = events.strip().replace(b"\r", b"\n").rpartition(b"\n\n")[2]
    if b'"error"' in last:
        return "error"
    return "stream" if b"[DONE]" in last or b"message_stop" in last else "raw"


def _whole(body: bytes) -> str:
    try:
        reply: Any = json.loads(body)
        parts = reply["content"] if "content" in reply else [reply["choices"][0]["message"]["content"]]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return "raw"
    return "reply" if parts and all(isinstance(part, str | dict) for part in parts) else "empty reply"


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    up = Replies()
    with House(SETTINGS.format(url=up.url, key=KEY)) as house:
        yield house
    up.close()


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply(house: House, name: str) -> None:
    assert results(house.port, name) == REPLIES[name].with_suffix(".expect").read_text().splitlines()
    assert talk.said(house.port, asked("/v1/messages", "honest", False), DEADLINE_S) == "200"


def test_there_are_many_of_them() -> None:
    assert len(REPLIES) >= 100


def test_nothing_is_left_of_them(house: House) -> None:
    house.wait(lambda p: p.service.held_bytes == 0 and p.service.client.stats()["in_flight"] == 0)
