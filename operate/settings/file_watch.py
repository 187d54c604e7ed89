"""Watches the settings file in use, those that it includes, and the certificates that they name: `Source` tells
whether one has been saved, and reads the settings.

The files are looked at once a second with stat(), which needs no thread and no package. Editors write a file in steps,
or put another file in its place. So a change counts only when the files have looked the same twice, and a settings file
that is missing or empty for a moment is no change: who writes in place empties the file first. If it stays so, it is
one, which the reading refuses: the next start would not do with it either. What was read while a file was written may
be half of it, so `whole` is asked after a reading.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from operate import installation
from operate.settings.load import Settings, SettingsError, load

Look = tuple[int, int, int, int]
_GONE: Look = (0, 0, 0, 0)
_SIZE = 1
_LONG = 6
"""How often a file must have been seen missing or empty to count as removed."""


class Source:
    """The settings file, with the options and the environment that go with it. It is made before the first read(), so
    that a change in between is seen. named_saved: whether the last change was one of a file that the settings name."""

    named_saved = False

    def __init__(
        self, path: str | None = None, overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
    ) -> None:
        """As for `load`."""
        self._path = path and _absolute(path)
        self._overrides = tuple(overrides)
        self._environ = environ
        self._file = Path(self._path) if self._path is not None else installation.settings_file()
        self._missing = 0  # how often in turn
        self._named: tuple[str, ...] = ()
        self._included: tuple[str, ...] = ()  # files, and folders that were searched for some
        self._taken = self._last = self._look()

    def __repr__(self) -> str:
        return f"<Source {self._file}{', settling' * self.settling}>"

    def read(self) -> Settings:
        """The settings as the files have them now. Raises SettingsError."""
        # Where none is named and the file in use was removed, another one that would be found does not replace it.
        path = self._path or (None if self._file.is_file() else str(self._file))
        try:
            found = load(path, self._overrides, self._environ)
        except SettingsError as error:
            self._included = error.files or self._included
            self._known(self._included)
            raise
        self._named, self._included = found.server.tls_files, found.files
        self._known((*self._named, *self._included))
        return found

    def _known(self, files: Iterable[str]) -> None:
        for file in files:
            self._taken.setdefault(file, _look_at(file))

    @property
    def settling(self) -> bool:
        """Whether a change is being written, so that it is worth looking again soon."""
        return any(look != self._taken.get(file) for file, look in self._last.items())

    def saved(self) -> bool:
        """Returns True once for each change of the files."""
        look = self._look()
        self._missing = 0 if look[str(self._file)][_SIZE] else self._missing + 1
        if self._missing == _LONG:
            self._last = look  # it has looked so for long enough
        elif self._missing:
            return False
        steady, self._last = look == self._last, look
        if not steady or not self.settling:
            return False
        self.named_saved = any(look[file] != self._taken.get(file) for file in self._named)
        self._taken = look
        return True

    def whole(self) -> bool:
        """Returns whether the files are as the last saved() found them. If they are not, what was read in between may
        be half of a file, and the next saved() returns True when they are steady."""
        if all(look == self._taken.get(file) for file, look in self._look().items()):
            return True
        self._taken[str(self._file)] = _GONE
        return False

    def _look(self) -> dict[str, Look]:
        return {file: _look_at(file) for file in (str(self._file), *self._named, *self._included)}


def _absolute(path: str) -> str:
    """The working folder may be removed, or be another one at its old path, while the proxy runs."""
    try:
        return os.path.abspath(path)
    except OSError:  # it is gone already
        return path


def _look_at(file: str) -> Look:
    try:
        found = os.stat(file)
    except OSError:
        return _GONE
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
