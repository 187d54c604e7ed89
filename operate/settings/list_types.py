"""The kinds of values that hold several: names, numbers, headers, pairs. Commas or lines separate them."""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import Any, NamedTuple

from operate.settings.value_types import MASK, Kind

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SECRET_HEADER = re.compile(r"(?i)auth|key|token|secret|cookie|password|credential")

HOP_HEADERS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)
"""Headers that belong to one connection or one body: libcurl sets them, a setting would break the framing."""


def split(text: str) -> list[str]:
    """The entries of a list, which commas or lines separate."""
    return list(filter(None, map(str.strip, text.replace("\n", ",").split(","))))


def statuses(low: int, high: int, further: tuple[int, ...]) -> Kind:
    """tuple[int, ...]: HTTP statuses within [low, high] or among `further`, each once."""
    known = {*range(low, high + 1), *further}

    def parse(text: str) -> tuple[int, ...]:
        found = split(text)
        if not all(part.isascii() and part.isdigit() and len(part) == 3 and int(part) in known for part in found):
            raise ValueError
        return tuple(dict.fromkeys(map(int, found)))

    also = "".join(f" or {status}," for status in further)
    return Kind(f"statuses from {low} to {high},{also} with commas between, or empty", parse)


def names(never: tuple[str, ...] = (), what: str = "names of fields") -> Kind:
    """tuple[str, ...]: words with commas between, each once; none of `never`."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(filter(None, map(str.strip, text.split(","))))
        if any(len(name.split()) > 1 for name in found):
            raise ValueError
        for name in found:
            if name in never:
                raise ValueError(f"{name} cannot be left out of a request")
        return tuple(dict.fromkeys(found))

    return Kind(f"{what} with commas between, or empty", parse)


def renames() -> Kind:
    """tuple[tuple[str, str], ...]: "a=b, c=d"."""

    def parse(text: str) -> tuple[tuple[str, str], ...]:
        pairs = []
        for part in filter(None, map(str.strip, text.split(","))):
            old, equals, new = (piece.strip() for piece in part.partition("="))
            if not equals or len(old.split()) != 1 or len(new.split()) != 1:
                raise ValueError
            pairs.append((old, new))
        return tuple(pairs)

    return Kind("FIELD=NEWNAME, several with commas between, or empty", parse, as_pairs)


def limits(high: int) -> Kind:
    """tuple[tuple[str, int], ...]: (glob of model names, limit), the longer globs first; a bare number is for all."""

    def parse(text: str) -> tuple[tuple[str, int], ...]:
        pairs = {}
        for part in filter(None, map(str.strip, text.split(","))):
            pattern, equals, number = (piece.strip() for piece in part.rpartition("="))
            pattern = pattern if equals else "*"
            if not (pattern and number.isascii() and number.isdigit() and len(number) < 19 and int(number) <= high):
                raise ValueError
            if pattern in pairs or len(pattern.split()) > 1:
                raise ValueError
            pairs[pattern] = int(number)
        if not pairs:
            raise ValueError
        return tuple(sorted(pairs.items(), key=lambda pair: -len(pair[0])))

    return Kind(f"a number up to {high}, or MODEL-GLOB=NUMBER, several with commas between", parse, as_limits)


def as_pairs(value: tuple[tuple[str, Any], ...]) -> str:
    return ", ".join(f"{name}={text}" for name, text in value)


def as_limits(value: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(str(number) if pattern == "*" else f"{pattern}={number}" for pattern, number in value)


class Header(NamedTuple):
    """public: its value may be shown; that of any other is a secret."""

    name: str
    value: str
    public: bool = False


_PUBLIC_HEADERS = frozenset(
    ("accept", "anthropic-beta", "anthropic-version", "content-type", "openai-beta", "user-agent")
)


def headers() -> Kind:
    """tuple[Header, ...]: the lines "Name: value" or "public Name: value", in order, names as written."""

    def parse(text: str) -> tuple[Header, ...]:
        found = []
        for each in filter(None, map(str.strip, text.split("\n"))):
            name, colon, value = (part.strip() for part in each.partition(":"))
            mark, blank, marked = name.partition(" ")
            if is_marked := bool(blank) and mark.lower() == "public":
                name = marked.strip()
            if not colon or not _HEADER_NAME.fullmatch(name):
                raise ValueError
            if name.lower() in HOP_HEADERS:
                raise ValueError(f"{name} belongs to the connection, not to the settings")
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"the value of {name} holds a character that no header has")
            is_public = not is_secret_header(name) and (is_marked or name.lower() in _PUBLIC_HEADERS)
            found.append(Header(name, value, is_public))
        return tuple(found)

    def show(value: tuple[Header, ...]) -> str:
        return "; ".join(f"{header.name}: {header.value if header.public else MASK}" for header in value)

    return Kind("lines of 'Name: value'", parse, show, private=True, lines=True)


def header_names() -> Kind:
    """tuple[str, ...]: in lower case; none that belongs to the connection."""

    def parse(text: str) -> tuple[str, ...]:
        found = [name.lower() for name in filter(None, map(str.strip, text.split(",")))]
        for name in found:
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError
            if name in HOP_HEADERS:
                raise ValueError(f"{name} belongs to the connection, not to the settings")
        return tuple(dict.fromkeys(found))

    return Kind("names of headers with commas between, or empty", parse)


def is_secret_header(name: str) -> bool:
    """Whether a header of this name carries what must not be shown: Authorization, x-api-key, Cookie ..."""
    return bool(_SECRET_HEADER.search(name))


def name_map() -> Kind:
    """A JSON object of names -> an immutable mapping; empty text -> an empty one."""

    def parse(text: str) -> MappingProxyType[str, str]:
        try:
            found = json.loads(text or "{}")
        except json.JSONDecodeError as error:
            raise ValueError(f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
        except RecursionError:
            raise ValueError from None
        if not isinstance(found, dict) or not all(
            isinstance(value, str) and name and value.strip() for name, value in found.items()
        ):
            raise ValueError
        return MappingProxyType({name: value.strip() for name, value in found.items()})

    def show(value: MappingProxyType[str, str]) -> str:
        return json.dumps(dict(value), ensure_ascii=False) if value else ""

    return Kind('a JSON object such as {"gpt-4": "claude-sonnet-5-5"}, or empty', parse, show, lines=True)
