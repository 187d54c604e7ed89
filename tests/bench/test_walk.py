"""The measure of a request's walk measures; and what one request costs in calls and objects does not grow unseen."""

from __future__ import annotations

import pytest

from tests.bench.walk import Bench, Walk, attributes

# What was counted, and a tenth more: a request that crosses costs about so much, and no clock is needed to see it grow.
MOST_CALLS = {("messages", "chat", True): 655, ("messages", "chat", False): 540, ("chat", "chat", True): 360}
MOST_OF_THE_FLOW = 110  # switches of file that begin or end in gateway/flow
MOST_ALIVE = 30  # objects of ours in the middle of a stream


def _in_flow(walk: Walk) -> int:
    return sum(count for pair, count in walk.switches.items() if any(file.startswith("gateway/flow/") for file in pair))


@pytest.mark.parametrize(("client", "upstream", "streams"), MOST_CALLS)
def test_a_request_takes_no_more_calls(client: str, upstream: str, streams: bool) -> None:
    walk = Bench(client, upstream, streams=streams).walks(1)
    assert "gateway/flow/flow.py" in walk.files and any(code.co_name == "headers_received" for code in walk.functions)
    assert len(walk.calls) <= MOST_CALLS[client, upstream, streams]
    assert _in_flow(walk) <= MOST_OF_THE_FLOW


def test_a_stream_keeps_no_more_objects() -> None:
    alive = Bench("messages", "chat").alive()
    kinds = [type(one).__name__ for one in alive]
    assert "Flow" in kinds and kinds.count("Attempt") == 1
    assert len(alive) <= MOST_ALIVE, sorted(kinds)
    assert sum(len(attributes(one)) for one in alive) <= 320
