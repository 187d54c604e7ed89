"""Makes Python on Linux look like Python on macOS, as far as this program can tell the difference.

A process that finds this folder on its PYTHONPATH loads it before anything else. What macOS does not have is taken
away, and kqueue is there, made of epoll. The kernel is still Linux: what macOS itself does otherwise is not seen here.
"""

from __future__ import annotations

import os
import platform
import select
import signal
import socket
import sys
import types
import zoneinfo  # noqa: F401  # it looks for a file of Python's that only a Mac's has
from typing import Any, NamedTuple

_epoll = select.epoll
_IN, _OUT, _ERR, _HUP, _RDHUP = (
    select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR, select.EPOLLHUP, select.EPOLLRDHUP,
)  # fmt: skip
READ, WRITE, ADD, DELETE, EOF = -1, -2, 1, 2, 0x8000


class kevent(NamedTuple):
    ident: int
    filter: int = READ
    flags: int = ADD
    fflags: int = 0
    data: int = 0
    udata: int = 0


class kqueue:
    """As man kqueue describes it, for the two filters of sockets."""

    def __init__(self) -> None:
        self._epoll = _epoll()
        self._masks: dict[int, int] = {}
        self.fileno = self._epoll.fileno
        self.close = self._epoll.close

    def control(self, changes: Any, most: int, timeout: float | None = None) -> list[kevent]:
        for fd, kind, flags, *_ in changes or ():
            self._change(getattr(fd, "fileno", lambda fd=fd: fd)(), kind, flags)
        if not most:
            return []
        told = []
        for fd, got in self._epoll.poll(timeout, most):
            over = EOF if got & (_RDHUP | _HUP | _ERR) else 0
            error = 54 if got & _ERR else 0  # ECONNRESET
            if self._masks.get(fd, 0) & _IN and got & (_IN | _RDHUP | _HUP | _ERR):
                told.append(kevent(fd, READ, ADD | over, error))
            if self._masks.get(fd, 0) & _OUT and got & (_OUT | _HUP | _ERR):
                told.append(kevent(fd, WRITE, ADD | (EOF if got & (_HUP | _ERR) else 0), error))
        return told

    def _change(self, fd: int, kind: int, flags: int) -> None:
        bit = _IN | _RDHUP if kind == READ else _OUT
        mask = self._masks.get(fd, 0)
        if mask:  # a closed socket has left the set, and one of the same number is another
            try:
                self._epoll.modify(fd, mask)
            except OSError:
                mask = self._masks.pop(fd) & 0
        os.fstat(fd)  # raises OSError for a closed one
        if flags & DELETE and not mask & bit:
            raise FileNotFoundError(2, "no such filter")
        new = mask | bit if flags & ADD else mask & ~bit
        if not new:
            self._epoll.unregister(fd)
            self._masks.pop(fd, None)
            return
        (self._epoll.modify if mask else self._epoll.register)(fd, new)
        self._masks[fd] = new


def _pretend() -> None:
    sys.platform = "darwin"
    for name in [name for name in vars(select) if name.lower().startswith("epoll")] + ["POLLRDHUP"]:
        delattr(select, name)
    names = {"kqueue": kqueue, "kevent": kevent, "KQ_FILTER_READ": READ, "KQ_FILTER_WRITE": WRITE}
    vars(select).update(names | {"KQ_EV_ADD": ADD, "KQ_EV_DELETE": DELETE, "KQ_EV_EOF": EOF})
    for name in ("TCP_INFO", "TCP_USER_TIMEOUT", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "SO_PEERCRED"):
        delattr(socket, name)
    for name in ("sched_getaffinity", "setresuid", "setresgid", "memfd_create", "pidfd_open", "eventfd"):
        if hasattr(os, name):
            delattr(os, name)
    delattr(signal, "sigtimedwait")
    platform.mac_ver = lambda *_: ("14.0", ("", "", ""), "arm64")  # type: ignore[assignment]
    proxies = types.ModuleType("_scproxy")  # urllib.request asks macOS for its settings
    vars(proxies).update(_get_proxy_settings=dict, _get_proxies=dict)
    sys.modules["_scproxy"] = proxies
    sys.modules.pop("selectors", None)  # it has looked already which of them there are


_pretend()
