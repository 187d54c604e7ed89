"""Finds what of a reply is new, since servers repeat themselves.

Some servers end a stream with one more delta that has the whole text, or all of a call's arguments, again; with others
each delta has all that came before it. `TextRepeats` watches text, `ArgumentRepeats` the arguments of a call: `fresh`
returns the new part of the next pieces. Pieces are insides of JSON strings, as everywhere (see conversation.Delta). The
work is linear in what the server sends: nothing is compared that is shorter than what it would repeat, and nothing is
read twice.
"""

from __future__ import annotations

import re
import sys

from translate import repair
from translate.json import wire
from translate.tools.raw_controls import RawControls

LEAST = 12  # characters that a repetition has at the least, several of them different: a model may well say a short
# word twice, or draw a line
_LEAST_DIFFERENT = 4
CROWDED = 64  # pieces of a text that stand alone
MOST = 4 << 20  # bytes of a text that are remembered: a longer one is of a model that does not come to an end
_YOUNG = 3  # a text that has not grown by repeating itself after so many pieces will not begin to


class TextRepeats:
    """The text of one kind in a reply, over all of its parts. floor: pieces shorter than this need no look, and may
    simply be added to `said`; who does so calls gather() when there are more than `crowded`."""

    __slots__ = ("_count", "_gathered", "_grows", "_pending", "_size", "crowded", "floor", "said")

    telling = None  # finds what makes one look at a piece, however short it is

    def __init__(self) -> None:
        self.floor = 0
        self.crowded = CROWDED
        self.said: list[bytes] = []
        self._size = 0  # of said[0]
        self._gathered = 0  # bytes that were joined so far
        self._count = 0  # pieces so far, while there are few
        self._grows = False  # each piece holds all that came before
        self._pending = b""  # a piece of which only the next one tells what it is

    def __repr__(self) -> str:
        return f"<TextRepeats {len(self.said)} pieces{', growing' * self._grows}{', one held' * bool(self._pending)}>"

    def gather(self) -> None:
        """Joins the latest pieces: a short one takes ten times its bytes, as long as the reply lasts. The first stays
        as it is. A text without an end is forgotten: its repetitions are not found any more."""
        said = self.said
        start = max(1, self.crowded - CROWDED)
        latest = b"".join(said[start:])
        self._gathered += len(latest)
        if self._gathered > MOST and not self._pending:
            said[:] = [latest]
            self.crowded, self.floor, self._grows = CROWDED, sys.maxsize, False
            return
        said[start:] = [latest]
        self.crowded = len(said) + CROWDED

    def fresh(self, pieces: list[bytes]) -> list[bytes]:
        if max(map(len, pieces)) < self.floor:
            self.said += pieces
            if len(self.said) > self.crowded:
                self.gather()
            return pieces
        out: list[bytes] = []
        for at, piece in enumerate(pieces, 1):
            self._take(piece, out)
            if self._count == _YOUNG and self._is_calm():  # the rest of a burst needs no look
                rest = pieces[at:]
                if rest and max(map(len, rest)) < max(LEAST, self._size):
                    self._count += len(rest)
                    self.said += rest
                    out += rest
                    break
        self.floor = max(LEAST, self._size) if self._is_calm() else 0
        return out

    def _is_calm(self) -> bool:
        """Tells whether the text did not begin by repeating itself."""
        return self._count >= _YOUNG and not self._grows and not self._pending

    def rest(self) -> list[bytes]:
        """Returns the piece that was kept back, unless it was all of the text once more: another part begins, or the
        reply ends."""
        out: list[bytes] = []
        if len(self._pending) > self._whole():
            self._say(self._pending, out)
        self._pending = b""
        return out

    def size(self) -> int:
        """Returns how many bytes were said."""
        return sum(map(len, self.said))

    def whole(self) -> bytes:
        """Returns all that was said."""
        self._whole()
        return self.said[0] if self.said else b""

    def has(self, text: str) -> bool:
        """Tells whether this part, which seems new, only repeats all that was said before, piece by piece. What came
        whole may come twice: models say the same before each of two calls."""
        size = self._whole()
        if self._count < 2 or not LEAST <= size <= 6 * len(text):
            return False
        return wire.text_of(self.said) == text and _is_telling(self.said[0])

    def _take(self, piece: bytes, out: list[bytes]) -> None:
        if held := self._pending:
            self._pending = b""
            if len(piece) > len(held) and piece.startswith(held):
                self._grows = True
            else:
                self._say(held, out)
        size = self._whole() if len(piece) >= self._size else len(piece) + 1
        if 0 < size <= len(piece) and piece.startswith(self.said[0]):
            known = self._grows or _is_telling(self.said[0])
            if self._grows or (known and len(piece) > size):
                self._grows = True
                self._say(piece[size:], out)
                return
            if self._may_repeat(piece, size, known):
                self._pending = piece
                return
        self._say(piece, out)

    def _may_repeat(self, piece: bytes, size: int, is_telling: bool) -> bool:
        """Tells whether the piece is all of the text so far, or begins with it while it is short."""
        if len(piece) == size:
            return is_telling and self._count > 1
        return self._count == 1 and len(set(piece)) > 1

    def _say(self, piece: bytes, out: list[bytes]) -> None:
        if piece:
            self._count += 1
            self.said.append(piece)
            out.append(piece)

    def _whole(self) -> int:
        """Joins all that was said into one piece, and returns its size."""
        if len(self.said) > 1:
            self.said[:] = [b"".join(self.said)]
            self.crowded = CROWDED
        self._size = len(self.said[0]) if self.said else 0
        return self._size


def _is_telling(piece: bytes) -> bool:
    """Tells whether the piece is too long to come twice by chance."""
    text = wire.text_of([piece])
    return len(text) >= LEAST and len(set(text)) >= _LEAST_DIFFERENT


# One skips to the end of a string, the other to the next quote or brace outside of one.
_STRING = re.compile(r'[^"\\]*+(?>(?:\\.[^"\\]*+)*)', re.DOTALL)
_OUTSIDE = re.compile(r'[^"{}]*+')
_SPACE = re.compile(rb"(?>(?: |\\[nrt])*)")
_NONE = re.compile(rb"%b\{%b\}%b" % ((_SPACE.pattern,) * 3))


class ArgumentRepeats:
    """The arguments of a call. ended: they are a whole JSON object, and whatever comes now repeats them, or is no
    argument. wraps: they do not begin as an object: all of them are kept back, and what they become at the end is one
    (see repair.as_object). An empty object at the beginning is kept back, too: some servers say one before the
    arguments come. floor and telling: as in TextRepeats."""

    __slots__ = (
        "_controls", "_depth", "_empty", "_grows", "_left", "_odd", "_quoted", "_read", "_strange", "ended", "floor",
        "said", "wraps",
    )  # fmt: skip

    telling = re.compile(rb"[}\\]").search
    crowded = sys.maxsize  # the pieces are read on by their places, so that they stay alone

    def __init__(self) -> None:
        self.floor = 0
        self.ended = False
        self.wraps = False
        self.said: list[bytes] = []
        self._controls = RawControls()
        self._empty = b""  # the object that is kept back
        self._odd: list[bytes] = []  # all of those that do not begin as an object
        self._grows = False  # a piece held all that came before
        self._read = 0  # pieces
        self._left = ""  # a backslash at the end of what was read
        self._depth = 0
        self._quoted = False  # within a string
        self._strange = False  # it is no object, whatever comes

    def __repr__(self) -> str:
        return f"<ArgumentRepeats {len(self.said)} pieces{', ended' * self.ended}>"

    @property
    def begun(self) -> bool:
        """Tells whether anything came, even if all of it is kept back."""
        return bool(self.said) or self.ended or self.wraps

    def gather(self) -> None:
        """Nothing, as they are never crowded."""

    def fresh(self, pieces: list[bytes]) -> list[bytes]:
        out: list[bytes] = []
        for piece in pieces:
            if self.wraps and not self.ended:
                self._odd.append(piece)
                continue
            if not self.said and self._keeps_back(piece):
                continue
            if self.ended:
                break
            if piece := self._next(piece) if self.said else self._first(piece):
                self.said.append(piece)
                out.append(piece)
        is_calm = len(self.said) >= _YOUNG and not (self.ended or self._grows or self.wraps)
        self.floor = sys.maxsize if is_calm else 0
        return out

    def rest(self) -> list[bytes]:
        """Returns what was kept back, as an object: nothing more comes."""
        if self.wraps and not self.ended:
            self.ended = True
            self._empty, self._odd = wire.inside(repair.arguments(wire.text_of(self._odd))), []
        if not self._empty:
            return []
        self.said, self._empty = [self._empty], b""
        return list(self.said)

    def size(self) -> int:
        return sum(map(len, self.said or self._odd))

    def whole(self) -> bytes:
        return b"".join(self.said or self._odd)

    def is_repeated_by(self, piece: bytes) -> bool:
        """Tells whether these are all of the arguments, in one piece."""
        if not self.ended or not (piece.startswith(b"{") and piece.endswith(b"}")):
            return False
        try:
            return bool(wire.loads(wire.text_of([piece])) == wire.loads(wire.text_of(self.said or [self._empty])))
        except ValueError:
            return False

    def _keeps_back(self, piece: bytes) -> bool:
        """Tells whether the piece is an empty object, with which the arguments begin, or says nothing after one."""
        if _NONE.fullmatch(piece):
            self._empty, self.ended = b"{}", True
        elif self._empty and b"{" in piece:
            self._empty, self.ended = b"", False
        return bool(self._empty)

    def _first(self, piece: bytes) -> bytes:
        if space := _SPACE.match(piece):
            piece = piece[space.end() :]
        self.wraps = bool(piece) and piece[:1] != b"{"
        if self.wraps:
            self._odd.append(piece)
            return b""
        return self._next(piece)

    def _next(self, piece: bytes) -> bytes:
        if self.said and piece[:1] == b"{":
            piece = self._less_repeated(piece)
        if b"\\" in piece:
            piece = self._controls.escaped(self.said, piece)
        if b"}" in piece and not self._strange:
            piece = self._up_to_end(piece)
        return piece

    def _less_repeated(self, piece: bytes) -> bytes:
        """Returns the piece without what was said before: no object goes on with its own beginning."""
        size = 0
        whole = RawControls().escaped([], piece)
        for said in self.said:
            if not whole.startswith(said, size):
                return piece
            size += len(said)
        self._grows = True
        return whole[size:]

    def _up_to_end(self, piece: bytes) -> bytes:
        """Reads on to where the object ends, if it does. Returns `piece`, the next one, without what follows that."""
        text = self._left + wire.text_of([*self.said[self._read :], piece])
        self._read = len(self.said) + 1
        self._left = ""
        at = self._end_in(text)
        if at < 0:
            return piece
        if text[at:].strip():
            last = wire.text_of([piece])
            piece = wire.inside(last[: len(last) - (len(text) - at)])
        self.ended = wire.is_object([*self.said, piece])
        self._strange = not self.ended
        return piece

    def _end_in(self, text: str) -> int:
        at, end = 0, len(text)
        while at < end:
            if skipped := (_STRING if self._quoted else _OUTSIDE).match(text, at):  # both match "", too
                at = skipped.end()
            if at >= end:
                break
            letter = text[at]
            at += 1
            if letter == '"':
                self._quoted = not self._quoted
                continue
            if letter == "\\":  # what it escapes is in the next piece
                self._left = letter
                break
            self._depth += 1 if letter == "{" else -1
            if self._depth <= 0:
                return at
        return -1


def told(arguments: str) -> str:
    """Returns whole arguments as they are told when they come in pieces."""
    whole = ArgumentRepeats()
    whole.fresh([wire.inside(arguments)])
    whole.rest()
    return wire.text_of(whole.said)
