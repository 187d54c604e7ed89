"""What every decoder of an OpenAI stream does with its bytes, whatever the events mean.

Five states, one bound method each: sniffing the first byte, a comment before it that was cut, events, a whole JSON body
after all (servers that do not stream answer so, and misrouted requests get a page of HTML), over. A protocol's own
decoder says what an event means. Never raises: what cannot be read is a Fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

from translate.conversation import Event, Fault
from translate.failures import errors
from translate.json.lenient import EMPTY, body_of
from translate.streams import sse

Look = Callable[[bytes], bytes]
"""What a stream's events are given to before they are read, whole; of plain deltas only their texts, many at once. It
returns the same object, or what is to be read instead."""


def as_it_is(data: bytes) -> bytes:
    return data


_BLANK = b"\xef\xbb\xbf \t\r\n"  # a byte order mark, and what may stand before the first line
_COMMENTS = re.compile(rb"\A(?::[^\r\n]*[\r\n]\s*)+")  # whole ones, by which a server says that it still waits
_LINE_END = re.compile(rb"[\r\n]")


class Parts(Protocol):
    """What a decoder gathers into."""

    def take(self) -> list[Event]:
        """Returns the events that are ready."""

    def fail(self, error: Exception) -> None:
        """Ends the reply with a Fault."""


class StreamReading:
    """feed(chunk) and end() give events; after Stop or Fault, `ended` is True and nothing more comes."""

    __slots__ = ("_gathered", "_splitter", "_state", "_whole", "look")

    def __init__(self, gathered: Parts) -> None:
        self._gathered = gathered
        self.look: Look = as_it_is
        self._splitter = sse.Splitter()
        self._whole = bytearray()
        self._state: Callable[[StreamReading, bytes], list[Event]] = StreamReading._sniff

    @property
    def ended(self) -> bool:
        return self._state is StreamReading._over

    def feed(self, chunk: bytes) -> list[Event]:
        return self._state(self, chunk)

    def end(self) -> list[Event]:
        """Called when the upstream has closed the connection."""
        state = self._state
        if state is StreamReading._over:
            return []
        if state in (StreamReading._sniff, StreamReading._comment):
            self._stop_at(errors.BadReply(EMPTY, is_empty=True))
        elif state is StreamReading._json:
            return self._read_whole()
        else:
            if rest := self._splitter.rest():
                self._last_event(rest)
            if self._state is not StreamReading._over:
                self._close()
        return self._gathered.take()

    # ------------------------------------------------------------------------ what each protocol knows

    def _read(self, events: list[bytes]) -> None:
        """Reads whole events of the stream, as bytes."""
        raise NotImplementedError

    def _last_event(self, event: bytes) -> None:
        """Reads what stands after the last blank line."""
        raise NotImplementedError

    def _close(self) -> None:
        """Called when the stream ended without its terminal event."""
        raise NotImplementedError

    def _explode(self, body: dict[str, Any]) -> list[Event]:
        """Reads a whole reply. Raises BadReply."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------- states

    def _sniff(self, chunk: bytes) -> list[Event]:
        chunk = _COMMENTS.sub(b"", chunk.lstrip(_BLANK))
        if not chunk:
            return []
        if chunk[:1] == b":":
            self._state = StreamReading._comment
            return []
        # A stream's line begins with a field name or a colon.
        self._state = StreamReading._json if chunk[:1] in b"{[<" else StreamReading._events
        return self._state(self, chunk)

    def _comment(self, chunk: bytes) -> list[Event]:
        """The rest of a comment that was cut."""
        if (end := _LINE_END.search(chunk)) is None:
            return []
        self._state = StreamReading._sniff
        return self._sniff(chunk[end.start() :])

    def _events(self, chunk: bytes) -> list[Event]:
        try:
            self._read(self._splitter.feed(chunk))
        except sse.EventTooLarge as error:
            self._fault(str(error))
        return self._gathered.take()

    def _json(self, chunk: bytes) -> list[Event]:
        self._whole += chunk
        if len(self._whole) > sse.Most.event_bytes:
            self._fault(f"the upstream's reply is larger than {sse.Most.event_bytes} bytes ([limits] event_mb)")
        return self._gathered.take()

    def _over(self, chunk: bytes) -> list[Event]:
        return []

    # --------------------------------------------------------------------------------------------- ends

    def _fault(self, message: str) -> None:
        self._stop_at(errors.BadReply(message))

    def _stop_at(self, error: Exception) -> None:
        self._gathered.fail(error)
        self._state = StreamReading._over

    def _read_whole(self) -> list[Event]:
        self._state = StreamReading._over
        try:
            return self._explode(body_of(self.look(bytes(self._whole))))
        except errors.BadReply as error:
            return [Fault(error)]
