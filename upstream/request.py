"""What to send to an upstream, how long to wait for it, and who is told what comes back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from upstream.failure import Failure
from upstream.way import Way


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; 0 = none.

    connect: waiting for a free connection, or DNS, TCP and TLS.  first_byte: from `send` to the reply's head.
    idle: between bytes of the reply, while we are reading.  total: from `send` to the end, come what may.
    """

    connect: float = 5.0
    first_byte: float = 300.0
    idle: float = 300.0
    total: float = 3600.0


DIRECT = Way()


@dataclass(slots=True)
class Request:
    """headers: whole lines, "Name: value"; Content-Length, Host and Expect are libcurl's own.

    A list that is equal to the last one costs nothing.  body None: no body (GET, HEAD); b"": an empty one.
    """

    method: str
    url: str
    headers: list[str]
    body: bytes | None
    timeouts: Timeouts
    way: Way = DIRECT
    fresh: bool = False  # on a new connection, whatever is idle: for another try after a replayable "closed"
    max_head_bytes: int = 128 * 1024  # all heads of one reply together, interim ones and trailers too
    max_line_bytes: int = 32 * 1024


class Sink(Protocol):
    """The loop calls these in this order, and none of them after `Exchange.cancel`."""

    def on_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Once: the final reply's head; lower-case names, values as latin-1 text, in the order they came."""

    def on_data(self, chunk: bytes) -> None:
        """`chunk` holds all body bytes that one turn of the loop brought."""

    def on_end(self, failure: Failure | None) -> None:
        """Once and last; None: the reply is whole.  A pause does not hold it back when all has come."""


class Nobody:
    """The sink of a request whose reply is read to its end for the connection's sake."""

    def on_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        return

    def on_data(self, chunk: bytes) -> None:
        return

    def on_end(self, failure: Failure | None) -> None:
        return


class Warm:
    """The sink of a request that only opens a connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ended: asyncio.Future[Failure | None] = loop.create_future()

    def on_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Whatever the answer is, the connection is there."""

    def on_data(self, chunk: bytes) -> None:
        """A reply to HEAD has no body."""

    def on_end(self, failure: Failure | None) -> None:
        if not self.ended.done():
            self.ended.set_result(failure)


def parse_head(lines: list[bytes]) -> list[tuple[str, str]]:
    """A reply's head, the status line first -> [(lower-case name, value)]; folded lines are joined."""
    headers: list[tuple[str, str]] = []
    for text in b"".join(lines).decode("latin-1").split("\n")[1:]:
        name, colon, value = text.partition(":")
        if text[:1] in " \t" and text.strip() and headers:
            last, start = headers[-1]
            headers[-1] = last, f"{start} {text.strip()}"
        elif colon:
            headers.append((name.strip().lower(), value.strip()))
    return headers
