"""Responses' items and tools in corners: results of custom tools, sealed thoughts, numbers, names in refusals."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.support.conversations import of_client
from translate.conversation import (
    Document,
    Image,
    OutputFormat,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from translate.failures.errors import BadRequest
from translate.reasoning import sealed_reasoning
from translate.responses.decode_request import decode
from translate.responses.encode_request import encode
from translate.target import Encoded, Policy, Target

HI = Turn("user", [Text("Hi")])


def encoded(*turns: Turn, policy: Policy = Policy(), **fields: Any) -> Encoded:
    return encode(of_client("m", list(turns) or [HI], **({"ext": {"messages": {}}} | fields)), Target("m", policy))


def items(*turns: Turn, **fields: Any) -> Any:
    return encoded(*turns, **fields).body["input"]


def test_calls_and_results_belong_together() -> None:
    """Those of custom tools have types of their own; arguments that are no object are wrapped, never lost."""
    calls: list[Part] = [
        ToolCall("a", "f", '{"x":1}', namespace="n"), ToolCall("b", "g", "go", custom=True),
        ToolCall("c", "h", '{"cut'), ToolCall("d", "i", " "), ToolCall("e", "j", "[1]"),
    ]  # fmt: skip
    got = items(HI, Turn("assistant", calls), Turn("user", [ToolResult("a", [Text("1")]), ToolResult("b", [])]))
    assert got[1:6] == [
        {"type": "function_call", "call_id": "a", "name": "f", "namespace": "n", "arguments": '{"x":1}'},
        {"type": "custom_tool_call", "call_id": "b", "name": "g", "input": "go"},
        {"type": "function_call", "call_id": "c", "name": "h", "arguments": '{"_raw":"{\\"cut"}'},
        {"type": "function_call", "call_id": "d", "name": "i", "arguments": "{}"},
        {"type": "function_call", "call_id": "e", "name": "j", "arguments": '{"_raw":"[1]"}'},
    ]
    results = {item["call_id"]: item for item in got[6:]}
    assert results["a"] == {"type": "function_call_output", "call_id": "a", "output": "1"}
    assert results["b"]["type"] == "custom_tool_call_output" and results["b"]["output"] == "(no output)"
    assert results.keys() == {"a", "b", "c", "d", "e"}, "what was interrupted is answered too"
    assert "[no result: the tool call was interrupted]" in results["c"]["output"]


@pytest.mark.parametrize(
    ("parts", "error", "want"),
    [
        ([Text("a"), Text("b")], False, "a\nb"),
        ([Text("a"), Image(url="u")], False,
         [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "u", "detail": "auto"}]),
        ([Image(data="AA")], True, [{"type": "input_text", "text": "Error:"},
         {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"}]),
        ([Image(data="AA", media_type="image/gif", detail="low")], False,
         [{"type": "input_image", "image_url": "data:image/gif;base64,AA", "detail": "low"}]),
        ([Document(data="QQ==")], False,
         [{"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,QQ=="}]),
        ([Document(url="u")], False, [{"type": "input_file", "file_url": "u"}]),
        ([Document(text="a", title="T")], False, '<document title="T">\na\n</document>'),
    ],
)  # fmt: skip
def test_outputs_of_tools_are_written(parts: list[Part], error: bool, want: Any) -> None:
    got = items(HI, Turn("assistant", [ToolCall("a", "f")]), Turn("user", [ToolResult("a", parts, is_error=error)]))
    assert got[-1]["output"] == want


def test_thoughts_go_back_to_whom_they_belong() -> None:
    own = Thinking("hm", sealed_reasoning.of_item("rs_1", "cipher"))
    nameless = Thinking(encrypted=sealed_reasoning.of_item("", "cipher"))
    got = items(HI, Turn("assistant", [own, nameless, Thinking("theirs", "sig"), Text("so")]), HI)
    assert got[1:3] == [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
         "encrypted_content": "cipher"},
        {"type": "reasoning", "id": got[2]["id"], "summary": [], "encrypted_content": "cipher"},
    ]  # fmt: skip
    assert got[3]["content"] == "so"
    shown = items(HI, Turn("assistant", [Thinking("theirs"), Text("so")]), HI, policy=Policy(reasoning_history="true"))
    assert shown[1] == {
        "type": "reasoning", "id": shown[1]["id"], "summary": [],
        "content": [{"type": "reasoning_text", "text": "theirs"}],
    }  # fmt: skip
    assert [item["type"] for item in items(HI, Turn("assistant", [Text("so"), own]), HI)] == ["message"] * 3


@pytest.mark.parametrize(
    ("tool", "want"),
    [
        (Tool("f"), {"parameters": {"type": "object", "properties": {}}, "strict": False}),
        (Tool("f", "d", {"type": "object"}, True),
         {"description": "d", "parameters": {"type": "object"}, "strict": True}),
        (Tool("f", strict=False), {"parameters": {"type": "object", "properties": {}}, "strict": False}),
    ],
)  # fmt: skip
def test_functions_are_written(tool: Tool, want: dict[str, Any]) -> None:
    assert encoded(tools=[tool]).body["tools"] == [{"type": "function", "name": "f"} | want]
    assert "parallel_tool_calls" not in encoded(tools=[tool]).body
    assert encoded(tools=[tool], parallel_tools=False).body["parallel_tool_calls"] is False
    assert "parallel_tool_calls" not in encoded(parallel_tools=False).body


def test_limits_users_and_formats_are_written_as_openai_takes_them() -> None:
    assert encoded(max_tokens=3).body["max_output_tokens"] == 16
    assert encoded(max_tokens=17, policy=Policy(max_tokens=16)).body["max_output_tokens"] == 16
    assert encoded(user="u" * 65).body["user"] == hashlib.sha256(b"u" * 65).hexdigest()
    assert encoded(user="\ud800" * 65).body["user"] == hashlib.sha256(b"\xed\xa0\x80" * 65).hexdigest()
    assert encoded(user="u" * 64).body["user"] == "u" * 64
    form: Any = encoded(output=OutputFormat("json_schema", name="a b")).body["text"]
    assert form["format"]["name"] == "a_b" and form["format"]["schema"] == {"type": "object"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"input": [{"type": "message", "role": "tool", "content": "x"}]},
         "'tool' is none of 'user', 'assistant', 'system' and 'developer'"),
        ({"input": [{"type": "message", "content": "x"}]}, r"input\[0\].role"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, r"input\[0\].call_id"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "data:text/x;base64,/w=="}]}]},
         "it is not base64 of UTF-8 text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, r"content\[0\].image_url"),
        ({"input": 7}, "expected a string or an array of objects, but got int"),
        ({}, "Missing required parameter: 'input'"),
    ],
)  # fmt: skip
def test_refusals_name_the_field(body: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        decode({"model": "m"} | body)


@pytest.mark.parametrize(
    ("said", "display"),
    [({"summary": "auto"}, "summarized"), ({"generate_summary": "concise"}, "summarized"), ({"summary": "none"}, ""),
     ({"summary": None, "generate_summary": "detailed"}, "summarized"), ({}, "")],
)  # fmt: skip
def test_summaries_are_read_as_how_thinking_is_shown(said: dict[str, Any], display: str) -> None:
    conversation = decode({"model": "m", "input": "x", "reasoning": said | {"context": "new"}})
    assert conversation.reasoning.display == display
    assert conversation.ext["responses"] == {"reasoning.context": "new"}


def test_a_message_of_one_unknown_part_is_no_run_of_outputs() -> None:
    """Else the output that follows would come before it."""
    body = {"model": "m", "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_video", "video_url": "u"}]},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "computer_call_output", "call_id": "b", "output": {}},
        {"type": "function_call_output", "call_id": "c", "output": "2"},
    ]}  # fmt: skip
    conversation = decode(body)
    assert [len(turn.parts) for turn in conversation.turns] == [1, 3]
    assert encode(conversation, Target("m")).body["input"] == body["input"]
