"""Which connections libcurl has, and how many it may have: those in use and [pool] keepalive_connections idle ones.

A connection that was in use a moment ago is not idle yet. Where sixteen clients ask again and again, all their
connections are without a request for a moment, and to close some of them then would be to dial anew for the next
requests. So the bound counts as many in use as were in the last moments. After that, libcurl closes one too many with
each request that ends; where no more requests begin, the client closes them itself.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable

QUIET_S = 1.2
"""How long no request may have looked for a connection before an idle one is hung up. libcurl finds a dead one only if
it has not looked at it within the last second."""


class OpenSockets:
    """The sockets that libcurl has opened, by their file descriptors. libcurl does not report which it closes, and the
    kernel gives the number of a closed one to the next that is opened: the inode tells them apart."""

    def __init__(self) -> None:
        self._inodes: dict[int, int] = {}
        self._http2: dict[int, int] = {}  # inodes of those that spoke HTTP/2

    def __repr__(self) -> str:
        return f"<OpenSockets {sorted(self._inodes)}>"

    def add(self, fd: int) -> None:
        self._inodes[fd] = inode_of(fd)

    def remove(self, fd: int) -> None:
        del self._inodes[fd]

    def speaks_http2(self, fd: int) -> None:
        self._http2[fd] = self._inodes.get(fd, 0)

    def is_open(self, fd: int) -> bool:
        return inode_of(fd) == self._inodes.get(fd, -1)

    def has_one_stream(self, fd: int) -> bool:
        """Whether a socket is open and has not spoken HTTP/2, so that all that comes on it belongs to one request."""
        inode = inode_of(fd)
        return inode == self._inodes.get(fd, -1) and inode != self._http2.get(fd)

    def count(self) -> int:
        """How many are open."""
        self._inodes = {fd: inode for fd, inode in self._inodes.items() if inode_of(fd) == inode}
        return len(self._inodes)


def inode_of(fd: int) -> int:
    """The inode of a file descriptor; 0 if it is closed."""
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return 0


class RecentPeak:
    """The most requests at once. latest: since the client's last sweep. value: since the one before that."""

    __slots__ = ("_before", "latest")

    def __init__(self) -> None:
        self.latest = self._before = 0

    def __repr__(self) -> str:
        return f"<RecentPeak {self.value}>"

    @property
    def value(self) -> int:
        return max(self.latest, self._before)

    def turn(self, busy: int) -> None:
        """A sweep begins. busy: how many requests there are."""
        self._before, self.latest = self.latest, busy


def hang_up(sockets: Iterable[int]) -> None:
    """Closes both directions of idle connections: the other side sees it at once. libcurl, which owns the sockets,
    finds them dead when it next looks for a connection, and closes them only then. sockets: file descriptors."""
    for fd in sockets:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as idle:  # the upstream may be quicker
            idle.shutdown(socket.SHUT_RDWR)


def has_unread(fd: int) -> bool:
    """Whether bytes have come on a socket, besides the other side's end."""
    try:
        with socket.socket(fileno=os.dup(fd)) as idle:
            return bool(idle.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return False


def cut_off(fd: int) -> None:
    """Puts a socket whose other side has left in the place of an idle connection's, which is closed. What had come on
    it cannot be read any more; after a shutdown it could."""
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        os.dup2(ours.fileno(), fd, inheritable=False)
