"""An Answer that remembers what it wrote, for the log of reply bodies.

Made in place of Answer only while that log is on, so that a reply pays nothing for it while it is off. What is
remembered is bounded: the log takes no more of a body either.
"""

from __future__ import annotations

from tornado.http1connection import HTTP1Connection

from gateway.answer import Answer
from operate.logs import MAX_BODY_BYTES


class KeptAnswer(Answer):
    """kept: the first MAX_BODY_BYTES or so of the body, as the client got it."""

    __slots__ = ("kept",)

    def __init__(self, conn: HTTP1Connection) -> None:
        super().__init__(conn)
        self.kept = bytearray()

    def whole(self, status: int, head: bytes, body: bytes) -> None:
        if self.state == "open":
            self.kept += body[:MAX_BODY_BYTES]
        super().whole(status, head, body)

    def write(self, data: bytes) -> None:
        if self.state == "streaming" and len(self.kept) < MAX_BODY_BYTES:
            self.kept += data
        super().write(data)
