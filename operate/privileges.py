"""Limits the rights of the process: it becomes another user, only its user can read its files, and it writes no core
dumps.

The keys of upstreams are in its memory. So only root may read that memory, with a debugger, through /proc or in a core
file. This is done before the first thread and the first worker are made, so that it holds for them too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import resource
import sys
from pathlib import Path

from operate import installation

_PR_SET_DUMPABLE = 4
_WITHOUT = 0


class Refused(Exception):
    """Says that the process cannot become that user; args: a message why."""


def harden() -> None:
    """Makes new files readable for their owner only, and forbids core dumps."""
    os.umask(0o077)
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it; the next lines do more
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limit does not hold for cores that are piped to a program; this also keeps debuggers out.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, _WITHOUT, 0, 0, 0)


def become(name: str, folder: Path) -> None:
    """Makes the process run as the user `name`, with its groups, for its whole life. folder: where it will write; it is
    made if it does not exist. Raises Refused."""
    try:
        account = pwd.getpwnam(name)
        if os.geteuid() == account.pw_uid:
            return
        if not folder.exists():
            folder.mkdir(parents=True)
            os.chown(folder, account.pw_uid, account.pw_gid)
        os.initgroups(name, account.pw_gid)
        os.setgid(account.pw_gid)  # who may become another user becomes it for good: the saved ids change, too
        os.setuid(account.pw_uid)
    except KeyError:
        raise Refused(f"there is no user '{name}'") from None
    except PermissionError:
        raise Refused(f"only root can become '{name}': start the proxy as root, or as '{name}'") from None
    except OSError as why:
        raise Refused(f"cannot become '{name}': {why.strerror}") from None
    os.environ |= {"HOME": account.pw_dir, "USER": name, "LOGNAME": name}
    harden()  # the change of the user has allowed dumps again
    for file in (installation.SHIPPED, Path(os.__file__)):
        if not os.access(file, os.R_OK):
            raise Refused(f"'{name}' cannot read {file}, which the program needs")
