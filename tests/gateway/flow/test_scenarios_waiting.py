"""A request that waits for a slot or a quota, step by step."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.limits.rate_limit import Quota
from tests.gateway.flow.playbook import Book, asks, leaves, replies, shuts_down
from tests.gateway.flow.stories import BOTH_ONE, ONE_SLOT, QUOTA, SLOW_QUOTA, story

STORIES: dict[str, tuple[Any, ...]] = {
    # slots
    "a full upstream is passed over": (
        ONE_SLOT.replace("m = a, b", "m = a | b"),
        asks(model="a/m"),
        "ask a",
        asks(),
        "ask b",
        leaves(),
        "cancel b, over",
        leaves(0),
        "cancel a, over",
    ),
    "a slot is waited for": (
        ONE_SLOT,
        asks(model="one"),
        "ask a",
        asks(model="one"),
        "",
        leaves(0),
        "cancel a, over, ask a",
        leaves(),
        "cancel a, over",
    ),
    "who waits too long is told": (
        ONE_SLOT,
        asks(model="one"),
        "ask a",
        asks(model="one"),
        "",
        11.0,
        "503, over",
        leaves(0),
        "cancel a, over",
    ),
    "who waits may leave": (
        ONE_SLOT,
        asks(model="one"),
        "ask a",
        asks(model="one"),
        leaves(),
        "over",
        leaves(0),
        "cancel a, over",
    ),
    "shutdown while it waits": (
        ONE_SLOT,
        asks(model="one"),
        "ask a",
        asks(model="one"),
        lambda book: book.flow.shut_down(),
        "503, over",
        leaves(0),
        "cancel a, over",
    ),
    "who waited in vain goes on": (
        BOTH_ONE,
        asks(),
        "ask a",
        asks(model="b/m"),
        "ask b",
        asks(),
        "",
        11.0,
        "503, over",
        leaves(0),
        "cancel a, over",
        leaves(1),
        "cancel b, over",
    ),
    # quotas
    "a quota is waited for": (
        QUOTA,
        *(step for _ in range(12) for step in (asks(model="one", stream=False), "ask a", replies("a"), "200, over")),
        asks(model="one", stream=False),
        "",
        6.0,
        "ask a",
        replies("a"),
        "200, over",
    ),
    "or another is asked": (
        QUOTA,
        *(step for _ in range(12) for step in (asks(stream=False), "ask a", replies("a"), "200, over")),
        asks(stream=False),
        "ask b",
        replies("b"),
        "200, over",
    ),
    "a quota that is used up for long is told": (
        SLOW_QUOTA,
        asks(model="one", stream=False),
        "ask a",
        replies("a"),
        "200, over",
        asks(model="one", stream=False),
        "429, over",
    ),
    "who leaves while it waits for a quota is charged nothing": (
        QUOTA,
        *(step for _ in range(12) for step in (asks(model="one", stream=False), "ask a", replies("a"), "200, over")),
        asks(model="one", stream=False),
        "",
        leaves(),
        "over",
        6.0,
        "",
    ),
    "shutdown while it waits for a quota": (
        QUOTA,
        *(step for _ in range(12) for step in (asks(model="one", stream=False), "ask a", replies("a"), "200, over")),
        asks(model="one", stream=False),
        "",
        shuts_down,
        "503, over",
    ),
    "what an upstream says of its limit is waited for": (
        "",
        asks(model="one", stream=False),
        "ask a",
        replies("a", x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="5s"),
        "200, over",
        asks(model="one", stream=False),
        "",
        4.9,
        "",
        0.7,
        "ask a",
        replies("a"),
        "200, over",
    ),
    "or another is asked meanwhile": (
        "",
        asks(stream=False),
        "ask a",
        replies("a", x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="5s"),
        "200, over",
        asks(stream=False),
        "ask b",
        replies("b"),
        "200, over",
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_waiting_request_goes_this_way(name: str) -> None:
    assert story(*STORIES[name]).is_clean()


def test_what_is_waited_for_in_vain_is_told_with_its_time() -> None:
    """Clients wait for so long before they come again."""
    book = story(SLOW_QUOTA, *(asks(model="one", stream=False), "ask a", replies("a"), "200, over"))
    book >> 12.0 >> asks(model="one", stream=False) << "429, over"
    error = book.finishes[-1].error
    assert error is not None and error.retry_after == pytest.approx(48.0)
    book = Book()
    book.quotas[""] = Quota(1, 0, book.loop.time())
    book >> asks(model="one", stream=False) << "ask a" >> replies("a") << "200, over"
    book >> 12.0 >> asks(model="one", stream=False) << "429, over"
    error = book.finishes[-1].error
    assert error is not None and error.retry_after == pytest.approx(48.0) and book.is_clean()
