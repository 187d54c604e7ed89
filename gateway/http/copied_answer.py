"""A writer of replies that copies the beginning of what it writes, for whoever logs bodies."""

from __future__ import annotations

from typing import Protocol

from tornado.http1connection import HTTP1Connection

from gateway.http.response_writer import Answer


class Copier(Protocol):
    """Who wants copies of replies."""

    def to_copy(self, key: str) -> int:
        """Returns how many bytes of the reply to this request are wanted; 0 means none."""

    def copied(self, key: str, reply: bytearray, size: int, failed: bool) -> None:
        """The request is over, and this is the beginning of its reply; all of it has `size` bytes."""


class CopiedAnswer(Answer):
    """kept: the first `most` bytes or so of the body, as the client got it."""

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
