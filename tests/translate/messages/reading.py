"""Events of Messages streams as the tests of decoding look at them."""

from __future__ import annotations

from typing import Any

from tests.translate.messages.material import check_order, decode, opened, sse, stopped, text, view, ways
from translate.conversation import Event, Fault, Stop

HI = [opened(0, type="text", text=""), *text(0, "Hi", " there"), stopped(0)]


def parts(events: list[Event]) -> list[tuple[Any, ...]]:
    """(part, text, signature, ext) of each part."""
    return [tuple(item[1:]) for item in view(events) if item[0] == "open"]


def read(*events: dict[str, Any] | str) -> list[Event]:
    """The events of a stream, read in many ways which must agree."""
    raw = sse(*events)
    first = decode([raw])
    for chunks in ways(raw):
        again = decode(chunks)
        check_order(again)
        assert view(again) == view(first)
    return first


def stop_of(events: list[Event]) -> Stop:
    assert isinstance(events[-1], Stop), events[-1]
    return events[-1]


def fault_of(events: list[Event]) -> Any:
    assert isinstance(events[-1], Fault), events[-1]
    return events[-1].error
