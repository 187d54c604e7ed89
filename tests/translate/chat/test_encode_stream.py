"""What a Chat client reads: chunk by chunk, and the same as a whole body says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.translate.chat.material import short
from translate.chat import reply
from translate.chat.decode_stream import Decoder
from translate.chat.encode_stream import Encoder
from translate.conversation import (
    Close,
    Delta,
    Document,
    Event,
    Fault,
    Open,
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
from translate.failures import errors
from translate.json import wire
from translate.messages import citations
from translate.target import Asked

ASKED = Asked(
    model="mine", key="k1", created=99, input_tokens=7, tool_names={"short_1": "a.long.name"}, include_usage=True
)
CITED = list(map(citations.read, [{"url": "https://a", "title": "A"}, {"url": "https://b"}, {"file_id": "x"}]))

PLACE = {"start_index": 0, "end_index": 11}


def part(opened: Any, *pieces: str, **close: Any) -> list[Event]:
    deltas: list[Event] = [Delta([wire.inside(piece) for piece in pieces])] if pieces else []
    return [Open(opened), *deltas, Close(**close)]


def chunks(raw: bytes) -> list[Any]:
    """The data of each event; [DONE] and comments as they are. Checks the framing."""
    assert raw.endswith(b"\n\n") or not raw
    found: list[Any] = []
    for event in raw.decode().split("\n\n")[:-1]:
        assert "\n" not in event
        data = event.removeprefix("data: ")
        found.append(data if data.startswith((":", "[")) else json.loads(data))
    return found


def deltas(raw: bytes) -> list[Any]:
    return [c["choices"][0]["delta"] for c in chunks(raw) if isinstance(c, dict) and c.get("choices")]


def emit(events: list[Event], asked: Asked = ASKED) -> bytes:
    """One by one and all at once: the same bytes."""
    encoder, other = Encoder(asked), Encoder(asked)
    raw = encoder.emit(events)
    assert b"".join(other.emit([event]) for event in events) == raw
    return raw


def test_a_reply_in_full() -> None:
    events: list[Event] = [
        Start("up", "up-model"),
        *part(Thinking(), "h", "m", signature="S"),
        *part(Thinking(encrypted="E")),
        *part(Text(""), "Hel", 'lo "you"', citations=CITED),
        *part(ToolCall("t1", "short_1"), '{"x"', ":1}"),
        *part(ToolCall("", "f")),
        Stop("tool_calls", Usage(input=3, cache_read=4, cache_write=5, output=6, reasoning=2)),
    ]
    raw = emit(events)
    assert deltas(raw) == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "h"},
        {"reasoning_content": "m"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "S", "index": 0}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "E", "index": 1}]},
        {"content": "Hel"},
        {"content": 'lo "you"'},
        {
            "annotations": [
                {"index": 0, "type": "url_citation", "url_citation": PLACE | {"title": "A", "url": "https://a"}},
                {
                    "index": 1,
                    "type": "url_citation",
                    "url_citation": PLACE | {"title": "https://b", "url": "https://b"},
                },
            ]
        },
        {
            "tool_calls": [
                {"index": 0, "id": "t1", "type": "function", "function": {"name": "a.long.name", "arguments": ""}}
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        {
            "tool_calls": [
                {"index": 1, "id": "call_k1_1", "type": "function", "function": {"name": "f", "arguments": ""}}
            ]
        },
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]
    *content, finish, usage, done = chunks(raw)
    for item in (*content, finish, usage):
        assert item["object"] == "chat.completion.chunk"
        assert (item["id"], item["created"], item["model"]) == ("chatcmpl-k1", 99, "mine")
    assert all(c["choices"][0]["finish_reason"] is None and c["usage"] is None for c in content)
    assert finish["choices"][0]["finish_reason"] == "tool_calls"
    assert usage["choices"] == []
    assert usage["usage"] == {
        "prompt_tokens": 12,
        "completion_tokens": 6,
        "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert done == "[DONE]"


STOPS = [
    ("end", [], "stop"),
    ("stop_sequence", [], "stop"),
    ("pause", [], "length"),
    ("compaction", [], "stop"),
    ("length", [], "length"),
    ("length", part(ToolCall("t", "f"), '{"x'), "length"),
    ("context_overflow", [], "length"),
    ("tool_calls", part(ToolCall("t", "f")), "tool_calls"),
    ("end", part(ToolCall("t", "f")), "tool_calls"),
    ("tool_calls", [], "stop"),
    ("refusal", [], "content_filter"),
    ("refusal", part(Refusal(), "no"), "stop"),
]


@pytest.mark.parametrize(("reason", "parts", "finish"), STOPS)
def test_stop_reasons_whole_and_streamed(reason: Any, parts: list[Event], finish: str) -> None:
    events = [Start(), *parts, Stop(reason)]
    assert [c["choices"][0]["finish_reason"] for c in chunks(emit(events, Asked("m")))[:-1]][-1] == finish
    assert reply.collect(events, ASKED)["choices"][0]["finish_reason"] == finish


def test_usage_comes_only_when_asked_for() -> None:
    events: list[Event] = [Start(), *part(Text(""), "a"), Stop("end", Usage(input=1, output=1))]
    assert b"usage" not in emit(events, Asked("m"))


def test_usage_that_was_never_told_is_what_is_known() -> None:
    told = chunks(emit([Start(usage=Usage(input=5)), Stop("end")]))[-2]["usage"]
    assert (told["prompt_tokens"], told["completion_tokens"]) == (5, 0)
    assert chunks(emit([Start(), Stop("end")]))[-2]["usage"]["prompt_tokens"] == 7


def test_stop_without_start_is_a_legal_stream() -> None:
    assert deltas(emit([Stop("end")])) == [{"role": "assistant", "content": ""}, {}]
    assert deltas(emit([*part(Text(""), "a"), Stop("end")]))[0] == {"role": "assistant", "content": ""}


def test_nothing_after_the_end() -> None:
    encoder = Encoder(ASKED)
    assert (encoder.started, encoder.ended) == (False, False)
    encoder.emit([Start()])
    assert (encoder.started, encoder.ended) == (True, False)
    raw = encoder.emit([Stop("end"), *part(Text(""), "late"), Fault(errors.BadReply("late"))])
    assert raw.endswith(b"data: [DONE]\n\n")
    assert (encoder.started, encoder.ended) == (True, True)
    assert encoder.emit([*part(Text(""), "late"), Stop("end")]) == encoder.ping() == b""


def test_a_fault_is_an_error_object_without_done() -> None:
    encoder = Encoder(ASKED)
    encoder.emit([Start(), Open(Text("")), Delta([b"a"])])
    [error] = chunks(encoder.emit([Close(), Fault(errors.ApiError("overloaded", "busy"))]))
    assert error["error"]["message"] == "busy"
    assert encoder.ended
    [error] = chunks(Encoder(ASKED).emit([Fault(ValueError("odd"))]))
    assert error["error"]["message"] == "odd"


def test_pings_are_comments() -> None:
    encoder = Encoder(ASKED)
    assert encoder.ping() == b": ping\n\n"
    assert encoder.emit([Ping()]) == b""  # the upstream's, before anything useful: the status is still open
    assert not encoder.started
    encoder.emit([Start()])
    assert encoder.emit([Ping()]) == b": ping\n\n"


def test_parts_that_chat_has_no_word_for_are_left_out() -> None:
    unknown = Unknown("messages", {"type": "server_tool_use"})
    events: list[Event] = [Start(), *part(unknown, "{}"), *part(Document(url="u")), *part(Text(""), "a"), Stop("end")]
    assert deltas(emit(events)) == [{"role": "assistant", "content": ""}, {"content": "a"}, {}]
    assert reply.collect(events, ASKED)["choices"][0]["message"]["content"] == "a"


def test_annotations_that_came_last() -> None:
    note = {"type": "url_citation", "url_citation": {"url": "https://a"}}
    events: list[Event] = [Start(), *part(Text(""), "a"), Stop("end", ext={"chat": {"annotations": [note]}})]
    assert {"annotations": [{"index": 0} | note]} in deltas(emit(events))
    assert reply.collect(events, ASKED)["choices"][0]["message"]["annotations"] == [note]


def test_what_is_written_reads_back_as_the_same_events() -> None:
    detail = {"type": "reasoning.encrypted", "data": "E", "format": "x", "id": "r"}
    events: list[Event] = [
        Start("up", "m"),
        *part(Thinking(), "hm", signature="S"),
        *part(Thinking(encrypted="E", ext={"chat": {"detail": detail}})),
        *part(Text(""), "Hi\n", "😀"),
        *part(ToolCall("t1", "f"), '{"x":', "1}"),
        *part(ToolCall("t2", "f"), "{}"),
        Stop("tool_calls", Usage(input=3, output=6)),
    ]
    decoder = Decoder()
    back = decoder.feed(emit(events))
    assert short(back) == short(events)
    assert back[-1].usage.prompt == 3  # type: ignore[union-attr]
    assert short(reply.explode(reply.collect(events, ASKED))) == short(events)


def test_repr_shows_the_state() -> None:
    encoder = Encoder(ASKED)
    encoder.emit([Start(), Open(Text(""))])
    assert repr(encoder) == "<chat.Encoder writing Text 0 calls>"
