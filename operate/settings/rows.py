"""A row of the schema: the kind of a setting, its default and its explanation."""

from __future__ import annotations

from msgspec import Struct

from operate.settings.value_types import Kind

REQUIRED = None
"""The default of a key that must be written."""

DAY = 86400.0
MANY = 100_000


class Key(Struct, frozen=True):
    """One row. default: the text as a settings file has it, or REQUIRED. why: one to three plain sentences for the
    shipped settings.ini, which say what the setting does and in which unit."""

    kind: Kind
    default: str | None
    why: str

    def note(self) -> str:
        """The comment above the key in the shipped settings.ini."""
        default = "required" if self.default is None else f"default {self.default or 'empty'}"
        return f"{self.why} ({self.kind.brief or self.kind.expects}; {default})"
