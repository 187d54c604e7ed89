"""Tells whether the words of an upstream's refusal are in the request itself: then they are only a quotation.

A quotation may change blanks, quotes, escapes and case, but little else, so only letters and digits are compared.
"""

from __future__ import annotations

from typing import Any

from translate.json import wire

_NOT_COMPARED = bytes(code for code in range(256) if not chr(code).isalnum() or code > 127)


class OwnWords:
    """The letters of a request, made when they are first needed. sent: the body, parsed or as bytes."""

    __slots__ = ("_letters", "_sent")

    def __init__(self, sent: dict[str, Any] | bytes) -> None:
        self._sent = sent
        self._letters: bytes | None = None

    def holds(self, words: str) -> bool:
        if self._letters is None:
            self._letters = _letters(self._text())
        return _letters(words.encode("utf-8", "replace")) in self._letters

    def _text(self) -> bytes:
        """The body written anew, because a letter may have been written as an escape."""
        if not isinstance(self._sent, bytes):
            return wire.dumps(self._sent)
        try:
            return wire.dumps(wire.loads(self._sent))
        except ValueError:
            return self._sent


def _letters(text: bytes) -> bytes:
    for blank in (b"\\n", b"\\r", b"\\t"):
        text = text.replace(blank, b" ")
    return text.lower().translate(None, _NOT_COMPARED)
