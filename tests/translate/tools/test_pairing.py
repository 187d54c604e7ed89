"""Every call finds its result, in each shape that the protocols' types allow a history to have, in linear time."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest

from tests.support.crossed import TOOLS as OF_ALL
from tests.support.crossed import crossed
from tests.support.sample import HISTORY
from translate.conversation import Text, ToolCall, ToolResult, Turn
from translate.target import Encoded, Protocol
from translate.tools.pairing import LOST_RESULT, NO_RESULT_YET, OpenCalls, paired

Json = dict[str, Any]

U, A, S = "user", "assistant", "system"


def text(words: str) -> Text:
    return Text(words)


def call(id: str, name: str = "f", **ext: Any) -> ToolCall:
    return ToolCall(id, name, "{}", {"responses": ext} if ext else {}, runs_on=ext.get("async") is True)


def result(id: str, words: str = "", **more: Any) -> ToolResult:
    return ToolResult(id, [Text(words or f"of {id}")], **more)


def lost(id: str) -> ToolResult:
    return ToolResult(id, [Text(LOST_RESULT)], is_error=True)


def running(id: str) -> ToolResult:
    return ToolResult(id, [Text(NO_RESULT_YET)])


def orphan(id: str, more: str = "") -> Text:
    return Text(f"[result of an earlier tool call {id}{more}]")


Said = list[tuple[Any, ...]]
# name -> (the history, what becomes of it): each turn is its role and its parts.
SHAPES: dict[str, tuple[Said, Said]] = {
    "in place": (
        [(U, text("q")), (A, call("a")), (U, result("a"), text("go"))],
        [(U, text("q")), (A, call("a")), (U, result("a"), text("go"))],
    ),
    "two turns of the model's, a call each": (
        [(A, call("a")), (A, call("b")), (U, result("a"), result("b"))],
        [(A, call("a"), call("b")), (U, result("a"), result("b"))],
    ),
    "a call, then words": (
        [(A, call("a")), (A, text("wait")), (U, result("a"))],
        [(A, call("a"), text("wait")), (U, result("a"))],
    ),
    "words, then a call, stay two turns": (
        [(A, text("wait")), (A, call("a")), (U, result("a"))],
        [(A, text("wait")), (A, call("a")), (U, result("a"))],
    ),
    "an empty turn between": (
        [(A, call("a")), (U,), (A,), (S,), (A, call("b")), (U, result("b"), result("a"))],
        [(A, call("a"), call("b")), (U, result("b"), result("a"))],
    ),
    "split over several turns": (
        [(A, call("a"), call("b")), (U, result("b")), (U, text("hm")), (S, text("!")), (U, result("a"), text("go"))],
        [(A, call("a"), call("b")), (U, result("b"), result("a")), (U, text("hm")), (S, text("!")), (U, text("go"))],
    ),
    "within the model's turn": (
        [(U, text("q")), (A, text("so"), call("a"), result("a"), call("b"), result("b"), text("done"))],
        [
            (U, text("q")), (A, text("so"), call("a")), (U, result("a")), (A, call("b")), (U, result("b")),
            (A, text("done")),
        ],
    ),
    "a call within the user's turn": (
        [(U, text("q"), call("a"), result("a"), text("go"))],
        [(U, text("q")), (A, call("a")), (U, result("a"), text("go"))],
    ),
    "after other words of the user's": (
        [(A, call("a")), (U, text("here:"), result("a"))],
        [(A, call("a")), (U, result("a"), text("here:"))],
    ),
    "after an instruction": (
        [(A, call("a")), (S, text("!")), (U, result("a"))],
        [(A, call("a")), (U, result("a")), (S, text("!"))],
    ),
    "late": (
        [(A, call("a", "g")), (U, text("joke")), (A, text("knock")), (U, result("a")), (A, text("sunny"))],
        [
            (A, call("a", "g")), (U, running("a"), text("joke")), (A, text("knock")),
            (U, text("[result of the tool call a, g]"), text("of a")), (A, text("sunny")),
        ],
    ),
    "late and failed, beside another": (
        [(A, call("a")), (U, text("and")), (A, call("b")), (U, result("b"), result("a", is_error=True))],
        [
            (A, call("a")), (U, running("a"), text("and")), (A, call("b")),
            (U, result("b"), text("[result of the tool call a, f: it failed]"), text("of a")),
        ],
    ),
    "still running": ([(A, call("a", **{"async": True}))], [(A, call("a", **{"async": True})), (U, running("a"))]),
    "at the end": ([(U, text("q")), (A, call("a"))], [(U, text("q")), (A, call("a")), (U, lost("a"))]),
    "interrupted": (
        [(A, call("a"), call("b")), (U, text("stop"), result("b"))],
        [(A, call("a"), call("b")), (U, result("b"), lost("a"), text("stop"))],
    ),
    "before its call": (
        [(U, result("a"), text("q")), (A, call("a")), (U, text("go"))],
        [(U, text("q")), (A, call("a")), (U, result("a"), text("go"))],
    ),
    "its call was compacted away": (
        [(U, text("so far")), (U, result("x", is_error=True)), (A, text("ok"))],
        [(U, text("so far")), (U, orphan("x", ": it failed"), text("of x")), (A, text("ok"))],
    ),
    "twice": (
        [(A, call("a")), (U, result("a", "1")), (U, result("a", "2"))],
        [(A, call("a")), (U, result("a", "1")), (U, orphan("a"), text("2"))],
    ),
    "ids that are counted anew": (
        [
            (A, call("c")), (U, result("c", "1")), (A, call("c")), (U, text("stop")),
            (A, call("c")), (U, result("c", "3")),
        ],
        [
            (A, call("c")), (U, result("c", "1")), (A, call("c_2")), (U, lost("c_2"), text("stop")),
            (A, call("c_3")), (U, result("c_3", "3")),
        ],
    ),
    "one id for two parallel calls": (
        [(A, call("c"), call("c"), call("c_2")), (U, result("c", "1"), result("c_2", "3"), result("c", "2"))],
        [(A, call("c"), call("c_2"), call("c_2_2")), (U, result("c", "1"), result("c_2_2", "3"), result("c_2", "2"))],
    ),
    "no id at all": ([(A, call("")), (U, result("", "x"))], [(A, call("")), (U, result("", "x"))]),
}  # fmt: skip


def turns(said: Said) -> list[Turn]:
    return [Turn(role, list(parts)) for role, *parts in said]


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape(name: str) -> None:
    given, wanted = SHAPES[name]
    before = turns(given)
    kept = repr(before)
    out = paired(before)
    assert out == turns(wanted)
    assert repr(before) == kept, "it changed what it read"
    assert paired(out) == out, "what is acceptable stays as it is"


def test_what_is_in_place_is_the_same_object() -> None:
    before = turns(SHAPES["in place"][0])
    assert all(new is old for new, old in zip(paired(before), before, strict=True))


@pytest.mark.parametrize("name", ["split over several turns", "ids that are counted anew", "late", "twice"])
def test_a_longer_history_begins_as_the_shorter_one_did(name: str) -> None:
    """Providers' prompt caches go by the beginning: what was asked before stays, but for what a call that had no result
    by then is said to be."""
    given = [*SHAPES[name][0], (A, text("so")), (U, text("thanks"))]
    for at in range(1, len(given)):
        if given[at - 1][0] == U and given[at][0] == A:
            shorter, longer = paired(turns(given[:at])), paired(turns(given))
            assert _said(longer[: len(shorter)]) == _said(shorter)


def _said(history: list[Turn]) -> str:
    return repr(history).replace(LOST_RESULT, NO_RESULT_YET).replace("is_error=True", "is_error=False")


def test_leftovers_of_merged_turns_stay() -> None:
    first, second = turns([(A, call("a")), (A, text("b"))])
    first.ext, second.ext = {"chat": {"x": 1}}, {"chat": {"y": 2}, "messages": {"z": 3}}
    (merged, _) = paired([first, second])
    assert merged.ext == {"chat": {"x": 1, "y": 2}, "messages": {"z": 3}}


def test_a_mark_on_a_result_that_becomes_text_goes_with_it() -> None:
    mark = {"messages": {"cache_control": {"type": "ephemeral"}}}
    ((turn),) = paired([Turn("user", [ToolResult("x", [Text("y")], ext=mark)])])
    assert turn.parts[0].ext == mark


def test_results_take_the_calls_that_wait() -> None:
    waiting: OpenCalls[int] = OpenCalls()
    waiting.add("f", 1)
    waiting.step()
    waiting.add("f", 2)
    waiting.add("f", 3)
    assert [waiting.take("f") for _ in range(4)] == [2, 3, 1, None] and waiting.take("g") is None
    assert "1 keys" in repr(waiting)


# ------------------------------------------------------------------------------------- in whole requests

CHAT_CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ITEM_CALL = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
HELLO = {"role": "user", "content": "hello"}


def function_call(name: str = "f") -> Json:
    return {"role": "assistant", "content": None, "function_call": {"name": name, "arguments": "{}"}}


def function_result(words: str, name: str = "f") -> Json:
    return {"role": "function", "name": name, "content": words}


# Results by their call's place among the calls, and words that must arrive beside.
REQUESTS: dict[str, tuple[Protocol, list[Json], list[str], list[str]]] = {
    "Google's SDK ran the function itself": (
        "gemini",
        [{"role": "user", "parts": [{"text": "q"}]},
         {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}},
                                     {"functionResponse": {"name": "f", "response": {"result": "one"}}},
                                     {"text": "it is one"}]},
         {"role": "user", "parts": [{"text": "and?"}]}],
        ["one"], ["it is one"],
    ),
    "functions, one after the other": (
        "chat",
        [HELLO, function_call(), function_result("one"), function_call(), function_result("two")],
        ["one", "two"], [],
    ),
    "functions, two and two": (
        "chat",
        [HELLO, function_call(), function_call(), function_result("one"), function_result("two")],
        ["one", "two"], [],
    ),
    "a function's result without its call": ("chat", [HELLO, function_result("one")], [], ["one"]),
    "a tool message without an id": (
        "chat",
        [HELLO, {"role": "assistant", "content": None, "tool_calls": [CHAT_CALL, CHAT_CALL | {"id": "b"}]},
         {"role": "tool", "tool_call_id": "a", "content": "one"}, {"role": "tool", "name": "f", "content": "two"}],
        ["one", "two"], [],
    ),
    "an output without an id, of a call that has none": (
        "responses",
        [HELLO, ITEM_CALL, ITEM_CALL | {"call_id": "b"},
         {"type": "function_call_output", "name": "f", "output": "two"},
         {"type": "function_call_output", "call_id": "a", "output": "one"}],
        ["one", "two"], [],
    ),
    "an output without an id, of no call": (
        "responses",
        [HELLO, ITEM_CALL, {"type": "function_call_output", "call_id": "a", "output": "one"},
         {"type": "function_call_output", "name": "f", "namespace": "goals",
          "output": [{"type": "input_text", "text": "two"}]}],
        ["one"], ["[output of goals.f]", "two"],
    ),
    "a woken automation": (
        "responses", [{"type": "function_call_output", "name": "automation", "output": "look"}],
        [], ["[output of automation]", "look"],
    ),
    "free text": (
        "responses",
        [HELLO, {"type": "custom_tool_call", "call_id": "a", "name": "p", "input": "x"},
         {"type": "function_call_output", "call_id": "a", "output": "one"}],
        ["one"], [],
    ),
    "reasoning and words between calls": (
        "responses",
        [HELLO, ITEM_CALL, {"type": "reasoning", "summary": []}, {"role": "assistant", "content": "now the next"},
         ITEM_CALL | {"call_id": "b"}, {"type": "function_call_output", "call_id": "b", "output": "two"},
         {"type": "function_call_output", "call_id": "a", "output": "one"}],
        ["one", "two"], ["now the next"],
    ),
    "neighbours of one role": (
        "messages",
        [HELLO, {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
         {"role": "assistant", "content": [{"type": "tool_use", "id": "b", "name": "f", "input": {}}]},
         {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "b", "content": "two"}]},
         {"role": "user", "content": [{"type": "text", "text": "and"},
                                      {"type": "tool_result", "tool_use_id": "a", "content": "one"}]}],
        ["one", "two"], ["and"],
    ),
}  # fmt: skip


TOOLS = OF_ALL | {"gemini": [{"functionDeclarations": [{"name": "f"}]}]}
CROSSINGS = [(name, to) for name in REQUESTS for to in ("messages", "chat", "responses") if to != REQUESTS[name][0]]


@pytest.mark.parametrize(("name", "upstream"), CROSSINGS)
def test_a_request(name: str, upstream: Protocol) -> None:
    client, history, results, words = REQUESTS[name]
    body: Json = {"model": "m", "tools": TOOLS[client]} | ({} if client == "gemini" else {"max_tokens": 50})
    sent = crossed(client, upstream, body | {(HISTORY | {"gemini": "contents"})[client]: history})
    assert isinstance(sent, Encoded), sent
    calls, answers = pairs(upstream, sent.body)
    assert [answers[id] for id in calls] == results and len(answers) == len(results)
    said = sent.json().decode()
    assert "interrupted" not in said and all(word in said for word in words)


def pairs(upstream: Protocol, body: Json) -> tuple[list[str], dict[str, str]]:
    """Ids of the calls in their order, and the results by their calls' ids."""
    if upstream == "responses":
        calls = [item["call_id"] for item in body["input"] if item["type"].endswith("call")]
        return calls, {i["call_id"]: i["output"] for i in body["input"] if i["type"].endswith("output")}
    if upstream == "chat":
        calls = [call["id"] for m in body["messages"] for call in m.get("tool_calls", [])]
        return calls, {m["tool_call_id"]: m["content"] for m in body["messages"] if m["role"] == "tool"}
    blocks = [block for m in body["messages"] for block in m["content"]]
    calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    return calls, {b["tool_use_id"]: b["content"] for b in blocks if b["type"] == "tool_result"}


@pytest.mark.parametrize("client", ["chat", "responses"])
def test_a_result_that_names_nothing_is_refused(client: Protocol) -> None:
    nameless = {
        "chat": [HELLO, {"role": "tool", "content": "x"}],
        "responses": [{"type": "function_call_output", "output": "x"}],
    }
    sent = crossed(client, "messages", {"model": "m", "input": nameless[client], "messages": nameless[client]})
    assert not isinstance(sent, Encoded) and "call_id" in sent.message


# ------------------------------------------------------------------------------------------------- cost

LONG = {
    "interrupted": lambda n: [t for i in range(n) for t in ((A, call(f"c{i}")), (U, text("no")))],
    "one id": lambda n: [(A, *(call("c") for _ in range(n))), (U, *(result("c") for _ in range(n)))],
    "one id, interrupted": lambda n: [t for i in range(n) for t in ((A, call("c")), (U, text("no")))],
    "a run of calls": lambda n: [*((A, call(f"c{i}")) for i in range(n)), *((U, result(f"c{i}")) for i in range(n))],
    "all late": lambda n: [*((t) for i in range(n) for t in ((A, call(f"c{i}")), (U, text("no")))),
                           *((U, result(f"c{i}")) for i in range(n))],
    "no calls": lambda n: [(U, result(f"c{i}")) for i in range(n)],
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_the_cost_grows_as_the_history_does(name: str) -> None:
    """Four times the history takes about four times as long; where it went by the square, it would be sixteen."""

    def cost(n: int) -> float:
        history = turns(LONG[name](n))
        gc.collect()
        gc.disable()  # its rounds are no part of it
        begun = time.process_time()
        paired(history)
        took = time.process_time() - begun
        gc.enable()
        return took

    few, many = min(cost(1_500) for _ in range(3)), min(cost(6_000) for _ in range(3))
    assert many < 10 * few + 0.02
