"""At the very sizes that somebody will send: a quarter of each against all of it.

The other tests of this folder try every shape, at sizes that take milliseconds; what grows only beyond those (a table
that no longer fits, a buffer that is copied as it grows) is seen here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.passing.passthrough import Passthrough
from tests.linear import shapes_chat, shapes_messages
from tests.linear.work import grows_linearly
from translate import pair
from translate.pair import Asked
from translate.streams import sse
from translate.target import Target

MESSAGES, TOOLS, LINE, EVENTS = 100_000, 10_000, 50_000_000, 1_000_000
PIECE = 65_536
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'


def pieces(whole: bytes) -> list[bytes]:
    return [whole[at : at + PIECE] for at in range(0, len(whole), PIECE)]


@pytest.mark.parametrize(
    ("client", "upstream", "make", "many"),
    [
        ("messages", "chat", shapes_messages.SHAPES["turns alt"], MESSAGES // 2),  # two messages each
        ("chat", "messages", shapes_chat.SHAPES["tools"], TOOLS),
    ],
    ids=["messages", "tools"],
)
def test_a_request(client: Any, upstream: Any, make: Callable[[int], Any], many: int) -> None:
    made = make(many)
    assert len(made["messages"]) == MESSAGES or len(made["tools"]) == TOOLS
    grows_linearly(make, lambda body: pair.request(client, upstream, body, Target("m")).json(), many // 4)


def feed(reader: Any) -> Callable[[list[bytes]], None]:
    def run(given: list[bytes]) -> None:
        to = reader()
        for piece in given:
            to.feed(piece)

    return run


READERS = {
    "splitter": sse.Splitter,
    "passed through": lambda: Passthrough("chat", "another", None),
    "crossing": lambda: pair.Crossing("messages", "chat", Asked("m", "k")),
}


@pytest.mark.parametrize("name", READERS)
def test_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where [limits] event_mb lets it through."""
    monkeypatch.setattr(sse.Most, "event_bytes", 2 * LINE)
    grows_linearly(lambda n: pieces(b'data: {"x":"' + b"a" * n), feed(READERS[name]), LINE // 4)


@pytest.mark.parametrize("name", ["passed through", "crossing"])
def test_tiny_events(name: str) -> None:
    grows_linearly(lambda n: pieces(EVENT * n), feed(READERS[name]), EVENTS // 4)
