"""What a mutant says to the clients of all protocols, beside what its original says; and whether that is legal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from tests.corpus.habits import of_chat, of_gemini, of_messages, of_responses
from tests.corpus.habits.bases import BASES
from tests.corpus.habits.changes import Change, Event
from tests.corpus.habits.framings import FRAMINGS, plain
from tests.support import every_way, meaning
from tests.support.meaning import Meaning
from translate.target import Protocol

Way = tuple[str, bytes, bool]
Ways = Callable[[Protocol, Protocol, bytes, bool], Iterator[Way]]
TABLES: dict[Protocol, dict[str, Change]] = {
    "chat": of_chat.STREAMS,
    "messages": of_messages.STREAMS,
    "responses": of_responses.STREAMS,
    "gemini": of_gemini.STREAMS,
}


def mutants(protocol: Protocol, events: list[Event]) -> Iterator[tuple[str, bytes]]:
    """Every mutant of a stream, with its name; not where there is nothing to change."""
    original = plain(events)
    for name, change in TABLES[protocol].items():
        try:
            mutant = plain(change([(event, json.loads(json.dumps(data))) for event, data in events]))
        except (LookupError, TypeError, ValueError, AttributeError):
            continue  # it has not what would be changed
        if mutant != original:
            yield name, mutant
    for name, framed in FRAMINGS.items():
        yield f"framing: {name}", framed(events)


class Judge:
    """Holds mutants of one stream against it. ways: those of every_way, or fewer of them."""

    def __init__(self, protocol: Protocol, original: bytes, ways: Ways) -> None:
        self._protocol, self._ways = protocol, ways
        self._said: dict[tuple[Protocol, str], Meaning] = {}
        self._replies: set[tuple[Protocol, bytes]] = set()  # that need not be looked at again
        for client, way, reply, is_stream in self._all(original):
            self._said[client, way] = _read(client, reply, is_stream)
            self._replies.add((client, reply))

    def _all(self, raw: bytes) -> Iterator[tuple[Protocol, str, bytes, bool]]:
        for client in every_way.clients(self._protocol):
            for way, reply, is_stream in self._ways(client, self._protocol, raw, True):
                yield client, way, reply, is_stream

    def problems(self, mutant: bytes) -> list[str]:
        """What is wrong with a mutant, in words."""
        found = []
        for client, way, reply, is_stream in self._all(mutant):
            if (client, reply) not in self._replies:
                here = _read(client, reply, is_stream)
                wrong = [f"{each} {here.error}" for each in meaning.differences(self._said[client, way], here)]
                wrong += every_way.against(client, reply, is_stream)
                found += [f"{client}, {way}: {each}" for each in wrong]
                if not wrong:
                    self._replies.add((client, reply))
        return found


def _read(client: Protocol, reply: bytes, is_stream: bool) -> Meaning:
    return every_way.READ[client](reply if is_stream else json.loads(reply))


def in_brief(client: Protocol, upstream: Protocol, raw: bytes, streamed: bool) -> Iterator[Way]:
    """Two ways that have the least in common."""
    yield "in small pieces", every_way.stream(client, upstream, [raw[i : i + 7] for i in range(0, len(raw), 7)]), True
    yield "whole of a stream", every_way.whole(client, upstream, raw, True), False


def originals() -> Iterator[tuple[Protocol, str, list[Event]]]:
    for protocol, bases in BASES.items():
        for name, events in bases.items():
            yield protocol, name, events
