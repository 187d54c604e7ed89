"""Every oddity of recorded Chat streams as a small case, run whole, byte by byte and cut at random."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.translate.chat.material import DONE, call, chunk, cuts, decode, every_way, short, sse
from translate import errors, wire
from translate import sse as framing
from translate.chat import citations, reply
from translate.chat.decode_stream import Decoder, Template
from translate.conversation import (
    Citation,
    Close,
    Delta,
    Event,
    Fault,
    Open,
    Start,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from translate.target import Asked, Policy

ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")
USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}


def stop_of(raw: bytes) -> Stop:
    last = decode([raw])[-1]
    assert isinstance(last, Stop)
    return last


CASES: dict[str, tuple[bytes, list[str]]] = {
    "plain": (
        sse(ROLE, chunk({"content": "Hel"}), chunk({"content": "lo"}), STOP, DONE),
        ["text: Hello", "stop end"],
    ),
    "nothing said": (sse(ROLE, STOP, DONE), ["stop end"]),
    "Azure's first chunk": (
        sse(
            {"id": "", "object": "", "model": "", "created": 0, "choices": [], "prompt_filter_results": []},
            {"id": "x", "model": "m", "choices": [{"content_filter_results": {}, "finish_reason": None}]},
            chunk({"content": "Hi"}),
            STOP,
            DONE,
        ),
        ["text: Hi", "stop end"],
    ),
    "null and empty fields": (
        sse(
            chunk({"role": None, "content": None, "tool_calls": None, "refusal": None, "reasoning_content": None}),
            chunk({"content": "", "refusal": "", "reasoning": "", "function_call": None, "audio": None}),
            chunk({"content": "x", "role": "assistant"}, ""),
            STOP,
            DONE,
        ),
        ["text: x", "stop end"],
    ),
    "comments, CRLF, no [DONE], no last blank line": (
        (b": OPENROUTER PROCESSING\n\n: \n\n" + sse(chunk({"content": "a"}), STOP)).replace(b"\n", b"\r\n")[:-4],
        ["text: a", "stop end"],
    ),
    "data without a space, a space before it, several data lines, an event name": (
        b'data:{"choices":[{"delta":{"content":"a"}}]}\n\n data: {"choices":[{"delta":{"content":"b"}}]}\n\n'
        b'event: x\ndata: {"choices":\ndata: [{"delta":{"content":"c"}}]}\n\nid: 7\n\n' + sse(STOP, DONE),
        ["text: abc", "stop end"],
    ),
    "a byte order mark": (b"\xef\xbb\xbf\n" + sse(chunk({"content": "a"}), STOP, DONE), ["text: a", "stop end"]),
    "DONE with blanks, and no finish_reason": (
        sse(chunk({"content": "a"}), b"data: [DONE] \n\n"),
        ["text: a", "stop end"],
    ),
    "finish beside content, twice, and content after it": (
        sse(chunk({"content": "a"}, "stop"), chunk({"content": "b"}, "stop"), chunk({}, usage=USAGE), DONE),
        ["text: ab", "stop end"],
    ),
    "other choices": (
        sse(
            {"choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "B"}}, None]},
            STOP,
            DONE,
        ),
        ["text: a", "stop end"],
    ),
    "data that is no object": (
        sse(b"data: null\n\ndata: 7\n\n", {}, chunk({"content": "a"}), STOP, DONE),
        ["text: a", "stop end"],
    ),
    "a character cut by the upstream": (
        sse(b'data: {"choices":[{"delta":{"content":"a\xe2\x82"}}]}\n\n', STOP, DONE),
        ["text: a�", "stop end"],
    ),
    "half a surrogate pair in each chunk": (
        sse(chunk({"content": "\ud83d"}), chunk({"content": "\ude00"}), STOP, DONE),
        ["text: 😀", "stop end"],
    ),
    "a refusal": (
        sse(chunk({"refusal": "I "}), chunk({"refusal": "cannot"}), STOP, DONE),
        ["refusal: I cannot", "stop refusal"],
    ),
    "a transcript": (
        sse(chunk({"audio": {"id": "a", "transcript": "Hi"}}), chunk({"audio": {"data": "AA=="}}), STOP, DONE),
        ["text: Hi", "unknown audio: ", "stop end"],
    ),
    "an image": (
        sse(chunk({"images": [{"type": "image_url", "image_url": {"url": "u"}}, 1]}), STOP, DONE),
        ["unknown image_url: ", "stop end"],
    ),
    # ---- reasoning
    "reasoning_content": (
        sse(chunk({"content": None, "reasoning_content": "hm"}), chunk({"content": "ok"}), STOP, DONE),
        ["thinking: hm", "text: ok", "stop end"],
    ),
    "reasoning and reasoning_content, the same twice": (
        sse(chunk({"reasoning": "hm", "reasoning_content": "hm"}), STOP, DONE),
        ["thinking: hm", "stop end"],
    ),
    "reasoning and content in one delta": (
        sse(chunk({"reasoning": "hm", "content": "ok"}), STOP, DONE),
        ["thinking: hm", "text: ok", "stop end"],
    ),
    "reasoning_details beside reasoning, then a signature": (
        sse(
            chunk({"reasoning": "h", "reasoning_details": [{"type": "reasoning.text", "text": "h", "index": 0}]}),
            chunk({"reasoning": "m", "reasoning_details": [{"type": "reasoning.text", "text": "m", "index": 0}]}),
            chunk({"reasoning": None, "reasoning_details": [{"type": "reasoning.text", "signature": "S"}]}),
            chunk({"reasoning": "again"}),
            chunk({"content": "ok"}),
            STOP,
            DONE,
        ),
        ["thinking: hm ~S", "thinking: again", "text: ok", "stop end"],
    ),
    "thoughts that are signed chunk by chunk": (
        sse(
            *(chunk({"reasoning": t, "reasoning_details": [{"type": "x", "signature": "S"}]}) for t in "abc"),
            STOP,
            DONE,
        ),
        ["thinking: a ~S", "thinking: b ~S", "thinking: c ~S", "stop end"],
    ),
    "a signed entry that says all once more": (
        sse(
            chunk({"reasoning_content": "h"}),
            chunk({"reasoning_content": "m"}),
            chunk({"reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "S"}]}),
            STOP,
            DONE,
        ),
        ["thinking: hm ~S", "stop end"],
    ),
    "a signature after what it signs was closed": (
        sse(
            chunk({"reasoning": "hm"}),
            chunk({"content": "ok"}),
            chunk({"reasoning_details": [{"type": "reasoning.text", "signature": "S"}]}),
            STOP,
            DONE,
        ),
        ["thinking: hm", "text: ok", "thinking:  ~S", "stop end"],
    ),
    "summary, then encrypted, then encrypted after the call": (
        sse(
            chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "short"}, None]}),
            chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "E1"}]}),
            chunk({"reasoning": "more"}),
            chunk(call("{}", 0, "a", "f")),
            chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "E2"}]}),
            STOP,
            DONE,
        ),
        ["thinking: short", "thinking:  +E1", "thinking: more", "call f#a: {}", "thinking:  +E2", "stop tool_calls"],
    ),
    "Mistral's lists": (
        sse(
            chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "h"}, 1]}]}),
            chunk({"content": [{"type": "thinking", "thinking": "m", "closed": True}, {"type": "text", "text": "o"}]}),
            chunk({"content": ["k", None, {"type": "reference", "reference_ids": [1]}]}),
            STOP,
            DONE,
        ),
        ["thinking: hm", "text: ok", "unknown reference: ", "stop end"],
    ),
    # ---- tool calls
    "a call, and its arguments piece by piece": (
        sse(chunk(call("", 0, "a", "f")), chunk(call('{"x"')), chunk(call(":1}")), chunk({}, "tool_calls"), DONE),
        ['call f#a: {"x":1}', "stop tool_calls"],
    ),
    "stop although there are calls": (
        sse(chunk(call("{}", 0, "a", "f"), "stop"), DONE),
        ["call f#a: {}", "stop tool_calls"],
    ),
    "tool_calls although there are none": (sse(chunk({"content": "a"}, "tool_calls"), DONE), ["text: a", "stop end"]),
    "length in the middle of arguments": (
        sse(chunk(call('{"x', 0, "a", "f")), chunk({}, "length"), DONE),
        ['call f#a: {"x', "stop length"],
    ),
    "no index, empty id, no arguments (Gemini, Databricks)": (
        sse(chunk({"tool_calls": [{"id": "", "function": {"name": "f", "arguments": None}}, 7]}), STOP, DONE),
        ["call f#: ", "stop tool_calls"],
    ),
    "several whole calls in one chunk without index or type (Mistral)": (
        sse(
            chunk({"tool_calls": [{"id": i, "function": {"name": "f", "arguments": "{}"}} for i in "ab"]}),
            chunk({}, "tool_calls"),
            DONE,
        ),
        ["call f#a: {}", "call f#b: {}", "stop tool_calls"],
    ),
    "index -1": (sse(chunk(call("{}", -1, "a", "f")), STOP, DONE), ["call f#a: {}", "stop tool_calls"]),
    "without index, the id tells": (
        sse(
            chunk(call('{"x"', None, "a", "f")),
            chunk(call('{"y"', None, "b", "g")),
            chunk(call(":1}", None, "a")),
            chunk(call(":2}", None, "b", "g")),
            STOP,
            DONE,
        ),
        ['call f#a: {"x":1}', 'call g#b: {"y":2}', "stop tool_calls"],
    ),
    "without index or id, it goes on": (
        sse(chunk(call('{"x"', None, "a", "f")), chunk(call(":1}", None)), chunk(call("", 3)), STOP, DONE),
        ['call f#a: {"x":1}', "stop tool_calls"],
    ),
    "id, name and type repeated, or null, or empty": (
        sse(
            chunk(call("", 0, "a", "f")),
            chunk(call('{"x":', 0, "a", "f")),
            chunk(
                {"tool_calls": [{"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": "1"}}]}
            ),
            chunk(call("}", 0, "", "")),
            STOP,
            DONE,
        ),
        ['call f#a: {"x":1}', "stop tool_calls"],
    ),
    "another id on each piece": (
        sse(chunk(call('{"x":', 0, "a", "f")), chunk(call("1}", 0, "b")), STOP, DONE),
        ['call f#a: {"x":1}', "stop tool_calls"],
    ),
    "one index for two ids": (
        sse(chunk(call("{}", 0, "a", "f"), "tool_calls"), chunk(call('{"y":1}', 0, "b", "f"), "tool_calls"), DONE),
        ["call f#a: {}", 'call f#b: {"y":1}', "stop tool_calls"],
    ),
    "one index for two whole calls without ids": (
        sse(chunk(call("{}", 0, None, "f")), chunk(call('{"y":1}', 0, None, "f")), STOP, DONE),
        ["call f#: {}", 'call f#: {"y":1}', "stop tool_calls"],
    ),
    "one id for two calls": (
        sse(chunk(call("{}", 0, "a", "f")), chunk(call("{}", 1, "a", "g")), STOP, DONE),
        ["call f#a: {}", "call g#a_1: {}", "stop tool_calls"],
    ),
    "a finish for each call (Together)": (
        sse(
            chunk(call("", 0, "a", "f")),
            chunk(call("{}"), "tool_calls"),
            chunk(call("", 1, "b", "g")),
            chunk(call("{}", 1), "tool_calls"),
            DONE,
        ),
        ["call f#a: {}", "call g#b: {}", "stop tool_calls"],
    ),
    "interleaved calls": (
        sse(
            chunk(call("", 0, "a", "f")),
            chunk(call("", 1, "b", "g")),
            chunk(call('{"x":', 0)),
            chunk(call('{"y":', 1)),
            chunk(call("1}", 0)),
            chunk(call("2}", 1)),
            chunk({}, "tool_calls"),
            DONE,
        ),
        ['call f#a: {"x":1}', 'call g#b: {"y":2}', "stop tool_calls"],
    ),
    "text in the middle of a call": (
        sse(chunk(call('{"x":', 0, "a", "f")), chunk({"content": "so"}), chunk(call("1}")), STOP, DONE),
        ['call f#a: {"x":1}', "text: so", "stop tool_calls"],
    ),
    "the name comes later": (
        sse(chunk(call("{", 0, "a")), chunk(call("}", 0, None, "f")), STOP, DONE),
        ["call f#a: {}", "stop tool_calls"],
    ),
    "the name comes never": (
        sse(chunk(call("{}", 0, "a")), chunk({"content": "x"}), STOP, DONE),
        ["fault upstream: the upstream's reply holds a tool call without a name"],
    ),
    "an entry that says nothing": (
        sse(chunk({"tool_calls": [{}]}), chunk({"tool_calls": [{"id": "z"}]}), chunk({"content": "x"}), STOP, DONE),
        ["text: x", "stop end"],
    ),
    "arguments as an object": (
        sse(chunk(call({"x": 1}, 0, "a", "f")), STOP, DONE),
        ['call f#a: {"x":1}', "stop tool_calls"],
    ),
    "a custom tool's input": (
        sse(chunk({"tool_calls": [{"id": "a", "custom": {"name": "f", "input": "go"}}]}), STOP, DONE),
        ["call f#a: go", "stop tool_calls"],
    ),
    "legacy function_call": (
        sse(
            chunk({"function_call": {"name": "f", "arguments": ""}}),
            chunk({"function_call": {"arguments": "{}"}}),
            chunk({}, "function_call"),
            DONE,
        ),
        ["call f#: {}", "stop tool_calls"],
    ),
    # ---- faults
    "error event (Groq)": (
        sse(chunk({"content": "a"}), b'event: error\ndata: {"error":{"message":"bad call","status_code":400}}\n\n'),
        ["open text: a", "fault invalid_request: bad call"],
    ),
    "error field (llama-box)": (
        sse(chunk({"content": "a"}), b'error: {"code":500,"message":"gone","type":"server_error"}\n\n'),
        ["open text: a", "fault api: gone"],
    ),
    "error in words": (
        sse(chunk({"content": "a"}), b"event: error\ndata: gone\n\n"),
        ["open text: a", "fault api: gone"],
    ),
    "error object beside finish stop (OpenRouter)": (
        sse(chunk(call('{"x":', 0, "a", "f")), chunk({}, "stop", error={"message": "no", "code": 502}), USAGE, DONE),
        ['open call f#a: {"x":', "fault upstream: no"],
    ),
    "error in the choice": (
        sse({"choices": [{"delta": {"content": "a"}, "error": {"message": "no", "code": 429}}]}, DONE),
        ["fault rate_limit: no"],
    ),
    "error as the first event": (sse({"error": {"message": "busy", "code": 529}}), ["fault overloaded: busy"]),
    "error in a list (Gemini)": (sse([{"error": {"message": "busy", "code": 503}}]), ["fault overloaded: busy"]),
    "finish_reason error": (
        sse(chunk({"content": "a"}), chunk({}, "network_error"), DONE),
        ["open text: a", 'fault upstream: the upstream ended its answer with finish_reason "network_error"'],
    ),
    "cut without a finish": (
        sse(chunk({"content": "a"}), chunk({}, usage=USAGE)),
        ["open text: a", "fault upstream: the upstream's stream ended before its finish_reason and [DONE]"],
    ),
    "cut in the second of two calls, each with its finish": (
        sse(chunk(call("{}", 0, "a", "f"), "tool_calls"), chunk(call('{"y":', 1, "b", "g"))),
        [
            "call f#a: {}",
            'open call g#b: {"y":',
            "fault upstream: the upstream's stream ended before its finish_reason and [DONE]",
        ],
    ),
    "cut in a text that goes on after a finish": (
        sse(chunk({"content": "a"}, "stop"), chunk({"content": "b"}), chunk({"content": "c"})),
        ["open text: abc", "fault upstream: the upstream's stream ended before its finish_reason and [DONE]"],
    ),
    "cut within an event": (
        sse(chunk({"content": "a"})) + b'data: {"choi',
        ["open text: a", "fault upstream: an event of the upstream's stream is not valid JSON, it begins: {\"choi"],
    ),
    "cut within an event after the finish": (
        sse(chunk({"content": "a"}, "stop")) + b'data: {"usage":{"pro',
        ["text: a", "stop end"],
    ),
    "only [DONE]": (DONE, ["fault upstream: the upstream's stream ended without any choice"]),
    "nothing": (b"\n\n", ["fault upstream: the upstream answered 200 with an empty body"]),
    "only comments": (
        b": hello\n\n",
        ["fault upstream: the upstream's stream ended before its finish_reason and [DONE]"],
    ),
    "HTML": (
        b"<!doctype html><html>",
        ["fault upstream: the upstream answered 200 with an HTML page where JSON is due; is base_url right?"],
    ),
    # ---- bodies where a stream is due
    "a whole body": (
        json.dumps({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}, indent=1).encode(),
        ["text: Hi", "stop end"],
    ),
    "a whole body, cut": (
        b'{"choices": [',
        ['fault upstream: the upstream\'s reply is not valid JSON (cut off?), it begins: {"choices": ['],
    ),
    "a whole body as one event": (
        sse({"object": "chat.completion", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}, DONE),
        ["text: Hi", "stop end"],
    ),
    "delta and cumulative message (Perplexity)": (
        sse(
            {"choices": [{"delta": {"role": "assistant", "content": "1"}, "message": {"content": "1"}}]},
            {"choices": [{"delta": {"content": " 2"}, "message": {"content": "1 2"}}]},
            {
                "object": "chat.completion.done",
                "choices": [{"delta": {"content": ""}, "message": {"content": "1 2"}, "finish_reason": "stop"}],
            },
        ),
        ["text: 1 2", "stop end"],
    ),
}


@pytest.mark.parametrize(("raw", "told"), CASES.values(), ids=CASES.keys())
def test_oddities(raw: bytes, told: list[str]) -> None:
    assert every_way(raw) == told


def test_nothing_is_told_before_there_is_something_to_tell() -> None:
    decoder = Decoder()
    assert decoder.feed(sse(ROLE, {"choices": []}, chunk({"role": "assistant"}))) == []
    events = decoder.feed(sse(chunk({"content": "a"}, id="later", model="other")))
    assert [type(event) for event in events] == [Start, Open, Delta]
    assert events[0] == Start("c1", "up")


def test_a_first_error_comes_alone() -> None:
    decoder = Decoder()
    [fault] = decoder.feed(sse(ROLE, {"error": {"message": "slow down", "type": "rate_limit_error", "code": 429}}))
    assert isinstance(fault, Fault)
    assert isinstance(fault.error, errors.ApiError)
    assert (fault.error.status, decoder.ended) == (429, True)


def test_parallel_calls_are_not_held_up() -> None:
    """The second call's arguments leave as they come, once the first one's are complete."""
    decoder = Decoder()
    decoder.feed(sse(chunk(call('{"x":1}', 0, "a", "f"))))
    events = decoder.feed(sse(chunk(call("", 1, "b", "g")), chunk(call('{"y"', 1))))
    assert short([Start(), Open(ToolCall("a", "f")), *events[:1], Stop("end")]) == ["call f#a: ", "stop end"]
    assert events[1:] == [Open(ToolCall("b", "g")), Delta([b'{\\"y\\"'])]


def test_an_interleaved_call_leaves_when_the_first_is_complete() -> None:
    decoder = Decoder()
    decoder.feed(sse(chunk(call('{"x":', 0, "a", "f")), chunk(call('{"y":', 1, "b", "g"))))
    events = decoder.feed(sse(chunk(call("1}", 0))))
    assert [type(event).__name__ for event in events] == ["Delta", "Close", "Open", "Delta"]


USAGES = {
    "own chunk": sse(chunk({"content": "a"}), STOP, {"choices": [], "usage": USAGE}, DONE),
    "own chunk, choices null": sse(chunk({"content": "a"}), STOP, {"choices": None, "usage": USAGE}, DONE),
    "finish chunk": sse(chunk({"content": "a"}), chunk({}, "stop", usage=USAGE), DONE),
    "after the finish, with a choice": sse(chunk({"content": "a"}), STOP, chunk({"content": ""}, usage=USAGE), DONE),
    "x_groq": sse(chunk({"content": "a"}), chunk({}, "stop", x_groq={"id": "r", "usage": USAGE}), DONE),
    "on each chunk, growing": sse(
        chunk({"content": "a"}, usage={"prompt_tokens": 10, "completion_tokens": 1}),
        chunk({"content": "b"}, "stop", usage=USAGE),
        chunk({}, usage=None),
    ),
    "null first": sse(
        chunk({"content": "a"}, usage={"prompt_tokens": 10, "completion_tokens": None, "total_tokens": None}),
        chunk({"content": ""}, "stop", usage=USAGE),
        DONE,
    ),
}


@pytest.mark.parametrize("raw", USAGES.values(), ids=USAGES.keys())
def test_usage_is_found_and_never_summed(raw: bytes) -> None:
    assert stop_of(raw).usage == Usage(input=10, output=4, ext={"chat": USAGE})


def test_usage_that_never_comes_is_none() -> None:
    assert stop_of(sse(chunk({"content": "a"}), STOP, DONE)).usage is None


def test_a_stop_sequence_that_was_met() -> None:
    choice = {"delta": {}, "finish_reason": "stop", "stop_reason": "\nObservation:"}
    stop = stop_of(sse(chunk({"content": "a"}), {"choices": [choice]}, DONE))
    assert (stop.reason, stop.sequence) == ("stop_sequence", "\nObservation:")
    assert stop_of(sse({"choices": [choice | {"stop_reason": 154829}]}, DONE)).reason == "end"
    assert stop_of(sse({"choices": [choice | {"stop_reason": "end_turn"}]}, DONE)).reason == "end"


def test_a_place_counts_from_the_beginning_of_its_own_text() -> None:
    """Chat counts the characters of the whole content, though something else may come between."""
    page = {"url": "https://a", "title": "A"}
    notes = [{"type": "url_citation", "url_citation": page | {"start_index": at, "end_index": at + 2}} for at in (3, 0)]
    last = chunk({"content": "cd", "annotations": notes})
    said = [chunk({"content": "abä"}), chunk({"reasoning_content": "hm"}), last]
    (second,) = [event for event in decode([sse(*said, STOP, DONE)]) if isinstance(event, Close) and event.citations]
    assert [(cited.start, cited.end) for cited in second.citations] == [(0, 2), (None, None)]
    client = reply.collect([Open(Text("")), Delta([b"abcd"]), Close(), Open(Text("")), Delta([b"cd"]), Close(
        citations=[Citation("responses", {}, "https://a", "A", 0, 2)]), Stop("end")], Asked("m"))  # fmt: skip
    (note,) = client["choices"][0]["message"]["annotations"]
    assert (note["url_citation"]["start_index"], note["url_citation"]["end_index"]) == (4, 6)


def test_annotations_stay_with_their_text_or_with_the_stop() -> None:
    note = {"type": "url_citation", "url_citation": {"url": "https://a"}}
    events = decode([sse(chunk({"content": "a", "annotations": [note]}), chunk({"annotations": [note]}), STOP, DONE)])
    assert events[-2] == Close(citations=[citations.read(note)] * 2)
    events = decode([sse(chunk(call("{}", 0, "a", "f")), chunk({"annotations": [note]}), STOP, DONE)])
    assert events[-1].ext == {"chat": {"annotations": [note]}}  # type: ignore[union-attr]
    assert stop_of(sse(chunk({"content": "a"}, citations=["u"]), STOP, DONE)).ext == {"chat": {"citations": ["u"]}}


def test_where_reasoning_came_from_is_remembered() -> None:
    detail = {"type": "reasoning.encrypted", "data": "E", "format": "openai-responses-v1", "id": "rs_1"}
    events = decode([sse(chunk({"reasoning_details": [detail]}), STOP, DONE)])
    assert events[1] == Open(Thinking("", "", "E", {"chat": {"detail": detail}}, "openai-responses-v1"))


def test_think_tags_are_told_apart_only_where_the_policy_says_so() -> None:
    raw = sse(
        *(
            chunk({"content": text})
            for text in ("<thi", "nk>\n", "let me", " see</thi", "nk>", "\n\n", "Hi <think>", "!")
        ),
        STOP,
        DONE,
    )
    assert every_way(raw, Policy(reasoning="think_tags")) == ["thinking: let me see", "text: Hi <think>!", "stop end"]
    assert every_way(raw)[0].startswith("text: <think>")
    cut = sse(chunk({"content": "<think>a</th"}), STOP, DONE)
    assert every_way(cut, Policy(reasoning="think_tags")) == ["thinking: a</th", "stop end"]


# ------------------------------------------------------------------------------------------- the fast path


class Counting(Decoder):
    """Counts the events that were parsed."""

    __slots__ = ("slow",)

    def __init__(self) -> None:
        super().__init__()
        self.slow = 0

    def _slow(self, event: bytes) -> None:
        self.slow += 1
        super()._slow(event)


def lane(*texts: str, field: str = "content", **more: object) -> tuple[list[Event], int]:
    """The events of all but the first two chunks, and how many of them were parsed."""
    decoder = Counting()
    decoder.feed(sse(ROLE, chunk({field: "first"}, **more)))
    decoder.slow = 0
    return decoder.feed(sse(*(chunk({field: text}, **more) for text in texts))), decoder.slow


@pytest.mark.parametrize("field", ["content", "reasoning_content", "reasoning"])
def test_chunks_that_differ_in_their_text_only_are_not_parsed(field: str) -> None:
    events, slow = lane("one", " two\n", 'a "quote"', "é\t", "back\\slash\\", field=field)
    assert slow == 0
    [delta] = events
    assert isinstance(delta, Delta)
    assert [wire.text_of([piece]) for piece in delta.pieces] == ["one", " two\n", 'a "quote"', "é\t", "back\\slash\\"]


def test_arguments_are_not_parsed() -> None:
    decoder = Counting()
    decoder.feed(sse(chunk(call("", 0, "a", "f")), chunk(call('{"x":"'))))
    decoder.slow = 0
    events = decoder.feed(sse(chunk(call("y")), chunk(call('"}'))))
    assert (decoder.slow, events) == (0, [Delta([b"y", b'\\"}'])])


def test_padding_at_the_end_of_each_chunk_does_not_hinder() -> None:
    decoder = Counting()
    decoder.feed(sse(chunk({"content": "first"}, obfuscation="aB3")))
    decoder.slow = 0
    events = decoder.feed(sse(chunk({"content": "a"}, obfuscation="x"), chunk({"content": "b"}, obfuscation="Zz9")))
    assert (decoder.slow, events) == (0, [Delta([b"a", b"b"])])

    def compact(text: str, pad: str) -> bytes:
        return b'data: {"choices":[{"delta":{"content":"%b"}}],"p":"%b"}\n\n' % (text.encode(), pad.encode())

    decoder.feed(compact("c", "abc"))
    decoder.slow = 0
    assert decoder.feed(compact("d", "a") + compact("e", "abcdef")) == [Delta([b"d", b"e"])]
    assert decoder.slow == 0
    decoder.feed(compact("f", 'x","finish_reason":"stop'))
    assert decoder.slow == 1


@pytest.mark.parametrize(
    "odd",
    [b'a","finish_reason":"stop', b"raw \x01 control", b"bad \\x escape", b"half \\u12", b"cut \xe2\x82", b"back\\"],
)
def test_what_is_no_legal_text_is_parsed(odd: bytes) -> None:
    """And the legal neighbours in the same read are not lost."""
    decoder = Counting()
    frame = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n'
    decoder.feed(frame % b"first")
    decoder.slow = 0
    events = decoder.feed(frame % b"one" + frame % odd + frame % b"two")
    assert decoder.slow >= 1
    assert isinstance(events[0], Delta)
    assert events[0].pieces[0] == b"one"
    assert b"two" in events[0].pieces or isinstance(events[-1], Fault)


@pytest.mark.parametrize("after", [chunk({"content": "x"}, id="other"), b"[DONE]", {"broken": 1}])
def test_nothing_comes_after_a_chunk_that_cannot_be_read(after: object) -> None:
    """It is found among those that differ in their text only, and another event stands behind them in the same read."""
    decoder = Decoder()
    frame = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n'
    data = after if isinstance(after, bytes) else json.dumps(after).encode()
    events = decoder.feed(frame % b"first") + decoder.feed(frame % b'a","b":,"c":"' + b"data: %b\n\n" % data)
    events += decoder.end()
    assert [type(event) for event in events if isinstance(event, Stop | Fault)] == [Fault]
    assert isinstance(events[-1], Fault) and decoder.ended


def test_an_empty_text_in_the_lane_is_nothing() -> None:
    assert lane("", "") == ([], 0)
    events, _ = lane("", "a")
    assert events == [Delta([b"a"])]


def test_the_lane_learns_only_from_the_one_field_that_says_it() -> None:
    twice = b'{"choices":[{"delta":{"content":"ab"},"message":{"content":"ab"}}]}'
    assert Template.learn(twice, b"ab") is None
    assert Template.learn(b'{"delta":{"content":"xy"}}', b"ab") is None
    assert Template.learn(b'{"delta":{"content":"\\u00e9"}}', "é".encode()) is not None
    assert Template.learn(b'{"delta":{"content":"\\q"}}', b"ab") is None


def test_a_call_that_is_named_again_is_never_taken_for_more_arguments() -> None:
    """Whole calls without ids, alike but for their arguments: two calls, not one."""
    entry = [chunk(call(f'{{"n":{n}}}', 0, None, "f")) for n in range(3)]
    assert every_way(sse(*entry, STOP, DONE)) == [f'call f#: {{"n":{n}}}' for n in range(3)] + ["stop tool_calls"]


# --------------------------------------------------------------------------------------------------- bounds


def test_an_endless_event_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing.Most, "event_bytes", 100)
    decoder = Decoder()
    assert decoder.feed(b"data: ") == []
    [fault] = decoder.feed(b"x" * 200)
    assert isinstance(fault, Fault)
    assert "larger than 100" in str(fault.error)


def test_an_endless_body_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("translate.sse.Most.event_bytes", 100)
    decoder = Decoder()
    [fault] = decoder.feed(b"{" + b"x" * 200)
    assert isinstance(fault, Fault)
    assert decoder.end() == []


def test_reprs_show_the_state() -> None:
    decoder = Decoder(Policy(reasoning="think_tags"))
    assert "sniff" in repr(decoder)
    decoder.feed(sse(chunk({"content": "a"})))
    assert "events" in repr(decoder)
    assert "Text open" in repr(decoder)
    assert repr(decoder._parts._tags) == "<ThinkTags after, 0 held>"


# ------------------------------------------------------------------------------------------------ any split

TEXTS = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=6)


@given(TEXTS, TEXTS, st.integers(0, 2**32), st.booleans())
def test_any_text_survives_any_split(thoughts: list[str], texts: list[str], seed: int, escaped: bool) -> None:
    def write(delta: dict[str, str]) -> bytes:
        return b"data: " + (json.dumps(chunk(delta)).encode() if escaped else wire.dumps(chunk(delta))) + b"\n\n"

    raw = b"".join([*(write({"reasoning": t}) for t in thoughts), *(write({"content": t}) for t in texts)])
    told = short(decode(cuts(raw + sse(STOP, DONE), seed)))
    assert told == [f"thinking: {''.join(thoughts)}", f"text: {''.join(texts)}", "stop end"]


@given(st.binary(max_size=60), st.integers(0, 2**32))
def test_garbage_never_raises(garbage: bytes, seed: int) -> None:
    raw = sse(chunk({"content": "a"})) + garbage + sse(chunk({"content": "b"}), STOP, DONE)
    assert isinstance(decode(cuts(raw, seed))[-1], Stop | Fault)
    assert isinstance(decode(cuts(garbage, seed))[-1], Stop | Fault)


def test_arguments_that_are_half_a_character_are_no_call() -> None:
    """Nobody may run that call, so that the reply must not end as one that wants it to be run."""
    raw = sse(chunk(call("\ud800", 0, "a", "f")), chunk({}, "tool_calls"), DONE)
    assert "no JSON object" in every_way(raw)[-1]
