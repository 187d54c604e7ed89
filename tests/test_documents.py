"""What CONTRIBUTING.md, the glossary and the words in the code name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from operate.version import VERSION
from translate import dialects

ROOT = Path(__file__).resolve().parent.parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:[\w.]+/)+[\w.]*|[\w]+\.(?:py|ini|md))`", CONTRIBUTING)) - {"translate/NAME/"})
PROGRAM = ("proxy.py", "bundle", "conformance", "console", "demo", "gateway", "operate", "translate", "upstream")
THEIRS = {  # files of the SDKs
    *("message_create_params.py", "response_create_params.py", "_pydantic.py", "_transform.py"),
    *("chat_completion_message.py", "text_citation.py", "response_output_text.py"),
}
MADE = {"__main__.py"}  # by the bundle
SIBLINGS = {name for name in NAMED if re.fullmatch(r"\w+\.py", name) and name != "proxy.py"}  # of a protocol's package


MAPS = [
    path
    for name in ("console", "demo", "gateway", "operate", "translate", "upstream")
    for path in sorted((ROOT / name).rglob("__init__.py"))
    if path.parent.name not in dialects.names()  # what files of a protocol are for, translate/__init__.py says
]


@pytest.mark.parametrize("page", MAPS, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_the_first_page_of_a_folder_names_all_that_is_in_it(page: Path) -> None:
    inside = [path for path in page.parent.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    there = {path.stem for path in inside} - {"__init__"}
    assert there - set(re.findall(r"\w+", page.read_text())) == set()


@pytest.mark.parametrize("name", [name for name in NAMED if name not in SIBLINGS])
def test_every_file_that_contributing_names_is_there(name: str) -> None:
    assert (ROOT / name).exists()


def test_every_file_that_the_code_speaks_of_is_there() -> None:
    files = [path for name in PROGRAM for path in [ROOT / name, *(ROOT / name).rglob("*.py")] if path.is_file()]
    own = {path.name for path in files} | THEIRS | MADE
    spoken_of = [
        (path.relative_to(ROOT), name.rpartition("/")[2])
        for path in files
        for name in re.findall(r"(?<![\w./{}-])(?:\w+/)*\w+\.py\b", path.read_text())
    ]
    assert len(spoken_of) > 50
    assert [(path, name) for path, name in spoken_of if name not in own] == []


def test_a_protocol_has_the_files_that_contributing_names() -> None:
    assert SIBLINGS and all((ROOT / "translate/chat" / name).exists() for name in SIBLINGS)


def test_contributing_walks_through_five_changes() -> None:
    assert len(re.findall(r"^## \d\. ", CONTRIBUTING, re.MULTILINE)) == 5


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    """In each of its tables: the words, and the older names of the code."""
    text = (ROOT / "docs/glossary.md").read_text()
    tables = [re.findall(r"^\| ([^|]+) \|", part, re.MULTILINE)[2:] for part in re.split(r"\n\n(?!\|)", text)]
    assert sum(map(len, tables)) > 40
    assert [rows for rows in tables if rows != sorted(set(rows), key=lambda word: word.strip("`").lower())] == []


def test_the_changes_tell_each_version_and_what_to_do_at_an_upgrade() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    parts = re.split(r"(?m)^## ", text)[1:]
    names = [part.split()[0] for part in parts]
    assert names[0] == "Unreleased" and names[1] == VERSION
    numbers = [tuple(map(int, name.split("."))) for name in names[1:]]
    assert numbers == sorted(numbers, reverse=True)
    for part, before in zip(parts, names[1:], strict=False):
        assert f"\n### To upgrade from {before}\n" in part


def test_the_version_is_said_in_one_place() -> None:
    files = [path for name in PROGRAM for path in [ROOT / name, *(ROOT / name).rglob("*.py")] if path.is_file()]
    assert [path for path in files if f'"{VERSION}"' in path.read_text()] == [ROOT / "operate/version.py"]
    assert VERSION not in (ROOT / "pyproject.toml").read_text()
