"""The request of an exchange, its timeouts, and the sinks that receive its reply."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Struct

from upstream.failure import Failure
from upstream.way import Way


class Timeouts(Struct, frozen=True):
    """The timeouts of an exchange, in seconds; 0 = none.

    connect: for the wait for a free connection, or for DNS, TCP and TLS. first_byte: from `send` to the head of the
    reply. idle: between two bytes of the reply, while it is not paused. total: from `send` to the end.
    """

    connect: float = 5.0
    first_byte: float = 300.0
    idle: float = 300.0
    total: float = 3600.0


DIRECT = Way()


@dataclass(frozen=True, slots=True)
class Signing:
    """How libcurl signs a request for AWS. provider: "aws:amz:REGION:SERVICE". keys: "ACCESS:SECRET". user_agent: a
    header that is not signed, as proxies on the way change it."""

    provider: str
    keys: str = field(repr=False)
    user_agent: str = ""


class Body(Protocol):
    """A request's body that is not whole in memory. size: in bytes, -1 = unknown. is_read: all of it was read."""

    @property
    def size(self) -> int: ...

    @property
    def is_read(self) -> bool: ...

    def read(self, most: int) -> bytes | None:
        """The next bytes, `most` of them at most; b"" at the end; None = there are none yet: then Exchange.send_on is
        to be called when there are."""


class Request(Struct):
    """A request to an upstream.

    headers: whole lines "Name: value"; libcurl adds Content-Length, Host and Expect. A list that is equal to the last
    one of the handle costs nothing. body: None = the request has no body (GET, HEAD), b"" = an empty body.
    """

    method: str
    url: str
    headers: list[str]
    body: bytes | Body | None
    timeouts: Timeouts
    way: Way = DIRECT
    fresh: bool = False  # use a new connection, for another attempt after a replayable "closed"
    signing: Signing | None = None


class Sink(Protocol):
    """Receives a reply. The methods are called in this order, and none of them after `Exchange.cancel`."""

    def on_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Called once with the head of the final reply. headers: in their order, names in lower case, values as
        latin-1."""

    def on_data(self, chunk: bytes) -> None:
        """Called with all bytes of the body that one turn of the loop has brought."""

    def on_end(self, failure: Failure | None) -> None:
        """Called once, as the last. failure: None = the reply is complete. A pause does not delay it when all data has
        come."""


def nobody_reads(chunk: bytes) -> None:
    """The on_data of a sink that has got all that counts, and waits for the end so that the connection can be used
    again. It does not wait long (LINGER_S)."""


class Nobody:
    """The sink of a request whose reply is read only so that the connection can be used again."""

    def on_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        return

    def on_data(self, chunk: bytes) -> None:
        return

    def on_end(self, failure: Failure | None) -> None:
        return


class Lingering:
    """Stands before a sink that waits for nothing but the end. since: when that was seen; what comes meanwhile, such as
    pings, does not put off how long it waits."""

    __slots__ = ("_sink", "since")

    def __init__(self, sink: Sink, since: float) -> None:
        self._sink, self.since = sink, since

    def on_head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self._sink.on_head(status, headers)

    def on_data(self, chunk: bytes) -> None:
        return

    def on_end(self, failure: Failure | None) -> None:
        self._sink.on_end(failure)


def parse_head(lines: list[bytes]) -> list[tuple[str, str]]:
    """The headers of a reply, as pairs (name in lower case, value); folded lines are joined. lines: the whole head,
    with the status line."""
    headers: list[tuple[str, str]] = []
    for line in lines[1:]:
        pair = _pair(line) if len(line) <= LONGEST else _pair.__wrapped__(line)
        if pair is not None:
            headers.append(pair)
        elif line[:1] in b" \t" and headers and (more := line.decode("latin-1").strip()):
            last, start = headers[-1]
            headers[-1] = last, f"{start} {more}"
    return headers


LONGEST = 256  # bytes of a line that is kept


@functools.lru_cache(maxsize=512)
def _pair(line: bytes) -> tuple[str, str] | None:
    """Name and value of a line; None for a folded one, and for one that is none. Most lines are in every reply of an
    upstream."""
    name, colon, value = line.decode("latin-1").partition(":")
    return (name.strip().lower(), value.strip()) if colon and line[:1] not in b" \t" else None
