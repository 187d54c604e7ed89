"""What replies say that they took, wherever they say it: whole, in streams cut anywhere, in pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate import dialects
from translate.conversation import Usage
from translate.counting import tokens, usage
from translate.pair import Crossing
from translate.target import Asked, Protocol


def read(protocol: str) -> usage.UsageReader:
    return dialects.of(protocol).usage


def counts(used: Usage | None) -> tuple[int, ...] | None:
    return used and (used.input, used.cache_read, used.cache_write, used.output, used.reasoning)


def events(*said: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in said)


def chunk(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]} | fields


_BEGUN = {"input_tokens": 25, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 3, "output_tokens": 1}
START = {"type": "message_start", "message": {"id": "m", "usage": _BEGUN}}
COMPLETED = {"type": "response.completed", "response": {"usage": {
    "input_tokens": 20, "input_tokens_details": {"cached_tokens": 8}, "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2}}}}  # fmt: skip

STREAMS: list[tuple[str, Protocol, list[Any], tuple[int, ...] | None]] = [
    ("the input at the start, the output at the end", "messages",
     [START, {"type": "message_delta", "usage": {"output_tokens": 9}}], (25, 7, 3, 9, 0)),
    ("all of it again at the end", "messages",
     [START, {"type": "message_delta", "usage": {"input_tokens": 25, "output_tokens": 9}}], (25, 7, 3, 9, 0)),
    ("zeros for what is not known", "messages",
     [START, {"type": "message_delta", "usage": {"input_tokens": 0, "output_tokens": 9}}], (25, 7, 3, 9, 0)),
    ("another prompt, since the first was compacted", "messages",
     [START, {"type": "message_delta", "usage": {
         "input_tokens": 11, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 9}}],
     (11, 0, 0, 9, 0)),
    ("another prompt, without a word of the cache", "messages",
     [START, {"type": "message_delta", "usage": {"input_tokens": 11, "output_tokens": 9}}], (11, 7, 3, 9, 0)),
    ("null", "messages", [START, {"type": "message_delta", "usage": None}], (25, 7, 3, 1, 0)),
    ("null counts", "messages",
     [START, {"type": "message_delta", "usage": {"input_tokens": None, "output_tokens": None}}], (25, 7, 3, 1, 0)),
    ("the beginning alone", "messages", [START], (25, 7, 3, 1, 0)),
    ("only the kinds of what was written", "messages",
     [{"type": "message_start", "message": {"usage": {"input_tokens": 1, "cache_creation": {
         "ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 2}}}}], (1, 0, 6, 0, 0)),
    ("a tool's own usage", "messages",
     [START, {"type": "content_block_start", "content_block": {"input": {"usage": {"input_tokens": 999}}}}],
     (25, 7, 3, 1, 0)),
    ("in a chunk of its own", "chat",
     [chunk(usage=None), {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 4}}], (10, 0, 0, 4, 0)),
    ("growing", "chat", [chunk(usage={"prompt_tokens": 10, "completion_tokens": n}) for n in range(30)],
     (10, 0, 0, 29, 0)),
    ("the prompt in the first alone", "chat",
     [chunk(usage={"prompt_tokens": 10, "completion_tokens": 0}), chunk(usage={"prompt_tokens": 0,
      "completion_tokens": 6})], (10, 0, 0, 6, 0)),
    ("Groq", "chat", [chunk(x_groq={"id": "r"}), chunk(x_groq={"usage": {"prompt_tokens": 3, "completion_tokens": 2}})],
     (3, 0, 0, 2, 0)),
    ("Moonshot", "chat", [{"choices": [{"delta": {}, "usage": {"prompt_tokens": 3, "completion_tokens": 2}}]}],
     (3, 0, 0, 2, 0)),
    ("LiteLLM says the cache twice", "chat", [chunk(usage={
        "prompt_tokens": 100, "completion_tokens": 5, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 60}})], (10, 60, 30, 5, 0)),
    ("DeepSeek", "chat", [chunk(usage={"prompt_tokens": 100, "prompt_cache_hit_tokens": 64, "completion_tokens": 5,
     "completion_tokens_details": {"reasoning_tokens": 3}})], (36, 64, 0, 5, 3)),
    ("none", "chat", [chunk(usage=None), chunk()], None),
    ("Responses", "responses", [{"type": "response.created", "response": {"usage": None}}, COMPLETED],
     (12, 8, 0, 5, 2)),
    ("incomplete", "responses", [COMPLETED | {"type": "response.incomplete"}], (12, 8, 0, 5, 2)),
    ("failed", "responses", [COMPLETED | {"type": "response.failed"}], (12, 8, 0, 5, 2)),
    ("failed, and says nothing", "responses", [{"type": "response.failed", "response": {"usage": None}}], None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "said", "expected"), [row[1:] for row in STREAMS], ids=[row[0] for row in STREAMS]
)
@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
def test_usage_is_read_from_a_stream(protocol: Protocol, said: list[Any], expected: Any, ends: bytes) -> None:
    raw = events(*said)
    assert counts(usage.in_stream(read(protocol), raw.replace(b"\n", ends))) == expected
    known = None
    for event in said:
        known = usage.of(read(protocol), event, known)
    assert counts(known) == expected


def test_what_was_cut_off_before() -> None:
    known = usage.in_stream(read("messages"), events(START))
    more = usage.in_stream(read("messages"), events({"type": "message_delta", "usage": {"output_tokens": 9}}), known)
    assert counts(more) == (25, 7, 3, 9, 0)
    assert usage.in_stream(read("chat"), b"data: {}\n\n", known) is known


@pytest.mark.parametrize("null", ['"usage":null', '"usage": null'])
def test_any_number_of_events_may_say_null_after_it(null: str) -> None:
    raw = events(chunk(usage={"prompt_tokens": 3, "completion_tokens": 2}))
    raw += b'data: {"choices":[{"delta":{"content":"a"}}],%b}\n\n' % null.encode() * 20
    assert counts(usage.in_stream(read("chat"), raw)) == (3, 0, 0, 2, 0)
    assert counts(usage.in_stream(read("chat"), raw[:-2])) == (3, 0, 0, 2, 0)


def test_null_and_usage_in_one_event() -> None:
    said = {"type": "response.completed", "response": {"tool_usage": {"usage": None}, "usage": {"input_tokens": 7}}}
    assert counts(usage.in_stream(read("responses"), events(said))) == (7, 0, 0, 0, 0)
    turned = {"type": "response.completed", "response": {"usage": {"input_tokens": 7}, "x": {"usage": None}}}
    assert counts(usage.in_stream(read("responses"), events(turned))) == (7, 0, 0, 0, 0)


def test_an_event_whose_beginning_is_lost() -> None:
    text = json.dumps('{"usage":{"input_tokens":999}}')
    raw = b'"text":%b,"x":1}]}],"usage":{"input_tokens":7,"output_tokens":2}}}\n\n' % text.encode()
    assert counts(usage.in_stream(read("responses"), raw)) == (7, 0, 0, 2, 0)
    assert usage.in_stream(read("responses"), b'"usage":{"input_tokens":7,') is None
    assert usage.in_stream(read("responses"), b'"usage": 3 "usage"') is None
    assert usage.in_stream(read("messages"), b'"input":{"usage":{"input_tokens":7}}}\n\n') is None


BODIES: list[tuple[Protocol, dict[str, Any], tuple[int, ...] | None]] = [
    ("messages", {"content": [{"input": {"usage": {"input_tokens": 999}}}], "usage": {"input_tokens": 3,
     "output_tokens": 2}}, (3, 0, 0, 2, 0)),
    ("messages", {"usage": {"input_tokens": 3, "output_tokens": 2}, "content": [{"input": {"usage": {
        "input_tokens": 999}}}]}, (3, 0, 0, 2, 0)),
    ("chat", {"choices": [], "usage": {"input_tokens": 3, "output_tokens": 2}}, (3, 0, 0, 2, 0)),
    ("responses", {"output": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}, (3, 0, 0, 2, 0)),
    ("responses", {"output": [], "usage": None}, None),
    ("responses", {"output": []}, None),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "body", "expected"), BODIES)
def test_whole_bodies(protocol: Protocol, body: dict[str, Any], expected: Any) -> None:
    assert counts(usage.in_body(read(protocol), json.dumps(body).encode())) == expected


def test_a_whole_body_that_is_long_or_no_json() -> None:
    body = {"choices": [{"message": {"content": "x" * usage.MAX_PARSED_BYTES}}], "usage": {"prompt_tokens": 3}}
    assert counts(usage.in_body(read("chat"), json.dumps(body).encode())) == (3, 0, 0, 0, 0)
    assert counts(usage.in_body(read("chat"), b'{"usage":{"prompt_tokens":3},')) == (3, 0, 0, 0, 0)
    assert usage.of(read("chat"), []) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"prompt_tokens": 66, "completion_tokens": 6, "total_tokens": 100}, (66, 0, 0, 34, 28)),  # Gemini
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 18,
          "completion_tokens_details": {"reasoning_tokens": 3}}, (10, 0, 0, 8, 3)),  # xAI
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
          "completion_tokens_details": {"reasoning_tokens": 3}}, (10, 0, 0, 5, 3)),  # OpenAI
        ({"prompt_tokens": 10, "completion_tokens": 5}, (10, 0, 0, 5, 0)),
        ({"completion_tokens": 5, "total_tokens": 15}, (0, 0, 0, 5, 0)),  # the prompt is what is missing
        ({"prompt_tokens": 11, "completion_tokens": 15, "total_tokens": 401,
          "prompt_tokens_details": {"cached_tokens": 9}}, (2, 9, 0, 15, 0)),  # Mistral: nobody knows what
    ],
)  # fmt: skip
def test_thoughts_are_output_and_are_paid_for(said: dict[str, Any], expected: tuple[int, ...]) -> None:
    told = usage.of(read("chat"), {"usage": said})
    assert counts(told) == expected
    assert told is not None and usage.with_thoughts(told) == told


def test_a_prompt_that_was_told_before_is_no_thought() -> None:
    first = {"usage": {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10}}
    last = {"usage": {"completion_tokens": 5, "total_tokens": 15}}
    assert counts(usage.of(read("chat"), last, usage.of(read("chat"), first))) == (10, 0, 0, 5, 0)


XAI = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 18,
       "completion_tokens_details": {"reasoning_tokens": 3}}  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("messages", {"input_tokens": 10, "output_tokens": 8, "output_tokens_details": {"thinking_tokens": 3}}),
        ("responses", {"input_tokens": 10, "output_tokens": 8, "output_tokens_details": {"reasoning_tokens": 3},
                       "total_tokens": 18}),
        ("gemini", {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 3,
                    "totalTokenCount": 18}),
        ("chat", {"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18,
                  "completion_tokens_details": {"reasoning_tokens": 3}}),
    ],
)  # fmt: skip
def test_clients_read_what_their_protocol_means_by_output(
    client: Protocol, expected: dict[str, Any], streamed: bool
) -> None:
    """All count what was thought within the output, but for Google's. xAI counts it beside."""
    end: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    crossing = Crossing(client, "chat", Asked("m", include_usage=True))
    if streamed:
        chunks = [{"choices": [end | {"delta": {"content": "x"}}]}, {"choices": [], "usage": XAI}]
        out = crossing.feed(b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in chunks)) + crossing.end()
    else:
        message = {"role": "assistant", "content": "x"}
        out = crossing.whole(json.dumps({"choices": [end | {"message": message}], "usage": XAI}).encode())
    told: dict[str, Any] = {}
    for line in out.split(b"\n"):
        if line.startswith((b"data: {", b"{")):
            said = json.loads(line.removeprefix(b"data: "))
            told |= said.get("usage") or said.get("usageMetadata") or said.get("response", {}).get("usage") or {}
    assert expected.items() <= told.items()


def test_rounds_of_one_answer_add_up() -> None:
    one = Usage(1, 2, 3, 1, 4, 5, {"chat": {"cost": 1}})
    assert usage.added(one, one) == Usage(2, 4, 6, 2, 8, 10, {"chat": {"cost": 1}})
    assert usage.added(None, one) is one and usage.added(one, None) is one


# -------------------------------------------------------------------------------------- media and estimates

DATA = "iVBORw0KGgo" * 30_000
URL = f"data:image/png;base64,{DATA}"
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}]}]},
        {"messages": [{"content": [IMAGE]}]},
        {"messages": [{"content": [{"type": "tool_result", "content": [
            IMAGE]}]}]},
        {"messages": [{"content": [{"type": "document", "source": {"type": "content", "content": [
            IMAGE]}}]}]},
        {"messages": [{"content": [{"type": "input_audio", "input_audio": {"format": "wav", "data": DATA}}]}]},
        {"messages": [{"content": [{"type": "file", "file": {"filename": "a.png", "file_data": DATA}}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": URL}]}]},
        {"input": [{"type": "function_call_output", "output": [{"type": "input_file", "file_data": DATA}]}]},
        {"input": [{"type": "computer_call_output", "output": {
            "type": "computer_screenshot", "image_url": URL}}]},
        {"input": [{"type": "image_generation_call", "result": DATA}]},
    ],
)  # fmt: skip
def test_media_are_no_text(body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    text, media = tokens.measured(body, len(raw))
    assert tokens.has_media(raw) and text < 200 and 0 < media < 20_000
    assert tokens.estimate(body) < 20_000 and sum(tokens.measured(body, len(raw))) == text + media


def test_text_about_media_is_text() -> None:
    raw = json.dumps({"messages": [{"role": "user", "content": 'write "base64" and {"type": "input_audio"}'}]}).encode()
    assert not tokens.has_media(raw)


def test_a_reply_that_told_nothing() -> None:
    delta = b'data: {"choices":[{"delta":{"content":"hello there, all of you"}}]}\n\n'
    assert 15 <= tokens.of_reply(delta * 3, len(delta) * 3) <= 25
    assert tokens.of_reply(delta, len(delta) * 100) == pytest.approx(640, rel=0.1)
    assert tokens.of_reply(b"", 2000) == 10


COMPACTED = {
    "input_tokens": 11, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 9,
    "iterations": [
        {"type": "compaction", "input_tokens": 100, "cache_read_input_tokens": 50_000, "cache_creation_input_tokens": 6,
         "cache_creation": {"ephemeral_1h_input_tokens": 6}, "output_tokens": 80},
        {"type": "message", "input_tokens": 11, "output_tokens": 9},
    ]}  # fmt: skip


def test_a_compaction_on_the_way_is_paid() -> None:
    told = usage.of(read("messages"), {"usage": COMPACTED})
    assert counts(told) == (11, 0, 0, 9, 0)
    paid = usage.paid(told)
    assert counts(paid) == (111, 50_000, 6, 89, 0) and paid is not None and paid.cache_write_1h == 6
    both = usage.added(told, told)  # two rounds of one answer, such as one that was paused
    assert counts(both) == (22, 0, 0, 18, 0) and counts(usage.paid(both)) == (222, 100_000, 12, 178, 0)
    assert usage.paid(paid) is paid  # it is added once
    later = usage.of(read("messages"), {"usage": {"output_tokens": 10}}, told)  # of a later event of the stream
    assert later is not None and told is not None and later.aside == told.aside
    plain = usage.of(read("messages"), {"usage": _BEGUN})
    assert usage.paid(plain) is plain and usage.paid(None) is None
    for odd in ("x", [7, {"type": "compaction", "input_tokens": "x"}, {}]):
        told = usage.of(read("messages"), {"usage": {"input_tokens": 1, "iterations": odd}})
        assert counts(usage.paid(told)) == (1, 0, 0, 0, 0)
