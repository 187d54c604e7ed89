"""What CONTRIBUTING.md and the glossary name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:[\w.]+/)+[\w.]*|[\w]+\.(?:py|ini|md))`", CONTRIBUTING)) - {"translate/NAME/"})
SIBLINGS = {name for name in NAMED if re.fullmatch(r"\w+\.py", name) and name != "proxy.py"}  # of a protocol's package


@pytest.mark.parametrize("name", [name for name in NAMED if name not in SIBLINGS])
def test_every_file_that_contributing_names_is_there(name: str) -> None:
    assert (ROOT / name).exists()


def test_a_protocol_has_the_files_that_contributing_names() -> None:
    assert SIBLINGS and all((ROOT / "translate/chat" / name).exists() for name in SIBLINGS)


def test_contributing_walks_through_five_changes() -> None:
    assert len(re.findall(r"^## \d\. ", CONTRIBUTING, re.MULTILINE)) == 5


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)[2:]
    assert len(rows) > 40 and rows == sorted(set(rows), key=str.lower)
