"""A Messages request read: what becomes what, and what is refused in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from translate.conversation import (
    Citation,
    Conversation,
    Document,
    Image,
    OutputFormat,
    Part,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    Unknown,
)
from translate.failures.errors import BadRequest
from translate.messages.decode_request import decode

CACHE = {"cache_control": {"type": "ephemeral"}}
CACHED = {"messages": CACHE}


def request(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]} | fields


def read(**fields: Any) -> Conversation:
    return decode(request(**fields))


def content(*blocks: Any, role: str = "user") -> list[Part]:
    return read(messages=[{"role": role, "content": list(blocks)}]).turns[0].parts


def test_the_least_request() -> None:
    assert read() == Conversation("m", [Turn("user", [Text("Hi")])], max_tokens=100, ext={"messages": {}})


def image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source}


def document(source: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "document", "source": source} | fields


BLOCKS: list[tuple[dict[str, Any], Part]] = [
    ({"type": "text", "text": "a"}, Text("a")),
    (
        {"type": "text", "text": "a", "citations": [1]} | CACHE,
        Text("a", {"messages": CACHE}, [Citation("messages", 1)]),
    ),
    ({"type": "text", "text": "a", "citations": None}, Text("a", {"messages": {"citations": None}})),
    (image(type="base64", media_type="image/png", data="AA=="), Image(data="AA==", media_type="image/png")),
    (image(type="url", url="https://x/y.png") | CACHE, Image(url="https://x/y.png", ext=CACHED)),
    (image(type="file", file_id="file_1"), Image(file_id="file_1")),
    (image(type="hologram"), Unknown("messages", image(type="hologram"))),
    (
        document({"type": "base64", "media_type": "application/pdf", "data": "AA=="}, title="T", context="C"),
        Document(data="AA==", media_type="application/pdf", title="T", context="C"),
    ),
    (
        document({"type": "text", "media_type": "text/plain", "data": "words"}, citations={"enabled": True}),
        Document(text="words", ext={"messages": {"citations": {"enabled": True}}}),
    ),
    (document({"type": "url", "url": "https://x"}, title=None), Document(url="https://x")),
    (document({"type": "file", "file_id": "f"}), Document(file_id="f")),
    (document({"type": "content", "content": "words"}), Document(parts=[Text("words")])),
    (
        document({"type": "content", "content": [{"type": "text", "text": "a"}, image(type="url", url="u")]}),
        Document(parts=[Text("a"), Image(url="u")]),
    ),
    (document({"type": "scroll"}), Unknown("messages", document({"type": "scroll"}))),
    ({"type": "thinking", "thinking": "Hm", "signature": "s"}, Thinking("Hm", "s")),
    ({"type": "thinking", "thinking": "Hm"}, Thinking("Hm")),
    ({"type": "redacted_thinking", "data": "xyz"}, Thinking(encrypted="xyz")),
    ({"type": "tool_use", "id": "t", "name": "n", "input": {"a": "é/"}}, ToolCall("t", "n", '{"a":"é/"}')),
    ({"type": "tool_use", "id": "t", "name": "n", "input": {}} | CACHE, ToolCall("t", "n", "{}", CACHED)),
    ({"type": "tool_use", "id": "t", "name": "n"}, ToolCall("t", "n", "")),
    ({"type": "tool_result", "tool_use_id": "t"}, ToolResult("t")),
    ({"type": "tool_result", "tool_use_id": "t", "content": ""}, ToolResult("t")),
    (
        {"type": "tool_result", "tool_use_id": "t", "content": "no", "is_error": True} | CACHE,
        ToolResult("t", [Text("no")], True, CACHED),
    ),
    (
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "content": [
                image(type="url", url="u"),
                document({"type": "url", "url": "d"}),
                {"type": "tool_reference", "tool_name": "n"},
                {"type": "search_result", "title": "x"},
            ],
        },
        ToolResult(
            "t",
            [
                Image(url="u"),
                Document(url="d"),
                Unknown("messages", {"type": "tool_reference", "tool_name": "n"}),
                Unknown("messages", {"type": "search_result", "title": "x"}),
            ],
        ),
    ),
    *(
        ({"type": kind, "x": 1}, Unknown("messages", {"type": kind, "x": 1}))
        for kind in ("server_tool_use", "web_search_tool_result", "container_upload", "mcp_tool_use", "tomorrow")
    ),
]


@pytest.mark.parametrize(("block", "part"), BLOCKS, ids=lambda value: str(value)[:60])
def test_a_block_becomes_its_part(block: dict[str, Any], part: Part) -> None:
    before = json.dumps(block)
    assert content(block) == [part]
    assert json.dumps(block) == before


def test_empty_text_is_dropped() -> None:
    assert content({"type": "text", "text": ""}, {"type": "text", "text": " "}) == [Text(" ")]
    assert read(messages=[{"role": "user", "content": ""}]).turns == [Turn("user", [])]
    assert read(system="").system == []


def test_system_text_is_read_without_the_billing_line() -> None:
    assert read(system="Be brief.").system == [Text("Be brief.")]
    billing = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=1"}
    blocks = [billing, {"type": "text", "text": "Be brief."} | CACHE]
    assert read(system=blocks).system == [Text("Be brief.", CACHED)]
    assert read(system=blocks[:1]).system == []


def test_system_messages_anywhere() -> None:
    turns = read(
        messages=[
            {"role": "user", "content": "Hi"},
            {"role": "system", "content": "Be brief.", "output_config": {"effort": "low"}},
            {
                "role": "system",
                "content": [{"type": "tool_addition", "tool": {}}, {"type": "text", "text": "x"} | CACHE],
            },
        ]
    ).turns
    assert turns[1:] == [
        Turn("system", [Text("Be brief.")], {"messages": {"output_config": {"effort": "low"}, "role": "system"}}),
        Turn(
            "system",
            [Unknown("messages", {"type": "tool_addition", "tool": {}}), Text("x", CACHED)],
            {"messages": {"role": "system"}},
        ),
    ]


# ---------------------------------------------------------------------------------------------- tools

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def test_tools_of_every_kind_are_read() -> None:
    tools = [
        {"name": "a", "description": "does a", "input_schema": SCHEMA, "strict": True} | CACHE,
        {"type": "custom", "name": "b", "input_schema": {}, "strict": None},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
        {"type": "mcp_toolset", "mcp_server_name": "s"},
    ]
    assert read(tools=tools).tools == [
        Tool("a", "does a", SCHEMA, True, ext=CACHED),
        Tool("b", "", {}, ext={"messages": {"type": "custom"}}),
        Tool("web_search", kind="server", protocol="messages", raw=tools[2]),
        Tool("", kind="server", protocol="messages", raw=tools[3]),
    ]
    assert read(tools=None).tools == []


def test_a_deferred_tool_is_there_once_it_was_shown() -> None:
    tools = [{"name": name, "input_schema": SCHEMA, "defer_loading": True} for name in "abcdef"]
    tools.append({"name": "g", "input_schema": SCHEMA, "defer_loading": False})
    found = {"type": "tool_search_tool_result", "content": {"tool_references": [reference("b")]}}
    messages = [
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [reference("a")]}]},
        {"role": "assistant", "content": [found, {"type": "tool_use", "id": "t", "name": "c", "input": {}}]},
        {"role": "system", "content": [{"type": "tool_addition", "tool": {"type": "tool_reference", "name": "d"}}]},
    ]
    read_tools = read(tools=tools, messages=messages).tools
    assert [tool.name for tool in read_tools if tool.deferred] == ["e", "f"]
    assert read_tools[0].ext == {"messages": {"defer_loading": True}}


def reference(name: str) -> dict[str, Any]:
    return {"type": "tool_reference", "tool_name": name}


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        (None, None, None),
        ({"type": "auto"}, ToolChoice("auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("any"), False),
        ({"type": "auto", "disable_parallel_tool_use": False}, ToolChoice("auto"), True),
        ({"type": "tool", "name": "a"}, ToolChoice("tool", "a"), None),
        ({"type": "none"}, ToolChoice("none"), None),
    ],
)
def test_tool_choice(choice: Any, expected: Any, parallel: bool | None) -> None:
    conversation = read(tool_choice=choice)
    assert (conversation.tool_choice, conversation.parallel_tools) == (expected, parallel)


# -------------------------------------------------------------------------------------------- scalars


@pytest.mark.parametrize(
    ("fields", "reasoning", "left"),
    [
        ({}, Reasoning(), {}),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Reasoning(True, "", 2000), {}),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            Reasoning(True, adaptive=True, display="omitted"),
            {},
        ),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, Reasoning(False, "high"), {}),
        ({"thinking": {"type": "between_tools"}}, Reasoning(False), {}),
        ({"thinking": {"type": "unheard_of"}}, Reasoning(), {"thinking": {"type": "unheard_of"}}),
        (
            {"thinking": {"type": "adaptive", "block_binding": {}}},
            Reasoning(True, adaptive=True),
            {"thinking": {"block_binding": {}}},
        ),
        (
            {"output_config": {"effort": "low", "task_budget": 5}},
            Reasoning(effort="low"),
            {"output_config": {"task_budget": 5}},
        ),
    ],
)
def test_thinking_is_read(fields: dict[str, Any], reasoning: Reasoning, left: dict[str, Any]) -> None:
    conversation = read(**fields)
    assert conversation.reasoning == reasoning
    said = fields.get("thinking", {}).get("type")
    form = {"messages.form": {"thinking": said}} if said == "between_tools" else {}
    assert conversation.ext == {"messages": left} | form


@pytest.mark.parametrize("field", ["output_format", "output_config"])
def test_output_format(field: str) -> None:
    wanted = {"type": "json_schema", "schema": SCHEMA}
    conversation = read(**{field: {"format": wanted} if field == "output_config" else wanted})
    assert conversation.output == OutputFormat("json_schema", SCHEMA)
    assert conversation.ext == {"messages": {}}


def test_the_other_fields() -> None:
    conversation = read(
        temperature=0.5,
        top_p=1,
        top_k=5,
        stop_sequences=["END"],
        stream=True,
        service_tier="auto",
        metadata={"user_id": "u", "team": "t"},
        context_management={"edits": []},
        container="c",
        mcp_servers=[],
        speed="fast",
    )
    sampling = conversation.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.stop) == (0.5, 1, 5, ["END"])
    assert (conversation.stream, conversation.service_tier, conversation.user) == (True, "", "u")
    assert conversation.ext["messages"] == {
        "metadata": {"team": "t"},
        "context_management": {"edits": []},
        "container": "c",
        "mcp_servers": [],
        "service_tier": "auto",
        "speed": "fast",
    }


# ------------------------------------------------------------------------------------------- refusals


def user(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hi"}, {"role": "user", "content": list(blocks)}]}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model: Field required"),
    ({"model": 5}, "model: Field required"),
    ({"messages": None}, "messages: Field required"),
    ({"messages": {}}, "messages: Input should be a valid list"),
    ({"messages": []}, "messages: at least one message is required"),
    ({"messages": ["Hi"]}, "messages.0: Input does not match the expected shape."),
    ({"messages": [{"role": "tool", "content": ""}]}, "messages.0.role: Input should be 'user', "),
    ({"messages": [{"content": ""}]}, "messages.0.role: Input should be 'user', "),
    ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content: Input should be a valid string or list"),
    (user("Hi"), "messages.1.content.0: Input should be a valid dictionary"),
    (user({"text": "Hi"}), "messages.1.content.0.type: Field required"),
    (user({"type": "text"}), "messages.1.content.0.text: Field required"),
    (user({"type": "text", "text": 1}), "messages.1.content.0.text: Input should be a valid string"),
    (user({"type": "image"}), "messages.1.content.0.source: Field required"),
    (user(image(type="base64", media_type="image/png")), "messages.1.content.0.source.data: Field required"),
    (user(document({"type": "url"})), "messages.1.content.0.source.url: Field required"),
    (user(document({"type": "content"})), "messages.1.content.0.source.content: Input should be"),
    (user({"type": "thinking"}), "messages.1.content.0.thinking: Field required"),
    (user({"type": "tool_use", "name": "n", "input": {}}), "messages.1.content.0.id: Field required"),
    (user({"type": "tool_result"}), "messages.1.content.0.tool_use_id: Field required"),
    (
        user({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text"}]}),
        "messages.1.content.0.content.0.text: Field required",
    ),
    ({"system": 5}, "system: Input should be a valid string or list"),
    ({"max_tokens": None}, "max_tokens: Field required"),
    ({"max_tokens": "5"}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": 0}, "max_tokens: must be greater than or equal to 1"),
    ({"tools": {}}, "tools: Input should be a valid list"),
    ({"tools": ["a"]}, "tools.0: Input should be a valid dictionary"),
    ({"tools": [{"input_schema": {}}]}, "tools.0.name: Field required"),
    ({"tools": [{"name": "a"}]}, "tools.0.input_schema: Field required"),
    ({"tools": [{"name": "a", "input_schema": []}]}, "tools.0.input_schema: Input should be a valid dictionary"),
    ({"tools": [{"name": "a", "input_schema": {}, "description": 5}]}, "tools.0.description: Input should be"),
    ({"tool_choice": "auto"}, "tool_choice.type: Input should be"),
    ({"tool_choice": {"type": "required"}}, "tool_choice.type: Input should be"),
    ({"tool_choice": {"type": "tool"}}, "tool_choice.tool.name: Field required"),
    ({"temperature": "hot"}, "temperature: Input should be a valid number"),
    ({"top_p": True}, "top_p: Input should be a valid number"),
    ({"top_k": 1.5}, "top_k: Input should be a valid integer"),
    ({"stop_sequences": "END"}, "stop_sequences: Input should be a valid list of strings"),
    ({"stop_sequences": [5]}, "stop_sequences: Input should be a valid list of strings"),
    ({"thinking": "high"}, "thinking.type: Field required"),
    ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
    (
        {"thinking": {"type": "enabled", "budget_tokens": "x"}},
        "thinking.enabled.budget_tokens: Input should be a valid",
    ),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 1023}},
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    ({"output_config": []}, "output_config: Input should be a valid dictionary"),
    ({"output_config": "high"}, "output_config: Input should be a valid dictionary"),
    ({"output_config": {"effort": 5}}, "output_config.effort: Input should be a valid string"),
    ({"output_config": {"format": {"type": "xml"}}}, "output_config: the format's type should be 'json_schema'"),
    ({"output_format": {"type": "json_schema"}}, "output_format: the format's schema is required"),
    ({"metadata": "me"}, "metadata: Input should be a valid dictionary"),
    ({"metadata": {"user_id": 5}}, "metadata.user_id: Input should be a valid string"),
    ({"service_tier": 5}, "service_tier: Input should be a valid string"),
]


@pytest.mark.parametrize(("fields", "words"), REFUSED, ids=[words[:50] for _, words in REFUSED])
def test_what_cannot_be_a_request_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(**fields)
    assert caught.value.message.startswith(words)
    assert caught.value.status == 400
