"""Streams that break, clients that leave, and the shutdown, in each phase and step by step."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.flow.playbook import (
    asks,
    begins,
    body,
    closes,
    drains,
    ends,
    fails,
    head,
    leaves,
    replies,
    says,
    shuts_down,
    slow,
    ticks,
)  # fmt: skip
from tests.gateway.flow.stories import RETRY, story

STORIES: dict[str, tuple[Any, ...]] = {
    # streams that break
    "a stream that is cut gets an error": (
        "",
        asks(),
        "ask a",
        says("a", "1"),
        "200, write 1",
        fails("a", "reset", replayable=False),
        "write error, end, over",
    ),
    "a stream that just stops, too": (
        "",
        asks(),
        "ask a",
        says("a", "1"),
        "200, write 1",
        closes("a"),
        "write error, end, over",
    ),
    "silence is broken by a ping": (
        "",
        asks(),
        "ask a",
        says("a", "1"),
        "200, write 1",
        ticks(),
        "",
        ticks(),
        "write ping",
        ends("a"),
        "write done, end, over",
    ),
    # the client leaves
    "while it sends": ("", begins(), leaves(), "over"),
    "while it is asked": ("", asks(), "ask a", leaves(), "cancel a, over"),
    "while it streams": ("", asks(), "ask a", says("a", "1"), "200, write 1", leaves(), "cancel a, over"),
    "while it backs off": (RETRY, asks(model="one"), "ask a", replies("a", 503), "", leaves(), "over"),
    "before the body was read": ("", begins(), lambda book: setattr(book.flow.writer, "closed", True), body(), "over"),
    "just before the first byte": ("", asks(), "ask a", head("a"), leaves(), "cancel a, over"),
    "just after it": ("", asks(), "ask a", says("a", "x"), leaves(), "200, write x, cancel a, over"),
    "after all was said": (
        "",
        asks(),
        "ask a",
        says("a", "x"),
        "200, write x",
        slow,
        ends("a"),
        "write done, end",
        leaves(),
        "",
        drains,
        "over",
    ),
    # shutdown
    "shutdown while it sends": ("", begins(), shuts_down, "503, over"),
    "shutdown while it is asked": ("", asks(), "ask a", shuts_down, "cancel a, 503, over"),
    "shutdown while it streams": (
        "",
        asks(),
        "ask a",
        says("a", "1"),
        "200, write 1",
        shuts_down,
        "cancel a, write error, end, over",
    ),
    "shutdown while it backs off": (RETRY, asks(model="one"), "ask a", replies("a", 503), "", shuts_down, "503, over"),
    "shutdown while it is flushed": (
        "",
        asks(stream=False),
        "ask a",
        slow,
        replies("a"),
        "200",
        shuts_down,
        "",
        drains,
        "over",
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_request_ends_this_way(name: str) -> None:
    assert story(*STORIES[name]).is_clean()
