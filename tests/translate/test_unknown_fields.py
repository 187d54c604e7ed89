"""A field that nobody knows, at any depth of a request: what another protocol has no place for is named."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests.support import said_deeply
from tests.support.crossed import MODELS
from tests.support.said_deeply import Place
from translate import pair
from translate.target import Encoded, Protocol, Target

NOVELTY = "novelty"
UPSTREAMS: tuple[Protocol, ...] = ("messages", "chat", "responses", "gemini")
NO_AUDIO = ("messages", "responses")
CASES = [
    pytest.param(client, upstream, body, place, id=f"{client}-{upstream}-{n}-{'.'.join(map(str, place))}")
    for n, (client, body) in enumerate(said_deeply.BODIES)
    for upstream in UPSTREAMS
    if client != upstream and not ("input_audio" in json.dumps(body) and upstream in NO_AUDIO)
    for place in said_deeply.places(body)
    if not (place[:2] == ("tool_choice", "allowed_tools") and "tools" in place)  # which only name the tools
]


def crossed(client: Protocol, upstream: Protocol, body: dict[str, Any]) -> Encoded:
    return pair.request(client, upstream, copy.deepcopy(body), Target(MODELS[upstream]))


@pytest.mark.parametrize(("client", "upstream", "body", "place"), CASES)
def test_it_is_named(client: Protocol, upstream: Protocol, body: dict[str, Any], place: Place) -> None:
    before = crossed(client, upstream, body).dropped
    body = copy.deepcopy(body)
    said_deeply.at(body, place)[NOVELTY] = {"a": 1}
    out = crossed(client, upstream, body)
    named = [field for field in out.dropped if field.rpartition(".")[2] == NOVELTY]
    kept = NOVELTY in json.dumps(out.body)
    # What is left out takes with it what is in it.
    whole = set(out.dropped) - set(before) or any(word in _around(body, place) for word in before)
    assert len(named) <= 1
    assert named or kept or whole


def _around(body: dict[str, Any], place: Place) -> set[str]:
    """Returns the names under which what holds the place may be reported."""
    steps = [str(step) for step in place if isinstance(step, str)]
    kinds = [
        said.get("type") for n in range(len(place) + 1) if isinstance(said := said_deeply.at(body, place[:n]), dict)
    ]
    tools = [str(key) for key in said_deeply.at(body, place) if steps == ["tools"]]
    return {*steps, ".".join(steps), *(f"tools.{kind}" for kind in (*kinds, *steps, *tools))}


@pytest.mark.parametrize("value", [None, False, "auto"])
def test_what_says_nothing_is_not(value: Any) -> None:
    body = copy.deepcopy(dict(said_deeply.BODIES)["messages"])
    body["messages"][0]["content"][0][NOVELTY] = value
    body["messages"][0]["content"][1]["source"][NOVELTY] = value
    assert NOVELTY not in str(crossed("messages", "chat", body).dropped)
