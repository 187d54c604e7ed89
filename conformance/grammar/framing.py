"""Framing of a server-sent event stream, to the letter, and small questions that several grammars ask.

Stricter than the standard: the standard lets clients read almost anything, but a server of this house sends
UTF-8, line feeds, one event line at most, one data line, a blank line after each event. With house=False it is the
standard that holds: other line ends, no space after the colon, data of several lines, `id` and `retry`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

FIELDS = ("event", "data", "id", "retry")


def events(raw: bytes, problems: list[str], house: bool = True) -> Iterator[tuple[str | None, str]]:
    """(event name or None, data) of each event; what is wrong with the framing is added to `problems`."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        problems.append(f"framing: not UTF-8: {error}")
        return
    if not house:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\r" in text:
        problems.append("framing: a carriage return")
    if text and not text.endswith("\n\n"):
        problems.append("framing: no blank line at the end")
    for block in text.split("\n\n"):
        if not block:
            continue
        names: list[str] = []
        data: list[str] = []
        for line in block.split("\n"):
            if line.startswith(":"):
                continue
            key, colon, value = _field(line, house)
            if not colon or key not in (FIELDS[:2] if house else FIELDS):
                problems.append(f"framing: not a field of an event: {line[:60]!r}")
            elif key in FIELDS[2:]:
                continue
            elif key == "event":
                if data and house:
                    problems.append("framing: an event line after a data line")
                names.append(value)
            else:
                data.append(value)
        if len(names) > 1 or (len(data) > 1 and house):
            problems.append(f"framing: {len(names)} event lines and {len(data)} data lines in one event")
        if data:
            yield (names[0] if names else None), "\n".join(data)
        elif names:
            problems.append(f"framing: event {names[0]!r} without data")


def _field(line: str, house: bool) -> tuple[str, str, str]:
    key, colon, value = line.partition(": " if house else ":")
    return key, colon, value if house else value.removeprefix(" ")


def typed(name: str | None, data: str, problems: list[str]) -> dict[str, Any] | None:
    """An event of a protocol whose events have a type, which is their name too; None: it is none."""
    try:
        body = json.loads(data)
    except ValueError:
        problems.append(f"data: not JSON: {data[:60]!r}")
        return None
    if not isinstance(body, dict) or not isinstance(body.get("type"), str):
        problems.append(f"data: not an object with a type: {data[:60]!r}")
        return None
    if name != body["type"]:
        problems.append(f"framing: event {name!r} carries data of type {body['type']!r}")
    return body


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def as_object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
