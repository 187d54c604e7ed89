"""The body log: which bodies are logged, and how much of each.

It subscribes to requests only while bodies are wanted; otherwise (the usual case) nothing here runs. The beginning of a
reply is copied by its response writer (http/copied_answer.py). If only the bodies of failed requests are wanted, the
beginning of each request is kept until the request has ended. The memory for these is limited.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.flow.info import Info
from gateway.observe.dispatcher import Observers
from operate.logs.journal import Journal

MAX_HELD_BYTES = 32 << 20  # the most bytes of bodies that are kept until their requests have ended


class BodyLog:
    """Passes bodies to the journal, whose settings say which are wanted."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._held: dict[str, tuple[str, bytes, int]] = {}  # by id of the request: kind, beginning, size
        self.held_bytes = 0

    def __repr__(self) -> str:
        return f"<BodyLog {len(self._held)} requests held, {self.held_bytes} bytes>"

    def adopt(self, observers: Observers) -> None:
        """Takes over changed settings: it subscribes while bodies are wanted, or are still kept."""
        journal = self._journal
        _subscribe(observers.on_sent, self.sent, journal.request_bodies is not None)
        _subscribe(observers.on_finished, self.finished, journal.request_bodies is not None or bool(self._held))

    def to_copy(self, key: str) -> int:
        """How many bytes of a reply are copied; 0 = none."""
        wanted = self._journal.response_bodies
        return self._journal.body_bytes if wanted is not None and wanted.takes(key) else 0

    def copied(self, key: str, reply: bytearray, size: int, failed: bool) -> None:
        """A request is over, and `reply` is the beginning of its reply."""
        self._ended(key, failed)
        wanted = self._journal.response_bodies
        if wanted is not None and wanted.takes(key) and (failed or not wanted.only_failed):
            self._journal.body("response", key, reply, size)

    def sent(self, info: Info, body: bytes) -> None:
        """A request's body is on its way upstream, perhaps not for the first time."""
        wanted = self._journal.request_bodies
        if wanted is None or not wanted.takes(info.key):
            return
        what = "request" if info.attempt else "refused request"
        if not wanted.only_failed:
            self._journal.body(what, info.key, body)
            return
        self._forget(info.key)
        start = body[: self._journal.body_bytes] if self.held_bytes < MAX_HELD_BYTES else b""
        self.held_bytes += len(start)
        self._held[info.key] = what, start, len(body)

    def finished(self, record: Mapping[str, Any]) -> None:
        self._ended(record["request_id"], "error.type" in record)

    def _ended(self, key: str, failed: bool) -> None:
        held = self._forget(key)
        if held is not None and failed:
            what, start, size = held
            self._journal.body(what, key, start, size)

    def _forget(self, key: str) -> tuple[str, bytes, int] | None:
        held = self._held.pop(key, None)
        if held is not None:
            self.held_bytes -= len(held[1])
        return held


def _subscribe(subscribers: list[Any], tell: object, wanted: bool) -> None:
    """Subscribes before all others, because the bodies of a request are logged before its line; or unsubscribes."""
    if wanted and tell not in subscribers:
        subscribers.insert(0, tell)
    elif not wanted and tell in subscribers:
        subscribers.remove(tell)
