"""Refuses what is wrong with a request of OpenAI's protocols, in OpenAI's words, naming the field."""

from __future__ import annotations

from typing import Any

from translate.failures.errors import BadRequest
from translate.json.json_fields import is_number


def missing(field: str) -> BadRequest:
    return BadRequest(f"Missing required parameter: '{field}'.", field)


def wrong_type(field: str, expected: str, value: Any) -> BadRequest:
    got = "null" if value is None else type(value).__name__
    return BadRequest(f"Invalid type for '{field}': expected {expected}, but got {got} instead.", field)


def invalid(field: str, why: str) -> BadRequest:
    return BadRequest(f"Invalid '{field}': {why}.", field)


def number_of(raw: dict[str, Any], key: str) -> float | None:
    """Returns the number in a field, None where there is none. Raises BadRequest for anything else."""
    value = raw.get(key)
    if value is None or is_number(value):
        return value
    raise wrong_type(key, "a number", value)


def limit_of(raw: dict[str, Any], key: str) -> int | None:
    """Returns a limit of tokens, at least 1, None where there is none. Raises BadRequest for anything else."""
    value = raw.get(key)
    if value is None:
        return None
    if not is_number(value):
        raise wrong_type(key, "an integer", value)
    if value < 1:
        raise invalid(key, f"integer below minimum value. Expected a value >= 1, but got {value}")
    return int(value)
