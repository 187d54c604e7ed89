"""The stream of bytes of a client's connection, plain or (tls_stream.py) under TLS."""

from __future__ import annotations

from typing import Any

from tornado.iostream import IOStream, UnsatisfiableReadError


class ClientStream(IOStream):
    """One that stays open where a line is too long, until the client has been told."""

    def close(self, exc_info: Any = False) -> None:
        reading = self._read_future
        if isinstance(exc_info, UnsatisfiableReadError) and reading is not None:
            self._read_future = self._read_delimiter = self._read_regex = None
            reading.set_exception(exc_info)
        else:
            super().close(exc_info)
