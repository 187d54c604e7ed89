"""What a Messages stream says of the message itself: its start, why it stopped, its usage, and bad endings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.messages.material import check_order, decode, ended, opened, sse, start, stopped, text, ways
from tests.translate.messages.reading import HI, fault_of, parts, read, stop_of
from translate.conversation import Open, Ping, Start, Stop, Text, ToolCall, Usage
from translate.json import wire
from translate.messages.decode_stream import Decoder
from translate.streams import sse as framing


def test_start_is_held_back() -> None:
    decoder = Decoder()
    assert decoder.feed(sse(start(), {"type": "ping"}, opened(0, type="text", text=""))) == [Ping()]
    assert decoder.feed(sse(*text(0, "Hi")))[:2] == [
        Start("msg_1", "claude-x", Usage(input=7, output=1)),
        Open(Text("")),
    ]
    assert not decoder.ended


def test_a_start_with_content() -> None:
    """A continued answer: nothing follows message_start but message_stop."""
    block = {"type": "tool_use", "id": "t", "name": "roll", "input": {"n": 1}}
    events = read(start(content=[block], stop_reason="tool_use", container={"id": "c"}), {"type": "message_stop"})
    assert parts(events) == [(ToolCall("t", "roll"), '{"n":1}', "", {})]
    assert stop_of(events) == Stop("tool_calls", Usage(input=7, output=1), "", {"messages": {"container": {"id": "c"}}})


@pytest.mark.parametrize(
    ("given", "reason", "left"),
    [
        ("end_turn", "end", {}),
        ("max_tokens", "length", {}),
        ("stop_sequence", "stop_sequence", {}),
        ("tool_use", "tool_calls", {}),
        ("pause_turn", "pause", {}),
        ("refusal", "refusal", {}),
        ("model_context_window_exceeded", "context_overflow", {}),
        ("compaction", "compaction", {}),
        ("because", "end", {"messages": {"stop_reason": "because"}}),
        (None, "end", {}),
    ],
)
def test_stop_reasons(given: str | None, reason: str, left: dict[str, Any]) -> None:
    stop = stop_of(read(start(), *HI, *ended(given)))
    assert (stop.reason, stop.ext) == (reason, left)


def test_null_after_a_tool_is_a_tool_call() -> None:
    events = read(start(), opened(0, type="tool_use", id="t", name="n", input={}), stopped(0), *ended(None))
    assert stop_of(events).reason == "tool_calls"


def test_the_reason_is_told_once() -> None:
    again = {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {"input_tokens": 9}}
    stop = stop_of(read(start(), *HI, ended("max_tokens")[0], again, {"type": "message_stop"}))
    assert (stop.reason, stop.usage) == ("length", Usage(input=9, output=5))
    early = stop_of(read(start(stop_reason="max_tokens", stop_sequence=None), *HI, {"type": "message_stop"}))
    assert early.reason == "length"


def test_the_stop_sequence_and_what_else_the_end_says() -> None:
    said = {"stop_reason": "stop_sequence", "stop_sequence": "END", "stop_details": None}
    last = {"type": "message_delta", "delta": said, "usage": {"output_tokens": 2}, "context_management": {"a": 1}}
    stop = stop_of(read(start(), *HI, last, {"type": "message_stop"}))
    assert stop.sequence == "END"
    assert stop.ext == {"messages": {"stop_details": None, "context_management": {"a": 1}}}


def test_usage_is_cumulative() -> None:
    first = {"input_tokens": 10, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 6, "output_tokens": 88}
    first["cache_creation"] = {"ephemeral_1h_input_tokens": 5, "ephemeral_5m_input_tokens": 1}  # type: ignore[assignment]
    last = {"input_tokens": 0, "cache_read_input_tokens": None, "output_tokens": 90}
    last["output_tokens_details"] = {"thinking_tokens": 30}  # type: ignore[assignment]
    events = read(start(usage=first), *HI, *ended("end_turn", **last))  # type: ignore[arg-type]
    usage = stop_of(events).usage
    assert usage is not None
    counts = (usage.input, usage.cache_read, usage.cache_write, usage.cache_write_1h, usage.output, usage.reasoning)
    assert counts == (10, 4, 6, 5, 90, 30)
    assert isinstance(events[0], Start) and events[0].usage is not None and events[0].usage.output == 88


@pytest.mark.parametrize("odd", [None, 5, {"input_tokens": -3, "output_tokens": True}, {"output_tokens": "x9"}])
def test_odd_usage_counts_nothing(odd: Any) -> None:
    events = read(start(usage=odd), *HI, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": odd})
    usage = stop_of(events).usage
    assert usage is None or (usage.prompt, usage.output) == (0, 0)


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


def test_an_error_before_anything_comes_alone() -> None:
    for events in (read(OVERLOADED), read(start(), {"type": "ping"}, opened(0, type="text", text=""), OVERLOADED)):
        told = [event for event in events if not isinstance(event, Ping)]
        assert len(told) == 1
        assert (fault_of(told).kind, fault_of(told).message) == ("overloaded", "Overloaded")


def test_an_error_in_mid_stream() -> None:
    events = read(start(), *HI[:2], OVERLOADED, *HI[2:], *ended())
    assert [type(event).__name__ for event in events] == ["Start", "Open", "Delta", "Fault"]


@pytest.mark.parametrize(
    ("raw", "kind", "words"),
    [
        (b'data: {"error": {"message": "no", "type": "rate_limit_error"}}\n\n', "rate_limit", "no"),
        (b'error: {"message": "gone"}\n\n', "api", "gone"),
        (b"error: it broke", "api", "it broke"),
        (b"event: error\ndata: 5\n\n", "api", "reported an error: 5"),
        (b"data: {not json\n\n", "upstream", "is not JSON: {not json"),
        (b"<html><body>Bad gateway</body></html>", "upstream", "before message_start: <html><body>Bad gateway"),
        (b"", "upstream", "before message_start"),
        (b'{"id": "msg', "upstream", "is not JSON, or is cut off"),
        (b'{"object": "list"}', "upstream", "is not a message"),
        (b'{"type": "error", "error": {"type": "api_error", "message": "whole"}}', "api", "whole"),
        (b"data: [DONE]\n\n", "upstream", "before message_start"),
        (sse(start(), *HI), "upstream", "before message_stop"),
        (sse(start(), *HI) + b'event: message_delta\ndata: {"type":"message_de', "upstream", "before message_stop"),
        (sse(start(), *HI) + b"data: [DONE]\n\n", "upstream", "before message_stop"),
    ],
)
def test_what_is_no_reply_is_a_fault(raw: bytes, kind: str, words: str) -> None:
    for chunks in ways(raw):
        events = decode(chunks)
        check_order(events)
        error = fault_of(events)
        assert error.kind == kind
        assert words in error.message


def test_an_end_without_message_stop_is_an_end_where_the_reason_was_told() -> None:
    assert stop_of(read(start(), *HI, ended("max_tokens")[0])).reason == "length"
    assert stop_of(read(start(), *HI, ended("max_tokens")[0], "data: [DONE]\n\n")).reason == "length"
    assert stop_of(read(start(), *HI[:2], ended()[0])).reason == "end"


def test_a_stream_without_message_start() -> None:
    events = read({"type": "ping"}, {"type": "unheard_of"}, *HI, *ended())
    assert parts(events) == [(Text(""), "Hi there", "", {})]


def test_a_whole_message_in_place_of_a_stream() -> None:
    body = start()["message"] | {"content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn"}
    for chunks in ways(wire.dumps(body) + b"\n"):
        events = decode(chunks)
        assert parts(events) == [(Text(""), "Hi", "", {})]
        assert stop_of(events).usage == Usage(input=7, output=1)


def test_after_the_end_all_is_ignored() -> None:
    decoder = Decoder()
    assert isinstance(decoder.feed(sse(start(), *HI, *ended(), OVERLOADED))[-1], Stop)
    assert decoder.ended
    assert decoder.feed(sse(*HI)) == [] and decoder.end() == []
    assert "_finished" in repr(decoder)


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing.Most, "event_bytes", 100)
    assert "larger than" in fault_of(Decoder().feed(b"data: " + b"x" * 200)).message
