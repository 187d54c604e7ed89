"""How much JSON a body may hold, which is checked before it is parsed: its values cost many times its bytes in memory.

60 MB of `{}` are twenty million objects: gigabytes, and a parse that stops everything for seconds. So values are
counted before: the commas and opening brackets outside of strings. Most bodies are too short to hold too many. In
others, all commas and brackets are counted, also those in texts, which is quick. Only if these are too many, strings
are told apart, piece by piece, until the limit is reached.
"""

from __future__ import annotations

from translate.failures.errors import ApiError

MAX_VALUES = 250_000  # the longest conversations of coding agents have some ten thousand
PIECE = 64 * 1024
LOOKED = 1 << 20


def check(body: bytes, most: int = MAX_VALUES) -> None:
    """Raises ApiError (413)."""
    if len(body) <= most or _has_few_marks(body, most) or _has_at_most(body, most):
        return
    message = f"the request body holds more than {most} JSON values ([limits] values)"
    raise ApiError("too_large", message)


def _has_few_marks(body: bytes, most: int) -> bool:
    """Returns whether there are few marks. It stops when there are too many: for 60 MB of `{}`, after a hundredth."""
    marks = 0
    for start in range(0, len(body), LOOKED):
        marks += sum(body.count(mark, start, start + LOOKED) for mark in (b",", b"[", b"{"))
        if marks > most:
            return False
    return True


def _marks(piece: bytes) -> int:
    return piece.count(b",") + piece.count(b"[") + piece.count(b"{")


def _has_at_most(body: bytes, most: int) -> bool:
    values = 0
    in_string = False
    start = 0
    while start < len(body):
        piece = body[start : start + PIECE]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2 and len(piece) > 1:
            piece = piece[:-1]  # it begins an escape, which must stay whole
        start += len(piece)
        if b"\\" in piece:
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        texts = piece.split(b'"')
        values += _marks(b" ".join(texts[in_string::2]))
        in_string ^= len(texts) % 2 == 0
        if values > most:
            return False
    return True
