"""docs/settings.md lists every key with its default, as the schema has it; --update writes it anew."""

from __future__ import annotations

import re
from collections.abc import Iterator

from operate.settings import schema
from operate.settings.rows import Key
from tests.support import pages

SECTIONS = {**schema.PLAIN, **{f"{name} NAME": rows for name, rows in schema.NAMED.items()}}


def reference() -> Iterator[str]:
    for section, rows in SECTIONS.items():
        yield f"### `[{section}]`"
        yield ""
        yield from pages.head("key", "default", "value", "what it does")
        yield from (_row(name, key) for name, key in rows.items())
        yield ""


def _row(name: str, key: Key) -> str:
    default = "required" if key.default is None else f"`{key.default}`" if key.default else "empty"
    return pages.row(f"`{name}`", default, _text(key.kind.brief or key.kind.expects), _text(key.why))


def _text(text: str) -> str:
    """Code stays code; all else is plain text."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else pages.plain(part) for part in parts)


def test_the_page_is_current(update: bool) -> None:
    pages.hold("settings.md", __file__, reference(), update)


def test_every_key_is_on_the_page() -> None:
    text = (pages.ROOT / "docs" / "settings.md").read_text()
    missing = [
        (section, key) for section, rows in SECTIONS.items() for key in rows
        if f"| `{key}` |" not in text.partition(f"### `[{section}]`")[2].partition("\n### ")[0]
    ]  # fmt: skip
    assert missing == []
