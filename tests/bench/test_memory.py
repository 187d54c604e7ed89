"""What requests allocate: the most while a large body is read, and what a live stream and a finished request keep.

Bytes and blocks as Python counts them, no clock.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import ujson

from gateway.flow import outline
from tests.bench.walk import Bench
from tests.linear import shapes_messages
from tests.support.house import House, one_upstream
from tests.support.script import Answer, Gate, Upstream
from translate import pair
from translate.target import Policy, Target

TURNS = 2_000
BODY = ujson.dumps(shapes_messages.body([{"role": "user", "content": "word " * 200}] * TURNS)).encode()
# Times the body: what is parsed, what is made of it, and the buffer in which ujson writes that: it doubles as it grows.
MOST_OF_BODY = {"chat": 12.0, "responses": 6.0}
MOST_KEPT = 3.0  # blocks a request
MOST_OF_STREAM = 900  # blocks, with those of the client and of the upstream in this process
ROUNDS = 6


def peak(run: Callable[[], Any]) -> int:
    """The most bytes that it has had at once."""
    run()  # what is made once
    gc.collect()
    tracemalloc.start()
    try:
        made = run()
        assert made
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("upstream", MOST_OF_BODY)
def test_a_large_body_is_not_copied_again_and_again(upstream: Any) -> None:
    target = Target("m", Policy())
    most = peak(lambda: pair.request("messages", upstream, ujson.loads(BODY), target).json())
    assert most <= MOST_OF_BODY[upstream] * len(BODY), f"{most / len(BODY):.2f} times the body"


def test_what_passes_through_is_not_copied() -> None:
    assert peak(lambda: outline.read(BODY)) < len(BODY) / 10


def blocks(house: House) -> int:
    """Alive in this process, without what waits for the collector."""

    def count() -> int:
        gc.collect()
        return sys.getallocatedblocks()

    return int(house.on_loop(count))


def test_a_finished_request_keeps_next_to_nothing() -> None:
    """Of many, so that a record that is shown for a while, and tables that grow by doubling, weigh little."""
    bench = Bench("messages", "chat", streams=False)
    with Upstream(lambda _: bench.reply(1)) as up, House(one_upstream(up.url, "chat")) as house:
        with house.connect() as client:

            def ask(times: int) -> None:
                for _ in range(times):
                    client.send("POST", "/v1/messages", ASKED)
                    assert client.reply()[0] == 200
                up.requests.clear()
                house.wait(lambda p: not p.service.flows)

            ask(600)  # more than the latest requests that are kept to be shown
            before = blocks(house)
            ask(200)
            assert (blocks(house) - before) / 200 <= MOST_KEPT


ASKED = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Say hi."}]}


def test_a_live_stream_owns_no_more() -> None:
    bench, gates = Bench("messages", "chat"), list[Gate]()

    def answer(_: object) -> Answer:
        gates.append(Gate())
        return bench.reply(3, gates[-1])

    fewest = sys.maxsize
    with Upstream(answer) as up, House(one_upstream(up.url, "chat")) as house, house.connect() as client:
        for _ in range(ROUNDS):
            house.wait(lambda p: not p.service.flows)
            before = blocks(house)
            client.send("POST", "/v1/messages", ASKED | {"stream": True})
            client.head()
            next(client.pieces())
            fewest = min(fewest, blocks(house) - before)
            gates[-1].open()
            assert client.body()
    assert 0 < fewest <= MOST_OF_STREAM, fewest


def test_the_measures_see_what_there_is() -> None:
    assert peak(lambda: bytearray(10_000_000)) >= 10_000_000
