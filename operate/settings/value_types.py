"""The kinds of values that settings have: how each is read, what it must be, how it is shown.

A `Kind` turns text into a value or raises ValueError. An empty ValueError means "not what `expects` says";
one with words says more. Nothing is guessed: "12abc" is no port, "1_000" no number. `show` is for
--print-config and hides what is secret; an error about a `private` kind never repeats the value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from operate.logs.capture import spelled

MASK = "********"

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
PRINTABLE = re.compile(r"[\x21-\x7e]*")


def as_text(value: Any) -> str:
    """A value as a settings file spells it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(value).removesuffix(".0")
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Kind:
    """expects: ends the sentence "... is not"; brief: the same for the shipped file, where it can be shorter.
    private: neither the value nor a part of it may be printed. lines: the value may go over several lines.
    from_file: `file:/path` stands for what that file holds; many: each entry of the list may be one. is_path: what is
    relative counts from the settings file's folder."""

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
    """int within [low, high]."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 19 and low <= int(text) <= high):
            raise ValueError
        return int(text)

    return Kind(f"a whole number from {low} to {high}", parse, brief=f"{low} to {high}")


def processes(high: int) -> Kind:
    """int: 1 to `high`, or as many as this process may use CPUs for "auto", but no more than `high`."""
    number = whole(1, high)

    def parse(text: str) -> int:
        return min(high, len(os.sched_getaffinity(0))) if text.lower() == "auto" else int(number.parse(text))

    return Kind(f"auto or a whole number from 1 to {high}", parse, brief=f"auto or 1 to {high}")


def seconds(low: float, high: float, optional: bool = False) -> Kind:
    """float within [low, high]; with `optional`, None for an empty value."""

    def parse(text: str) -> float | None:
        if optional and not text:
            return None
        if not (_NUMBER.fullmatch(text) and low <= float(text) <= high):
            raise ValueError
        return float(text)

    expects = f"seconds from {low:g} to {high:g}, such as 30 or 1.5" + ", or empty" * optional
    return Kind(expects, parse, brief=f"seconds, {low:g} to {high:g}")


def number(low: float, high: float) -> Kind:
    """float within [low, high]."""
    return replace(seconds(low, high), expects=f"a number from {low:g} to {high:g}", brief=f"{low:g} to {high:g}")


def switch() -> Kind:
    """bool."""
    words = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)

    def parse(text: str) -> bool:
        if text.lower() not in words:
            raise ValueError
        return words[text.lower()]

    return Kind("true or false (or yes/no, on/off, 1/0)", parse, brief="true or false")


def bodies() -> Kind:
    """str: which bodies are logged, as capture.py spells it."""
    return Kind("none, errors, 'sampled N%', or all (or true/false)", spelled, brief="none, errors, sampled 1%, all")


def choice(*words: str, empty: bool = False) -> Kind:
    """One of `words`, any case, given back as written here; with `empty`, "" too."""

    def parse(text: str) -> str:
        if text.lower() in words or (empty and not text):
            return text.lower()
        raise ValueError

    names = ", ".join(words) + ", or empty" * empty
    return Kind(f"one of {names}", parse, brief=names)


def several(words: Callable[[], Collection[str]]) -> Kind:
    """tuple[str, ...]: one or more of the words that there are at that moment, each once, in the order given."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(part.strip().lower() for part in text.split(","))
        if len(set(found)) < len(found) or not set(found) <= set(words()):
            raise ValueError
        return found

    return Kind(f"one or several of {', '.join(words())}, with commas between", parse)


def word(expects: str, empty: bool = True) -> Kind:
    """str without blanks; with `empty`, "" too."""

    def parse(text: str) -> str:
        if len(text.split()) > 1 or not (text or empty):
            raise ValueError
        return text

    return Kind(expects + (", or empty" * empty), parse)


def line(expects: str) -> Kind:
    """str, not empty, on one line."""

    def parse(text: str) -> str:
        if not text:
            raise ValueError
        return text

    return Kind(expects, parse)
