"""Where the time of a request goes, on a clock moved by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.flow.timing import Clock


class Hand:
    """The time, in ms."""

    def __init__(self) -> None:
        self.ms = 1000

    def __call__(self) -> float:
        return self.ms / 1e3

    def later(self, ms: int) -> float:
        self.ms += ms
        return self()


@pytest.fixture
def hand() -> Hand:
    return Hand()


def spans(of: Clock) -> tuple[int, int, int]:
    """(queue, upstream, overhead) in ms."""
    return round(of.queue * 1e3), round(of.upstream * 1e3), round(of.overhead * 1e3)


def test_a_whole_reply(hand: Hand) -> None:
    told = Clock(hand)
    told.read = hand.later(50)  # the body comes slowly: that is the client's time
    told.asks(hand.later(3))
    told.came = hand.later(200)
    hand.later(4)  # translated
    told.given(whole=True)
    hand.later(1)
    told.over()
    assert spans(told) == (0, 200, 7) and round((told.first - told.began) * 1e3) == 257


def test_a_stream_is_its_upstreams_until_it_ends(hand: Hand) -> None:
    told = Clock(hand)
    told.asks(hand.later(2))
    told.came = hand.later(100)  # an event that is not worth a byte
    told.came = hand.later(30)
    hand.later(1)
    told.given(whole=False)
    assert spans(told) == (0, 130, 3)
    hand.later(500)
    told.over()
    assert spans(told) == (0, 631, 3)


def test_waits_are_the_queues_and_tries_without_an_answer_the_upstreams(hand: Hand) -> None:
    told = Clock(hand)
    told.waits()  # for a place
    hand.later(20)
    told.waits()
    told.asks(hand.later(20))
    told.came = hand.later(10)
    hand.later(1)
    told.lost()
    told.waits()  # a back-off
    told.asks(hand.later(500))
    hand.later(60)
    told.lost()  # by our own timeout: no byte came
    told.asks(hand.later(2))
    told.came = hand.later(5)
    told.given(whole=True)
    told.over()
    assert spans(told) == (540, 75, 3)


def test_a_second_try_beside_the_first_counts_once(hand: Hand) -> None:
    told = Clock(hand)
    told.asks(hand())
    hand.later(100)
    told.waits()  # the second finds no place yet: the first is on its way all the same
    told.asks(hand.later(10))
    told.came = hand.later(40)
    told.given(whole=True)
    assert spans(told) == (0, 150, 0)


@pytest.mark.parametrize(
    ("step", "expected"), [(Clock.waits, (30, 0, 0)), (lambda told: told.asks(told._now()), (0, 30, 0))]
)
def test_a_client_that_leaves_ends_what_is_on(
    hand: Hand, step: Callable[[Clock], None], expected: tuple[int, int, int]
) -> None:
    told = Clock(hand)
    step(told)
    hand.later(30)
    told.over()
    assert spans(told) == expected


def test_a_refusal_costs_only_us(hand: Hand) -> None:
    told = Clock(hand)
    hand.later(2)
    told.given(whole=True)
    hand.later(5)
    told.given(whole=True)  # said twice counts once
    told.over()
    assert spans(told) == (0, 0, 2)
