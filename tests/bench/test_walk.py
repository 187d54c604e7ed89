"""How far a request walks through the engine, and what it owns in mid-stream: counts that do not grow unseen.

The calls are counted in test_calls.py.
"""

from __future__ import annotations

from tests.bench.walk import Bench, attributes

MOST_SWITCHES = 134  # of file, that begin or end in gateway/flow
MOST_ALIVE, MOST_ATTRIBUTES = 29, 350  # Completion.early, outrun and _bounds are the latest


def test_the_engine_switches_files_no_more_often() -> None:
    walk = Bench("messages", "chat").walks(1)
    assert "gateway/flow/flow.py" in walk.files and any(code.co_name == "headers_received" for code in walk.functions)
    own = [count for pair, count in walk.switches.items() if any(file.startswith("gateway/flow/") for file in pair)]
    assert 0 < sum(own) <= MOST_SWITCHES


def test_a_stream_owns_no_more() -> None:
    alive = Bench("messages", "chat").alive()
    kinds = sorted(type(one).__name__ for one in alive)
    assert kinds.count("Flow") == kinds.count("Attempt") == 1
    assert len(alive) <= MOST_ALIVE, kinds
    assert sum(len(attributes(one)) for one in alive) <= MOST_ATTRIBUTES
