"""Every oddity of the tool calls in recorded Chat streams, each run whole, byte by byte and cut at random."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.chat.material import DONE, STOP, call, chunk, every_way, short, sse
from translate.chat.decode_stream import Decoder
from translate.conversation import Delta, Open, Start, Stop, ToolCall


def cut(finish: str | None, native: str) -> dict[str, Any]:
    """A last chunk as OpenRouter has it."""
    last = chunk({}, finish)
    last["choices"][0]["native_finish_reason"] = native
    return last


CALLS: dict[str, tuple[bytes, list[str]]] = {
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
    "tool_calls, and the provider's own word is that it was cut (OpenRouter)": (
        sse(chunk(call('{"x', 0, "a", "f")), cut("tool_calls", "max_output_tokens"), DONE),
        ['call f#a: {"x', "stop length"],
    ),
    "an error, of which the provider's own word says less": (
        sse(chunk(call("{}", 0, "a", "f")), cut("error", "length"), DONE),
        ['fault upstream: the upstream ended its answer with finish_reason "error"'],
    ),
    "a refusal, likewise": (
        sse(chunk({"content": "no"}), cut("content_filter", "MAX_TOKENS"), DONE),
        ["text: no", "stop refusal"],
    ),
    "the provider's own word for a plain end": (
        sse(chunk(call("{}", 0, "a", "f")), cut("tool_calls", "STOP"), cut(None, "length"), DONE),
        ["call f#a: {}", "stop tool_calls"],
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
}


@pytest.mark.parametrize(("raw", "told"), CALLS.values(), ids=CALLS.keys())
def test_oddities_of_calls(raw: bytes, told: list[str]) -> None:
    assert every_way(raw) == told


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


def test_arguments_that_are_half_a_character_are_no_call() -> None:
    """Nobody may run that call, so that the reply must not end as one that wants it to be run."""
    raw = sse(chunk(call("\ud800", 0, "a", "f")), chunk({}, "tool_calls"), DONE)
    assert "no JSON object" in every_way(raw)[-1]
