"""Settings in several files: [include] files names further ones, which are read after the file that names them.

Sections with one name are one section, so that each file of a folder may add lines to [models] or a [client] of its
own. A key stands in one of the files only. Names are relative to the file that has them and may be patterns; what a
pattern finds is read in the order of the names. A file is read once, and no file may include itself.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from operate.settings.environment import expand
from operate.settings.errors import Problem, SettingsError, in_utf_16, unread
from operate.settings.inifile import Entry, Section, read_ini
from operate.settings.list_types import split

SECTION, KEY = "include", "files"
LARGEST_FILE = 4 << 20
"""The most bytes that a settings file may have. A larger file was named by mistake."""
MOST_FILES = 1000


def text_of(path: Path, name: str) -> str:
    """The text of a file. name: in messages. Raises SettingsError."""
    try:
        with path.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise SettingsError([Problem(name, 0, "", "", f"cannot be read: {unread(error)}")]) from error
    if len(content) > LARGEST_FILE:
        raise SettingsError(
            [Problem(name, 0, "", "", f"has more than {LARGEST_FILE} bytes: it is not a settings file")]
        )
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SettingsError([Problem(name, line, "", "", in_utf_16(content) or "is not UTF-8 text")]) from None


def short(file: Path) -> str:
    """The path for messages: relative if it is below the working folder."""
    try:
        return str(file.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError, RuntimeError):  # elsewhere; the working folder is gone; a link that leads to itself
        return str(file)


class Files(Struct):
    """sections: of all files together. files: those that were included, and the folders in which a pattern looks: what
    has to be watched."""

    environ: Mapping[str, str]
    sections: dict[str, Section] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    _read: set[Path] = field(default_factory=set)

    def __repr__(self) -> str:
        return f"<Files {self.files}, {len(self.problems)} problems>"

    def add(self, sections: dict[str, Section], folder: Path, chain: tuple[Path, ...] = ()) -> None:
        """Adds the sections of a file, and of those that it includes. folder: its own. chain: the file, and those that
        have led to it."""
        self._read.update(chain[:1])
        asked = sections.get(SECTION)
        entry = asked.entries.get(KEY) if asked else None
        if entry is not None and chain[1:] and asked is not None:
            del asked.entries[KEY]  # the key of an included file counts only here
        for section in sections.values():
            self._merge(section, folder)
        if entry is not None:
            for path in self._named(entry, folder):
                self._include(path, entry, chain)

    def _merge(self, section: Section, folder: Path) -> None:
        own = self.sections.setdefault(section.name, Section(section.name, section.line, section.file))
        for key, entry in section.entries.items():
            entry.folder = folder
            if (first := own.entries.get(key)) is not None:
                message = f"this key is given twice, first in {first.file}:{first.line}"
                self.problems.append(Problem(entry.file, entry.line, section.name, key, message))
            else:
                own.entries[key] = entry

    def _named(self, entry: Entry, folder: Path) -> list[Path]:
        """The files that an entry names, in order."""
        expanded = expand(entry.value, self.environ)
        for fault in expanded.faults:
            self._problem(entry, fault)
        found: list[Path] = []
        for name in [] if expanded.faults else split(expanded.text):
            pattern = folder / name
            if not glob.has_magic(name):
                found.append(pattern)
                continue
            self.files.append(str(pattern.parent))
            found += sorted(Path(each) for each in glob.glob(str(pattern)) if Path(each).is_file())
        return found

    def _include(self, path: Path, entry: Entry, chain: tuple[Path, ...]) -> None:
        try:
            real = path.resolve()
            is_other = path.exists() and not path.is_file()
        except (OSError, RuntimeError):  # a link that leads to itself
            is_other = True
        if is_other:  # reading a pipe would wait
            self._problem(entry, f"{path} is no file")
            return
        if real in chain:
            self._problem(entry, f"{short(path)} includes itself: {' -> '.join(map(short, (*reversed(chain), real)))}")
            return
        if real in self._read:
            return
        if len(self._read) > MOST_FILES:
            self._problem(entry, f"more than {MOST_FILES} files are included")
            return
        self.files.append(str(path))
        self._read.add(real)
        try:
            name = short(path)
            sections, problems = read_ini(text_of(path, name), name)
        except SettingsError as why:
            self._problem(entry, str(why))
            return
        self.problems += problems
        self.add(sections, real.parent, (real, *chain))

    def _problem(self, entry: Entry, message: str) -> None:
        self.problems.append(Problem(entry.file, entry.line, SECTION, KEY, message))
