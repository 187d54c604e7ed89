"""Which regular expressions a target takes: JSON Schema means ECMA-262, servers read what their own libraries read.

`features` reads a pattern from left to right, once, and says what it makes use of; None for what is no expression in
Python's dialect, which OpenAI's check is made with (`\\p{L}`, `\\u{1f600}`, `(?<name>`, `[^]`). It compiles nothing:
compiling takes long where the pattern's author wants it to. It would rather refuse than let pass.
"""

from __future__ import annotations

import re
from functools import lru_cache

from translate import late

MAX_PATTERN = 2_000  # characters; nobody writes a longer one
MAX_REPEATS = 1_000  # in one quantifier, where a server unfolds it

_FLAGS = late.pattern(r"\(\?[aimsux]+\)")  # Python takes them only at the very start
_GROUP = late.pattern(r"\(\?(?:P<(?P<name>[A-Za-z_][A-Za-z0-9_]*)>|(?P<ahead>[=!])|(?P<behind><[=!])|:)")
_QUANTIFIER = late.pattern(r"(?:[*+?]|\{(?P<least>\d{1,9})?(?P<comma>,)?(?P<most>\d{1,9})?\})(?P<mode>[?+])?")
_CODE = late.pattern(r"x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}")
_PLAIN_ESCAPES = frozenset('^$.[](){}|*+?\\"tnr')  # which a grammar knows, too
_PLAIN_IN_CLASS = frozenset("\\[]tnr")
_CONTROLS = frozenset("tnrfva")

PYTHON = frozenset({
    "class escape", "boundary", "reference", "lookahead", "lookbehind", "name", "flags", "lazy", "anchor", "open start",
    "open end", "odd escape", "odd escape in class", "repeats", "group", "set operator",
})  # fmt: skip
"""Everything that `features` knows."""
SIMPLE = frozenset({
    "class escape", "lazy", "anchor", "open start", "open end", "odd escape", "odd escape in class", "group",
})  # fmt: skip
"""What every engine without backtracking takes."""
GRAMMAR = frozenset({"group"})
"""What becomes rules of a grammar: the whole text is described, from ^ to $."""


@lru_cache(maxsize=1_024)
def is_taken(pattern: str, dialect: frozenset[str]) -> bool:
    used = features(pattern)
    return used is not None and used <= dialect


def features(pattern: str) -> frozenset[str] | None:
    """Returns what the pattern makes use of; None where it is not certain to be one."""
    if len(pattern) > MAX_PATTERN:
        return None
    try:
        return frozenset(_Reading(pattern).used)
    except _No:
        return None


class _No(Exception):
    """No expression of Python's."""


class _Reading:
    """One pass over a pattern. `groups` holds for each open group whether it looks behind."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.used: set[str] = set()
        self.names: set[str] = set()
        self.groups: list[bool] = []
        self.closed: set[int] = set()  # numbers of groups that may be referred to
        self.numbers: list[int] = []  # of the open groups, 0 for those without
        self.count = 0
        self.may_repeat = False
        self._read()

    def __repr__(self) -> str:
        return f"<_Reading {self.pattern[:40]!r} {sorted(self.used)}>"

    def _read(self) -> None:
        pattern, at = self.pattern, 0
        if flags := _FLAGS.match(pattern):
            self.used.add("flags")
            at = flags.end()
        if not pattern.startswith("^"):
            self.used.add("open start")
        if not pattern.endswith("$") or (len(pattern) - len(pattern[:-1].rstrip("\\")) - 1) % 2:
            self.used.add("open end")
        while at < len(pattern):
            at = self._step(pattern[at], at)
        if self.groups:
            raise _No

    def _step(self, char: str, at: int) -> int:
        if char == "\\":
            return self._escape(at + 1)
        if char == "[":
            return self._class(at + 1)
        if char == "(":
            return self._open(at)
        if char == ")":
            return self._close(at)
        if char in "*+?" or (char == "{" and _QUANTIFIER.match(self.pattern, at)):
            return self._repeat(at)
        if char == "{":  # some engines refuse it
            self.used.add("odd escape")
        if char in "^$" and at not in (0, len(self.pattern) - 1):
            self.used.add("anchor")
        if char == "|" and any(self.groups):
            raise _No  # another length may follow
        self.may_repeat = char not in "^$|"
        return at + 1

    def _escape(self, at: int) -> int:
        char = self.pattern[at : at + 1]
        self.may_repeat = True
        if code := _CODE.match(self.pattern, at):
            return code.end()
        if char in "dDwWsS" and char:
            self.used.add("class escape")
        elif char in "bBAZ" and char:
            self.used.add("boundary")
            self.may_repeat = False
        elif char in "123456789" and char:
            digits = re.compile(r"\d+").match(self.pattern, at)
            assert digits is not None
            if int(digits[0][:4]) not in self.closed or any(self.groups) or len(digits[0]) > 2:
                raise _No
            self.used.add("reference")
            return digits.end()
        elif not char or (char.isalnum() and char not in _CONTROLS) or not char.isascii():
            raise _No
        elif char not in _PLAIN_ESCAPES:
            self.used.add("odd escape")
        return at + 1

    def _class(self, at: int) -> int:
        """Returns a set of characters, to its closing bracket."""
        pattern = self.pattern
        at += pattern.startswith("^", at)
        first, low = at, ""  # low: what a range may begin with
        while True:
            char = pattern[at : at + 1]
            if not char:
                raise _No
            if char == "]" and at > first:
                break
            if char == "]" or char == "[" or (char in "&~|-" and pattern[at + 1 : at + 2] == char):
                self.used.add("set operator")
            if char == "-" and low and pattern[at + 1 : at + 2] not in ("]", ""):
                high, at = self._member(at + 1)
                if not high or ord(high) < ord(low):
                    raise _No
                low = ""
                continue
            low, at = self._member(at)
        self.may_repeat = True
        return at + 1

    def _member(self, at: int) -> tuple[str, int]:
        """One character of a set, "" where it stands for several; and where it ends."""
        pattern, char = self.pattern, self.pattern[at : at + 1]
        if char != "\\":
            return char, at + 1
        if code := _CODE.match(pattern, at + 1):
            return chr(int(code[0][1:], 16)), code.end()
        char = pattern[at + 1 : at + 2]
        if char in "dDwWsS" and char:
            self.used.add("class escape")
            if pattern[at + 2 : at + 3] == "-" and pattern[at + 3 : at + 4] != "]":
                raise _No
            return "", at + 2
        if not char or (char.isalnum() and char not in (*_CONTROLS, "b")) or not char.isascii():
            raise _No
        if char not in _PLAIN_IN_CLASS:
            self.used.add("odd escape in class")
        return {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a", "b": "\b"}.get(char, char), at + 2

    def _open(self, at: int) -> int:
        behind, number = False, 0
        end = at + 1
        if self.pattern.startswith("(?", at):
            group = _GROUP.match(self.pattern, at)
            if group is None:
                raise _No
            end = group.end()
            if group["name"]:
                if group["name"] in self.names:
                    raise _No
                self.names.add(group["name"])
                self.used.add("name")
            behind = bool(group["behind"])
            if group["ahead"] or behind:
                self.used.add("lookbehind" if behind else "lookahead")
            if not group["name"]:
                number = -1
        self.used.add("group")
        if number == 0:
            self.count += 1
            number = self.count
        if self.count > 90:
            raise _No
        self.groups.append(behind)
        self.numbers.append(number)
        self.may_repeat = False
        return end

    def _close(self, at: int) -> int:
        if not self.groups:
            raise _No
        behind = self.groups.pop()
        self.closed.add(self.numbers.pop())
        self.may_repeat = not behind
        return at + 1

    def _repeat(self, at: int) -> int:
        found = _QUANTIFIER.match(self.pattern, at)
        assert found is not None
        least, most = found["least"], found["most"]
        if self.pattern[at] == "{" and least is None and most is None:
            if found["comma"] is None:  # {}: two braces
                self.used.add("odd escape")
                self.may_repeat = True
                return at + 2
            self.used.add("odd escape")  # {,}: any number for one engine, three characters for the next
        if self.pattern[at] == "{" and least is None:
            self.used.add("odd escape")
        if not self.may_repeat or found["mode"] == "+" or any(self.groups):
            raise _No  # nothing to repeat; possessive: not before Python 3.11; a look behind has one length
        if least is not None and most is not None and int(least) > int(most):
            raise _No
        if max(int(least or 0), int(most or 0)) > MAX_REPEATS:
            self.used.add("repeats")
        if found["mode"] == "?":
            self.used.add("lazy")
        self.may_repeat = False
        return found.end()
