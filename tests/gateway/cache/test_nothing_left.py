"""The cache leaves nothing behind but what it keeps: see gateway/flow/test_nothing_left.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from gateway.cache.cache import Cache
from gateway.cache.fleet import Fleet
from gateway.shared.shared import Shared
from operate.settings.load import CacheSettings
from tests.gateway.flow.playbook import Book, asks, ends, leaves, replies, says, shuts_down
from tests.gateway.flow.test_nothing_left import MARKER, USER, count

ASK = {"temperature": 0, "messages": USER}
SHARES = CacheSettings(coalesce=("*",))
BOTH = CacheSettings(models=("*",), coalesce=("*",))


def joined(book: Book, stream: bool) -> Book:
    return book >> asks(stream=stream, **ASK) >> asks(stream=stream, **ASK)


LANES: dict[str, tuple[CacheSettings, Callable[[Book], object]]] = {
    "a hit, whole": (BOTH, lambda b: b >> asks(stream=False, **ASK)),
    "a hit, streamed": (BOTH, lambda b: b >> asks(**ASK)),
    "a miss": (SHARES, lambda b: b >> asks(**ASK) >> says("a", "x") >> ends("a")),
    "shared, whole": (SHARES, lambda b: joined(b, False) >> replies("a")),
    "shared, streamed": (SHARES, lambda b: joined(b, True) >> says("a", "x") >> ends("a")),
    "joined late": (SHARES, lambda b: b >> asks(**ASK) >> says("a", "x") >> asks(**ASK) >> ends("a")),
    "shared, and it fails": (SHARES, lambda b: joined(b, False) >> replies("a", 400)),
    "the one that asks leaves": (SHARES, lambda b: joined(b, True) >> leaves(-2) >> says("a", "x") >> ends("a")),
    "all leave": (SHARES, lambda b: joined(b, True) >> says("a", "x") >> leaves(-2) >> leaves(-1)),
    "shutdown": (SHARES, lambda b: joined(b, True) >> says("a", "x") >> shuts_down),
}  # fmt: skip


def book_with(settings: CacheSettings) -> Book:
    book = Book()
    cache = Cache(settings, lambda *names: None, Fleet(Shared("", "test", None)), book.loop.time, lambda: 1.7e9)
    book.ports = structs.replace(book.ports, cache=cache)
    if settings is BOTH:
        book >> asks(stream=False, **ASK) >> replies("a") >> asks(**ASK) >> says("a", "x") >> ends("a")
        assert len(cache.entries) == 2
        book.done.clear()
    return book


@pytest.mark.parametrize("name", LANES)
def test_nothing_is_left(name: str) -> None:
    settings, lane = LANES[name]
    book = book_with(settings)
    each, found = count(book, lane)
    assert each < 2, (name, each)
    assert not any(MARKER in str(left) for left in found if isinstance(left, str | bytes))
    cache: Any = book.ports.cache
    assert not cache.asking and book.is_clean()
