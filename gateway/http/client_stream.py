"""The byte stream of a client's connection; tls_stream.py has the one with TLS."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any

from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, StreamBufferFullError, UnsatisfiableReadError

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_NO_TEXT = frozenset(range(32)) - frozenset(b"\r\n")  # so begins no head, but TLS does: its end would never come
_ROOM = bytearray(65536)  # what is read comes here first, of all streams; Tornado takes and clears so much each time
MOST_COPIED = 2048  # bytes that are copied twice sooner than by a view


class ClientStream(IOStream):
    """A client's stream. It stays open after a line that is too long, until the client has been told; it goes on
    listening while a request is handled; and it sends without delay."""

    let_pass = False  # whether an event was let pass in this request
    looks = True  # for the next head, before it waits for it

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        super().set_nodelay(True)

    def set_nodelay(self, value: bool) -> None:
        """Does nothing: it is set for good. Tornado sets and unsets it several times a request, for nothing: whole
        replies are one write each, and an event must not wait for the next one."""

    def read_head(self, most: int) -> Awaitable[bytes]:
        """Reads up to the end of a head, at most so many bytes; of what can be none, no more than has come. Raises
        UnsatisfiableReadError, StreamClosedError."""
        future = self._start_read()
        self._read_regex, self._read_max_bytes = _HEAD_END, most
        try:
            self._try_inline_read()
        except UnsatisfiableReadError as why:
            self.close(exc_info=why)
        except BaseException:
            future.add_done_callback(lambda done: done.exception())
            raise
        return future

    def _try_inline_read(self) -> None:
        """Looks for the next head at once only after a streamed reply, which ends while others go on. Otherwise the
        event loop tells when it is there: whole replies leave in waves, and so do the next requests, which cost seven
        percent less if they are taken together."""
        is_heard = self._read_regex is not None and not self._read_buffer_size and (self._state or 0) & IOLoop.READ
        if is_heard and not self.looks:
            self._check_closed()
        else:
            super()._try_inline_read()
        self.looks = False

    def _find_read_pos(self) -> int | None:
        if self._read_regex is not None:
            held = self._read_buffer
            end = held.find(b"\r\n\r\n")
            # Without a bare line feed before, the regex finds the same, in ten times the time.
            if end >= 0 and held.count(b"\n", 0, end) == held.count(b"\r\n", 0, end):
                self._check_max_bytes(_HEAD_END, end + 4)
                return end + 4
            if end < 0 and held and held[0] in _NO_TEXT:
                return len(held)
        return super()._find_read_pos()

    def _read_to_buffer(self) -> int | None:
        try:
            size = self.read_from_fd(_ROOM)
        except OSError as why:
            self.close(exc_info=why)
            if self._is_connreset(why):
                return None
            raise
        if size is None:
            return 0
        if not size:
            self.close()
            return 0
        if size <= MOST_COPIED:
            self._read_buffer += _ROOM[:size]
        else:
            with memoryview(_ROOM) as room, room[:size] as piece:
                self._read_buffer += piece
        self._read_buffer_size += size
        if self._read_buffer_size > self.max_buffer_size:  # nobody reads so much, so all of it would stay in memory
            full = StreamBufferFullError("the client sends more than is read")
            self.close(exc_info=full)
            raise full
        return size

    def _handle_events(self, fd: Any, events: int) -> None:
        """Tornado stops listening as soon as a request's head is there and its body waits in the buffer, and begins
        again once the body is taken: two system calls and thirty calls of Python a request. Here it listens on.

        An event that finds nobody reading is let pass once: as a rule, what it was about has been read meanwhile.
        Whoever sends on is heard with the next one; then Tornado reads one piece, and listens no longer."""
        if events != IOLoop.READ:
            super()._handle_events(fd, events)
        elif self._read_future is not None:
            try:
                self._handle_read()
            except UnsatisfiableReadError as why:
                self.close(exc_info=why)
        elif self.let_pass:
            self.let_pass = False
            super()._handle_events(fd, events)
        else:
            self.let_pass = True

    def close(self, exc_info: Any = False) -> None:
        reading = self._read_future
        if isinstance(exc_info, UnsatisfiableReadError) and reading is not None:
            self._read_future = self._read_delimiter = self._read_regex = None
            reading.set_exception(exc_info)
        else:
            super().close(exc_info)
