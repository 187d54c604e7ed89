"""Whatever a Gemini client sends and a Gemini upstream answers, nothing but our own errors comes of it, and what is
written is legal. Odd values stand in every place of a large request and a large reply, one at a time."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from conformance import grammar
from tests.support import corpus, sdk_gemini
from translate import dialects, pair
from translate.conversation import Close, Delta, Fault, Open, Start, Stop
from translate.failures import errors
from translate.gemini.decode_stream import Decoder
from translate.json import wire
from translate.target import Asked, Target

ODD: tuple[Any, ...] = (None, True, -1, 1e300, "", "\ud83d", "x", [], [None], [[]], {}, {"": None}, {"text": 5})
REQUEST: dict[str, Any] = {
    "model": "m", "stream": True,
    "systemInstruction": {"role": "user", "parts": [{"text": "be brief"}]},
    "contents": [
        {"role": "user", "parts": [{"text": "hi"}, {"inlineData": {"mimeType": "image/png", "data": "eA=="}}]},
        {"role": "model", "parts": [
            {"text": "hm", "thought": True, "thoughtSignature": "c2ln"}, {"text": "well"},
            {"functionCall": {"id": "1", "name": "f", "args": {"a": [1]}}, "thoughtSignature": "c2ln"},
            {"executableCode": {"code": "x", "language": "PYTHON"}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"id": "1", "name": "f", "response": {"output": "done"},
                                  "parts": [{"inlineData": {"mimeType": "image/png", "data": "eA=="}}]}},
            {"fileData": {"fileUri": "https://x.test/a.pdf", "mimeType": "application/pdf"}}]},
    ],
    "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parameters": {
        "type": "OBJECT", "properties": {"a": {"type": "ARRAY", "items": {"type": "STRING"}, "minItems": "1"}},
        "required": ["a"], "propertyOrdering": ["a"]}}]}, {"googleSearch": {}}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {"temperature": 1, "stopSequences": ["x"], "maxOutputTokens": 9, "topK": 3,
                         "responseMimeType": "application/json",
                         "responseSchema": {"type": "STRING", "enum": ["a"], "nullable": True},
                         "thinkingConfig": {"thinkingBudget": 5, "includeThoughts": True}},
}  # fmt: skip
REPLY: dict[str, Any] = {
    "candidates": [{
        "content": {"role": "model", "parts": [
            {"text": "hm", "thought": True, "thoughtSignature": "c2ln"}, {"text": "ja ü", "thoughtSignature": "c2ln"},
            {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}]},
        "finishReason": "STOP", "index": 0, "finishMessage": "m",
        "groundingMetadata": {
            "webSearchQueries": ["q"], "groundingChunks": [{"web": {"uri": "https://x.test", "title": "t"}}],
            "groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 5}, "groundingChunkIndices": [0]}]}}],
    "promptFeedback": {"safetyRatings": []},
    "usageMetadata": {"promptTokenCount": 5, "cachedContentTokenCount": 2, "candidatesTokenCount": 3,
                      "thoughtsTokenCount": 1, "toolUsePromptTokenCount": 1, "totalTokenCount": 9},
    "modelVersion": "gemini", "responseId": "r",
}  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


def with_odd(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    made = copy.deepcopy(value)
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = odd
    return made


@pytest.mark.parametrize("upstream", dialects.names())
def test_odd_requests_cross_or_are_refused(upstream: str) -> None:
    refused = 0
    for path in places(REQUEST):
        if path[0] in ("model", "stream"):
            continue  # the gateway's own
        for odd in ODD:
            body = with_odd(REQUEST, path, odd)
            kept = repr(body)
            try:
                sent = pair.request("gemini", upstream, body, Target("gemini-3-pro"))
                json.loads(sent.json())
            except errors.BadRequest as error:
                assert error.message
                refused += 1
            assert repr(body) == kept, f"{path} was written to"
    assert refused > (50 if upstream != "gemini" else 20)


CHECKS = {"messages": grammar.check_messages, "chat": grammar.check_chat, "responses": grammar.check_responses}


@pytest.mark.parametrize("client", dialects.names())
def test_odd_replies_cross_or_are_refused(client: str) -> None:
    said = 0
    for path in places(REPLY):
        for odd in ODD:
            try:
                raw = wire.dumps(with_odd(REPLY, path, odd))
            except ValueError:
                continue
            asked = Asked("m", "k1", include_usage=True, echo={"includeThoughts": True} if client == "gemini" else {})
            try:
                json.loads(pair.Crossing(client, "gemini", asked).whole(raw))
            except errors.ApiError as error:
                assert error.message
            crossing = pair.Crossing(client, "gemini", asked)
            out = crossing.feed(b"data: " + raw + b"\r\n\r\n") + crossing.end()
            if not crossing.started:
                assert crossing.fault is not None
                continue
            said += 1
            if client == "gemini":
                events = sdk_gemini.events(out)
                found = [each for event in events if "error" not in event for each in sdk_gemini.problems(event)]
                # A part that nobody knows goes on as it came.
                odd_part = path[2:4] == ("content", "parts")[: len(path) - 2]
                found += grammar.check_gemini(out)
                assert found == [] or odd_part, (path, odd)
                assert "error" in events[-1] or "finishReason" in events[-1]["candidates"][0]
            else:
                found = [each for each in CHECKS[client](out) if "without a name" not in each and "name" not in each]
                assert found == [], (path, odd)
    assert said > 100


def test_a_stream_reads_alike_however_it_is_cut() -> None:
    parts = REPLY["candidates"][0]["content"]["parts"]
    chunks = [{"candidates": [{"content": {"parts": [each]}, "index": 0}]} for each in parts]
    raw = b"".join(b"data: " + wire.dumps(each) + b"\r\n\r\n" for each in (*chunks, REPLY))
    whole = Decoder()
    want = told([*whole.feed(raw), *whole.end()])
    for seed in range(20):
        decoder = Decoder()
        events = [event for piece in corpus.cuts(raw, seed, 40) for event in decoder.feed(piece)]
        assert told([*events, *decoder.end()]) == want
        assert decoder.ended


def test_what_follows_the_finish_is_read_without_blank_lines_too() -> None:
    finish = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]}
    counts = {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3}}
    decoder = Decoder()
    events = decoder.feed(b"data: %b\n\ndata: %b\ndata: [DONE]\n" % (wire.dumps(finish), wire.dumps(counts)))
    stop = [*events, *decoder.end()][-1]
    assert isinstance(stop, Stop) and stop.usage is not None and stop.usage.input == 5


def told(events: list[Any]) -> list[Any]:
    """The events without how their text was cut."""
    out: list[Any] = []
    assert isinstance(events[0], Start) and isinstance(events[-1], Stop)
    for event in events:
        if isinstance(event, Delta):
            if not isinstance(out[-1], bytes):
                out.append(b"")
            out[-1] += b"".join(event.pieces)
        elif isinstance(event, Open | Close | Stop):
            out.append(event)
    return out


@pytest.mark.parametrize(("reply", "want"), [
    ({"promptFeedback": {"blockReason": "SAFETY"}}, "blocked: SAFETY"),
    ({"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "Not this."}}, "Not this."),
    ({"candidates": [{"finishReason": "SAFETY"}]}, "blocked: SAFETY"),
    ({"candidates": [{"finishReason": "OTHER", "content": {}}]}, "blocked: OTHER"),
])  # fmt: skip
def test_a_block_is_a_refusal_that_says_why(reply: dict[str, Any], want: str) -> None:
    for client in dialects.names():
        out = pair.Crossing(client, "gemini", Asked("m", "k")).whole(wire.dumps(reply))
        assert want in out.decode() or client in ("messages", "chat"), client
    said = json.loads(pair.Crossing("messages", "gemini", Asked("m", "k")).whole(wire.dumps(reply)))
    assert said["stop_reason"] == "refusal"


@pytest.mark.parametrize("finish", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MISSING_THOUGHT_SIGNATURE"])
def test_a_breakdown_is_an_error(finish: str) -> None:
    body = {"candidates": [{"finishReason": finish, "finishMessage": "because"}]}
    decoder = Decoder()
    (event,) = decoder.feed(b"data: " + wire.dumps(body) + b"\n\n")
    assert isinstance(event, Fault) and "because" in str(event.error) and finish in str(event.error)
