"""Text that others have written, for people who read it in a terminal or a log.

Besides ESC there are the controls from U+0080 on, which terminals obey as well: U+009B begins a command, as ESC and a
bracket do. Other marks turn the order of what follows. JSON writes all of these as they are.
"""

from __future__ import annotations

import contextlib
import re

_OBEYED = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """The text with a question mark for each character that is not printed."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def of_header(value: str) -> str:
    """A header's value as its sender wrote it, and plain. HTTP reads the bytes as Latin-1; what clients send beyond
    ASCII is UTF-8."""
    if not value.isascii():
        with contextlib.suppress(UnicodeError):
            value = value.encode("latin-1").decode()
    return plain(value)


def escaped(json: str) -> str:
    """A text of JSON that means the same, in which no terminal finds a command."""
    if json.isascii() or _OBEYED.search(json) is None:
        return json
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", json)
