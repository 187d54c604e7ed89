"""A log file that several processes append to, and that the first process to notice rotates.

Lines are written whole or not at all. Each append holds the lock of the folder (flock on `.lock`, which the kernel
releases when its process dies), and lines that a full disk has cut are removed again. Before each append, a process
checks whether the file of that name is still the one that it has open, because another worker or logrotate may have
renamed it. A file is rotated when the next lines would make it too large, or when its last lines are of an earlier
period.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

MODE = 0o600  # bodies hold what users wrote
_NO_LOCKS = (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)


class Rotation(Struct, frozen=True):
    """When a log file is rotated. most_bytes: the largest size of a file. seconds: the length of a period, from local
    midnight on; 0 = not by time. keep: how many old files are kept; NAME.1 is the latest."""

    most_bytes: int = 50 << 20
    seconds: float = 86400.0
    keep: int = 7

    def period(self, when: float) -> int:
        """The number of the period that a time (seconds since 1970) is in."""
        return int((when + time.localtime(when).tm_gmtoff) // self.seconds) if self.seconds else 0


class Lock:
    """The lock of a folder. One process has it at a time. On a file system without locks, every process has it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".lock"
        self._fd = -1

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Takes the lock for a `with` block. Raises OSError if the folder cannot be used."""
        self._be_current()
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError as why:
            if why.errno not in _NO_LOCKS:
                raise
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # a file system without locks has nothing to release
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _be_current(self) -> None:
        """Opens the lock file again if the folder was removed and made again."""
        if self._fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(self._path), os.fstat(self._fd)):
                    return
            self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)


class LogFile:
    """One log file. clock: a function like time.time."""

    def __init__(self, path: Path, rotation: Rotation, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.rotation = rotation
        self._clock = clock
        self._fd = -1
        self._size = 0
        self._last = 0.0  # when any process last wrote a line

    def __repr__(self) -> str:
        return f"<LogFile {self.path}, {self._size} bytes>"

    def append(self, data: bytes) -> None:
        """Appends whole lines; the caller has the lock. If it raises OSError, none of them is in the file."""
        self._be_current()
        now = self._clock()
        if self._size and self._is_over(len(data), now):
            self.close()
            rotate(self.path, self.rotation.keep)
            self._open()
        self._write(data)
        self._last = now

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _is_over(self, more: int, now: float) -> bool:
        rotation = self.rotation
        return self._size + more > rotation.most_bytes or rotation.period(now) > rotation.period(self._last)

    def _be_current(self) -> None:
        """Opens the file of that name, unless it is open already."""
        if self._fd >= 0:
            opened = os.fstat(self._fd)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(self.path), opened):
                    self._size = opened.st_size if stat.S_ISREG(opened.st_mode) else 0
                    return
            self.close()
        self._open()

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        found = os.fstat(self._fd)
        # A pipe or a terminal (logs/proxy.json may be a link to /dev/stdout) never grows old or large.
        self._size = found.st_size if stat.S_ISREG(found.st_mode) else 0
        self._last = found.st_mtime

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            if len(rest) < len(data):
                with contextlib.suppress(OSError):  # the first error is the one to report
                    os.ftruncate(self._fd, self._size)
            self.close()
            raise
        self._size += len(data)


def rotate(path: Path, keep: int) -> None:
    """Renames NAME to NAME.1, NAME.1 to NAME.2, and so on up to the first number that is missing. Files with a number
    above `keep` are deleted. Raises OSError."""
    numbered = {}
    for found in path.parent.glob(f"{path.name}.*"):
        suffix = found.name[len(path.name) + 1 :]
        if suffix.isascii() and suffix.isdigit():
            numbered[int(suffix)] = found
    for number in [number for number in numbered if number > keep]:
        numbered.pop(number).unlink()
    if not keep:
        path.unlink()
        return
    free = next(number for number in range(1, keep + 2) if number not in numbered)
    for number in range(free - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if number == keep:
            older.unlink()
        else:
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))
