"""Decides what a SIGHUP means: "read the settings again", or "the terminal is gone".

If the process had a terminal when it started and cannot open it any more, the terminal is gone. A process without a
terminal (systemd, cron, a container) always reads its settings again.
"""

from __future__ import annotations

import os
import signal


class Terminal:
    """The terminal that the process had at its start, if any."""

    def __init__(self) -> None:
        # nohup ignores the signal for the program that it starts: then the proxy is meant to outlive its terminal.
        self._matters = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _there()

    def __repr__(self) -> str:
        return f"<Terminal{'' if self._matters else ' of no matter'}>"

    def gone(self) -> bool:
        """Whether the process had a terminal and has lost it."""
        return self._matters and not _there()


def _there() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
