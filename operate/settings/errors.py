"""Errors of a settings file: `Problem` is one, `SettingsError` is all of them.

The reading of settings does not stop at the first error, so that a user can correct all of them at once. A message
names the right name that is nearest to a wrong one, and shows the wrong value, but not if that may be a secret: error
messages end up in terminals, logs and tickets.
"""

from __future__ import annotations

import codecs
import errno
import os
import re
from collections.abc import Iterable

from msgspec import Struct

MOST_SHOWN = 60
"""The most characters of a wrong value that an error repeats. A longer value is more likely a pasted key than a
typo."""

_LIKE_A_KEY = re.compile(r"(?i)\b(?:sk|pk|gsk|xai|key|token|bearer|basic)[-_ ]\S|(?=\S*\d)[\w\-+=]{20,}")


def unread(error: OSError) -> str:
    """Why a file cannot be read. In a container or a service, nobody thinks of the user that the process is."""
    who = f" for user {os.geteuid()}, group {os.getegid()}" if error.errno == errno.EACCES else ""
    return f"{error.strerror}{who}"


def in_utf_16(content: bytes) -> str:
    """The advice for a file whose content is UTF-16; "" = it is not."""
    is_so = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "is UTF-16 text, as PowerShell's > writes it; save it as UTF-8" if is_so else ""


class Problem(Struct, frozen=True):
    """One error. line: from 1 on; 0 = the error is not on a line of a file, and `file` names its source, such as
    "--set". section, key: where the error is; each may be empty."""

    file: str
    line: int
    section: str
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:" if self.line else f"{self.file}:"
        if self.section:
            where += f" [{self.section}]"
        if self.key:
            where += f" {self.key}:"
        return f"{where} {self.message}"


class SettingsError(Exception):
    """Says that the settings cannot be used. problems: every error, in the order of the file; str() has a line for
    each. files: as of Settings, as far as they are known."""

    files: tuple[str, ...] = ()

    def __init__(self, problems: Iterable[Problem]) -> None:
        problems = list(problems)
        files = list(dict.fromkeys(problem.file for problem in problems if problem.line))
        of_file = {file: number for number, file in enumerate(files)}
        self.problems = sorted(
            problems, key=lambda problem: (problem.line == 0, of_file.get(problem.file, 0), problem.line)
        )
        super().__init__("\n".join(map(str, self.problems)))


def shown(value: str) -> str:
    """A wrong value for an error message: quoted, or only its length if it could be a secret."""
    if len(value) > MOST_SHOWN or _LIKE_A_KEY.search(value):
        return f"the value ({len(value)} characters, not shown)"
    return repr(value)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The words "; did you mean 'port'?" with the one of `names` that is nearest to `name`; "" if none is near."""
    from difflib import get_close_matches  # a start without errors does not need it

    by_lower = {known.lower(): known for known in names}
    wrong = name.lower()
    near = get_close_matches(wrong, by_lower, n=1, cutoff=0.6)
    if not near and len(wrong) >= 3:
        near = [known for known in by_lower if wrong in known or known in wrong]
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""
