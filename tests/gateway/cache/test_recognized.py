"""A request that comes again in the same bytes is not read again; what is said beside the body still counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.cache import cache as response_cache
from gateway.flow import outline
from tests.gateway.cache.test_cache import CLIENTS, KEEPS, ZERO, asked, key, numbered, what
from tests.support.house import House
from tests.support.script import Upstream
from tests.support.two_upstreams import PATH, house_text, said


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is read of bodies, as it is."""
    done: list[str] = []
    for name in ("read", "parse"):
        whole = getattr(outline, name)
        monkeypatch.setattr(outline, name, lambda *a, _n=name, _w=whole, **k: done.append(_n) or _w(*a, **k))
    return done


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_bytes_are_read_once(stream: bool, reads: list[str]) -> None:
    body = json.dumps(ZERO | {"stream": stream}).encode()
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS, a=up.url)) as house:
        house.post(PATH, body)
        first = house.post(PATH, body)
        del reads[:]
        again = [house.post(PATH, body) for _ in range(3)]
        assert [what(reply) for reply in again] == ["hit"] * 3 and [reply[2] for reply in again] == [first[2]] * 3
        assert reads == []
        assert asked(house, body + b" ") == "hit" and reads == ["read", "parse"], "other bytes, the same request"
        assert len(up.requests) == 1


def test_what_is_said_beside_the_body_still_counts(reads: list[str]) -> None:
    body = json.dumps(ZERO).encode()
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS + CLIENTS, a=up.url)) as house:
        alice, bobby = key("alice"), key("bobby")
        house.post(PATH, body, alice)
        assert asked(house, body, bobby) == "miss"
        assert asked(house, body, alice | {"Cache-Control": "no-cache"}) == "bypass"
        assert asked(house, body, alice | {"Cache-Control": "no-store"}) == "bypass"
        assert asked(house, body, alice | {"OpenAI-Beta": "x"}) == "miss"
        assert asked(house, body, alice, f"{PATH}?a=b") == "miss"
        assert asked(house, body, alice | {"Cache-Control": "max-age=900"}) == "hit"
        assert asked(house, body, alice | {"User-Agent": "another/1"}) == "hit"
        assert asked(house, body, alice) == asked(house, body, bobby) == "hit"
        assert house.post(PATH, body, {"Authorization": "Bearer unknown-0123456789"})[0] == 401


def test_without_clients_each_key_is_asked_for_itself() -> None:
    body = json.dumps(ZERO).encode()
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS, a=up.url)) as house:
        one, other = {"X-Api-Key": "one-0123456789"}, {"X-Api-Key": "two-0123456789"}
        assert [asked(house, body, headers) for headers in (one, other, one, other)] == ["miss", "miss", "hit", "hit"]


def test_the_bytes_say_the_same_of_another_model_after_a_change(tmp_path: Any) -> None:
    """What is known of bytes goes with the settings by which it was found out."""
    body = json.dumps(ZERO).encode()
    with Upstream(numbered()) as up:
        file = tmp_path / "settings.ini"
        text = house_text("* = a", KEEPS, a=up.url)
        with House(text, file=file) as house:
            assert [asked(house, body) for _ in range(2)] == ["miss", "hit"]
            file.write_text(text.replace("models = *", "models = other"))
            house.wait(lambda p: p.service.settings.cache.models == ("other",))
            assert asked(house, body) == ""


def test_of_models_of_which_nothing_is_kept_long_bodies_are_not_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_cache, "MAX_UNREAD", 500)
    hashed: list[int] = []
    whole = response_cache.keys.as_sent
    monkeypatch.setattr(
        response_cache.keys, "as_sent", lambda request, *a: hashed.append(len(request.body)) or whole(request, *a)
    )
    long = ZERO | {"messages": [{"role": "user", "content": "x" * 600}]}
    with Upstream(numbered()) as up, House(house_text("* = a", "[cache]\nmodels = gpt-*\n", a=up.url)) as house:
        assert asked(house, long) == "" and hashed == []
        assert [asked(house, long | {"model": "gpt-5"}) for _ in range(2)] == ["miss", "hit"]
        assert len(hashed) == 2


def test_a_model_in_the_address_is_no_way_to_say_what_follows_it() -> None:
    turn = {"role": "user", "parts": [{"text": "hi"}]}
    body = json.dumps({"contents": [turn], "generationConfig": {"temperature": 0}})
    with Upstream(numbered()) as up, House(house_text("* = a", KEEPS, a=up.url)) as house:
        path = "/v1beta/models/{}:generateContent"
        assert [asked(house, body.encode(), None, path.format("m")) for _ in range(2)] == ["miss", "hit"]
        for name in ("m%0A", "m%0A%0A", "%0Am"):
            assert asked(house, body.encode(), None, path.format(name)) != "hit"
        assert said(house.post(PATH, ZERO)) == "2"
