"""Runs a command that prints, so that it ends in words whatever becomes of what it prints.

Where nobody reads any more, as with `./run.sh doctor | head`, it ends quietly. Where it prints to a full disk, it says
so. What the terminal's character set lacks is escaped: names come from everywhere.
"""

from __future__ import annotations

import errno
import io
import os
import select
import signal
import sys
from collections.abc import Callable

UNREAD = 128 + signal.SIGPIPE  # what a shell says of a program that ends so
EX_IOERR = 74
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def printed(work: Callable[[], int | None]) -> int:
    """Runs a function that prints, and returns its exit code. SIGPIPE itself cannot do this: a server that closes its
    connection would end the command, too."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = work() or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        if not _unread():
            raise
        _drop_the_rest()
        return UNREAD
    except OSError as error:
        if error.errno not in _FULL or error.filename is not None:  # a file that is opened has a name
            raise
        _drop_the_rest()
        sys.stderr.write(f"what is printed cannot be written: {error.strerror}\n")
        return EX_IOERR


def _unread() -> bool:
    """Whether standard output is a pipe whose reader has gone."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _drop_the_rest() -> None:
    """Python would complain at the exit, when it writes what is left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
