"""What README.md and docs/ name is there: files that they link to, commands that they tell, settings that they show."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from console import commands
from gateway.limits import retry_policy
from operate.settings.load import read
from tests.support.house import House

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
TWICE = 12  # words in a row that two places have by no chance


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
    assert len(text.split()) <= 940
    assert not re.search(r"\.\./|file://|(?<![\w.:/])/(?:etc|opt|home|root|usr|var|tmp)/", text)


def test_the_readmes_curl_is_answered_as_it_says() -> None:
    text = (ROOT / "README.md").read_text()
    asked = re.search(r"curl -s http://127.0.0.1:8082(\S+) .*?-d '(.*?)'\n", text, re.DOTALL)
    told = re.search(r"```json\n(.*?)\n```", text, re.DOTALL)
    assert asked and told
    with House((ROOT / "settings.ini").read_text()) as house:
        status, _, answer = house.post(asked.group(1), json.loads(asked.group(2)))
    assert status == 200 and json.loads(answer) == json.loads(told.group(1))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_folder_of_tests_and_every_module_that_is_told_is_there(page: Path) -> None:
    text = page.read_text()
    told = set(re.findall(r"(?<![\w/])(?:tests|deploy|console|operate|translate)/[\w/.]*\w", text))
    told |= {name.replace(".", "/") + ".py" for name in re.findall(r"python -m (tests[\w.]+)", text)}
    missing = {name for name in told if not (ROOT / name).exists() and not (ROOT / name.removesuffix(".py")).exists()}
    assert not missing


def test_every_claim_has_a_command() -> None:
    rows = [line for line in (ROOT / "docs/claims.md").read_text().splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 12
    assert all("`" in row.split(" | ")[1] or "performance.md" in row for row in rows)


def test_the_environment_variables_are_those_of_the_shipped_file() -> None:
    live = re.sub(r"(?m)^#.*$", "", (ROOT / "settings.ini").read_text())
    page = (ROOT / "docs/settings.md").read_text().partition("## Environment variables")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([A-Z_]+)`", page)) == set(re.findall(r"\$\{([A-Z_]+)", live))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_place_on_a_page_that_is_linked_to_is_there(page: Path) -> None:
    for target, place in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        other = (page.parent / target) if target else page
        headings = re.findall(r"(?m)^#+ (.*)$", other.read_text())
        there = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert place in there, (target, place)


def test_the_readmes_settings_are_taken() -> None:
    blocks = re.findall(r"```ini\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    shipped = (ROOT / "settings.ini").read_text()
    for block in blocks:
        assert read(block + "[upstream demo]\nprotocol = chat\nbase_url = demo:\n", environ={}).upstreams
    assert "[upstream ollama]" not in re.sub(r"(?m)^#.*$", "", shipped)


def test_the_statuses_after_which_there_is_another_attempt_are_told() -> None:
    told = (ROOT / "docs" / "upstreams.md").read_text().partition("## A proxy before a proxy")[0]
    statuses = retry_policy.UNWORKED | retry_policy.ELSEWHERE
    assert {status for status in statuses if not re.search(rf"\b{status}\b", told)} == set()


def test_the_fields_of_a_record_are_those_of_the_table() -> None:
    code = (ROOT / "gateway/observe/record.py").read_text()
    fields = set(re.findall(r'^\s+(?:said\[)?"([\w.]+)"[\]:]', code, re.MULTILINE)) - {"time"}
    table = (ROOT / "docs/operations.md").read_text().partition("The fields of a record")[2].partition("</details>")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    assert len(fields) > 40 and told == fields


def test_the_changes_are_whole_sentences_and_none_is_told_twice() -> None:
    """A merge that keeps the lines of both sides leaves a changed one there beside the one before."""
    newest = (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1]
    told = [" ".join(each.split()) for each in re.findall(r"(?m)^- (.*(?:\n  .*)*)", newest)]
    assert [each for each in told if not each.endswith(".")] == []
    words = [word for each in told for word in [*each.split(), ""]]
    runs = Counter(tuple(words[at : at + TWICE]) for at in range(len(words) - TWICE + 1))
    assert [" ".join(run) for run, times in runs.items() if times > 1] == []
