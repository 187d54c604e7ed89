"""Upgrade in place: a new process takes over the listening sockets, and this one finishes the requests that it has.

At SIGUSR2 the program starts itself again, from the files that are on the disk then, and passes its listening sockets
on. Both processes accept from the same queue, so that no connection is refused at any moment. When the new process
serves, it says so through a pipe, and this one drains. If the new process ends before that, or takes longer than
PATIENCE_S, this one goes on as before. To go back to the old release, put its files there again and send the signal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence

from operate import installation, systemd

SOCKETS, READY = "ANTHROPIC_PROXY_SOCKETS", "ANTHROPIC_PROXY_READY"
PATIENCE_S = 60.0
_WORD = b"ready"


def taken_over(address: str) -> list[socket.socket]:
    """The listening sockets that the process before this one, or systemd, has passed on; [] if there are none, or if
    they are for another address. Raises OSError."""
    handed = os.environ.pop(SOCKETS, "")
    if not handed:
        return systemd.listening()
    numbers, _, before = handed.partition("@")
    sockets = [systemd.adopted(int(fd)) for fd in numbers.split(",")]
    if before == address:
        return sockets
    for each in sockets:
        each.close()  # the settings have another host or port now
    return []


def serving() -> None:
    """Tells systemd, and the process before this one if there is one, that this process serves."""
    systemd.ready()
    handed = os.environ.pop(READY, "")
    if handed:
        with contextlib.suppress(OSError):  # it no longer waits
            os.write(int(handed), _WORD)
            os.close(int(handed))


class Successor:
    """The new process, until it serves. waiting: a file descriptor that is readable when verdict() has news."""

    def __init__(self, sockets: Sequence[socket.socket], address: str) -> None:
        """Starts it. address: what the new process passes to taken_over(). Raises OSError."""
        self.waiting, ready = os.pipe()
        numbers = [each.fileno() for each in sockets]
        more = {SOCKETS: f"{','.join(map(str, numbers))}@{address}", READY: str(ready)}
        environ = {name: value for name, value in os.environ.items() if name != "WATCHDOG_PID"} | more
        try:
            self._process = subprocess.Popen(
                installation.command_line(), cwd=installation.folder(), env=environ, pass_fds=[*numbers, ready]
            )
        except OSError:
            os.close(self.waiting)
            raise
        finally:
            os.close(ready)
        os.set_blocking(self.waiting, False)
        self._until = time.monotonic() + PATIENCE_S

    def __repr__(self) -> str:
        return f"<Successor {self._process.pid}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    def verdict(self) -> str | None:
        """None while the new process starts, "" when it serves, else a message why it never will. After an answer that
        is not None, this must not be called again."""
        try:
            said = os.read(self.waiting, len(_WORD))
        except BlockingIOError:
            if time.monotonic() < self._until:
                return None
            self._process.kill()
            said = b""
        os.close(self.waiting)
        if said == _WORD:
            return ""
        code = self._process.wait()
        how = f"was ended by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with code {code}"
        return f"the new process ({self.pid}) {how} before it served; the old one goes on"


def why_not() -> str:
    """Why this process cannot be upgraded in place; "" if it can."""
    if os.getpid() == 1:
        return "this is process 1 of a container, and the container ends with it; start another container instead"
    return ""
