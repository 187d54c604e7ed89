"""What systemd is told, and what it hands over: readiness, a sign of life, listening sockets. No library is needed.

Without systemd there is no NOTIFY_SOCKET, and nothing is said.
"""

from __future__ import annotations

import contextlib
import os
import socket

FIRST_FD = 3  # SD_LISTEN_FDS_START


def notify(*words: str) -> None:
    """Such as "READY=1". Whoever started us may be gone, or deaf, which is no reason to stop."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    address = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
        to.sendto("\n".join(words).encode(), socket.MSG_DONTWAIT, address)


def ready() -> None:
    """After an upgrade the process that systemd knows is about to end: this one takes its place."""
    notify("READY=1", f"MAINPID={os.getpid()}", "STATUS=serving")


def stopping() -> None:
    notify("STOPPING=1", "STATUS=draining")


def watchdog_s() -> float:
    """Within this time systemd wants to hear of us, else it starts us anew; 0 = never."""
    try:
        return int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    except ValueError:
        return 0.0


def alive() -> None:
    notify("WATCHDOG=1")


def listening() -> list[socket.socket]:
    """The sockets of a .socket unit. The variables are for this process alone, and are gone afterwards. Raises OSError
    for one that is no TCP socket."""
    mine = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = os.environ.pop("LISTEN_FDS", "0")
    os.environ.pop("LISTEN_FDNAMES", None)
    return [adopted(fd) for fd in range(FIRST_FD, FIRST_FD + int(count))] if mine and count.isdecimal() else []


def adopted(fd: int) -> socket.socket:
    taken = socket.socket(fileno=fd)
    if taken.family not in (socket.AF_INET, socket.AF_INET6) or taken.type != socket.SOCK_STREAM:
        raise OSError(f"descriptor {fd}, which was handed over, is no TCP socket")
    taken.setblocking(False)
    os.set_inheritable(fd, False)
    return taken
