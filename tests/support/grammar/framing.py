"""Framing of a server-sent event stream, to the letter, and two small questions both grammars ask.

Stricter than the standard: the standard lets clients read almost anything, but a server of this house sends
UTF-8, line feeds, one event line at most, one data line, a blank line after each event.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def events(raw: bytes, problems: list[str]) -> Iterator[tuple[str | None, str]]:
    """(event name or None, data) of each event; framing to the letter: UTF-8, "\\n", one data line."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        problems.append(f"framing: not UTF-8: {error}")
        return
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
            key, colon, value = line.partition(": ")
            if not colon or key not in ("event", "data"):
                problems.append(f"framing: not a field of an event: {line[:60]!r}")
            elif key == "event":
                if data:
                    problems.append("framing: an event line after a data line")
                names.append(value)
            else:
                data.append(value)
        if len(names) > 1 or len(data) > 1:
            problems.append(f"framing: {len(names)} event lines and {len(data)} data lines in one event")
        if data:
            yield (names[0] if names else None), "\n".join(data)
        elif names:
            problems.append(f"framing: event {names[0]!r} without data")


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def as_object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
