"""What the log gets of an error that quotes the request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.flow.scrub import AS_SENT, MAX_SAID, logged, without
from translate.errors import ApiError, BadReply

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
    """What a model answered is as private; what no model writes tells what went wrong."""
    begins = "the upstream's reply is not valid JSON, it begins: "
    for reply, body_, left in (
        ('{"content":"Dear Sir', b"{}", "{[...]"),
        ("<html><title>502 Bad Gateway", b"{}", "<html><title>502 Bad Gateway"),
        ("Dear Sir", b"", "D[...]"),
    ):  # fmt: skip
        assert logged(BadReply(begins + reply), body_) == begins + left


def test_an_error_in_the_middle_of_a_stream() -> None:
    """The request's body is not there any more, to compare it with."""
    error = ApiError("overloaded", "Overloaded: 'Dear Sir")
    assert logged(error, b"", theirs=True) == "Overloaded[...]"
    assert logged(error, b"") == error.message


def test_how_much_of_it() -> None:
    error = ApiError("api", "x" * 5000)
    assert len(logged(error, b"")) == len(logged(error, b"{}")) == MAX_SAID
