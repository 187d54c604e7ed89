"""Log lines on standard output or standard error, for containers, and where no folder can be written.

All files' lines share the stream, so each line says first which file it would be in.
"""

from __future__ import annotations

import os

STREAMS = {"stdout": 1, "stderr": 2}
"""Words for [logging] dir -> file descriptor."""


class StreamFile:
    """In the place of a LogFile. append(): OSError says that the stream is gone."""

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
        """The stream is not ours to close."""
