"""Calls whose arguments come in pieces (streamFunctionCallArguments): other protocols' clients get them whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate.conversation import Close, Delta, Event, Fault, Open, Stop, ToolCall
from translate.gemini.decode_stream import Decoder
from translate.gemini.partial_call import PartialCall
from translate.json import wire

Raw = dict[str, Any]


def piece(path: str, **more: Any) -> Raw:
    return {"jsonPath": path} | more


def event(call: Raw | None = None, finish: str = "", **beside: Any) -> bytes:
    parts = [] if call is None else [{"functionCall": call} | beside]
    candidate: Raw = {"content": {"role": "model", "parts": parts}}
    body = {"candidates": [candidate | ({"finishReason": finish} if finish else {})]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def events(*sent: bytes) -> list[Event]:
    decoder = Decoder()
    return [each for chunk in sent for each in decoder.feed(chunk)] + decoder.end()


def calls(found: list[Event]) -> list[tuple[str, str, Any]]:
    """(id, name, arguments) of each call that was closed."""
    out: list[tuple[str, str, Any]] = []
    now: ToolCall | None = None
    text: list[bytes] = []
    for each in found:
        if isinstance(each, Open):
            now, text = each.part if isinstance(each.part, ToolCall) else None, []
        elif isinstance(each, Delta):
            text += each.pieces
        elif isinstance(each, Close) and now is not None:
            out.append((now.id, now.name, json.loads(wire.text_of(text) or "{}")))
            now = None
    return out


BEGUN = event({"name": "f", "id": "x", "willContinue": True}, thoughtSignature="S")
MIDDLE = [
    event({"partialArgs": [piece("$.a", stringValue="he", willContinue=True)], "willContinue": True}),
    event({"partialArgs": [piece("$.a", stringValue="llo"), piece("$.b", boolValue=False)], "willContinue": True}),
    event({"partialArgs": [piece("$.c[0].d", numberValue=3), piece("$.c[1].d", nullValue="NULL_VALUE")],
           "willContinue": True}),
]  # fmt: skip
WHOLE = {"a": "hello", "b": False, "c": [{"d": 3}, {"d": None}]}
ENDED, STOPPED = event({}), event(finish="STOP")


def test_it_is_told_once_it_has_ended() -> None:
    found = events(BEGUN, *MIDDLE, ENDED, event({"name": "g", "args": {"z": 1}}), STOPPED)
    assert calls(found) == [("x", "f", WHOLE), ("", "g", {"z": 1})]
    assert isinstance(found[-1], Stop) and found[-1].reason == "tool_calls"


def test_its_last_piece_may_end_it() -> None:
    last = event({"partialArgs": [piece("$.a", stringValue="x")]})
    assert calls(events(BEGUN, last, STOPPED)) == [("x", "f", {"a": "x"})]
    at_once = event({"name": "f", "partialArgs": [piece("$.a", stringValue="x")]})
    assert calls(events(at_once, at_once, STOPPED)) == [("", "f", {"a": "x"})] * 2
    assert calls(events(BEGUN, ENDED, STOPPED)) == [("x", "f", {})]


def test_arguments_that_are_there_are_whole() -> None:
    call = event({"name": "f", "args": {"a": 1}, "willContinue": True})
    assert calls(events(call, STOPPED)) == [("", "f", {"a": 1})]
    begun = event({"name": "f", "args": {}, "willContinue": True})
    assert calls(events(begun, event({"partialArgs": [piece("$.a", stringValue="x")]}), STOPPED)) == [
        ("", "f", {"a": "x"})
    ]


def test_names_in_snake_case_are_read() -> None:
    began = event({"name": "f", "will_continue": True})
    last = event({"partial_args": [{"json_path": "$.a", "string_value": "x"}]})
    assert calls(events(began, last, STOPPED)) == [("", "f", {"a": "x"})]


@pytest.mark.parametrize("then", [[STOPPED], [event({"name": "g", "args": {}}), STOPPED], []])
def test_what_has_not_ended_is_run_by_nobody(then: list[bytes]) -> None:
    found = events(BEGUN, *MIDDLE, *then)
    assert calls(found) == [] and isinstance(found[-1], Fault)


PLACES: list[tuple[list[Raw], Raw]] = [
    ([piece("$['a b'].c", stringValue="x"), piece('$["a b"]["d\\"e"]', numberValue=1)], {"a b": {"c": "x", 'd"e': 1}}),
    ([piece("$.a", stringValue="1"), piece("$.b", stringValue="2"), piece("$.a", stringValue="3")],
     {"a": "13", "b": "2"}),
    ([piece("$.a[0]", stringValue="x"), piece("$.a[1]", stringValue="y"), piece("$.a[0]", stringValue="z")],
     {"a": ["xz", "y"]}),
    ([piece("$.a[7]", stringValue="x")], {"a": []}),  # a list has no gaps
    ([piece("$.a", numberValue=1), piece("$.a.b", numberValue=2), piece("$.a[0]", numberValue=2)], {"a": 1}),
    ([piece("$", stringValue="x"), piece("$[0]", stringValue="x"), piece("", stringValue="x"), {"stringValue": 1}], {}),
    ([piece("$" + ".a" * 100, stringValue="x")], {}),
    ([piece("$.a", boolValue=True, willContinue=True), piece("$.b")], {"a": True, "b": None}),
]  # fmt: skip


@pytest.mark.parametrize(("pieces", "args"), PLACES)
def test_where_pieces_go(pieces: list[Raw], args: Raw) -> None:
    call = PartialCall()
    call.add({"name": "f", "partialArgs": pieces}, "")
    assert json.loads(call.arguments) == args
