"""The kinds of values that are lists: names, numbers, headers, pairs. Commas or lines separate the entries."""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import Any, NamedTuple

from operate.settings.value_types import MASK, Kind
from translate import dialects

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SECRET_HEADER = re.compile(r"(?i)auth|key|token|secret|cookie|password|credential")

HOP_HEADERS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)
"""Headers that belong to one connection or one body. libcurl sets them; a setting would break the framing."""


def split(text: str) -> list[str]:
    """The entries of a list that commas or lines separate, without empty ones."""
    return list(filter(None, map(str.strip, text.replace("\n", ",").split(","))))


def files() -> Kind:
    """A tuple of names of files, or patterns of such names."""
    return Kind("names of files, separated by commas, or empty", lambda text: tuple(split(text)))


def statuses(low: int, high: int, further: tuple[int, ...]) -> Kind:
    """A tuple of HTTP statuses, each once: from `low` to `high`, or one of `further`."""
    known = {*range(low, high + 1), *further}

    def parse(text: str) -> tuple[int, ...]:
        found = split(text)
        if not all(part.isascii() and part.isdigit() and len(part) == 3 and int(part) in known for part in found):
            raise ValueError
        return tuple(dict.fromkeys(map(int, found)))

    also = "".join(f" or {status}," for status in further)
    return Kind(f"statuses from {low} to {high},{also} separated by commas, or empty", parse)


def names(never: tuple[str, ...] = (), what: str = "names of fields") -> Kind:
    """A tuple of words, each once and none of `never`. what: what the words are, for messages."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(filter(None, map(str.strip, text.split(","))))
        if any(len(name.split()) > 1 for name in found):
            raise ValueError
        for name in found:
            if name in never:
                raise ValueError(f"{name} cannot be dropped: every request needs it")
        return tuple(dict.fromkeys(found))

    return Kind(f"{what}, separated by commas, or empty", parse)


def renames() -> Kind:
    """A tuple of pairs (old name, new name), written as "a=b, c=d"."""

    def parse(text: str) -> tuple[tuple[str, str], ...]:
        pairs = []
        for part in filter(None, map(str.strip, text.split(","))):
            old, equals, new = (piece.strip() for piece in part.partition("="))
            if not equals or len(old.split()) != 1 or len(new.split()) != 1:
                raise ValueError
            pairs.append((old, new))
        return tuple(pairs)

    return Kind("FIELD=NEWNAME, or several, separated by commas, or empty", parse, as_pairs)


def paths() -> Kind:
    """A tuple of pairs (protocol, path without slashes around it)."""
    inner = renames()

    def parse(text: str) -> tuple[tuple[str, str], ...]:
        pairs = tuple((name, path.strip("/")) for name, path in inner.parse(text))
        if any(name not in dialects.names() for name, _ in pairs) or len(dict(pairs)) != len(pairs):
            raise ValueError
        return pairs

    return Kind("PROTOCOL=PATH, or several, separated by commas, or empty", parse, as_pairs)


def limits(high: int) -> Kind:
    """A tuple of pairs (glob of model names, limit), longer globs first. A number alone is for all models."""

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

    return Kind(f"a number up to {high}, or MODEL-GLOB=NUMBER, or several, separated by commas", parse, as_limits)


def as_pairs(value: tuple[tuple[str, Any], ...]) -> str:
    return ", ".join(f"{name}={text}" for name, text in value)


def as_limits(value: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(str(number) if pattern == "*" else f"{pattern}={number}" for pattern, number in value)


class Header(NamedTuple):
    """One header of [upstream NAME] headers. public: its value may be shown; other values are secret."""

    name: str
    value: str
    public: bool = False


_PUBLIC_HEADERS = frozenset(
    ("accept", "anthropic-beta", "anthropic-version", "content-type", "openai-beta", "user-agent")
)


def headers() -> Kind:
    """A tuple of Header, from lines "Name: value" or "public Name: value", in the order of the file."""

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
                raise ValueError(f"{name} cannot be set: the proxy sets it for each connection")
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"the value of {name} has a character that no header may have")
            is_public = not is_secret_header(name) and (is_marked or name.lower() in _PUBLIC_HEADERS)
            found.append(Header(name, value, is_public))
        return tuple(found)

    def show(value: tuple[Header, ...]) -> str:
        return "; ".join(f"{header.name}: {header.value if header.public else MASK}" for header in value)

    return Kind("lines of 'Name: value'", parse, show, private=True, lines=True)


def header_names() -> Kind:
    """A tuple of header names in lower case, none of HOP_HEADERS."""

    def parse(text: str) -> tuple[str, ...]:
        found = [name.lower() for name in filter(None, map(str.strip, text.split(",")))]
        for name in found:
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError
            if name in HOP_HEADERS:
                raise ValueError(f"{name} cannot be passed on: the proxy sets it for each connection")
        return tuple(dict.fromkeys(found))

    return Kind("names of headers, separated by commas, or empty", parse)


def is_secret_header(name: str) -> bool:
    """Tells whether the value of a header with this name is a secret, as of Authorization, x-api-key or Cookie."""
    return bool(_SECRET_HEADER.search(name))


def name_map() -> Kind:
    """An immutable mapping of names, written as a JSON object. Empty text is an empty mapping."""

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


def efforts() -> Kind:
    """A str: one of a few words, or the efforts that an upstream takes."""
    known = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

    def parse(text: str) -> str:
        found = split(text.lower())
        if found in (["auto"], ["true"], ["false"], ["known"]) or (found and set(found) <= set(known)):
            return ", ".join(found)
        raise ValueError

    return Kind(f"one of auto, true, false, known, or several of {', '.join(known)}, separated by commas", parse)
