"""Messages of websockets while they arrive: what is there of them is in the account of bodies in flight."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

import pytest

from gateway.limits import body_memory
from tests.support.house import House, one_upstream

UPGRADE = (
    b"GET /v1/responses HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SETTINGS = one_upstream("http://127.0.0.1:9", "responses", "", "max_body_mb = 1\nbody_timeout = 1")
TEXT, CONTINUED, CLOSE, PING, PONG = 1, 0, 8, 9, 10


def frame(opcode: int, data: bytes, fin: bool = True, size: int | None = None) -> bytes:
    size = len(data) if size is None else size
    first = (0x80 if fin else 0) | opcode
    if size < 126:
        return struct.pack("!BB", first, 0x80 | size) + b"\0\0\0\0" + data
    return struct.pack("!BBQ", first, 0xFF, size) + b"\0\0\0\0" + data


class Raw:
    def __init__(self, house: House) -> None:
        self.socket = socket.create_connection(("127.0.0.1", house.port), 5)
        self.socket.sendall(UPGRADE)
        self._held = b""
        self._until(b"\r\n\r\n")

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def _until(self, end: bytes) -> None:
        while end not in self._held:
            self._more()
        self._held = self._held.partition(end)[2]

    def _more(self) -> None:
        got = self.socket.recv(65536)
        assert got, "the connection ended"
        self._held += got

    def reply(self) -> tuple[int, bytes]:
        """(opcode, data) of the next frame."""
        while len(self._held) < 2 or len(self._held) < self._size()[1]:
            self._more()
        at, end = self._size()
        opcode, data, self._held = self._held[0] & 15, self._held[at:end], self._held[end:]
        return opcode, data

    def _size(self) -> tuple[int, int]:
        size = self._held[1] & 127
        if size < 126:
            return 2, 2 + size
        return 4, 4 + (int.from_bytes(self._held[2:4], "big") if len(self._held) >= 4 else 1 << 16)


def held(house: House) -> int:
    return int(house.on_loop(lambda: house.proxy.service.held_bytes))


def test_what_has_arrived_is_counted_and_given_back() -> None:
    with House(SETTINGS) as house, Raw(house) as client:
        client.socket.sendall(frame(TEXT, b" " * 300_000, fin=False) + frame(CONTINUED, b" " * 200_000, size=400_000))
        house.wait(lambda p: p.service.held_bytes >= 490_000)
        assert held(house) < 510_000, "what is announced is not held yet"
        client.socket.close()
        house.wait(lambda p: p.service.held_bytes == 0)


def test_a_complete_message_is_not_counted_twice() -> None:
    with House(SETTINGS) as house, Raw(house) as client:
        client.socket.sendall(frame(TEXT, b'{"type":"nothing","x":"%b"}' % (b"y" * 100_000)))
        assert b"response.create" in client.reply()[1]
        house.wait(lambda p: p.service.held_bytes == 0)


def test_a_message_beyond_the_bound_is_answered_and_the_connection_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_memory, "BODIES_AT_ONCE", 0.5)
    with House(SETTINGS) as house, Raw(house) as client:
        for size in (700_000, 900_000):
            client.socket.sendall(frame(TEXT, b" " * (size // 2), fin=False) + frame(PING, b"are you there"))
            client.socket.sendall(frame(CONTINUED, b" " * (size // 2)))
            said: list[Any] = [client.reply(), client.reply()]
            assert (PONG, b"are you there") in said
            error = next(json.loads(data) for opcode, data in said if opcode == TEXT)
            assert error["status"] == 503 and "too many large requests" in error["error"]["message"]
            assert held(house) == 0
        client.socket.sendall(frame(TEXT, b'{"type":"nothing"}'))
        assert b"response.create" in client.reply()[1]


def test_a_message_that_does_not_end_ends_the_connection() -> None:
    with House(SETTINGS) as house, Raw(house) as client:
        client.socket.sendall(frame(TEXT, b"{", fin=False))
        opcode, data = client.reply()
        assert opcode == CLOSE and struct.unpack("!H", data[:2]) == (1008,) and b"body_timeout" in data
        house.wait(lambda p: p.service.held_bytes == 0 and not p.service.in_flight.sessions)


@pytest.mark.parametrize("reason", [b"\x03\xe8\xff\xfe", b"\x03\xe8" + b"\xc3"])
def test_a_close_whose_reason_is_no_text_ends_the_connection(reason: bytes) -> None:
    with House(SETTINGS) as house, Raw(house) as client:
        client.socket.sendall(frame(CLOSE, reason))
        opcode, data = client.reply()
        assert (opcode, int.from_bytes(data[:2], "big")) == (CLOSE, 1007)
        assert client.socket.recv(1) == b""
        house.wait(lambda p: not p.service.in_flight.sessions)
