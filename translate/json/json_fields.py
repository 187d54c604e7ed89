"""Reading a field that may be anything: missing, null, or of another type than its protocol says."""

from __future__ import annotations

import re
from typing import Any, TypeGuard

from translate.json import wire

Body = dict[str, Any]
"""A JSON object, decoded."""

_INFINITY = float("inf")
_ABSURD = 1e15  # no count of tokens comes near it
_COUNT = re.compile(r"[0-9]{1,15}")


def thought(raw: dict[str, Any]) -> str:
    """Returns the text of a thinking part, whose `thinking` is a string or a list of texts."""
    texts = (text_of(part, "text") for part in list_of(raw, "thinking") if isinstance(part, dict))
    return text_of(raw, "thinking") or "".join(texts)


def arguments_in(function: dict[str, Any]) -> str:
    """Returns arguments as JSON text: servers send text, an object, or null."""
    return json_in(function, "arguments")


def json_in(raw: dict[str, Any], key: str) -> str:
    """Returns the JSON text in a field, which may stand there as a value of its own."""
    value = raw.get(key)
    if value is None:
        return ""
    return value if isinstance(value, str) else wire.dumps_text(value)


def is_index(value: Any) -> bool:
    return type(value) is int and value >= 0


def index_of(value: Any) -> int | None:
    """Returns an index, which some servers write as 1.0 or "1". Returns None for what is none."""
    if isinstance(value, str):
        value = int(value) if value.isdecimal() and len(value) < 9 else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    return value if is_index(value) else None


def is_number(value: Any) -> TypeGuard[float]:
    """Tells whether the value is a finite number. JSON has no NaN and no infinity, but JSON readers let them through
    (1e999)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_INFINITY < value < _INFINITY


def list_of(raw: dict[str, Any], key: str) -> list[Any]:
    value = raw.get(key)
    return value if isinstance(value, list) else []


def text_of(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else ""


def object_of(raw: dict[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, dict) else {}


def flag_of(raw: dict[str, Any], key: str) -> bool | None:
    value = raw.get(key)
    return value if isinstance(value, bool) else None


def count_of(raw: Any, key: str) -> int:
    """Returns a counter, 0 where `raw` has none."""
    value = raw.get(key) if isinstance(raw, dict) else None
    return count(value) if value else 0  # most counters are not there


def count(value: Any) -> int:
    """Returns a counter's value; 0 for what is no number, and for infinity, which some JSON writers write. A number may
    be written as a text, as Google's libraries write those of 64 bits."""
    if type(value) is int and 0 <= value < _ABSURD:
        return value
    if isinstance(value, str):
        return int(value) if _COUNT.fullmatch(value) else 0
    if value is True or not isinstance(value, (int, float)):
        return 0
    return max(0, int(value)) if -_ABSURD < value < _ABSURD else 0


def objects_of(raw: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Returns the objects in a list, and skips everything else in it. A lone object is a list of one."""
    value = raw.get(key)
    if isinstance(value, dict):
        return [value]
    return [each for each in value if isinstance(each, dict)] if value and isinstance(value, list) else []
