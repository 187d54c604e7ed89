"""A warning for what may happen a thousand times a second: said at once, and then for all that follow in a while."""

from __future__ import annotations

import logging
import time

EVERY_S = 10.0


class Seldom:
    """text: of the warning, with %s for what tell() is given."""

    def __init__(self, log: logging.Logger, text: str) -> None:
        self._log = log
        self._text = text
        self._silent_until = 0.0
        self._unsaid = 0

    def __repr__(self) -> str:
        return f"<Seldom {self._text!r}, {self._unsaid} not said>"

    def tell(self, *args: object) -> None:
        now = time.monotonic()
        if now < self._silent_until:
            self._unsaid += 1
            return
        self._silent_until = now + EVERY_S
        more = f" (and {self._unsaid} more since the last such line)" * bool(self._unsaid)
        self._unsaid = 0
        self._log.warning(self._text + "%s", *args, more)
