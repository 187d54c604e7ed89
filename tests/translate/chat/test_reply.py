"""Whole replies: a chat.completion taken apart, and put together."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.chat.material import short
from tests.translate.chat.test_encode_stream import ASKED, CITED, part
from translate.chat import reply
from translate.chat.think import ThinkTags
from translate.conversation import Event, Fault, Refusal, Start, Stop, Text, Thinking, ToolCall, Usage
from translate.failures import errors
from translate.json.lenient import body_of
from translate.target import Policy


def body(message: dict[str, Any], finish: Any = "stop", **more: Any) -> dict[str, Any]:
    return {"id": "c", "model": "up", "choices": [{"index": 0, "message": message, "finish_reason": finish}]} | more


CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}

WHOLE: dict[str, tuple[dict[str, Any], list[str]]] = {
    "text": (body({"role": "assistant", "content": "Hi"}), ["text: Hi", "stop end"]),
    "nothing": (body({"content": None}, None), ["stop end"]),
    "calls": (
        body({"content": "", "tool_calls": [CALL, CALL | {"id": "b", "index": 0}]}, "tool_calls"),
        ['call f#a: {"x":1}', 'call f#b: {"x":1}', "stop tool_calls"],
    ),
    "text and calls, no finish": (
        body({"content": "so", "tool_calls": [CALL]}, ""),
        ["text: so", 'call f#a: {"x":1}', "stop tool_calls"],
    ),
    "arguments cut by max_tokens": (
        body({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": '{"x'}}]}, "length"),
        ['call f#a: {"x', "stop length"],
    ),
    "arguments as an object": (
        body({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]}),
        ['call f#a: {"x":1}', "stop tool_calls"],
    ),
    "legacy call": (
        body({"function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
        ["call f#: {}", "stop tool_calls"],
    ),
    "Snowflake's empty fields": (
        body({"content": "Hi", "function_call": {"name": "", "arguments": ""}, "audio": {"data": "", "id": ""}}, ""),
        ["text: Hi", "stop end"],
    ),
    "reasoning and its details": (
        body(
            {
                "content": "ok",
                "reasoning": "hm",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "hm", "signature": "S"},
                    {"type": "reasoning.encrypted", "data": "E"},
                ],
            }
        ),
        ["thinking: hm ~S", "thinking:  +E", "text: ok", "stop end"],
    ),
    "Mistral's list": (
        body({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "signature": "S"}, "ok"]}),
        ["thinking: hm ~S", "text: ok", "stop end"],
    ),
    "a refusal in the content": (
        body({"content": [{"type": "refusal", "refusal": "no"}]}),
        ["refusal: no", "stop refusal"],
    ),
    "filtered": (body({"content": None}, "content_filter"), ["stop refusal"]),
    "delta empty, message full (Perplexity)": (
        {"choices": [{"delta": {"content": "", "role": "assistant"}, "message": {"content": "Hi"}}]},
        ["text: Hi", "stop end"],
    ),
    "an error with status 200": (
        {"error": {"message": "filtered", "code": "content_filter", "status": 400}},
        ["fault invalid_request: filtered"],
    ),
    "an error in the choice": (
        {"choices": [{"message": {"content": ""}, "error": {"message": "no", "code": 502}}]},
        ["fault upstream: no"],
    ),
}


@pytest.mark.parametrize(("raw", "told"), WHOLE.values(), ids=WHOLE.keys())
def test_whole_replies_become_events(raw: dict[str, Any], told: list[str]) -> None:
    assert short(reply.explode(raw)) == told


def test_explode_knows_think_tags() -> None:
    raw = body({"content": "<think>hm</think>\n\nok"})
    told = short(reply.explode(raw, Policy(reasoning="think_tags")))
    assert told == ["thinking: hm", "text: ok", "stop end"]


TAGS = ["<think>", "<thought>", "<thinking>", "<mm:think>", "<seed:think>", "[THINK]", "◁think▷"]


@pytest.mark.parametrize("tag", TAGS)
def test_each_family_of_models_has_its_tags(tag: str) -> None:
    closing = f"{tag[0]}/{tag[1:]}"
    raw = body({"content": f"\n{tag}\nh</x> m{closing}\n\nok {tag}"})
    told = short(reply.explode(raw, Policy(reasoning="think_tags")))
    assert told == ["thinking: h</x> m", f"text: ok {tag}", "stop end"]
    for size in (1, 2, 5):
        tags, said = ThinkTags(), f"{tag}hm{closing} ok"
        found = [piece for i in range(0, len(said), size) for piece in tags.feed(said[i : i + size])] + tags.rest()
        assert "".join(text for inside, text in found if inside) == "hm"
        assert "".join(text for inside, text in found if not inside) == "ok"
    kept = short(reply.explode(body({"content": f"see {tag} there"}), Policy(reasoning="think_tags")))
    assert kept == [f"text: see {tag} there", "stop end"]


def test_another_familys_tag_ends_no_thought() -> None:
    raw = body({"content": "<think>a [/THINK] b</think>c"})
    assert short(reply.explode(raw, Policy(reasoning="think_tags")))[:2] == ["thinking: a [/THINK] b", "text: c"]
    half = body({"content": "<th"})
    assert short(reply.explode(half, Policy(reasoning="think_tags"))) == ["text: <th", "stop end"]


@pytest.mark.parametrize("raw", [{}, {"b64": "x"}, {"choices": []}, {"choices": None}, {"choices": ["x"]}])
def test_what_has_no_choices_is_no_reply(raw: dict[str, Any]) -> None:
    with pytest.raises(errors.BadReply, match="has no choice"):
        reply.explode(raw)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "empty body"),
        (b" \n ", "empty body"),
        (b"<html>", "HTML page"),
        (b'{"a":', 'not valid JSON (cut off?), it begins: {"a":'),
        (b"[1]", "a JSON list where"),
        (b"7", "a JSON int where"),
        (b'[{"error":{"message":"busy","code":503}}]', "busy"),
    ],
)
def test_bytes_that_are_no_object(raw: bytes, why: str) -> None:
    with pytest.raises(errors.BadReply) as caught:
        body_of(raw)
    assert why in caught.value.message


def test_bytes_that_are_one() -> None:
    assert body_of(b' {"a": 1} ') == {"a": 1}


# ------------------------------------------------------------------------------------------------- collect


def test_collect_in_full() -> None:
    events: list[Event] = [
        Start("up", "m", Usage(input=1)),
        *part(Thinking(), "hm", signature="S"),
        *part(Text(""), "Hel", "lo ", citations=CITED),
        *part(Text(""), "you", citations=CITED),
        *part(ToolCall("t1", "short_1"), '{"x"', ":1}"),
        *part(ToolCall("", "f")),
        Stop("tool_calls", Usage(input=3, cache_read=4, output=6, reasoning=2)),
    ]

    def note(start: int, end: int, title: str, url: str) -> dict[str, Any]:
        span = {"start_index": start, "end_index": end, "title": title, "url": url}
        return {"type": "url_citation", "url_citation": span}

    assert reply.collect(events, ASKED) == {
        "id": "chatcmpl-k1",
        "object": "chat.completion",
        "created": 99,
        "model": "mine",
        "choices": [
            {
                "index": 0,
                "logprobs": None,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": "Hello you",
                    "refusal": None,
                    "reasoning_content": "hm",
                    "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "S", "index": 0}],
                    "tool_calls": [
                        {"id": "t1", "type": "function", "function": {"name": "a.long.name", "arguments": '{"x":1}'}},
                        {"id": "call_k1_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    ],
                    "annotations": [
                        note(0, 6, "A", "https://a"),
                        note(0, 6, "https://b", "https://b"),
                        note(6, 9, "A", "https://a"),
                        note(6, 9, "https://b", "https://b"),
                    ],
                },
            }
        ],
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 6,
            "total_tokens": 13,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    }


def message_of(events: list[Event]) -> dict[str, Any]:
    message: dict[str, Any] = reply.collect(events, ASKED)["choices"][0]["message"]
    return message


def test_content_is_null_beside_calls_and_refusals_only() -> None:
    assert message_of([Start(), Stop("end")])["content"] == ""
    assert message_of([Start(), *part(ToolCall("t", "f")), Stop("tool_calls")])["content"] is None
    refused = message_of([Start(), *part(Refusal(), "no"), Stop("refusal")])
    assert (refused["content"], refused["refusal"]) == (None, "no")


def test_thinking_without_a_proof_needs_no_details() -> None:
    assert "reasoning_details" not in message_of([Start(), *part(Thinking(), "hm"), Stop("end")])


def test_speech_comes_back_with_its_transcript() -> None:
    audio = {"id": "a", "data": "AA==", "transcript": "Hi", "expires_at": 1}
    message = message_of(reply.explode(body({"content": None, "audio": audio})))
    assert (message["content"], message["audio"]) == ("Hi", audio)


def test_usage_falls_back_to_what_is_known() -> None:
    assert reply.collect([Start(usage=Usage(input=5)), Stop("end")], ASKED)["usage"]["prompt_tokens"] == 5
    assert reply.collect([Start(), Stop("end")], ASKED)["usage"]["prompt_tokens"] == 7


def test_a_fault_is_raised() -> None:
    with pytest.raises(errors.ApiError, match="busy"):
        reply.collect([Fault(errors.ApiError("overloaded", "busy"))], ASKED)


def test_a_message_tells_its_size_in_its_repr() -> None:
    assert repr(reply._Message(ASKED)) == "<_Message 0 texts, 0 calls>"
