"""Ends a command quietly where nobody reads any more what it prints, as with `./run.sh doctor | head`."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable

UNREAD = 128 + signal.SIGPIPE  # what a shell says of a program that ends so


def printed(work: Callable[[], int | None]) -> int:
    """Runs a function that prints, and returns its exit code. SIGPIPE itself cannot do this: a server that closes its
    connection would end the command, too."""
    try:
        code = work() or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        if not _unread():
            raise
        # Python would complain at the exit, when it writes what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD


def _unread() -> bool:
    """Whether standard output is a pipe whose reader has gone."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
