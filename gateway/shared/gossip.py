"""Gossip: what one worker has learned, the others know within a second, by a feed of the shared store.

A Topic is a small map that each worker has: keys of upstreams that rest, open breakers, learned quirks. Twice a second
a worker reads what has changed in the feed, and writes what has changed in its own maps. No request waits for this, and
the parts that learn know nothing of it. A worker does not repeat what it has heard, unless the store has begun anew:
then everybody tells everything.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from gateway.shared.rounds import Rounds
from gateway.shared.shared import Shared
from gateway.shared.store import Away, Change, News, patiently

log = logging.getLogger("gateway")

EVERY_S = 0.5
FEED = "gossip"
MOVED_S, MOVED_SHARE = 3.0, 0.1  # an entry is told again only if it holds for so much longer than was told
TAKEN_BACK_S = 60.0  # for how long it is told that an entry is gone
MAX_TOLD = 500  # entries in one round


class Entry(NamedTuple):
    """An entry of a topic. left_s: for how long it holds."""

    value: bytes
    left_s: float


class Topic(Protocol):
    @property
    def name(self) -> str: ...

    def entries(self) -> Mapping[str, Entry]:
        """The entries that this worker knows."""

    def hear(self, key: str, entry: Entry) -> None:
        """Another worker knows this."""

    def lose(self, key: str) -> None:
        """It does not hold any more, as another worker knows."""


class Members:
    """The workers that share the store, as a topic."""

    name = "member"

    def __init__(self, shared: Shared, me: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._me = me
        self._clock = clock
        self._others: dict[str, float] = {}  # -> until when
        self.leaves = False

    def __repr__(self) -> str:
        return f"<Members {self._shared.members}>"

    def entries(self) -> Mapping[str, Entry]:
        now = self._clock()
        self._others = {who: until for who, until in self._others.items() if until > now}
        self._shared.members = len(self._others) + 1
        own = {} if self.leaves else {self._me: Entry(b"1", 15.0)}
        return own | {who: Entry(b"1", until - now) for who, until in self._others.items()}

    def hear(self, key: str, entry: Entry) -> None:
        if key != self._me:
            self._others[key] = self._clock() + entry.left_s

    def lose(self, key: str) -> None:
        self._others.pop(key, None)


class Gossip:
    """One worker's part of the gossip. rounds: run it; after the first round, a new worker knows what the others know.
    members: the first of the topics."""

    def __init__(
        self, shared: Shared, me: str, topics: Sequence[Topic], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """me: the name of this worker for the others."""
        self._shared = shared
        self.members = Members(shared, me, clock)
        self._topics = {topic.name: topic for topic in (self.members, *topics)}
        self._clock = clock
        self._version = 0
        self._known: dict[tuple[str, str], tuple[bytes, float]] = {}  # told or heard -> (value, until)
        self._held: set[tuple[str, str]] = set()  # the entries of this worker, in the last round
        self.rounds = Rounds(shared, self._round, functools.partial(asyncio.sleep, EVERY_S), self._leave,
                             "what the other workers know could not be heard")  # fmt: skip

    def __repr__(self) -> str:
        return f"<Gossip {self._version}: {len(self._known)} entries>"

    async def _leave(self) -> None:
        """Tells the others a last time, also that this worker leaves."""
        self.members.leaves = True
        await self._round()

    async def _round(self) -> None:
        if self._shared.away:
            for topic in self._topics.values():
                topic.entries()  # drops what has expired
            return
        try:
            news: News = await patiently(self._shared.store.news(FEED, self._version))
            version, changes = news
            if version < self._version:
                self._known.clear()
            self._version = version
            for change in changes:
                try:
                    self._hear(change)
                except (ValueError, TypeError, KeyError, IndexError, AttributeError) as why:
                    # A proxy of another release may write this entry in another way; its other entries still count.
                    log.warning("what another proxy knows is not understood: %s: %r", change.key[:100], why)
            await self._tell_news()
        except Away as why:
            log.debug("no gossip: %s", why)

    def _hear(self, change: Change) -> None:
        name, _, key = change.key.partition(":")
        topic = self._topics.get(name)
        known = self._known.get((name, key))
        until = self._clock() + change.left_s
        if topic is None or (known is not None and not _is_news(known, change.value, until, self._clock())):
            return
        if change.value:
            topic.hear(key, Entry(change.value, change.left_s))
            self._known[name, key] = change.value, until
        else:
            topic.lose(key)
            self._known.pop((name, key), None)

    async def _tell_news(self) -> None:
        """Writes what this worker knows and the feed does not have."""
        now = self._clock()
        news: dict[tuple[str, str], Entry] = {}
        current = {(name, key): entry for name, topic in self._topics.items() for key, entry in topic.entries().items()}
        for place, entry in current.items():
            known = self._known.get(place)
            if entry.left_s > 0 and (known is None or _is_news(known, entry.value, now + entry.left_s, now)):
                news[place] = entry
        for place in self._held - current.keys():  # what this worker has only heard of, and not taken over, is others'
            _, until = self._known.pop(place, (b"", 0.0))
            if until > now:
                news[place] = Entry(b"", TAKEN_BACK_S)
        self._held = set(current)
        self._known = {place: known for place, known in self._known.items() if known[1] > now}
        told = list(news.items())[:MAX_TOLD]
        store = self._shared.store
        asked = [store.publish(FEED, ":".join(place), entry.value, entry.left_s) for place, entry in told]
        arrived = await asyncio.gather(*map(patiently, asked), return_exceptions=True)
        for (place, entry), version in zip(told, arrived, strict=True):
            if entry.value and not isinstance(version, BaseException):
                self._known[place] = entry.value, now + entry.left_s


def _is_news(known: tuple[bytes, float], value: bytes, until: float, now: float) -> bool:
    value_then, until_then = known
    return value != value_then or until - until_then > max(MOVED_S, MOVED_SHARE * (until - now))
