"""A server's habits change nothing of what a reply says, whatever protocol its client speaks (see habits/)."""

from __future__ import annotations

import pytest

from tests.corpus.habits import judge
from tests.corpus.habits.changes import Event
from tests.corpus.habits.framings import plain
from tests.support import every_way
from translate.target import Protocol


@pytest.mark.parametrize(
    ("protocol", "events"), [pytest.param(p, events, id=f"{p}-{name}") for p, name, events in judge.originals()]
)
def test_a_servers_habits_change_nothing(protocol: Protocol, events: list[Event]) -> None:
    judged = judge.Judge(protocol, plain(events), judge.in_brief)
    assert every_way.problems(protocol, plain(events)) == []
    found = {name: wrong for name, mutant in judge.mutants(protocol, events) if (wrong := judged.problems(mutant))}
    assert found == {}


@pytest.mark.parametrize("protocol", judge.TABLES)
def test_every_habit_changes_something(protocol: Protocol) -> None:
    bases = [events for name, _, events in judge.originals() if name == protocol]
    tried = {name for events in bases for name, _ in judge.mutants(protocol, events)}
    assert set(judge.TABLES[protocol]) - tried == set()
