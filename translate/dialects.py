"""The table of protocols: one row for each, and the one place where a protocol is looked up by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from translate import late
from translate.chat.dialect import CHAT
from translate.dialect import Dialect
from translate.endpoint import Endpoint
from translate.failures.errors import ErrorWriter
from translate.gemini.dialect import GEMINI
from translate.json.json_fields import Body
from translate.messages.dialect import MESSAGES
from translate.responses.dialect import RESPONSES


class Served(NamedTuple):
    """Where a client asks. model: its name, where the address holds it, else ""."""

    dialect: Dialect
    endpoint: Endpoint
    model: str = ""


SERVED: dict[str, Served] = {}
"""The addresses that clients use, except those with a model's name in them."""

_PATTERNS: dict[str, list[tuple[re.Pattern[str], Served]]] = {}
"""The addresses with a model's name in them, by their last words."""

_PLACEHOLDERS = {"{model}": "(.+)", "{upstream/model}": "((?!(?:.*/)?models/)[^/]+/.+)", "{}": "[^/]+"}
"""What may stand in an address, as patterns. Behind a further models/ the name begins, and what is before it belongs to
a base URL that is wrong."""

_ROWS: dict[str, Dialect] = {}

MAX_PATH = 2048  # characters of an address with a model's name


def add(dialect: Dialect) -> None:
    """Adds a protocol, from now on."""
    _ROWS[dialect.name] = dialect
    for endpoint in dialect.endpoints:
        served = Served(dialect, endpoint)
        if endpoint.relayed:
            continue  # gateway/relay has them
        if "{" in endpoint.path:
            _PATTERNS.setdefault(_last_word(endpoint.path), []).append((_pattern(endpoint.path), served))
        else:
            SERVED[endpoint.path] = served


def remove(name: str) -> None:
    gone = _ROWS.pop(name)
    for endpoint in gone.endpoints:
        SERVED.pop(endpoint.path, None)
    for rows in _PATTERNS.values():
        rows[:] = [row for row in rows if row[1].dialect is not gone]


def _pattern(path: str) -> re.Pattern[str]:
    found = re.escape(path)
    for placeholder, stands_for in _PLACEHOLDERS.items():
        found = found.replace(re.escape(placeholder), stands_for)
    return late.pattern(found)


def _last_word(path: str) -> str:
    return path[max(path.rfind("/"), path.rfind(":")) + 1 :]


def at(path: str) -> Served | None:
    """Returns what is served at an address (without its query), None for nothing."""
    if (served := SERVED.get(path)) is not None or len(path) > MAX_PATH:
        return served
    for pattern, served in _PATTERNS.get(_last_word(path), ()):
        if found := pattern.fullmatch(path):
            return served._replace(model=unquote(found[1])) if pattern.groups else served
    return None


LISTS = "/v1/models"
"""Where the list of models is, whatever the client speaks."""


def keyed(path: str) -> Dialect | None:
    """Returns the dialect whose clients may say their key in the query at this address, None where there is none."""
    if (served := at(path)) is not None:
        return served.dialect if served.dialect.http.query_key else None
    for each in every():
        roots = (*each.models.paths, LISTS) if each.http.query_key else ()
        if any(f"{path}/".startswith(f"{root}/") for root in roots):
            return each
    return None


def addresses() -> list[str]:
    """Returns the addresses where clients ask, as they are written in the table; of those that hold a model's name and
    ask for the same, the first."""
    told = {(each.name, end.task, end.streams, "" if "{" in end.path else end.path): end.path
            for each in reversed(_ROWS.values()) for end in reversed(each.endpoints)}  # fmt: skip
    return list(dict.fromkeys(reversed(told.values())))


def unserved(path: str) -> tuple[Dialect, str] | None:
    """Returns the API that has this address, which is not served here, and what a client can do instead; None for other
    ones."""
    if len(path) > MAX_PATH:
        return None
    rows = ((each, *row) for each in every() for row in each.unserved)
    return next(((each, instead) for each, pattern, instead in rows if pattern.fullmatch(path)), None)


of: Callable[[str], Dialect] = _ROWS.__getitem__  # several times a request: without a call of Python's
"""Returns the protocol of this name. Raises KeyError."""


def names() -> tuple[str, ...]:
    return tuple(_ROWS)


def every() -> Iterator[Dialect]:
    yield from _ROWS.values()


def asking(headers: Mapping[str, str], path: str = "") -> Dialect:
    """Returns the dialect of a client whose request's path names none: by the beginning of that path, where one
    protocol alone has it ("/v1beta"), by its headers, else the one that most clients speak."""
    root = path.partition("?")[0].split("/")[1:2]
    owners = [each for each in every() if any(end.path.split("/")[1:2] == root for end in each.endpoints)]
    if len(owners) == 1:
        return owners[0]
    return next((dialect for dialect in every() if dialect.http.asks(headers)), CHAT)


def errors_at(path: str, dialect: Dialect) -> ErrorWriter:
    """Returns how an error is said to a client of `dialect` that asks at an address, served or not: if all addresses
    with the same beginning belong to another form (Ollama's, Bedrock's), the errors have that form."""
    root = path.partition("?")[0].split("/")[1:2]
    alike = [end for end in dialect.endpoints if end.path.split("/")[1:2] == root]
    forms = [end.framed({}) if end.framed is not None else None for end in alike]
    own = {form.error if form is not None else None for form in forms}
    return (own.pop() if len(own) == 1 else None) or dialect.errors.body


def guessed(body: Body, headers: Mapping[str, str]) -> Dialect:
    """Returns the dialect that a request's body seems to be in. Responses shows most of itself; a body that shows
    nothing is Chat."""
    return next((dialect for dialect in reversed(_ROWS.values()) if dialect.looks_like(body, headers)), CHAT)


add(MESSAGES)
add(CHAT)
add(RESPONSES)
add(GEMINI)
