"""Servers that say things again: the whole text in a last delta, all arguments, everything so far with each delta."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.translate.chat.material import DONE, call, chunk, every_way, sse
from translate.conversation import Delta, Text
from translate.json import wire
from translate.streams.repeats import MOST, ArgumentRepeats, TextRepeats
from translate.streams.sequence import Sequence

STOP = chunk({}, "stop")
CALLS = chunk({}, "tool_calls")
LONG = "The answer to that question is 42."
BIG = {"path": "a.py", "text": "def f() { return '}'; }\n", "deep": {"x": [{}, {"y": 1}]}}
WHOLE = json.dumps(BIG)


def pieces(text: str, size: int) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]


def texts(*said: str, key: str = "content") -> list[Any]:
    return [chunk({key: text}) for text in said]


def streamed(size: int = 7, **more: Any) -> list[Any]:
    return [chunk(call("", 0, "a", "f")), *(chunk(call(piece, 0, **more)) for piece in pieces(WHOLE, size))]


def test_a_text_without_an_end_is_not_remembered_as_a_whole() -> None:
    """Each piece goes out all the same, and no later one is looked at."""
    repeats, sequence, came = TextRepeats(), Sequence(), 0
    item = sequence.push(Text(""), repeats=repeats)
    most_held, line = 0, "a line of a model that does not come to an end, whatever the client thinks of it. " * 40
    for number in range(3 * MOST // len(line)):
        sequence.say(item, f"{number}: {line}")
        came += sum(len(piece) for event in sequence.take() if isinstance(event, Delta) for piece in event.pieces)
        most_held = max(most_held, sum(map(len, repeats.said)))
    assert came > 2.9 * MOST and most_held < 1.2 * MOST
    sequence.say(item, line * 50)
    assert sequence.take() and not item.is_bare() and item.text()


CASES: dict[str, tuple[bytes, list[str]]] = {
    "the whole text in the last chunk": (
        sse(*texts(*pieces(LONG, 5), LONG), STOP, DONE),
        [f"text: {LONG}", "stop end"],
    ),
    "the whole text beside the finish": (
        sse(*texts(*pieces(LONG, 5)), chunk({"content": LONG}, "stop"), DONE),
        [f"text: {LONG}", "stop end"],
    ),
    "the whole thought again": (
        sse(*texts(*pieces(LONG, 5), LONG, key="reasoning_content"), chunk({"content": "so"}), STOP, DONE),
        [f"thinking: {LONG}", "text: so", "stop end"],
    ),
    "text and call once more, together": (
        sse(
            *texts(*pieces(LONG, 9)),
            *streamed(),
            chunk({"content": LONG} | call(WHOLE, 0, "a", "f"), "tool_calls"),
            DONE,
        ),
        [f"text: {LONG}", f"call f#a: {WHOLE}", "stop tool_calls"],
    ),
    "the same before each of two calls": (
        sse(*texts(LONG), chunk(call("{}", 0, "a", "f")), *texts(LONG), chunk(call("{}", 1, "b", "f")), CALLS, DONE),
        [f"text: {LONG}", "call f#a: {}", f"text: {LONG}", "call f#b: {}", "stop tool_calls"],
    ),
    "each delta holds all before it": (
        sse(*texts(*(LONG[:n] for n in range(1, len(LONG) + 1))), STOP, DONE),
        [f"text: {LONG}", "stop end"],
    ),
    "each delta holds all before it, in long steps": (
        sse(*texts(LONG[:20], LONG[:25], LONG, LONG), STOP, DONE),
        [f"text: {LONG}", "stop end"],
    ),
    "a line that a model says twice": (
        sse(*texts("Row ", "your boat gently\n", "Row your boat gently\n", "down"), STOP, DONE),
        ["text: Row your boat gently\nRow your boat gently\ndown", "stop end"],
    ),
    "short words said twice": (sse(*texts("no", "no", "nono", "no"), STOP, DONE), ["text: nonononono", "stop end"]),
    "a drawn line": (sse(*texts("=", "==", "=" * 20, "=" * 40), STOP, DONE), ["text: " + "=" * 63, "stop end"]),
    "a beginning that looks like growing": (sse(*texts("I", "I'm", " in"), STOP, DONE), ["text: II'm in", "stop end"]),
    "and ends there": (sse(*texts("no", "nope"), STOP, DONE), ["text: nonope", "stop end"]),
    "all arguments again": (
        sse(*streamed(), chunk(call(WHOLE, 0)), CALLS, DONE),
        [f"call f#a: {WHOLE}", "stop tool_calls"],
    ),
    "all arguments again, named": (
        sse(*streamed(), chunk(call(WHOLE, 0, "a", "f")), CALLS, DONE),
        [f"call f#a: {WHOLE}", "stop tool_calls"],
    ),
    "all arguments again, spaced in another way": (
        sse(*streamed(), chunk(call(json.dumps(BIG, indent=1), 0, "a", "f")), CALLS, DONE),
        [f"call f#a: {WHOLE}", "stop tool_calls"],
    ),
    "all arguments again, piece by piece": (
        sse(*streamed(), *streamed()[1:], CALLS, DONE),
        [f"call f#a: {WHOLE}", "stop tool_calls"],
    ),
    "all arguments again, without index and id": (
        sse(
            chunk(call("", None, None, "f")),
            *(chunk(call(p, None)) for p in pieces(WHOLE, 9)),
            chunk(call(WHOLE, None, None, "f")),
            CALLS,
            DONE,
        ),
        [f"call f#: {WHOLE}", "stop tool_calls"],
    ),
    "all arguments again, without id": (
        sse(
            chunk(call("", 0, None, "f")),
            *(chunk(call(p, 0)) for p in pieces(WHOLE, 9)),
            chunk(call(WHOLE, 0, None, "f")),
            CALLS,
            DONE,
        ),
        [f"call f#: {WHOLE}", "stop tool_calls"],
    ),
    "all arguments again, by id alone": (
        sse(
            chunk(call('{"x":', None, "a", "f")),
            chunk(call("1}", None, "a")),
            chunk(call('{"x":1}', None, "a", "f")),
            CALLS,
            DONE,
        ),
        ['call f#a: {"x":1}', "stop tool_calls"],
    ),
    "arguments that grow": (
        sse(chunk(call("", 0, "a", "f")), *(chunk(call(WHOLE[:n], 0)) for n in range(1, len(WHOLE) + 1)), CALLS, DONE),
        [f"call f#a: {WHOLE}", "stop tool_calls"],
    ),
    "arguments twice in one piece": (
        sse(chunk(call("", 0, "a", "f")), chunk(call('{"x"', 0)), chunk(call(':1} {"x":1}', 0)), CALLS, DONE),
        ['call f#a: {"x":1}', "stop tool_calls"],
    ),
    "the end and the next beginning in one piece": (
        sse(chunk(call('{"x":1}{', 0, "a", "f")), chunk(call('"x":1}', 0)), CALLS, DONE),
        ['call f#a: {"x":1}', "stop tool_calls"],
    ),
    "no object, though its braces close": (
        sse(chunk(call("{x}", 0, "a", "f")), chunk(call("{y}", 0)), CALLS, DONE),
        [
            "open call f#a: {x}{y}",
            "fault upstream: the upstream's call of the tool 'f' ends with arguments that are no JSON object",
        ],
    ),
    "name and id with each piece, and an empty last one": (
        sse(*streamed(id="a", name="f"), chunk(call("", 0, "a", "f")), CALLS, DONE),
        [f"call f#a: {WHOLE}", "stop tool_calls"],
    ),
    "the name with each piece, and an empty last one": (
        sse(
            chunk(call("", 0, None, "f")),
            *(chunk(call(p, 0, None, "f")) for p in pieces(WHOLE, 9)),
            chunk(call("", 0, None, "f")),
            CALLS,
            DONE,
        ),
        [f"call f#: {WHOLE}", "stop tool_calls"],
    ),
    "whole calls that are alike are two": (
        sse(chunk(call("{}", 0, None, "dice")), chunk(call("{}", 0, None, "dice")), CALLS, DONE),
        ["call dice#: {}", "call dice#: {}", "stop tool_calls"],
    ),
    "empty last deltas": (
        sse(*texts("hi"), chunk({"content": "", "reasoning_content": "", "refusal": "", "tool_calls": []}), STOP, DONE),
        ["text: hi", "stop end"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_again_is_told_once(name: str) -> None:
    raw, told = CASES[name]
    assert every_way(raw) == told


def test_growing_text_may_stall_and_go_on() -> None:
    words = TextRepeats()
    said = [
        piece
        for piece in (b"Hel", b"Hello", b"Hello, w", b"Hello, w", b"Hello, world")
        for piece in words.fresh([piece])
    ]
    assert b"".join(said + words.rest()) == b"Hello, world"
    assert "growing" in repr(words)


def test_many_braces_cost_little() -> None:
    """Linear: each piece is read once, whatever it holds."""
    arguments = ArgumentRepeats()
    arguments.fresh([b'{\\"a\\": \\"'])
    for _ in range(20_000):
        arguments.fresh([b"{}"])
    assert not arguments.ended and "20001 pieces" in repr(arguments)
    arguments.fresh([b'\\"}'])
    assert arguments.ended and arguments.fresh([b"{}"]) == [] and not arguments.is_repeated_by(b"{x}")
    assert wire.is_object(arguments.said)


@pytest.mark.parametrize("at_once", [1, 7])
def test_a_long_text_is_kept_in_few_pieces(at_once: int) -> None:
    """Each piece alone takes ten times its bytes, for as long as the reply lasts."""
    said = [b"w%d " % n for n in range(20_000)]
    sequence = Sequence()
    item = sequence.push(Text(""))
    for start in range(0, len(said), at_once):
        sequence.grow(item, said[start : start + at_once])
    assert len(item.repeats.said) < 500
    assert item.text() == b"".join(said).decode()
    assert item.repeats.fresh([b"".join(said)]) == [] and item.repeats.rest() == [], "it is known all the same"
