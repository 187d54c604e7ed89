"""A stream as one JSON array, whose elements are the data of its events: Google's form without `alt=sse`.

Google's own older library reads it character by character, and takes none before the bracket or after the last one.
"""

from __future__ import annotations

from collections.abc import Mapping

from translate.endpoint import Framed
from translate.streams import sse


class Elements:
    """See translate.dialect.Framing."""

    __slots__ = ("_begun", "_opened", "_splitter")

    def __init__(self) -> None:
        self._opened = False
        self._begun = False  # there is an element
        self._splitter = sse.Splitter()

    def __repr__(self) -> str:
        return f"<Elements{' begun' * self._begun}>"

    def feed(self, events: bytes) -> bytes:
        return b"".join(self._element(data) for event in self._splitter.feed(events) if (data := _data(event)))

    def _element(self, data: bytes) -> bytes:
        before = b",\r\n" if self._begun else self._opening()
        self._begun = True
        return before + data

    def _opening(self) -> bytes:
        before = b"" if self._opened else b"["
        self._opened = True
        return before

    def end(self) -> bytes:
        rest = _data(self._splitter.rest())
        return (self._element(rest) if rest else self._opening()) + b"]"

    def ping(self) -> bytes:
        return self._opening() or b"\n"


def _data(event: bytes) -> bytes:
    return sse.fields(event.lstrip())[1].strip()


def framed(query: Mapping[str, str]) -> Framed | None:
    """query: the client's."""
    return (
        None if query.get("alt", query.get("$alt")) == "sse" else Framed("application/json", Elements, may_wait=False)
    )
