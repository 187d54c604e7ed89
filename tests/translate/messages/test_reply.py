"""Whole replies -> events and events -> whole replies, where they differ from streams."""

from __future__ import annotations

from typing import Any

import pytest

from tests.translate.messages.material import check_order, view
from translate.conversation import (
    Close,
    Delta,
    Fault,
    Open,
    Refusal,
    Start,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Unknown,
    Usage,
)
from translate.failures.errors import ApiError, BadReply
from translate.json import wire
from translate.messages.reply import collect, explode
from translate.target import Asked

ASKED = Asked("my-model", "k1", 0, 42)


def message(*content: Any, **fields: Any) -> dict[str, Any]:
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": list(content)}
    usage = {"input_tokens": 3, "output_tokens": 4}
    return head | {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage} | fields


def test_blocks_become_events() -> None:
    events = explode(
        message(
            {"type": "thinking", "thinking": "Hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "xyz"},
            {"type": "text", "text": ""},
            {"type": "text", "text": "Hi", "citations": [{"cited_text": "c"}]},
            {"type": "tool_use", "id": "t", "name": "n", "input": {"a": "é"}},
            {"type": "tool_use", "id": "u", "name": "n", "input": {}},
            {"type": "web_search_tool_result", "content": []},
            stop_reason="tool_use",
        )
    )
    check_order(events)
    usage = Usage(input=3, output=4)
    assert view(events) == [
        ("start", "msg_1", "claude-x", usage),
        ["open", Thinking(), "Hm", "sig", {}],
        ["open", Thinking(encrypted="xyz"), "", "", {}],
        ["open", Text(""), "Hi", "", {}, [{"cited_text": "c"}]],
        ["open", ToolCall("t", "n"), '{"a":"é"}', "", {}],
        ["open", ToolCall("u", "n"), "", "", {}],
        ["open", Unknown("messages", {"type": "web_search_tool_result", "content": []}), "", "", {}],
        ("stop", "tool_calls", usage, "", {}),
    ]


def test_what_else_a_reply_says() -> None:
    body = message(stop_reason="stop_sequence", stop_sequence="END", container={"id": "c"}, usage=None)
    stop = explode(body)[-1]
    assert stop == Stop("stop_sequence", None, "END", {"messages": {"container": {"id": "c"}}})
    again = collect([Start(), stop], ASKED)
    assert (again["stop_sequence"], again["container"], again["content"]) == ("END", {"id": "c"}, [])
    assert again["usage"]["input_tokens"] == 42


@pytest.mark.parametrize("body", [None, [], "text", {}, {"content": "text"}, {"type": "message", "content": None}])
def test_no_message(body: Any) -> None:
    with pytest.raises(BadReply):
        explode(body)


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "full"}}, "overloaded", "full"),
        ({"error": "no"}, "api", "no"),
        ({"type": "error"}, "api", "answered with an error"),
    ],
)
def test_an_error_under_a_good_status(body: Any, kind: str, words: str) -> None:
    (fault,) = explode(body)
    assert isinstance(fault, Fault) and isinstance(fault.error, ApiError)
    assert fault.error.kind == kind and words in fault.error.message
    with pytest.raises(ApiError, match=words):
        collect([fault], ASKED)


@pytest.mark.parametrize(
    ("arguments", "input"),
    [
        ("", {}),
        (" \n", {}),
        ("{}", {}),
        ('{"a": [1, null]}', {"a": [1, None]}),
        ('{"a": "cut o', {"_raw": '{"a": "cut o'}),
        ("[1]", {"_raw": "[1]"}),
        ("null", {}),
        ("free text", {"_raw": "free text"}),
    ],
)
def test_arguments_become_an_input_object(arguments: str, input: Any) -> None:
    pieces = [wire.inside(arguments)] if arguments else []
    events = [Start(), Open(ToolCall("t", "n")), Delta(pieces), Close(), Stop("tool_calls")]
    (block,) = collect(events, ASKED)["content"]
    assert block["input"] == input


def test_collected_blocks() -> None:
    whole = collect(
        [
            *[Start("x", "y", Usage(input=9)), Open(Thinking()), Delta([b"H"]), Delta([b"m"]), Close("sig")],
            *[Open(Thinking(signature="early")), Close()],
            *[Open(Thinking(encrypted="xyz")), Close()],
            *[Open(Unknown("chat", {"type": "audio"})), Delta([b"x"]), Close()],
            *[Open(Refusal()), Delta([rb"No\u002e"]), Close()],
            *[Close(), Open(Text("")), Delta([rb"\ud83d", rb"\ude00"]), Close()],
            Stop("end"),
        ],
        ASKED,
    )
    assert whole["content"] == [
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        {"type": "thinking", "thinking": "", "signature": "early"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "No."},
        {"type": "text", "text": "😀"},
    ]
    assert (whole["id"], whole["model"], whole["stop_reason"]) == ("msg_k1", "my-model", "refusal")
    assert whole["usage"]["input_tokens"] == 9


def test_a_reply_without_end() -> None:
    with pytest.raises(BadReply, match="no end"):
        collect([Start()], ASKED)
