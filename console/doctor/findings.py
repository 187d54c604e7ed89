"""What the doctor found: one line each for a person, and the settings that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

WIDTH = 18  # of the column that says what was looked at


@dataclass(slots=True)
class Finding:
    """mark: ok, no (it does not work), so-so (it works otherwise than one may think). settings: key of an [upstream]
    section -> what fits; of drop and rename it is what comes on top. blocks: nothing further need be tried."""

    what: str
    mark: Literal["ok", "no", "so-so"]
    words: str
    settings: dict[str, str] = field(default_factory=dict)
    blocks: bool = False

    def line(self) -> str:
        return f"  {self.mark:<6}{self.what:<{WIDTH}}{self.words}"


def shortened(text: str, most: int = 160) -> str:
    """Makes one line of an upstream's words, without anything that a terminal might obey."""
    text = " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())
    return text if len(text) <= most else text[: most - 3] + "..."
