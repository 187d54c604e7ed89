"""A model that declines: what each kind of client is told of it, streamed and whole.

For clients of Responses it is an answer in words. They take an incomplete response for a broken one: Codex asks again
five times, and each is paid for.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import sdk_responses, sdk_types, streams
from tests.support.crossing import asked
from tests.translate.responses import material as responses
from translate import pair
from translate.chat.stop import breakdown, read_stop
from translate.responses.stop import REFUSED
from translate.target import Protocol

EXPLAINED = {"type": "refusal", "category": "cyber", "explanation": "Not that."}


def declined(*blocks: Any, **details: Any) -> bytes:
    end = streams.ending("refusal")
    end["delta"] |= details
    return streams.messages(streams.START, *blocks, end, streams.STOP)


def filtered(*chunks: Any, finish: str = "content_filter") -> bytes:
    return streams.chat(streams.ROLE, *chunks, streams.chunk(finish=finish))


CASES: dict[str, tuple[Protocol, bytes, list[str]]] = {
    "Claude, without a word": ("messages", declined(), [REFUSED]),
    "Claude, explained": ("messages", declined(stop_details=EXPLAINED), ["Not that."]),
    "Claude, explained by nothing": ("messages", declined(stop_details={"explanation": None}), [REFUSED]),
    "Claude, after some text": ("messages", declined(*streams.text(0, "I will")), ["I will", REFUSED]),
    "Chat, in words": ("chat", filtered(streams.chunk({"refusal": "No."}), finish="stop"), ["No."]),
    "Chat, filtered": ("chat", filtered(), [REFUSED]),
    "Chat, filtered after some text": ("chat", filtered(streams.HI), ["hi", REFUSED]),
    "Chat, in words and filtered": ("chat", filtered(streams.chunk({"refusal": "No."})), ["No."]),
    "Gemini's word": ("chat", filtered(finish="PROHIBITED_CONTENT"), [REFUSED]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_refusal_is_a_whole_answer_for_responses_clients(name: str) -> None:
    upstream, raw, said = CASES[name]
    crossing = pair.Crossing("responses", upstream, asked("responses"))
    out = crossing.feed(raw) + crossing.end()
    assert sdk_types.stream_problems("responses", out) == []
    got = sdk_responses.responses_stream(out)
    assert got["status"] == "completed" and got["incomplete_details"] is None
    parts = got["output"][-1]["content"]
    assert [part.get("refusal") or part.get("text") for part in parts] == said
    assert parts[-1]["type"] == "refusal"
    whole = json.loads(pair.Crossing("responses", upstream, asked("responses")).whole(raw, streamed=True))
    assert whole["output"] == json.loads(out.split(b"data: ")[-1])["response"]["output"]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("client", ["messages", "chat"])
def test_and_is_one_for_the_others(client: Protocol, name: str) -> None:
    upstream, raw, said = CASES[name]
    if client == upstream:
        return
    body = json.loads(pair.Crossing(client, upstream, asked(client)).whole(raw, streamed=True))
    if client == "messages":
        assert body["stop_reason"] == "refusal"
        assert [block["text"] for block in body["content"]] == [text for text in said if text != REFUSED]
    else:
        [choice] = body["choices"]
        words = EXPLAINED["explanation"] if EXPLAINED["explanation"] in said else None
        assert choice["finish_reason"] == "content_filter" and choice["message"]["refusal"] == words


def test_half_a_call_is_not_whole_because_the_model_declined() -> None:
    raw = filtered(streams.chunk(streams.first_call(0, '{"a')))
    crossing = pair.Crossing("responses", "chat", asked("responses"))
    response = json.loads((crossing.feed(raw) + crossing.end()).split(b"data: ")[-1])["response"]
    assert [item["status"] for item in response["output"]] == ["incomplete", "completed"]


def test_what_a_responses_upstream_calls_a_filter_stays_one() -> None:
    cut = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    body = responses.RESPONSE | cut | {"usage": responses.USAGE, "output": [responses.message("a")]}
    back = json.loads(pair.Crossing("responses", "responses", asked("responses")).whole(json.dumps(body).encode()))
    assert back["incomplete_details"] == {"reason": "content_filter"}
    assert json.loads(pair.Crossing("messages", "responses", asked("messages")).whole(json.dumps(body).encode()))[
        "stop_reason"
    ] == "refusal"  # fmt: skip


@pytest.mark.parametrize("word", ["SAFETY", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "RECITATION", "IMAGE_SAFETY"])
def test_geminis_words_for_it(word: str) -> None:
    assert read_stop(word, has_calls=False) == read_stop(word, has_calls=True) == "refusal"


@pytest.mark.parametrize("word", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_a_call_that_nobody_can_read_is_an_error(word: str) -> None:
    error = breakdown(word)
    assert error is not None and error.kind == "upstream" and word in error.message


def test_a_response_tells_when_it_was_complete() -> None:
    times = iter([41, 42, 43])
    of = asked("responses")
    timed = type(of)(of.model, of.key, of.created, clock=lambda: next(times), echo={"temperature": 0.5})
    raw = streams.chat(streams.ROLE, streams.HI, streams.END)
    crossing = pair.Crossing("responses", "chat", timed)
    events = [
        json.loads(each.split(b"data: ")[1]) for each in (crossing.feed(raw) + crossing.end()).split(b"\n\n")[:-1]
    ]
    assert events[0]["response"]["completed_at"] is None
    assert events[-1]["response"]["completed_at"] in (41, 42, 43) and events[-1]["response"]["temperature"] == 0.5
