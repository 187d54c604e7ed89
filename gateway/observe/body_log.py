"""Bodies for the log: which are remembered, for how long, and an Answer that remembers what it wrote.

While no body is asked for (the usual case) nothing here is made, and no body is looked at. Where they are, a reply's
bytes are remembered up to a bound, the request's likewise if only those of failed requests are wanted: whether it fails
is known at its end. All that is remembered of requests together is bounded too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado.http1connection import HTTP1Connection

from gateway.http.response_writer import Answer
from operate.logs.journal import Journal

if TYPE_CHECKING:
    from gateway.flow.relay import Relay

MAX_HELD_BYTES = 32 << 20  # of requests' bodies, until it is known whether they failed


class KeptAnswer(Answer):
    """kept: the first `most` bytes or so of the body, as the client got it."""

    __slots__ = ("_most", "kept")

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


class Bodies:
    """Between the requests and the journal, which says what is wanted; that may change at any time."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._held: dict[str, tuple[str, bytes, int]] = {}  # by the request's key: what, its beginning, its size
        self.held_bytes = 0

    def __repr__(self) -> str:
        return f"<Bodies {len(self._held)} held, {self.held_bytes} bytes>"

    def answer(self, conn: HTTP1Connection, key: str) -> Answer:
        most = self.to_keep(key)
        return KeptAnswer(conn, most) if most else Answer(conn)

    def to_keep(self, key: str) -> int:
        """Bytes of the reply to remember; 0 = none."""
        wanted = self._journal.response_bodies
        return self._journal.body_bytes if wanted is not None and wanted.takes(key) else 0

    def sent(self, key: str, body: bytes, what: str = "request") -> None:
        """A request's body is on its way upstream, perhaps not for the first time."""
        wanted = self._journal.request_bodies
        if wanted is None or not wanted.takes(key):
            return
        if not wanted.only_failed:
            self._journal.body(what, key, body)
            return
        self._forget(key)
        start = body[: self._journal.body_bytes] if self.held_bytes < MAX_HELD_BYTES else b""
        self.held_bytes += len(start)
        self._held[key] = what, start, len(body)

    def over(self, relay: Relay, failed: bool) -> None:
        """The request has ended."""
        held, wanted = self._forget(relay.key), self._journal.response_bodies
        if held is not None and failed:
            what, start, size = held
            self._journal.body(what, relay.key, start, size)
        if wanted is not None and wanted.takes(relay.key) and (failed or not wanted.only_failed):
            kept = relay.answer.kept
            if kept is not None:  # None: it began before they were wanted
                self._journal.body("response", relay.key, kept, relay.answer.written)

    def _forget(self, key: str) -> tuple[str, bytes, int] | None:
        held = self._held.pop(key, None)
        if held is not None:
            self.held_bytes -= len(held[1])
        return held
