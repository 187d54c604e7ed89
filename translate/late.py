"""Regular expressions that are compiled when they are first used.

To compile all of the program's takes an eighth of its start, and most of them are about errors, models and clients that
few proxies ever meet. Those that each request needs are compiled at the start (re.compile).
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class LatePattern:
    """Has what a re.Pattern has. `pattern` is what it is made of, and does not compile it."""

    def __init__(self, pattern: str | bytes, flags: int) -> None:
        self.pattern = pattern
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self.pattern, self._flags), name)
        setattr(self, name, found)  # so that __getattr__ is not called again for it
        return found


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Takes what re.compile takes. The functions of `re` do not take what it returns."""
    return cast("re.Pattern[AnyStr]", LatePattern(text, flags))
