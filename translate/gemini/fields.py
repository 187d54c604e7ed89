"""Names of fields: Google takes each in camelCase and in snake_case, and so do we. One object is renamed at a time,
since what a client's own data calls things (a function's arguments, a schema's properties) is never touched."""

from __future__ import annotations

import re
from typing import Any

from translate.failures.errors import BadRequest
from translate.json.json_fields import is_number

Raw = dict[str, Any]

_SNAKE = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")


def camel(raw: Raw) -> Raw:
    """Returns the object with its fields in camelCase and without those that are null; the same one where they are so
    already."""
    if not any("_" in key or value is None for key, value in raw.items()):
        return raw
    return {_SNAKE.sub(_upper, key): value for key, value in raw.items() if value is not None}


def _upper(found: re.Match[str]) -> str:
    return found[1].upper()


def wrong(where: str, why: str) -> BadRequest:
    return BadRequest(f"Invalid value at '{where}': {why}", where)


def section(raw: Raw, key: str, where: str = "") -> Raw:
    """Returns the object in a field, {} where there is none. Raises BadRequest for anything else."""
    value = raw.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong(where + key, "an object is expected")
    return camel(value)


def items(raw: Raw, key: str, where: str = "") -> list[Any]:
    """Returns the list in a field. One object alone counts as a list of it, as Google's own SDKs have it."""
    value = raw.get(key)
    if value is None:
        return []
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise wrong(where + key, "a list is expected")
    return value


def text(raw: Raw, key: str, where: str = "") -> str:
    value = raw.get(key)
    if value is not None and not isinstance(value, str):
        raise wrong(where + key, "a string is expected")
    return value or ""


def word(raw: Raw, key: str, words: tuple[str, ...], where: str = "") -> str:
    """Returns a word of an enumeration, which JSON of Google's may have as its number. words: by their numbers."""
    value = raw.get(key)
    return words[value] if type(value) is int and 0 <= value < len(words) else text(raw, key, where)


def number(raw: Raw, key: str, where: str = "") -> float | None:
    """Returns a number, which JSON of Google's may have as a string."""
    value = raw.get(key)
    if isinstance(value, str):
        try:
            value = float(value) if not value.lstrip("-").isdigit() else int(value)
        except ValueError:
            raise wrong(where + key, "a number is expected") from None
    if value is not None and not is_number(value):
        raise wrong(where + key, "a number is expected")
    return value


def whole(raw: Raw, key: str, where: str = "") -> int | None:
    value = number(raw, key, where)
    return None if value is None else int(value)


def flag(raw: Raw, key: str) -> bool | None:
    value = raw.get(key)
    return value if isinstance(value, bool) else None
