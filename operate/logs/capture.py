"""Which requests' bodies go to the log: none, those that failed, a share, or all.

A share is drawn by the request's key and not by chance, so that the request and its reply are both there or both not.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

_SAMPLED = re.compile(r"sampled\s+([0-9]{1,3}(?:\.[0-9]{1,4})?)\s*%")
_WORDS = {"none": "none", "errors": "errors", "all": "all"} | dict.fromkeys(("true", "yes", "on", "1"), "all")
_WORDS |= dict.fromkeys(("false", "no", "off", "0"), "none")


@dataclass(frozen=True, slots=True)
class Capture:
    """share: of the requests, above 0 and up to 1. only_failed: of those, the ones that end with an error."""

    share: float = 1.0
    only_failed: bool = False

    def takes(self, key: str) -> bool:
        """Tells whether this request is one of them, as far as can be said before its end."""
        return self.share >= 1.0 or zlib.crc32(key.encode()) < self.share * 2**32


def spelled(text: str) -> str:
    """The one way to write it: none, errors, all or "sampled 1%". Raises ValueError."""
    text = text.strip().lower()
    if text in _WORDS:
        return _WORDS[text]
    found = _SAMPLED.fullmatch(text)
    if found is None:
        raise ValueError
    percent = float(found.group(1))
    if not 0 < percent <= 100:
        raise ValueError("the percentage must be above 0 and at most 100")
    return f"sampled {percent:g}%"


def capture(text: str) -> Capture | None:
    """Reads what `spelled` gives. None means that no body is wanted."""
    if text == "none":
        return None
    if text.startswith("sampled"):
        return Capture(float(text.removeprefix("sampled ").removesuffix("%")) / 100)
    return Capture(only_failed=text == "errors")
