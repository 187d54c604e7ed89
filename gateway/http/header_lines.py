"""Header lines of requests, most of which are the same again and again: each is read once.

A client says who it is, what it takes and what it sends in the same words with every request, and Tornado spends six
calls on each line: on the head of a usual request a tenth of all that it costs. What Tornado makes of a line is kept
here. It reads all that is new, so that nothing passes that it would refuse. Of lines that may hold a key only a digest
is kept: it tells that the line is good.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

from tornado.httputil import HTTPHeaders, _normalize_header

from gateway.http import header_names

Kept = TypeVar("Kept")
Value = TypeVar("Value")

MAX_LINES = 512
LONGEST = 256  # characters

_known: dict[str, tuple[str, str]] = {}  # a line -> the header's name, as Tornado writes it, and its value
_good: dict[bytes, str] = {}  # the digest of a line -> the header's name


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
    digest = hashlib.sha256(line.encode("latin-1")).digest()
    if (known := _good.get(digest)) is not None:
        return known, line.partition(":")[2].strip(" \t")
    ((name, value),) = HTTPHeaders.parse(line).get_all()
    if header_names.may_hold_a_key(name.lower()):
        _keep(_good, digest, name)
    elif len(line) <= LONGEST:
        _keep(_known, line, (name, value))
    return name, value


def _keep(kept: dict[Kept, Value], line: Kept, what: Value) -> None:
    if len(kept) >= MAX_LINES:
        kept.clear()
    kept[line] = what
