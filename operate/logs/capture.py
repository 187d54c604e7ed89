"""Decides which requests' bodies are logged: none, those of failed requests, a share, or all.

Whether a request belongs to the share follows from its key, so that its request and its reply are both logged, or
neither of them is.
"""

from __future__ import annotations

import re
import zlib

from msgspec import Struct

_SAMPLED = re.compile(r"sampled\s+([0-9]{1,3}(?:\.[0-9]{1,4})?)\s*%")
_WORDS = {"none": "none", "errors": "errors", "all": "all"} | dict.fromkeys(("true", "yes", "on", "1"), "all")
_WORDS |= dict.fromkeys(("false", "no", "off", "0"), "none")


class Capture(Struct, frozen=True):
    """Which bodies are logged. share: the share of requests, above 0 and up to 1. only_failed: of these, only those
    that fail."""

    share: float = 1.0
    only_failed: bool = False

    def takes(self, key: str) -> bool:
        """Tells whether the bodies of the request with this key are logged, if it fails where only_failed is set."""
        return self.share >= 1.0 or zlib.crc32(key.encode()) < self.share * 2**32


def spelled(text: str) -> str:
    """Reads a setting and returns its one spelling: "none", "errors", "all" or "sampled 1%". Raises ValueError."""
    text = text.strip().lower()
    if text in _WORDS:
        return _WORDS[text]
    found = _SAMPLED.fullmatch(text)
    if found is None:
        raise ValueError
    percent = float(found.group(1))
    if not 0 < percent <= 100:
        raise ValueError("must have a percentage above 0 and up to 100, such as 'sampled 1%'")
    return f"sampled {percent:g}%"


def capture(text: str) -> Capture | None:
    """The Capture for a spelling that `spelled` returns; None = no body is logged."""
    if text == "none":
        return None
    if text.startswith("sampled"):
        return Capture(float(text.removeprefix("sampled ").removesuffix("%")) / 100)
    return Capture(only_failed=text == "errors")
