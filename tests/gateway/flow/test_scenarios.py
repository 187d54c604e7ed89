"""What becomes of a request, told step by step. Each scenario ends with nothing held for anybody."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.flow.states import State
from gateway.limits.rate_limit import Quota
from tests.gateway.flow.playbook import (
    ROLE,
    USUAL,
    Book,
    Event,
    asks,
    begins,
    body,
    closes,
    data,
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
    # failover
    "a 503 goes to the next": (
        "",
        asks(),
        "ask a",
        replies("a", 503),
        "ask b",
        says("b", "x"),
        "200, write x",
        ends("b"),
        "write done, end, over",
    ),
    "a refused connection goes to the next": (
        "",
        asks(),
        "ask a",
        fails("a", "refused"),
        "ask b",
        says("b", "x"),
        "200, write x",
        ends("b"),
        "write done, end, over",
    ),
    "what may have been worked on does not": ("", asks(), "ask a", fails("a", "closed", replayable=False), "502, over"),
    "a time-out neither": ("", asks(), "ask a", fails("a", "first_byte_timeout", replayable=False), "504, over"),
    "a stale connection is tried again, afresh": (
        "",
        asks(model="one", stream=False),
        "ask a",
        fails("a"),
        "ask a",
        replies("a"),
        "200, over",
    ),
    "a stale connection is no attempt": (
        RETRY,
        asks(model="one", stream=False),
        "ask a",
        fails("a"),
        "ask a",
        replies("a", 503),
        "",
        2.0,
        "ask a",
        replies("a"),
        "200, over",
    ),
    "the same again after a pause": (
        RETRY,
        asks(model="one", stream=False),
        "ask a",
        replies("a", 503),
        "",
        2.0,
        "ask a",
        replies("a"),
        "200, over",
    ),
    "a Retry-After is obeyed": (
        RETRY,
        asks(model="one", stream=False),
        "ask a",
        replies("a", 429, retry_after="5"),
        "",
        4.9,
        "",
        1.0,
        "ask a",
        replies("a"),
        "200, over",
    ),
    "a long Retry-After is told": (
        RETRY,
        asks(model="one", stream=False),
        "ask a",
        replies("a", 429, retry_after="100"),
        "429, over",
    ),
    "three attempts are all": (
        RETRY,
        asks(model="one", stream=False),
        "ask a",
        replies("a", 503),
        "",
        2.0,
        "ask a",
        replies("a", 503),
        "",
        2.0,
        "ask a",
        replies("a", 503),
        "503, over",
    ),
    "a wrong request is not sent twice": ("", asks(), "ask a", replies("a", 400), "400, over"),
    "the client hears the last one's words": (
        "",
        asks(),
        "ask a",
        replies("a", 503),
        "ask b",
        replies("b", 401),
        "401, over",
    ),
    "an error that begins a stream goes to the next": (
        "",
        asks(),
        "ask a",
        data("a", b'data: {"error":{"message":"overloaded","type":"overloaded_error"}}\n\n'),
        "cancel a, ask b",
        says("b", "x"),
        "200, write x",
        ends("b"),
        "write done, end, over",
    ),
    "an empty stream is nonsense": ("", asks(), "ask a", head("a"), closes("a"), "502, over"),
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
    # breakers
    "an upstream that is ill is passed over": (
        "",
        opens("a"),
        asks(stream=False),
        "ask b",
        replies("b"),
        "200, over",
    ),
    "where all are ill, they are asked all the same": (
        "",
        opens("a", "b"),
        asks(stream=False),
        "ask a",
        replies("a", 503),
        "ask b",
        replies("b", 400),
        "400, over",
    ),
    "and an answer is an answer": ("", opens("a", "b"), asks(stream=False), "ask a", replies("a"), "200, over"),
    "the only one is asked though it is ill": (
        "",
        opens("a"),
        asks(model="one", stream=False),
        "ask a",
        replies("a"),
        "200, over",
    ),
    "after its rest one request tries it": (
        "",
        opens("a"),
        6.0,
        asks(stream=False),
        "ask a",
        asks(stream=False),
        "ask b",
        replies("b"),
        "200, over",
        replies("a"),
        "200, over",
        asks(stream=False),
        "ask a",
        replies("a"),
        "200, over",
    ),
    "a probe whose client leaves is nobody's verdict": (
        "",
        opens("a"),
        6.0,
        asks(stream=False),
        "ask a",
        leaves(),
        "cancel a, over",
        asks(stream=False),
        "ask a",
        replies("a"),
        "200, over",
    ),
    "a probe that streams has done its part with its first byte": (
        "",
        opens("a"),
        6.0,
        asks(),
        "ask a",
        says("a", "x"),
        "200, write x",
        asks(stream=False),
        "ask a",
        replies("a"),
        "200, over",
        ends("a"),
        "write done, end, over",
    ),
    # what a 400 teaches
    "an unknown field is left out from then on": (
        "[upstream a]\nprotocol = chat\nbase_url = http://a.test\n[models]\nm = a\n",
        asks(protocol="messages", stream=False, temperature=0.5),
        "ask a",
        replies("a", 400, UNSUPPORTED),
        "ask a",
        replies("a"),
        "200, over",
        asks(protocol="messages", stream=False, temperature=0.5),
        "ask a",
        replies("a"),
        "200, over",
    ),
    "once, and then the client hears it": (
        "[upstream a]\nprotocol = chat\nbase_url = http://a.test\n[models]\nm = a\n",
        asks(protocol="messages", stream=False, temperature=0.5),
        "ask a",
        replies("a", 400, UNSUPPORTED),
        "ask a",
        replies("a", 400, UNSUPPORTED),
        "400, over",
    ),
    # refusals of models
    "a refusal goes to the next": (
        REFUSAL,
        asks(),
        "ask a",
        data("a", ROLE + DECLINES),
        "",
        closes("a"),
        "ask b",
        says("b", "x"),
        "200, write x",
        ends("b"),
        "write done, end, over",
    ),
    "the last one's refusal is the client's": (
        REFUSAL,
        asks(),
        "ask a",
        data("a", ROLE + DECLINES),
        closes("a"),
        "ask b",
        data("b", ROLE + DECLINES),
        "200, write ...",
        closes("b"),
        "end, over",
    ),
    "content lets it pass": (
        REFUSAL,
        asks(),
        "ask a",
        data("a", ROLE),
        "",
        says("a", "x"),
        "200, write x",
        ends("a"),
        "write done, end, over",
    ),
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

COUNT = USUAL.replace("protocol = chat", "protocol = messages")
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


@pytest.mark.parametrize("name", STORIES)
def test_story(name: str) -> None:
    assert story(*STORIES[name]).is_clean()


@pytest.mark.parametrize("name", HEDGES)
def test_hedge(name: str) -> None:
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


@pytest.mark.parametrize("name", COUNTS)
def test_count(name: str) -> None:
    assert story(*COUNTS[name]).is_clean()


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


def test_how_many_there_are() -> None:
    assert len(STORIES) + len(HEDGES) + len(COUNTS) >= 60


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
