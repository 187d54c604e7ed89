r"""Escapes control characters that stand raw within the strings of a call's arguments.

Models write line ends and tabs into a string as they are, and servers pass that on. A lenient reader takes it; a strict
one (JSON.parse) refuses all of the arguments, and the tool would run without them. Arguments are insides of JSON
strings here, as everywhere (see conversation.Delta): a raw line end in one of their strings is `\n`, an escaped one
`\\n`. Outside of strings, line ends are only space. Only if such a character comes is it checked whether it stands in a
string; for that, everything before it is read once.
"""

from __future__ import annotations

import re

from translate import late
from translate.json import wire

# All escapes that stand for no control character, and then one that does.
_FOUND = late.pattern(rb'[^\\]*+(?>(?:\\(?:["\\/]|u(?!00[01]))[^\\]*+)*)\\')
_CONTROL = rb"\\(?:[bfnrt]|u00[01][0-9a-fA-F])"
_ANY = rb"(?:\\(?:u[0-9a-fA-F]{4}|.)|[^\\])"
_OUTSIDE = late.pattern(rb'(?>(?:[^\\]++|\\[^"])*)', re.DOTALL)  # up to the quote that begins a string
# Up to the quote that ends it, or to a backslash at the end, whose other half the next piece has.
_STRING = late.pattern(rb'(?>(?:[^\\]++|\\[^"\\]|\\\\' + _ANY + rb")*)", re.DOTALL)
_RAW = late.pattern(rb"(?:\\\\)?(%b)|\\\\%b" % (_CONTROL, _ANY), re.DOTALL)
_QUOTE, _BACKSLASH = b'\\"', b"\\\\"


class RawControls:
    """For one call. The state is where the text that was read ends: within a string, and after its backslash."""

    __slots__ = ("_after_backslash", "_quoted", "_read")

    def __init__(self) -> None:
        self._read = 0  # pieces
        self._quoted = False
        self._after_backslash = False

    def __repr__(self) -> str:
        return f"<RawControls after {self._read} pieces{', in a string' * self._quoted}>"

    def escaped(self, said: list[bytes], piece: bytes) -> bytes:
        """Returns the piece with those of its control characters escaped that stand in a string. said: all that came
        before it, as it was returned."""
        if not _FOUND.match(piece):
            return piece
        self._walk(_plain(b"".join(said[self._read :])))
        self._read = len(said) + 1
        return self._walk(_plain(piece))

    def _walk(self, text: bytes) -> bytes:
        """Reads on. Returns the text, escaped."""
        out: list[bytes] = []
        at, end = 0, len(text)
        if self._after_backslash and text:
            at = _first(text)
            self._after_backslash = False
            out.append(text[1:at] if _is_control(text[:at]) else text[:at])
        while at < end:
            found = (_STRING if self._quoted else _OUTSIDE).match(text, at)
            stop = found.end() if found else end  # both match "", too
            out.append(_RAW.sub(_escape, text[at:stop]) if self._quoted else text[at:stop])
            rest, at = text[stop : stop + 2], stop + 2
            out.append(rest)
            if rest == _QUOTE:
                self._quoted = not self._quoted
            elif rest == _BACKSLASH:
                self._after_backslash = True
        return b"".join(out)


def _plain(text: bytes) -> bytes:
    """Returns it with quotes and backslashes as we write them: some servers write \\u0022."""
    return wire.inside(wire.text_of([text])) if b"\\u00" in text else text


def _escape(found: re.Match[bytes]) -> bytes:
    """A backslash before the character was to escape it, and does."""
    control: bytes | None = found[1]
    return found[0] if control is None else _BACKSLASH + control[1:]


def _first(text: bytes) -> int:
    """Returns where the first character ends."""
    found = re.match(_ANY, text, re.DOTALL)
    return found.end() if found else len(text)


def _is_control(character: bytes) -> bool:
    return re.fullmatch(_CONTROL, character) is not None
