"""The kinds of values that settings have: how each is read, what is allowed, and how it is shown.

A `Kind` turns text into a value or raises ValueError. A ValueError without a message means that the text is not what
`expects` says; one with a message says more. Nothing is guessed: "12abc" is not a port, and "1_000" is not a number.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable, Collection
from datetime import date
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from operate.logs.capture import spelled
from operate.settings.errors import unread

MASK = "********"

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
COMMENT = re.compile(r"\s[#;]")
"""Where a value seems to end with a comment. Only lines of their own are comments, since URLs and keys hold a #."""

PRINTABLE = re.compile(r"[\x21-\x7e]*")


def as_text(value: Any) -> str:
    """A value, written as in a settings file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(value).removesuffix(".0")
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


class Kind(Struct, frozen=True):
    """How one kind of value is read, checked and shown.

    expects: what is allowed; it ends the sentence "'12abc' is not ...". brief: the same for the comments of
    settings.ini, where it can be shorter. show: the value as --print-config shows it, secrets masked. private: no error
    may repeat the value. lines: the value may have several lines. from_file: the value may be `file:/path`, the content
    of that file. many: the value is a list, each entry of which may be `file:/path`. is_path: a relative path starts at
    the folder of the settings file.
    """

    expects: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str] = as_text
    private: bool = False
    lines: bool = False
    from_file: bool = False
    many: bool = False
    is_path: bool = False
    brief: str = ""


def whole(low: int, high: int) -> Kind:
    """An int from `low` to `high`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 19 and low <= int(text) <= high):
            raise ValueError
        return int(text)

    return Kind(f"a whole number from {low} to {high}", parse, brief=f"{low} to {high}")


def processes(high: int) -> Kind:
    """An int from 1 to `high`. "auto" is the number of CPUs that this process may use, but at most `high`."""
    number = whole(1, high)

    def parse(text: str) -> int:
        return min(high, _cpus()) if text.lower() == "auto" else int(number.parse(text))

    return Kind(f"auto or a whole number from 1 to {high}", parse, brief=f"auto or 1 to {high}")


def _cpus() -> int:
    """How many CPUs this process may use, where the system tells (Linux); else how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def seconds(low: float, high: float, optional: bool = False) -> Kind:
    """A float from `low` to `high`. With `optional`, an empty value is None."""

    def parse(text: str) -> float | None:
        if optional and not text:
            return None
        if not (_NUMBER.fullmatch(text) and low <= float(text) <= high):
            raise ValueError
        return float(text)

    expects = f"seconds from {_plain(low)} to {_plain(high)}, such as 30 or 1.5" + ", or empty" * optional
    return Kind(expects, parse, brief=f"seconds, {_plain(low)} to {_plain(high)}")


def number(low: float, high: float) -> Kind:
    """A float from `low` to `high`, without a unit."""
    bounds = f"{_plain(low)} to {_plain(high)}"
    return replace(seconds(low, high), expects=f"a number from {bounds}", brief=bounds)


def _plain(number: float) -> str:
    """A bound as people write it: neither 1000000.0 nor 1e+06."""
    return f"{number:.10g}"


def switch() -> Kind:
    """A bool."""
    words = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)

    def parse(text: str) -> bool:
        if text.lower() not in words:
            raise ValueError
        return words[text.lower()]

    return Kind("true or false (or yes/no, on/off, 1/0)", parse, brief="true or false")


def bodies() -> Kind:
    """Which bodies are logged, as a str that operate/logs/capture.py understands."""
    return Kind("none, errors, 'sampled N%', or all (or true/false)", spelled, brief="none, errors, sampled 1%, all")


def day() -> Kind:
    """A datetime.date, or None for an empty text."""

    def parse(text: str) -> date | None:
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            raise ValueError from None  # its words are Python's

    return Kind("a day as YYYY-MM-DD, or empty", parse)


def choice(*words: str, empty: bool = False) -> Kind:
    """One of `words`, in lower case; upper case is accepted. With `empty`, "" is allowed too."""

    def parse(text: str) -> str:
        if text.lower() in words or (empty and not text):
            return text.lower()
        raise ValueError

    names = ", ".join(words) + ", or empty" * empty
    return Kind(f"one of {names}", parse, brief=names)


def several(words: Callable[[], Collection[str]]) -> Kind:
    """A tuple of one or more of the words that `words()` returns, each once, in the order that the file gives."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(part.strip().lower() for part in text.split(","))
        if len(set(found)) < len(found) or not set(found) <= set(words()):
            raise ValueError
        return found

    return Kind(f"one or several of {', '.join(words())}, separated by commas", parse)


def word(expects: str, empty: bool = True) -> Kind:
    """A str without blanks. With `empty`, "" is allowed too."""

    def parse(text: str) -> str:
        if len(text.split()) > 1 or not (text or empty):
            raise ValueError
        return text

    return Kind(expects + (", or empty" * empty), parse)


def account() -> Kind:
    """str: the name of a user of this machine, or ""."""

    def parse(text: str) -> str:
        if text:
            try:
                pwd.getpwnam(text)
            except KeyError:
                raise ValueError(f"{text}: this machine has no such user") from None
        return text

    return Kind("the name of a user, or empty", parse)


def without_comment(path: str) -> str:
    """Returns the path. Raises ValueError for one that ends with a comment, so far as nothing is there."""
    if COMMENT.search(path) and not os.path.exists(path):
        raise ValueError(f"there is no {path}")  # the reading adds what is said of comments
    return path


def path() -> Kind:
    """A str: the path of a file, which need not be there, or ""."""
    return Kind("a path, or empty", without_comment, is_path=True)


def folder() -> Kind:
    """A str: the path of a folder, which need not be there."""

    def parse(text: str) -> str:
        if not text:
            raise ValueError
        return without_comment(text)

    return Kind("a folder", parse)


def readable() -> Kind:
    """A str: the absolute path of a file that can be read, or ""."""

    def parse(text: str) -> str:
        if not text:
            return ""
        try:
            with open(text, "rb") as file:
                file.read(1)
        except OSError as error:
            raise ValueError(f"cannot read {text}: {unread(error)}") from error
        return os.path.abspath(text)

    return Kind("a file that can be read, or empty", parse, is_path=True)


def mode() -> Kind:
    """An int: the rights of a file, written in octal digits."""

    def parse(text: str) -> int:
        if not (len(text) in (3, 4) and set(text) <= set("01234567")):
            raise ValueError
        return int(text, 8)

    return Kind("three octal digits such as 660", parse, lambda value: f"{value:o}")


def line(expects: str) -> Kind:
    """A str of one line that is not empty."""

    def parse(text: str) -> str:
        if not text:
            raise ValueError
        return text

    return Kind(expects, parse)
