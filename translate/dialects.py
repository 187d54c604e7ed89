"""The table of protocols: one row for each, and the one place where a protocol is looked up by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from translate.chat.dialect import CHAT
from translate.dialect import Body, Dialect, Endpoint
from translate.messages.dialect import MESSAGES
from translate.responses.dialect import RESPONSES

SERVED: dict[str, tuple[Dialect, Endpoint]] = {}
"""The addresses where clients ask, but for those that hold a model's name."""

_ROWS: dict[str, Dialect] = {}


def add(dialect: Dialect) -> None:
    """Adds a protocol, from now on."""
    _ROWS[dialect.name] = dialect
    SERVED.update({each.path: (dialect, each) for each in dialect.endpoints if "{model}" not in each.path})


def remove(name: str) -> None:
    gone = _ROWS.pop(name)
    for endpoint in gone.endpoints:
        SERVED.pop(endpoint.path, None)


of: Callable[[str], Dialect] = _ROWS.__getitem__  # several times a request: without a call of Python's
"""Returns the protocol of this name. Raises KeyError."""


def names() -> tuple[str, ...]:
    return tuple(_ROWS)


def every() -> Iterator[Dialect]:
    yield from _ROWS.values()


def asking(headers: Mapping[str, str]) -> Dialect:
    """Returns the dialect of a client whose request's path names none: by its headers, else the one that most clients
    speak."""
    return next((dialect for dialect in every() if dialect.http.asks(headers)), CHAT)


def guessed(body: Body, headers: Mapping[str, str]) -> Dialect:
    """Returns the dialect that a request's body seems to be in. Responses shows most of itself; a body that shows
    nothing is Chat."""
    return next((dialect for dialect in reversed(_ROWS.values()) if dialect.looks_like(body, headers)), CHAT)


add(MESSAGES)
add(CHAT)
add(RESPONSES)
