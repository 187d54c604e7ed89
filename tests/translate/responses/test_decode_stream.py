"""A Responses upstream's streams as neutral events: what servers leave out, add, and get wrong."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.translate.responses.material import (
    CREATED,
    RESPONSE,
    USAGE,
    added,
    call,
    done,
    event,
    message,
    over,
    part,
    read,
    short,
    text,
)
from translate.conversation import Citation, Close, Delta, Fault, Open, Start, Stop, Text, Thinking
from translate.json import wire
from translate.reasoning import sealed_reasoning
from translate.responses.decode_stream import Decoder, learn
from translate.streams import sse

SUMMARY = "response.reasoning_summary_text.delta"
OPENED = added(0, type="message", id="msg_1", content=[], phase="commentary")
SIMPLE = CREATED + OPENED + text(0, "Hel") + text(0, "lo", 1) + text(0, " you", 12) + over(0, **message("Hello you"))

STREAMS: dict[str, tuple[bytes, list[str]]] = {
    "text": (SIMPLE + done(), ["text: Hello you", "stop end"]),
    "no event lines, comments, [DONE]": (
        b": keepalive\n\n" + SIMPLE.replace(b"event: ", b": ") + b": \n\n" + done() + b"data: [DONE]\n\n",
        ["text: Hello you", "stop end"],
    ),
    "carriage returns": ((SIMPLE + done()).replace(b"\n", b"\r\n"), ["text: Hello you", "stop end"]),
    "a keepalive event": (
        CREATED + event("keepalive", sequence_number=3) + SIMPLE + done(),
        ["text: Hello you", "stop end"],
    ),
    "nothing but deltas": (text(0, "a") + text(0, "b") + done(), ["text: ab", "stop end"]),
    "nothing but done items": (CREATED + over(0, **message("a")) + done(), ["text: a", "stop end"]),
    "nothing but the terminal response": (
        done(output=[message("a"), call()]),
        ["text: a", "call f#call_1: {}", "stop tool_calls"],
    ),
    "items that the terminal response repeats": (
        SIMPLE + done(output=[message("Hello you")]),
        ["text: Hello you", "stop end"],
    ),
    "an empty output at the end": (SIMPLE + done(output=[]), ["text: Hello you", "stop end"]),
    "no index at all": (
        CREATED
        + event("response.output_item.added", item={"type": "message", "id": "m"})
        + event("response.output_text.delta", item_id="m", delta="a")
        + event("response.output_item.done", item={"type": "message", "id": "m", "content": [part("ab")]})
        + event("response.output_item.done", item=call())
        + done(),
        ["text: ab", "call f#call_1: {}", "stop tool_calls"],
    ),
    "no index and no id": (
        event("response.output_text.delta", delta="a") + event("response.output_text.delta", delta="b") + done(),
        ["text: ab", "stop end"],
    ),
    "ids that change with every event": (
        CREATED + added(0, type="message", id="x1") + text(0, "a", item_id="x2") + text(0, "b", item_id="x3") + done(),
        ["text: ab", "stop end"],
    ),
    "two parts and a refusal": (
        CREATED
        + OPENED
        + text(0, "a")
        + event("response.output_text.done", output_index=0, content_index=0, text="ab")
        + event("response.refusal.delta", output_index=0, content_index=1, delta="no")
        + done(),
        ["text: ab", "refusal: no", "stop refusal"],
    ),
    "arguments": (
        CREATED
        + added(0, **call(""))
        + event("response.function_call_arguments.delta", output_index=0, delta='{"a"')
        + event("response.function_call_arguments.delta", output_index=0, delta=":1}")
        + event("response.function_call_arguments.done", output_index=0, arguments='{"a":1}')
        + over(0, **call('{"a":1}'))
        + done(),
        ['call f#call_1: {"a":1}', "stop tool_calls"],
    ),
    "arguments only when done": (
        CREATED
        + added(0, **call(""))
        + event("response.function_call_arguments.done", output_index=0, arguments="{}")
        + done(),
        ["call f#call_1: {}", "stop tool_calls"],
    ),
    "arguments only with the item": (
        CREATED + added(0, **call("")) + over(0, **call("{}")) + done(),
        ["call f#call_1: {}", "stop tool_calls"],
    ),
    "arguments as an object": (
        CREATED + over(0, **call() | {"arguments": {"a": 1}}) + done(),
        ['call f#call_1: {"a":1}', "stop tool_calls"],
    ),
    "calls that interleave": (
        CREATED
        + added(0, **call("", call_id="a"))
        + added(1, **call("", call_id="b", id="fc_2"))
        + event("response.function_call_arguments.delta", output_index=1, delta='{"b":')
        + event("response.function_call_arguments.delta", output_index=0, delta="{}")
        + event("response.function_call_arguments.delta", output_index=1, delta="2}")
        + over(1, **call('{"b":2}', call_id="b", id="fc_2"))
        + over(0, **call("{}", call_id="a"))
        + done(),
        ["call f#a: {}", 'call f#b: {"b":2}', "stop tool_calls"],
    ),
    "cut arguments": (
        CREATED + added(0, **call("")) + over(0, **call('{"a')) + done(),
        [
            'open call f#call_1: {"a',
            "fault the upstream's call of the tool 'f' ends with arguments that are no JSON object",
        ],
    ),
    "a namespace": (CREATED + over(0, **call(namespace="ns")) + done(), ["call ns/f#call_1: {}", "stop tool_calls"]),
    "a call without call_id": (
        CREATED + over(0, **call(call_id=None)) + done(),
        ["call f#fc_1: {}", "stop tool_calls"],
    ),
    "free text": (
        CREATED
        + added(0, type="custom_tool_call", id="c", call_id="call_2", name="g", input="")
        + event("response.custom_tool_call_input.delta", output_index=0, delta="SELECT")
        + event("response.custom_tool_call_input.done", output_index=0, input="SELECT 1")
        + done(),
        ["custom g#call_2: SELECT 1", "stop tool_calls"],
    ),
    "a custom call that xAI makes itself": (
        CREATED + over(0, type="custom_tool_call", id="c", call_id="xs_call_1", name="x_search", input="q") + done(),
        ["unknown custom_tool_call", "stop end"],
    ),
    "a search": (
        CREATED
        + added(0, type="web_search_call", id="ws", status="in_progress")
        + event("response.web_search_call.searching", output_index=0, item_id="ws")
        + over(0, type="web_search_call", id="ws", status="completed")
        + over(1, **message("found", id="m2"))
        + done(),
        ["unknown web_search_call", "text: found", "stop end"],
    ),
    "a summary in two parts": (
        CREATED
        + added(0, type="reasoning", id="rs", summary=[])
        + event("response.reasoning_summary_part.added", output_index=0, summary_index=0, part={})
        + event(SUMMARY, output_index=0, summary_index=0, delta="a")
        + event(SUMMARY, output_index=0, summary_index=0, delta="b")
        + event(SUMMARY, output_index=0, summary_index=1, delta="c")
        + event(SUMMARY, output_index=0, summary_index=1, delta="d")
        + over(0, type="reasoning", id="rs", encrypted_content="E", summary=[{"text": "ab"}, {"text": "cd"}])
        + done(),
        ["thinking: ab\n\ncd signed", "stop end"],
    ),
    "the model's own words and their summary": (
        CREATED
        + event("response.reasoning_part.added", output_index=0, item_id="rs")
        + event("response.reasoning_text.delta", output_index=0, content_index=0, delta="own")
        + event(SUMMARY, output_index=0, summary_index=0, delta="short")
        + over(0, type="reasoning", id="rs", summary=[{"text": "short"}], content=[{"text": "own"}])
        + done(),
        ["thinking: own", "stop end"],
    ),
    "reasoning in one piece": (
        CREATED + over(0, type="reasoning", summary=[{"text": "a"}]) + done(),
        ["thinking: a", "stop end"],
    ),
    "reasoning without anything": (
        CREATED + over(0, type="reasoning", id="rs", summary=[]) + over(1, **message("a")) + done(),
        ["text: a", "stop end"],
    ),
    "the answer is cut": (
        SIMPLE + done("incomplete", incomplete_details={"reason": "max_output_tokens"}),
        ["text: Hello you", "stop length"],
    ),
    "the answer is filtered": (
        SIMPLE + done("incomplete", incomplete_details={"reason": "content_filter"}),
        ["text: Hello you", "stop refusal"],
    ),
    "it is incomplete for no known reason": (SIMPLE + done("incomplete"), ["text: Hello you", "stop length"]),
    "the status is complete": (
        SIMPLE + done(status="completed").replace(b'"status": "completed"', b'"status": "complete"'),
        ["text: Hello you", "stop end"],
    ),
    "it failed": (
        SIMPLE + done("failed", error={"code": "rate_limit_exceeded", "message": "slow"}),
        ["text: Hello you", "fault slow"],
    ),
    "it failed without a word": (CREATED + done("failed"), ["fault the upstream's response has the status 'failed'"]),
    "it was cancelled": (CREATED + done("cancelled"), ["fault the upstream's response has the status 'cancelled'"]),
    "an error, then failed": (
        CREATED
        + event("error", error={"message": "quota", "code": "insufficient_quota"})
        + done("failed", error={"message": "x"}),
        ["fault quota"],
    ),
    "a flat error": (CREATED + event("error", code="x", message="flat", param=None), ["fault flat"]),
    "an error without a message": (
        CREATED + event("error"),
        ["fault the upstream reported an error without a message"],
    ),
    "an error of another dialect": (b'data: {"error": {"message": "chat"}}\n\n', ["fault chat"]),
    "an error in words": (b"error: broken\n\n", ["fault broken"]),
    "no JSON": (b"data: {x\n\n", ["fault an event of the upstream's stream is not valid JSON, it begins: {x"]),
    "no object": (b"data: 7\n\n" + SIMPLE + done(), ["text: Hello you", "stop end"]),
    "it ends in the middle": (
        SIMPLE,
        ["text: Hello you", "fault the upstream's stream ended before response.completed"],
    ),
    "[DONE] ends nothing": (
        SIMPLE + b"data: [DONE]\n\n",
        ["text: Hello you", "fault the upstream's stream ended before response.completed"],
    ),
    "nothing": (b"", ["fault the upstream answered 200 with an empty body"]),
    "no blank line at the end": ((SIMPLE + done()).rstrip(), ["text: Hello you", "stop end"]),
    "a whole body": (
        json.dumps(RESPONSE | {"status": "completed", "output": [message("a")]}).encode(),
        ["text: a", "stop end"],
    ),
    "half a body": (
        b'{"output": [',
        ['fault the upstream\'s reply is not valid JSON (cut off?), it begins: {"output": ['],
    ),
    "a page": (b"<html>", ["fault the upstream answered 200 with an HTML page where JSON is due; is base_url right?"]),
    "odd types everywhere": (
        event("response.output_item.added", output_index="x", item=7)
        + event("response.output_item.done", output_index=0, item={"type": "message", "content": [7, {"text": 7}]})
        + event("response.output_text.delta", output_index=1, delta=7)
        + done(output=[7, {"type": 7}]),
        ["stop end"],
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams_are_read_whichever_way_they_are_cut(name: str) -> None:
    raw, want = STREAMS[name]
    assert short(read(raw)) == want
    assert short(read(*(raw[i : i + 1] for i in range(len(raw))))) == want
    rng = random.Random(name)
    for _ in range(5):
        cuts = sorted(rng.sample(range(len(raw) + 1), min(6, len(raw) + 1)))
        pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
        assert short(read(*pieces)) == want


@pytest.mark.parametrize("name", STREAMS)
def test_events_keep_their_order(name: str) -> None:
    """Start first, then one part at a time, then one end."""
    events = read(STREAMS[name][0])
    assert isinstance(events[-1], Stop | Fault)
    if len(events) != 1:
        assert isinstance(events[0], Start)
    open_part = False
    for e in events[1:-1]:
        assert isinstance(e, Open) != open_part or isinstance(e, Delta)
        open_part = not isinstance(e, Close) and (open_part or isinstance(e, Open))


def test_what_goes_before_the_first_part_is_held_back() -> None:
    decoder = Decoder()
    assert decoder.feed(CREATED + OPENED) == [] and decoder.begun and not decoder.complete
    [start, opened, delta] = decoder.feed(text(0, "a"))
    assert start == Start("resp_1", "up")
    assert opened == Open(Text("", {"responses": {"id": "msg_1", "phase": "commentary"}}))
    assert delta == Delta([b"a"])
    assert not decoder.ended and "events" in repr(decoder)


def test_usage_comes_apart() -> None:
    stop = read(SIMPLE + done())[-1]
    assert isinstance(stop, Stop) and stop.usage
    assert (stop.usage.input, stop.usage.cache_read, stop.usage.output, stop.usage.reasoning) == (5, 4, 5, 2)
    assert stop.usage.ext["responses"] == USAGE


def test_a_proof_without_a_word_is_sealed() -> None:
    events = read(CREATED + over(0, type="reasoning", id="rs", summary=[], encrypted_content="E") + done())
    [thought] = [e.part for e in events if isinstance(e, Open)]
    assert isinstance(thought, Thinking)
    assert sealed_reasoning.item_in(thought.encrypted) == {"id": "rs", "encrypted_content": "E"}


def test_annotations_come_with_the_end_of_their_text() -> None:
    note = {"type": "url_citation", "url": "http://x", "title": "X", "start_index": 0, "end_index": 1}
    item = message("a", content=[part("a", annotations=[note])])
    [close] = [e for e in read(CREATED + over(0, **item) + done()) if isinstance(e, Close)]
    assert close.citations == [Citation("responses", note, "http://x", "X", 0, 1)]


def test_annotations_are_there_before_the_next_part_begins() -> None:
    """Its text is closed then: what only the item's last word told would come too late, if the stream is read so."""
    note = {"type": "url_citation", "url": "http://x", "title": "X", "start_index": 0, "end_index": 1}
    cited, plain = part("a", annotations=[note]), part("b")
    said = [
        CREATED + added(0, type="message", id="m", content=[]) + text(0, "a"),
        event("response.content_part.done", output_index=0, content_index=0, part=cited),
        event("response.output_text.delta", output_index=0, content_index=1, delta="b"),
        over(0, **message("ab", content=[cited, plain])) + done(),
    ]
    decoder = Decoder()
    told = [len(event.citations) for chunk in said for event in decoder.feed(chunk) if isinstance(event, Close)]
    assert told == [1, 0]


def test_after_the_end_nothing_counts() -> None:
    decoder = Decoder()
    decoder.feed(SIMPLE + done())
    assert decoder.ended
    assert decoder.feed(text(0, "more")) == decoder.end() == []


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse.Most, "event_bytes", 100)
    assert "larger than" in short(read(b"data: " + b"x" * 101))[0]


def test_a_body_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translate.streams.sse.Most.event_bytes", 100)
    assert "larger than" in short(read(b"{" + b"x" * 101))[0]


# -------------------------------------------------------------------------------------------------- fast path


def parsed(raw: bytes) -> list[int]:
    """How many events of each burst were parsed: here by counting what the slow path gets."""
    decoder = Decoder()
    counts = []
    slow = Decoder._slow

    def count(self: Decoder, event: bytes) -> None:
        counts[-1] += 1
        slow(self, event)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decoder, "_slow", count)
        for piece in raw.split(b"|"):
            counts.append(0)
            decoder.feed(piece)
    return counts


_AT = '"item_id":"m","output_index":0,"content_index":0'
ORDERS = {
    "as at OpenAI": '{"type":"T","sequence_number":%d,' + _AT + ',"delta":"%s","logprobs":[],"obfuscation":"%s"}',
    "by the alphabet": '{"content_index":0,"delta":"%s","item_id":"m","obfuscation":"%s","output_index":0,'
    '"sequence_number":%d,"type":"T"}',
    "no padding": '{"type":"T","sequence_number":%d,"item_id":"m","output_index":0,"content_index":0,"delta":"%s"}',
    "no number": '{"type":"T","output_index":0,"content_index":0,"delta":"%s"}',
}


def made(order: str, number: int, said: str, padding: str = "Ab1") -> bytes:
    form = ORDERS[order].replace('"T"', '"response.output_text.delta"')
    values = {"by the alphabet": (said, padding, number), "no number": (said,)}.get(order, (number, said, padding))
    return b"data: " + (form % values[: form.count("%")]).encode() + b"\n\n"


@pytest.mark.parametrize("order", ORDERS)
def test_deltas_like_the_first_are_not_parsed(order: str) -> None:
    burst = (
        made(order, 9, "b") + made(order, 10, 'say \\"hi\\"') + made(order, 11, "\\u00e4\\n", "") + made(order, 100, "")
    )
    raw = CREATED + OPENED + made(order, 8, "a") + b"|" + burst
    assert parsed(raw) == [3, 0]
    assert short(read(raw.replace(b"|", b"") + done()))[0] == 'text: absay "hi"ä\n'


def test_an_id_that_is_another_in_each_event_does_not_hinder() -> None:
    """As GitHub Copilot's are; an item's index tells which one it is."""

    def said(id: str, text: str, index: int = 0) -> bytes:
        place = {"item_id": id, "output_index": index, "content_index": 0, "delta": text}
        return b"data: %b\n\n" % json.dumps({"type": "response.output_text.delta", **place}).encode()

    burst = said("c/+d", "c") + said("e-f=", "d")
    raw = CREATED + OPENED + said("aa", "a") + said("bb", "b") + b"|" + burst + b"|" + said("g", "e", 1)
    assert parsed(raw) == [4, 0, 1]
    assert short(read(raw.replace(b"|", b"")))[0] == "open text: abcd"


def test_without_an_index_the_id_tells_which_item_it_is() -> None:
    def said(id: str, text: str, more: int) -> bytes:
        place = {"item_id": id, "output_index": None, "content_index": 0, "delta": text, "more": more}
        return b"data: %b\n\n" % json.dumps({"type": "response.output_text.delta", **place}).encode()

    raw = CREATED + said("m", "a", 1) + said("m", "b", 2) + b"|" + said("m", "c", 2) + b"|" + said("n", "d", 2)
    assert parsed(raw) == [3, 0, 1]
    assert short(read(raw.replace(b"|", b"")))[0] == "open text: abc"


def test_what_goes_on_after_its_part_is_over_is_not_taken_for_more_of_another() -> None:
    def said(kind: str, index: int, text: str) -> bytes:
        place = {"item_id": "m", "output_index": 0, "content_index": index, "delta": text}
        return b"data: %b\n\n" % json.dumps({"type": f"response.{kind}.delta", **place}).encode()

    raw = CREATED + said("output_text", 0, "a") + said("refusal", 1, "no") + said("output_text", 0, "b")
    assert parsed(raw + b"|" + said("output_text", 0, "c") + b"|" + said("refusal", 1, "!")) == [4, 0, 1]
    told = ["text: a", "refusal: no", "text: bc", "open refusal: !"]
    assert short(read(raw + said("output_text", 0, "c") + said("refusal", 1, "!")))[:4] == told


ODD: dict[str, bytes] = {
    "another part": made("as at OpenAI", 9, "b").replace(b'content_index":0', b'content_index":1'),
    "no number": made("as at OpenAI", 9, "b").replace(b":9,", b":null,"),
    "a field more": made("as at OpenAI", 9, "b").replace(b'"}', b'","x":"y"}'),
    "padding with more in it": made("as at OpenAI", 9, "b", 'x","y":"z'),
    "another end": made("as at OpenAI", 9, "b").replace(b'"logprobs":[]', b'"logprobs":[1]'),
    "shorter": made("no padding", 9, "b"),
    "a line more": made("as at OpenAI", 9, "b")[:-1] + b"id: 7\n\n",
}


@pytest.mark.parametrize("name", ODD)
def test_whatever_differs_is_parsed(name: str) -> None:
    assert parsed(CREATED + OPENED + made("as at OpenAI", 8, "a") + b"|" + ODD[name]) == [3, 1]


def test_a_broken_piece_sends_all_the_slow_way() -> None:
    first = made("no number", 0, "a")
    burst = made("no number", 0, "b") + made("no number", 0, "\\x") + made("no number", 0, "c")
    events = read(CREATED + OPENED + first + burst + done())
    assert short(events)[0] == "open text: ab" and "not valid JSON" in short(events)[1]


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"delta":"b"}',  # says another text
        b'data: {"delta":"a","x":{"delta":"a"}}',
        b'data: {"sequence_number":1,"delta":"a","y":{"sequence_number":2}}',
    ],
)
def test_no_lane_is_learnt_from_what_is_not_certain(event: bytes) -> None:
    assert learn(event, b"a") is None


def test_a_lane_shows_what_it_is() -> None:
    assert "delta" in repr(learn(b'data: {"delta":"\\u0061"}', b"a"))
    assert learn(b'data: {"delta":"\\x"}', b"a") is None


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=8), st.data())
def test_any_text_arrives_however_it_is_cut(texts: list[str], data: st.DataObject) -> None:
    raw = CREATED + OPENED
    for i, said in enumerate(texts):
        fields = {"type": "response.output_text.delta", "sequence_number": i, "output_index": 0, "content_index": 0}
        raw += b"data: " + wire.dumps(fields | {"delta": said}) + b"\n\n"
    raw += done()
    cut = data.draw(st.integers(0, len(raw)))
    events = read(raw[:cut], raw[cut:])
    pieces = [piece for e in events if isinstance(e, Delta) for piece in e.pieces]
    assert wire.text_of(pieces) == "".join(texts)
    assert isinstance(events[-1], Stop)


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    assert isinstance(read(raw)[-1], Stop | Fault)
    assert isinstance(read(CREATED + b"data: " + raw + b"\n\n" + done())[-1], Stop | Fault)
