"""Adds the facts of a log line as fields, so that a program need not read them from its message.

`log.warning("...", extra=fields(request_id=key, upstream=name))` adds them to the line in proxy.json, after its
message.
"""

from __future__ import annotations

import logging
from typing import Any

_NAME = "fields"
SHOWN = {"shown": True}
"""For `extra`: says that the message is on the terminal already."""
_OWN = frozenset({"time", "level", "logger", "message"})


def fields(**facts: object) -> dict[str, Any]:
    """The fields, for `extra` of a logger's method. Values are those of JSON (text, numbers, lists); None is left
    out."""
    assert not facts.keys() & _OWN, facts
    return {_NAME: {name: value for name, value in facts.items() if value is not None}}


def is_shown(record: logging.LogRecord) -> bool:
    return "shown" in record.__dict__


def of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a record."""
    found: dict[str, Any] = record.__dict__.get(_NAME, {})
    return found
