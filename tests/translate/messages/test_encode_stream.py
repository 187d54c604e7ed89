"""Events -> the stream that a Messages client gets; each case is judged by the grammar checker too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance import grammar
from translate.conversation import (
    Citation,
    Close,
    Delta,
    Event,
    Fault,
    Image,
    Open,
    Part,
    Ping,
    Refusal,
    Start,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Unknown,
    Usage,
)
from translate.failures.errors import ApiError
from translate.json import wire
from translate.messages.decode_stream import Encoder
from translate.messages.reply import collect
from translate.reasoning import sealed_reasoning
from translate.target import Asked

ASKED = Asked("my-model", "k1", 0, 42, {"long_name_1234": "a very long name"})


def said(*texts: str) -> Delta:
    return Delta([wire.inside(text) for text in texts])


def part(part: Part, *texts: str, **close: Any) -> list[Event]:
    return [Open(part), *([said(*texts)] if texts else []), Close(**close)]


def sent(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in raw.decode().split("\n") if line.startswith("data: ")]


def emit(*events: Event) -> list[dict[str, Any]]:
    """What is sent: the same all at once and event by event, and legal."""
    raw = Encoder(ASKED).emit(list(events))
    one = Encoder(ASKED)
    assert b"".join(one.emit([event]) for event in events) == raw
    assert grammar.check_messages(raw) == []
    return sent(raw)


def shown(*events: Event) -> list[dict[str, Any]]:
    """The same without message_start and message_stop."""
    return emit(Start(), *events)[1:-1]


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def last(reason: str | None, sequence: str | None = None, **usage: int) -> dict[str, Any]:
    counts = {"input_tokens": 42, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": sequence},
        "usage": counts | usage,
    }


def test_a_reply_from_its_start_to_its_end() -> None:
    usage = Usage(input=10, cache_read=5, cache_write=3, cache_write_1h=2, output=8, reasoning=4)
    events = emit(Start("id", "upstream-model", None), *part(Text(""), "Hi", ' "you"'), Stop("end", usage))
    assert events[0]["message"] == {
        "id": "msg_k1",
        "type": "message",
        "role": "assistant",
        "model": "my-model",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 42,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        },
    }
    assert events[1:5] == block(
        0, {"type": "text", "text": ""}, *({"type": "text_delta", "text": t} for t in ("Hi", ' "you"'))
    )
    assert events[5]["usage"] == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 5,
        "output_tokens": 8,
        "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
        "output_tokens_details": {"thinking_tokens": 4},
    }
    assert events[6] == {"type": "message_stop"}


def test_the_bytes_of_a_burst() -> None:
    encoder = Encoder(ASKED)
    encoder.emit([Start(), Open(Text(""))])
    line = (
        b"event: content_block_delta\n"
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n'
    )
    assert encoder.emit([Delta([b"a", rb"\n\"", "é".encode()])]) == line % b"a" + line % rb"\n\"" + line % "é".encode()


PARTS: dict[str, tuple[list[Event], list[dict[str, Any]]]] = {
    "thinking": (
        part(Thinking(), "Let", " me", signature="sig"),
        block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Let"},
            {"type": "thinking_delta", "thinking": " me"},
            {"type": "signature_delta", "signature": "sig"},
        ),
    ),
    "a signature known from the beginning": (
        part(Thinking(signature="sig")),
        block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "signature_delta", "signature": "sig"},
        ),
    ),
    "thinking without a signature": (
        part(Thinking(), "Hm"),
        block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Hm"},
            {"type": "signature_delta", "signature": sealed_reasoning.EMPTY},
        ),
    ),
    "signatures stay with their block": (
        [*part(Thinking(), signature="a"), *part(Thinking(), "b")],
        [
            *block(
                0,
                {"type": "thinking", "thinking": "", "signature": ""},
                {"type": "signature_delta", "signature": "a"},
            ),
            *block(
                1,
                {"type": "thinking", "thinking": "", "signature": ""},
                {"type": "thinking_delta", "thinking": "b"},
                {"type": "signature_delta", "signature": sealed_reasoning.EMPTY},
            ),
        ],
    ),
    "encrypted thinking takes no text": (
        part(Thinking(encrypted="xyz"), "lost"),
        block(0, {"type": "redacted_thinking", "data": "xyz"}),
    ),
    "citations": (
        part(Text(""), "So", citations=[Citation("messages", {"cited_text": "c"})]),
        block(
            0,
            {"type": "text", "text": ""},
            {"type": "text_delta", "text": "So"},
            {"type": "citations_delta", "citation": {"cited_text": "c"}},
        ),
    ),
    "another protocol's leftovers": (
        part(Text("", {"chat": {"x": 1}}), "So", ext={"chat": {"audio": {}}}),
        block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "So"}),
    ),
    "a part without a block is left out": (
        [*part(Unknown("chat", {"type": "audio"}), "lost"), *part(Image(url="u")), *part(Text(""), "kept")],
        block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "kept"}),
    ),
    "a server tool's input comes by a delta": (
        part(Unknown("messages", {"type": "server_tool_use", "id": "s", "name": "w", "input": {"q": 1}})),
        block(
            0,
            {"type": "server_tool_use", "id": "s", "name": "w", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"q":1}'},
        ),
    ),
    "a result of a server tool is whole": (
        part(Unknown("messages", {"type": "web_search_tool_result", "tool_use_id": "s", "content": []})),
        block(0, {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}),
    ),
    "no Close": (
        [Open(Text("")), said("a"), Open(Text("")), said("b")],
        [
            *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "a"}),
            *block(1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "b"}),
        ],
    ),
    "nothing open": ([said("lost"), Close()], []),
    "a second Start": ([Start("again")], []),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_become_streamed_blocks(name: str) -> None:
    events, expected = PARTS[name]
    assert shown(*events, Stop("end")) == [*expected, last("end_turn")]


CALL = {"type": "tool_use", "id": "toolu_1", "name": "get", "input": {}}


@pytest.mark.parametrize(
    ("given", "id", "name"),
    [
        (ToolCall("toolu_1", "get"), "toolu_1", "get"),
        (ToolCall("", "get"), "toolu_k1_0", "get"),
        (ToolCall("functions.get:0", "get"), "functions_get_0_b57ced28", "get"),
        (ToolCall("t", "long_name_1234"), "t", "a very long name"),
    ],
)
def test_tool_calls(given: ToolCall, id: str, name: str) -> None:
    events = [*part(given, '{"a"', ":1}"), Stop("tool_calls")]
    start, *deltas, stop, end = shown(*events)
    assert start["content_block"]["name"] == name and start["content_block"]["input"] == {}
    assert start["content_block"]["id"][: len(id) - 8] == id[: len(id) - 8]
    assert [d["delta"] for d in deltas] == [{"type": "input_json_delta", "partial_json": p} for p in ('{"a"', ":1}")]
    assert stop["type"] == "content_block_stop" and end["delta"]["stop_reason"] == "tool_use"
    (whole,) = collect([Start(), *events], ASKED)["content"]
    assert whole == {"type": "tool_use", "id": start["content_block"]["id"], "name": name, "input": {"a": 1}}


# ------------------------------------------------------------------------------------------- the end

TEXT, CALLED, REFUSED = part(Text(""), "a"), part(ToolCall("t", "n"), "{}"), part(Refusal(), "No.")
CUT = part(ToolCall("t", "n"), '{"a')


@pytest.mark.parametrize(
    ("parts", "stop", "reason", "sequence"),
    [
        ([], Stop("end"), "end_turn", None),
        (TEXT, Stop("end"), "end_turn", None),
        (TEXT, Stop("length"), "max_tokens", None),
        (TEXT, Stop("stop_sequence", sequence="END"), "stop_sequence", "END"),
        (TEXT, Stop("stop_sequence"), "stop_sequence", None),
        (TEXT, Stop("end", sequence="END"), "end_turn", None),
        (TEXT, Stop("pause"), "pause_turn", None),
        (TEXT, Stop("refusal"), "refusal", None),
        (TEXT, Stop("context_overflow"), "model_context_window_exceeded", None),
        (TEXT, Stop("compaction"), "compaction", None),
        (TEXT, Stop("tool_calls"), "end_turn", None),  # no tool was called
        (CALLED, Stop("tool_calls"), "tool_use", None),
        (CALLED, Stop("end"), "tool_use", None),
        (CUT, Stop("length"), "max_tokens", None),  # the arguments are cut off: nobody must run them
        (REFUSED, Stop("end"), "refusal", None),
        (REFUSED, Stop("length"), "max_tokens", None),
        ([*REFUSED, *CALLED], Stop("end"), "tool_use", None),
        ([Open(Unknown("chat", {})), Close()], Stop("tool_calls"), "end_turn", None),
    ],
)
def test_stop_reasons(parts: list[Event], stop: Stop, reason: str, sequence: str | None) -> None:
    assert shown(*parts, stop)[-1] == last(reason, sequence)
    whole = collect([Start(), *parts, stop], ASKED)
    assert (whole["stop_reason"], whole["stop_sequence"]) == (reason, sequence)


def test_a_reason_of_tomorrow_goes_through() -> None:
    stop = Stop("end", ext={"messages": {"stop_reason": "bored", "container": {"id": "c"}}})
    whole = collect([Start(), *CALLED, stop], ASKED)
    assert (whole["stop_reason"], whole["container"]) == ("bored", {"id": "c"})


def test_what_stands_beside_the_delta() -> None:
    ext = {"messages": {"container": {"id": "c"}, "context_management": {"applied_edits": []}}}
    end = shown(*TEXT, Stop("end", ext=ext))[-1]
    assert end["delta"]["container"] == {"id": "c"}
    assert end["context_management"] == {"applied_edits": []}
    assert "context_management" not in end["delta"]


def test_usage_that_the_start_told_is_the_last_resort() -> None:
    assert shown(*TEXT, Stop("end"))[-1]["usage"]["input_tokens"] == 42
    start = Start(usage=Usage(input=9, output=1))
    assert emit(start, *TEXT, Stop("end"))[-2]["usage"]["input_tokens"] == 9
    assert emit(start, *TEXT, Stop("end", Usage(input=11, output=5)))[-2]["usage"]["input_tokens"] == 11
    assert emit(start, *TEXT, Stop("end", Usage(output=5)))[-2]["usage"]["input_tokens"] == 42


def test_stop_without_start() -> None:
    assert [event["type"] for event in emit(Stop("end"))] == ["message_start", "message_delta", "message_stop"]
    assert [event["type"] for event in emit(*TEXT, Stop("end"))][:2] == ["message_start", "content_block_start"]


OVERLOADED = Fault(ApiError("overloaded", "Overloaded"))


def test_a_fault_is_the_last_word() -> None:
    assert emit(OVERLOADED) == [{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}]
    assert emit(Fault(RuntimeError()))[0]["error"] == {"type": "api_error", "message": "RuntimeError"}


def types(*events: Event) -> list[str]:
    return [event["type"].removeprefix("content_block_") for event in emit(Start(), *events, OVERLOADED)][1:]


def test_a_fault_stops_an_open_block_that_has_words() -> None:
    assert types(Open(Text("")), said("a")) == ["start", "delta", "stop", "error"]
    assert types(Open(Thinking()), said("a")) == ["start", "delta", "delta", "stop", "error"]
    signed = emit(Start(), Open(Thinking()), said("a"), OVERLOADED)[3]
    assert signed["delta"] == {"type": "signature_delta", "signature": sealed_reasoning.EMPTY}
    assert types(Open(Text("")), said("a"), Close()) == ["start", "delta", "stop", "error"]


def test_a_fault_stops_neither_a_call_nor_a_block_without_words() -> None:
    assert types(Open(ToolCall("t:1", "n")), said("a")) == ["start", "delta", "error"]  # half of it would be run
    assert types(Open(ToolCall("t:1", "n", custom=True)), said("a")) == ["start", "error"]
    for part in (Text(""), Thinking()):
        assert types(Open(part)) == ["start", "error"]
    call = Open(ToolCall("t:1", "n"))
    assert types(Open(Text("")), said("a"), Close(), call) == ["start", "delta", "stop", "start", "error"]


@pytest.mark.parametrize("end", [Stop("end"), OVERLOADED])
def test_nothing_after_the_end(end: Event) -> None:
    encoder = Encoder(ASKED)
    assert not encoder.started and not encoder.ended
    encoder.emit([Start(), *TEXT, end])
    assert encoder.started and encoder.ended
    for event in (Start(), *TEXT, Close(), Ping(), Stop("end"), OVERLOADED):
        assert encoder.emit([event]) == b""
    assert encoder.ping() == b""
    assert "over" in repr(encoder)


def test_pings_are_legal_at_their_time() -> None:
    encoder = Encoder(ASKED)
    assert encoder.ping() == b": ping\n\n"
    assert encoder.emit([Ping()]) == b""  # the upstream's: no useful byte, so the status stays open
    encoder.emit([Start()])
    assert encoder.ping() == encoder.emit([Ping()]) == b'event: ping\ndata: {"type": "ping"}\n\n'


PIECES = st.lists(st.text(max_size=4).map(wire.inside).filter(bool), min_size=1, max_size=3)
ANY_PART = st.sampled_from(
    [Text(""), Thinking(), Thinking(encrypted="e"), ToolCall("t:1", "n"), Refusal(), Unknown("chat", {"type": "x"})]
)
ANY_EVENT: st.SearchStrategy[Event] = st.one_of(
    st.just(Start()),
    st.builds(Open, ANY_PART),
    st.builds(Delta, PIECES),
    st.builds(Close, st.sampled_from(["", "sig"])),
    st.builds(Stop, st.sampled_from(["end", "length", "tool_calls"])),
    st.just(OVERLOADED),
    st.just(Ping()),
)


@given(st.lists(ANY_EVENT, max_size=12))
def test_any_events_make_a_legal_stream(events: list[Event]) -> None:
    encoder = Encoder(ASKED)
    raw = encoder.emit(events)
    if not encoder.ended:
        raw += encoder.emit([Stop("end")])
    allowed = ("without text", "not a JSON object")  # as the events were
    assert [p for p in grammar.check_messages(raw) if not p.endswith(allowed)] == []
