"""What this process may do, and what it leaves behind: it becomes another user, its files are its own, and no dump of
its memory is written.

The keys of upstreams are in its memory. So nobody but root may read that memory, be it with a debugger, by /proc or in
a core file. This is done before the first thread and the first worker are made, which then have all of it too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import resource
import sys
from pathlib import Path

from operate import place

_PR_SET_DUMPABLE = 4
_WITHOUT = 0


class Refused(Exception):
    """The process cannot become that user; args: why, in words."""


def harden() -> None:
    """New files are for their owner alone, and there are no core dumps."""
    os.umask(0o077)
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it; the next line does more
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # a core that is piped to a program knows no limit; this is also against debuggers
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, _WITHOUT, 0, 0, 0)


def become(name: str, folder: Path) -> None:
    """The user `name`, with its groups, for good. folder: where it will write; it is made for it if it is not there.
    Raises Refused."""
    try:
        account = pwd.getpwnam(name)
        if os.geteuid() == account.pw_uid:
            return
        if not folder.exists():
            folder.mkdir(parents=True)
            os.chown(folder, account.pw_uid, account.pw_gid)
        os.initgroups(name, account.pw_gid)
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    except KeyError:
        raise Refused(f"there is no user '{name}'") from None
    except PermissionError:
        raise Refused(f"only root can become '{name}': start the proxy as root, or as '{name}'") from None
    except OSError as why:
        raise Refused(f"cannot become '{name}': {why.strerror}") from None
    os.environ |= {"HOME": account.pw_dir, "USER": name, "LOGNAME": name}
    harden()  # another user's process may be dumped again
    for file in (place.SHIPPED, Path(os.__file__)):
        if not os.access(file, os.R_OK):
            raise Refused(f"'{name}' cannot read {file}, which the program needs")
