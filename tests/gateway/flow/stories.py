"""The settings of scenarios, and how one is told, for all tests of a Flow (see playbook.py)."""

from __future__ import annotations

from tests.gateway.flow.playbook import USUAL, Book, Event

RETRY = USUAL + "[retry]\nbackoff = 1\nmax_backoff = 1\n"
ONE_SLOT = USUAL.replace("a.test\n", "a.test\nmax_concurrent = 1\n")
BOTH_ONE = ONE_SLOT.replace("b.test\n", "b.test\nmax_concurrent = 1\n")
QUOTA = USUAL.replace("a.test\n", "a.test\nrequests_per_minute = 12\n")
HEDGE = "[retry]\nhedge = *\nbackoff = 1\nmax_backoff = 1\n"
HEDGED = USUAL + HEDGE
REFUSAL = USUAL + "[retry]\non_refusal = true\n"
DECLINES = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}\n\n'
UNSUPPORTED = {"error": {"message": "Unsupported parameter: 'temperature'", "type": "invalid_request_error"}}
SLOW_QUOTA = QUOTA.replace("requests_per_minute = 12", "requests_per_minute = 1")
COUNT = USUAL.replace("protocol = chat", "protocol = messages")


def opens(*names: str) -> Event:
    """The breakers of these upstreams' models open."""

    def event(book: Book) -> None:
        for route in book.router.routes("m", "chat"):
            if route.upstream.name in names:
                for _ in range(5):
                    route.place.breaker.faulted(book.loop.time())

    return event


def story(settings: str, *steps: Event | float | str) -> Book:
    """Words are commands, all else are events."""
    book = Book(settings)
    for step in steps:
        if isinstance(step, str):
            book << step
        else:
            book >> step
    return book


def warm(settings: str) -> Book:
    book = Book(settings)
    warm_up(book)
    return book


def warm_up(book: Book) -> None:
    """The first upstream is known to answer within a tenth of a second."""
    place = book.router.routes("m", "chat")[0].place
    for _ in range(20):
        place.first_byte(100.0, book.loop.time())
