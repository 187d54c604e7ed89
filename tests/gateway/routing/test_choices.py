"""One of many keys is chosen as of few, and not all are looked at for it."""

from __future__ import annotations

import collections
import random
import time
from typing import Any

import pytest

from gateway.routing.balancing import DRAWS, FAVOURITES, MANY, Choices, Place, order
from tests.gateway.routing.test_balancing import NOW, Route, place
from tests.support.house import House
from tests.support.script import Answer, Request, Upstream
from tests.support.two_upstreams import ASK, PATH, QUICK, error, house_text, said, says, section

KEYS = [f"sk-{number:03}-0123456789" for number in range(2 * MANY)]


def many(count: int = 2 * MANY, **more: Any) -> list[Route]:
    return [Route(place(f"p{number}"), **more) for number in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_a_session_has_the_place_that_all_of_them_would_give_it(seed: int) -> None:
    rng, choices = random.Random(seed), Choices()
    routes = [Route(place(f"p{number}"), weight=rng.choice((1.0, 2.0, 0.5))) for number in range(2 * MANY)]
    for session in ("a", "b", "\ud800", "a"):
        resting = rng.sample(routes, rng.randrange(len(routes)))
        for route in routes:
            route.place.tired_until = NOW + 9 if route in resting else 0.0
        two = choices.two(routes, session, NOW, rng)
        if len(resting) <= FAVOURITES - 2:
            assert len(two) == 2
        assert [id(each) for each in two] == [id(each) for each in order(routes, session, NOW, rng)[: len(two)]]


def test_without_a_session_the_weights_decide_and_who_rests_is_left_out() -> None:
    rng, choices = random.Random(3), Choices()
    routes = [Route(place(f"p{number}"), weight=3.0 if number < 10 else 1.0) for number in range(40)]
    for route in routes[-20:]:
        route.place.tired_until = NOW + 9
    found = collections.Counter[str]()
    for _ in range(4000):
        two = choices.two(routes, "", NOW, rng)
        if len(two) == 2:
            found[two[0].place.name] += 1
    heavy = sum(found[route.place.name] for route in routes[:10])
    assert 0.71 < heavy / sum(found.values()) < 0.79 and sum(found.values()) > 3900
    assert found.keys() == {route.place.name for route in routes[:20]}


def test_the_quicker_of_the_two_is_first() -> None:
    routes, choices = many(), Choices()
    for route in routes[::2]:
        route.place.first_byte(900.0, NOW)
    firsts = [choices.two(routes, "", NOW, random.Random(seed))[0] for seed in range(400)]
    assert sum(route.place.average_ms > 0 for route in firsts) < 140, "a quarter, where chance decides"


def test_few_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    usable = Place.usable

    def counted(self: Place, now: float) -> bool:
        looked.append(self.name)
        return usable(self, now)

    monkeypatch.setattr(Place, "usable", counted)
    routes, choices, rng = many(1000), Choices(), random.Random(1)
    for session in ("", "s", "", "s"):
        looked.clear()
        assert len(choices.two(routes, session, NOW, rng)) == 2
        assert len(looked) <= DRAWS


def test_few_routes_are_sorted_as_they_were() -> None:
    rng, choices = random.Random(1), Choices()
    assert choices.two(many(MANY - 1), "", NOW, rng) == []
    mixed = [*many(3), *many(MANY, stage=1)]
    assert choices.two(mixed, "", NOW, rng) == choices.two(mixed, "s", NOW, rng) == []
    assert len(choices.two([*many(MANY, stage=1), *many(3, stage=2)], "", NOW, rng)) == 2


def pool(up: Upstream, more: str = "") -> House:
    return House(house_text("* = a", QUICK, a=section(up.url, f"keys = {', '.join(KEYS)}\n{more}")))


def used(requests: list[Request]) -> list[str]:
    return [request.headers["authorization"].removeprefix("Bearer ") for request in requests]


@pytest.mark.parametrize("status", [401, 429])
def test_a_request_goes_on_to_the_others_until_one_answers(status: int) -> None:
    last = KEYS[-1]

    def answer(request: Request) -> Answer:
        return says("good") if last in request.headers["authorization"] else error(status)

    with Upstream(answer) as up, pool(up) as house:
        assert said(house.post(PATH, ASK)) == "good"
        tried = used(up.requests)
        assert tried[-1] == last and len(set(tried)) == len(tried), "each once"


def test_a_session_stays_with_its_key_until_that_rests() -> None:
    with Upstream(lambda request: says("x")) as up, pool(up) as house:
        for _ in range(60):
            house.post(PATH, ASK)
        assert len(set(used(up.requests))) > 25, "without one, they share the requests"
        up.requests.clear()
        for number in range(12):
            house.post(PATH, ASK, {"x-session-id": f"s{number % 3}"})
        assert len(set(used(up.requests))) <= 3
        first = used(up.requests)[0]
        ours = house.proxy.service.router.upstreams["a"]
        rests = ours.place("m", KEYS.index(first)).key
        house.on_loop(lambda: rests.rests(time.monotonic() + 60))
        house.post(PATH, ASK, {"x-session-id": "s0"})
        assert used(up.requests)[-1] != first


@pytest.mark.parametrize(("path", "ask"), [(PATH, ASK), ("/v1/embeddings", {"model": "m", "input": "x"})])
def test_a_client_with_rules_chooses_of_the_same_pool(path: str, ask: dict[str, Any]) -> None:
    rules = "[client c]\nkey = k0123456789abcdef\nmodels = m*\n"
    vectors = Answer.json({"data": [{"embedding": [1]}]})
    with Upstream(lambda request: says("x") if "messages" in request.json else vectors) as up:
        with House(house_text("* = a", rules, a=section(up.url, f"keys = {', '.join(KEYS)}\n"))) as house:
            for _ in range(3):
                assert house.post(path, ask, {"Authorization": "Bearer k0123456789abcdef"})[0] == 200
            assert str(house.proxy.service.router.choices) == "<Choices of 1 lists>"
