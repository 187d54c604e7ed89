"""What README.md and docs/ name is there: files that they link to, commands that they tell, settings that they show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from console import commands
from operate.settings.load import read

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
HEADINGS = (
    "Endpoints",
    "Fallback and retries",
    "Dashboard",
    "Environment variables",
    "Shutdown and workers",
    "Troubleshooting",
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            found = (page.parent / target).resolve()
            assert found.exists() and ROOT in found.parents, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_one(page: Path) -> None:
    known = commands.COMMANDS.keys() | commands.DEVELOPERS.keys()
    told = set(re.findall(r"\./run\.sh ([a-z][a-z-]+)", page.read_text()))
    assert told <= known, told - known


def test_the_readme_has_what_people_look_for_and_stays_short() -> None:
    text = (ROOT / "README.md").read_text()
    assert all(f"\n## {heading}\n" in text for heading in HEADINGS)
    assert len(text.split()) < 1300 and "../" not in text


def test_the_readmes_settings_are_taken() -> None:
    blocks = re.findall(r"```ini\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    shipped = (ROOT / "settings.ini").read_text()
    for block in blocks:
        assert read(block + "[upstream demo]\nprotocol = chat\nbase_url = demo:\n", environ={}).upstreams
    assert "[upstream ollama]" not in re.sub(r"(?m)^#.*$", "", shipped)
