"""The byte stream of a client's connection; tls_stream.py has the one with TLS."""

from __future__ import annotations

from typing import Any

from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, UnsatisfiableReadError


class ClientStream(IOStream):
    """One that stays open where a line is too long, until the client has been told; that listens on while what has come
    is looked at; and that sends what it is given without delay."""

    let_pass = False  # whether an event was, in this request

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        super().set_nodelay(True)

    def set_nodelay(self, value: bool) -> None:
        """It is set for good. Tornado sets and unsets it several times a request, for nothing: whole replies are one
        write each, and an event must not wait for the next."""

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
