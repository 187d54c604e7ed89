"""The table of states, run whole: a real Flow does in each state, with each event, what the table says."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.flow.info import Cancelled
from gateway.flow.states import IGNORED, TABLE, Event, Impossible, State
from tests.gateway.flow.playbook import Book, asks, begins, leaves, replies, says, slow
from tests.gateway.flow.stories import COUNT, ONE_SLOT, RETRY


def receiving() -> Book:
    return Book() >> begins()


def resolving() -> Book:
    book = Book() >> begins()
    book.flow.enter(Event.BODY_IN, State.RESOLVING)
    return book


def sharing() -> Book:
    count = asks(protocol="messages", task="count")
    return Book(COUNT) >> count >> count


def queued() -> Book:
    return Book(ONE_SLOT) >> asks(model="one") >> asks(model="one")


def backing_off() -> Book:
    return Book(RETRY) >> asks(model="one") >> replies("a", 503)


def asking() -> Book:
    return Book() >> asks()


def streaming() -> Book:
    return Book() >> asks() >> says("a", "x")


def flushing() -> Book:
    return Book() >> asks(stream=False) >> slow >> replies("a")


def over() -> Book:
    return Book() >> asks() >> leaves()


IN = {
    State.RECEIVING: receiving, State.RESOLVING: resolving, State.SHARING: sharing, State.QUEUED: queued,
    State.BACKING_OFF: backing_off, State.ASKING: asking, State.STREAMING: streaming, State.FLUSHING: flushing,
    State.OVER: over,
}  # fmt: skip


@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_each_event_in_each_state_does_what_the_table_says(state: State, event: Event) -> None:
    """What may follow, follows; what is ignored changes nothing; what cannot be is a fault of ours, by its name."""
    ways = TABLE[state][event]
    ran: list[Any] = []
    for target in State:
        flow = IN[state]().flow
        assert flow.state is state
        if ways is not None and target in ways:
            flow.enter(event, target)
            assert flow.state is target
        else:
            with pytest.raises(Impossible):
                flow.enter(event, target)
            assert flow.state is state
    flow = IN[state]().flow
    if ways is None:
        with pytest.raises(Impossible, match=event.name):
            flow._takes(event)
    else:
        assert flow._takes(event) is (ways != IGNORED)
    if ways == IGNORED:
        flow.on(event, ran.append, event)
        assert not ran and flow.state is state, "what comes too late does nothing"


@pytest.mark.parametrize("state", [state for state in State if state < State.FLUSHING], ids=lambda state: state.name)
@pytest.mark.parametrize("how", ["leaves", "shuts down", "is cancelled", "fails"])
def test_every_state_can_end(state: State, how: str, caplog: pytest.LogCaptureFixture) -> None:
    book = IN[state]()
    flow = book.flow
    with book.loop.running():
        if how == "leaves":
            flow._client_left()
        elif how == "shuts down":
            flow.shut_down()
        elif how == "is cancelled":
            flow.stop(Cancelled())
        else:
            flow.on_broken(RuntimeError("ours"))
    assert flow.state is State.OVER and flow not in book.in_flight
    for other in list(book.in_flight):
        with book.loop.running():
            other.shut_down()
    book.loop.advance()
    assert book.is_clean()


def test_what_cannot_be_ends_the_request(caplog: pytest.LogCaptureFixture) -> None:
    """It is a fault of ours: the client is answered, and the log has what came when."""
    book = asking()
    with book.loop.running():
        book.flow.on(Event.BODY_IN, lambda: None)
    assert book.flow.state is State.OVER and book.is_clean()
    assert "Impossible" in caplog.text and "BODY_IN in ASKING" in caplog.text


def test_every_state_is_met() -> None:
    assert set(IN) == set(State) and len(TABLE) == len(State) and all(len(row) == len(Event) for row in TABLE)
