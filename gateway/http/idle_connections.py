"""Connections that wait for a request: how long they may wait, and which of them makes room for a new one.

They stand in the order in which they began to wait, so that one timer serves all of them, and a request costs one entry
and its removal. A connection whose request comes slowly still waits, until its head is there. Connections that have
begun a request, or a TLS handshake, are looked at once a second, and have less time.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import logging
import socket
import time
from collections.abc import Callable
from typing import Protocol

from tornado.iostream import IOStream

from gateway.http.rate_limited_warning import Seldom
from gateway.limits.per_address import holder

EVERY_S = 1.0
CLOSED_AT_ONCE = 32  # which takes a few milliseconds, so that a thousand together delay nobody
BETWEEN_S = 0.01
LOOKED_AT = 256  # of the longest waiting ones, so that a new connection costs no more than its request
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nx-should-retry: false\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b"
)
_BODY = (
    b'{"type":"error","error":{"type":"timeout_error",'
    b'"message":"no whole head of a request came within %g s ([limits] header_seconds)"}}'
)
log = logging.getLogger("proxy")


class Context(Protocol):
    remote_ip: str


class ServerConnection(Protocol):
    """A tornado.http1connection.HTTP1ServerConnection."""

    @property
    def stream(self) -> IOStream: ...

    @property
    def context(self) -> Context: ...

    @property
    def turned_away(self) -> Callable[[], None] | None:
        """Not None = it has a reserved place (connection.py)."""


class Idle:
    """Call waits() and ends() for each request, and forget() when the connection is closed."""

    def __init__(self) -> None:
        self._since: dict[ServerConnection, float] = {}
        self._begun: dict[ServerConnection, float] = {}  # those of them whose head is coming
        self._patience_s = self._head_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._slow = Seldom(log, "%s sent no whole head of a request in time ([limits] header_seconds)")

    def __repr__(self) -> str:
        return f"<Idle {len(self._since)} connections>"

    def adopt(self, patience_s: float, head_s: float) -> None:
        """patience_s: the time without a request. head_s: from the first byte of a request to the end of its head. New
        limits also hold for connections that wait already."""
        self._patience_s, self._head_s = patience_s, min(head_s, patience_s)
        if self._timer is not None:
            self._timer.cancel()
            self._look()

    def waits(self, connection: ServerConnection) -> None:
        self._since[connection] = time.monotonic()
        if self._timer is None:
            self._look()

    def ends(self, connection: ServerConnection) -> None:
        """The connection no longer waits: the head of a request is there, or it is closed."""
        self._since.pop(connection, None)
        if self._begun:
            self._begun.pop(connection, None)

    def _look(self) -> None:
        now = time.monotonic()
        due: list[tuple[ServerConnection, bool]] = []
        for connection, since in self._since.items():
            begun = _has_begun(connection.stream)
            if begun:
                since = self._begun.setdefault(connection, now)
            if now - since >= (self._head_s if begun else self._patience_s):
                due.append((connection, begun))
                if len(due) == CLOSED_AT_ONCE:
                    break
        for connection, begun in due:
            self._close(connection, told=begun)
        self._timer = None
        if self._since:
            every = BETWEEN_S if len(due) == CLOSED_AT_ONCE else min(EVERY_S, self._head_s / 2)
            self._timer = asyncio.get_running_loop().call_later(every, self._look)

    def _close(self, connection: ServerConnection, told: bool) -> None:
        """Closes a connection. told: it has begun to send, and is told why. All that it sent has been read, so that the
        close does not take the answer back."""
        self.ends(connection)
        if told and connection.stream._read_buffer_size and not connection.stream.closed():
            body = _BODY % self._head_s
            connection.stream.write(_TOO_SLOW % (len(body), body))
        if told:
            self._slow.tell(connection.context.remote_ip)
        connection.stream.close()

    def __len__(self) -> int:
        return len(self._since)

    def make_room(self, reserved: bool = False) -> bool:
        """Closes the connection that has waited the longest, of the address with the most of them; among the reserved
        places, or among the others. Returns False if none waits, or all have just begun to send."""
        waiting = itertools.islice(self._since, LOOKED_AT)
        longest = [each for each in waiting if (each.turned_away is not None) is reserved]
        of = collections.Counter(holder(connection.context.remote_ip) for connection in longest)
        for connection in sorted(longest, key=lambda connection: -of[holder(connection.context.remote_ip)]):
            if not _speaks(connection.stream):
                self.ends(connection)
                connection.stream.close()
                return True
        return False


def _has_begun(stream: IOStream) -> bool:
    return bool(stream._read_buffer_size) or getattr(stream, "_ssl_accepting", False)


def _speaks(stream: IOStream) -> bool:
    """Whether something waits to be read: the beginning of a request, which we shall not cut off. A client that has
    left says nothing more, whether Tornado has noticed (it closes the stream, and tells us some turns later) or not."""
    if stream.closed():
        return False
    try:  # of the socket itself: of one with TLS, Python does not let us look ahead
        return bool(socket.socket.recv(stream.socket, 1, socket.MSG_PEEK))
    except OSError:  # nothing has come, or the connection is broken
        return False
