"""A second attempt beside a late first one, step by step."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.flow.playbook import asks, ends, leaves, replies, says, shuts_down
from tests.gateway.flow.stories import BOTH_ONE, HEDGE, HEDGED, warm

HEDGES: dict[str, tuple[Any, ...]] = {
    "a hedge wins": (
        HEDGED,
        asks(),
        "ask a",
        0.2,
        "ask b",
        says("b", "x"),
        "cancel a, 200, write x",
        ends("b"),
        "write done, end, over",
    ),
    "the first wins after all": (
        HEDGED,
        asks(),
        "ask a",
        0.2,
        "ask b",
        says("a", "x"),
        "cancel b, 200, write x",
        ends("a"),
        "write done, end, over",
    ),
    "the first fails and the hedge goes on": (
        HEDGED,
        asks(),
        "ask a",
        0.2,
        "ask b",
        replies("a", 503),
        "",
        says("b", "x"),
        "200, write x",
        ends("b"),
        "write done, end, over",
    ),
    "the hedge fails and the first goes on": (
        HEDGED,
        asks(),
        "ask a",
        0.2,
        "ask b",
        replies("b", 503),
        "",
        says("a", "x"),
        "200, write x",
        ends("a"),
        "write done, end, over",
    ),
    "a quick first byte needs no hedge": (
        HEDGED,
        asks(),
        "ask a",
        0.05,
        says("a", "x"),
        "200, write x",
        1.0,
        "",
        ends("a"),
        "write done, end, over",
    ),
    "whole replies are not hedged": (HEDGED, asks(stream=False), "ask a", 1.0, "", replies("a"), "200, over"),
    "who leaves cancels both": (HEDGED, asks(), "ask a", 0.2, "ask b", leaves(), "cancel a, cancel b, over"),
    "shutdown cancels both": (HEDGED, asks(), "ask a", 0.2, "ask b", shuts_down, "cancel a, cancel b, 503, over"),
    "a hedge waits in the queue and loses": (
        BOTH_ONE + HEDGE,
        asks(model="b/m"),
        "ask b",
        asks(),
        "ask a",
        0.2,
        "",
        says("a", "x"),
        "200, write x",
        ends("a"),
        "write done, end, over",
        leaves(0),
        "cancel b, over",
    ),
    "a hedge waits in the queue and wins": (
        BOTH_ONE + HEDGE,
        asks(model="b/m"),
        "ask b",
        asks(),
        "ask a",
        0.2,
        "",
        leaves(0),
        "cancel b, over, ask b",
        says("b", "x"),
        "cancel a, 200, write x",
        ends("b"),
        "write done, end, over",
    ),
    "a hedge waits in the queue alone": (
        BOTH_ONE + HEDGE,
        asks(model="b/m"),
        "ask b",
        asks(),
        "ask a",
        0.2,
        "",
        replies("a", 503),
        "",
        leaves(0),
        "cancel b, over, ask b",
        says("b", "x"),
        "200, write x",
        ends("b"),
        "write done, end, over",
    ),
    "a hedge waits in the queue in vain": (
        BOTH_ONE + HEDGE,
        asks(model="b/m"),
        "ask b",
        asks(),
        "ask a",
        11.0,
        "",
        says("a", "x"),
        "200, write x",
        ends("a"),
        "write done, end, over",
        leaves(0),
        "cancel b, over",
    ),
    "who leaves takes a hedge out of the queue": (
        BOTH_ONE + HEDGE,
        asks(model="b/m"),
        "ask b",
        asks(),
        "ask a",
        0.2,
        "",
        leaves(),
        "cancel a, over",
        leaves(0),
        "cancel b, over",
    ),
}


@pytest.mark.parametrize("name", HEDGES)
def test_a_hedge_goes_this_way(name: str) -> None:
    settings, *steps = HEDGES[name]
    book = warm(settings)
    for step in steps:
        if isinstance(step, str):
            book << step
        else:
            book >> step
    assert book.is_clean()
    if "loses" in name:
        assert "0 retries" in repr(book.router.upstreams["b"].budget), "what was not sent is given back"
