"""Requests whose client has left, and comes back for the answer: told step by step, with the real writer.

What a client gets is said with its number: "1: 200, 1: write hi".
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.flow import reattach
from gateway.flow.reattach import Reattach
from gateway.flow.states import State
from tests.gateway.flow.playbook import (
    USUAL,
    Book,
    Event,
    _text,
    asks,
    begins,
    ends,
    fails,
    replies,
    says,
    shuts_down,
    ticks,
)  # fmt: skip
from tests.gateway.flow.stories import HEDGED, RETRY, warm_up

SECONDS = 5.0


class Wire:
    """A client's connection, and its stream: tells the book what comes over it."""

    _disconnect_on_finish = False
    _read_finished = True
    _request_start_line = None
    _write_futures = ()

    def __init__(self, book: Book, number: int) -> None:
        self.stream = self
        self._book = book
        self._number = number
        self._closed = False
        self.sends = 0
        self._on_close: Callable[[], None] | None = None
        self.socket: socket.socket | None = None

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        self._on_close = callback

    def close(self) -> None:
        self._closed = True

    def fileno(self) -> int:
        assert self.socket is not None
        return self.socket.fileno()

    def finish(self) -> None:
        return None

    def write_to_fd(self, data: memoryview) -> int:
        """The kernel takes all at once: a stream's head leaves with its first event."""
        assert not self._closed
        self.sends += 1
        said = bytes(data)
        if said.startswith(b"HTTP/1.1"):
            self._book.does(f"{self._number}: {said[9:12].decode()}")
            head, _, said = said.partition(b"\r\n\r\n")
            if b"chunked" not in head:
                return len(data)
        text, is_end, _ = said.partition(b"0\r\n\r\n")  # the end leaves with the last write, or alone
        if text:
            self._book.does(f"{self._number}: write {_text(text.partition(bytes((13, 10)))[2])}")
        if is_end:
            self._book.does(f"{self._number}: end")
        return len(data)

    def drops(self) -> None:
        self._closed = True
        callback, self._on_close = self._on_close, None
        if callback is not None:
            callback()


class Detached(Book):
    """With [retry] rejoin_seconds."""

    def __init__(self, settings: str = USUAL, most_bytes: int = 1 << 20) -> None:
        self.wires: list[Wire] = []
        self.memory_of_answers = Reattach(SECONDS, most_bytes)
        super().__init__(settings, self._writer, self.memory_of_answers.joins)

    def _writer(self, conn: Any, key: str) -> Any:
        self.wires.append(Wire(self, len(self.wires) + 1))
        return self.memory_of_answers.answer(self.wires[-1], key)  # type: ignore[arg-type]

    def is_clean(self) -> bool:
        assert (self.memory_of_answers.bytes, self.memory_of_answers.orphans) == (0, {})
        return super().is_clean()


def drops(number: int) -> Event:
    """A client's connection is lost."""
    return lambda book: book.wires[number - 1].drops()  # type: ignore[attr-defined, no-any-return]


def drains(book: Book) -> None:
    """The proxy begins to shut down: nobody can come back."""
    book.memory_of_answers.drain()  # type: ignore[attr-defined]


ONE: dict[str, Any] = {"model": "one", "stream": False}

STORIES: dict[str, tuple[Any, ...]] = {
    "who comes back for a whole reply gets it": (
        asks(**ONE), "ask a", drops(1), "", asks(**ONE), "", replies("a"), "2: 200, over",
    ),
    "who comes back for a stream gets it from its start": (
        asks(), "ask a", says("a", "x"), "1: 200, 1: write x", drops(1), "", says("a", "y"), "",
        asks(), "2: 200, 2: write x, 2: write y", says("a", "z"), "2: write z",
        ends("a"), "2: write done, 2: end, over",
    ),
    "who comes back after its end gets all of it": (
        asks(), "ask a", says("a", "x"), "1: 200, 1: write x", drops(1), "", ends("a"), "over",
        asks(), "2: 200, 2: write x, 2: write done, 2: end",
    ),
    "who comes back for what is not sent yet waits with it": (
        asks(**ONE), "ask a", replies("a", 409), "", drops(1), "", asks(**ONE), "", 2.0, "ask a", replies("a"),
        "2: 200, over",
    ),
    "nobody comes back: it is cancelled": (asks(), "ask a", drops(1), "", 4.9, "", 0.2, "cancel a, over"),
    "nobody comes back for what is answered: it is forgotten": (
        asks(**ONE), "ask a", drops(1), "", replies("a"), "over", 5.1, "",
    ),
    "a second one who asks the same gets an answer of its own": (
        asks(**ONE), "ask a", drops(1), "", asks(**ONE), "", asks(**ONE), "ask a", replies("a"), "3: 200, over",
        lambda book: replies("a")(book), "2: 200, over",
    ),
    "while its client is there, nobody takes it": (
        asks(**ONE), "ask a", asks(**ONE), "ask a", replies("a"), "2: 200, over", replies("a"), "1: 200, over",
    ),
    "of two that ask the same and leave, one goes on": (
        asks(**ONE), "ask a", asks(**ONE), "ask a", drops(1), "", drops(2), "cancel a, over",
        asks(**ONE), "", replies("a"), "3: 200, over",
    ),
    "another body is another question": (
        asks(**ONE), "ask a", drops(1), "", asks(**ONE, max_tokens=8), "ask a", replies("a"), "2: 200, over",
        5.1, "cancel a, over",
    ),
    "who came back may leave and come back again": (
        asks(), "ask a", drops(1), "", asks(), "", says("a", "x"), "2: 200, 2: write x", drops(2), "", 4.0, "",
        says("a", "y"), "", asks(), "3: 200, 3: write x, 3: write y", ends("a"), "3: write done, 3: end, over",
    ),
    "who comes back and is gone at once is waited for again": (
        asks(), "ask a", drops(1), "", asks(), "", drops(2), "", 4.9, "", 0.2, "cancel a, over",
    ),
    "an error is not for who comes back": (
        asks(**ONE), "ask a", drops(1), "", replies("a", 400), "over",
        asks(**ONE), "ask a", replies("a"), "2: 200, over",
    ),
    "a stream that broke off is told as it was": (
        asks(), "ask a", says("a", "x"), "1: 200, 1: write x", drops(1), "", fails("a", "reset", replayable=False),
        "over", asks(), "2: 200, 2: write x, 2: write error, 2: end",
    ),
    "failover goes on without a client": (
        asks(stream=False), "ask a", drops(1), "", replies("a", 503), "ask b", asks(stream=False), "",
        replies("b"), "2: 200, over",
    ),
    "shutdown does not wait for who might come back": (
        asks(), "ask a", drops(1), "", drains, "cancel a, over",
    ),
    "shutdown ends what goes on without a client": (
        asks(), "ask a", says("a", "x"), "1: 200, 1: write x", drops(1), "", shuts_down, "cancel a, over", 5.1, "",
    ),
    "shutdown tells who came back": (
        asks(), "ask a", says("a", "x"), "1: 200, 1: write x", drops(1), "", asks(), "2: 200, 2: write x", shuts_down,
        "cancel a, 2: write error, 2: end, over",
    ),
    "silence is broken for who came back": (
        asks(), "ask a", says("a", "x"), "1: 200, 1: write x", drops(1), "", ticks(), "", ticks(), "",
        asks(), "2: 200, 2: write x, 2: write ping", ends("a"), "2: write done, 2: end, over",
    ),
}  # fmt: skip


def tell(book: Book, *steps: Any) -> Book:
    for step in steps:
        book = book << step if isinstance(step, str) else book >> step
    return book


@pytest.mark.parametrize("name", STORIES)
def test_a_detached_request_goes_this_way(name: str) -> None:
    settings = RETRY if "not sent yet" in name else USUAL
    assert tell(Detached(settings), *STORIES[name]).is_clean()


def test_a_client_that_leaves_while_it_sends_is_not_waited_for() -> None:
    book = Detached() >> begins()
    book >> (lambda book: book.flow.on_connection_close()) << "over"
    assert book.is_clean()


def test_what_outgrows_the_memory_is_cancelled_when_its_client_has_left() -> None:
    book = tell(Detached(most_bytes=2_000), asks(), "ask a", says("a", "x"), "1: 200, 1: write x", drops(1), "")
    book >> says("a", "y" * 3_000) << "cancel a, over"
    assert book.is_clean()


def test_and_goes_on_while_its_client_is_there() -> None:
    book = tell(Detached(most_bytes=2_000), asks(), "ask a", says("a", "x"), "1: 200, 1: write x")
    book >> says("a", "y" * 3_000) << f"1: write {'y' * 3_000}" >> drops(1) << "cancel a, over"
    assert book.is_clean()


def test_a_hedge_goes_on_without_a_client() -> None:
    book = Detached(HEDGED)
    warm_up(book)
    tell(book, asks(), "ask a", drops(1), "", 0.2, "ask b", asks(), "", says("b", "x"), "cancel a, 2: 200, 2: write x",
         ends("b"), "2: write done, 2: end, over")  # fmt: skip
    assert book.is_clean()


def test_the_record_says_who_had_the_answer() -> None:
    """Left means that in the end nobody had it."""
    book = tell(Detached(), asks(**ONE), "ask a", drops(1), "", asks(**ONE), "", replies("a"), "2: 200, over")
    assert [(info.status, info.left) for info in book.finishes] == [(200, False)]
    book = tell(Detached(), asks(**ONE), "ask a", drops(1), "", replies("a"), "over")
    assert [(info.status, info.left) for info in book.finishes] == [(200, True)]


def test_a_client_that_left_unseen_may_come_back() -> None:
    """Tornado does not tell of one that had sent more than its request; the slow clock finds it."""
    book = tell(Detached(), asks(), "ask a", says("a", "x"), "1: 200, 1: write x")
    ours, theirs = socket.socketpair()
    with ours:
        book.wires[0].socket = ours
        theirs.close()
        book >> ticks() << ""
    assert book.state is State.STREAMING and book.wires[0]._closed
    tell(book, asks(), "2: 200, 2: write x", ends("a"), "2: write done, 2: end, over")
    assert book.is_clean()


def test_the_flow_knows_nothing_of_it() -> None:
    """A part that few use: neither the walk nor what it is made of names it, nor the hold of refusals, nor limits that
    adapt."""
    folder = Path(reattach.__file__).parent
    for file in ("flow", "attempt", "failover", "completion", "incoming", "resolving", "states", "ports"):
        text = (folder / f"{file}.py").read_text().lower()
        named = [word for word in ("reattach", "rejoin", "orphan", "on_refusal", "adaptive") if word in text]
        assert not named, f"{file}.py names {named}"


def test_a_stream_that_has_ended_is_told_piece_by_piece() -> None:
    """Not joined anew with each piece, which would take minutes for a long one."""
    book = Detached()
    tell(book, asks(), "ask a", says("a", "x"), "1: 200, 1: write x", drops(1), "")
    for _ in range(50):
        book = book >> says("a", "y")
    tell(book, "", ends("a"), "over")
    asks()(book)
    assert book.wires[1].sends >= 52
