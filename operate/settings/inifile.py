"""Reads the text of an INI file: its sections, and each key with its value and its line number.

configparser does the reading, but it hides line numbers and stops at the first error. So a first pass goes over the
lines by the same rules. It notes the line of each key, reports what configparser would refuse or silently merge (a line
without `=`, a key or section that is given twice), and gives configparser only the lines without errors. Comments are
whole lines: a `#` or `;` further right belongs to the value, because URLs, keys and JSON hold them.
"""

from __future__ import annotations

from configparser import RawConfigParser
from pathlib import Path

from msgspec import Struct, field

from operate.settings.errors import Problem, shown


class Entry(Struct):
    """One key: its value as written (with newlines between its lines), and where it is written. If the value comes from
    an option, line is 0 and file names the option. folder: where relative paths in the value start, None = in that of
    the settings file."""

    value: str
    line: int
    file: str
    folder: Path | None = None


class Section(Struct):
    """One section. name: without brackets, with single blanks ("upstream anthropic"). entries: in the order of the
    file."""

    name: str
    line: int
    file: str
    entries: dict[str, Entry] = field(default_factory=dict)


class _Reader(Struct):
    """The first pass. It reports nothing about keys after a section header with an error: the header is the error that
    must be corrected first."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    sections: dict[str, Section] = field(default_factory=dict)
    sound: list[str] = field(default_factory=list)
    section: Section | None = None
    lost: bool = False
    taking: bool = False  # whether the last key was accepted, and so its continuation lines are, too
    indent: int | None = None  # blanks before the last key; None = no line continues it

    def __repr__(self) -> str:
        return f"<_Reader {self.file} in [{self.section.name if self.section else ''}], {len(self.sound)} lines>"

    def line(self, number: int, line: str) -> None:
        text = line.strip()
        if not text:
            self.indent = None  # a blank line ends a value
            self.sound.append("")
        elif text[0] in "#;":
            return  # configparser does not see it: a comment between the lines of a value does not end the value
        elif self.indent is not None and _indent(line) > self.indent:
            if self.taking:
                self.sound.append(line)
        elif text.startswith("["):
            self._header(number, text)
        else:
            self._key(number, line, text)

    def _header(self, number: int, text: str) -> None:
        name = " ".join(text[1:-1].split())
        self.indent, self.section, self.lost = None, None, False
        if not text.endswith("]") or not name or "[" in name or "]" in name:
            self.lost = True
            self._problem(number, "", "this is not a section header; write [name] alone on its line")
            return
        earlier = self.sections.get(name)
        if earlier:
            self.section = earlier  # its keys are still checked
            self._problem(number, "", f"this section is given twice, first on line {earlier.line}")
        else:
            self.section = self.sections[name] = Section(name, number, self.file)
        self.sound.append(f"[{name}]")

    def _key(self, number: int, line: str, text: str) -> None:
        key, equals, _ = text.partition("=")
        key = key.rstrip()
        self.indent, self.taking = _indent(line), False
        if self.lost:
            return
        if self.section is None:
            self.lost = True
            self._problem(number, "", "this key comes before the first [section]")
        elif not equals:
            self._problem(
                number, "", "this line has no '='; write key = value (a line that continues a value must be indented)"
            )
        elif not key:
            self._problem(number, "", "there is no key before '='")
        elif key in self.section.entries:
            first = self.section.entries[key].line
            self._problem(number, key, f"this key is given twice, first on line {first}")
        else:
            self.section.entries[key] = Entry("", number, self.file)
            self.sound.append(line)
            self.taking = True

    def _problem(self, number: int, key: str, message: str) -> None:
        name = self.section.name if self.section else ""
        self.problems.append(Problem(self.file, number, name, key, message))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def read_ini(text: str, file: str) -> tuple[dict[str, Section], list[Problem]]:
    """The sections of `text` in its order, and every error of its form. file: the name of the file for messages."""
    reader = _Reader(file)
    if (at := text.find("\0")) >= 0:
        reader.problems.append(Problem(file, text.count("\n", 0, at) + 1, "", "", "this is no text: it holds a NUL"))
        text = text.replace("\0", "")
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        reader.line(number, line)
    parser = RawConfigParser(
        delimiters=("=",),  # `llama3:8b = x`: a colon is part of a model's name
        comment_prefixes=(),
        inline_comment_prefixes=None,
        strict=False,  # the first pass has reported what is given twice
        empty_lines_in_values=False,
        interpolation=None,
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # model names are case-sensitive
    parser.read_file(reader.sound, file)
    for section in reader.sections.values():
        for key, entry in section.entries.items():
            entry.value = parser.get(section.name, key)
    return reader.sections, reader.problems


def apply_option(option: str, sections: dict[str, Section], named: tuple[str, ...]) -> list[Problem]:
    """Puts one option `section.key=value` of the command line into `sections`, in place of what the file says. named:
    the kinds of sections with a name, whose options are written `upstream.NAME.key=value`."""
    path, equals, value = option.partition("=")
    kind, dot, rest = path.strip().partition(".")
    if kind in named:
        name, dot, key = rest.rpartition(".")
        section_name = f"{kind} {name.strip()}"
    else:
        section_name, key = kind.strip(), rest
    key = key.strip()
    if not (equals and dot and key):
        return [
            Problem(
                "--set",
                0,
                "",
                "",
                f"{shown(path)} is not SECTION.KEY=VALUE, such as server.port=9000 or upstream.NAME.enabled=false",
            )
        ]
    section = sections.setdefault(section_name, Section(section_name, 0, "--set"))
    section.entries[key] = Entry(value.strip(), 0, "--set")
    return []
