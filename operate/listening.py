"""The sockets on which the proxy listens: addresses with a port, and Unix sockets, which are paths.

A Unix socket of a process that has ended is still there as a file. It is removed only if nobody answers behind it, and
never if it is anything else than a socket.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import socket
import stat
from collections.abc import Iterable
from pathlib import Path

from tornado.netutil import bind_sockets

from operate.settings.sections import UNIX, Server

BACKLOG = 4096
"""How many connections may wait to be taken; the kernel allows no more than net.core.somaxconn. Where more come at
once, it answers some of them with a reset."""


def bound(server: Server) -> list[socket.socket]:
    """Listening sockets for all hosts, those with a port on the same one. Raises OSError, whose filename is the address
    that cannot be used, or UnicodeError."""
    sockets: list[socket.socket] = []
    port = server.port
    for host in server.hosts:
        try:
            if host.startswith(UNIX):
                sockets.append(_unix(Path(host.removeprefix(UNIX)), server))
                continue
            sockets += bind_sockets(port, host, backlog=BACKLOG)
        except OSError as why:
            why.filename = named(host, port)
            raise
        port = sockets[-1].getsockname()[1]
    return sockets


def named(host: str, port: int) -> str:
    """One of them for a person."""
    if host.startswith(UNIX):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address(server: Server) -> str:
    """All of them in one word, by which another process knows whether it listens there too."""
    return f"{','.join(server.hosts)}:{server.port}"


def port_of(sockets: Iterable[socket.socket]) -> int:
    """The port of the first socket that has one, else 0."""
    return next((each.getsockname()[1] for each in sockets if each.family != socket.AF_UNIX), 0)


def with_ports(sockets: Iterable[socket.socket]) -> list[tuple[str, int]]:
    """The (address, port) of those that have one."""
    return [each.getsockname()[:2] for each in sockets if each.family != socket.AF_UNIX]


def _unix(path: Path, server: Server) -> socket.socket:
    _remove_stale(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Its mode comes from the umask: to change it afterwards would change what somebody had put in its place.
        before = os.umask(0o777 ^ server.socket_mode)
        try:
            made.bind(str(path))
        finally:
            os.umask(before)
        if server.user:
            with contextlib.suppress(KeyError, PermissionError):  # it is said when the process becomes that user
                account = pwd.getpwnam(server.user)
                os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
        made.setblocking(False)
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _remove_stale(path: Path) -> None:
    """Raises OSError where another process listens, or the path is no socket."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise OSError(errno.EEXIST, f"{path} exists, and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tried:
        tried.settimeout(1.0)
        try:
            tried.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except TimeoutError:  # somebody listens, and has much to do
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
