"""The interface to systemd: readiness, signs of life for its watchdog, and the listening sockets of a .socket unit.

Without systemd there is no $NOTIFY_SOCKET, and these functions do nothing. Sources: man sd_notify, man sd_listen_fds.
"""

from __future__ import annotations

import contextlib
import os
import socket

FIRST_FD = 3  # SD_LISTEN_FDS_START


def notify(*words: str) -> None:
    """Sends systemd words such as "READY=1". It is no reason to stop if nobody receives them."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    address = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.sendto("\n".join(words).encode(), socket.MSG_DONTWAIT, address)


def ready() -> None:
    """Tells systemd that this process serves. After an upgrade it takes the place of the process that systemd knows."""
    notify("READY=1", f"MAINPID={os.getpid()}", "STATUS=serving")


def stopping() -> None:
    """Tells systemd that this process ends on purpose."""
    notify("STOPPING=1", "STATUS=draining")


def watchdog_s() -> float:
    """The seconds within which systemd wants a sign of life, else it starts the program again; 0 = it wants none."""
    try:
        return int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    except ValueError:
        return 0.0


def alive() -> None:
    """Gives systemd a sign of life."""
    notify("WATCHDOG=1")


def listening() -> list[socket.socket]:
    """The sockets of a .socket unit. It removes the variables that name them, which are for this process alone. Raises
    OSError for a socket that is no stream."""
    mine = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = os.environ.pop("LISTEN_FDS", "0")
    os.environ.pop("LISTEN_FDNAMES", None)
    return [adopted(fd) for fd in range(FIRST_FD, FIRST_FD + int(count))] if mine and count.isdecimal() else []


def adopted(fd: int) -> socket.socket:
    """A listening socket that another process has opened. Raises OSError if it is no stream socket."""
    taken = socket.socket(fileno=fd)
    if taken.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) or taken.type != socket.SOCK_STREAM:
        raise OSError(f"file descriptor {fd}, which was passed to the proxy to listen on, is no stream socket")
    taken.setblocking(False)
    os.set_inheritable(fd, False)
    return taken
