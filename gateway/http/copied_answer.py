"""A response writer that also copies the beginning of the reply, for the body log."""

from __future__ import annotations

from typing import Protocol

from tornado.http1connection import HTTP1Connection

from gateway.http.response_writer import ResponseWriter


class Copier(Protocol):
    """Receives copies of replies."""

    def to_copy(self, key: str) -> int:
        """Returns how many bytes of the reply to this request are wanted; 0 = none."""

    def copied(self, key: str, reply: bytearray, size: int, failed: bool) -> None:
        """Called when a request is over. reply: the beginning of its reply. size: the bytes of the whole reply."""


class CopyingWriter(ResponseWriter):
    """kept: about the first `most` bytes of the body that the client got."""

    __slots__ = ("_most", "kept")

    kept: bytearray

    def __init__(self, conn: HTTP1Connection, most: int) -> None:
        super().__init__(conn)
        self._most = most
        self.kept = bytearray()

    def whole(self, status: int, head: bytes, body: bytes) -> None:
        if self.state == "open":
            self.kept += body[: self._most]
        super().whole(status, head, body)

    def write(self, data: bytes) -> None:
        if self.state == "streaming" and len(self.kept) < self._most:
            self.kept += data
        super().write(data)
