"""Which sockets libcurl has open. It reports each one that it opens, and none that it closes.

The kernel gives the number of a closed file descriptor to the next one that is opened. Its inode tells them apart.
"""

from __future__ import annotations

import os


class OpenSockets:
    """The sockets that libcurl has opened, by their file descriptors."""

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
