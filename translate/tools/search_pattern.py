"""Reads a model's regular expression as patterns that take linear time.

Python's own engine goes back and forth: a pattern of a few characters may keep it busy for hours, and nobody has
checked a pattern that a model writes. A search for tools needs less: words, alternatives, classes of characters, and
anything between them. So the expression is written out as its alternatives, each a row of pieces of fixed length: a
text matches where the pieces of one alternative stand in it one after the other. A repeat is read as "once, then
anything", which finds a little more than it should, and never less.
"""

from __future__ import annotations

import re

from translate import late

MAX_CHARACTERS = 200  # Anthropic's own bound
MAX_SPELLINGS = 32

Row = tuple[str, ...]
"""Pieces that follow one another, with anything between them."""

_ATOM = late.pattern(
    r"\(\?[aiLmsux]+\)|\((?:\?:)?|\)|\||\[\^?\]?(?:\\.|[^\]\\])*\]|\\[bBdDsSwWAZ]|\\[^0-9a-zA-Z]|\\[nrtfv]|[^\\()\[\]|?*+]"
)
_COUNT = late.pattern(r"(?:[*+?]|\{\d*,?\d*\})[?+]?")
_FLAGS = late.pattern(r"\(\?[aiLmsux]+\)")
_GAP = "\0"


class BadPattern(ValueError):
    """It is no regular expression, or one that is not searched for here."""


class Pattern:
    """search(text): whether the expression may be found in it, in any case of letters."""

    __slots__ = ("_rows",)

    def __init__(self, source: str) -> None:
        """Raises BadPattern for what is no expression, or not searched for here."""
        if len(source) > MAX_CHARACTERS:
            raise BadPattern(f"the pattern has more than {MAX_CHARACTERS} characters")
        try:
            re.compile(source)
        except (re.error, OverflowError, RecursionError) as why:
            raise BadPattern(f"the pattern is not valid: {why}") from None
        self._rows = [_pieces(spelling) for spelling in _Speller(source).all()]

    def __repr__(self) -> str:
        return f"<Pattern of {len(self._rows)} alternatives>"

    def search(self, text: str) -> bool:
        return any(_follow(pieces, text) for pieces in self._rows)


def _follow(pieces: list[re.Pattern[str]], text: str) -> bool:
    at = 0
    for piece in pieces:
        found = piece.search(text, at)
        if found is None:
            return False
        at = found.end()
    return True


def _pieces(spelling: Row) -> list[re.Pattern[str]]:
    joined = "".join(spelling).split(_GAP)
    return [re.compile(piece, re.IGNORECASE | re.DOTALL) for piece in joined if piece]


class _Speller:
    """Reads the expression from left to right. A spelling is a row of atoms of one character each, and of gaps."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0

    def all(self) -> list[Row]:
        spellings = self._alternatives()
        if self._at < len(self._source):
            raise BadPattern("the pattern uses what is not searched for here")
        return spellings

    def _alternatives(self) -> list[Row]:
        found = self._row()
        while self._next("|"):
            found = _bounded(found + self._row())
        return found

    def _row(self) -> list[Row]:
        rows: list[Row] = [()]
        while self._at < len(self._source) and self._source[self._at] not in "|)":
            unit = self._counted(self._unit())
            rows = _bounded([row + more for row in rows for more in unit])
        return rows

    def _unit(self) -> list[Row]:
        found = _ATOM.match(self._source, self._at)
        if found is None or found[0] == _GAP:
            raise BadPattern("the pattern uses what is not searched for here: look-around, back-references")
        self._at = found.end()
        atom = found[0]
        if _FLAGS.fullmatch(atom):
            return [()]
        if atom in ("(", "(?:"):
            inner = self._alternatives()
            if not self._next(")"):
                raise BadPattern("the pattern uses what is not searched for here: look-around, named groups")
            return inner
        return [(rf"\{atom}" if atom in "{}" else atom,)]

    def _counted(self, unit: list[Row]) -> list[Row]:
        found = _COUNT.match(self._source, self._at)
        if found is None:
            return unit
        self._at = found.end()
        count = found[0]
        anything = unit == [(".",)]
        many: list[Row] = [(_GAP,)] if anything else [(*row, _GAP) for row in unit]
        if count[0] == "?":
            return _bounded([(), *unit])
        if count[0] == "+" or (count[0] == "{" and not re.match(r"\{0?,", count)):
            return many
        return many if anything else _bounded([(), *many])

    def _next(self, wanted: str) -> bool:
        if self._source[self._at : self._at + 1] != wanted:
            return False
        self._at += 1
        return True


def _bounded(rows: list[Row]) -> list[Row]:
    if len(rows) > MAX_SPELLINGS:
        raise BadPattern("the pattern has too many alternatives")
    return rows
