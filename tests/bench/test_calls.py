"""What a request and an event may cost, in calls of the project's own functions: a count, which no other load changes.

A slow machine cannot fail these tests, and a change that adds a helper to each event cannot pass them. The limits stand
a little above what is reached: lower one where you have made something cheaper; where you need more, say in the commit
what it buys. `python -m tests.bench.walk CLIENT UPSTREAM` tells where the calls are.
"""

from __future__ import annotations

import contextlib
import sys

import pytest

from tests.bench.walk import Bench, Walk

ROUNDS = 150  # at most, until one of them is cheap enough: in others a busy machine has cut the bytes in more pieces
PAUSE_S = 0.003
DELTAS = 12
TIMERS = frozenset(("_sweep", "_tick", "_look", "_on_timer", "_expire", "flush", "_some"))  # what comes meanwhile

# A quiet machine takes up to three calls more than a busy one: the head of a request comes a moment before its body.
# (client, upstream) -> calls of a whole reply, of a stream of one delta, and of each further delta.
MOST: dict[tuple[str, str], tuple[int, int, float]] = {
    ("chat", "chat"): (278, 318, 12.0),
    ("messages", "messages"): (276, 324, 12.0),
    ("responses", "responses"): (298, 331, 12.0),
    ("messages", "chat"): (490, 604, 30.0),
    ("messages", "responses"): (504, 658, 33.0),
    ("responses", "chat"): (574, 662, 31.0),
    ("chat", "messages"): (520, 636, 29.0),
}


def calls(bench: Bench, deltas: int, enough: float) -> int:
    """Of the request alone: what a timer calls is left out, with all that comes of it."""
    fewest = sys.maxsize
    with contextlib.closing(bench.each_walk(deltas, ROUNDS, PAUSE_S)) as walks:
        for walk in walks:
            fewest = min(fewest, _without_timers(walk))
            if fewest <= enough:
                break
    return fewest


def _without_timers(walk: Walk) -> int:
    count, counts = 0, True
    for caller, code in walk.calls:
        if caller is None:
            counts = code.co_name not in TIMERS
        count += counts
    return count


@pytest.mark.parametrize(("client", "upstream"), MOST)
def test_calls_of_a_whole_reply(client: str, upstream: str) -> None:
    most = MOST[client, upstream][0]
    assert calls(Bench(client, upstream, streams=False), 1, most) <= most


@pytest.mark.parametrize(("client", "upstream"), MOST)
def test_calls_of_a_stream_and_of_each_delta(client: str, upstream: str) -> None:
    _, most, most_each = MOST[client, upstream]
    bench = Bench(client, upstream)
    one = calls(bench, 1, most)
    many = calls(bench, 1 + DELTAS, one + DELTAS * most_each)
    assert one <= most and (many - one) / DELTAS <= most_each


def test_the_measure_sees_calls() -> None:
    bench = Bench("chat", "chat")
    assert calls(bench, 1, 1000) > 100
    assert calls(bench, 1 + DELTAS, 1000) > 100 + 4 * DELTAS
