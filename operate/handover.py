"""Upgrade in place: a new process takes over the listening sockets while this one finishes what it has.

At SIGUSR2 the program starts itself once more, from what is on the disk by then, and hands its listening sockets down.
Both accept from the same queue, so that no connection is refused at any moment. When the new one serves, it says so
through a pipe, and this one drains without hurry. Should the new one end before that, or take too long, this one goes
on as if nobody had asked. The way back is the same: put the old file there again, and send the signal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence

from operate import place, systemd

SOCKETS, READY = "ANTHROPIC_PROXY_SOCKETS", "ANTHROPIC_PROXY_READY"
PATIENCE_S = 60.0
_WORD = b"ready"


def taken_over(address: str) -> list[socket.socket]:
    """The listening sockets of the process before this one, or systemd's; none if there are none, or for another
    address. Raises OSError."""
    handed = os.environ.pop(SOCKETS, "")
    if not handed:
        return systemd.listening()
    numbers, _, before = handed.partition("@")
    sockets = [systemd.adopted(int(fd)) for fd in numbers.split(",")]
    if before == address:
        return sockets
    for each in sockets:
        each.close()  # the settings have another host or port by now
    return []


def serving() -> None:
    """Tells the process before this one, if there is one, and systemd."""
    systemd.ready()
    handed = os.environ.pop(READY, "")
    if handed:
        with contextlib.suppress(OSError):  # it did not wait
            os.write(int(handed), _WORD)
            os.close(int(handed))


class Successor:
    """The new process, until it serves. `waiting` is readable when there is something to ask verdict() for."""

    def __init__(self, sockets: Sequence[socket.socket], address: str) -> None:
        """address: as taken_over() will have it. Raises OSError."""
        self.waiting, told = os.pipe()
        numbers = [each.fileno() for each in sockets]
        more = {SOCKETS: f"{','.join(map(str, numbers))}@{address}", READY: str(told)}
        environ = {name: value for name, value in os.environ.items() if name != "WATCHDOG_PID"} | more
        try:
            self._process = subprocess.Popen(place.command_line(), env=environ, pass_fds=[*numbers, told])
        except OSError:
            os.close(self.waiting)
            raise
        finally:
            os.close(told)
        os.set_blocking(self.waiting, False)
        self._until = time.monotonic() + PATIENCE_S

    def __repr__(self) -> str:
        return f"<Successor {self._process.pid}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    def verdict(self) -> str | None:
        """"" once it serves, None while it does not, else why it never will, in words. Not to be asked again after."""
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
        return f"the new process ({self.pid}) {how} before it served; this one goes on"


def why_not() -> str:
    """Why this process can have no successor; "" if it can."""
    if os.getpid() == 1:
        return "process 1 of a container ends the container with it: start another container in its place"
    return ""
