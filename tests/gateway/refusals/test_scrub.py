"""What the log gets of an error that quotes the request."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from gateway.refusals import known_phrases
from gateway.refusals.known_phrases import NOTHING_KNOWN
from gateway.refusals.scrub import AS_SENT, MAX_SAID, logged, without
from translate.failures import errors
from translate.failures.errors import ApiError, BadReply
from translate.json import wire

PROMPT = "My mother's recipe for plum cake needs 3 eggs, a pound of flour and one secret that nobody else knows."


def body(text: str = PROMPT, **more: Any) -> bytes:
    return json.dumps({"model": "gpt-4o-mini-2024", "messages": [{"role": "user", "content": text}]} | more).encode()


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (f"Invalid value: '{PROMPT}'", f"Invalid value: '{AS_SENT}'"),
        (f"input_value='{PROMPT[:40]}...{PROMPT[-40:]}' is bad", f"input_value='{AS_SENT}...{AS_SENT}' is bad"),
        ("model gpt-4o-mini-2024 does not take 'max_completion_tokens'", None),
        ("messages.0.content: flagged", None),
    ],
)
def test_only_what_was_written_is_left_out(said: str, left: str | None) -> None:
    got = without(said, body(max_completion_tokens=5))
    if left is None:
        assert got == said
    else:
        assert got.count(AS_SENT) == left.count(AS_SENT) and "recipe" not in got and "nobody" not in got
        assert got.startswith(said[:8])


def test_short_texts_tool_arguments_and_names() -> None:
    call = {"id": "call_12345678", "function": {"name": "get_weather", "arguments": '{"city":"Reykjavik"}'}}
    sent = body("PIN-7781", tools=[{"name": "get_weather"}], more=[{"tool_calls": [call]}])
    assert without("no: PIN-7781", sent) == f"no: {AS_SENT}"
    said = 'tool get_weather (call_12345678) got {"city":"Reykjavik"}'
    assert without(said, sent) == f"tool get_weather (call_12345678) got {AS_SENT}"


@pytest.mark.parametrize("start", [b"", b"[" * 100_000, b"\xff\xfe{}"])
def test_a_body_that_is_no_json(start: bytes) -> None:
    raw = start + b'{"messages": "never closed PLUM-CAKE-RECIPE-1234567890'
    assert "RECIPE" not in without("cannot read: 'never closed PLUM-CAKE-RECIPE-1234567890'", raw)


def test_replies_are_not_quoted_either() -> None:
    """What a model answered is as private, and a page may repeat what was asked."""
    begins = "the upstream's reply is not valid JSON, it begins: "
    for reply, body_ in (('{"content":"Dear Sir', b"{}"), ("<html><title>Dear Sir", b"{}"), ("Dear Sir", b"")):
        assert logged(BadReply(begins + reply), body_) == f"{begins}[...]"
    for said in (
        "the upstream answered 200 with a cut-off or non-JSON body: ",
        "the upstream's reply has no choices; its fields are: ",
        "the upstream's stream begins with an event that is no JSON object: ",
        "the upstream began its stream with an error: ",
    ):
        assert logged(BadReply(f"{said}Dear Sir"), b"") == f"{said}[...]"


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("prompt is too long: 300000 tokens > 200000 maximum", "prompt is too long: 300000 tokens > 200000 maximum"),
        ("This model's maximum context length is 9 tokens. Dear", "This model's maximum context length is 9 tokens"),
        ("Incorrect API key provided: sk-abc***xyz", "Incorrect API key"),
        ("Unsupported parameter: 'temperature', Dear Sir", "Unsupported parameter: 'temperature'"),
        ("messages.0.id: Extra inputs are not permitted: 'Dear Sir'", "messages.0.id: Extra inputs are not permitted"),
        ("Unknown parameter: 'dear_sir'", "Unknown parameter"),
        ("Overloaded: 'Dear Sir", "Overloaded"),
        ("Rate limit reached for x in Dear. Please try again in 20s.", "Rate limit reached; Please try again in 20s"),
        ("RGVhciBTaXI= (dear sir) raeD riS &#68;ear \\u0044ear", NOTHING_KNOWN),
        ("no", NOTHING_KNOWN),
    ],
)  # fmt: skip
def test_of_an_upstreams_own_words_only_known_phrases_are_left(said: str, left: str) -> None:
    """It may repeat what was asked in any form, and also when the request's body is not there to compare it with."""
    bodies = ({"error": {"message": said}}, {"detail": said}, {"error": said})
    for raw in (*map(wire.dumps, bodies), said.encode()):
        error = errors.parse(400, raw)
        assert logged(error, b"") == logged(error, b'{"messages":[]}') == left
        assert said in error.message, "who asks hears it"


def test_how_long_it_takes() -> None:
    """Whatever an upstream says: no word of it is looked at for long."""
    for said in ("a" * 10**6, "messages." * 10**5, "1," * 10**5, "must be " * 10**5, "'n[" * 10**5):
        began = time.process_time()
        known_phrases.of(said)
        assert time.process_time() - began < 0.5


def test_how_much_of_it() -> None:
    error = ApiError("api", "x" * 5000)
    assert len(logged(error, b"")) == len(logged(error, b"{}")) == MAX_SAID
