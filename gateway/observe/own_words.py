"""Whether a request says itself what an upstream's refusal says: then that is a quotation, and tells nothing.

A quotation changes blanks, quotes, escapes and case, and little else: so letters and digits alone are compared.
"""

from __future__ import annotations

from typing import Any

from translate import wire

_NOT_COMPARED = bytes(code for code in range(256) if not chr(code).isalnum() or code > 127)


class OwnWords:
    """sent: the request's body, parsed, or as it came. Its letters are made when they are first asked for."""

    __slots__ = ("_letters", "_sent")

    def __init__(self, sent: dict[str, Any] | bytes) -> None:
        self._sent = sent
        self._letters: bytes | None = None

    def holds(self, words: str) -> bool:
        if self._letters is None:
            self._letters = _letters(self._text())
        return _letters(words.encode("utf-8", "replace")) in self._letters

    def _text(self) -> bytes:
        """As it is read: a letter may have been written as an escape."""
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
