"""How many connections libcurl may have: those in use and [pool] keepalive_connections idle ones.

A connection that was in use a moment ago is not idle yet. Where sixteen clients ask again and again, all their
connections are without a request for a moment, and to close some of them then would be to dial anew for the next
requests. So as many are kept as were in use at once in the last moments. After that, libcurl closes one too many with
each request that ends; where no more requests come, the client closes them itself.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable

QUIET_S = 1.2
"""How long there must have been no new request before an idle connection is hung up. When libcurl looks for a
connection, it finds a dead one only if it has not looked at it within the last second."""


class RecentPeak:
    """The most requests at once in this turn of the client's sweep and in the one before."""

    def __init__(self) -> None:
        self._now = self._before = 0

    def __repr__(self) -> str:
        return f"<RecentPeak {self.value}>"

    @property
    def value(self) -> int:
        return max(self._now, self._before)

    def with_(self, busy: int) -> int:
        """busy: how many there are. Returns the peak."""
        if busy > self._now:
            self._now = busy
        return self._now if self._now > self._before else self._before

    def turn(self, busy: int) -> None:
        """Forgets what was before the turn that ends."""
        self._before, self._now = self._now, busy


def hang_up(sockets: Iterable[int]) -> None:
    """Closes both directions of idle connections: the other side sees it at once. libcurl, which owns the sockets,
    finds them dead when it next looks for a connection. sockets: file descriptors."""
    for fd in sockets:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as idle:  # the upstream may be quicker
            idle.shutdown(socket.SHUT_RDWR)
