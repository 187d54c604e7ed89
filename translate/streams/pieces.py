"""Checks whether bytes are the inside of JSON strings, for texts on the fast path, which nobody parses (see
conversation.Delta).

All pieces of a chunk are checked in one go. A byte between the pieces, which is legal in a string, ends any escape or
character. Otherwise half of a character at the end of a piece and half at the start of the next one would look whole.
"""

from __future__ import annotations

import re

from translate.json import wire

INSIDE = rb'(?!")[^"\\]*(?:\\.[^"\\]*)*'
"""A pattern: the inside of a JSON string, not empty. It goes from one backslash to the next, since a choice for each
character takes twenty times as long, which is 0.2 s for 2 MB."""

# Possessive, so that a text which does not match costs one pass. Half a character of two (a lone surrogate) is not
# sound: its other half may be in the next piece.
_PAIR = rb"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LEGAL = re.compile(rb'(?>(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|%b))*)' % _PAIR)
_PLAIN = bytes(byte for byte in range(0x20, 0x100) if byte not in b'"\\')  # each legal by itself
BETWEEN = b"\x7f"  # joins pieces so that each can still be told from the next


def all_sound(pieces: list[bytes]) -> bool:
    return is_sound(BETWEEN.join(pieces))


def is_sound(joined: bytes) -> bool:
    """joined: one piece, or several, joined by BETWEEN."""
    if joined.translate(None, _PLAIN) and not _LEGAL.fullmatch(joined):  # the first is a tenth of the second's work
        return False
    return joined.isascii() or is_utf8(joined)


def is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def same_text(one: bytes, other: bytes) -> bool:
    """Tells whether two insides are the same text, which servers may escape in several ways."""
    try:
        return one == other or wire.text_of([one]) == wire.text_of([other])
    except ValueError:
        return False
