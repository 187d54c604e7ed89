"""The settings file in use: has it been saved, and what does it say now?

Asked once a second, by what stat says: no thread, and no package for it. Editors write a file in steps, or put another
one in its place: a change counts once the file has looked the same twice, and one that is gone for a moment is none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from operate import place
from operate.settings.load import Settings, load

Look = tuple[int, int, int, int]


class Source:
    """saved() is True once for each change; `settling`: one is under way, and the next question may come soon. Made
    before the first read(), so that nothing is missed in between."""

    def __init__(
        self, path: str | None = None, overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
    ) -> None:
        """As for `load`."""
        self._path = path
        self._overrides = tuple(overrides)
        self._environ = environ
        self._file = Path(path) if path is not None else place.settings_file()
        self._taken = self._last = self._look()

    def __repr__(self) -> str:
        return f"<Source {self._file}{', settling' * self.settling}>"

    def read(self) -> Settings:
        """Raises SettingsError."""
        return load(self._path, self._overrides, self._environ)

    @property
    def settling(self) -> bool:
        return self._last != self._taken

    def saved(self) -> bool:
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
