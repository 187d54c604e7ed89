"""What one worker has learned, the others know: rests of keys, breakers, faults of clients, quirks, ratios."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.flow.token_counting import Counting
from gateway.limits.blame import Blame
from gateway.limits.breaker import BreakerLimits
from gateway.process import topics
from gateway.refusals.learned_quirks import LearnedQuirks, Quirk
from gateway.routing.balancing import Places
from gateway.routing.router import Router
from gateway.shared.gossip import Gossip
from gateway.shared.memory_store import MemoryStore
from gateway.shared.shared import Shared
from operate.settings.load import read
from translate.counting.token_features import Features

TWO_KEYS = """
[upstream a]
base_url = https://a.example
keys = key-one-0123456789, key-two-0123456789
protocol = chat
[models]
* = a
"""


class Worker:
    """What a worker knows, with its gossip."""

    def __init__(self, name: str, store: MemoryStore, now: list[float], settings: str = TWO_KEYS) -> None:
        def clock() -> float:
            return now[0]

        self.shared = Shared("", "t", None)
        self.shared.store = store
        self.places = Places(BreakerLimits(cooldown=10.0))
        self.router = Router(read(settings, environ={}), None, self.places)
        self.blame, self.quirks, self.counting = Blame(), LearnedQuirks(clock), Counting(clock)

        def router() -> Router:
            return self.router

        self.gossip = Gossip(self.shared, name, [
            topics.Rests(router, self.places, clock), topics.Breakers(router, self.places, clock),
            topics.Faults(self.blame, clock), topics.Quirks(router, self.quirks),
            topics.TokenRatios(router, self.counting),
        ], clock)  # fmt: skip

    def place(self, model: str = "m", key: int = 0) -> Any:
        return self.places.of("a", model, key)


class Fleet:
    def __init__(self, count: int, *settings: str) -> None:
        self.now = [1000.0]
        self.store = MemoryStore(lambda: self.now[0])
        texts = [*settings, *[TWO_KEYS] * count][:count]
        self.workers = [Worker(f"w{n}", self.store, self.now, text) for n, text in enumerate(texts)]

    def talk(self, rounds: int = 2) -> list[Worker]:
        async def all_of_them() -> None:
            for _ in range(rounds):
                for worker in self.workers:
                    await worker.gossip._round()

        asyncio.run(all_of_them())
        return self.workers

    @property
    def version(self) -> int:
        return self.store._version


def test_what_another_worker_has_sent_before_a_refusal_proves_nothing_against_it() -> None:
    fleet = Fleet(2)
    one, two = fleet.talk()
    sent_at = fleet.now[0]
    fleet.now[0] += 1
    one.place("plan").refused(429, 9000.0, fleet.now[0])
    fleet.talk()
    two.place("plan").headroom.works(sent_at)
    fleet.talk(3)
    assert [each.place("plan").headroom.resets_at > fleet.now[0] for each in (one, two)] == [True, True]
    fleet.now[0] += 300
    two.place("plan").headroom.works(fleet.now[0])
    fleet.talk(3)
    assert [each.place("plan").headroom.resets_at for each in (one, two)] == [0.0, 0.0]


def test_they_know_how_many_they_are() -> None:
    fleet = Fleet(3)
    assert [each.shared.members for each in fleet.talk(3)] == [3, 3, 3]
    fleet.now[0] += 10
    assert [each.shared.members for each in fleet.talk(3)] == [3, 3, 3]
    gone = fleet.workers.pop()
    fleet.now[0] += 20
    assert [each.shared.members for each in fleet.talk(3)] == [2, 2], "one has died"
    fleet.workers.append(gone)
    fleet.talk(3)
    gone.gossip.members.leaves = True
    asyncio.run(gone.gossip._round())
    fleet.workers.remove(gone)
    assert [each.shared.members for each in fleet.talk(3)] == [2, 2], "one has left"


def test_a_key_that_was_refused_rests_everywhere_until_it_works_somewhere() -> None:
    fleet = Fleet(3)
    one, two, three = fleet.talk()
    one.place(key=1).refused(401, None, fleet.now[0])
    one.place("busy").refused(429, 20.0, fleet.now[0])
    one.place("plan").refused(429, 9000.0, fleet.now[0])
    one.place("gone").refused(404, None, fleet.now[0])
    one.place("one", 1).refused(429, 9000.0, fleet.now[0], of_key=True)
    fleet.talk()
    for each in (two, three):
        assert each.place("other", 1).key.bad_until == pytest.approx(fleet.now[0] + 300)
        assert each.place(key=0).key.bad_until == 0.0
        assert each.place("busy").headroom.free_at == pytest.approx(fleet.now[0] + 20)
        assert each.place("plan").headroom.resets_at == pytest.approx(fleet.now[0] + 9000)
        assert each.place("gone").tired_until == pytest.approx(fleet.now[0] + 10)
        assert each.place("other", 1).resets_at == pytest.approx(fleet.now[0] + 9000)
    told = fleet.version
    fleet.talk(5)
    assert fleet.version == told, "what was heard is not told again"
    two.place(key=1).key.works()
    fleet.talk(3)
    assert [each.place(key=1).key.bad_until for each in (one, two, three)] == [0.0] * 3
    fleet.now[0] += 60
    fleet.talk(3)
    assert one.place("busy").usable(fleet.now[0])


def test_a_longer_rest_is_told_too() -> None:
    fleet = Fleet(2)
    one, two = fleet.talk()
    one.place().refused(403, None, fleet.now[0])
    fleet.talk()
    one.place().refused(402, None, fleet.now[0])
    fleet.talk()
    assert two.place().key.bad_until == pytest.approx(fleet.now[0] + 900)


def test_an_open_breaker_is_open_for_all_who_know_no_better() -> None:
    fleet = Fleet(3)
    one, two, three = fleet.talk()
    for _ in range(20):
        three.place().breaker.answered(fleet.now[0])
    for _ in range(5):
        one.place().breaker.faulted(fleet.now[0])
    assert one.place().breaker.state == "open"
    fleet.talk()
    assert two.place().breaker.state == "open" and not two.place().usable(fleet.now[0])
    assert three.place().breaker.state == "closed", "its own answers tell more: the fault may be one host's network"
    assert two.place("other").breaker.state == "closed"
    fleet.now[0] += 11
    assert two.place().breaker.allows(fleet.now[0]), "each may probe"
    two.place().breaker.answered(fleet.now[0])
    assert two.place().breaker.state == "closed"


def test_a_breaker_that_closes_early_lets_the_others_try() -> None:
    fleet = Fleet(2)
    one, two = fleet.talk()
    for _ in range(5):
        one.place().breaker.faulted(fleet.now[0])
    fleet.talk()
    one.place().breaker.answered(fleet.now[0], 0)  # one that was sent against its advice
    assert one.place().breaker.state == "closed"
    fleet.talk()
    assert two.place().breaker.would_allow(fleet.now[0])


def test_one_client_at_two_workers_is_one_and_two_clients_are_two() -> None:
    fleet = Fleet(2)
    one, two = fleet.talk()
    one.blame.several = two.blame.several = True
    for each in (one, two):
        assert not each.blame.is_the_upstreams("a/m", "fault", "mallory", fleet.now[0])
    fleet.talk()
    for each in (one, two):
        assert not each.blame.is_the_upstreams("a/m", "fault", "mallory", fleet.now[0]), "still one alone"
    assert two.blame.is_the_upstreams("a/m", "fault", "alice", fleet.now[0]), "the second one, at another worker"
    fleet.talk()
    assert one.blame.is_the_upstreams("a/m", "fault", "mallory", fleet.now[0])
    two.blame.answered("a/m", "fault")
    fleet.talk(3)
    assert not one.blame.is_the_upstreams("a/m", "fault", "mallory", fleet.now[0]), "somebody was answered in between"


def test_quirks_are_known_and_unlearned_everywhere() -> None:
    fleet = Fleet(2)
    one, two = fleet.talk()
    one.quirks.several = two.quirks.several = True
    quirk = Quirk("temperature")
    one.quirks.of_client("alice").learn("a", "m", quirk)
    fleet.talk()
    assert two.quirks.of_client("alice").of("a", "m") == [quirk]
    assert two.quirks.of_client("bob").of("a", "m") == [], "one client alone teaches for itself"
    two.quirks.of_client("bob").learn("a", "m", quirk)
    fleet.talk()
    assert one.quirks.of_client("carol").of("a", "m") == [quirk]
    for client in ("alice", "bob"):
        one.quirks.of_client(client).unlearn("a", "m", [quirk])
    fleet.talk()
    assert two.quirks.of_client("carol").of("a", "m") == []


def test_another_server_of_the_same_name_is_not_meant() -> None:
    fleet = Fleet(2, TWO_KEYS, TWO_KEYS.replace("a.example", "b.example"))
    one, two = fleet.talk()
    one.place().refused(401, None, fleet.now[0])
    one.quirks.learn("a", "m", Quirk("seed"))
    fleet.talk()
    assert two.place().key.bad_until == 0.0 and two.quirks.of("a", "m") == []


def test_the_ratio_of_more_replies_counts() -> None:
    fleet = Fleet(2)
    one, two = fleet.talk()
    for _ in range(5):
        one.counting.ratios.learn("a", "m", False, 1000, 2000)
        one.counting.calibration(("a", "m", "messages")).learn(Features(base=1.0, words=1000.0), 2000)
    two.counting.ratios.learn("a", "m", False, 1000, 500)
    fleet.talk(3)
    assert two.counting.ratios.of("a", "m", quick=False) == one.counting.ratios.of("a", "m", quick=False) > 1.5
    heard = two.counting.calibration(("a", "m", "messages"))
    assert heard.seen == 5 and heard.count(Features(base=1.0, words=1000.0)) == pytest.approx(2000, rel=0.02)


def test_a_store_that_began_anew_is_told_all() -> None:
    fleet = Fleet(2)
    one, _ = fleet.talk()
    one.place().refused(401, None, fleet.now[0])
    fleet.talk()
    fleet.store.close()
    fleet.store._version = 0
    newcomer = Worker("new", fleet.store, fleet.now)
    fleet.workers.append(newcomer)
    fleet.talk(3)
    assert newcomer.place().key.bad_until == pytest.approx(fleet.now[0] + 300)
    assert newcomer.shared.members == 3


def test_what_is_not_understood_is_left_out_and_the_rest_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    fleet = Fleet(2)
    one, two = fleet.talk()

    async def odd() -> None:
        keys = "rest:no json", "rest:[1]", 'quirk:["a"]', "ratio:[1, 2, 3]", 'ratio:["a@x", "m", true]', "other:x", ""
        for key in keys:
            await fleet.store.publish("gossip", key, b"\xff", 60)
        one.place().refused(401, None, fleet.now[0])
        await one.gossip._tell_news()
        await two.gossip._round()

    asyncio.run(odd())
    assert two.place().key.bad_until == pytest.approx(fleet.now[0] + 300), "all in one round"
    assert "not understood" in caplog.text
