"""What becomes of a request, told step by step. Each scenario ends with nothing held for anybody."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.flow.states import State
from tests.gateway.flow import test_scenarios_ending as ending
from tests.gateway.flow import test_scenarios_failover as failover
from tests.gateway.flow import test_scenarios_waiting as waiting
from tests.gateway.flow.playbook import (
    Book,
    asks,
    begins,
    body,
    closes,
    data,
    drains,
    ends,
    fails,
    replies,
    says,
    slow,
    ticks,
)  # fmt: skip
from tests.gateway.flow.stories import RETRY, story
from tests.gateway.flow.test_scenarios_counts import COUNTS
from tests.gateway.flow.test_scenarios_hedges import HEDGES

STORIES: dict[str, tuple[Any, ...]] = {
    # answers
    "a stream": ("", asks(), "ask a", says("a", "hi"), "200, write hi", ends("a"), "write done, end, over"),
    "a whole reply": ("", asks(stream=False), "ask a", replies("a"), "200, over"),
    "each delta is written at once": (
        "",
        asks(),
        "ask a",
        says("a", "1"),
        "200, write 1",
        says("a", "2"),
        "write 2",
        says("a", "3"),
        "write 3",
        ends("a"),
        "write done, end, over",
    ),
    "a slow reader keeps it in flight": ("", asks(stream=False), "ask a", slow, replies("a"), "200", drains, "over"),
    # refusals before anything is taken
    "no JSON": ("", begins(), body(raw=b"{"), "400, over"),
    "no such model": ("", asks(model="nobody/knows"), "404, over"),
    "a body that is no object": ("", begins(), body(raw=b"[]"), "400, over"),
    "an upstream's encoding that nobody reads": ("", begins(Content_Encoding="x"), body(), "415, over"),
    "a body that comes too slowly": ("", begins(), 400.0, ticks(), "408, over"),
    "a body after that": ("", begins(), 400.0, ticks(), "408, over", body(), ""),
    # crossing
    "a crossing ends with its terminal event": (
        "",
        asks(protocol="messages"),
        "ask a",
        says("a", "hi"),
        "200, write hi",
        data("a", b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'),
        "write done, end, over",
        closes("a"),
        "",
    ),
    "a crossing that is cut is not ended well": (
        "",
        asks(protocol="messages"),
        "ask a",
        says("a", "hi"),
        "200, write hi",
        fails("a", "reset", replayable=False),
        "write error, end, over",
    ),
    "the exchange is read to its end for nobody": (
        "",
        asks(protocol="messages"),
        "ask a",
        says("a", "hi"),
        "200, write hi",
        data("a", b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'),
        "write done, end, over",
        fails("a", "reset", replayable=False),
        "",
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_request_goes_this_way(name: str) -> None:
    assert story(*STORIES[name]).is_clean()


def test_how_many_there_are() -> None:
    told = STORIES, failover.STORIES, waiting.STORIES, ending.STORIES, HEDGES, COUNTS
    assert sum(map(len, told)) >= 60


def test_the_states_on_the_way() -> None:
    book = Book(RETRY)
    book >> begins()
    assert book.state is State.RECEIVING
    book >> body(model="one")
    assert book.state is State.ASKING
    book >> replies("a", 503)
    assert book.state is State.BACKING_OFF
    book >> 2.0 >> says("a", "x")
    assert book.state is State.STREAMING
    book >> slow >> ends("a")
    assert book.state is State.FLUSHING
    book >> drains
    assert book.state is State.OVER and book.is_clean()
