"""Counts of tokens, and those who share one, step by step."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.flow.playbook import asks, leaves, replies
from tests.gateway.flow.stories import COUNT, story

COUNTS: dict[str, tuple[Any, ...]] = {
    "a count is asked for": (
        COUNT,
        asks(protocol="messages", task="count"),
        "ask a",
        replies("a", 200, {"input_tokens": 7}),
        "200, over",
    ),
    "the same question is asked once": (
        COUNT,
        asks(protocol="messages", task="count"),
        "ask a",
        asks(protocol="messages", task="count"),
        "",
        replies("a", 200, {"input_tokens": 7}),
        "200, 200, over, over",
    ),
    "and its answer kept": (
        COUNT,
        asks(protocol="messages", task="count"),
        "ask a",
        replies("a", 200, {"input_tokens": 7}),
        "200, over",
        asks(protocol="messages", task="count"),
        "200, over",
    ),
    "where the first leaves the second asks": (
        COUNT,
        asks(protocol="messages", task="count"),
        "ask a",
        asks(protocol="messages", task="count"),
        "",
        leaves(0),
        "cancel a, ask a, over",
        replies("a", 200, {"input_tokens": 7}),
        "200, over",
    ),
    "where the first leaves one of its followers asks for all": (
        COUNT,
        asks(protocol="messages", task="count"),
        "ask a",
        asks(protocol="messages", task="count"),
        asks(protocol="messages", task="count"),
        "",
        leaves(0),
        "cancel a, ask a, over",
        replies("a", 200, {"input_tokens": 7}),
        "200, 200, over, over",
    ),
    "where that one leaves, too, the last one asks": (
        COUNT,
        asks(protocol="messages", task="count"),
        "ask a",
        asks(protocol="messages", task="count"),
        asks(protocol="messages", task="count"),
        "",
        leaves(0),
        "cancel a, ask a, over",
        leaves(1),
        "cancel a, ask a, over",
        replies("a", 200, {"input_tokens": 7}),
        "200, over",
    ),
    "where the first leaves and no endpoint counts, both are estimated": (
        COUNT,
        asks(protocol="messages", task="count"),
        "ask a",
        asks(protocol="messages", task="count"),
        asks(protocol="messages", task="count"),
        "",
        leaves(0),
        "cancel a, ask a, over",
        replies("a", 405),
        "200, 200, over, over",
    ),
    "shutdown while a count is asked for": (
        COUNT,
        asks(protocol="messages", task="count"),
        "ask a",
        asks(protocol="messages", task="count"),
        "",
        lambda book: book.flow.shut_down(),
        "503, over",
        replies("a", 200, {"input_tokens": 7}),
        "200, over",
    ),
    "where the first is shut down, its followers hear of it": (
        COUNT,
        asks(protocol="messages", task="count"),
        "ask a",
        asks(protocol="messages", task="count"),
        "",
        lambda book: book.flows[0].shut_down(),
        "cancel a, 503, 503, over, over",
    ),
    "a follower may leave": (
        COUNT,
        asks(protocol="messages", task="count"),
        "ask a",
        asks(protocol="messages", task="count"),
        "",
        leaves(),
        "over",
        replies("a", 200, {"input_tokens": 7}),
        "200, over",
    ),
    "both hear of an error": (
        COUNT,
        asks(protocol="messages", task="count"),
        "ask a",
        asks(protocol="messages", task="count"),
        "",
        replies("a", 400),
        "400, 400, over, over",
    ),
    "no upstream counts: it is estimated": ("", asks(protocol="messages", task="count"), "200, over"),
    "no such endpoint: it is estimated": (
        COUNT,
        asks(protocol="messages", task="count"),
        "ask a",
        replies("a", 405),
        "200, over",
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_goes_this_way(name: str) -> None:
    assert story(*COUNTS[name]).is_clean()
