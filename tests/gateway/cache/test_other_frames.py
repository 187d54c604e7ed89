"""Replies in frames that are no server-sent events are kept and given again as such a client reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import anthropic
import pytest
from botocore.eventstream import EventStreamBuffer
from google.genai import types

from tests.gateway.cache.test_cache import asked, numbered, what
from tests.support import sdk_gemini
from tests.support.house import House
from tests.support.script import Answer, Gate, Upstream
from tests.support.two_upstreams import event, held, house_text

ALWAYS = "[cache]\nalways = *\n"
MESSAGES = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
OLLAMA = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}

# The address of each form, and a request.
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "bedrock": ("/model/m/invoke-with-response-stream", MESSAGES),
    "bedrock whole": ("/model/m/invoke", MESSAGES),
    "vertex": ("/v1/projects/p/locations/l/publishers/anthropic/models/m:streamRawPredict", MESSAGES),
    "gemini array": ("/v1beta/models/m:streamGenerateContent", CONTENTS),
    "gemini events": ("/v1beta/models/m:streamGenerateContent?alt=sse", CONTENTS),
    "gemini whole": ("/v1beta/models/m:generateContent", CONTENTS),
    "ollama": ("/api/chat", OLLAMA),
    "ollama whole": ("/api/chat", OLLAMA | {"stream": False}),
    "responses at chat": ("/v1/chat/completions", {"model": "m", "input": "hi"}),
    "ollama prompt": ("/api/generate", {"model": "m", "prompt": "hi"}),
}


TOOK = re.compile(rb',"total_duration":.*"eval_duration":\d+(?=}\n)')
"""Of the streams in Ollama's form, how long a model took: none worked on the later ones."""


def in_frames(raw: bytes) -> list[bytes]:
    """The payloads of Bedrock's messages; botocore checks their sums."""
    buffer = EventStreamBuffer()
    buffer.add_data(raw)
    return [message.payload for message in buffer]


LEGAL: dict[str, Callable[[bytes], Any]] = {
    "bedrock": in_frames,
    "gemini array": json.loads,
    "ollama": lambda raw: [json.loads(line) for line in raw.splitlines()],
}


def house(up: Upstream, more: str = ALWAYS) -> House:
    return House(house_text("* = a", more, a=up.url))


@pytest.mark.parametrize("form", FORMS)
def test_the_second_gets_the_reply_to_the_first(form: str) -> None:
    path, body = FORMS[form]
    with Upstream(numbered()) as up, house(up) as here:
        first, second, third = (here.post(path, body) for _ in range(3))
        assert first[0] == 200, first
        assert [what(reply) for reply in (first, second, third)] == ["miss", "hit", "hit"]
        assert second[2] == third[2] == TOOK.sub(b"", first[2]) and b"1" in first[2]
        assert second[1]["content-type"] == first[1]["content-type"]
        assert len(up.requests) == 1
        if form in LEGAL:
            assert len(LEGAL[form](second[2])) >= 2


def test_two_forms_of_one_address_are_different_questions() -> None:
    said: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
    bodies: list[dict[str, Any]] = [{"model": "m", "input": "hi"}, {"model": "m", **said}]
    with Upstream(numbered()) as up, house(up) as here:
        assert [asked(here, body, None, "/v1/chat/completions") for body in bodies] == ["miss", "miss"]
    assert up.requests[0].json == up.requests[1].json


def test_the_forms_are_different_questions() -> None:
    with Upstream(numbered()) as up, house(up) as here:
        for path, body in FORMS.values():
            assert asked(here, body, None, path) == "miss", path


def test_anthropics_sdk_for_bedrock_reads_a_kept_stream() -> None:
    said: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    with Upstream(numbered()) as up, house(up) as here:
        client = anthropic.AnthropicBedrock(aws_region="us", api_key="any", base_url=here.url, max_retries=0)
        with client:
            replies = []
            for _ in range(2):
                with client.messages.stream(**said) as stream:
                    replies.append(stream.get_final_message())
        told = here.on_loop(lambda: dict(here.proxy.service.cache.told))
        assert told["hit"] == 1 and len(up.requests) == 1
        assert replies[0] == replies[1]
        assert replies[1].content[0].text == "1" and replies[1].stop_reason == "end_turn"


def test_googles_sdk_reads_a_kept_stream() -> None:
    with Upstream(numbered()) as up, house(up) as here, sdk_gemini.client(here.url) as sdk:
        texts = []
        for _ in range(2):
            config = types.GenerateContentConfig(temperature=0)
            chunks = list(sdk.models.generate_content_stream(model="m", contents="hi", config=config))
            texts.append("".join(chunk.text or "" for chunk in chunks))
            assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
        assert texts == ["1", "1"] and len(up.requests) == 1
        assert here.on_loop(lambda: here.proxy.service.cache.told["hit"]) == 1


REFUSED = Answer.sse([event({"role": "assistant", "content": ""}), event({"refusal": "No."}), event({}, "stop")])
CALLS = [{"index": 0, "id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
CALLED = Answer.sse([event({"role": "assistant", "tool_calls": CALLS}), event({}, "tool_calls")])
CUT = Answer.sse([event({"role": "assistant", "content": "1"}), event({}, "length")])
FILTERED = Answer.sse([event({"role": "assistant", "content": "1"}), event({}, "content_filter")])


@pytest.mark.parametrize("answer", [REFUSED, CALLED, CUT, FILTERED], ids=["refused", "called", "cut", "filtered"])
@pytest.mark.parametrize("form", ["bedrock", "gemini array", "ollama"])
def test_what_is_not_worth_it_is_not_kept_in_any_form(form: str, answer: Answer) -> None:
    path, body = FORMS[form]
    with Upstream(lambda request: answer) as up, house(up) as here:
        assert [asked(here, body, None, path) for _ in range(2)] == ["miss", "miss"]
        assert len(up.requests) == 2


@pytest.mark.parametrize("form", ["bedrock", "gemini array", "ollama"])
def test_signs_of_life_are_not_given_again(form: str) -> None:
    path, body = FORMS[form]
    gate = Gate()
    with Upstream(lambda request: held(gate)) as up:
        with house(up, ALWAYS + "[server]\nping_seconds = 0.1\n") as here, here.connect() as client:
            client.send("POST", path, body)
            here.wait(lambda p: any(flow.writer.written > 20 for flow in p.service.flows))
            written = here.on_loop(lambda: next(iter(here.proxy.service.flows)).writer.written)
            here.wait(lambda p: next(iter(p.service.flows)).writer.written > written)
            gate.open()
            first = client.reply()
            kept = here.post(path, body)
            assert what(kept) == "hit" and len(kept[2]) < len(first[2])
            assert LEGAL[form](kept[2])


@pytest.mark.parametrize("form", ["bedrock", "gemini array", "ollama"])
def test_a_reply_that_is_too_long_is_not_kept(form: str) -> None:
    path, body = FORMS[form]
    long = [event({"role": "assistant", "content": "x" * 3000}), event({}, "stop")]
    with Upstream(lambda request: Answer.sse(long)) as up, house(up, ALWAYS + "entry_kb = 1\n") as here:
        assert [asked(here, body, None, path) for _ in range(2)] == ["miss", "miss"]
