"""Header lines of requests, most of which are the same again and again: each is read once.

A client says who it is, what it takes and what it sends in the same words with every request, and Tornado spends six
calls on each line: for the head of a usual request, a tenth of its whole cost. So what Tornado makes of a line is kept
here. Tornado still reads every new line, so that nothing passes that it would refuse. If a line may hold a key, only
its digest is kept, as a sign that the line is good.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from tornado.httputil import HTTPHeaders, _normalize_header

from gateway.http import header_names

Kept = TypeVar("Kept")
Value = TypeVar("Value")
Fact = TypeVar("Fact")

MAX_LINES = 512
LONGEST = 256  # characters

_known: dict[str, tuple[str, str]] = {}  # a line -> the header's name, as Tornado writes it, and its value
_good: dict[bytes, str] = {}  # the digest of a line -> the header's name


class Headers(HTTPHeaders):
    """Tornado's headers, with a quicker get(): a request is asked for twenty headers, most of which are not there, and
    Mapping's get() makes two calls and an exception for each. facts: what was made of these headers, by the function
    that made it (`fact`); for a head that comes again, it is already there (last_head.py). No fact may depend on
    Content-Length."""

    def __init__(self) -> None:
        self._as_list: dict[str, list[str]] = {}
        self._combined_cache: dict[str, str] = {}
        self.facts: dict[object, Any] = {}

    def get(self, name: str, default: Any = None) -> Any:
        name = _normalize_header(name)
        value = self._combined_cache.get(name)
        if value is None:
            return self[name] if name in self._as_list else default
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._as_list or (isinstance(name, str) and _normalize_header(name) in self._as_list)

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name, value)
        self.facts = {}

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self.facts = {}

    def add(self, name: str, value: str, *, _chars_are_bytes: bool = True) -> None:
        if name in self:  # the same headers share this list
            name = _normalize_header(name)
            self._as_list[name] = self._as_list[name].copy()
        super().add(name, value, _chars_are_bytes=_chars_are_bytes)
        self.facts = {}

    def again(self, length: str) -> Headers:
        """Returns the same headers for another request. length: its Content-Length, "" = none."""
        other = Headers()
        other._as_list, other._combined_cache = self._as_list.copy(), self._combined_cache.copy()
        if length:
            other._as_list["Content-Length"], other._combined_cache["Content-Length"] = [length], length
        other.facts = self.facts
        return other


def fact(headers: HTTPHeaders, make: Callable[[HTTPHeaders], Fact]) -> Fact:
    """Returns what `make` makes of the headers. It is made once for all requests with the same headers. make: a
    function that lives as long as the process."""
    facts = getattr(headers, "facts", None)
    if facts is None:
        return make(headers)
    found: Fact | None = facts.get(make)
    if found is None:
        found = facts[make] = make(headers)
    return found


def read(lines: list[str]) -> Headers:
    """Reads lines without their ends; empty ones are skipped. Raises HTTPInputError."""
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
