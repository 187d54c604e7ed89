"""A finding of the doctor: a line for a person, and the settings that follow from it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

WIDTH = 18  # the width of the column with the name of the probe


class Finding(Struct):
    """One finding. mark: ok, no (it does not work) or so-so (it works, but not as one may expect). settings: values
    that fit, by key of [upstream]; those of drop and rename are added to the present ones. blocks: no further probe is
    of use."""

    what: str
    mark: Literal["ok", "no", "so-so"]
    words: str
    settings: dict[str, str] = field(default_factory=dict)
    blocks: bool = False

    def line(self) -> str:
        return f"  {self.mark:<6}{self.what:<{WIDTH}}{self.words}"


def shortened(text: str, most: int = 160) -> str:
    """The words of an upstream as one line, without characters that a terminal would obey."""
    text = " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())
    return text if len(text) <= most else text[: most - 3] + "..."
