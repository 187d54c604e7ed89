"""Splits server-sent events as they come: bytes in, whole events out (WHATWG HTML, section 9.2.6).

Bytes are buffered, never text: a chunk may end within a character, a line or a CRLF. An event is the bytes between two
blank lines; `fields` takes one apart. The common stream (only "\\n", nothing cut) costs one split per chunk. The buffer
is bounded: an upstream that never ends an event is refused. It is joined once for each event, however small its pieces
are, since an event of many lines may come line by line.
"""

from __future__ import annotations

import re

from translate import late


class Most:
    """The bound of all streams of this process. event_bytes: of one event, or of a whole reply in place of a stream."""

    event_bytes = 16 * 1024 * 1024  # some servers send a whole image in one event


BLANK = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
_MARGIN = 3  # bytes of a blank line ("\r\n\r\n") that may have come before its last one
LINE = re.compile(rb"\r\n|\n|\r")


_FIELD = late.pattern(rb"(?:event|data|id|retry)?:")

FEW = 1024  # bytes: a few events


class EventTooLarge(ValueError):
    """One event grew past Most.event_bytes."""


class Splitter:
    """Takes chunks by `feed`, which returns the events that are complete now; `rest` returns the unfinished last
    one, at the end."""

    __slots__ = ("_pending", "_last", "_size", "_seen_cr")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._last = b""  # the last bytes of it, which may begin a blank line
        self._size = 0
        self._seen_cr = False

    def __repr__(self) -> str:
        return f"<Splitter {self._size} bytes held>"

    def feed(self, chunk: bytes) -> list[bytes]:
        if self._pending:
            if not self._ends(chunk):
                self._keep_back(chunk)
                return []
            self._pending.append(chunk)
            data = b"".join(self._pending)
            self._forget()
        else:
            data = chunk
        if self._seen_cr or b"\r" in chunk:
            return self._feed_any(data)
        events = _split(data) if len(data) > FEW else data.split(b"\n\n")
        if rest := events.pop():
            self._keep_back(rest)
        return events

    def _feed_any(self, data: bytes) -> list[bytes]:
        self._seen_cr = True
        # A "\r" at the very end may be half of a "\r\n": leave it for the next chunk.
        cut = len(data) - 1 if data.endswith(b"\r") else len(data)
        events = BLANK.split(data[:cut])
        if rest := events.pop() + data[cut:]:
            self._keep_back(rest)
        return events

    def _ends(self, chunk: bytes) -> bool:
        """Tells whether the event that is kept has its blank line with this chunk."""
        if b"\n" not in chunk and b"\r" not in chunk and not self._last.endswith(b"\r"):
            return False
        window = self._last + chunk
        self._seen_cr = self._seen_cr or b"\r" in chunk
        if not self._seen_cr:
            return b"\n\n" in window
        return BLANK.search(window, 0, len(window) - window.endswith(b"\r")) is not None

    def _keep_back(self, rest: bytes) -> None:
        self._last = rest[-_MARGIN:] if len(rest) >= _MARGIN else (self._last + rest)[-_MARGIN:]
        self._size += len(rest)
        if self._size > Most.event_bytes:
            raise EventTooLarge(
                f"an event of the upstream's stream is larger than {Most.event_bytes} bytes ([limits] event_mb)"
            )
        self._pending.append(rest)

    def rest(self) -> bytes:
        """Returns what came after the last blank line: many servers leave the final blank line out."""
        rest = b"".join(self._pending)
        self._forget()
        return rest.strip(b"\r\n")

    def _forget(self) -> None:
        self._pending.clear()
        self._size = 0
        self._last = b""


def _split(data: bytes) -> list[bytes]:
    """Returns data.split(b"\\n\\n"), in half the time where each event is one line, as in most streams of OpenAI's: a
    single byte is found faster than two."""
    end = data.find(b"\n") + 1
    if end and data[end : end + 1] == b"\n":
        lines = data.split(b"\n")
        if len(lines) % 2 and not any(lines[1::2]):  # the blank lines
            return lines[::2]
    return data.split(b"\n\n")


def begins(body: bytes) -> bool:
    """Tells whether a body is a stream of events by how it begins: some servers give none a Content-Type."""
    return _FIELD.match(body) is not None


def fields(event: bytes) -> tuple[bytes, bytes]:
    """Returns (event name, data) of one event's bytes; data lines are joined by "\n", comments skipped.

    A field called `error` (llama-box ends a broken stream so) is given as name b"error" with its value as data, so that
    nobody takes the stream for one that ended well. A line of JSON is data whose name was left out: so servers say that
    something broke within a stream that another part of them writes.
    """
    if event.startswith(b"data:") and b"\n" not in event and b"\r" not in event:
        return b"", event[6:] if event[5:6] == b" " else event[5:]
    name, data, bare = b"", [], False
    for line in LINE.split(event):
        if bare or line.startswith(b"{"):
            bare = True  # to the end: it may stand on several lines
            data.append(line)
            continue
        key, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if key == b"data":
            data.append(value)
        elif key == b"event":
            name = value
        elif key == b"error":
            name = b"error"
            data.append(value)
    return name, b"\n".join(data)
