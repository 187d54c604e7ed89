"""docs/protocols.md says what translates to what: held against the ledger, which is held against the translators.

A name in backticks that the ledger knows must become something, or come of something, as the table has it; a field that
the ledger maps must be named; and what the text calls left out or refused must be that.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from translate import dialects
from translate.fields.ledger import LedgerRow
from translate.target import Protocol

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "protocols.md").read_text()
SECTION = PAGE.partition("### What translates to what")[2].partition("\n## ")[0]
TABLE = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in SECTION.partition("| Messages | Chat Completions | remarks |")[2].split("\n\n")[0].splitlines()[2:]
]
NOTHING_TO_SAY = {"model", "messages", "stream", "input"}  # every request has them
OLD = {"functions", "function_call", "safety_identifier"}  # earlier or later names of what is named
SAID_OF_REPLIES = {"`thinking` blocks", "`stop_reason`"}  # the ledger is of requests


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([\w.]+)`", cell))


def rows(client: Protocol, upstream: Protocol, name: str) -> list[LedgerRow]:
    """Whatever the ledger knows by that name: a field, a role, a block, a tool."""
    head = name.partition(".")[0]
    known = dialects.of(client).words.ledger.rows(upstream)
    return [row for key, row in known.items() if head in (key, key.partition(":")[2])]


def words(found: list[LedgerRow]) -> set[str]:
    return {word for row in found for word in re.findall(r"[\w.]+", row.note)}


def test_the_table_is_read() -> None:
    assert len(TABLE) > 15 and all(len(cells) >= 2 for cells in TABLE)


@pytest.mark.parametrize("cells", TABLE, ids=lambda cells: cells[0][:30])
def test_what_the_table_names_crosses(cells: list[str]) -> None:
    ours: tuple[tuple[int, Protocol, Protocol], ...] = ((0, "messages", "chat"), (1, "chat", "messages"))
    for column, client, upstream in ours:
        other = words([row for row in dialects.of(upstream).words.ledger.rows(client).values() if row.fate == "mapped"])
        for name in names(cells[column]):
            found = rows(client, upstream, name)
            crosses = any(row.fate in ("mapped", "carried") for row in found)
            assert crosses or not found or name in other, f"{name}: {found}"


@pytest.mark.parametrize("cells", TABLE, ids=lambda cells: cells[0][:30])
def test_both_sides_of_a_row_belong_together(cells: list[str]) -> None:
    left, right = names(cells[0]), names(cells[1])
    there = [row for name in left for row in rows("messages", "chat", name)]
    back = [row for name in left | right for row in rows("chat", "messages", name)]
    if not there or not right or cells[0] in SAID_OF_REPLIES:
        return
    heads = {name.partition(".")[0] for name in left}
    same = left & right and any(row.fate == "carried" for row in there)
    assert same or words(there) & right or words(back) & (left | heads), cells[:2]


@pytest.mark.parametrize(("client", "upstream"), [("messages", "chat"), ("chat", "messages")])
def test_every_field_that_becomes_another_one_is_named(client: Protocol, upstream: Protocol) -> None:
    named = {part for name in names(SECTION) for part in (name, name.partition(".")[0])}
    known = dialects.of(client).words.ledger.rows(upstream).items()
    mapped = {name for name, row in known if row.fate == "mapped" and ":" not in name}
    assert mapped - named - NOTHING_TO_SAY - OLD == set()


@pytest.mark.parametrize(
    ("client", "upstream", "name", "fate"),
    [
        ("messages", "chat", "top_k", "dropped"),
        ("chat", "messages", "logprobs", "dropped"),
        ("chat", "messages", "n", "refused"),
        ("responses", "messages", "conversation", "refused"),
        ("responses", "chat", "prompt", "refused"),
        ("responses", "chat", "background", "refused"),
        ("responses", "chat", "item_reference", "refused"),
    ],
)
def test_what_the_text_says_of_the_rest(client: Protocol, upstream: Protocol, name: str, fate: str) -> None:
    assert f"`{name}`" in SECTION
    assert [row.fate for row in rows(client, upstream, name)] == [fate]
