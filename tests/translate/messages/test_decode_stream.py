"""Messages streams -> events: each case is run whole, byte by byte, and split at random."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.translate.messages.material import (
    check_order,
    decode,
    delta,
    ended,
    opened,
    sse,
    start,
    stopped,
    text,
    view,
    ways,
)
from translate import sse as framing
from translate import wire
from translate.conversation import (
    Delta,
    Event,
    Fault,
    Open,
    Ping,
    Start,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Unknown,
    Usage,
)
from translate.messages.decode_stream import Decoder

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


# ---------------------------------------------------------------------------------------------- parts

BLOCKS: dict[str, tuple[list[dict[str, Any]], list[tuple[Any, ...]]]] = {
    "text": (
        [opened(0, type="text", text=""), *text(0, "Hi", ' "there"\n', "é😀\\"), stopped(0)],
        [(Text(""), 'Hi "there"\né😀\\', "", {})],
    ),
    "text at the start": (
        [opened(0, type="text", text="Hi"), *text(0, "!"), stopped(0)],
        [(Text(""), "Hi!", "", {})],
    ),
    "empty text opens nothing": (
        [opened(0, type="text", text=""), *text(0, "", ""), stopped(0), opened(1, type="text", text=""), stopped(1)],
        [],
    ),
    "citations": (
        [
            opened(0, type="text", text="", citations=[]),
            *text(0, "It is."),
            delta(0, type="citations_delta", citation={"cited_text": "a"}),
            delta(0, type="citations_delta", citation={"cited_text": "b"}),
            stopped(0),
        ],
        [(Text(""), "It is.", "", {}, [{"cited_text": "a"}, {"cited_text": "b"}])],
    ),
    "thinking": (
        [
            opened(0, type="thinking", thinking="", signature=""),
            delta(0, type="thinking_delta", thinking="Let me", estimated_tokens=3),
            delta(0, type="thinking_delta", thinking=" see"),
            delta(0, type="signature_delta", signature="sig=="),
            stopped(0),
            *[opened(1, type="text", text=""), *text(1, "42"), stopped(1)],
        ],
        [(Thinking(), "Let me see", "sig==", {}), (Text(""), "42", "", {})],
    ),
    "thinking with a signature only": (
        [
            opened(0, type="thinking", thinking="", signature=""),
            delta(0, type="thinking_delta", thinking=""),
            delta(0, type="signature_delta", signature="s"),
            stopped(0),
        ],
        [(Thinking(), "", "s", {})],
    ),
    "redacted thinking": (
        [opened(0, type="redacted_thinking", data="xyz"), stopped(0)],
        [(Thinking(encrypted="xyz"), "", "", {})],
    ),
    "tool use": (
        [
            opened(0, type="tool_use", id="toolu_1", name="get", input={}),
            delta(0, type="input_json_delta", partial_json=""),
            delta(0, type="input_json_delta", partial_json='{"city": "Par'),
            delta(0, type="input_json_delta", partial_json='is"}'),
            stopped(0),
        ],
        [(ToolCall("toolu_1", "get"), '{"city": "Paris"}', "", {})],
    ),
    "tool use without any delta": (
        [opened(0, type="tool_use", id="toolu_1", name="get", input={}), stopped(0)],
        [(ToolCall("toolu_1", "get"), "", "", {})],
    ),
    "tool input at the start": (
        [opened(0, type="tool_use", id="t", name="get", input={"a": 1}, caller={"type": "direct"}), stopped(0)],
        [(ToolCall("t", "get", "", {"messages": {"caller": {"type": "direct"}}}), '{"a":1}', "", {})],
    ),
    "tool input at the start and by deltas": (
        [
            opened(0, type="tool_use", id="t", name="get", input={"a": 1}),
            delta(0, type="input_json_delta", partial_json='{"a":2}'),
            stopped(0),
        ],
        [(ToolCall("t", "get"), '{"a":2}', "", {})],
    ),
    "tool input as a string": (
        [opened(0, type="tool_use", id="t", name="get", input='{"a":1}'), stopped(0)],
        [(ToolCall("t", "get"), '{"a":1}', "", {})],
    ),
    "server tool": (
        [
            opened(0, type="server_tool_use", id="s", name="web_search", input={}),
            delta(0, type="input_json_delta", partial_json='{"query":'),
            delta(0, type="input_json_delta", partial_json='"x"}'),
            stopped(0),
            opened(1, type="web_search_tool_result", tool_use_id="s", content=[{"url": "u"}]),
            stopped(1),
        ],
        [
            (
                Unknown(
                    "messages", {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
                ),
                *("", "", {}),
            ),
            (
                Unknown("messages", {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "u"}]}),
                *("", "", {}),
            ),
        ],
    ),
    "compaction": (
        [
            opened(0, type="compaction", content=None),
            delta(0, type="compaction_delta", content="So far", encrypted_content=None),
            delta(0, type="compaction_delta", content=": all."),
            stopped(0),
        ],
        [(Unknown("messages", {"type": "compaction", "content": "So far: all."}), "", "", {})],
    ),
    "a block of tomorrow": (
        [opened(0, type="hologram", x=1), delta(0, type="hologram_delta", y=[2]), stopped(0)],
        [(Unknown("messages", {"type": "hologram", "x": 1, "y": [2]}), "", "", {})],
    ),
    "no content_block_start": (
        [*text(0, "a", "b"), stopped(0), delta(1, type="thinking_delta", thinking="c"), stopped(1)],
        [(Text(""), "ab", "", {}), (Thinking(), "c", "", {})],
    ),
    "no content_block_stop": (
        [
            *[opened(0, type="text", text=""), *text(0, "a")],
            *[opened(1, type="tool_use", id="t", name="n", input={}), stopped(1)],
        ],
        [(Text(""), "a", "", {}), (ToolCall("t", "n"), "", "", {})],
    ),
    "one index for all": (
        [opened(0, type="text", text=""), *text(0, "a"), opened(0, type="thinking", thinking="b")],
        [(Text(""), "a", "", {}), (Thinking(), "b", "", {})],
    ),
    "no index at all": (
        [
            {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "abc"}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "def"}},
            {"type": "content_block_stop"},
        ],
        [(Text(""), "abcdef", "", {})],
    ),
    "no index, two blocks": (
        [
            {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "abc"}},
            {"type": "content_block_stop"},
            {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "def"}},
            {"type": "content_block_stop"},
        ],
        [(Text(""), "abc", "", {}), (Text(""), "def", "", {})],
    ),
    "two blocks wait for one": (
        [
            *[opened(0, type="text", text="a"), opened(1, type="text", text="b"), opened(2, type="text", text="c")],
            *[*text(2, "1"), stopped(1), *text(2, "2"), stopped(2), stopped(0)],
        ],
        [(Text(""), "a", "", {}), (Text(""), "b", "", {}), (Text(""), "c12", "", {})],
    ),
    "interleaved blocks": (
        [
            opened(0, type="tool_use", id="a", name="n", input={}),
            opened(1, type="tool_use", id="b", name="n", input={}),
            opened(2, type="text", text=""),
            delta(1, type="input_json_delta", partial_json='{"x":'),
            delta(0, type="input_json_delta", partial_json='{"y":'),
            *text(2, "one"),
            delta(1, type="input_json_delta", partial_json="1}"),
            delta(0, type="input_json_delta", partial_json="2}"),
            *[stopped(0), *text(2, " two"), stopped(1), stopped(2)],
        ],
        [
            (ToolCall("a", "n"), '{"y":2}', "", {}),
            (ToolCall("b", "n"), '{"x":1}', "", {}),
            (Text(""), "one two", "", {}),
        ],
    ),
    "what has no shape": (
        [
            {"type": "content_block_start", "index": 0, "content_block": None},
            {"type": "content_block_delta", "index": 0, "delta": None},
            stopped(0),
            delta(1, type="input_json_delta", partial_json="{}"),
            stopped(7),
            *[opened(2, type="text", text=5), delta(2, type="text_delta", text=None), *text(2, "ok"), stopped(2)],
            *[opened(3, type=["text"]), stopped(3)],
        ],
        [(Text(""), "ok", "", {})],
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks(name: str) -> None:
    events, expected = BLOCKS[name]
    read_events = read(start(), *events, *ended())
    assert parts(read_events) == expected
    assert stop_of(read_events).usage == Usage(input=7, output=5)


def test_many_interleaved_blocks_need_no_stack() -> None:
    many = range(2000)
    blocks = [opened(i, type="text", text=f"<{i}>") for i in many]
    events = decode([sse(start(), *blocks, *map(stopped, many), *ended())])
    assert [text for _, text, *_ in parts(events)] == [f"<{i}>" for i in many]


# --------------------------------------------------------------------------------------------- framing

FRAMINGS = {
    "crlf": lambda raw: raw.replace(b"\n", b"\r\n"),
    "cr": lambda raw: raw.replace(b"\n", b"\r"),
    "no event lines": lambda raw: b"".join(
        line + b"\n" for line in raw.split(b"\n")[:-1] if not line.startswith(b"event:")
    ),
    "no space after data": lambda raw: raw.replace(b"data: ", b"data:"),
    "comments": lambda raw: raw.replace(b"event:", b": hello\n\n: again\nevent:"),
    "no final blank line": lambda raw: raw.rstrip(b"\n"),
    "padding": lambda raw: raw.replace(b"}}\n", b"}   }\n").replace(b" there", b" there"),
    "type only in the event line": lambda raw: raw.replace(b'"type":"message_stop"', b'"x":1'),
    "an event line each, ids and retries": lambda raw: raw.replace(b"event:", b"id: 5\nretry: 3\nevent:"),
    "done at the end": lambda raw: raw + b"event: data\ndata: [DONE]\n\n",
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_framings(name: str) -> None:
    raw = sse(start(), *HI, *ended())
    expected = view(decode([raw]))
    for chunks in ways(FRAMINGS[name](raw)):
        assert view(decode(chunks)) == expected


@given(cuts=st.lists(st.integers(0, 3000), max_size=12))
def test_any_split(cuts: list[int]) -> None:
    events = [event for block in ("thinking", "tool use", "server tool", "citations") for event in BLOCKS[block][0]]
    raw = sse(start(), *events, *ended("tool_use"))
    at = [0, *sorted(cut % len(raw) for cut in cuts), len(raw)]
    assert view(decode(raw[a:b] for a, b in zip(at, at[1:], strict=False))) == view(decode([raw]))


@given(st.binary(max_size=300), st.integers(0, 900))
def test_nothing_raises(noise: bytes, at: int) -> None:
    raw = sse(start(), *HI, *ended())
    check_order(decode([raw[:at] + noise + raw[at:]]))
    check_order(decode([noise]))


SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(
        ["type", "index", "message", "content", "content_block", "delta", "usage", "text", "stop_reason", "input"]
    ), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
KINDS = ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"]


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.dictionaries(
    st.sampled_from(["index", "message", "content_block", "delta", "usage", "error"]), SHAPES
)), max_size=6))  # fmt: skip
def test_odd_shapes_do_not_raise(odd: list[tuple[str, dict[str, Any]]]) -> None:
    check_order(decode([sse(*({"type": kind} | body for kind, body in odd), *ended())]))


# ----------------------------------------------------------------------------------- the fast path


def test_what_arrives_together_leaves_together() -> None:
    decoder = Decoder()
    texts = [f"word{i} " for i in range(30)]
    decoder.feed(sse(start(), opened(0, type="text", text="")))
    events = decoder.feed(sse(*text(0, *texts)))
    assert [type(event) for event in events] == [Start, Open, Delta]
    assert isinstance(events[2], Delta) and b"".join(events[2].pieces) == "".join(texts).encode()
    assert len(events[2].pieces) == 30


def test_the_lane_stays_in_its_block() -> None:
    events = [
        *[opened(0, type="text", text=""), *text(0, "first", "second"), stopped(0)],
        *[opened(1, type="text", text=""), *text(1, "third", "fourth"), stopped(1)],
        *[opened(2, type="thinking", thinking=""), delta(2, type="thinking_delta", thinking="fifth")],
    ]
    assert [said[1] for said in parts(read(start(), *events, *ended()))] == ["firstsecond", "thirdfourth", "fifth"]


def test_pings_between_deltas() -> None:
    raw = sse(start(), HI[0], *text(0, "one", "two"), {"type": "ping"}, *text(0, "three"), stopped(0), *ended())
    events = decode([raw])
    assert [type(event).__name__ for event in events] == ["Start", "Open", "Delta", "Ping", "Delta", "Close", "Stop"]


# ------------------------------------------------------------------------------------------ message


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


@pytest.mark.parametrize("odd", [None, 5, {"input_tokens": -3, "output_tokens": True}, {"output_tokens": "9"}])
def test_odd_usage_counts_nothing(odd: Any) -> None:
    events = read(start(usage=odd), *HI, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": odd})
    usage = stop_of(events).usage
    assert usage is None or (usage.prompt, usage.output) == (0, 0)


# ---------------------------------------------------------------------------------------- bad endings

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
def test_faults(raw: bytes, kind: str, words: str) -> None:
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


def test_things_show_their_state() -> None:
    decoder = Decoder()
    decoder.feed(sse(start(), *HI[:3]))
    assert "_running" in repr(decoder) and "TextBlock 0 opened=True" in repr(decoder)
    assert "content_block_delta" in repr(decoder._template)
