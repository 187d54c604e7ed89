"""Writes log lines to standard output or standard error: for containers, and when no folder can be written.

The lines of all log files share the stream, so that each line begins with the name of its log.
"""

from __future__ import annotations

import os

STREAMS = {"stdout": 1, "stderr": 2}
"""The file descriptors for the words of [logging] to."""


class StreamFile:
    """Has the methods of a LogFile. append() raises OSError if the stream is gone."""

    def __init__(self, name: str, fd: int) -> None:
        self.path = f"file descriptor {fd}"
        self._fd = fd
        self._prefix = f'{{"log":"{name}",'.encode()

    def __repr__(self) -> str:
        return f"<StreamFile {self._fd}>"

    def append(self, data: bytes) -> None:
        marked = b"".join(self._prefix + line.removeprefix(b"{") for line in data.splitlines(keepends=True))
        rest = memoryview(marked)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def close(self) -> None:
        """Does nothing: the stream belongs to the process."""
