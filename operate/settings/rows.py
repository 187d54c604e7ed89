"""What a row of the schema is: a setting's kind, default and reason."""

from __future__ import annotations

from dataclasses import dataclass

from operate.settings.value_types import Kind

REQUIRED = None
"""The default of a key that has none."""

DAY = 86400.0
MANY = 100_000


@dataclass(frozen=True, slots=True)
class Key:
    """A row. why: one line, for the file. default: as written there; REQUIRED = None."""

    kind: Kind
    default: str | None
    why: str

    def note(self) -> str:
        """The comment above the key in the shipped file."""
        default = "required" if self.default is None else f"default {self.default or 'empty'}"
        return f"{self.why} ({self.kind.brief or self.kind.expects}; {default})"
