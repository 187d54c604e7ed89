"""A limiter that counts in a server of its own: its answers come later. Whatever happens meanwhile, what nobody uses is
given back to it. The limiters in memory cost nothing for that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.flow.states import State
from gateway.limits.limiter import Left
from tests.gateway.flow.playbook import (
    USUAL,
    Book,
    Event,
    asks,
    begins,
    body,
    ends,
    leaves,
    replies,
    says,
    shuts_down,
)  # fmt: skip
from tests.gateway.flow.stories import COUNT, HEDGED, QUOTA, RETRY, warm


class Remote:
    """A limiter elsewhere. told: what it was told, in order; held: tokens that are charged and not given back, by its
    own count. Each question waits until the test answers it."""

    counts_tokens = True
    tokens_per_minute = 0

    def __init__(self) -> None:
        self.asked: list[tuple[asyncio.Future[float], int]] = []
        self.requests = 0
        self.tokens = 0
        self.fails = False

    def take(self, tokens: int, now: float) -> asyncio.Future[float]:
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.asked.append((answer, tokens))
        return answer

    def left(self, now: float) -> list[Left]:
        return []

    async def owe(self) -> None:
        self.requests += 1

    async def give_back(self, tokens: int) -> None:
        self._reached()
        self.requests -= 1
        self.tokens -= tokens

    async def correct(self, tokens: int) -> None:
        self._reached()
        self.tokens += tokens

    def _reached(self) -> None:
        if self.fails:
            raise ConnectionError("the server of limits is gone")

    def answer(self, wait: float | Exception) -> None:
        answer, tokens = self.asked.pop(0)
        if isinstance(wait, Exception):
            answer.set_exception(wait)
            return
        if wait <= 0:
            self.requests += 1
            self.tokens += tokens
        answer.set_result(wait)


def of_client(settings: str = USUAL) -> Book:
    """A book whose client is counted elsewhere."""
    return _with(Book(settings), lambda book, remote: book.quotas.__setitem__("", remote))


def of_upstream(settings: str = USUAL, name: str = "a", book: Book | None = None) -> Book:
    return _with(book or Book(settings), lambda book, remote: setattr(book.router.upstreams[name], "quota", remote))


def _with(book: Book, put: Callable[[Book, Any], None]) -> Book:
    book.remote = Remote()  # type: ignore[attr-defined]
    put(book, book.remote)  # type: ignore[attr-defined]
    return book


def remote(book: Book) -> Remote:
    return book.remote  # type: ignore[attr-defined, no-any-return]


def answers(wait: float | Exception) -> Event:
    return lambda book: remote(book).answer(wait)


def is_even(book: Book) -> bool:
    """Nothing is held, here or there."""
    assert (remote(book).tokens, remote(book).asked) == (0, [])
    return book.is_clean()


ONE = {"model": "one", "stream": False}
USED = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": {"prompt_tokens": 70,
        "completion_tokens": 7}, "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"},
        "finish_reason": "stop"}]}  # fmt: skip

# ----------------------------------------------------------------------------------------- of the client


def test_a_client_is_let_in_later() -> None:
    book = of_client() >> asks(**ONE) << ""
    assert book.state is State.RESOLVING
    book >> answers(0.0) << "ask a"
    book >> replies("a", reply=USED) << "200, over"
    assert (remote(book).requests, remote(book).tokens) == (1, 77), "what it really took"
    assert book.is_clean()


def test_a_client_is_refused_later() -> None:
    book = of_client() >> asks(**ONE) << "" >> answers(30.0) << "429, over"
    assert is_even(book) and remote(book).requests == 0


@pytest.mark.parametrize(("how", "does"), [(leaves(), "over"), (shuts_down, "503, over")], ids=["leaves", "shutdown"])
def test_a_client_that_is_gone_by_then_is_charged_nothing(how: Event, does: str) -> None:
    book = of_client() >> asks(**ONE) << "" >> how << does
    assert book.state is State.OVER
    book >> answers(0.0) << ""
    assert is_even(book) and remote(book).requests == 0


def test_a_refusal_for_a_client_that_is_gone_is_nothing() -> None:
    assert is_even(of_client() >> asks(**ONE) << "" >> leaves() << "over" >> answers(30.0) << "")


def test_a_client_whose_request_fails_afterwards_is_given_its_tokens_back() -> None:
    book = of_client() >> asks(**ONE) << "" >> answers(0.0) << "ask a" >> replies("a", 400) << "400, over"
    assert is_even(book) and remote(book).requests == 1, "it was one of its requests a minute all the same"


def test_a_limiter_of_clients_that_fails_is_an_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    book = of_client() >> asks(**ONE) << "" >> answers(ConnectionError("gone")) << "500, over"
    assert is_even(book) and "gone" in caplog.text


def test_a_limiter_that_cannot_be_told_is_an_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Its answer is there, and the client has its own: nobody else hears of it."""
    book = of_client() >> asks(**ONE) << "" >> answers(0.0) << "ask a"
    remote(book).fails = True
    book >> replies("a") << "200, over"
    assert book.is_clean() and "server of limits is gone" in caplog.text


def test_a_count_of_tokens_waits_for_no_limiter() -> None:
    book = of_client(COUNT) >> asks(protocol="messages", task="count") << "ask a"
    book >> replies("a", 200, {"input_tokens": 7}) << "200, over" >> answers(0.0)
    assert is_even(book)


# --------------------------------------------------------------------------------------- of the upstream


def test_an_upstream_is_asked_later() -> None:
    book = of_upstream() >> asks(**ONE) << ""
    assert book.state is State.QUEUED
    book >> answers(0.0) << "ask a"
    book >> replies("a", reply=USED) << "200, over"
    assert remote(book).tokens == 77 and book.is_clean()


def test_an_upstream_that_is_asked_later_may_stream() -> None:
    book = of_upstream() >> asks(model="one") << "" >> answers(0.0) << "ask a"
    book >> says("a", "x") << "200, write x" >> ends("a") << "write done, end, over"
    assert book.is_clean()


def test_another_upstream_is_asked_instead() -> None:
    book = of_upstream() >> asks(stream=False) << "" >> answers(30.0) << "ask b" >> replies("b") << "200, over"
    assert is_even(book)


def test_a_short_wait_is_waited_for_and_asked_again() -> None:
    book = of_upstream(RETRY) >> asks(**ONE) << "" >> answers(5.0) << ""
    assert book.state is State.BACKING_OFF
    book >> 6.0 << ""
    assert book.state is State.QUEUED and len(remote(book).asked) == 1
    book >> answers(0.0) << "ask a" >> replies("a") << "200, over"
    assert book.is_clean()


def test_a_long_wait_is_told_with_its_retry_after() -> None:
    book = of_upstream() >> asks(**ONE) << "" >> answers(50.0) << "429, over"
    error = book.finishes[-1].error
    assert error is not None and error.retry_after == pytest.approx(50.0) and is_even(book)


@pytest.mark.parametrize(("how", "does"), [(leaves(), "over"), (shuts_down, "503, over")], ids=["leaves", "shutdown"])
def test_what_nobody_wants_any_more_is_given_back_to_the_upstream(how: Event, does: str) -> None:
    book = of_upstream() >> asks(**ONE) << "" >> how << does >> answers(0.0) << ""
    assert is_even(book) and remote(book).requests == 0


def test_a_slot_is_waited_for_after_the_limiter() -> None:
    one_slot = USUAL.replace("a.test\n", "a.test\nmax_concurrent = 1\n")
    book = of_upstream(one_slot) >> asks(**ONE) << "" >> answers(0.0) << "ask a"
    book >> asks(**ONE) << "" >> answers(0.0) << ""
    assert book.state is State.QUEUED
    book >> leaves(0) << "cancel a, over, ask a" >> replies("a", 400) << "400, over"
    assert is_even(book)


def test_a_slot_that_is_not_had_gives_the_limiters_charge_back() -> None:
    one_slot = USUAL.replace("a.test\n", "a.test\nmax_concurrent = 1\n")
    book = of_upstream(one_slot) >> asks(**ONE) << "" >> answers(0.0) << "ask a"
    book >> asks(**ONE) << "" >> answers(0.0) << "" >> 11.0 << "503, over" >> leaves(0) << "cancel a, over"
    assert is_even(book)


def test_an_open_breaker_is_heard_after_the_limiter() -> None:
    """It opened while the limiter was asked: the next upstream is taken, and the limiter has its charge back."""
    book = of_upstream() >> asks(stream=False) << ""
    breaker = book.router.upstreams["a"].place("m", 0).breaker
    breaker._open(book.loop.time())
    book >> answers(0.0) << "ask b" >> replies("b") << "200, over"
    assert is_even(book) and remote(book).requests == 0


def test_a_limiter_of_upstreams_that_fails_sends_to_another(caplog: pytest.LogCaptureFixture) -> None:
    book = of_upstream() >> asks(stream=False) << "" >> answers(ConnectionError("gone")) << "ask b"
    book >> replies("b") << "200, over"
    assert is_even(book) and "a limiter failed" in caplog.text


def test_or_it_is_an_error_of_ours_that_names_it(caplog: pytest.LogCaptureFixture) -> None:
    book = of_upstream() >> asks(**ONE) << "" >> answers(ConnectionError("gone")) << "500, over"
    error = book.finishes[-1].error
    assert error is not None and "limiter" in error.message and is_even(book)


# --------------------------------------------------------------------------------------------- hedges


def hedged() -> Book:
    """The first upstream is late; a second one is asked for leave."""
    book = of_upstream(name="b", book=warm(HEDGED)) >> asks() << "ask a" >> 0.2 << ""
    assert len(remote(book).asked) == 1 and book.state is State.ASKING
    return book


def test_a_hedge_is_sent_later_and_wins() -> None:
    book = hedged() >> answers(0.0) << "ask b" >> says("b", "x") << "cancel a, 200, write x"
    book >> ends("b") << "write done, end, over"
    assert book.is_clean()


def test_a_hedge_that_is_let_in_too_late_is_given_back() -> None:
    book = hedged() >> says("a", "x") << "200, write x" >> answers(0.0) << ""
    book >> ends("a") << "write done, end, over"
    assert is_even(book) and remote(book).requests == 0


@pytest.mark.parametrize("answer", [30.0, ConnectionError("gone")], ids=["refused", "failed"])
def test_a_hedge_that_is_not_let_in_leaves_the_first(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    book = hedged() >> answers(answer) << "" >> says("a", "x") << "200, write x"
    book >> ends("a") << "write done, end, over"
    assert is_even(book)


def test_a_hedge_alone_waits_for_its_limiter() -> None:
    book = hedged() >> replies("a", 503) << ""
    assert book.state is State.QUEUED
    book >> answers(0.0) << "ask b" >> says("b", "x") << "200, write x" >> ends("b") << "write done, end, over"
    assert book.is_clean()


def test_who_leaves_takes_a_hedge_with_it() -> None:
    assert is_even(hedged() >> leaves() << "cancel a, over" >> answers(0.0) << "")


# ------------------------------------------------------------------------- further requests of one turn

SEARCHES: dict[str, Any] = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}}


def message(stop: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": list(content),
            "stop_reason": stop, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 3}}  # fmt: skip


def paused() -> Book:
    """The upstream pauses its turn, and the limiter is asked for leave to go on."""
    book = of_upstream(COUNT) >> asks(model="a/claude", stream=False, web_search_options={}) << ""
    book >> answers(0.0) << "ask a"
    book >> replies("a", 200, message("pause_turn", {"type": "text", "text": "Let me see."}, SEARCHES)) << ""
    assert len(remote(book).asked) == 1
    return book


def test_a_turn_goes_on_later() -> None:
    book = paused() >> answers(0.0) << "ask a"
    book >> replies("a", 200, message("end_turn", {"type": "text", "text": "Here."})) << "200, over"
    assert book.is_clean() and remote(book).requests == 2


def test_a_turn_goes_on_after_a_wait() -> None:
    book = paused() >> answers(5.0) << "" >> 5.1 << "" >> answers(0.0) << "ask a"
    book >> replies("a", 200, message("end_turn", {"type": "text", "text": "Here."})) << "200, over"
    assert book.is_clean()


@pytest.mark.parametrize("answer", [50.0, ConnectionError("gone")], ids=["refused", "failed"])
def test_a_turn_that_may_not_go_on_is_an_error(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    book = paused() >> answers(answer) << ("429, over" if answer == 50.0 else "500, over")
    assert book.is_clean()


@pytest.mark.parametrize(("how", "does"), [(leaves(), "over"), (shuts_down, "503, over")], ids=["leaves", "shutdown"])
def test_a_turn_that_is_over_by_then_is_given_back(how: Event, does: str) -> None:
    book = paused() >> how << does >> answers(0.0) << ""
    assert book.is_clean() and remote(book).requests == 1


# ------------------------------------------------------------------------------------- those in memory


def test_limiters_in_memory_make_nobody_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a future nor a turn of the loop: the upstream is asked in the same call that ends the body."""
    book = Book(QUOTA)
    book.quotas[""] = book.router.upstreams["a"].quota

    def never(*args: Any) -> Any:
        raise AssertionError("a future was made")

    monkeypatch.setattr(asyncio, "ensure_future", never)
    with book.loop.running():
        begins()(book)
        body(model="one", stream=False)(book)
        assert book.done == ["ask a"] and book.state is State.ASKING
    book << "ask a" >> replies("a") << "200, over"
    assert book.is_clean()
