"""Conversations of other clients as Chat bodies: what crosses, in which shape, and what is reported."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support.conversations import of_client
from tests.translate.chat.written import CALL, HI, THOUGHT, WIRE_CALL, assistant, encoded, messages, user
from translate.chat.encode_request import encode
from translate.conversation import (
    Audio,
    Citation,
    Document,
    Image,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Unknown,
)
from translate.encode_context import Draft
from translate.failures.errors import BadRequest
from translate.target import Encoded, Policy, Target

MARK = {"messages": {"cache_control": {"type": "ephemeral"}}}
SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"], "additionalProperties": False}


def test_the_least() -> None:
    assert encoded() == Encoded({"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]})


def test_the_system_is_one_message() -> None:
    system = [Text("one", MARK), Text(""), Text("two")]
    out = encoded(system=system)
    assert out.body["messages"][0] == {"role": "system", "content": "one\n\ntwo"}  # type: ignore[index]
    assert out.dropped == ["cache_control"]
    assert messages(system=system, policy=Policy(developer_role=True))[0]["role"] == "developer"
    assert messages(system=[Text("")]) == [{"role": "user", "content": "Hi"}]


def test_neighbours_become_one_message() -> None:
    told = messages(
        HI, Turn("system", [Text("mind"), Text("this")]), Turn("system", []), user(Text("you?")),
        assistant(Text("I")), assistant(Text("am")), assistant(), HI,
    )  # fmt: skip
    assert told == [
        {"role": "user", "content": "Hi\n\n<system-reminder>\nmind\n\nthis\n</system-reminder>\n\nyou?"},
        {"role": "assistant", "content": "I\n\nam"},
        {"role": "user", "content": "Hi"},
    ]


def test_results_come_right_after_their_calls() -> None:
    """Whatever stands between them: instructions, the user's own words, even another turn."""
    told = messages(
        assistant(Text("so"), CALL, ToolCall("t2", "g")),
        Turn("system", [Text("mind")]),
        user(Text("words"), ToolResult("t2", [Text("a"), Text("b")])),
        user(ToolResult("t1", [], is_error=True)),
    )
    assert told == [
        {
            "role": "assistant",
            "content": "so",
            "tool_calls": [WIRE_CALL, {"id": "t2", "type": "function", "function": {"name": "g", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "t2", "content": "a\nb"},
        {"role": "tool", "tool_call_id": "t1", "content": "Error: (no output)"},
        {"role": "user", "content": "<system-reminder>\nmind\n</system-reminder>\n\nwords"},
    ]


def test_orphans_are_repaired() -> None:
    told = messages(assistant(CALL), user(ToolResult("lost", [Text("x")])))
    assert [message["role"] for message in told] == ["assistant", "tool", "user"]
    assert "interrupted" in told[1]["content"]


RESULTS: list[tuple[ToolResult, str]] = [
    (ToolResult("t1"), "(no output)"),
    (ToolResult("t1", [Text("bad")], True), "Error: bad"),
    (ToolResult("t1", [Text("Error: bad")], True), "Error: bad"),
    (ToolResult("t1", [Text("<tool_use_error>x")], True), "<tool_use_error>x"),
    (
        ToolResult("t1", [Unknown("messages", {"type": "tool_reference", "tool_name": "WebSearch"})]),
        "Tool WebSearch is now available.",
    ),
    (ToolResult("t1", [Document(text="words", title="T")]), '<document title="T">\nwords\n</document>'),
]


@pytest.mark.parametrize(("result", "content"), RESULTS)
def test_results_in_words(result: ToolResult, content: str) -> None:
    assert messages(assistant(CALL), user(result))[1:] == [{"role": "tool", "tool_call_id": "t1", "content": content}]


def test_what_a_result_shows_follows_in_a_user_message() -> None:
    result = ToolResult("t1", [Text("a"), Image(data="AA", media_type="image/png"), Document(data="BB")], ext=MARK)
    told = messages(assistant(CALL), user(result, Text("look")))
    assert told[1]["content"] == "a\n[image: see the next user message]\n[file: see the next user message]"
    assert told[2:] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "[output of the tool call t1]"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,BB"}},
                {"type": "text", "text": "look"},
            ],
        }
    ]


def test_long_ids_are_cut_alike_on_both_sides() -> None:
    long = "toolu_" + "x" * 60
    told = messages(assistant(ToolCall(long, "f")), user(ToolResult(long, [Text("a")])))
    assert told[0]["tool_calls"][0]["id"] == told[1]["tool_call_id"]
    assert len(told[1]["tool_call_id"]) <= 40


USER_PARTS: list[tuple[Part, list[dict[str, Any]]]] = [
    (Image(url="https://x", detail="low"), [{"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}}]),
    (Audio("AA", "wav"), [{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}]),
    (
        Document(data="AA", media_type="application/pdf", title="a.pdf"),
        [{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}}],
    ),
    (
        Document(parts=[Text("one"), Image(url="https://x")], title="T"),
        [
            {"type": "text", "text": "[document: T]"},
            {"type": "text", "text": "one"},
            {"type": "image_url", "image_url": {"url": "https://x"}},
        ],
    ),
    (Unknown("chat", {"type": "video_url", "video_url": {}}), [{"type": "video_url", "video_url": {}}]),
]


@pytest.mark.parametrize(("part", "wire"), USER_PARTS)
def test_user_parts(part: Part, wire: list[dict[str, Any]]) -> None:
    [message] = messages(user(part))
    assert message["content"] == wire


SEARCH = {
    "type": "search_result",
    "source": "https://a",
    "title": "A",
    "content": [{"type": "text", "text": "found"}, {"type": "text", "text": ""}],
    "encrypted_index": "zzz",
    "citations": {"enabled": True},
}

IN_WORDS: list[tuple[Part, str]] = [
    (Document(text="words"), "<document>\nwords\n</document>"),
    (Refusal("no"), "no"),
    (Unknown("messages", SEARCH), "https://a\nA\nfound"),
]


@pytest.mark.parametrize(("part", "text"), IN_WORDS)
def test_parts_in_words(part: Part, text: str) -> None:
    assert messages(user(part)) == [{"role": "user", "content": text}]
    told = messages(HI, assistant(part))[1]
    assert told["content"] == text


LEFT_OUT: list[tuple[Part, list[str]]] = [
    (Unknown("messages", {"type": "server_tool_use", "name": "web_search", "input": {}}), ["server_tool_use"]),
    (Unknown("messages", {"type": "web_search_tool_result", "content": []}), ["web_search_tool_result"]),
    (Unknown("messages", {"type": "container_upload", "file_id": "x"}), ["container_upload"]),
    (Thinking("hm", "S"), []),
    (Document(text=""), []),
]


@pytest.mark.parametrize(("part", "dropped"), LEFT_OUT)
def test_parts_that_are_left_out_are_reported(part: Part, dropped: list[str]) -> None:
    out = encoded(HI, assistant(Text("a")), user(part))
    assert (out.body["messages"][2:], out.dropped) == ([], dropped)  # type: ignore[index]


def test_a_document_in_an_assistants_turn() -> None:
    assert messages(HI, assistant(Document(text="words"), Document(data="AA")))[1]["content"].startswith("<document>")


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (Image(file_id="file_1"), "file_1"),
        (Document(file_id="file_1"), "file_1"),
        (Document(url="https://x/a.pdf"), "https://x/a.pdf"),
    ],
)
def test_what_must_not_be_lost_is_refused(part: Part, name: str) -> None:
    with pytest.raises(BadRequest, match="messages: ") as caught:
        encoded(user(part))
    assert name in caught.value.message


def test_a_text_with_citations_is_one_text() -> None:
    cited = [Citation("messages", {})]
    out = encoded(HI, assistant(Text("The sky ", {}, cited), Text("is blue", {}, cited)))
    assert out.body["messages"][1]["content"] == "The sky is blue"  # type: ignore[index]
    assert out.dropped == ["citations"]


ARGUMENTS = [("", "{}"), (" ", "{}"), ('{"a":1}', '{"a":1}'), ('{"a', '{"_raw":"{\\"a"}'), ("[1]", '{"_raw":"[1]"}')]


@pytest.mark.parametrize(("given", "sent"), ARGUMENTS)
def test_arguments_are_an_object(given: str, sent: str) -> None:
    told = messages(assistant(ToolCall("t", "f", given)))[0]
    assert (told["content"], told["tool_calls"][0]["function"]["arguments"]) == (None, sent)


# --------------------------------------------------------------------------------------------------- tools


def test_tools_are_written_with_names_that_fit() -> None:
    long = "mcp__" + "x" * 70
    out = encoded(
        assistant(ToolCall("t1", long)),
        user(ToolResult("t1", [Text("a")])),
        tools=[
            Tool("f", "d", SCHEMA, True, ext=MARK),
            Tool(long),
            Tool("later", deferred=True),
            Tool("search", kind="server", protocol="messages", raw={"type": "web_search_20250305"}),
            Tool("own", kind="server", protocol="chat", raw={"type": "x"}),
        ],
        tool_choice=ToolChoice("tool", long),
        parallel_tools=False,
    )
    body: Any = out.body
    sent = body["tools"][1]["function"]["name"]
    assert body["tools"] == [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}},
        {"type": "function", "function": {"name": sent, "parameters": {"type": "object", "properties": {}}}},
        {"type": "x"},
    ]
    assert len(sent) <= 64
    assert out.tool_names == {sent: long}
    assert body["messages"][0]["tool_calls"][0]["function"]["name"] == sent
    assert body["tool_choice"] == {"type": "function", "function": {"name": sent}}
    assert body["parallel_tool_calls"] is False
    assert out.dropped == ["cache_control", "tools.web_search_20250305"]


@pytest.mark.parametrize(("mode", "sent"), [("auto", "auto"), ("any", "required"), ("none", "none")])
def test_tool_choice(mode: Any, sent: str) -> None:
    assert encoded(tools=[Tool("f")], tool_choice=ToolChoice(mode)).body["tool_choice"] == sent


def test_a_choice_without_tools_is_none() -> None:
    server = Tool("search", kind="server", protocol="messages", raw={"type": "web_search"})
    out = encoded(tools=[server], tool_choice=ToolChoice("tool", "search"), parallel_tools=True)
    assert not out.body.keys() & {"tools", "tool_choice", "parallel_tool_calls"}
    assert out.dropped == ["tools.web_search", "tool_choice"]
    assert encoded(tools=[server], tool_choice=ToolChoice("auto")).dropped == ["tools.web_search"]
    out = encoded(tools=[server, Tool("f")], tool_choice=ToolChoice("tool", "search"))
    assert "tool_choice" not in out.body


# -------------------------------------------------------------------------------------------------- fields


def test_fields_are_written_or_dropped() -> None:
    out = encoded(
        max_tokens=500,
        sampling=Sampling(1.5, 0.9, 40, list("abcde"), 7, 0.1, 0.2),
        user="u" * 65,
        cache_key="k",
        service_tier="standard_only",
        stream=True,
        ext={"messages": {"context_management": {"edits": [1]}, "container": "c"}},
        policy=Policy(max_tokens=100, max_tokens_field="max_completion_tokens"),
    )
    assert {key: value for key, value in out.body.items() if key not in ("model", "messages", "user")} == {
        "max_completion_tokens": 100,
        "temperature": 1.5,
        "top_p": 0.9,
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "stop": ["a", "b", "c", "d"],
        "prompt_cache_key": "k",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert len(str(out.body["user"])) == 64
    assert out.dropped == ["top_k", "stop_sequences", "service_tier", "context_management", "container"]
    out = encoded(stream=True, user="u", policy=Policy(stream_options=False))
    assert ("stream_options" in out.body, out.body["user"]) == (False, "u")


REASONING: list[tuple[Reasoning, str, Any, list[str]]] = [
    (Reasoning(), "gpt-5", None, []),
    (Reasoning(True, adaptive=True), "gpt-5", None, []),
    (Reasoning(False), "gpt-5", None, ["thinking"]),
    (Reasoning(False, budget=5000), "gpt-5", None, ["thinking"]),
    (Reasoning(False), "gpt-5.6", "none", []),
    (Reasoning(False, "low"), "gpt-5.6", "none", ["output_config.effort"]),
    (Reasoning(False), "qwen3", None, []),
    (Reasoning(True, "high"), "gpt-5", "high", []),
    (Reasoning(True, "max"), "gpt-5", "high", ["output_config.effort"]),
    (Reasoning(True, budget=8000), "gpt-5", "medium", []),
    (Reasoning(True, "high"), "gpt-4o", None, ["output_config.effort"]),
    (Reasoning(True, budget=8000), "gpt-4o", None, ["thinking"]),
    (Reasoning(False, "none"), "gpt-5.1", "none", []),
]


@pytest.mark.parametrize(("wanted", "model", "effort", "dropped"), REASONING)
def test_reasoning_is_written_as_an_effort(
    wanted: Reasoning, model: str, effort: str | None, dropped: list[str]
) -> None:
    out = encoded(reasoning=wanted, model=model)
    assert (out.body.get("reasoning_effort"), out.dropped) == (effort, dropped)


OPEN = {"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": False}
FORMATS: list[tuple[OutputFormat, dict[str, Any]]] = [
    (OutputFormat("json_object"), {"type": "json_object"}),
    (OutputFormat("json_schema", SCHEMA), {"name": "output", "schema": SCHEMA}),
    (OutputFormat("json_schema", OPEN, "a b!", strict=False), {"name": "a_b_", "schema": OPEN, "strict": False}),
    (OutputFormat("json_schema", OPEN, strict=True), {"name": "output", "schema": OPEN, "strict": True}),
    (
        OutputFormat("json_schema", None, "n", "d", True),
        {"name": "n", "description": "d", "schema": {"type": "object"}, "strict": True},
    ),
]


@pytest.mark.parametrize(("output", "sent"), FORMATS)
def test_output_formats(output: OutputFormat, sent: dict[str, Any]) -> None:
    wanted = sent if output.kind == "json_object" else {"type": "json_schema", "json_schema": sent}
    assert encoded(output=output).body["response_format"] == wanted


def test_leftovers_of_another_protocol_are_reported() -> None:
    ext = {"messages": {"output_config": {"effort": "low"}, "role": "system"}}
    out = encoded(Turn("system", [Text("mind")], ext), HI, tools=[Tool("f", ext={"messages": {"input_examples": [1]}})])
    assert out.dropped == ["input_examples"]


def test_a_draft_tells_its_drops_in_its_repr() -> None:
    draft = Draft(of_client("m", []), Target("m"), "chat")
    draft.drop("top_k")
    assert repr(draft) == "<Draft dropped ['top_k']>"


def test_the_conversation_is_shared_not_copied() -> None:
    """A retry encodes the same conversation again for another target."""
    conversation = of_client("m", [HI, assistant(*copy.copy(THOUGHT), CALL)], tools=[Tool("f", schema=SCHEMA)])
    before = repr(conversation)
    encode(conversation, Target("a", Policy(reasoning_history="true", reasoning="think_tags")))
    encode(conversation, Target("b", Policy(developer_role=True)))
    assert repr(conversation) == before
