"""Header lines of requests, most of which are the same again and again: each is read once.

A client says who it is, what it takes and what it sends in the same words with every request, and Tornado spends six
calls on each line: on the head of a usual request a tenth of all that it costs. What Tornado makes of a line is kept
here. It reads all that is new, so that nothing passes that it would refuse. Lines that may hold a key are not kept.
"""

from __future__ import annotations

from typing import Any

from tornado.httputil import HTTPHeaders, _normalize_header

from gateway.http import header_names

MAX_LINES = 512
LONGEST = 256  # characters

_known: dict[str, tuple[str, str]] = {}  # a line -> the header's name, as Tornado writes it, and its value


class Headers(HTTPHeaders):
    """Tornado's, but that a request is asked for twenty headers, most of which are not there: Mapping's get() makes two
    calls and an exception of that."""

    def get(self, name: str, default: Any = None) -> Any:
        name = _normalize_header(name)
        value = self._combined_cache.get(name)
        if value is None:
            return self[name] if name in self._as_list else default
        return value


def read(lines: list[str]) -> Headers:
    """lines: without their ends; empty ones say nothing. Raises HTTPInputError."""
    headers = Headers()
    values, combined = headers._as_list, headers._combined_cache
    for line in lines:
        if not line:
            continue
        name, value = _known.get(line) or _read(line)
        if name in values:
            values[name].append(value)
            combined.pop(name, None)
        else:
            values[name] = [value]
            combined[name] = value
    return headers


def _read(line: str) -> tuple[str, str]:
    ((name, value),) = HTTPHeaders.parse(line).get_all()
    if len(line) <= LONGEST and not header_names.may_hold_a_key(name.lower()):
        if len(_known) >= MAX_LINES:
            _known.clear()
        _known[line] = name, value
    return name, value
