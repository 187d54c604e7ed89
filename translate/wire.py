"""JSON on the wire: the one place that reads and writes it.

ujson is fast but has edges: it encodes a lone surrogate (half an emoji, which providers do send
when they cut a delta) to a str that cannot become UTF-8, and it escapes slashes unless told not to.
`inside` gives the text between the quotes of a JSON string: deltas travel through the neutral form in
that shape, so that a text which needs no change is copied and never decoded (see conversation.Delta).
"""

from __future__ import annotations

from typing import Any

import ujson

loads = ujson.loads


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON. A lone surrogate is written as its \\uXXXX escape.

    Raises TypeError or ValueError for what JSON cannot say (bytes, NaN).
    """
    text = ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return ujson.dumps(value, ensure_ascii=True, escape_forward_slashes=False).encode()


def dumps_text(value: Any) -> str:
    """The same as str: for tool arguments, which are JSON inside a JSON string."""
    return ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False)


def inside(text: str) -> bytes:
    """What stands between the quotes when `text` is written as a JSON string."""
    return dumps(text)[1:-1]


def text_of(pieces: list[bytes]) -> str:
    """The text whose JSON-string insides are `pieces`, joined first: an escape may be cut in two."""
    return str(loads(b'"%b"' % b"".join(pieces)))


def is_object(pieces: list[bytes]) -> bool:
    """Is the text of these insides a whole JSON object?"""
    try:
        return isinstance(loads(text_of(pieces)), dict)
    except ValueError:
        return False
