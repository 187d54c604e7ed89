"""Which sockets are ready: a set that the kernel keeps, by epoll on Linux and by kqueue on macOS and BSD.

Both have epoll's methods. A set is one file descriptor, which asyncio can watch. A socket that is closed leaves it by
itself.
"""

from __future__ import annotations

import contextlib
import select
from typing import Any

_system: Any = select  # which of its names there are depends on the system

# bits of what is watched and of what is told; those of epoll, where it is there
READ = getattr(select, "EPOLLIN", 0x001)
WRITE = getattr(select, "EPOLLOUT", 0x004)
FAILED = getattr(select, "EPOLLERR", 0x008)
CLOSED = getattr(select, "EPOLLHUP", 0x010)  # in both directions
SENDS_NO_MORE = getattr(select, "EPOLLRDHUP", 0x2000)  # the other side has closed its direction


class Kqueue:
    """kqueue with epoll's methods. A masked event that is added again replaces itself, so that `register` and `modify`
    are one. They raise OSError for a socket that is closed."""

    def __init__(self) -> None:
        self._kqueue = _system.kqueue()

    def __repr__(self) -> str:
        return f"<Kqueue {self._kqueue!r}>"

    def fileno(self) -> int:
        return int(self._kqueue.fileno())

    def close(self) -> None:
        self._kqueue.close()

    def register(self, fd: int, mask: int) -> None:
        self.modify(fd, mask)

    def modify(self, fd: int, mask: int) -> None:
        for wanted, kind in ((READ, _system.KQ_FILTER_READ), (WRITE, _system.KQ_FILTER_WRITE)):
            if mask & wanted:
                self._change(fd, kind, _system.KQ_EV_ADD)
            else:
                self._remove(fd, kind)

    def unregister(self, fd: int) -> None:
        for kind in (_system.KQ_FILTER_READ, _system.KQ_FILTER_WRITE):
            self._remove(fd, kind)

    def poll(self, timeout: float, maxevents: int = 64) -> list[tuple[int, int]]:
        """The ready sockets, each once, with their bits. timeout: in seconds."""
        ready: dict[int, int] = {}
        for event in self._kqueue.control(None, maxevents, timeout):
            bits = READ if event.filter == _system.KQ_FILTER_READ else WRITE
            if event.flags & _system.KQ_EV_EOF:
                bits |= SENDS_NO_MORE if bits == READ and not event.fflags else CLOSED
                bits |= FAILED if event.fflags else 0  # the number of an error, such as a reset
            ready[event.ident] = ready.get(event.ident, 0) | bits
        return list(ready.items())

    def _remove(self, fd: int, kind: int) -> None:
        with contextlib.suppress(FileNotFoundError):  # it was not watched for that
            self._change(fd, kind, _system.KQ_EV_DELETE)

    def _change(self, fd: int, kind: int, flags: int) -> None:
        self._kqueue.control([_system.kevent(fd, kind, flags)], 0)


Readiness = select.epoll if hasattr(select, "epoll") else Kqueue
