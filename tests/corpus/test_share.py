"""The recorded traffic in all six crossings: no exchange loses what it did not lose before.

What is lost of each request and each reply (whole, or streamed and cut at random) is kept in tests/golden/corpus.json;
a new reason fails, one that is gone is printed at the end of the run, and `--update` writes the file anew. Run with
another set of recordings, the exchanges that both sets have are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import GOLDEN
from tests.support import corpus, lacking, losses, params
from tests.support.corpus import Exchange
from tests.support.shares import UNTOLD, Book, Losses, Share
from translate import pair
from translate.failures.errors import BadRequest
from translate.target import Protocol, Target

# Recordings edited by hand, whose deltas and done events say different things.
CONTRADICTORY = {"resp-openai-s-aae9e59b49"}


def counted(exchanges: list[Exchange], of: Callable[[Exchange], set[str]]) -> Losses:
    return {exchange.id: sorted(of(exchange)) for exchange in exchanges if exchange.id not in CONTRADICTORY}


def judge(share: Share) -> None:
    if not share.losses:
        pytest.skip(lacking.TRAFFIC)
    if not share.shared:
        pytest.skip(f"other recordings: none of these {len(share.losses)} is in tests/golden/corpus.json")
    untold = [what for what in share.untold if what.partition(":")[0] in share.shared]
    assert untold == [], "lost, and the translator does not say so"
    assert share.sunk == [], f"lost now, and not by tests/golden/corpus.json ({len(share.shared)} exchanges compared)"


@pytest.mark.parametrize(("client", "upstream"), losses.CROSSINGS)
def test_recorded_requests_lose_no_more_than_is_known(client: Protocol, upstream: Protocol, book: Book) -> None:
    found = counted(corpus.exchanges(losses.API[client], losses.asks), lambda e: losses.of_request(upstream, e))
    judge(book.enter(f"requests {client} -> {upstream}", found))


@pytest.mark.parametrize(("client", "upstream"), losses.CROSSINGS)
def test_requests_are_valid(client: Protocol, upstream: Protocol) -> None:
    """By the types of the upstream's official SDK."""
    wrong = []
    for exchange in corpus.exchanges(losses.API[client], losses.asks):
        try:
            body = {"model": "m"} | exchange.request
            encoded = pair.request(client, upstream, body, Target(losses.MODEL[upstream]))
        except BadRequest as error:
            assert error.message and error.status == 400
            continue
        wrong += [f"{exchange.id}: {problem}" for problem in params.CHECKS[upstream](encoded.body)]
    assert wrong == []


@pytest.mark.parametrize(("client", "upstream"), losses.CROSSINGS)
def test_recorded_replies_lose_no_more_than_is_known(client: Protocol, upstream: Protocol, book: Book) -> None:
    found = counted(corpus.exchanges(losses.API[upstream], losses.replies), lambda e: losses.of_reply(client, e))
    judge(book.enter(f"replies {upstream} -> {client}", found))


# ------------------------------------------------------------------------------------- the counting itself


def test_a_new_reason_sinks_and_a_lost_one_betters(tmp_path: Path) -> None:
    file = tmp_path / "golden" / "corpus.json"
    Book(file, update=True).enter("requests a -> b", {"x": [], "y": ["seed", "user"], "gone": []})
    Book(file, update=True).enter("replies b -> a", {"z": []})
    again = Book(file)
    share = again.enter("requests a -> b", {"x": ["seed"], "y": ["user"], "new": ["top_k"]})
    assert share.shared == ["x", "y"]
    assert share.sunk == ["x: seed"]
    assert share.better == ["y: seed"]
    with pytest.raises(AssertionError, match=r"lost now.*2 exchanges compared"):
        judge(share)
    assert share.line() == "requests a -> b: 0 of 3 lossless (0 %); lost: seed 1, top_k 1, user 1"
    assert again.lines()[1] == "compared with tests/golden/corpus.json: 2 of 3 crossings"
    assert "y: seed. --update" in again.lines()[2]
    assert Book(file).kept("replies b -> a") == {"z": []}


def test_what_is_lost_untold_fails_whatever_was_kept(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    Book(file, update=True).enter("n", {"x": ["untold: calls"]})
    again = Book(file)
    with pytest.raises(AssertionError, match="does not say so"):
        judge(again.enter("n", {"x": ["untold: calls"]}))
    assert again.lines()[2] == "lost, and not told: x: untold: calls (1 in all)"
    judge(again.enter("n", {"x": [], "new": ["untold: text"]}))


def test_without_recordings_it_is_skipped(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match="no recorded traffic"):
        judge(Book(tmp_path / "x.json").enter("n", {}))
    with pytest.raises(pytest.skip.Exception, match="none of these 1"):
        judge(Book(tmp_path / "x.json").enter("n", {"x": ["seed"]}))


def test_the_kept_losses_name_their_reasons() -> None:
    """Nothing of what the file keeps is a loss that nobody is told of."""
    kept = Book(GOLDEN / "corpus.json")
    for client, upstream in losses.CROSSINGS:
        for name in (f"requests {client} -> {upstream}", f"replies {upstream} -> {client}"):
            found = kept.kept(name)
            assert found and not [r for reasons in found.values() for r in reasons if r.startswith(UNTOLD)]
