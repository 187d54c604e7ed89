"""The same events in other bytes: what server-sent events allow, and what servers write that they do not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from tests.corpus.habits.changes import Event


def plain(events: list[Event], **form: object) -> bytes:
    return b"".join(_event(name, _text(data, **form)) for name, data in events)


def _text(data: object, **form: object) -> str:
    return data if isinstance(data, str) else json.dumps(data, **form)  # type: ignore[arg-type]


def _event(name: str, text: str) -> bytes:
    head = f"event: {name}\n" if name else ""
    return (head + "".join(f"data: {line}\n" for line in text.split("\n")) + "\n").encode()


def _around(before: bytes = b"", between: bytes = b"", after: bytes = b"") -> Callable[[list[Event]], bytes]:
    """Bytes before all events, before each of them, and after all."""
    return lambda events: before + b"".join(between + plain([event]) for event in events) + after


def _replaced(old: bytes, new: bytes) -> Callable[[list[Event]], bytes]:
    return lambda events: plain(events).replace(old, new)


FRAMINGS: dict[str, Callable[[list[Event]], bytes]] = {
    "plain": plain,
    "CRLF": _replaced(b"\n", b"\r\n"),
    "CR": _replaced(b"\n", b"\r"),
    "a byte order mark": _around(b"\xef\xbb\xbf"),
    "blank lines first": _around(b"\n\n\n"),
    "blank lines between": _around(between=b"\n\n"),
    "no last blank line": lambda events: plain(events).rstrip(b"\n"),
    "no last line end, CRLF": lambda events: plain(events).replace(b"\n", b"\r\n").rstrip(b"\r\n"),
    "blank lines last": _around(after=b"\n\n\n\n"),
    "no blank after the colon": lambda events: re.sub(rb"(?m)^(data|event): ", rb"\1:", plain(events)),
    "blanks behind": _replaced(b"\n\n", b"  \n\n"),
    "two blanks after the colon": _replaced(b"data: ", b"data:  "),
    "data over lines": lambda events: plain(events, indent=1),
    "no blanks in the JSON": lambda events: plain(events, separators=(",", ":")),
    "no escapes": lambda events: plain(events, ensure_ascii=False),
    "comments": _around(b": hello\n\n", b": more\n\n", b": over\n\n"),
    "comments within events": _around(between=b": more\n"),
    "comments without a word": _around(between=b":\n\n"),
    "ids": _around(between=b"id: 7\n"),
    "retry": _around(b"retry: 3000\n\n"),
    "retry and id in each event": _around(between=b"retry: 1\nid\n"),
    "unknown fields": _around(between=b"meta: x\n"),
    "events without data": _around(between=b"event: keepalive\n\n"),
    "empty data": _around(between=b"data:\n\n"),
    "no blank line between events": lambda events: b"\n".join(plain([event])[:-2] for event in events) + b"\n\n",
    "no blank line between the last two, nor after them": lambda events: (
        plain(events[:-1])[:-1] + plain(events[-1:]).rstrip(b"\n")
    ),
    "a blank line after the name": lambda events: re.sub(rb"(?m)^(event: .*\n)", rb"\1\n", plain(events)),
    "the name after the data": lambda events: b"".join(
        re.sub(rb"(?s)\A(event: [^\n]*\n)(.*\n)\n\Z", rb"\2\1\n", plain([event])) for event in events
    ),
}
