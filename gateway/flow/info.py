"""What observers may read of a request on its way: plain data that nobody changes.

A request that is over is told as a record (observe/record.py). Observers get nothing else of a request, so that none of
them can hold it up or hold it back from being freed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from translate.target import Protocol


class Info(NamedTuple):
    """A request as an attempt of it is sent.

    protocol: the client's. task: "count" or "compact" where it asks for no reply of a model. attempt: its number, from
    1 on; 0 means that the request is refused and nothing of it is ever sent. session: by its headers, "" for none.
    original: the body as the client sent it. data: the same parsed, where something has parsed it already."""

    key: str
    protocol: Protocol
    task: str
    client: str
    model: str
    attempt: int
    session: str
    original: bytes
    data: Mapping[str, object] | None


_SESSION_HEADERS = ("X-Claude-Code-Session-Id", "X-Session-Id", "X-Session-Affinity", "Session-Id")


def session_in(headers: Mapping[str, str]) -> str:
    """What names the conversation, "" where no header does."""
    for name in _SESSION_HEADERS:
        if value := headers.get(name):
            return str(value)[:200]
    return ""
