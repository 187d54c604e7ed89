"""Where a request goes: stages, sessions that stay, load that spreads, places that are better left alone."""

from __future__ import annotations

import collections
import gc
import math
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.limits.breaker import Breaker, BreakerLimits
from gateway.limits.rate_limit import PROBE_S
from gateway.routing import balancing
from gateway.routing.balancing import (
    BAD_KEY_S,
    MIN_SAMPLES,
    NO_CREDIT_S,
    REVOKED_S,
    SAMPLES,
    TIRED_S,
    KeyState,
    Place,
    Places,
    order,
)

NOW = 1000.0


@dataclass(frozen=True)
class Route:
    place: Place
    stage: int = 0
    weight: float = 1.0


def place(name: str, ms: float = 0.0, busy: int = 0) -> Place:
    made = Place(name, Breaker(BreakerLimits(consecutive=1)), KeyState())
    if ms:
        made.first_byte(ms, NOW)
    made.busy = busy
    return made


def names(routes: list[Route]) -> str:
    return "".join(route.place.name for route in routes)


def spread(routes: list[Route], count: int = 4000, now: float = NOW) -> dict[str, float]:
    """Which share of requests without a session goes to each first."""
    rng = random.Random(7)
    found = collections.Counter(order(routes, "", now, rng)[0].place.name for _ in range(count))
    return {name: times / count for name, times in sorted(found.items())}


# -------------------------------------------------------------------------------------------------- usable


def broken(made: Place) -> None:
    made.breaker.faulted(NOW)


def refused(status: int, retry_after: float | None = None) -> object:
    return lambda made: made.refused(status, retry_after, NOW)


def learned(made: Place) -> None:
    made.headroom.learn([("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "20s")], NOW, 1.7e9)


UNUSABLE = [
    (broken, BreakerLimits().cooldown),
    (refused(401), REVOKED_S),
    (refused(402), NO_CREDIT_S),
    (lambda made: made.refused(429, None, NOW, no_credit=True), NO_CREDIT_S),
    (refused(403), BAD_KEY_S),
    (refused(404), TIRED_S),
    (refused(404, 3.0), TIRED_S),
    (refused(429), TIRED_S),
    (refused(429, 3.0), 3.0),
    (refused(429, 1e300), PROBE_S),
    (refused(503, 3.0), 3.0),
    (refused(529, 3.0), 3.0),
    (learned, 20.0),
]


@pytest.mark.parametrize(("happens", "seconds"), UNUSABLE)
def test_unusable_for_a_while(happens: object, seconds: float) -> None:
    made = place("a")
    happens(made)  # type: ignore[operator]
    assert made.usable_at() == NOW + seconds
    assert not made.usable(NOW) and not made.usable(NOW + seconds - 0.01) and made.usable(NOW + seconds)


@pytest.mark.parametrize(("status", "retry_after"), [(400, 5.0), (500, 5.0), (503, None), (529, None)])
def test_other_refusals_say_nothing(status: int, retry_after: float | None) -> None:
    made = place("a")
    made.refused(status, retry_after, NOW)
    assert made.usable(NOW) and made.usable_at() <= NOW


def test_a_shorter_wait_takes_nothing_back() -> None:
    made = place("a")
    made.refused(429, 30.0, NOW)
    made.refused(429, 1.0, NOW + 1)
    assert made.usable_at() == NOW + 30


def test_what_is_shared() -> None:
    """The breaker among the keys of a model, a key's name among its models, limits with nobody."""
    places = Places(BreakerLimits(consecutive=1))
    at = {(model, key): places.of("up", model, key) for model in "xy" for key in (0, 1)}
    elsewhere = places.of("other", "x", 0)
    assert places.of("up", "x", 0) is at["x", 0] and len(list(places)) == 5
    assert [made.name for made in at.values()] == ["up/x", "up/x (key 2)", "up/y", "up/y (key 2)"]

    def usable() -> list[tuple[str, int]]:
        assert elsewhere.usable(NOW)
        return [which for which, made in at.items() if made.usable(NOW)]

    at["x", 0].refused(429, 5.0, NOW - 5)
    at["x", 0].refused(429, None, NOW - 1)
    assert usable() == [("x", 1), ("y", 0), ("y", 1)]
    at["x", 1].breaker.faulted(NOW)
    assert usable() == [("y", 0), ("y", 1)]
    at["x", 1].refused(401, None, NOW)
    assert usable() == [("y", 0)]


# --------------------------------------------------------------------------------------------------- order


def test_stages_in_order_and_within_each_by_load() -> None:
    routes = [Route(place("a", 900)), Route(place("b", 100)), Route(place("c", 1), stage=1),
              Route(place("d", 800), stage=3), Route(place("e", 400), stage=3)]  # fmt: skip
    for session in ("", "s"):
        seen = {names(order(routes, session, NOW, random.Random(seed))) for seed in range(50)}
        assert all(set(got[:2]) == {"a", "b"} and got[2] == "c" and set(got[3:]) == {"d", "e"} for got in seen)
        assert len(seen) == 1 and (session or seen == {"baced"})


def test_those_better_left_alone_are_left_out() -> None:
    routes = [Route(place("a")), Route(place("b")), Route(place("c"), stage=1)]
    broken(routes[0].place)
    routes[2].place.refused(429, None, NOW)
    assert names(order(routes, "", NOW, random.Random(1))) == "b"
    assert names(order(routes, "s", NOW, random.Random(1))) == "b"
    assert set(names(order(routes, "s", NOW + 20, random.Random(1)))) == set("abc")


@pytest.mark.parametrize("session", ["", "s"])
def test_the_last_one_left_is_asked_all_the_same(session: str) -> None:
    """Then all are, in order; one that asked for some time last. A breaker never leaves a request without a target."""
    routes = [Route(place("a")), Route(place("b")), Route(place("c"), stage=1)]
    routes[0].place.refused(401, None, NOW)
    routes[1].place.refused(429, 7.0, NOW)
    broken(routes[2].place)
    assert names(order(routes, session, NOW, random.Random(1))) == "cab"
    assert names(order(routes[:2], session, NOW, random.Random(1))) == "ab"
    assert names(order(routes[:1], session, NOW, random.Random(1))) == "a"
    routes[0] = Route(place("d"))
    routes[0].place.refused(429, 9000.0, NOW)
    assert names(order(routes, session, NOW, random.Random(1))) == "dcb"
    routes[2].place.refused(401, None, NOW)
    assert names(order(routes, session, NOW, random.Random(1))) == "cdb"


# ------------------------------------------------------------------------------------------------- sessions


def homes(routes: list[Route], count: int = 3000) -> list[str]:
    rng = random.Random(0)
    return [order(routes, f"session {number}", NOW, rng)[0].place.name for number in range(count)]


def test_a_session_stays_whatever_the_load() -> None:
    routes = [Route(place(name)) for name in "abcd"]
    before = homes(routes)
    for busy, route in enumerate(routes):
        route.place.busy = busy * 10
        route.place.first_byte(5000.0 / (busy + 1), NOW)
    assert homes(list(reversed(routes))) == before


def test_only_the_sessions_of_a_lost_place_move_and_they_come_back() -> None:
    routes = [Route(place(name)) for name in "abcd"]
    before = homes(routes)
    broken(routes[1].place)
    during = homes(routes)
    assert all(now == was for was, now in zip(before, during, strict=True) if was != "b")
    moved = collections.Counter(now for was, now in zip(before, during, strict=True) if was == "b")
    assert set(moved) == set("acd") and min(moved.values()) > 0.2 * sum(moved.values()), "shared out among the others"
    routes[1].place.breaker.answered(NOW, 0)
    assert homes(routes) == before


@pytest.mark.parametrize("weights", [(1, 1, 1), (3, 1, 1), (0.5, 0.25, 0.25), (10, 1, 0.1)])
def test_sessions_are_shared_out_by_weight(weights: tuple[float, ...]) -> None:
    routes = [Route(place(name), weight=weight) for name, weight in zip("abc", weights, strict=True)]
    found = collections.Counter(homes(routes))
    for name, weight in zip("abc", weights, strict=True):
        assert found[name] / 3000 == pytest.approx(weight / sum(weights), abs=0.035)


@given(st.text(max_size=20), st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6))
@settings(max_examples=50)
def test_any_session_and_weights(session: str, weights: list[float]) -> None:
    routes = [Route(place(str(number)), weight=weight) for number, weight in enumerate(weights)]
    got = order(routes, session, NOW, random.Random(1))
    assert sorted(route.place.name for route in got) == [str(number) for number in range(len(weights))]


def test_a_session_that_is_no_proper_text() -> None:
    assert len(order([Route(place("a")), Route(place("b"))], "\ud800", NOW, random.Random(1))) == 2


# ----------------------------------------------------------------------------------------------------- load


def test_the_quicker_of_two() -> None:
    assert spread([Route(place("a", 900)), Route(place("b", 300))]) == {"b": 1.0}
    assert spread([Route(place("a", 300, busy=3)), Route(place("b", 900))]) == {"b": 1.0}
    assert spread([Route(place("a", 300, busy=1)), Route(place("b", 900))]) == {"a": 1.0}


def test_two_random_choices_among_many() -> None:
    """The worst is never first; nor does the best get all, which would swamp it between two measurements."""
    shares = spread([Route(place(name, ms)) for name, ms in zip("abcd", (100, 200, 300, 400), strict=True)])
    assert "d" not in shares
    assert shares["a"] == pytest.approx(1 / 2, abs=0.05)
    assert shares["b"] == pytest.approx(1 / 3, abs=0.05)
    assert shares["c"] == pytest.approx(1 / 6, abs=0.05)


def test_equals_share_by_chance() -> None:
    assert spread([Route(place("a", 300)), Route(place("b", 300))])["a"] == pytest.approx(0.5, abs=0.05)


def test_weight_is_a_share_of_the_load() -> None:
    """Two equal places, thirty requests at once: three to one."""
    routes = [Route(place("a", 300), weight=3), Route(place("b", 300), weight=1)]
    rng = random.Random(1)
    for _ in range(32):
        order(routes, "", NOW, rng)[0].place.busy += 1
    assert [route.place.busy for route in routes] == [pytest.approx(24, abs=1), pytest.approx(8, abs=1)]


@pytest.mark.parametrize("seen", ["never", "long ago"])
def test_a_place_that_nobody_knows_is_tried_by_one_and_not_by_all(seen: str) -> None:
    known, other = place("a", 100), place("b")
    if seen == "long ago":
        other.first_byte(5000.0, NOW - 1000 * balancing.MEMORY_S)
    routes, rng = [Route(known), Route(other)], random.Random(1)
    for _ in range(9):
        order(routes, "", NOW, rng)[0].place.busy += 1
    assert (known.busy, other.busy) == (8, 1)


def test_an_average_fades() -> None:
    made = place("a", 1000)
    costs = [made.cost(NOW + seconds) for seconds in (0, 30, 60, 600, 1e9)]
    assert costs == sorted(costs, reverse=True) and costs[0] == 1001 and costs[-1] == 1.0


@given(st.lists(st.floats(0, 1e7), max_size=200), st.integers(0, 50), st.floats(0, 1e9))
@settings(max_examples=50)
def test_cost_is_a_number(times: list[float], busy: int, later: float) -> None:
    made = place("a")
    for ms in times:
        made.first_byte(ms, NOW)
    made.busy = busy
    assert 0 < made.cost(NOW + later) < math.inf
    made.busy += 1
    assert made.cost(NOW + later) >= 1


def test_the_p95_is_of_the_last_answers_only() -> None:
    made = place("a")
    assert made.p95_ms() is None
    for _ in range(MIN_SAMPLES - 1):
        made.first_byte(9999.0, NOW)
    assert made.p95_ms() is None
    made.first_byte(9999.0, NOW)
    assert made.p95_ms() == 9999.0
    for ms in random.Random(1).sample(range(SAMPLES), SAMPLES):
        made.first_byte(float(ms), NOW)
    assert made.p95_ms() == 60.0


# --------------------------------------------------------------------------------------------------- bounds


def test_made_up_models_push_out_the_one_that_was_longest_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancing, "MAX_PLACES", 50)
    places = Places(BreakerLimits(consecutive=1))
    used = places.of("up", "real", 0)
    used.breaker.faulted(NOW)
    for number in range(1000):
        places.of("up", f"made up {number}", 0)
        assert places.of("up", "real", 0) is used
    assert len(list(places)) == 50
    gc.collect()
    assert len(places._breakers) == 50 and len(places._keys) == 1


def test_a_thousand_keys_are_remembered_for_several_models() -> None:
    """Which of them rest would be forgotten with the next model otherwise, and they would be asked again."""
    places = Places(BreakerLimits())
    for model in range(8):
        for key in range(1000):
            places.of("up", f"m{model}", key).headroom.free_at = NOW + key
    assert all(places.of("up", f"m{model}", key).headroom.free_at for model in range(8) for key in range(1000))


def test_a_breaker_lives_as_long_as_a_place_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancing, "MAX_PLACES", 2)
    monkeypatch.setattr(balancing, "MODELS_OF_A_KEY", 0)
    places = Places(BreakerLimits(consecutive=1))
    first, second = places.of("up", "m", 0), places.of("up", "m", 1)
    second.breaker.faulted(NOW)
    places.of("up", "m", 2)
    assert places.of("up", "m", 0).breaker is first.breaker, "pushed out, while the others stay"
