"""`python -m tests.corpus.habits`: every mutant of every stream, the recorded ones, too, to the clients of all
protocols, in every way that a reply may come. Minutes; prints what is wrong, and how many were tried."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.corpus.habits import judge
from tests.corpus.habits.changes import Event
from tests.corpus.habits.framings import plain
from tests.support import corpus, every_way, losses, mutate
from translate.target import Protocol

MOST_BYTES = 20_000


def recorded() -> Iterator[tuple[Protocol, str, list[Event]]]:
    for protocol, api in losses.API.items():
        for exchange in corpus.exchanges(api, lambda e: 0 < len(e.sse) <= MOST_BYTES and "n>1" not in e.features):
            yield protocol, exchange.id, mutate.parse(exchange.sse)


def main() -> int:
    tried = wrong = 0
    for protocol, name, events in [*judge.originals(), *recorded()]:
        judged = judge.Judge(protocol, plain(events), every_way.ways)
        for mutation, mutant in judge.mutants(protocol, events):
            tried += 1
            if found := judged.problems(mutant):
                wrong += 1
                print(f"{protocol} {name}, {mutation}:", *found[:3], sep="\n    ")
    print(f"{tried} mutants, {wrong} of them with something wrong")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
