"""What is wrong with a client's request, in OpenAI's words, naming the field."""

from __future__ import annotations

from typing import Any

from translate.errors import BadRequest


def missing(field: str) -> BadRequest:
    return BadRequest(f"Missing required parameter: '{field}'.", field)


def wrong_type(field: str, expected: str, value: Any) -> BadRequest:
    got = "null" if value is None else type(value).__name__
    return BadRequest(f"Invalid type for '{field}': expected {expected}, but got {got} instead.", field)


def invalid(field: str, why: str) -> BadRequest:
    return BadRequest(f"Invalid '{field}': {why}.", field)
