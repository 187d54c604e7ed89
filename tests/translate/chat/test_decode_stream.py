"""Every oddity of recorded Chat streams as a small case, run whole, byte by byte and cut at random."""

from __future__ import annotations

import json

import pytest

from tests.translate.chat.material import DONE, ROLE, STOP, call, chunk, decode, every_way, sse
from translate.chat import citations, reply
from translate.chat.decode_stream import Decoder
from translate.conversation import Citation, Close, Delta, Fault, Open, Start, Stop, Text, Thinking, Usage
from translate.failures import errors
from translate.target import Asked, Policy

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
    "an error, and [DONE] without a blank line before it": (
        sse(chunk({"content": "a"})) + b'event: error\ndata: {"code": 500, "reason": "x"}\ndata: [DONE]\n\n',
        ["open text: a", "fault api: upstream answered 500 without an error message"],
    ),
    "a field called error without a blank line before it": (
        sse(chunk({"content": "a"})).removesuffix(b"\n\n") + b'\ndata: {}\nerror: {"code": 500, "reason": "x"}\n\n',
        ["open text: a", "fault api: upstream answered 500 without an error message"],
    ),
    "only [DONE]": (DONE, ["fault upstream: the upstream's stream ended without any choice"]),
    "nothing": (b"\n\n", ["fault upstream: the upstream answered 200 with an empty body"]),
    "only comments": (b": hello\n\n", ["fault upstream: the upstream answered 200 with an empty body"]),
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
def test_odd_streams_are_read_whichever_way_they_are_cut(raw: bytes, told: list[str]) -> None:
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
