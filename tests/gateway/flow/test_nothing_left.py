"""A request leaves nothing behind: what the garbage collector finds after many of each kind is next to nothing.

The collector is off while they run, so that whatever stands in a circle is still there when it is asked; it is counted
in objects, and looked through for bodies. Counts, no clock.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.gateway.flow.playbook import (
    ROLE,
    USUAL,
    Book,
    asks,
    begins,
    body,
    closes,
    data,
    ends,
    leaves,
    replies,
    says,
    shuts_down,
)  # fmt: skip
from tests.gateway.flow.stories import COUNT, DECLINES, HEDGED, REFUSAL, RETRY, warm

MARKER = "a body that nobody needs any more"
REQUESTS = 200
STOP = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
USER = [{"role": "user", "content": MARKER}]

LANES: dict[str, tuple[str, Callable[[Book], object]]] = {
    "passthrough, streamed": ("", lambda b: b >> asks(messages=USER) >> says("a", "x") >> ends("a")),
    "passthrough, whole": ("", lambda b: b >> asks(stream=False, messages=USER) >> replies("a")),
    "crossing, streamed": ("", lambda b: b >> asks(protocol="messages", messages=USER) >> says("a", "x") >> ends("a")),
    "crossing, whole": ("", lambda b: b >> asks(protocol="messages", stream=False, messages=USER) >> replies("a")),
    "refused by us": ("", lambda b: b >> begins() >> body(raw=b'{"no": "model", "x": "' + MARKER.encode() + b'"}')),
    "refused by the upstream": ("", lambda b: b >> asks(messages=USER) >> replies("a", 400)),
    "the same again": (RETRY, lambda b: b >> asks(model="one", stream=False, messages=USER) >> replies("a", 409) >> 2.0
        >> replies("a")),
    "the client leaves": ("", lambda b: b >> asks(messages=USER) >> leaves()),
    "the client leaves a stream": ("", lambda b: b >> asks(messages=USER) >> says("a", "x") >> leaves()),
    "shutdown": ("", lambda b: b >> asks(messages=USER) >> says("a", "x") >> shuts_down),
    "a refusal": (REFUSAL, lambda b: b >> asks(messages=USER) >> data("a", ROLE + DECLINES) >> closes("a")
        >> says("b", "x") >> ends("b")),
    "a count": (COUNT, lambda b: b >> asks(protocol="messages", task="count", messages=USER)),
}  # fmt: skip


@contextmanager
def collected() -> Iterator[list[object]]:
    """What the collector finds of all that is made within."""
    found: list[object] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def forget(book: Book) -> None:
    """What the test itself keeps."""
    book.exchanges.clear()
    book.flows.clear()
    book.finishes.clear()
    book.infos.clear()
    book.done.clear()


def count(book: Book, lane: Callable[[Book], object]) -> tuple[float, list[object]]:
    """(objects for each request, all of them)."""
    for _ in range(20):  # what is kept for good is made
        lane(book)
    forget(book)
    with collected() as found:
        for _ in range(REQUESTS):
            lane(book)
            forget(book)
    return len(found) / REQUESTS, found


@pytest.mark.parametrize("name", LANES)
def test_next_to_nothing_is_left(name: str) -> None:
    settings, lane = LANES[name]
    each, found = count(Book(settings or USUAL), lane)
    kinds = sorted({type(one).__name__ for one in found})
    assert each < 2, f"{each:.1f} objects a request: {kinds}"
    assert not [one for one in found if isinstance(one, bytes | str) and MARKER in str(one)]


def test_hedges_leave_nothing() -> None:
    each, found = count(
        warm(HEDGED), lambda b: b >> asks(messages=USER) >> 0.2 >> (says("b", "x") if len(b.exchanges) > 1 else
                                                                    says("a", "x")) >> leaves()
    )  # fmt: skip
    assert each < 2, sorted({type(one).__name__ for one in found})


def test_the_measure_finds_what_is_left() -> None:
    class Held:
        def __init__(self) -> None:
            self.me = self
            self.body = MARKER

    with collected() as found:
        for _ in range(10):
            Held()
    assert len(found) >= 10
