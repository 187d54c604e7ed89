"""Gemini, as a client and as an upstream, and Ollama's clients: what is sent costs what its size is."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.linear.work import grows_linearly
from translate import dialects, pair
from translate.conversation import Thinking
from translate.gemini.array import Elements
from translate.ollama import request
from translate.ollama.reply import Lines
from translate.reasoning import sealed_reasoning
from translate.target import Asked, Policy, Target

SEAL = base64.b64encode(sealed_reasoning.of_thoughts([Thinking("x", "s")]).encode()).decode()
N = 250


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def call(name: str = "f", **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {}}, **more}


def result(name: str = "f", **more: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": {"output": "x"}, **more}}


def body(contents: list[Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "contents": contents, **more}


SHAPES: dict[str, Callable[[int], dict[str, Any]]] = {
    "texts of one turn": lambda n: body([user(*[{"text": "x"}] * n)]),
    "a stream kept as it came": lambda n: body([*[model({"text": "ab"})] * n, user({"text": "y"})]),
    "thoughts": lambda n: body([*[model({"text": "ab", "thought": True})] * n, user({"text": "y"})]),
    "seals": lambda n: body([user({"text": "x"}), *[model({"text": "a", "thoughtSignature": SEAL})] * n]),
    "sealed calls": lambda n: body([user({"text": "x"}), model(*[call(thoughtSignature=SEAL)] * n)]),
    "signed calls": lambda n: body([user({"text": "x"}), model(*[call(thoughtSignature="c2ln")] * n)]),
    "calls and results": lambda n: body([user({"text": "x"}), model(*[call()] * n), user(*[result()] * n)]),
    "calls in turns": lambda n: body([each for _ in range(n) for each in (model(call()), user(result()))]),
    "results of nothing": lambda n: body([user(*[result(f"f{i}") for i in range(n)])]),
    "tools": lambda n: body([user({"text": "x"})], tools=[{"functionDeclarations": [
        {"name": f"f{i}", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}
        for i in range(n)]}]),
    "properties": lambda n: body([user({"text": "x"})], tools=[{"functionDeclarations": [
        {"name": "f", "parameters": {"type": "OBJECT", "propertyOrdering": [f"p{i}" for i in range(n)],
                                     "properties": {f"p{i}": {"type": "STRING"} for i in range(n)}}}]}]),
    "pictures": lambda n: body([user(*[{"inlineData": {"mimeType": "image/png", "data": "eA=="}}] * n)]),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_request(name: str) -> None:
    for upstream in dialects.names():
        grows_linearly(SHAPES[name], lambda body: pair.request("gemini", upstream, body, Target("m")).json(), N)  # noqa: B023


def test_calls_without_ids() -> None:
    """Each turn's results are put in the order of its calls."""

    def make(n: int) -> dict[str, Any]:
        turns: list[dict[str, Any]] = [{"role": "user", "content": "x"}]
        for i in range(n):
            calls = [{"type": "tool_use", "id": f"{i}{own}", "name": "f", "input": {}} for own in "ab"]
            results = [{"type": "tool_result", "tool_use_id": call["id"], "content": "x"} for call in reversed(calls)]
            turns += [{"role": "assistant", "content": calls}, {"role": "user", "content": results}]
        return {"model": "m", "max_tokens": 9, "messages": turns}

    target = Target("m", Policy(call_ids=False))
    grows_linearly(make, lambda body: pair.request("messages", "gemini", body, target).json(), 2 * N)


def event(*parts: Any, **more: Any) -> bytes:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **more}
    return b"data: " + json.dumps({"candidates": [candidate]}).encode() + b"\r\n\r\n"


def grounded(n: int) -> dict[str, Any]:
    return {"groundingChunks": [{"web": {"uri": f"https://x.test/{i}", "title": "t"}} for i in range(n)],
            "groundingSupports": [{"segment": {"startIndex": i, "endIndex": i + 1}, "groundingChunkIndices": [i]}
                                  for i in range(n)]}  # fmt: skip


STREAMS: dict[str, Callable[[int], list[bytes]]] = {
    "texts": lambda n: [event({"text": f"word {i} "}) for i in range(n)],
    "thoughts": lambda n: [event({"text": "ab", "thought": True}) for i in range(n)],
    "kinds in turn": lambda n: [event({"text": "ab", "thought": i % 2 == 0}) for i in range(n)],
    "calls": lambda n: [event(call(f"f{i}", thoughtSignature="c2ln")) for i in range(n)],
    "pages": lambda n: [event({"text": "ä" * n}), event(groundingMetadata=grounded(n))],
    "pages again and again": lambda n: [event({"text": "ab"}, groundingMetadata=grounded(3)) for _ in range(n)],
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("client", dialects.names())
def test_a_stream(client: str, name: str) -> None:
    def run(chunks: list[bytes]) -> None:
        crossing = pair.Crossing(client, "gemini", Asked("m", "k"))
        for chunk in [*chunks, event(finishReason="STOP")]:
            crossing.feed(chunk)
        crossing.end()

    grows_linearly(STREAMS[name], run, 500)


@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_framing_takes_linear_time_however_events_are_cut(size: int) -> None:
    """However the events are cut."""

    def run(raw: bytes) -> None:
        for frame in (Elements(), Lines(generates=False)):
            for at in range(0, len(raw), size):
                frame.feed(raw[at : at + size])
            frame.end()

    chunk = b'data: {"id":"c","created":1,"choices":[{"index":0,"delta":{"content":"word"}}]}\n\n'
    grows_linearly(lambda n: chunk * n, run, 100)


def test_ollamas_histories() -> None:
    def make(n: int) -> dict[str, Any]:
        one = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}] * n}
        return {"model": "m", "messages": [one, *[{"role": "tool", "content": "x"}] * n]}

    grows_linearly(make, request.of_chat, 500)


# ---------------------------------------------------------------------------------------------- citations


def cited(places: int, url: str, text: str) -> dict[str, Any]:
    support = {"segment": {"endIndex": len(text)}, "groundingChunkIndices": [0] * 9}
    ground = {"groundingChunks": [{"web": {"uri": url, "title": "t"}}], "groundingSupports": [support] * places}
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate | {"groundingMetadata": ground}]}


@pytest.mark.parametrize("client", [name for name in dialects.names() if name != "gemini"])
def test_a_long_page_that_many_places_name(client: Any) -> None:
    """Each of the places would repeat its address."""
    raw = json.dumps(cited(1_000, f"https://x.test/{'x' * 20_000}", "so")).encode()
    assert len(pair.Crossing(client, "gemini", Asked("m", "k")).whole(raw)) < 8 << 20
    few = json.dumps(cited(10, "https://x.test/", "so")).encode()
    assert pair.Crossing(client, "gemini", Asked("m", "k")).whole(few).count(b"https://x.test/") == 90


def test_long_places_that_overlap() -> None:
    text = "word " * 20_000
    notes = [{"type": "url_citation", "url_citation": {"url": "u", "start_index": i, "end_index": len(text)}}
             for i in range(1_000)]  # fmt: skip
    message = {"role": "assistant", "content": text, "annotations": notes}
    raw = json.dumps({"id": "c", "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}).encode()
    out = pair.Crossing("gemini", "chat", Asked("m", "k")).whole(raw)
    assert len(out) < 8 << 20
    supports = json.loads(out)["candidates"][0]["groundingMetadata"]["groundingSupports"]
    assert len(supports) == 1_000 and supports[0]["segment"]["text"] == text


def test_fields_of_grounding_that_nobody_knows() -> None:
    def events(n: int) -> list[bytes]:
        ground = [{f"field{i}": i} for i in range(n)]
        said = ({"candidates": [{"content": {"parts": [{"text": "x"}]}, "groundingMetadata": each}]} for each in ground)
        return [b"data: %b\n\n" % json.dumps(each).encode() for each in said]

    def run(pieces: list[bytes]) -> None:
        crossing = pair.Crossing("chat", "gemini", Asked("m", "k"))
        for piece in pieces:
            crossing.feed(piece)

    grows_linearly(events, run, 1_000)
