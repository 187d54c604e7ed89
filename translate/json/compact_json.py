"""The top-level members of a JSON object without blanks between its members, as most clients write it.

One strict pass in C finds them all. The lengths show that no member is there twice or written in escapes: names, values
and the signs between them must fill the body to the byte. Any other body is read as in top_level.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import msgspec

Members = Mapping[str, msgspec.Raw]
"""Name -> value, in the body's order."""

_BEGINS = re.compile(rb'\{"[^"\\]{0,99}":\S')  # writers of blanks put one here
_read = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)


def members(body: bytes) -> Members | None:
    """Returns the members; None for a body of another kind, or one without members."""
    if _BEGINS.match(body) is None:
        return None
    try:
        found = _read(body)
    except _REFUSED:
        return None
    size = sum(map(len, found)) + sum(map(len, found.values())) + 4 * len(found) + 1  # {"":,"":}
    return found if size == len(body) and found else None


def place(found: Members, wanted: str) -> int:
    """Returns where in the body the value of this member begins. found: what `members` has returned, this one among
    it."""
    at = 1
    for name, value in found.items():
        at += len(name) + 3
        if name == wanted:
            break
        at += len(value) + 1
    return at


def without(body: bytes, found: Members, names: Collection[str], first: bytes = b"") -> bytes:
    """Returns the object without its members of these names. first: further members (without their last comma) that are
    put in front. Every other byte stays. found: what `members` has returned."""
    view = memoryview(body)
    pieces: list[bytes | memoryview] = [b"{", first] if first else [b"{"]
    at = 1
    kept = None  # where a row of members that stay begins
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
        del pieces[1]  # the comma would come first
    return b"".join((*pieces, b"}"))
