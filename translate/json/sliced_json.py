"""Reads and writes JSON of megabytes in slices, for a thread beside one that others wait for.

A single call of a JSON library holds all threads of Python until it is over: for 44 MB, a third of a second. Here the
outer levels are walked in Python, and each message, or each part of a few of them, is a call of its own, so that others
get their turn in between. This takes twice the time, or four times with parts, so it is only for large bodies. What is
written has the same bytes as from wire.dumps. What is read equals what wire.loads gives; if it is not plain JSON,
wire.loads decides what it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

from translate.json import wire

MESSAGES = 2  # levels above a message: a request and its list of them
PARTS = 5  # above what is in a part
_MANY = 50  # messages: of fewer, each may be megabytes

_BLANKS = re.compile(r"[ \t\n\r]*")
_SLICED = 64  # values of a list: fewer are written in one call each way


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


_decoder = json.JSONDecoder(strict=False, parse_constant=_no_number)
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once  # type: ignore[attr-defined]  # raw_decode calls it


def loads(body: bytes) -> Any:
    """Raises ValueError."""
    try:
        text = body.decode()
        levels = MESSAGES if body.count(b'"role"') >= _MANY else PARTS
        value, end = _value(text, _blanks(text, 0), levels)
        if _blanks(text, end) == len(text):
            return value
    except (ValueError, IndexError, RecursionError):
        return wire.loads(body)
    return wire.loads(body)


def dumps(value: dict[str, Any]) -> bytes:
    """Raises TypeError or ValueError, as wire.dumps does."""
    pieces: list[bytes] = []  # joined once: each copy of megabytes is a call that nobody interrupts
    for key, item in value.items():
        pieces += [b"," if pieces else b"{", wire.dumps(key), b":"]
        if isinstance(item, list) and len(item) >= _SLICED:
            for number, each in enumerate(item):
                pieces += [b"," if number else b"[", wire.dumps(each)]
            pieces.append(b"]")
        else:
            pieces.append(wire.dumps(item))
    pieces.append(b"}" if pieces else b"{}")
    return b"".join(pieces)


def _blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found is not None else at


def _value(text: str, at: int, levels: int) -> tuple[Any, int]:
    """(value, where it ends). Raises ValueError, IndexError."""
    first = text[at]
    if levels and first == "{":
        return _object(text, at + 1, levels - 1)
    if levels and first == "[":
        return _array(text, at + 1, levels - 1)
    try:
        return _scan(text, at)
    except StopIteration:
        raise ValueError("no value") from None


def _object(text: str, at: int, levels: int) -> tuple[dict[str, Any], int]:
    made: dict[str, Any] = {}
    at = _blanks(text, at)
    if text[at] == "}":
        return made, at + 1
    while True:
        if text[at] != '"':
            raise ValueError("no key")
        key, at = _value(text, at, 0)
        at = _after(text, at, ":")
        made[key], at = _value(text, at, levels)
        at = _blanks(text, at)
        if text[at] == "}":
            return made, at + 1
        at = _after(text, at, ",")


def _array(text: str, at: int, levels: int) -> tuple[list[Any], int]:
    made: list[Any] = []
    at = _blanks(text, at)
    if text[at] == "]":
        return made, at + 1
    while True:
        item, at = _value(text, at, levels)
        made.append(item)
        at = _blanks(text, at)
        if text[at] == "]":
            return made, at + 1
        at = _after(text, at, ",")


def _after(text: str, at: int, mark: str) -> int:
    at = _blanks(text, at)
    if text[at] != mark:
        raise ValueError(f"no {mark}")
    return _blanks(text, at + 1)
