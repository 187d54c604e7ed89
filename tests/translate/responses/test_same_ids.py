"""Items that share an id: xAI's reasoning goes on under the one that it began with."""

from __future__ import annotations

from typing import Any

import pytest

from translate.conversation import Open, Thinking
from translate.json import wire
from translate.reasoning import sealed_reasoning
from translate.responses.decode_stream import Decoder
from translate.responses.reply import explode


def thought(cipher: str) -> dict[str, Any]:
    return {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": cipher}


WHOLE = {"object": "response", "status": "completed", "output": [thought("A"), thought("B")]}


def ciphers(events: list[Any]) -> list[str]:
    parts = [event.part for event in events if isinstance(event, Open)]
    return [
        sealed_reasoning.item_in(part.encrypted)["encrypted_content"] for part in parts if isinstance(part, Thinking)
    ]


def test_in_a_whole_reply() -> None:
    assert ciphers(explode(WHOLE)) == ["A", "B"]


@pytest.mark.parametrize("told", [0, 1, 2])
def test_in_a_stream_whose_last_event_tells_the_rest(told: int) -> None:
    """`told` of them came with an event of their own."""
    events = [
        {"type": "response.output_item.done", "output_index": i, "item": item}
        for i, item in enumerate(WHOLE["output"][:told])
    ]
    raw = [b"data: %b\n\n" % wire.dumps(e) for e in [*events, {"type": "response.completed", "response": WHOLE}]]
    decoder = Decoder()
    assert ciphers([event for each in raw for event in decoder.feed(each)] + decoder.end()) == ["A", "B"]
