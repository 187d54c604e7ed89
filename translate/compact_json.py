"""The top-level members of a JSON object without blanks between its members, as most clients write it.

One strict pass in C finds them all; that nothing is there twice, or in escapes, the lengths tell: names, values and the
signs between them fill the body to the byte. Another body is read as in top_level.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import msgspec

Members = Mapping[str, msgspec.Raw]
"""Name -> value, in the body's order."""

_BEGINS = re.compile(rb'\{"[^"\\]{0,99}":\S')  # who writes blanks writes one here
_read = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)


def members(body: bytes) -> Members | None:
    """None for a body of another kind, or none at all."""
    if _BEGINS.match(body) is None:
        return None
    try:
        found = _read(body)
    except _REFUSED:
        return None
    size = sum(map(len, found)) + sum(map(len, found.values())) + 4 * len(found) + 1  # {"":,"":}
    return found if size == len(body) and found else None


def place(found: Members, wanted: str) -> int:
    """Where in the body the value of this member begins. found: what `members` has found in it, this one among it."""
    at = 1
    for name, value in found.items():
        at += len(name) + 3
        if name == wanted:
            break
        at += len(value) + 1
    return at


def without(body: bytes, found: Members, names: Collection[str], first: bytes = b"") -> bytes:
    """The object less its members of these names, with further members (without their last comma) in front of its
    own. Every other byte stays. found: what `members` has found in it."""
    view = memoryview(body)
    pieces: list[bytes | memoryview] = [b"{", first] if first else [b"{"]
    at = 1
    kept = None  # where the members begin that stay, one after the other
    for name, value in found.items():
        end = at + len(name) + 3 + len(value)
        if name in names:
            if kept is not None:
                pieces += (b",", view[kept : at - 1])
                kept = None
        elif kept is None:
            kept = at
        at = end + 1
    if kept is not None:
        pieces += (b",", view[kept : at - 1])
    if not first and len(pieces) > 1:
        del pieces[1]  # nothing is before the comma
    return b"".join((*pieces, b"}"))
