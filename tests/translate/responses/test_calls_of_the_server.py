"""Calls that the server has run itself, as servers of agents do: their outputs are in the reply, and nobody else runs
them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate import dialects
from translate.conversation import Event, Open, Stop, ToolCall
from translate.target import Asked, Policy, Protocol

RESPONSES = dialects.of("responses")


def call(nth: int, kind: str = "function_call") -> dict[str, Any]:
    said = {"input": "x"} if kind == "custom_tool_call" else {"arguments": "{}"}
    return {"type": kind, "id": f"fc_{nth}", "call_id": f"call_{nth}", "name": "f", "status": "completed"} | said


def output(nth: int, kind: str = "function_call") -> dict[str, Any]:
    return {"type": f"{kind}_output", "id": f"out_{nth}", "call_id": f"call_{nth}", "output": "42"}


MESSAGE = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "it is 42"}]}
OWN, OWN_OUTPUT = call(1, "custom_tool_call"), output(1, "custom_tool_call")
CASES: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "run, then said": ([call(1), output(1), MESSAGE], []),
    "a free-text tool": ([OWN, OWN_OUTPUT, MESSAGE], []),
    "two at once": ([call(1), call(2), output(2), output(1), MESSAGE], []),
    "one after the other": ([call(1), output(1), call(2), output(2), MESSAGE], []),
    "then one for the client": ([call(1), output(1), MESSAGE, call(2)], ["call_2"]),
    "one of two": ([call(1), call(2), output(1)], ["call_2"]),
    "none is answered": ([MESSAGE, call(1), call(2)], ["call_1", "call_2"]),
    "an output of an earlier call": ([output(7), call(1)], ["call_1"]),
}


def event(kind: str, **more: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps({"type": kind} | more).encode()


def streamed(items: list[dict[str, Any]], *, told_at_end: bool, indexed: bool) -> list[Event]:
    decoder = RESPONSES.decoder(Policy())
    done = [
        event("response.output_item.done", item=item, **({"output_index": i} if indexed else {}))
        for i, item in enumerate(items)
    ]
    last = {"id": "r", "status": "completed", "output": items if told_at_end else []}
    stream = [event("response.created", response={"id": "r"}), *done, event("response.completed", response=last)]
    return [each for chunk in stream for each in decoder.feed(chunk)] + decoder.end()


def calls_of(events: list[Event]) -> list[str]:
    return [each.part.id for each in events if isinstance(each, Open) and isinstance(each.part, ToolCall)]


def reason_of(events: list[Event]) -> str:
    assert isinstance(events[-1], Stop)
    return events[-1].reason


@pytest.mark.parametrize("name", CASES)
def test_only_what_nobody_has_run_is_the_clients(name: str) -> None:
    items, left = CASES[name]
    reply = {"id": "r", "object": "response", "status": "completed", "output": items}
    all_forms = [RESPONSES.explode(reply, Policy())]
    all_forms += [streamed(items, told_at_end=end, indexed=index) for end in (True, False) for index in (True, False)]
    for events in all_forms:
        assert calls_of(events) == left
        assert reason_of(events) == ("tool_calls" if left else "end")


@pytest.mark.parametrize("client", ["messages", "chat", "gemini"])
def test_a_client_of_another_protocol_hears_what_is_said_after_it(client: Protocol) -> None:
    events = RESPONSES.explode({"status": "completed", "output": [call(1), output(1), MESSAGE]}, Policy())
    said = json.dumps(dialects.of(client).collect(events, Asked(model="m", key="k", created=1)))
    assert "it is 42" in said and "call_1" not in said


def test_a_call_that_comes_in_pieces_is_told_at_once_and_does_not_end_the_reply() -> None:
    """Its beginning is out before anybody knows."""
    begun = call(1) | {"arguments": ""}
    stream = [
        event("response.output_item.added", output_index=0, item=begun),
        event("response.function_call_arguments.delta", output_index=0, item_id="fc_1", delta="{}"),
        event("response.output_item.done", output_index=0, item=call(1)),
    ]
    decoder = RESPONSES.decoder(Policy())
    assert calls_of([each for chunk in stream for each in decoder.feed(chunk)]) == ["call_1"]
    rest = decoder.feed(event("response.output_item.done", output_index=1, item=output(1)))
    rest += decoder.feed(event("response.output_item.done", output_index=2, item=MESSAGE))
    assert not calls_of(rest)
    last = {"status": "completed", "output": [call(1), output(1), MESSAGE]}
    assert reason_of(decoder.feed(event("response.completed", response=last))) == "end"
