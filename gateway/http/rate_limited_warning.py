"""A warning for events that may come a thousand times a second: it is logged at most every EVERY_S."""

from __future__ import annotations

import logging
import time

EVERY_S = 10.0


class Seldom:
    """A warning. text: with %s for each argument of tell()."""

    def __init__(self, log: logging.Logger, text: str) -> None:
        self._log = log
        self._text = text
        self._silent_until = 0.0
        self._unsaid = 0

    def __repr__(self) -> str:
        return f"<Seldom {self._text!r}, {self._unsaid} not said>"

    def tell(self, *args: object) -> None:
        """Logs the warning, or only counts it if the last one was a short time ago."""
        now = time.monotonic()
        if now < self._silent_until:
            self._unsaid += 1
            return
        self._silent_until = now + EVERY_S
        more = f" (and {self._unsaid} more since the last such line)" * bool(self._unsaid)
        self._unsaid = 0
        self._log.warning(self._text + "%s", *args, more)
