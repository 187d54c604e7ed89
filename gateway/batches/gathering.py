"""Stands in for a client's connection, for a request that has no client of its own."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from gateway.http.response_writer import nothing


class Answered(Struct, frozen=True):
    """The answer. status: 0 = there is none. retry_after_s: as the reply said."""

    status: int
    body: bytes
    key: str
    retry_after_s: float = 0.0


class Gathering:
    """The response writer of a request that has no client. A batch's requests are not streamed."""

    __slots__ = ("body", "head", "more", "on_drained", "on_full", "on_left", "on_over", "status", "written")

    kept: bytearray | None = None
    left = may_wait = all_sent = False

    def __init__(self, on_over: Callable[[], None]) -> None:
        self.more = b""
        self.status = self.written = 0
        self.head = self.body = b""
        self.on_over = on_over
        self.on_full = self.on_drained = self.on_left = nothing

    def whole(self, status: int, head: bytes, body: bytes) -> None:
        if not self.status:
            self.status, self.head, self.body, self.written = status, head, body, len(body)

    def start(self, status: int, head: bytes) -> None:
        self.status, self.head = status, head

    def write(self, data: bytes) -> None:
        self.body += data
        self.written += len(data)

    write_last = sign = write

    def end(self) -> None:
        return None

    def watch(self, on_left: Callable[[], None]) -> None:
        self.on_left = on_left

    def leaves(self) -> None:
        self.on_left()

    def hang_up(self) -> None:
        self.on_left()

    def last(self) -> None:
        return None

    def abort(self) -> None:
        self.status = 0

    def cut_off(self) -> bool:
        return False

    def when_sent(self, then: Callable[[bool], None]) -> None:
        then(True)

    def over(self) -> None:
        on_over, self.on_over = self.on_over, nothing
        self.on_left = nothing
        on_over()


class Nowhere:
    """The connection of a client that has none."""

    context = stream = None


def retry_after(head: bytes) -> float:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"retry-after" and value.strip().isdigit():
            return float(value)
    return 0.0
