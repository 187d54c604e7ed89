"""The least of HTTP/2 (RFC 9113) that answers: for the upstream that the bench brings along.

It reads no header, so that it needs no HPACK (RFC 7541) but a few literals: each request is answered by what its body
asks for. Requests and replies are small; flow control beyond what both sides begin with is not needed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0x0, 0x1, 0x3, 0x4, 0x6, 0x8
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
MOST = 16_384  # bytes of a frame, as long as nobody allows more
_STATUS_200, _CONTENT_LENGTH, _CONTENT_TYPE = b"\x88", b"\x0f\x0d", b"\x0f\x10"  # by their numbers in HPACK's table


class Session:
    """One connection. answer: (the body of a request) -> (the type of the reply, the reply)."""

    def __init__(self, write: Callable[[bytes], None], answer: Callable[[bytes], tuple[bytes, bytes]]) -> None:
        self._write, self._answer = write, answer
        self._held = b""
        self._greeted = False
        self._bodies: dict[int, bytes] = {}  # by stream

    def feed(self, data: bytes) -> None:
        """Raises ValueError where the client speaks something else."""
        self._held += data
        if not self._greeted:
            if len(self._held) < len(PREFACE):
                return
            if not self._held.startswith(PREFACE):
                raise ValueError("this is no HTTP/2")
            self._greeted, self._held = True, self._held[len(PREFACE) :]
            self._send(SETTINGS)
        while len(self._held) >= 9 and len(self._held) >= 9 + (size := int.from_bytes(self._held[:3])):
            kind, flags, stream = struct.unpack(">BBI", self._held[3:9])
            payload, self._held = self._held[9 : 9 + size], self._held[9 + size :]
            self._take(kind, flags, stream & 0x7FFF_FFFF, payload)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == HEADERS:
            self._bodies[stream] = b""
        elif kind == DATA and stream in self._bodies:
            self._bodies[stream] += payload
            if payload:  # of the connection; no body is as long as what a stream begins with
                self._send(WINDOW_UPDATE, payload=struct.pack(">I", len(payload)))
        elif kind == RST_STREAM:
            self._bodies.pop(stream, None)
        elif kind in (SETTINGS, PING) and not flags & ACK:
            self._send(kind, ACK, payload=payload if kind == PING else b"")
        if kind in (HEADERS, DATA) and flags & END_STREAM and stream in self._bodies:
            self._reply(stream, *self._answer(self._bodies.pop(stream)))

    def _reply(self, stream: int, kind: bytes, body: bytes) -> None:
        head = _STATUS_200 + _CONTENT_TYPE + _literal(kind) + _CONTENT_LENGTH + _literal(b"%d" % len(body))
        self._send(HEADERS, END_HEADERS, stream, head)
        pieces = [body[at : at + MOST] for at in range(0, len(body), MOST)] or [b""]
        for piece in pieces[:-1]:
            self._send(DATA, 0, stream, piece)
        self._send(DATA, END_STREAM, stream, pieces[-1])

    def _send(self, kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> None:
        self._write(len(payload).to_bytes(3) + struct.pack(">BBI", kind, flags, stream) + payload)


def _literal(text: bytes) -> bytes:
    """As HPACK writes a string of less than 127 bytes."""
    return bytes([len(text)]) + text
