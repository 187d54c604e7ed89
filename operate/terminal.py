"""SIGHUP has two meanings: "read your settings again", and "your terminal is gone".

Which one it is, the terminal tells: a process that had one when it started, and cannot open it any more, has lost it.
Without one (systemd, cron, a container) it is always the first.
"""

from __future__ import annotations

import os
import signal


class Terminal:
    """Made at the start."""

    def __init__(self) -> None:
        # nohup and its like ignore the signal: then the proxy is meant to outlive its terminal.
        self._matters = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _there()

    def __repr__(self) -> str:
        return f"<Terminal{'' if self._matters else ' of no matter'}>"

    def gone(self) -> bool:
        return self._matters and not _there()


def _there() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
