"""The habits of servers and clients change nothing of what replies and requests say, whatever protocol they cross to
(see habits/)."""

from __future__ import annotations

import json

import pytest

from tests.corpus.habits import judge, requests
from tests.corpus.habits.changes import Event
from tests.corpus.habits.framings import plain
from tests.support import corpus, every_way, losses
from tests.support.house import ONCE, House, one_upstream
from tests.support.script import Answer, Upstream
from translate import pair
from translate.target import Protocol, Target


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


PATHS: dict[Protocol, str] = {
    "messages": "/v1/messages",
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "gemini": "/v1beta/models/m:streamGenerateContent?alt=sse",
}
# Ends that clients of the protocol itself do not know.
NO_END = {"names alone", "snake case"}


@pytest.mark.parametrize("protocol", PATHS)
def test_within_one_protocol_the_bytes_stay(protocol: Protocol) -> None:
    original = next(events for name, base, events in judge.originals() if (name, base) == (protocol, "text"))
    now: list[bytes] = []

    def answer(_: object) -> Answer:
        return Answer.sse(list(corpus.cuts(now[-1], 3)))

    ask = requests.PLAIN[protocol] | ({} if protocol == "gemini" else {"stream": True})
    with Upstream(answer) as up, House(one_upstream(up.url, protocol) + ONCE) as house:
        for name, mutant in judge.mutants(protocol, original):
            if name not in NO_END:
                now.append(mutant)
                status, _, got = house.post(PATHS[protocol], ask)
                assert (name, status, got) == (name, 200, mutant)


REQUESTS = [(protocol, name) for protocol, habits in requests.HABITS.items() for name in habits]


@pytest.mark.parametrize(("protocol", "name"), REQUESTS)
def test_a_clients_habits_change_nothing(protocol: Protocol, name: str) -> None:
    body = requests.written_so(protocol, name)
    assert json.dumps(body) != json.dumps(requests.PLAIN[protocol])
    for upstream in every_way.clients(protocol):
        target = Target(losses.MODEL.get(upstream, "gemini-3-pro"))
        plainly = pair.request(protocol, upstream, requests.PLAIN[protocol], target)
        sent = pair.request(protocol, upstream, body, target)
        assert (json.loads(sent.json()), sent.dropped) == (json.loads(plainly.json()), plainly.dropped)
