"""Watches the settings file in use: `Source` tells whether it has been saved, and reads it.

The file is looked at once a second with stat(), which needs no thread and no package. Editors write a file in steps, or
put another file in its place. So a change counts only when the file has looked the same twice, and a file that is
missing for a moment is no change.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from operate import place
from operate.settings.load import Settings, load

Look = tuple[int, int, int, int]


class Source:
    """The settings file, with the options and the environment that go with it. It is made before the first read(), so
    that a change in between is seen."""

    def __init__(
        self, path: str | None = None, overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
    ) -> None:
        """Takes the same arguments as `load`."""
        self._path = path
        self._overrides = tuple(overrides)
        self._environ = environ
        self._file = Path(path) if path is not None else place.settings_file()
        self._taken = self._last = self._look()

    def __repr__(self) -> str:
        return f"<Source {self._file}{', settling' * self.settling}>"

    def read(self) -> Settings:
        """The settings as the file has them now. Raises SettingsError."""
        return load(self._path, self._overrides, self._environ)

    @property
    def settling(self) -> bool:
        """Whether a change is being written, so that it is worth looking again soon."""
        return self._last != self._taken

    def saved(self) -> bool:
        """Returns True once for each change of the file."""
        look = self._look()
        if look is None:
            return False
        steady, self._last = look == self._last, look
        if not steady or look == self._taken:
            return False
        self._taken = look
        return True

    def _look(self) -> Look | None:
        try:
            found = os.stat(self._file)
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev
