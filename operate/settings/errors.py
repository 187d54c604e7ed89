"""What is wrong with a settings file, said so that it can be put right.

Reading settings never stops at the first fault: each one becomes a `Problem` (file, line, section, key,
words) and all of them leave together in one `SettingsError`. Words name the nearest right name and show the
wrong value, unless it may be a secret: a fault ends up in terminals, logs and tickets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

MOST_SHOWN = 60
"""Characters of a wrong value that are worth repeating; a longer one is more likely a pasted key than a
typo."""

_LIKE_A_KEY = re.compile(r"(?i)\b(?:sk|pk|gsk|xai|key|token|bearer|basic)[-_ ]\S|(?=\S*\d)[\w\-+=]{20,}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. line counts from 1; 0 = not in a file (then `file` says where: an option). section and key
    may be empty."""

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
    """The settings cannot be used. `problems`: every fault found, in file order; str() gives one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.line == 0, problem.line))
        super().__init__("\n".join(map(str, self.problems)))


def shown(value: str) -> str:
    """A wrong value as an error may repeat it: quoted, or only its length where it could be a secret."""
    if len(value) > MOST_SHOWN or _LIKE_A_KEY.search(value):
        return f"the value ({len(value)} characters, not shown)"
    return repr(value)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The words "; did you mean 'port'?" about the name nearest to this one; empty where none is near."""
    by_lower = {known.lower(): known for known in names}
    wrong = name.lower()
    near = get_close_matches(wrong, by_lower, n=1, cutoff=0.6)
    if not near and len(wrong) >= 3:
        near = [known for known in by_lower if wrong in known or known in wrong]
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""
